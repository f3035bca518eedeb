"""The run over clips: one after the other, each from file to files."""

from __future__ import annotations

import time
from contextlib import ExitStack
from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING, Any

from gradcam_cli._version import __version__
from gradcam_cli.models.load import versions
from gradcam_cli.pipeline.clip import explain_clip
from gradcam_cli.pipeline.clip_files import open_clip
from gradcam_cli.pipeline.results import TOP
from gradcam_cli.pipeline.run import one_by_one
from gradcam_cli.pipeline.survey import survey

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator
    from pathlib import Path

    from gradcam_cli.errors import GradcamError
    from gradcam_cli.pipeline.clip import Tally
    from gradcam_cli.pipeline.session import Session
    from gradcam_cli.pipeline.settings import ClipSettings
    from gradcam_cli.pipeline.survey import Survey, Track
    from gradcam_cli.records import Job, Prediction, Size

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
        with open_clip(job, self._settings) as clip:
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
                tally = explain_clip(
                    clip.frames(), sinks, self._session, self._settings, found,
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
