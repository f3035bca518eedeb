"""Boxes of ISO files (MP4, MOV, AVIF, HEIF), of which no library here tells all: their place and content."""

from __future__ import annotations

from typing import TYPE_CHECKING, BinaryIO

if TYPE_CHECKING:
    from collections.abc import Iterator

Span = tuple[int, int]
"""Where a part of a file begins and ends."""

_OWN = {b"meta": 4, b"stsd": 8}
"""Bytes of a box's own in front of the boxes in it."""
_PICTURE_ENTRY = 78
"""Bytes of a picture's entry in ``stsd`` in front of the boxes in it."""
_LARGEST = 1 << 20
_MOST = 10_000
"""Most boxes side by side; files of pictures and videos have some dozens."""


def content(stream: BinaryIO, span: Span, *path: bytes) -> Iterator[bytes]:
    """Yield the content of every box at a path of names, see `spans`; boxes of more than a megabyte are left out.

    Raises:
        OSError: the file cannot be read.
    """
    for begin, end in spans(stream, span, *path):
        if end - begin <= _LARGEST:
            stream.seek(begin)
            yield stream.read(end - begin)


def whole(stream: BinaryIO) -> Span:
    """Return where a file begins and ends."""
    return 0, stream.seek(0, 2)


def spans(stream: BinaryIO, span: Span, *path: bytes) -> Iterator[Span]:
    """Yield where the content of the boxes at a path of names (``b"moov", b"trak"``) begins and ends.

    Broken files end early.

    Args:
        stream: the file.
        span: the part of it that is searched.
        path: names; ``b"*"`` stands for any picture's entry in ``stsd``.

    Raises:
        OSError: the file cannot be read.
    """
    if not path:
        yield span
        return
    for name, begin, end in _listed(stream, *span):
        if path[0] in (name, b"*"):
            before = _PICTURE_ENTRY if path[0] == b"*" else _OWN.get(name, 0)
            yield from spans(stream, (begin + (before if len(path) > 1 else 0), end), *path[1:])


def primary_properties(stream: BinaryIO, name: bytes) -> Iterator[bytes]:
    """Yield the content of the properties of that name of a picture's primary item (AVIF, HEIF: ISO 23008-12).

    Raises:
        OSError: the file cannot be read.
    """
    everything = whole(stream)
    item = next((number(box[4:]) for box in content(stream, everything, b"meta", b"pitm")), None)
    boxes = [box for span in spans(stream, everything, b"meta", b"iprp", b"ipco") for box in _listed(stream, *span)]
    for table in content(stream, everything, b"meta", b"iprp", b"ipma"):
        for place in _associated(table, item):
            if 0 < place <= len(boxes) and boxes[place - 1][0] == name:
                _, begin, end = boxes[place - 1]
                stream.seek(begin)
                yield stream.read(min(end - begin, _LARGEST))


def _associated(table: bytes, item: int | None) -> Iterator[int]:
    """Yield the places of an item's properties, from 1, by the content of ``ipma``."""
    wide_item, wide_place = table[:1] > b"\0", bool(table[3:4] and table[3] & 1)
    at, id_size, place_size = 8, 4 if wide_item else 2, 2 if wide_place else 1
    for _ in range(min(number(table[4:8]), _MOST)):
        found, at = number(table[at : at + id_size]), at + id_size
        count, at = number(table[at : at + 1]), at + 1
        if found == item:
            for k in range(count):
                value = number(table[at + k * place_size : at + (k + 1) * place_size])
                yield value & ((1 << 8 * place_size - 1) - 1)  # the first bit says how much it matters
        at += count * place_size


def number(value: bytes) -> int:
    """Return the number that bytes stand for, the largest first, as boxes and Matroska's elements have them."""
    return int.from_bytes(value, "big")


def _listed(stream: BinaryIO, begin: int, end: int) -> Iterator[tuple[bytes, int, int]]:
    """Yield name, and begin and end of the content, of the boxes that lie side by side in a part of the file."""
    for _ in range(_MOST):
        if begin + 8 > end:
            return
        stream.seek(begin)
        head = stream.read(16)
        if len(head) < 8:
            return
        size, inner = int.from_bytes(head[:4], "big"), begin + 8
        if size == 1:
            size, inner = int.from_bytes(head[8:], "big"), begin + 16
        elif size == 0:  # to the end
            size = end - begin
        if size < inner - begin or begin + size > end:
            return
        yield head[4:8], inner, begin + size
        begin += size
