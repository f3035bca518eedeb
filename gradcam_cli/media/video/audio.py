"""Transfer of a video's sound to another file: copied where the file format allows it, re-encoded otherwise."""

from __future__ import annotations

from contextlib import ExitStack, suppress
from dataclasses import dataclass
from fractions import Fraction
from typing import TYPE_CHECKING

import av

from gradcam_cli.media.timing import Clock
from gradcam_cli.media.video.open import audio_stream, opened
from gradcam_cli.text import counted

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from av.audio.stream import AudioStream
    from av.container import OutputContainer
    from av.packet import Packet

_COPIED = frozenset({"aac", "mp3", "mp3float", "opus", "libopus", "flac"})
"""Decoders of formats that MP4 can contain and browsers play. AC-3, ALAC and PCM fit too, but hardly play anywhere."""

_AAC_RATES = (96_000, 88_200, 64_000, 48_000, 44_100, 32_000, 24_000, 22_050, 16_000, 12_000, 11_025, 8_000, 7_350)
_BITS_A_CHANNEL = 96_000  # a second
_RUN_UP = Fraction(1, 20)
"""Seconds. A decoder needs a packet or two to be right: a cut begins this much earlier, marked as not to be played."""

_EARLY = Fraction(1, 10)
"""Seconds of sound before the first frame that are worth a note; less is usual, as in MPEG-TS."""

_FAILURES = 300


@dataclass(frozen=True, slots=True)
class AudioSource:
    """The sound between two times of a file, in its video stream's own seconds; ``begin`` becomes time 0.

    ``from_first`` tells whether ``begin`` is the first frame of the whole video, and not of a part that is wanted.
    """

    path: Path
    name: str
    begin: Fraction
    end: Fraction | None
    from_first: bool = True


class AudioTrack:
    """Adds a source's sound to a container as a stream, packet by packet.

    Attributes:
        notes: what is left out of the sound.

    Raises:
        InputError: the source can no longer be opened.
    """

    def __init__(self, source: AudioSource, output: OutputContainer) -> None:
        self.notes: tuple[str, ...] = ()
        self._source, self._output = source, output
        self._packets: Iterator[tuple[Fraction, Packet[AudioStream]]] = iter(())
        with ExitStack() as stack:
            self._input = stack.enter_context(opened(source.path, source.name))
            stream = audio_stream(self._input)
            if stream is None or stream.codec_context is None:
                self.notes = ("its sound is left out, because no decoder is known for it",)
            else:
                self.notes = tuple(self._left_out(stream))
                if _copyable(stream):
                    self._packets = self._copied(stream, output.add_stream_from_template(stream))
                else:
                    self._packets = self._encoded(stream)
                    self.notes = (*self.notes, f"its sound ({stream.codec_context.name}) is encoded anew, as AAC")
            self._stack = stack.pop_all()
        self._next: tuple[Fraction, Packet[AudioStream]] | None = None
        self._begun = False

    def _left_out(self, stream: AudioStream) -> Iterator[str]:
        """Yield notes on sound that is not taken over."""
        others = len(self._input.streams.audio) - 1
        if others:
            yield f"{counted(others, 'other sound track')} left out"
        earlier = self._source.begin - (stream.start_time or 0) * Fraction(stream.time_base or 0)
        if self._source.from_first and earlier >= _EARLY:
            yield f"{float(earlier):.1f} s of sound before the first frame left out"

    def advance(self, time: Fraction | None) -> None:
        """Write the packets up to ``time``, or all remaining ones if it is None."""
        if not self._begun:
            self._begun, self._next = True, next(self._packets, None)
        while self._next and (time is None or self._next[0] <= time):
            self._output.mux(self._next[1])
            self._next = next(self._packets, None)

    def close(self) -> None:
        """Close the source."""
        self._stack.close()

    def _packets_of(self, stream: AudioStream) -> Iterator[Packet[AudioStream]]:
        """Read packets from shortly before ``begin`` on; continue after damage, up to `_FAILURES` times."""
        tick = Fraction(stream.time_base or Fraction(1, 90_000))
        begin = self._source.begin - 2 * _RUN_UP
        if begin > (stream.start_time or 0) * tick:
            with suppress(av.error.FFmpegError, OverflowError):  # no index: earlier packets are skipped
                self._input.seek(int(begin / tick), stream=stream, backward=True)
        for _ in range(_FAILURES):
            try:
                for packet in self._input.demux(stream):
                    if packet.size:
                        yield packet
            except av.error.FFmpegError:
                continue
            return

    def _copied(self, stream: AudioStream, target: AudioStream) -> Iterator[tuple[Fraction, Packet[AudioStream]]]:
        tick = Fraction(stream.time_base or Fraction(1, 90_000))
        zero = round(self._source.begin / tick)
        clock: Clock | None = None
        for packet in self._packets_of(stream):
            stamp = packet.dts if packet.pts is None else packet.pts
            length = packet.duration or 0
            if stamp is not None and (stamp + length) * tick <= self._source.begin - _RUN_UP:
                continue
            clock = clock or Clock(tick, length)
            packet.pts = packet.dts = clock.place(stamp) - zero
            time = packet.pts * tick
            if self._over(time):
                return
            packet.stream = target
            yield time, packet

    def _encoded(self, stream: AudioStream) -> Iterator[tuple[Fraction, Packet[AudioStream]]]:
        rate = stream.codec_context.sample_rate
        rate = rate if rate in _AAC_RATES else 48_000
        layout = "stereo" if stream.codec_context.channels > 1 else "mono"
        target = self._output.add_stream("aac", rate=rate, layout=layout)
        target.codec_context.bit_rate = _BITS_A_CHANNEL * (2 if layout == "stereo" else 1)
        return self._encoding(stream, target, av.AudioResampler("fltp", layout, rate))

    def _encoding(
        self, stream: AudioStream, target: AudioStream, resampler: av.AudioResampler
    ) -> Iterator[tuple[Fraction, Packet[AudioStream]]]:
        for frame in self._decoded(stream):
            for part in resampler.resample(frame):
                yield from _timed(target.encode(part))
        for part in resampler.resample(None):
            yield from _timed(target.encode(part))
        yield from _timed(target.encode(None))

    def _decoded(self, stream: AudioStream) -> Iterator[av.AudioFrame]:
        """Decode, with times since ``begin`` in units of a sample, which never decrease."""
        clock: Clock | None = None
        kind, end = None, 0
        for frame in _frames(stream, self._packets_of(stream)):
            kind = kind or _kind(frame)
            if frame.pts is None or frame.time_base is None or _kind(frame) != kind:  # damage: its format changes
                continue
            tick = Fraction(1, frame.sample_rate)
            time = frame.pts * Fraction(frame.time_base) - self._source.begin
            if self._over(time):
                return
            if time + frame.samples * tick > 0:
                stamp = round(time / tick)
                if clock is None:
                    clock, end = Clock(tick, frame.samples), stamp
                frame.pts, frame.time_base = max(end, clock.place(stamp)), tick
                end = frame.pts + frame.samples
                yield frame

    def _over(self, time: Fraction) -> bool:
        return self._source.end is not None and time >= self._source.end - self._source.begin


def _copyable(stream: AudioStream) -> bool:
    """Return whether packets can be copied; AAC without a header of its own (in MPEG-TS) would have to be rewritten."""
    name = stream.codec_context.name
    return name in _COPIED and bool(stream.codec_context.extradata or name.startswith("mp3"))


def _frames(stream: AudioStream, packets: Iterator[Packet[AudioStream]]) -> Iterator[av.AudioFrame]:
    """Decode packets; skip those that cannot be decoded."""
    for packet in packets:
        with suppress(av.error.FFmpegError):
            yield from stream.decode(packet)


def _kind(frame: av.AudioFrame) -> tuple[int, str, str]:
    return frame.sample_rate, frame.layout.name, frame.format.name


def _timed(packets: list[Packet[AudioStream]]) -> Iterator[tuple[Fraction, Packet[AudioStream]]]:
    for packet in packets:
        yield (packet.pts or 0) * Fraction(packet.time_base), packet
