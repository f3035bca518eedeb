"""Files that Pillow refuses or reads wrongly although their pixels are whole: a way round for each kind."""

from __future__ import annotations

import io
import struct
from typing import TYPE_CHECKING, BinaryIO

import cv2
import numpy as np

if TYPE_CHECKING:
    from collections.abc import Iterator

    import numpy.typing as npt
    from PIL import Image

_PNG = b"\x89PNG\r\n\x1a\n"
_TEXTS = frozenset({b"tEXt", b"zTXt", b"iTXt"})
"""PNG chunks of texts, which may be large."""
_PROFILE = b"iCCP"
_AVIF = frozenset({b"avif", b"avis"})
_HEIC = frozenset({b"heic", b"heix", b"heim", b"heis"})
_OPENED = _AVIF | {b"mif1", b"msf1"}
"""Brands of AVIF files that Pillow opens when they come first."""

_CFA, _LINEAR_RAW = 32803, 34892
_SUBFILE, _PHOTOMETRIC, _SUB_IFDS, _DNG_VERSION = 254, 262, 330, 50706
"""Tags of TIFF."""


def brands(head: bytes) -> list[bytes]:
    """Return the brands of a file in boxes (AVIF, HEIC, MP4), the major one first; nothing for other files."""
    if head[4:8] != b"ftyp":
        return []
    end = min(int.from_bytes(head[:4], "big"), len(head))
    return [head[8:12], *(head[start : start + 4] for start in range(16, end - 3, 4))]


def is_heic(head: bytes) -> bool:
    """Whether a file is a HEIC picture, and no AVIF."""
    found = brands(head)
    return not _HEIC.isdisjoint(found) and _AVIF.isdisjoint(found)


def with_known_brand(stream: BinaryIO, head: bytes) -> BinaryIO:
    """Return an AVIF file whose major brand Pillow knows, where another one is compatible with AVIF."""
    found = brands(head)
    if not found or found[0] in _OPENED or _AVIF.isdisjoint(found):
        return stream
    data = bytearray(stream.read())
    data[8:12] = b"avis" if b"avis" in found else b"avif"
    return io.BytesIO(bytes(data))


def without_words(stream: BinaryIO) -> tuple[io.BytesIO, str] | None:
    """Return a PNG with less in it that may unfold to any size, for which Pillow refuses it, and what that costs.

    Texts are left out; where there are none any more, the colour profile. None: there is nothing to leave out.
    """
    chunks = list(png_chunks(stream))
    names = {name for name, *_ in chunks}
    left_out = _TEXTS if names & _TEXTS else {_PROFILE}
    if names.isdisjoint(left_out):
        return None
    cost = "" if left_out is _TEXTS else "its colour profile is too large to be read: taken for sRGB"
    kept = io.BytesIO(_PNG)
    kept.seek(len(_PNG))
    for name, begin, size in chunks:
        if name not in left_out:
            stream.seek(begin)
            kept.write(stream.read(size))
    kept.seek(0)
    return kept, cost


def png_chunks(stream: BinaryIO) -> Iterator[tuple[bytes, int, int]]:
    """Yield each chunk of a PNG: its name, and where it begins and how many bytes it has; nothing for other files."""
    stream.seek(0)
    if stream.read(len(_PNG)) != _PNG:
        return
    begin = len(_PNG)
    while len(header := stream.read(8)) == 8:
        length, name = struct.unpack(">I4s", header)
        yield name, begin, 12 + length  # the checksum, too
        begin = stream.seek(begin + 12 + length)


def is_raw(image: Image.Image) -> bool:
    """Whether a TIFF is a camera's raw file: what Pillow sees of it is a thumbnail."""
    tags = getattr(image, "tag_v2", {})
    small = bool(tags.get(_SUBFILE, 0) & 1) and _SUB_IFDS in tags
    return _DNG_VERSION in tags or small or tags.get(_PHOTOMETRIC) in (_CFA, _LINEAR_RAW)


def has_deep_colour(image: Image.Image) -> bool:
    """Whether a picture that is not loaded yet has colours of 16 bits, of which Pillow takes the upper eight."""
    return image.mode in ("RGB", "RGBA") and any(";16" in str(tile[3]) for tile in getattr(image, "tile", ()))


def deep_colour(stream: BinaryIO) -> npt.NDArray[np.uint16] | None:
    """Return the colours of a picture, uint16 RGB or RGBA (H, W, C), or None where they cannot be read."""
    stream.seek(0)
    data = np.frombuffer(stream.read(), np.uint8)
    flags = cv2.IMREAD_UNCHANGED | cv2.IMREAD_IGNORE_ORIENTATION
    try:
        found = cv2.imdecode(data, flags)
    except cv2.error:
        return None
    if found is None or found.dtype != np.uint16 or found.ndim != 3:
        return None
    order = cv2.COLOR_BGR2RGB if found.shape[2] == 3 else cv2.COLOR_BGRA2RGBA
    return np.asarray(cv2.cvtColor(found, order), np.uint16)
