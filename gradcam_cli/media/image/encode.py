"""Encoding of arrays as the bytes of picture and array files."""

from __future__ import annotations

import io
import struct
import zlib
from typing import TYPE_CHECKING, Any, Literal

import cv2
import numpy as np
from PIL import Image

from gradcam_cli.errors import OutputError
from gradcam_cli.media.colour import icc
from gradcam_cli.records import PICTURE_QUALITY

if TYPE_CHECKING:
    from collections.abc import Mapping

    import numpy.typing as npt

PictureSuffix = Literal["png", "jpg", "webp"]

_LONGEST_SIDE = {"png": 1_000_000, "jpg": 65_500, "webp": 16_383}  # libpng's, libjpeg's and the WebP format's limits

_PNG_KEYWORDS = {"Title": "Title", "Subject": "Description", "Creator": "Software"}
"""PDF's keys of a document's properties, and PNG's."""

_HEADER = 33
"""Length of a PNG's signature and header."""


def encode(
    pixels: npt.NDArray[np.uint8],
    suffix: PictureSuffix,
    palette: npt.NDArray[np.uint8] | None = None,
    quality: int = PICTURE_QUALITY,
) -> bytes:
    """Encode a picture, tagged as sRGB, fast rather than small; the interpreter lock is released meanwhile.

    Args:
        pixels: uint8, gray (H, W) or RGB (H, W, 3).
        suffix: the file format.
        palette: uint8 RGB (256, 3), the colours of a gray array's values. A PNG stores values and palette, which is
            exact and one byte per pixel; the other formats store the colours.
        quality: 1 to 100, for JPEG (without chroma subsampling, which smears saturated colours) and WebP (lossy
            at every quality).

    Raises:
        OutputError: the picture is too long or too wide for the format.
    """
    side, limit = max(pixels.shape[:2]), _LONGEST_SIDE[suffix]
    if side > limit:
        hint = "make the picture smaller" if suffix == "png" else "use {format} png"
        raise OutputError(f"a picture of {side} pixels is too long for {suffix.upper()} (at most {limit})", hint)
    if palette is not None:
        if suffix == "png":
            return with_palette(encode(pixels, suffix, quality=quality), palette)
        pixels = _coloured(pixels, palette)
    data = _encode(pixels, suffix, quality)
    return data if suffix == "jpg" and pixels.ndim == 2 else _tagged(data, suffix)  # the profile is one of colours


def encode_figure(pixels: npt.NDArray[np.uint8], dpi: float, about: Mapping[str, str]) -> bytes:
    """Encode a picture as PNG together with its printed size and its origin; equal ones give equal bytes.

    Args:
        pixels: uint8 RGB (H, W, 3).
        dpi: pixels per inch.
        about: texts by their keys, which are those of PDF: ``Title``, ``Subject``, ``Creator``.

    Raises:
        OutputError: the picture is too long or too wide for the format.
    """
    data, per_metre = encode(pixels, "png"), round(dpi / 0.0254)
    head = _chunk(b"pHYs", struct.pack(">IIB", per_metre, per_metre, 1))  # 1: the unit is the metre
    for key, text in about.items():
        keyword = _PNG_KEYWORDS[key].encode()
        head += _chunk(b"iTXt", keyword + b"\0\0\0\0\0" + text.encode())  # uncompressed, of no stated language
    return data[:_HEADER] + head + data[_HEADER:]


def encode_array(array: npt.NDArray[Any]) -> bytes:
    """Encode an array as the content of a float32 ``.npy`` file that ``numpy.load`` reads without pickle."""
    buffer = io.BytesIO()
    np.save(buffer, np.asarray(array, np.float32), allow_pickle=False)
    return buffer.getvalue()


def _tagged(data: bytes, suffix: PictureSuffix) -> bytes:
    """Add to a picture that its colours are sRGB: a PNG's own chunk, or a profile; WebP has it already."""
    if suffix == "png":
        return data[:_HEADER] + _chunk(b"sRGB", b"\0") + data[_HEADER:]  # 0: perceptual, for photographs
    if suffix == "jpg":
        profile = b"ICC_PROFILE\0\1\1" + icc.srgb()  # the first of one part
        begin = 4 + int.from_bytes(data[4:6], "big")  # behind the JFIF header
        return data[:begin] + b"\xff\xe2" + struct.pack(">H", 2 + len(profile)) + profile + data[begin:]
    return data


def _coloured(values: npt.NDArray[np.uint8], palette: npt.NDArray[np.uint8]) -> npt.NDArray[np.uint8]:
    """(H, W) values → RGB (H, W, 3)."""
    return np.asarray(cv2.applyColorMap(values, palette.reshape(256, 1, 3)), np.uint8)


def _encode(pixels: npt.NDArray[np.uint8], suffix: PictureSuffix, quality: int) -> bytes:
    """Encode gray or RGB pixels."""
    if suffix == "webp":
        return _webp(pixels, quality)
    settings: list[int] = []
    if suffix == "jpg":
        sampling = (cv2.IMWRITE_JPEG_SAMPLING_FACTOR, cv2.IMWRITE_JPEG_SAMPLING_FACTOR_444)
        settings = [cv2.IMWRITE_JPEG_QUALITY, quality, *sampling]
    elif pixels.ndim == 2:  # a smooth map: half the bytes of OpenCV's default (run lengths), which is for photographs
        settings = [cv2.IMWRITE_PNG_STRATEGY, cv2.IMWRITE_PNG_STRATEGY_FILTERED]
    # No level for PNG: any level makes libpng try every filter on every row, for twice the time and hardly fewer bytes.
    bgr = cv2.cvtColor(pixels, cv2.COLOR_RGB2BGR) if pixels.ndim == 3 else pixels
    try:
        done, data = cv2.imencode(f".{suffix}", bgr, settings)
    except cv2.error:  # older ones raise, newer ones return False
        done = False
    if not done:
        raise OutputError(f"the picture cannot be encoded as {suffix.upper()}", "choose another format")
    return bytes(data)


def _webp(pixels: npt.NDArray[np.uint8], quality: int) -> bytes:
    """Encode with Pillow, which can use the fastest method: a third of OpenCV's time, a tenth more bytes."""
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, "WEBP", quality=quality, method=0, icc_profile=icc.srgb())
    return buffer.getvalue()


def with_palette(gray_png: bytes, palette: npt.NDArray[np.uint8]) -> bytes:
    """Turn a gray PNG into a palette PNG, which OpenCV cannot write: only two chunks differ.

    Args:
        gray_png: output of ``encode`` for a gray array.
        palette: uint8 RGB (256, 3), the colours of the gray values.
    """
    header = bytearray(gray_png[16:29])  # after the signature, and the chunk's length and type
    header[9] = 3  # the colour type
    pixels = gray_png.index(b"IDAT") - 4  # the palette comes before them, but behind the tag
    head = gray_png[:8] + _chunk(b"IHDR", bytes(header)) + gray_png[_HEADER:pixels]
    return head + _chunk(b"PLTE", palette.tobytes()) + gray_png[pixels:]


def _chunk(kind: bytes, content: bytes) -> bytes:
    """Return a chunk of a PNG file: length, type, content, checksum."""
    return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))
