"""The run over clips, one after the other, each from its file to the files of results."""

from __future__ import annotations

import time
from contextlib import ExitStack
from dataclasses import replace
from typing import TYPE_CHECKING

from gradcam_cli.pipeline.clips.engine import explain_clip
from gradcam_cli.pipeline.clips.explanation import ClipExplanation
from gradcam_cli.pipeline.clips.outputs import open_output
from gradcam_cli.pipeline.clips.sources.registry import open_source
from gradcam_cli.pipeline.clips.survey import survey
from gradcam_cli.pipeline.outcome import Outcome, one_by_one

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator
    from pathlib import Path

    from gradcam_cli.pipeline.clips.engine import Tally
    from gradcam_cli.pipeline.session import Session
    from gradcam_cli.pipeline.settings import ClipSettings
    from gradcam_cli.records import FileState, Job

    Advance = Callable[[Job, Tally, int | None], None]
    """Called with the job, its tally, and the total number of frames, None where that is not known."""


class ClipRun:
    """One run over clips; iterate over it, once, for the outcomes.

    Args:
        jobs: the inputs, in order.
        session: the network.
        settings: how clips are explained and shown.
        advance: called after each frame.
    """

    def __init__(self, jobs: Iterable[Job], session: Session, settings: ClipSettings, advance: Advance) -> None:
        self._jobs = jobs
        self._session = session
        self._settings = settings
        self._advance = advance

    def __iter__(self) -> Iterator[Outcome]:
        """Yield one outcome an input, in order; after the first error none with ``fail_fast``."""
        return one_by_one(self._jobs, self._explain, fail_fast=self._settings.fail_fast)

    def _explain(self, job: Job) -> Outcome:
        written: dict[Path, FileState] = {}
        with open_source(job, self._settings) as source:
            started = time.perf_counter()
            found = survey(source.samples(), self._session, self._settings, recur=source.samples_recur)
            outputs = job.by_part()
            shown = replace(source.info, size=self._settings.shown(source.info.size))
            with ExitStack() as stack:
                sinks = [
                    [
                        open_output(
                            output, shown, self._settings, stack, blank=track.blank is not None, written=written
                        )
                        for output in mine
                    ]
                    for track, mine in zip(found.tracks, outputs, strict=True)
                ]
                tally = explain_clip(
                    source.frames(), sinks, self._session, self._settings, found,
                    lambda tally: self._advance(job, tally, source.info.frames),
                )  # fmt: skip
            seconds = time.perf_counter() - started
            geometry = self._session.geometry(source.info.size).for_source(shown.size)
            of_outputs = (note for each in sinks for sink in each for note in sink.notes)
            notes = tuple(dict.fromkeys([*source.notes, *of_outputs]))
            explanations = [
                ClipExplanation(
                    job.given, self._session, found, position, tally, geometry, seconds, source.skipped,
                    source.complete, notes, {output.key: output.path for output in mine},
                )
                for position, mine in enumerate(outputs)
            ]  # fmt: skip
            return Outcome(job, explanations, notes=notes, written=written)
