"""The part of its frames that a file wants shown: Matroska's crop and the clean aperture of MP4 and MOV."""

from __future__ import annotations

import io
import struct
from dataclasses import dataclass
from fractions import Fraction
from typing import TYPE_CHECKING, BinaryIO

from gradcam_cli.media import boxes

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from av.container import InputContainer
    from av.video.stream import VideoStream

# Matroska's element IDs, RFC 9559.
_SEGMENT, _TRACKS, _TRACK, _TYPE, _VIDEO = 0x18538067, 0x1654AE6B, 0xAE, 0x83, 0xE0
_CROPS = {0x54BB: "top", 0x54AA: "bottom", 0x54CC: "left", 0x54DD: "right"}
_IS_VIDEO = 1
_LARGEST = 1 << 20
_MOST = 100_000
"""Most elements of a segment: a film of a day has some ten thousand."""


@dataclass(frozen=True, slots=True)
class Crop:
    """Pixels to leave out at each side of a frame, as it is coded."""

    top: int = 0
    bottom: int = 0
    left: int = 0
    right: int = 0


def crop_of(path: Path, container: InputContainer, stream: VideoStream) -> Crop | None:
    """Return the crop that a file states for a video in it; None where it states none, or one that leaves nothing."""
    number = [each.index for each in container.streams.video].index(stream.index)
    width, height = stream.codec_context.width, stream.codec_context.height
    names = container.format.name
    try:
        with path.open("rb") as file:
            if "matroska" in names:
                found = _matroska(file, number)
            else:
                found = _clean_aperture(file, number, width, height) if "mov" in names else None
    except (OSError, ValueError, struct.error, ZeroDivisionError):  # what is wrong with the file is told elsewhere
        return None
    if not found or found == Crop():
        return None
    left_over = width - found.left - found.right, height - found.top - found.bottom
    return found if min(left_over) > 0 and min(found.top, found.bottom, found.left, found.right) >= 0 else None


def _matroska(file: BinaryIO, number: int) -> Crop | None:
    tracks = _children(_list_of_tracks(file), _TRACK)
    videos = [track for track in tracks if _IS_VIDEO in map(boxes.number, _children(track, _TYPE))]
    video = next(_children(videos[number], _VIDEO), b"") if number < len(videos) else b""
    return Crop(**{side: boxes.number(value) for id_, side in _CROPS.items() for value in _children(video, id_)})


def _list_of_tracks(file: BinaryIO) -> bytes:
    """Return the content of a file's list of tracks: before its frames, or behind them where tools have edited it."""
    for _ in range(_MOST):
        id_, size = _head(file)
        if id_ == _SEGMENT:
            continue
        if id_ is None or size is None or (id_ == _TRACKS and size > _LARGEST):
            return b""
        if id_ == _TRACKS:
            return file.read(size)
        file.seek(size, 1)
    return b""


def _children(body: bytes, wanted: int) -> Iterator[bytes]:
    """Yield the content of an element's children of one kind."""
    file = io.BytesIO(body)
    while True:
        id_, size = _head(file)
        if id_ is None or size is None:
            return
        value = file.read(size)
        if id_ == wanted:
            yield value


def _head(file: BinaryIO) -> tuple[int | None, int | None]:
    """Read an element's ID, None at the end, and its size, None where unknown."""
    first = file.read(1)
    if not first or not first[0]:
        return None, None
    id_ = int.from_bytes(first + file.read(_length(first[0]) - 1), "big")
    first = file.read(1)
    if not first or not first[0]:
        return None, None
    length = _length(first[0])
    size = int.from_bytes(first + file.read(length - 1), "big") & ((1 << 7 * length) - 1)
    return id_, None if size == (1 << 7 * length) - 1 else size


def _length(first: int) -> int:
    """Return the number of bytes of a variable-length integer by its first one, which is not 0."""
    return 9 - first.bit_length()


def _clean_aperture(file: BinaryIO, number: int, width: int, height: int) -> Crop | None:
    tracks = [track for track in boxes.spans(file, boxes.whole(file), b"moov", b"trak") if _shows(file, track)]
    if number >= len(tracks):
        return None
    for box in boxes.content(file, tracks[number], b"mdia", b"minf", b"stbl", b"stsd", b"*", b"clap"):
        across, across_of, down, down_of = struct.unpack_from(">4I", box)
        right, right_of, low, low_of = struct.unpack_from(">iIiI", box, 16)
        shown = Fraction(across, across_of), Fraction(down, down_of)
        left = _before(width, shown[0], Fraction(right, right_of))
        top = _before(height, shown[1], Fraction(low, low_of))
        return Crop(top, height - top - round(shown[1]), left, width - left - round(shown[0]))
    return None


def _shows(file: BinaryIO, track: boxes.Span) -> bool:
    """Whether a track is a video."""
    return any(handler[8:12] == b"vide" for handler in boxes.content(file, track, b"mdia", b"hdlr"))


def _before(side: int, shown: Fraction, offset: Fraction) -> int:
    """Return the pixels in front of an aperture whose middle is ``offset`` away from that of the side."""
    return round((side - shown) / 2 + offset)
