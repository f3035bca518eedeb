"""Pictures that the tests of this folder share, made on the spot."""

from __future__ import annotations

import io
import struct
import zlib

import numpy as np
from PIL import Image

from gradcam_cli.media.image.read import read_picture


def scene(height: int = 48, width: int = 64) -> np.ndarray:
    """Return a smooth scene, different in each corner: uint8 RGB (H, W, 3)."""
    y, x = np.mgrid[0:height, 0:width]
    return np.stack([x * 255 // width, y * 255 // height, 255 - (x + y) * 255 // (width + height)], -1).astype(np.uint8)


def saved(image: Image.Image | np.ndarray, form: str = "PNG", **options: object) -> bytes:
    if isinstance(image, np.ndarray):
        image = Image.fromarray(image)
    buffer = io.BytesIO()
    image.save(buffer, form, **options)
    return buffer.getvalue()


def png_chunk(kind: bytes, content: bytes) -> bytes:
    return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))


def png_header(width: int, height: int, bits: int = 8, colour: int = 2) -> bytes:
    header = struct.pack(">IIBBBBB", width, height, bits, colour, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + png_chunk(b"IHDR", header)


def pixels(data: bytes) -> np.ndarray:
    return read_picture(data, "x").pixels


def off(a: np.ndarray, b: np.ndarray) -> float:
    """Return the largest mean difference of a channel, in levels."""
    return float(np.abs(a.astype(float) - b).mean((0, 1)).max())
