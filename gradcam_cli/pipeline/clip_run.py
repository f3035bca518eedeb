"""The run over clips: one after the other, each from file to files."""

from __future__ import annotations

import time
from contextlib import ExitStack
from dataclasses import asdict, dataclass, field
from itertools import islice
from typing import TYPE_CHECKING, Any

import numpy as np

from gradcam_cli._version import __version__
from gradcam_cli.errors import GradcamError, InputError
from gradcam_cli.media.gif_read import AnimationReader
from gradcam_cli.media.gif_write import MOST_LOOPS, GifWriter
from gradcam_cli.media.image import resized
from gradcam_cli.media.video_read import VideoReader
from gradcam_cli.media.video_write import VideoWriter
from gradcam_cli.models.load import versions
from gradcam_cli.pipeline.clip import SAMPLES, explain_clip, survey
from gradcam_cli.pipeline.results import TOP
from gradcam_cli.pipeline.run import one_by_one
from gradcam_cli.pipeline.sinks import GifSink, VideoSink, shown_size
from gradcam_cli.render.colormap import colormap

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator
    from fractions import Fraction
    from pathlib import Path

    import numpy.typing as npt

    from gradcam_cli.media.video_planes import VideoFrame
    from gradcam_cli.pipeline.clip import Sink, Survey, Tally, Track
    from gradcam_cli.pipeline.session import Session
    from gradcam_cli.pipeline.settings import ClipSettings
    from gradcam_cli.records import Job, Prediction, Size

    Pixels = npt.NDArray[np.uint8]
    Advance = Callable[[Job, Tally, int | None], None]
    """Told of the job, what is done of it, and how many frames there will be, where that is known."""


@dataclass(slots=True)
class ClipExplanation:
    """What was found out about a clip for one layer, class and method, and what was written."""

    input: str
    session: Session
    survey: Survey
    position: int
    tally: Tally
    size: Size
    seconds: float
    skipped: int
    files: dict[str, Path] = field(default_factory=dict)

    @property
    def track(self) -> Track:
        """The layer, class and method."""
        return self.survey.tracks[self.position]

    @property
    def layer(self) -> str:
        """The target layer's dotted name."""
        return self.track.layer

    @property
    def method(self) -> str:
        """The formula, a key of ``cam.methods.METHODS``."""
        return self.track.method

    @property
    def target(self) -> Prediction:
        """The clip's class; where each frame has its own, what the whole clip's would be."""
        return self.track.target

    @property
    def predictions(self) -> list[Prediction]:
        """The five classes with the highest mean probability."""
        return self.survey.predictions[:TOP]

    @property
    def blank(self) -> str | None:
        """Why nothing is to be seen in the whole clip, or None."""
        return self.track.blank

    def record(self) -> dict[str, Any]:
        """Return the explanation as plain values, ready for JSON."""
        network, track = self.session.network, self.track
        return {
            "input": self.input,
            "model": network.name,
            "weights": {"source": network.weights.source, "sha256": network.weights.sha256()},
            "layer": self.layer,
            "method": self.method,
            "target": None if self.survey.aims is None else asdict(track.target),
            "predictions": [asdict(prediction) for prediction in self.predictions],
            "map": {
                "scale": None if track.scale is None else [float(f"{value:.9g}") for value in track.scale],
                "blank": self.blank is not None,
                "blank_frames": self.tally.blank[self.position],
                "reason": self.blank,
            },
            "clip": {
                "size": list(self.size),
                "frames": self.tally.frames,
                "seconds": round(self.tally.shown, 6),
                "skipped": self.skipped,
            },
            "files": {kind: str(path) for kind, path in self.files.items()},
            "seconds": {"total": round(self.seconds, 4)},
            "versions": {"gradcam": __version__, **versions()},
        }


@dataclass(slots=True)
class ClipOutcome:
    """What became of one clip: its explanation, or an error."""

    job: Job
    explanations: list[ClipExplanation] = field(default_factory=list)
    error: GradcamError | None = None
    notes: tuple[str, ...] = ()


class ClipRun:
    """One run over clips; iterate over it, once, for the outcomes.

    Args:
        jobs: the inputs, in order.
        session: the network.
        settings: how clips are explained and shown.
        advance: told after each frame.
    """

    def __init__(self, jobs: Iterable[Job], session: Session, settings: ClipSettings, advance: Advance) -> None:
        self._jobs = jobs
        self._session = session
        self._settings = settings
        self._advance = advance

    def __iter__(self) -> Iterator[ClipOutcome]:
        """Yield one outcome an input, in order; after the first error none with ``fail_fast``."""
        return one_by_one(
            self._jobs,
            self._explain,
            lambda job, error: ClipOutcome(job, error=error),
            fail_fast=self._settings.fail_fast,
        )

    def _explain(self, job: Job) -> ClipOutcome:
        if job.input is None:
            raise InputError("a clip cannot be read from standard input", "save it in a file and give its path")
        is_gif = all(path.suffix == ".gif" for path in job.outputs.values())
        with _Animation(job, self._settings) if is_gif else _Video(job, self._settings) as clip:
            started = time.perf_counter()
            found = survey(clip.samples(), self._session, self._settings, recur=clip.samples_recur)
            tracks = found.tracks
            with ExitStack() as stack:
                # A kind's results for all tracks stand together in the plan.
                outputs = [list(job.outputs.items())[position :: len(tracks)] for position in range(len(tracks))]
                sinks = [
                    [clip.sink(key.partition("_")[0], path, track, stack) for key, path in mine]
                    for track, mine in zip(tracks, outputs, strict=True)
                ]
                frames: Iterable[Any] = clip.frames()
                tally = explain_clip(
                    frames, sinks, self._session, self._settings, found,
                    lambda tally: self._advance(job, tally, clip.count),
                )  # fmt: skip
            seconds = time.perf_counter() - started
            explanations = [
                ClipExplanation(
                    job.given, self._session, found, position, tally, clip.size, seconds, clip.skipped,
                    {key.partition("_")[0]: path for key, path in mine},
                )
                for position, mine in enumerate(outputs)
            ]  # fmt: skip
            return ClipOutcome(job, explanations, notes=tuple(clip.notes))


def _gif_sink(
    kind: str, path: Path, size: Size, loop: int | None, track: Track, settings: ClipSettings, stack: ExitStack
) -> Sink[Any]:
    kind = kind.partition(".")[0]
    grey = np.repeat(np.arange(256, dtype=np.uint8)[:, None], 3, axis=1)
    palette = {"grayscale": grey, "heatmap": colormap(settings.render.colormap)}.get(kind)
    size = settings.gif_size(size)
    writer = GifWriter(
        path,
        shown_size(size, kind, settings),
        loop=None if loop is None else min(loop, MOST_LOOPS),  # other formats count further
        palette=palette,
        keep_partial=settings.keep_partial,
    )
    return GifSink(stack.enter_context(writer), kind, size, settings, blank=track.blank is not None)


class _Video:
    """A video file as the run needs it."""

    def __init__(self, job: Job, settings: ClipSettings) -> None:
        assert job.input is not None
        self._settings = settings
        self._reader = VideoReader(
            job.input,
            start=settings.start,
            end=settings.end,
            stride=settings.stride,
            fps=settings.fps,
            max_size=settings.max_size,
            name=job.name,
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

    def samples(self) -> Iterator[VideoFrame]:
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
class _Drawn:
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

    def __init__(self, job: Job, settings: ClipSettings) -> None:
        assert job.input is not None
        self._settings = settings
        self._reader = AnimationReader(job.input, job.name, settings.max_pixels, settings.max_frames)
        self.size = self._reader.info.size
        self.count = self._reader.info.frames
        self.samples_recur = True
        self.notes = list(self._reader.info.notes)
        self.skipped = 0

    def __enter__(self) -> _Animation:
        return self

    def __exit__(self, *error: object) -> None:
        self._reader.close()

    def _drawn(self) -> Iterator[_Drawn]:
        start, end = self._settings.start or 0, self._settings.end
        for position, frame in enumerate(self._reader):
            if end is not None and frame.time >= end:
                return
            if frame.time + frame.duration > start and position % self._settings.stride == 0:
                yield _Drawn(frame.pixels, frame.time, frame.duration)

    def samples(self) -> Iterator[_Drawn]:
        step = max(1, (self.count or 1) // SAMPLES)
        return islice(islice(self._drawn(), 0, None, step), 2 * SAMPLES)

    def frames(self) -> Iterator[_Drawn]:
        yield from self._drawn()
        if self._reader.damage:
            self.notes.append(self._reader.damage)

    def sink(self, kind: str, path: Path, track: Track, stack: ExitStack) -> Sink[Any]:
        return _gif_sink(kind, path, self.size, self._reader.info.loop, track, self._settings, stack)
