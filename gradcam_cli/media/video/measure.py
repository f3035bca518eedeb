"""A video's length by its packets, without decoding: what a file's header states may be missing or untrue."""

from __future__ import annotations

from contextlib import closing, suppress
from dataclasses import dataclass
from fractions import Fraction
from typing import TYPE_CHECKING

import av

from gradcam_cli.media.video.open import opened, video_stream

if TYPE_CHECKING:
    from collections.abc import Generator
    from pathlib import Path

    from av.container import InputContainer
    from av.packet import Packet
    from av.stream import Stream

_STATING = ("mov", "matroska", "flv", "asf")
"""Containers whose header has the length that was written; of others FFmpeg estimates it."""
_SLACK = Fraction(1, 2)
"""Seconds that a file may lack without counting as cut off: lengths are rounded, and sound ends a little earlier."""
_BEYOND = Fraction(2)
"""Seconds behind ``end`` after which nothing more is read: packets are not in the order of their times."""
_FAILURES = 300


@dataclass(frozen=True, slots=True)
class Measured:
    """What the packets of a file tell.

    Attributes:
        packets: number of the video's packets.
        end: end of the last frame in the video stream's own seconds; None where there are no times.
        lacks: (seconds that can be read, seconds that the header states) of a file that is cut off, or None.
    """

    packets: int
    end: Fraction | None
    lacks: tuple[Fraction, Fraction] | None


def measure(path: Path, name: str, max_pixels: int, start: Fraction | None, end: Fraction | None) -> Measured:
    """Read a file's packets, to the end or a little behind ``end``.

    Args:
        path: the file.
        name: its name in error messages.
        max_pixels: most pixels of a frame.
        start: seconds from the video's beginning; earlier packets are left out where the file has an index.
        end: seconds from the video's beginning, or None.

    Raises:
        InputError: it is no video.
    """
    with opened(path, name) as container:
        stream = video_stream(container, name, max_pixels)
        base = _seconds(stream, stream.start_time) or Fraction(0)
        if start:
            with suppress(av.error.FFmpegError, OverflowError):  # no index: all is read
                container.seek(int((base + start) * av.time_base), backward=True)
        stop = None if end is None else base + end + _BEYOND
        packets, last, latest = 0, None, None
        with closing(_packets(container)) as found:
            for packet in found:
                time = _end(packet)
                is_video = packet.stream.index == stream.index
                packets += is_video
                if time is None:
                    continue
                latest = time if latest is None else max(latest, time)
                if is_video:
                    last = time if last is None else max(last, time)
                    if stop is not None and time > stop:
                        break
        return Measured(packets, last, _lacking(container, latest, None if end is None else base + end))


def _packets(container: InputContainer) -> Generator[Packet[Stream], None, None]:
    """Yield the packets of all streams; continue after damage, up to `_FAILURES` times."""
    for _ in range(_FAILURES):
        with suppress(av.error.FFmpegError):
            yield from (packet for packet in container.demux() if packet.size)
            return


def _seconds(stream: Stream, stamp: int | None) -> Fraction | None:
    return None if stamp is None or not stream.time_base else stamp * Fraction(stream.time_base)


def _end(packet: Packet[Stream]) -> Fraction | None:
    stamp = packet.dts if packet.pts is None else packet.pts
    return _seconds(packet.stream, None if stamp is None else stamp + (packet.duration or 0))


def _lacking(
    container: InputContainer, latest: Fraction | None, end: Fraction | None
) -> tuple[Fraction, Fraction] | None:
    """Return the readable and the stated seconds of a file that ends before what its header states, or None."""
    if latest is None or not container.duration or not container.format.name.startswith(_STATING):
        return None
    begin = Fraction(container.start_time or 0, av.time_base)
    stated = Fraction(container.duration, av.time_base)
    wanted = begin + stated if end is None else min(begin + stated, end)
    return (max(Fraction(0), latest - begin), stated) if wanted - latest > _SLACK else None
