"""Clips that the video tests share, made on the spot, and an independent look at what was written."""

from __future__ import annotations

from dataclasses import dataclass, field
from fractions import Fraction
from typing import TYPE_CHECKING

import av
import numpy as np

if TYPE_CHECKING:
    from pathlib import Path

NEW_PYAV = int(av.__version__.split(".")[0]) >= 17  # older ones leave full range as it is where the format is the same
TICK = Fraction(1, 1200)
STEADY = [Fraction(i, 12) for i in range(12)]
UNSTEADY = [Fraction(n, 1200) for n in (0, 24, 72, 216, 696, 700, 724, 772, 916, 1396)]
RATE = 48_000

KR_KB = {"bt709": (0.2126, 0.0722), "bt601": (0.299, 0.114), "bt2020": (0.2627, 0.0593)}
TAGS = {"bt709": 1, "bt601": 6, "bt2020": 9}
COLOURS = np.array(
    [[255, 0, 0], [0, 255, 0], [0, 0, 255], [255, 255, 255], [0, 0, 0], [200, 120, 40], [60, 160, 220], [128, 128, 128]]
)


def level(index: int) -> int:
    """Return the brightness by which a frame is known, whatever a codec does to it."""
    return 40 + 14 * (index % 14)


def gray_frame(index: int, size: tuple[int, int], form: str = "yuv420p") -> av.VideoFrame:
    """Return frame ``index``: even gray, brighter at the upper left so that its orientation shows."""
    pixels = np.full((*size, 3), level(index), np.uint8)
    pixels[: size[0] // 4, : size[1] // 4] = 250
    return av.VideoFrame.from_ndarray(pixels, "rgb24").reformat(
        format=form, dst_colorspace="ITU709", dst_color_range="MPEG"
    )


@dataclass
class Sound:
    """A stereo tone that begins at ``click`` seconds; before it there is silence."""

    codec: str = "aac"
    start: Fraction = Fraction(0)
    end: Fraction = Fraction(2)
    click: Fraction = Fraction(1)


@dataclass
class Clip:
    """What a test wants different from a steady 12 frames of H.264 in MP4."""

    times: list[Fraction] = field(default_factory=lambda: STEADY)
    size: tuple[int, int] = (48, 64)
    codec: str = "libx264"
    form: str = "yuv420p"
    options: dict[str, str] = field(default_factory=dict)
    sound: Sound | None = None
    rotation: int = 0
    last: Fraction = Fraction(1, 12)
    tick: Fraction = TICK
    frames: list[av.VideoFrame] | None = None
    aspect: Fraction | None = None
    trc: int = 0
    primaries: int = 0


def make(path: Path, clip: Clip | None = None) -> Path:
    """Write a clip and return its path; the suffix chooses the container."""
    clip = clip or Clip()
    height, width = clip.size
    with av.open(str(path), "w") as output:
        stream = output.add_stream(clip.codec, rate=12, options=clip.options, width=width, height=height)
        stream.pix_fmt = clip.form
        stream.codec_context.time_base = stream.time_base = clip.tick
        stream.codec_context.flags |= av.codec.context.Flags.frame_duration
        if clip.rotation:
            stream.set_display_rotation(clip.rotation)
        if clip.aspect:
            stream.codec_context.sample_aspect_ratio = clip.aspect
        if clip.trc:
            stream.codec_context.color_trc = clip.trc
        if clip.primaries:
            stream.codec_context.color_primaries = clip.primaries
        if clip.frames:
            stream.codec_context.colorspace = clip.frames[0].colorspace
            stream.codec_context.color_range = clip.frames[0].color_range
        audio = sound_stream(output, clip.sound)
        frames = clip.frames or [gray_frame(i, clip.size, clip.form) for i in range(len(clip.times))]
        ends = [*clip.times[1:], clip.times[-1] + clip.last]
        for frame, time, end in zip(frames, clip.times, ends, strict=True):
            frame.pts, frame.duration = round(time / clip.tick), round((end - time) / clip.tick)
            frame.time_base = clip.tick
            output.mux(stream.encode(frame))
        output.mux(stream.encode(None))
        if audio:
            write_sound(output, audio, clip.sound)
    return path


def sound_stream(output: av.container.OutputContainer, sound: Sound | None) -> av.AudioStream | None:
    return output.add_stream(sound.codec, rate=RATE, layout="stereo") if sound else None


def write_sound(output: av.container.OutputContainer, stream: av.AudioStream, sound: Sound) -> None:
    times = np.arange(int(sound.start * RATE), int(sound.end * RATE)) / RATE
    tone = np.where(times >= float(sound.click), 0.5 * np.sin(times * 2 * np.pi * 880), 0).astype(np.float32)
    for begin in range(0, len(tone), 960):
        part = np.stack([tone[begin : begin + 960]] * 2)
        frame = av.AudioFrame.from_ndarray(np.ascontiguousarray(part), "fltp", "stereo")
        frame.sample_rate, frame.time_base = RATE, Fraction(1, RATE)
        frame.pts = int(sound.start * RATE) + begin
        output.mux(stream.encode(frame))
    output.mux(stream.encode(None))


def patches(
    matrix: str, form: str, *, full: bool, tag: int, height: int = 32, colours: np.ndarray = COLOURS
) -> av.VideoFrame:
    """Return colours, levels of (8, 3), side by side in 16 columns each, brought to YUV by the standards' formulas."""
    red, blue = KR_KB[matrix]
    r, g, b = colours.T / 255
    y = red * r + (1 - red - blue) * g + blue * b
    u, v = (b - y) / 2 / (1 - blue), (r - y) / 2 / (1 - red)
    bits = 10 if "10" in form else 8
    top, scale = 2**bits - 1, 2 ** (bits - 8)
    values = (y * top, u * top, v * top) if full else (y * 219 * scale, u * 224 * scale, v * 224 * scale)
    offsets = (0 if full else 16 * scale, 128 * scale, 128 * scale)
    frame = av.VideoFrame(16 * len(COLOURS), height, form)
    for plane, row, offset in zip(frame.planes, values, offsets, strict=True):
        line = np.clip(np.round(row + offset), 0, top).repeat(plane.width // len(COLOURS))
        kind = np.uint16 if bits > 8 else np.uint8
        rows = np.frombuffer(memoryview(plane), kind).reshape(plane.height, -1)
        rows[:, : plane.width] = line
    frame.colorspace, frame.color_range = tag, 2 if full else 1
    return frame


def patch_colours(rgb: np.ndarray) -> np.ndarray:
    """Return the colour in the middle of each patch, (8, 3)."""
    return rgb[rgb.shape[0] // 2, 8::16].astype(int)


@dataclass
class Written:
    """What an independent reader finds in a file."""

    times: list[Fraction]
    durations: list[Fraction]
    frames: list[av.VideoFrame]
    video: dict[str, object]
    sound: list[tuple[Fraction, bytes]]


def look(path: Path) -> Written:
    with av.open(str(path)) as container:
        stream = container.streams.video[0]
        frames = list(container.decode(stream))
        tick = stream.time_base
        context = stream.codec_context
        video = {
            "codec": context.codec.canonical_name,
            "form": context.pix_fmt,
            "tags": (context.color_primaries, context.color_trc, context.colorspace, context.color_range),
            "size": (context.height, context.width),
            "duration": None if stream.duration is None else stream.duration * tick,
        }
        times, durations = [f.pts * tick for f in frames], [f.duration * tick for f in frames]
    return Written(times, durations, frames, video, packets(path))


def packets(path: Path) -> list[tuple[Fraction, bytes]]:
    """Return the sound's packets: when and what."""
    with av.open(str(path)) as container:
        if not container.streams.audio:
            return []
        stream = container.streams.audio[0]
        return [(p.pts * p.time_base, bytes(p)) for p in container.demux(stream) if p.size]


def click(path: Path) -> float | None:
    """Return when the tone begins, in seconds from time 0."""
    with av.open(str(path)) as container:
        if not container.streams.audio:
            return None
        for frame in container.decode(container.streams.audio[0]):
            channels = frame.layout.nb_channels
            samples = frame.to_ndarray()[0] if frame.format.is_planar else frame.to_ndarray()[0, ::channels]
            samples = np.abs(samples.astype(float))
            loud = np.flatnonzero(samples > (0.2 if frame.format.name.startswith("flt") else 6000))
            if loud.size:
                return float(frame.pts * frame.time_base) + loud[0] / frame.sample_rate
    return None


def boxes(path: Path) -> list[str]:
    """Return the names of an MP4 file's outermost boxes, in order."""
    data, found, at = path.read_bytes(), [], 0
    while at < len(data):
        found.append(data[at + 4 : at + 8].decode())
        at += int.from_bytes(data[at : at + 4], "big")
    return found
