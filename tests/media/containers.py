"""Changes to the headers of finished files, that no writer at hand makes: display matrix, clean aperture, crop."""

from __future__ import annotations

import struct
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path

_ENTRY = 78  # bytes of a video's entry in stsd before its boxes


def _box(data: bytes, begin: int, end: int, name: bytes) -> tuple[int, int]:
    """Return where a box begins and ends."""
    while begin < end:
        size = int.from_bytes(data[begin : begin + 4], "big")
        if data[begin + 4 : begin + 8] == name:
            return begin, begin + size
        begin += size
    raise KeyError(name)


def _chain(data: bytes, *names: bytes) -> list[tuple[int, int]]:
    """Return begin and end of each of some boxes, of which each lies in the one before."""
    found, begin, end = [], 0, len(data)
    for name in names:
        begin, end = _box(data, begin, end, name)
        found.append((begin, end))
        begin += 8 + {b"stsd": 8}.get(name, 0)
    return found


def set_matrix(path: Path, matrix: tuple[float, ...]) -> Path:
    """Write a display matrix, a b u c d v x y w, into the first track of an MP4 file."""
    data = bytearray(path.read_bytes())
    begin, _ = _chain(bytes(data), b"moov", b"trak", b"tkhd")[-1]
    at = begin + 12 + (32 if data[begin + 8] == 1 else 20) + 16
    fixed = [round(value * (1 << (30 if index % 3 == 2 else 16))) for index, value in enumerate(matrix)]
    data[at : at + 36] = struct.pack(">9i", *fixed)
    path.write_bytes(data)
    return path


def set_aperture(path: Path, width: int, height: int, right: int, down: int) -> Path:
    """Write a clean aperture, its middle moved to the right and down, into an MP4 without faststart."""
    data = bytearray(path.read_bytes())
    found = _chain(bytes(data), b"moov", b"trak", b"mdia", b"minf", b"stbl", b"stsd", b"avc1")
    clap = struct.pack(">I4s4I", 40, b"clap", width, 1, height, 1) + struct.pack(">iIiI", right, 1, down, 1)
    for begin, end in found:
        data[begin : begin + 4] = (end - begin + len(clap)).to_bytes(4, "big")
    end = found[-1][1]
    data[end:end] = clap
    path.write_bytes(data)
    return path


def _element(data: bytes, at: int) -> tuple[int, int, int]:
    """Return an EBML element's ID, and where its size and its content begin."""
    length = 9 - data[at].bit_length()
    size_at = at + length
    return int.from_bytes(data[at:size_at], "big"), size_at, size_at + 9 - data[size_at].bit_length()


def _size(data: bytes, size_at: int, content: int) -> int:
    return int.from_bytes(data[size_at:content], "big") & ((1 << 7 * (content - size_at)) - 1)


def set_crop(data: bytes, top: int, bottom: int, left: int, right: int) -> bytes:
    """Return a Matroska file, written to a pipe, with a crop in its first track, which must be the video."""
    crops = b"".join(
        struct.pack(">HBB", id_, 0x81, value)
        for id_, value in ((0x54BB, top), (0x54AA, bottom), (0x54CC, left), (0x54DD, right))
    )
    inner = [0x18538067, 0x1654AE6B, 0xAE, 0xE0]
    found: list[tuple[int, int, int]] = []
    at = 0
    while len(found) < len(inner):
        id_, size_at, content = _element(data, at)
        if id_ == inner[len(found)]:
            found.append((size_at, content, _size(data, size_at, content)))
            at = content
        else:
            at = content + _size(data, size_at, content)
    changed = bytearray(data)
    end = found[-1][1] + found[-1][2]
    changed[end:end] = crops
    grown = len(crops)
    for size_at, content, size in reversed(found[1:]):  # the segment's size is unknown in a pipe
        width = 8 if size + grown >= (1 << 7 * (content - size_at)) - 1 else content - size_at
        head = ((1 << 7 * width) | (size + grown)).to_bytes(width, "big")
        changed[size_at:content] = head
        grown += width - (content - size_at)
    return bytes(changed)
