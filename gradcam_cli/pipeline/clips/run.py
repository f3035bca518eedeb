"""The run over clips: one after the other, each from file to files."""

from __future__ import annotations

import time
from contextlib import ExitStack
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from gradcam_cli.pipeline.clips.engine import explain_clip
from gradcam_cli.pipeline.clips.explanation import ClipExplanation
from gradcam_cli.pipeline.clips.sources import open_clip
from gradcam_cli.pipeline.clips.survey import survey
from gradcam_cli.pipeline.outcome import one_by_one

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from gradcam_cli.errors import GradcamError
    from gradcam_cli.pipeline.clips.engine import Tally
    from gradcam_cli.pipeline.session import Session
    from gradcam_cli.pipeline.settings import ClipSettings
    from gradcam_cli.records import Job

    Advance = Callable[[Job, Tally, int | None], None]
    """Told of the job, what is done of it, and how many frames there will be, where that is known."""


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
