"""A corpus in small, made on the spot: one file or two of each category of the shared one, which is not everywhere."""

from __future__ import annotations

import io
import json
import os
import pickle
import struct
import zlib
from collections.abc import Callable
from fractions import Fraction
from pathlib import Path

import numpy as np
from PIL import Image, ImageCms

from tests.fuzz import samples
from tests.media.clips import UNSTEADY, Clip, Sound, make
from tests.media.pictures import png_chunk, png_header, saved, scene

Row = dict[str, str]
Content = bytes | Callable[[Path], object]
"""Of a file, or what makes it."""

CLASSES = 3
LABELS = ("cat", "dog", "чайник")


def build(folder: Path) -> list[Row]:
    """Make the files in an empty folder and return their table, with the columns of the shared one that are read."""
    rows = []
    for kind, makers in KINDS.items():
        for validity, categories in makers(folder).items():
            for category, files in categories.items():
                for name, content in files.items():
                    path = folder / kind / category / name
                    path.parent.mkdir(parents=True, exist_ok=True)
                    if isinstance(content, bytes):
                        path.write_bytes(content)
                    else:
                        content(path)
                    rows.append(
                        {
                            "path": str(path.relative_to(folder)), "kind": kind, "validity": validity,
                            "category": category, "expected": OPEN.get((kind, category), ""), "probe": "",
                        }
                    )  # fmt: skip
    return rows


OPEN = {
    ("image", "corrupt_decodable"): "processed (garbled)",
    ("gif", "wrong_suffix"): "one-frame result",
    ("gif", "truncated"): "or the complete frames",
    ("video", "truncated"): "decodable frames",
    ("video", "corrupt"): "decodable frames",
}
"""Where the outcome is left open, in words of the shared table."""


def _image(mode: str) -> Image.Image:
    return Image.fromarray(scene()).convert(mode)


def _clear(mode: str) -> Image.Image:
    """Return the scene with alpha that goes from clear to opaque."""
    picture = _image(mode)
    picture.putalpha(Image.fromarray(np.linspace(0, 255, 48 * 64).reshape(48, 64).astype(np.uint8)))
    return picture


def _turned(orientation: int) -> bytes:
    exif = Image.Exif()
    exif[0x0112] = orientation
    return saved(scene(), "JPEG", exif=exif, quality=95, subsampling=0)


def _stack(form: str) -> bytes:
    pages = [Image.fromarray(np.roll(scene(), 9 * k, axis=1)) for k in range(3)]
    return saved(pages[0], form, save_all=True, append_images=pages[1:])


def _pictures(folder: Path) -> dict[str, dict[str, dict[str, Content]]]:
    png, jpeg = saved(scene()), saved(scene(), "JPEG")
    gray = np.asarray(_image("L"))
    flat = np.full((16, 16, 3), 7, np.uint8)
    deep = b"".join(b"\0" + (row.astype(">u2") * 257).tobytes() for row in scene())
    profile = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    nan = gray.astype(np.float32) / 255
    nan[3, 3] = np.nan
    header = png_header(30_000, 30_000, 1, 0)
    damaged = bytearray(png)
    damaged[60] ^= 255
    scrambled = bytearray(jpeg)
    scrambled[-200:-150] = bytes(range(50))
    good = {
        "cmyk": {"a.jpg": saved(_image("CMYK"), "JPEG", quality=95)},
        "gray16": {"a.png": saved(gray.astype(np.uint16) * 257), "b.png": saved(gray.astype(np.uint16) * 16)},
        "rgb16": {
            "a.png": png_header(64, 48, 16) + png_chunk(b"IDAT", zlib.compress(deep)) + png_chunk(b"IEND", b""),
        },
        "palette_transparency": {"a.png": saved(_image("P"), transparency=3)},
        "one_bit": {"a.png": saved(_image("1"))},
        "la": {"a.png": saved(_clear("L"))},
        "rgba": {"a.png": saved(_clear("RGB"))},
        "orientation_other": {"a.jpg": _turned(6)},
        "orientation_1_8": {f"{k}.jpg": _turned(k) for k in range(1, 10)},
        "apng": {"a.png": _stack("PNG")},
        "animated_still_formats": {"a.webp": _stack("WEBP")},
        "tiff_multipage": {"a.tif": _stack("TIFF")},
        "float": {"a.tif": saved(gray.astype(np.float32) / 255, "TIFF")},
        "lab": {"a.tif": saved(_image("LAB"), "TIFF")},
        "tiny": {"a.png": saved(scene(1, 1)), "b.jpg": saved(scene(1, 1), "JPEG")},
        "aspect": {"a.png": saved(scene(2, 3000)), "b.png": saved(scene(1, 900)), "c.png": saved(scene(900, 1))},
        "icc": {"a.png": saved(scene(), icc_profile=profile)},
        "avif": {"a.avif": saved(scene(), "AVIF")} if "AVIF" in Image.SAVE else {},
        "webp": {"a.webp": saved(scene(), "WEBP")},
        "jpeg2000": {"a.jp2": saved(scene(), "JPEG2000")},
        "bmp": {"a.bmp": saved(scene(), "BMP")},
        "tga": {"a.tga": saved(scene(), "TGA")},
        "ppm": {"a.ppm": saved(scene(), "PPM")},
        "rare_formats": {"a.qoi": saved(scene(), "QOI"), "a.dds": saved(scene(), "DDS")},
        "broken_metadata_good_pixels": {"a.jpg": saved(scene(), "JPEG", exif=b"Exif\0\0II*\0\xff\xff\xff\x7f")},
        "jpeg_variants": {"a.jpg": saved(scene(), "JPEG", progressive=True), "b.jpg": saved(gray, "JPEG")},
        "flat": {"a.png": saved(flat)},
        "large": {"a.png": saved(Image.new("1", (2000, 2000)))},
        "file_names": dict.fromkeys(("-rf.png", "a\nb.png", "[1]*?.png", "%d{}.png", "\u202egpj.png", "no"), png),
        "same_stem": {"cat.png": png, "cat.jpg": jpeg, "CAT.bmp": saved(scene(), "BMP")},
        "wrong_suffix_valid": {"png.jpg": png, "jpeg.mp4": jpeg},
        "special_files": {"link.png": lambda path: path.symlink_to(folder / "image" / "webp" / "a.webp")},
    }
    bad = {
        "truncated": {"a.png": png[: len(png) // 2], "b.jpg": jpeg[: len(jpeg) // 2]},
        "corrupt": {"a.png": bytes(damaged)},
        "fuzz_crash": {"a.tif": saved(scene(), "TIFF")[:90] + bytes(99)},
        "fuzz_timeout_oom": {"a.pcx": b"\x0a\x05\x01\x08\0\0\0\0\xff\x7f\xff\x7f" + bytes(116)},
        "bomb": {"a.png": header + png_chunk(b"IDAT", zlib.compress(bytes(99))) + png_chunk(b"IEND", b"")},
        "bad_header": {"a.ppm": b"P6 -5 5 255\n", "b.gif": b"GIF89a" + bytes(7) + b";"},
        "corrupt_decodable": {"a.jpg": bytes(scrambled)},
        "non_finite": {"a.tif": saved(nan, "TIFF")},
        "not_an_image": {"a.jpg": b"", "b.png": b"<html>", "c.jpg": b"PK\5\6" + bytes(18), "d.png": b"%!PS-Adobe"},
        "special_files": {
            "pipe.png": os.mkfifo, "folder.png": lambda path: (path / "sub").mkdir(parents=True),
            "gone.png": lambda path: path.symlink_to("nowhere"), "zero.png": lambda path: path.symlink_to("/dev/zero"),
        },
    }  # fmt: skip
    return {"ok": good, "bad": bad}


def _animation(count: int = 3, **options: object) -> bytes:
    frames = [Image.fromarray(np.roll(scene(), 9 * k, axis=1)) for k in range(count)]
    return saved(frames[0], "GIF", save_all=True, append_images=frames[1:], **{"duration": 80, **options})


def _animations(folder: Path) -> dict[str, dict[str, dict[str, Content]]]:
    clear = [_clear("RGB") for _ in range(2)]
    usual = _animation()
    good = {
        "frame_count": {"one.gif": saved(scene(), "GIF"), "some.gif": _animation(7)},
        "delays": {"zero.gif": _animation(duration=0), "all.gif": _animation(duration=[20, 700, 10])},
        "loop_count": {"ever.gif": _animation(loop=0), "twice.gif": _animation(loop=2), "once.gif": usual},
        "palettes": {"gray.gif": saved(_image("L"), "GIF")},
        "transparency": {"a.gif": saved(clear[0], "GIF", save_all=True, append_images=clear[1:], disposal=2)},
        "disposal": {f"{k}.gif": _animation(disposal=k) for k in (1, 2, 3)},
        "interlace": {"a.gif": saved(scene(), "GIF", interlace=True)},
        "sizes": {"odd.gif": saved(scene(37, 41), "GIF"), "one.gif": saved(scene(1, 1), "GIF")},
        "structure": {"a.gif": usual[:-1], "b.gif": saved(scene(), "GIF", comment=b"")},
    }
    bad = {
        "truncated": {"a.gif": usual[: len(usual) // 2], "b.gif": usual[:20]},
        "not_a_gif": {"a.gif": b"", "b.gif": b"text", "c.gif": b"GIF89a" + bytes(range(200, 256)) * 9},
        "corrupt": {"a.gif": b"GIF89a\1\0\1\0\0\0\0;", "b.gif": b"GIF89a" + bytes(7) + b";"},
        "wrong_suffix": {"a.gif": saved(scene())},
        "special_files": {"folder.gif": lambda path: (path / "sub").mkdir(parents=True)},
    }
    return {"ok": good, "bad": bad}


def _clip(**wanted: object) -> Callable[[Path], object]:
    return lambda path: make(path, Clip(**wanted))  # type: ignore[arg-type]


def _videos(folder: Path) -> dict[str, dict[str, dict[str, Content]]]:
    usual = make(folder / "usual.mp4").read_bytes()
    fast = make(folder / "fast.mp4", Clip(options={"g": "1"})).read_bytes()
    (folder / "usual.mp4").unlink()
    (folder / "fast.mp4").unlink()
    damaged = bytearray(fast)
    middle = damaged.index(b"mdat") + 200
    damaged[middle : middle + 60] = bytes(60)
    changing = b"".join(_bytes_of(folder, "x.ts", Clip(size=size)) for size in ((48, 64), (32, 48)))
    good = {
        "containers": {"a.mp4": usual, "a.mkv": _clip(), "a.ts": _clip(), "a.mov": _clip()},
        "codecs": {"a.webm": _clip(codec="libvpx-vp9", options={"cpu-used": "8"}), "b.mkv": _clip(codec="mpeg4")},
        "odd_dimensions": {"a.mkv": _clip(size=(37, 51), codec="ffv1", form="yuv444p")},
        "frame_count": {"one.mp4": _clip(times=[Fraction(0)])},
        "timing": {"a.mp4": _clip(times=UNSTEADY)},
        "rotation": {"a.mp4": _clip(rotation=90), "b.mp4": _clip(aspect=Fraction(2))},
        "audio": {"a.mp4": _clip(sound=Sound())},
        "pixel_formats": {"a.mkv": _clip(form="yuv444p", codec="ffv1"), "b.mkv": _clip(form="gray", codec="ffv1")},
        "resolution_change": {"a.ts": changing},
        "streams": {"a.mp4": _clip(sound=Sound(), size=(32, 48))},
        "wrong_suffix": {"a.avi": usual, "no_suffix": usual},
        "file_names": {"-a 猫.mp4": usual, "%03d.mp4": usual},
    }
    bad = {
        "frame_count": {"none.mp4": usual[: usual.index(b"mdat") - 4]},
        "truncated": {"a.mp4": usual[: len(usual) // 2], "b.ts": changing[: len(changing) // 3]},
        "corrupt": {"a.mp4": bytes(damaged)},
        "no_video": {"a.m4a": _sound},
        "not_a_video": {"a.mp4": b"", "b.mp4": b"text", "c.mp4": bytes(range(256)) * 20},
        "hostile": {
            "a.mp4": b"#EXTM3U\n#EXTINF:1,\nhttp://127.0.0.1:9/a.ts\n", "b.mp4": b"ffconcat version 1.0\nfile a.ts\n",
        },
        "wrong_suffix": {"a.mp4": b"\x89PNG\r\n\x1a\n" + bytes(40)},
        "special_files": {"pipe.mp4": os.mkfifo, "folder.mp4": lambda path: (path / "sub").mkdir(parents=True)},
    }  # fmt: skip
    return {"ok": good, "bad": bad}


def _bytes_of(folder: Path, name: str, clip: Clip) -> bytes:
    path = make(folder / name, clip)
    data = path.read_bytes()
    path.unlink()
    return data


def _sound(path: Path) -> None:
    """Write a tone without a picture."""
    import wave

    with wave.open(str(path), "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(8000)
        file.writeframes(struct.pack("<800h", *(k % 100 * 99 for k in range(800))))


def _weights(folder: Path) -> dict[str, dict[str, dict[str, Content]]]:
    import torch
    from safetensors.torch import save

    space: dict[str, object] = {}
    exec(samples.NETWORK, space)
    state = space["build"](num_classes=CLASSES).state_dict()  # type: ignore[operator]

    def stored(content: object, **options: object) -> bytes:
        buffer = io.BytesIO()
        torch.save(content, buffer, **options)
        return buffer.getvalue()

    plain = stored(state)
    evil = {**state, "evil": samples.Evil()}
    lacking = dict(list(state.items())[1:])
    good = {
        "wrappers": {
            "a.pth": plain,
            "b.pth": stored({"state_dict": {f"module.{k}": v for k, v in state.items()}}),
            "c.pth": stored(state, _use_new_zipfile_serialization=False),
            "d.safetensors": save(state),
        },
        "devices": {"a.pth": _elsewhere(plain)},
        "file_names": {"modèle 猫\n.pth": plain},
    }
    bad = {
        "broken_file": {"a.pth": plain[: len(plain) // 2], "b.pth": b"", "c.pth": b"<html>", "d.safetensors": b"text"},
        "malicious": {"a.pth": stored(evil), "b.pth": pickle.dumps(evil)},
        "wrong_content": {"a.pth": stored({}), "b.pth": stored([1]), "c.pth": stored({"conv.weight": 5})},
        "other_arch": {"a.pth": stored(lacking)},
        "non_finite": {"a.pth": stored({key: value * float("nan") for key, value in state.items()})},
        "special_files": {"folder.pth": lambda path: path.mkdir()},
    }  # fmt: skip
    return {"ok": good, "bad": bad}


def _elsewhere(checkpoint: bytes) -> bytes:
    """Return a checkpoint as a machine with a GPU writes it."""
    content = samples.pickle_of(checkpoint)
    assert content is not None
    assert b"X\3\0\0\0cpu" in content
    return samples.repacked(checkpoint, content.replace(b"X\3\0\0\0cpu", b"X\6\0\0\0cuda:0"))


def _labels(folder: Path) -> dict[str, dict[str, dict[str, Content]]]:
    lines = "\n".join(LABELS).encode()
    good = {
        "formats": {
            "a.txt": lines,
            "b.json": json.dumps(LABELS).encode(),
            "c.txt": str(dict(enumerate(LABELS))).encode(),
        },
        "encodings": {"a.txt": "\ufeff".encode() + lines, "b.txt": lines.replace(b"\n", b"\r\n")},
        "hostile": {"a.txt": b"../../x\n\x1b[31m%s\n" + b"{}" * 2500},
    }
    bad = {
        "wrong_length": {"a.txt": b"a\nb", "b.json": b'{"0": "a", "2": "c"}', "c.txt": b"a\n\nb"},
        "broken_file": {"a.json": b'["a", "b', "b.json": b"[1, 2, 3]", "c.txt": b"", "d.json": b"5"},
        "encodings": {"a.txt": "é\nb\nc".encode("latin-1")},
        "hostile": {"a.json": b"[" * 100_000},
    }
    return {"ok": good, "bad": bad}


KINDS = {"image": _pictures, "gif": _animations, "video": _videos, "weights": _weights, "labels": _labels}
