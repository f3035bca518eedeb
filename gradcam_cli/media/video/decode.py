"""Packets → decoded frames: damaged packets are skipped and counted, frames are deinterlaced and cropped."""

from __future__ import annotations

from contextlib import suppress
from fractions import Fraction
from typing import TYPE_CHECKING, cast

import av
from av.filter import Graph

from gradcam_cli.errors import InputError
from gradcam_cli.machine import cores
from gradcam_cli.media.video.crop import crop_of
from gradcam_cli.media.video.frames.colours import states_alpha
from gradcam_cli.media.video.frames.turn import turn_of
from gradcam_cli.media.video.open import reason

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from av.container import InputContainer
    from av.packet import Packet
    from av.video.codeccontext import VideoCodecContext
    from av.video.stream import VideoStream

    from gradcam_cli.media.video.frames.turn import Turn

_HOPELESS = 300
"""After this many failures in a row the stream counts as ended."""

_ALPHA_DECODERS = {"vp8": "libvpx", "vp9": "libvpx-vp9"}
_MAX_THREADS = 4  # more only keep more frames in memory: a decoder with four is far ahead of any network


class Decoder:
    """Decodes one video stream, once, from the container's current position.

    Args:
        container: the open file.
        stream: one of its streams.
        path: the file.
        name: its name in error messages.
        alone: whether no other work runs meanwhile. Otherwise the decoder has half the cores: with two of them only
            the calling thread decodes, and competes with no other.

    Attributes:
        skipped: number of damaged packets skipped.
        incomplete: number of packets that are decoded although a part of them is lost.
        deinterlaced: whether interlaced frames have been found.
        crop: what the file wants cut off from its frames, or None.
    """

    def __init__(
        self, container: InputContainer, stream: VideoStream, path: Path, name: str, *, alone: bool = False
    ) -> None:
        self._container = container
        self._stream = stream
        self._tick = Fraction(stream.time_base or Fraction(1, 90_000))
        self._in_a_row = 0
        self._name = name
        self.crop = crop_of(path, container, stream)
        self.deinterlaced = False
        self.skipped = self.incomplete = 0
        self._codec = _with_alpha(stream) or stream.codec_context
        self._usual: av.VideoFrame | None = None
        self._codec.thread_type = av.codec.context.ThreadType.FRAME | av.codec.context.ThreadType.SLICE
        self._codec.thread_count = max(1, min(_MAX_THREADS, cores() if alone else cores() // 2))

    @property
    def gave_up(self) -> bool:
        """Whether decoding ended because of too many failures in a row."""
        return self._in_a_row >= _HOPELESS

    def frames(self) -> Iterator[av.VideoFrame]:
        """Decode to the end, including the frames buffered in the decoder.

        Raises:
            InputError: frames cannot be cropped or deinterlaced.
        """
        try:
            yield from self._filtered()
        except av.error.FFmpegError as error:
            what = f"its frames cannot be cropped or deinterlaced ({reason(error)})"
            raise InputError(f"{self._name}: {what}", "convert it to H.264 first") from error

    def _filtered(self) -> Iterator[av.VideoFrame]:
        graph: _Filters | None = None
        if self._codec is not self._stream.codec_context:
            self._codec.flush_buffers()  # PyAV's seek does it for the stream's own
        for frame in self._decoded():
            self.deinterlaced |= bool(frame.interlaced_frame)
            steps = self._steps(frame)
            if graph is None or not graph.suits(frame, steps):
                if graph:
                    yield from graph.put(None)
                graph = _Filters(frame, steps, self._tick) if steps else None
            if graph:
                yield from graph.put(frame)
            else:
                yield frame
        if graph:
            yield from graph.put(None)

    def _steps(self, frame: av.VideoFrame) -> tuple[tuple[str, str], ...]:
        """Return the filters that a frame passes: names and settings."""
        found = []
        if self.deinterlaced:
            found.append(("bwdif", "mode=send_frame:deint=interlaced"))
        if self.crop:
            across, down = self.crop.left + self.crop.right, self.crop.top + self.crop.bottom
            if across < frame.width and down < frame.height:  # frames may become smaller on the way
                found.append(("crop", f"iw-{across}:ih-{down}:{self.crop.left}:{self.crop.top}:exact=1"))
        return tuple(found)

    def _decoded(self) -> Iterator[av.VideoFrame]:
        for packet in self._packets():
            try:
                frames = self._informed(packet, self._codec.decode(packet))
            except av.error.EOFError:  # flushed before, by an empty packet in the middle
                continue
            except av.error.FFmpegError:
                self._miss()
                continue
            self.incomplete += packet is not None and packet.is_corrupt
            if frames:
                self._in_a_row = 0
            yield from frames

    def _informed(self, packet: Packet[VideoStream] | None, frames: list[av.VideoFrame]) -> list[av.VideoFrame]:
        """Return frames of a decoder of our own with what only the stream's decoder knows of their colours."""
        if self._codec is self._stream.codec_context:
            return frames
        if self._usual is None:
            with suppress(av.error.FFmpegError):
                self._usual = next(iter(self._stream.codec_context.decode(packet)), None)
        if self._usual:
            for frame in frames:
                frame.colorspace, frame.color_range = self._usual.colorspace, self._usual.color_range
        return frames

    def turn(self, first: av.VideoFrame) -> Turn:
        """Return what makes frames upright, by the first one."""
        return turn_of(self._usual or first)

    def _packets(self) -> Iterator[Packet[VideoStream] | None]:
        """Yield packets, also after errors; the last one is None or empty, which flushes the decoder."""
        while not self.gave_up:
            try:
                for packet in self._container.demux(self._stream):
                    yield packet
                    if self.gave_up:
                        break
                else:
                    return
            except av.error.FFmpegError:
                self._miss()
        yield None

    def _miss(self) -> None:
        self.skipped += 1
        self._in_a_row += 1


def _with_alpha(stream: VideoStream) -> VideoCodecContext | None:
    """Return the decoder that also decodes a stream's alpha, where FFmpeg's usual one leaves it out: VP8 and VP9."""
    name = _ALPHA_DECODERS.get(stream.codec_context.codec.canonical_name)
    if name is None or not states_alpha(stream):
        return None
    try:
        codec = av.CodecContext.create(name, "r")
    except (ValueError, av.error.FFmpegError):  # this FFmpeg lacks it
        return None
    codec.extradata = stream.codec_context.extradata
    stream.codec_context.thread_count = 1  # it decodes no more than one frame, see `Decoder._informed`
    return cast("VideoCodecContext", codec)


class _Filters:
    """Passes frames of one size and form through filters. Deinterlacing leaves progressive frames as they are."""

    def __init__(self, frame: av.VideoFrame, steps: tuple[tuple[str, str], ...], tick: Fraction) -> None:
        self._tick, self._steps = tick, steps
        self._kind = _kind(frame)
        graph = Graph()
        source = graph.add_buffer(width=frame.width, height=frame.height, format=frame.format, time_base=tick)
        graph.link_nodes(source, *(graph.add(*step) for step in steps), graph.add("buffersink")).configure()
        self._graph = graph

    def suits(self, frame: av.VideoFrame, steps: tuple[tuple[str, str], ...]) -> bool:
        return (_kind(frame), steps) == (self._kind, self._steps)

    def put(self, frame: av.VideoFrame | None) -> Iterator[av.VideoFrame]:
        """Push a frame, or None for the end, and yield the frames that are ready, with times in the stream's ticks."""
        self._graph.vpush(frame)
        while True:
            try:
                done = self._graph.vpull()
            except (av.error.BlockingIOError, av.error.EOFError):
                return
            if done.pts is not None and done.time_base:  # the filter counts in half ticks
                ticks = done.time_base / self._tick
                done.duration = round((done.duration or 0) * ticks)
                done.pts, done.time_base = round(done.pts * ticks), self._tick
            yield done


def _kind(frame: av.VideoFrame) -> tuple[int, int, str]:
    return frame.width, frame.height, frame.format.name
