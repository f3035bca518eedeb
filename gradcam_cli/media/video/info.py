"""A video's properties by its file's metadata and packets, before its frames are decoded."""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction
from typing import TYPE_CHECKING

import av

from gradcam_cli.errors import InputError
from gradcam_cli.media.video.frames.colours import states_alpha
from gradcam_cli.media.video.frames.scale import even
from gradcam_cli.media.video.open import audio_stream
from gradcam_cli.media.video.stamps import is_raw, of_packet
from gradcam_cli.text import counted

if TYPE_CHECKING:
    from collections.abc import Iterator

    from av.container import InputContainer
    from av.video.stream import VideoStream

    from gradcam_cli.media.video.decode import Decoder
    from gradcam_cli.media.video.frames.colours import Treatment
    from gradcam_cli.media.video.frames.planes import Shape
    from gradcam_cli.media.video.measure import Measured
    from gradcam_cli.records import Size

_LIKELY_RATES = (Fraction(1, 3600), Fraction(240))  # frames per second; containers without a rate state 1000 or 90000
_USUAL_RATE = Fraction(25)


BACK = (0, 2, 8, 32)
"""Seconds to go back before a time until a key frame is found: a seek in MPEG-TS, without index, ends anywhere."""


@dataclass(frozen=True, slots=True)
class VideoInfo:
    """Properties of a clip that are known before it is decoded.

    Attributes:
        size: (height, width) of the frames, upright, after ``max_size``, before padding.
        frames: number of frames by the file's packets; an estimate for a part of it, or at another rate.
        duration: seconds.
        rate: mean frames per second.
        tick: seconds. Every frame's time and duration is a multiple of it, but for a last one cut at ``end``.
        has_audio: whether there is sound.
        is_cut_off: whether the file ends before the length that its header states.
        notes: changes to the frames, and what is missing, that a user should know of.
    """

    size: Size
    frames: int
    duration: Fraction
    rate: Fraction
    tick: Fraction
    has_audio: bool
    is_cut_off: bool = False
    notes: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Selection:
    """Which frames of a video are wanted.

    Attributes:
        start: seconds from the video's beginning, or None.
        end: seconds from the video's beginning, or None.
        stride: the first of every ``stride`` frames.
        fps: constant frame rate, or None.
    """

    start: Fraction | None
    end: Fraction | None
    stride: int
    fps: Fraction | None


def described(
    container: InputContainer,
    stream: VideoStream,
    size: Size,
    measured: Measured,
    wanted: Selection,
    notes: tuple[str, ...],
) -> VideoInfo:
    """Return the properties of the wanted frames.

    Args:
        container: the open file.
        stream: its video.
        size: (height, width) of the frames, upright.
        measured: what the file's packets show.
        wanted: which frames.
        notes: on what is done with the frames.
    """
    rate = mean_rate(container, stream, measured)
    tick = Fraction(stream.time_base or Fraction(1, 90_000))
    whole = measured.packets / rate if measured.end is None else measured.end - measured.begin
    begin, end = wanted.start or Fraction(0), whole if wanted.end is None else min(whole, wanted.end)
    part = max(tick, end - begin)
    shown = wanted.fps or rate
    is_whole = wanted.start is None and wanted.end is None and wanted.fps is None
    frames = Fraction(measured.packets) if is_whole else part * shown
    subtitles = len(container.streams.subtitles)
    if subtitles:
        notes = (*notes, f"{counted(subtitles, 'subtitle track')} left out")
    if measured.lacks:
        notes = (f"cut off: {float(measured.lacks[0]):.1f} of {float(measured.lacks[1]):.1f} s", *notes)
    return VideoInfo(
        size=size,
        frames=max(1, round(frames / wanted.stride)),
        duration=part,
        rate=shown / wanted.stride,
        tick=1 / wanted.fps if wanted.fps else tick,
        has_audio=audio_stream(container) is not None,
        is_cut_off=measured.lacks is not None,
        notes=notes,
    )


def length(container: InputContainer, stream: VideoStream) -> Fraction | None:
    """Return the video's duration as stated by the file, in seconds; None where it states none."""
    if stream.duration and stream.time_base:
        return stream.duration * Fraction(stream.time_base)
    return Fraction(container.duration, av.time_base) if container.duration else None


def without_frames(name: str, length: Fraction | None, *, damaged: bool, part: bool) -> InputError:
    """Return the error for a video of which no frame can be had.

    Args:
        name: the video's name.
        length: seconds that it lasts by its own statement, or None.
        damaged: whether packets could not be decoded.
        part: whether only a part of it is wanted.
    """
    if damaged:
        return InputError(f"{name}: no frame of it can be decoded", "copy or download it again")
    if part:
        lasts = f" (it lasts {float(length):.2f} s)" if length else ""
        return InputError(f"{name}: has no frame in the part that is wanted{lasts}", "change {start} or {end}")
    return InputError(f"{name}: holds a video without frames", "copy or download it again")


def key_frame(container: InputContainer, stream: VideoStream, time: Fraction) -> Fraction | None:
    """Return the time of the last key frame up to ``time``, both in the stream's own seconds; None where unknown.

    Afterwards the container is positioned somewhere after that key frame.
    """
    if not stream.time_base:
        return None
    tick = Fraction(stream.time_base)
    for back in BACK:
        try:
            container.seek(int((time - back) / tick), stream=stream, backward=True)
            keys = _keys(container, stream, int(time / tick))
            # A seek without going back succeeds only with an index, and ends at the last key frame before the time.
            key = max(keys, default=None) if back else next(keys, None)
        except (av.error.FFmpegError, OverflowError):
            return None
        if key is not None:
            return key * tick
    return None


def _keys(container: InputContainer, stream: VideoStream, last: int) -> Iterator[int]:
    """Read on, and yield the times of key frames, in ticks, up to the first packet after ``last``."""
    for packet in container.demux(stream):
        stamp = of_packet(packet, container)
        if stamp is None or stamp > last:
            return
        if packet.is_keyframe:
            yield stamp


def mean_rate(container: InputContainer, stream: VideoStream, measured: Measured) -> Fraction:
    """Return a plausible mean frame rate, in frames per second."""
    lowest, highest = _LIKELY_RATES
    own = measured.packets / measured.length if measured.length and is_raw(container) else None
    rates = (own, stream.average_rate, stream.guessed_rate, stream.base_rate)
    return next((Fraction(rate) for rate in rates if rate and lowest <= rate <= highest), _USUAL_RATE)


def changes(
    stream: VideoStream,
    first: av.VideoFrame,
    shape: Shape,
    treatment: Treatment | None,
    decoder: Decoder,
) -> tuple[str, ...]:
    """Return notes for the user on what is done with the frames, judged by the first one.

    Args:
        stream: the video.
        first: its first frame, decoded, cropped and deinterlaced.
        shape: scaling and turning of the frames.
        treatment: of their colours.
        decoder: of the frames, which crops and deinterlaces them.
    """
    height, width = shape.size
    found = []
    if decoder.crop:
        found.append(f"cropped to {first.width}×{first.height}, as the file states")
    if shape.turn.words:
        found.append(f"turned upright ({shape.turn.words})")
    if stream.sample_aspect_ratio and stream.sample_aspect_ratio != 1:
        found.append(f"its pixels are not square: resized to {width}×{height}")
    if even(shape.size) != shape.size:
        found.append(f"padded from {width}×{height} to even sides by repeating the edge")
    if decoder.deinterlaced:
        found.append("deinterlaced")
    found += treatment.notes() if treatment else ()
    if states_alpha(stream) and not (treatment and treatment.transparent):
        found.append("its transparency cannot be read by this FFmpeg: what is hidden is shown")
    bits = max(component.bits for component in first.format.components)
    if bits > 8:
        found.append(f"{bits} bits a colour are reduced to 8")
    return tuple(found)
