"""Ways to damage a file: blind ones, and ones that know where lengths, sizes and blocks are."""

from __future__ import annotations

import json
import re
import struct
import zlib
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable
    from random import Random

    Mutation = Callable[[bytearray, Random, bytes], None]
    """Changes data in place; it is also given another file's content."""

PNG = b"\x89PNG\r\n\x1a\n"
EXTREMES = (0, 1, 2, 3, 7, 0x7F, 0x80, 0xFF, 0x7FFF, 0x8000, 0xFFFE, 0xFFFF, 0x7FFFFFFF, 0x80000000, 0xFFFFFFFF)
WHOLE_BOXES = {b"moov", b"trak", b"mdia", b"minf", b"stbl", b"edts", b"dinf", b"udta", b"moof", b"traf", b"mvex"}
_NUMBER = re.compile(rb"-?\d+(?:\.\d+)?")
_ODD_NUMBERS = (b"0", b"-1", b"1e999", b"NaN", b"4294967296", b"9" * 40, b"true", b"null", b'"x"', b"[]", b"{}", b"1.5")


def mutated(data: bytes, rng: Random, other: bytes) -> bytes:
    """Return ``data`` after one to four mutations; now and then as it is."""
    if rng.random() < 0.04:
        return data
    result = bytearray(data)
    for _ in range(rng.choice((1, 1, 1, 2, 2, 4))):
        rng.choice(MUTATIONS)(result, rng, other)
    data = bytes(result)
    return _with_right_sums(data) if data.startswith(PNG) and rng.random() < 0.8 else data


def _place(data: bytearray, rng: Random) -> int:
    """Return a position, as often near the beginning as anywhere."""
    return rng.randrange(max(1, min(len(data), 64 if rng.random() < 0.5 else len(data))))


def _flip_bits(data: bytearray, rng: Random, other: bytes) -> None:
    for _ in range(rng.choice((1, 1, 2, 8, 64)) if data else 0):
        data[_place(data, rng)] ^= 1 << rng.randrange(8)


def _replace_run(data: bytearray, rng: Random, other: bytes) -> None:
    at, length = _place(data, rng), rng.choice((1, 2, 4, 16, 300))
    length = min(length, len(data) - at)
    data[at : at + length] = rng.choice((bytes(length), b"\xff" * length, rng.randbytes(length)))


def _insert_run(data: bytearray, rng: Random, other: bytes) -> None:
    at = _place(data, rng)
    data[at:at] = rng.randbytes(rng.choice((1, 2, 3, 4, 100)))


def _delete_run(data: bytearray, rng: Random, other: bytes) -> None:
    at = _place(data, rng)
    del data[at : at + rng.choice((1, 2, 3, 4, 100, 1000))]


def _truncate(data: bytearray, rng: Random, other: bytes) -> None:
    del data[_place(data, rng) :]


def _repeat_run(data: bytearray, rng: Random, other: bytes) -> None:
    at = _place(data, rng)
    data[at:at] = data[at : at + rng.choice((4, 64, 1000))] * rng.choice((1, 3, 20))


def _extreme_field(data: bytearray, rng: Random, other: bytes) -> None:
    """Write an extreme number of one to eight bytes, of either byte order."""
    width = rng.choice((1, 2, 2, 4, 4, 8))
    at = _place(data, rng)
    if at + width <= len(data):
        value = rng.choice(EXTREMES) & (1 << 8 * width) - 1
        data[at : at + width] = value.to_bytes(width, rng.choice(("little", "big")))


def _concatenate(data: bytearray, rng: Random, other: bytes) -> None:
    data[:] = data + other if rng.random() < 0.5 else other + data


def _splice(data: bytearray, rng: Random, other: bytes) -> None:
    if other:
        data[_place(data, rng) :] = other[rng.randrange(len(other)) :]


def _odd_number(data: bytearray, rng: Random, other: bytes) -> None:
    """Put an odd value in the place of a number that is written in digits (labels, headers of safetensors)."""
    found = list(_NUMBER.finditer(data[:20_000]))
    if found:
        number = rng.choice(found)
        data[number.start() : number.end()] = rng.choice(_ODD_NUMBERS)


def _safetensors_header(data: bytearray, rng: Random, other: bytes) -> None:
    """Change the table of tensors, and the length in front of it so that it is still found."""
    length = int.from_bytes(data[:8], "little")
    if data[8:9] != b"{" or length > len(data):
        return
    try:
        table = json.loads(data[8 : 8 + length])
        entry = table[rng.choice(sorted(table))]
    except (ValueError, LookupError, TypeError):
        return
    if isinstance(entry, dict):
        key = rng.choice(("dtype", "shape", "data_offsets", "extra"))
        entry[key] = rng.choice(("F64", "F16", "BOOL", "X9", [], [-1], [2**62, 2**62], [0, 0], [4, 0], None, 1e300))
    text = json.dumps(table).encode()
    data[: 8 + length] = len(text).to_bytes(8, "little") + text


def _change_blocks(data: bytearray, rng: Random, other: bytes) -> None:
    """Drop, double, exchange, relabel or damage blocks of the format."""
    found = blocks(bytes(data))
    if not found:
        return
    start, body, end = rng.choice(found)
    action = rng.randrange(6)
    if action == 0:
        del data[start:end]
    elif action == 1:
        data[start:start] = data[start:end]
    elif action == 2:
        first, _, last = rng.choice(found)
        moved = data[start:end]
        data[end:end] = data[first:last]
        data[first:last] = moved
    elif action == 3 and body > start:
        data[start:body] = rng.randbytes(body - start)
    else:  # an extreme number at one of the first places of the body, or in the head
        at = rng.randrange(start, max(start + 1, min(end, body + 24)))
        part = data[at : at + 8]
        _extreme_field(part, rng, other)
        data[at : at + 8] = part


def blocks(data: bytes) -> list[tuple[int, int, int]]:
    """Return (start, start of the content, end) of the blocks of PNG, JPEG, RIFF and MP4 files, nested ones too."""
    if data.startswith(PNG):
        return _walk(data, 8, len(data), ">I4s", lambda size, kind: size + 12)
    if data.startswith(b"RIFF"):
        return _walk(data, 12, len(data), "<4sI", lambda kind, size: 8 + size + size % 2)
    if data.startswith(b"\xff\xd8"):
        return _walk(data, 2, len(data), ">HH", lambda mark, size: size + 2)
    if data[4:8] in {b"ftyp", b"moov", b"mdat", b"free"}:
        return _boxes(data, 0, len(data))
    return []


def _walk(data: bytes, at: int, end: int, head: str, length: Callable[..., int]) -> list[tuple[int, int, int]]:
    found = []
    width = struct.calcsize(head)
    while at + width <= end and len(found) < 500:
        size = max(width, length(*struct.unpack_from(head, data, at)))
        found.append((at, at + width, min(end, at + size)))
        at += size
    return found


def _boxes(data: bytes, at: int, end: int) -> list[tuple[int, int, int]]:
    found = _walk(data, at, end, ">I4s", lambda size, kind: size)
    inner = [each for each in found if data[each[0] + 4 : each[0] + 8] in WHOLE_BOXES]
    return found + [box for _, body, last in inner for box in _boxes(data, body, last)]


def _with_right_sums(data: bytes) -> bytes:
    """Set the checksums of a PNG's chunks, so that decoders go on to what is in them."""
    result = bytearray(data)
    for start, _, end in blocks(data):
        if end - start >= 12:
            result[end - 4 : end] = struct.pack(">I", zlib.crc32(data[start + 4 : end - 4]))
    return bytes(result)


MUTATIONS: tuple[Mutation, ...] = (
    _flip_bits, _replace_run, _insert_run, _delete_run, _truncate, _repeat_run, _extreme_field, _extreme_field,
    _concatenate, _splice, _odd_number, _safetensors_header, _change_blocks, _change_blocks, _change_blocks,
)  # fmt: skip
