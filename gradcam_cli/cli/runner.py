"""The run of a plan, shared by commands: load the network, report each input's outcome, return the exit code."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any, TypeAlias

from gradcam_cli.cli.console import option_hint
from gradcam_cli.cli.tuning import collect_from_now, hold_memory
from gradcam_cli.errors import ExitCode, GradcamError
from gradcam_cli.text import printable

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence
    from pathlib import Path

    from gradcam_cli.cli.console import Console
    from gradcam_cli.pipeline.explanation import AnyExplanation
    from gradcam_cli.pipeline.outcome import Outcome
    from gradcam_cli.pipeline.session import Session
    from gradcam_cli.pipeline.settings import ModelSettings
    from gradcam_cli.plan.make import Plan
    from gradcam_cli.records import Job

    Outcomes: TypeAlias = Callable[[Session, Sequence[Job]], Iterable[Outcome]]
    """Function that makes the run over jobs with a loaded network."""


MAX_LISTED_LAYERS = 6
"""Most layers that are listed one by one; of more, only the first and the last are."""


class CommandRunner:
    """Runs a plan's jobs, reports their outcomes, and determines the exit code."""

    def __init__(self, console: Console, plan: Plan, *, as_json: bool) -> None:
        self._console = console
        self._plan = plan
        self._as_json = as_json
        self._done = 0
        self._failed: list[str] = []

    def run(self, model: ModelSettings, outcomes: Outcomes, *, fail_fast: bool, bar: bool = True) -> int:
        """Run the jobs and return the exit code.

        Args:
            model: the network to load.
            outcomes: makes the run over the plan's jobs.
            fail_fast: whether an input that failed in the plan ends the run before it begins.
            bar: whether a bar counts the inputs.
        """
        left = self._plan.search.left
        if left:
            many = f"{len(left)} animations are" if len(left) > 1 else f"{left[0]}, an animation, is"
            self._console.info(f"note: {printable(many)} passed over: 'gradcam gif' explains animations")
        for given, error in self._plan.failed:
            self._fail(given, error)
        if self._failed and fail_fast:
            return ExitCode.FAILED
        started = time.perf_counter()
        if self._plan.jobs:
            self._explain(model, outcomes, bar=bar)
        self._sum_up(time.perf_counter() - started)
        if not self._failed:
            return ExitCode.OK
        return ExitCode.PARTIAL if self._done or self._plan.skipped else ExitCode.FAILED

    def load(self, model: ModelSettings) -> Session:
        """Load a network and report which it is."""
        from gradcam_cli.pipeline.session import Session

        collect_from_now()
        with self._console.download() as progress:
            session = Session(model, progress=progress, passes=self._console.steps, warn=self._console.warning)
        self._announce(session)
        return session

    def _explain(self, model: ModelSettings, outcomes: Outcomes, *, bar: bool) -> None:
        hold_memory()
        session = self.load(model)
        if self._plan.options.parts is None:
            self._plan = self._plan.with_parts(session.settings.parts or ())
        jobs = self._plan.jobs
        with self._console.progress(len(jobs) if bar else 0, "explaining") as advance:
            for outcome in outcomes(session, jobs):
                self._report(outcome)
                advance()

    def _announce(self, session: Session) -> None:
        for note in session.notes:
            self._console.info(f"note: {note}")
        layers = session.explainer.layers
        names = ", ".join(layer.name for layer in layers)
        if len(layers) > MAX_LISTED_LAYERS:
            names = f"{layers[0].name} to {layers[-1].name} ({len(layers)})"
        self._console.info(f"model {session.network.name} ({session.network.weights.source}), layer {names}")
        for layer in layers:
            self._console.debug(f"layer {layer.name}: {layer.reason}")

    def _report(self, outcome: Outcome) -> None:
        if outcome.error is not None:
            self._fail(outcome.job.given, outcome.error)
            return
        from gradcam_cli.pipeline.explanation import as_json

        self._done += 1
        for note in outcome.notes:
            self._console.info(f"note: {outcome.job.name}: {note}")
        if len(self._plan.jobs) == 1:
            self._console.table(outcome.explanations)
        else:
            self._console.lines(outcome.explanations)
        for explanation in outcome.explanations:
            self._warn_of_blank(outcome.job.name, explanation, several=len(outcome.explanations) > 1)
            if self._as_json:
                self._console.result(as_json(explanation.record()))
        if not self._as_json:
            self._print_paths(dict.fromkeys(path for each in outcome.explanations for path in each.files.values()))

    def _warn_of_blank(self, name: str, explanation: AnyExplanation, *, several: bool) -> None:
        if explanation.blank:
            where = f" at {explanation.layer} by {explanation.method}" if several else ""
            self._console.warning(
                f"{name}: the map for {explanation.target.label}{where} is blank: {explanation.blank}"
            )

    def _print_paths(self, paths: Any) -> None:  # noqa: ANN401
        path: Path
        for path in paths:
            self._console.result(str(path))

    def _fail(self, given: str, error: GradcamError) -> None:
        self._failed.append(given)
        self._console.error(error)
        if self._as_json:
            from gradcam_cli.pipeline.explanation import as_json

            self._console.result(
                as_json({"input": given, "error": {"message": error.message, "hint": option_hint(error)}})
            )

    def _sum_up(self, seconds: float) -> None:
        total = len(self._plan.jobs) + self._plan.skipped + len(self._plan.failed)
        if total < 2:
            return
        parts = [f"{self._done} done in {seconds:.1f} s"]
        if self._plan.skipped:
            parts.append(f"{self._plan.skipped} skipped, their files exist")
        if self._failed:
            parts.append(f"{len(self._failed)} failed")
        self._console.info(", ".join(parts))
