"""Clips as a run over them needs them, whatever their files: frames to look at first, all frames, and outputs."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import islice
from typing import TYPE_CHECKING, Any, Protocol

from gradcam_cli.errors import InputError
from gradcam_cli.media.gif.read import AnimationReader
from gradcam_cli.media.gif.write import MAX_LOOPS, GifWriter
from gradcam_cli.media.image.read import resized
from gradcam_cli.media.video.read import VideoReader
from gradcam_cli.media.video.write import VideoWriter
from gradcam_cli.pipeline.clips.outputs import GifSink, VideoSink
from gradcam_cli.pipeline.clips.survey import SAMPLES
from gradcam_cli.pipeline.drawing import shown_size
from gradcam_cli.render.colormap import colormap, grey_levels

if TYPE_CHECKING:
    from collections.abc import Iterator
    from contextlib import ExitStack
    from fractions import Fraction
    from pathlib import Path

    import numpy as np
    import numpy.typing as npt
    from typing_extensions import Self

    from gradcam_cli.media.video.planes import VideoFrame
    from gradcam_cli.pipeline.clips.engine import Sink
    from gradcam_cli.pipeline.clips.survey import Frame, Track
    from gradcam_cli.pipeline.settings import ClipSettings
    from gradcam_cli.records import Job, Size

    Pixels = npt.NDArray[np.uint8]


class Clip(Protocol):
    """An open file; a context manager.

    Attributes:
        size: (height, width) of the frames.
        notes: what a user should know; complete when the frames are through.
    """

    size: Size
    notes: list[str]

    @property
    def count(self) -> int | None:
        """How many frames there will be, where the file tells."""

    @property
    def skipped(self) -> int:
        """Damaged packets passed over up to now."""

    @property
    def samples_recur(self) -> bool:
        """Whether `frames` gives the same pictures as `samples` at the same times."""

    def samples(self) -> Iterator[tuple[Frame, bool]]:
        """Yield frames spread along the clip, with True; with False those that are read on the way and recur."""

    def frames(self) -> Iterator[Any]:
        """Yield every frame that is wanted, as the sinks take them."""

    def sink(self, kind: str, path: Path, track: Track, stack: ExitStack) -> Sink[Any]:
        """Return the output for one kind of result, to be closed by ``stack``.

        Raises:
            OutputError: the file cannot be written.
        """

    def __enter__(self) -> Self: ...
    def __exit__(self, *error: object) -> None: ...


def open_clip(job: Job, settings: ClipSettings) -> Clip:
    """Open a job's input: as a video, or as an animation where all its results are GIFs.

    Raises:
        InputError: it cannot be read.
    """
    if job.input is None:
        raise InputError("a clip cannot be read from standard input", "save it in a file and give its path")
    is_gif = all(path.suffix == ".gif" for path in job.outputs.values())
    return (_Animation if is_gif else _Video)(job.input, job.name, settings)


class _Video:
    """A video file as the run needs it."""

    def __init__(self, path: Path, name: str, settings: ClipSettings) -> None:
        self._settings = settings
        self._reader = VideoReader(
            path,
            start=settings.start,
            end=settings.end,
            stride=settings.stride,
            fps=settings.fps,
            max_size=settings.max_size,
            name=name,
            max_pixels=settings.max_pixels,
            max_frames=settings.max_frames,
        )
        self.size = self._reader.info.size
        self.count = self._reader.info.frames
        self.notes = list(self._reader.info.notes)

    def __enter__(self) -> _Video:
        return self

    def __exit__(self, *error: object) -> None:
        self._reader.close()

    @property
    def skipped(self) -> int:
        return self._reader.skipped

    @property
    def samples_recur(self) -> bool:
        return self._reader.is_held

    def samples(self) -> Iterator[tuple[VideoFrame, bool]]:
        return self._reader.sample(SAMPLES)

    def frames(self) -> Iterator[VideoFrame]:
        return iter(self._reader)

    def sink(self, kind: str, path: Path, track: Track, stack: ExitStack) -> Sink[Any]:
        settings, info = self._settings, self._reader.info
        if path.suffix == ".gif":
            return _gif_sink(kind, path, self.size, 0, track, settings, stack)
        height, width = (side + side % 2 for side in info.size)
        writer = VideoWriter(
            path,
            shown_size((height, width), kind, settings),
            tick=info.tick,
            rate=info.rate,
            codec=settings.codec,
            quality=settings.render.quality,
            audio=self._reader.audio if settings.audio else None,
            keep_partial=settings.keep_partial,
        )
        self.notes += [note for note in writer.notes if note not in self.notes]
        return VideoSink(stack.enter_context(writer), kind, settings, blank=track.blank is not None)


@dataclass(slots=True)
class _AnimationFrame:
    """A frame of an animation, with the interface of a video's."""

    pixels: Pixels
    time: Fraction
    duration: Fraction

    @property
    def size(self) -> Size:
        return self.pixels.shape[0], self.pixels.shape[1]

    def rgb(self, size: Size | None = None) -> Pixels:
        return resized(self.pixels, size or self.size)


class _Animation:
    """An animated GIF, WebP or APNG as the run needs it."""

    def __init__(self, path: Path, name: str, settings: ClipSettings) -> None:
        self._settings = settings
        self._reader = AnimationReader(path, name, settings.max_pixels, settings.max_frames)
        self.size = self._reader.info.size
        self.count = self._reader.info.frames
        self.samples_recur = True
        self.notes = list(self._reader.info.notes)
        self.skipped = 0

    def __enter__(self) -> _Animation:
        return self

    def __exit__(self, *error: object) -> None:
        self._reader.close()

    def _drawn(self) -> Iterator[_AnimationFrame]:
        start, end = self._settings.start or 0, self._settings.end
        for position, frame in enumerate(self._reader):
            if end is not None and frame.time >= end:
                return
            if frame.time + frame.duration > start and position % self._settings.stride == 0:
                yield _AnimationFrame(frame.pixels, frame.time, frame.duration)

    def samples(self) -> Iterator[tuple[_AnimationFrame, bool]]:
        step = max(1, (self.count or 1) // SAMPLES)
        return ((frame, True) for frame in islice(islice(self._drawn(), 0, None, step), 2 * SAMPLES))

    def frames(self) -> Iterator[_AnimationFrame]:
        yield from self._drawn()
        if self._reader.damage:
            self.notes.append(self._reader.damage)

    def sink(self, kind: str, path: Path, track: Track, stack: ExitStack) -> Sink[Any]:
        return _gif_sink(kind, path, self.size, self._reader.info.loop, track, self._settings, stack)


def _gif_sink(
    kind: str, path: Path, size: Size, loop: int | None, track: Track, settings: ClipSettings, stack: ExitStack
) -> Sink[Any]:
    kind = kind.partition(".")[0]
    palette = {"grayscale": grey_levels(), "heatmap": colormap(settings.render.colormap)}.get(kind)
    size = settings.gif_size(size)
    writer = GifWriter(
        path,
        shown_size(size, kind, settings),
        loop=None if loop is None else min(loop, MAX_LOOPS),  # other formats count further
        palette=palette,
        keep_partial=settings.keep_partial,
    )
    return GifSink(stack.enter_context(writer), kind, size, settings, blank=track.blank is not None)
