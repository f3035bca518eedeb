"""Colour arithmetic by the published formulas, in float64, for the tests: sRGB → other spaces."""

from __future__ import annotations

import io
import struct

import numpy as np

XY = {
    "sRGB": ((0.64, 0.33), (0.30, 0.60), (0.15, 0.06)),
    "P3": ((0.68, 0.32), (0.265, 0.69), (0.15, 0.06)),
    "2020": ((0.708, 0.292), (0.170, 0.797), (0.131, 0.046)),
    "Adobe": ((0.64, 0.33), (0.21, 0.71), (0.15, 0.06)),
}
D65 = (0.3127, 0.3290)
D50_XYZ = np.array([0.9642, 1.0, 0.8249])


def xyz_of(xy: tuple[float, float]) -> np.ndarray:
    return np.array([xy[0] / xy[1], 1.0, (1 - xy[0] - xy[1]) / xy[1]])


def to_xyz(name: str) -> np.ndarray:
    columns = np.stack([xyz_of(xy) for xy in XY[name]], axis=1)
    return columns * np.linalg.solve(columns, xyz_of(D65))


def between(source: str, target: str) -> np.ndarray:
    return np.linalg.inv(to_xyz(target)) @ to_xyz(source)


def light(srgb: np.ndarray) -> np.ndarray:
    """Return linear light of sRGB in [0, 1]."""
    return np.where(srgb <= 0.04045, srgb / 12.92, ((srgb + 0.055) / 1.055) ** 2.4)


def coded(linear: np.ndarray) -> np.ndarray:
    linear = linear.clip(0, 1)
    return np.where(linear <= 0.0031308, linear * 12.92, 1.055 * linear ** (1 / 2.4) - 0.055)


def pq(nits: np.ndarray) -> np.ndarray:
    """SMPTE ST 2084, equation 5.2."""
    m1, m2, c1, c2, c3 = 0.1593017578125, 78.84375, 0.8359375, 18.8515625, 18.6875
    y = (np.asarray(nits, float).clip(0) / 10_000) ** m1
    return ((c1 + c2 * y) / (1 + c3 * y)) ** m2


def hlg(nits: np.ndarray) -> np.ndarray:
    """BT.2100: display light of 1000 nits back to the signal, by the inverse OOTF and the OETF."""
    display = np.asarray(nits, float).clip(0) / 1000
    luma = (display @ np.array([0.2627, 0.6780, 0.0593]))[..., None]
    scene = display * np.where(luma > 0, np.maximum(luma, 1e-12) ** (1 / 1.2 - 1), 0)
    a, b, c = 0.17883277, 0.28466892, 0.55991073
    return np.where(scene <= 1 / 12, np.sqrt(3 * scene), a * np.log(np.maximum(12 * scene - b, 1e-12)) + c)


def profile(name: str, gamma: float | None = None) -> bytes:
    """Return a small ICC profile of a space in `XY`, or of ``gray``; ``gamma`` None is the curve of sRGB."""

    def fixed(value: float) -> bytes:
        return struct.pack(">i", round(value * 65536))

    def point(xyz: np.ndarray) -> bytes:
        return b"XYZ \0\0\0\0" + b"".join(fixed(v) for v in xyz)

    if gamma is None:
        levels = np.round(light(np.linspace(0, 1, 1024)) * 65535).astype(">u2").tobytes()
        curve = b"curv\0\0\0\0" + struct.pack(">I", 1024) + levels
    else:
        curve = b"curv\0\0\0\0" + struct.pack(">IH", 1, round(gamma * 256))
    words = name.encode() + b"\0"
    tags = [
        (b"desc", b"desc\0\0\0\0" + struct.pack(">I", len(words)) + words + bytes(78)),
        (b"cprt", b"text\0\0\0\0none\0"),
        (b"wtpt", point(D50_XYZ)),
    ]
    if name == "gray":
        tags.append((b"kTRC", curve))
    else:
        bradford = np.array([[0.8951, 0.2664, -0.1614], [-0.7502, 1.7135, 0.0367], [0.0389, -0.0685, 1.0296]])
        gains = (bradford @ D50_XYZ) / (bradford @ xyz_of(D65))
        columns = np.linalg.inv(bradford) @ np.diag(gains) @ bradford @ to_xyz(name)
        tags += [(tag, point(column)) for tag, column in zip((b"rXYZ", b"gXYZ", b"bXYZ"), columns.T, strict=True)]
        tags += [(tag, curve) for tag in (b"rTRC", b"gTRC", b"bTRC")]
    table, body, begin = io.BytesIO(), b"", 128 + 4 + 12 * len(tags)
    table.write(struct.pack(">I", len(tags)))
    for tag, value in tags:
        value += bytes(-len(value) % 4)
        table.write(tag + struct.pack(">II", begin + len(body), len(value)))
        body += value
    space = b"GRAY" if name == "gray" else b"RGB "
    head = struct.pack(">I4sI4s4s4s", begin + len(body), b"test", 0x02400000, b"mntr", space, b"XYZ ")
    head += struct.pack(">6H", 2024, 1, 1, 0, 0, 0) + b"acsp" + bytes(28) + b"".join(fixed(v) for v in D50_XYZ)
    return head.ljust(128, b"\0") + table.getvalue() + body
