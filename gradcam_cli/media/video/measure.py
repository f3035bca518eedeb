"""Properties of a whole video before it is read: its length by its packets, and the brightness of HDR."""

from __future__ import annotations

from contextlib import closing, suppress
from dataclasses import dataclass, replace
from fractions import Fraction
from typing import TYPE_CHECKING, cast

import av
from av.video.reformatter import VideoReformatter

from gradcam_cli.media.colour.pixels import peak_of
from gradcam_cli.media.video.frames.colours import space_of
from gradcam_cli.media.video.frames.scale import to_deep_rgb
from gradcam_cli.media.video.open import opened, video_stream
from gradcam_cli.media.video.stamps import of_packet
from gradcam_cli.records import fitted

if TYPE_CHECKING:
    from collections.abc import Callable, Generator, Iterator
    from pathlib import Path

    from av.container import InputContainer
    from av.packet import Packet
    from av.stream import Stream
    from av.video.stream import VideoStream

    from gradcam_cli.media.colour.spaces import Space

_STATING = ("mov", "matroska", "flv", "asf")
"""Containers whose header has the length that was written; of others FFmpeg estimates it."""
_SLACK = Fraction(1, 2)
"""Seconds that a file may lack without counting as cut off: lengths are rounded, and sound ends a little earlier."""
_BEYOND = Fraction(2)
"""Seconds behind ``end`` after which nothing more is read: packets are not in the order of their times."""
_REORDERED = 16
"""Most frames that can come before a packet's own: H.264 and HEVC allow no more."""
_FAILURES = 300
_LOOKS = 8
"""Key frames of which the brightness of HDR is measured."""
_LOOK_SIZE = 512


@dataclass(frozen=True, slots=True)
class Measured:
    """What the packets of a file show.

    Attributes:
        packets: number of the video's packets.
        begin: start of the video in its stream's own seconds, as the file states it; counted back from the first time
            that is known where frames before it have none.
        end: end of the last frame in the same seconds; None where there are no times.
        length: seconds that the packets last together by their own statement; 0 where they have none.
        lacks: (seconds that can be read, seconds that the header states) of a file that is cut off, or None.
        peak: nits of HDR's brightest part, which becomes white; None for other videos.
    """

    packets: int
    begin: Fraction
    end: Fraction | None
    length: Fraction
    lacks: tuple[Fraction, Fraction] | None
    peak: float | None = None


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
        tally = _Tally(container, video_stream(container, name, max_pixels))
        if start:
            tally.read(lambda: tally.has_begun)
            with suppress(av.error.FFmpegError, OverflowError):  # no index: all is read
                container.seek(int((tally.begin + start) * av.time_base), backward=True)
        tally.read(lambda: end is not None and tally.end is not None and tally.end > tally.begin + end + _BEYOND)
        lacks = _lacking(container, tally.latest, None if end is None else tally.begin + end)
        stated = space_of(tally.stream)
        found = Measured(tally.packets, tally.begin, tally.end, tally.length, lacks)  # no stream outlives its container
    return (
        replace(found, peak=_brightest(path, name, max_pixels, stated, found, start, end))
        if stated and stated.is_hdr
        else found
    )


def _brightest(
    path: Path, name: str, max_pixels: int, stated: Space, clip: Measured, start: Fraction | None, end: Fraction | None
) -> float | None:
    """Return the nits of the brightest part of some key frames, spread over the part from ``start`` to ``end``.

    None where no key frame can be decoded.
    """
    begin = clip.begin + (start or 0)
    last = clip.end if end is None else clip.begin + end
    step = max(Fraction(0), last - begin) / _LOOKS if last is not None else Fraction(0)
    found: list[float] = []
    with opened(path, name) as container:
        stream = video_stream(container, name, max_pixels)
        if start:
            with suppress(av.error.FFmpegError, OverflowError):  # no index: all is read
                container.seek(int(begin * av.time_base), backward=True)
        with closing(_packets(container)) as packets:
            for packet in packets:
                if packet.stream.index != stream.index:
                    continue
                time = _seconds(stream, of_packet(packet, container))
                if len(found) >= _LOOKS or (time is not None and last is not None and time > last + _BEYOND):
                    break
                if packet.is_keyframe and (time is None or time >= begin + step * len(found) or not found):
                    found += _peaks(packet, stream, stated)
    return max(found, default=None)


def _peaks(packet: Packet[Stream], stream: VideoStream, stated: Space) -> Iterator[float]:
    """Yield the nits of a key frame's brightest part, if it can be decoded."""
    codec, scaler = stream.codec_context, VideoReformatter()
    with suppress(av.error.FFmpegError, ValueError):
        for frame in [*codec.decode(cast("Packet[VideoStream]", packet)), *codec.decode(None)][:1]:
            size = fitted((frame.height, frame.width), _LOOK_SIZE)
            yield peak_of(to_deep_rgb(frame, size, scaler, alpha=False), stated)
    codec.flush_buffers()


class _Tally:
    """Sums up what packets show.

    Attributes:
        stream: the video.
        packets, end, length: as in `Measured`.
        latest: end of the last packet of any stream in seconds, or None.
    """

    def __init__(self, container: InputContainer, stream: VideoStream) -> None:
        self._container, self.stream = container, stream
        self._first: Fraction | None = None
        self._without, self._in_a_row = Fraction(0), 0
        self.packets, self.length = 0, Fraction(0)
        self.end: Fraction | None = None
        self.latest: Fraction | None = None

    @property
    def has_begun(self) -> bool:
        """Whether `begin` is settled: so many packets with a time are not followed by one that is shown before them."""
        return self._in_a_row > _REORDERED

    @property
    def begin(self) -> Fraction:
        """As in `Measured`."""
        stated = _seconds(self.stream, self.stream.start_time) or Fraction(0)
        return stated if not self._without or self._first is None else self._first - self._without

    def read(self, enough: Callable[[], bool]) -> None:
        """Read on until there is enough, or to the end."""
        with closing(_packets(self._container)) as found:
            for packet in found:
                self._add(packet)
                if enough():
                    return

    def _add(self, packet: Packet[Stream]) -> None:
        time = _seconds(packet.stream, of_packet(packet, self._container))
        length = _seconds(packet.stream, packet.duration) or Fraction(0)
        if packet.stream.index == self.stream.index:
            self._add_video(time, length)
        if time is not None:
            self.latest = _later(self.latest, time + length)

    def _add_video(self, time: Fraction | None, length: Fraction) -> None:
        self.packets += 1
        self.length += length
        if time is not None:
            self.end = _later(self.end, time + length)
        if self.has_begun:
            return
        if time is None:
            self._without, self._in_a_row = self._without + self._exact(length), 0
        else:
            self._first, self._in_a_row = time if self._first is None else min(time, self._first), self._in_a_row + 1

    def _exact(self, length: Fraction) -> Fraction:
        """Return the stated rate's length where a packet's is that, rounded to ticks."""
        rate, tick = self.stream.average_rate, self.stream.time_base
        return 1 / rate if rate and tick and abs(1 / rate - length) < tick else length


def _later(one: Fraction | None, other: Fraction) -> Fraction:
    return other if one is None else max(one, other)


def _packets(container: InputContainer) -> Generator[Packet[Stream], None, None]:
    """Yield the packets of all streams; continue after damage, up to `_FAILURES` times."""
    for _ in range(_FAILURES):
        with suppress(av.error.FFmpegError):
            yield from (packet for packet in container.demux() if packet.size)
            return


def _seconds(stream: Stream, stamp: int | None) -> Fraction | None:
    return None if stamp is None or not stream.time_base else stamp * Fraction(stream.time_base)


def _lacking(
    container: InputContainer, latest: Fraction | None, end: Fraction | None
) -> tuple[Fraction, Fraction] | None:
    """Return the readable and the stated seconds of a file that ends before what its header states, or None."""
    if latest is None or not container.duration or not container.format.name.startswith(_STATING):
        return None
    begin = Fraction(container.start_time or 0, av.time_base)
    stated = Fraction(container.duration, av.time_base)
    if container.format.name.startswith("matroska"):
        stated -= max(Fraction(0), begin)  # writers count from 0, wherever the first frame is
    wanted = begin + stated if end is None else min(begin + stated, end)
    return (max(Fraction(0), latest - begin), stated) if wanted - latest > _SLACK else None
