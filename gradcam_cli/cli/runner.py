"""The run of a plan, shared by commands: load the network, report each input's outcome, return the exit code."""

from __future__ import annotations

import time
from contextlib import ExitStack, closing, contextmanager
from dataclasses import replace
from functools import partial
from pathlib import Path
from shutil import rmtree
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any, TypeAlias

from gradcam_cli.cli.console import Console, option_hint, print_bytes
from gradcam_cli.cli.entry import clean_ups
from gradcam_cli.cli.tuning import collect_from_now, hold_memory
from gradcam_cli.errors import ExitCode, GradcamError, OutputError
from gradcam_cli.plan.output_names import STDOUT
from gradcam_cli.store.writing import Recorder
from gradcam_cli.text import counted, printable

if TYPE_CHECKING:
    from collections.abc import Callable, Generator, Iterator, Mapping, Sequence

    from gradcam_cli.pipeline.json_record import AnyExplanation
    from gradcam_cli.pipeline.outcome import Outcome
    from gradcam_cli.pipeline.recording import RunRecords
    from gradcam_cli.pipeline.result_settings import ResultSettings
    from gradcam_cli.pipeline.session import Session
    from gradcam_cli.pipeline.settings import ModelSettings
    from gradcam_cli.plan.make import Plan
    from gradcam_cli.records import Job, Part

    Outcomes: TypeAlias = Callable[[Session, Sequence[Job]], Generator[Outcome, None, None]]
    """Function that makes the run over jobs with a loaded network."""


MAX_LISTED_LAYERS = 6
"""Most layers that are listed one by one; of more, only the first and the last are."""
MAX_SUFFIXES = 8
"""Most suffixes of files passed over that are listed."""


class CommandRunner:
    """Runs a plan's jobs, reports their outcomes, and determines the exit code."""

    def __init__(self, plan: Plan, results: ResultSettings, options: Mapping[str, Any]) -> None:
        self.console = Console(quiet=options["quiet"], verbose=options["verbose"])
        self._plan = plan
        self._results = results
        self._as_json: bool = options["as_json"]
        self._recorded: bool = plan.options.records and bool(plan.options.kinds)
        self._records: RunRecords | None = None
        self._done = 0
        self._failed: list[str] = []

    def run(self, outcomes: Outcomes, *, fail_fast: bool, bar: bool = True) -> int:
        """Run the jobs and return the exit code.

        Args:
            outcomes: makes the run over the plan's jobs.
            fail_fast: whether an input that failed ends the run: one of the plan before it begins.
            bar: whether a bar counts the inputs.
        """
        left = self._plan.search.left
        if left:
            many = f"{len(left)} animations are" if len(left) > 1 else f"{left[0]}, an animation, is"
            self.console.info(f"note: {printable(many)} passed over: 'gradcam gif' explains animations")
        passed = self._plan.search.passed
        if passed:
            kinds = ", ".join(f"{printable(suffix)} {count}" for suffix, count in passed.most_common(MAX_SUFFIXES))
            more = ", …" if len(passed) > MAX_SUFFIXES else ""
            self.console.info(f"note: {counted(passed.total(), 'other file')} passed over: {kinds}{more}")
        for given, error in self._plan.failed:
            self._fail(given, error)
        if self._failed and fail_fast:
            return ExitCode.FAILED
        started = time.perf_counter()
        if self._plan.jobs:
            self._explain(outcomes, fail_fast=fail_fast, bar=bar)
        else:
            self._note_existing()
        self._sum_up(time.perf_counter() - started)
        if not self._failed:
            return ExitCode.OK
        return ExitCode.PARTIAL if self._done or self._plan.skipped else ExitCode.FAILED

    def load(self, model: ModelSettings) -> Session:
        """Load a network and report which it is."""
        from gradcam_cli.pipeline.session import Session

        collect_from_now()
        with self.console.download() as progress:
            session = Session(model, progress=progress, passes=self.console.steps, warn=self.console.warning)
        if self._recorded or self._as_json:
            session.network.weights.sha256()  # now: a training run may replace the file before the first result
        self._announce(session)
        return session

    def _explain(self, outcomes: Outcomes, *, fail_fast: bool, bar: bool) -> None:
        hold_memory()
        session = self.load(self._results.models[0])
        hash_of = self._revise(session)
        self._note_existing()
        jobs = self._plan.jobs
        with ExitStack() as stack:
            if self._plan.options.file == STDOUT:
                folder = stack.enter_context(_temporary_folder())
                jobs = [_written_to(folder, job) for job in jobs]
            if self._recorded and jobs:
                from gradcam_cli.pipeline.recording import RunRecords

                directory = self._plan.options.directory
                recorder = stack.enter_context(Recorder(directory))
                self._records = RunRecords(recorder, directory, self._results, hash_of)
            advance = stack.enter_context(self.console.progress(len(jobs) if bar else 0, "explaining"))
            # Closed at once when anything is raised here, so that the results which are being written become whole.
            for outcome in stack.enter_context(closing(outcomes(session, jobs))):
                self._report(outcome, fail_fast=fail_fast)
                advance()

    def _revise(self, session: Session) -> Callable[[Part], str]:
        """Plan anew where more is known now: the names of all layers, or which network it is; return the hashes."""
        options = self._plan.options
        self._results = self._results.of_session(session.settings)
        parts = self._results.parts or ()
        hash_of = self._results.hashes()
        if self._recorded:
            hash_of(parts[0])  # now, for the same reason as in `load`
        if options.parts is None or (options.policy == "skip" and hash_of(parts[0]) != self._planned_hash(parts[0])):
            self._plan = self._plan.revised(parts, hash_of)
        return hash_of

    def _planned_hash(self, part: Part) -> str | None:
        hash_of = self._plan.options.hash_of
        return hash_of(part) if hash_of else None

    def _note_existing(self) -> None:
        for note in self._plan.notes:
            self.console.info(f"note: {note}")

    def _announce(self, session: Session) -> None:
        for note in session.notes:
            self.console.info(f"note: {note}")
        layers = session.explainer.layers
        names = ", ".join(layer.name for layer in layers)
        if len(layers) > MAX_LISTED_LAYERS:
            names = f"{layers[0].name} to {layers[-1].name} ({len(layers)})"
        self.console.info(f"model {session.network.name} ({session.network.weights.source}), layer {names}")
        for layer in layers:
            self.console.debug(f"layer {layer.name}: {layer.reason}")

    def _report(self, outcome: Outcome, *, fail_fast: bool) -> None:
        error = outcome.error or self._record(outcome, fail_fast=fail_fast)
        if error is not None:
            self._fail(outcome.job.given, error)
            return
        from gradcam_cli.pipeline.json_record import as_json

        self._done += 1
        for note in outcome.notes:
            self.console.info(f"note: {outcome.job.name}: {note}")
        if len(self._plan.jobs) == 1:
            self.console.table(outcome.explanations)
        else:
            self.console.lines(outcome.explanations)
        for explanation in outcome.explanations:
            self._warn_of_blank(outcome.job.name, explanation, several=len(outcome.explanations) > 1)
            if self._as_json:
                self.console.result(as_json(explanation.record()))
        if self._plan.options.file == STDOUT:
            for path in outcome.job.paths:
                print_bytes(path.read_bytes())
        elif not self._as_json:
            self._print_paths(dict.fromkeys(path for each in outcome.explanations for path in each.files.values()))

    def _record(self, outcome: Outcome, *, fail_fast: bool) -> OutputError | None:
        """Record an input's results; return the error where that is not possible, and these count as not made."""
        if self._records is None:
            return None
        try:
            self._records.add(outcome)
        except OutputError as error:
            if fail_fast:
                raise
            return error
        return None

    def _warn_of_blank(self, name: str, explanation: AnyExplanation, *, several: bool) -> None:
        if explanation.blank:
            where = f" at {explanation.layer} by {explanation.method}" if several else ""
            self.console.warning(f"{name}: the map for {explanation.target.label}{where} is blank: {explanation.blank}")

    def _print_paths(self, paths: Any) -> None:  # noqa: ANN401
        path: Path
        for path in paths:
            self.console.result(str(path))

    def _fail(self, given: str, error: GradcamError) -> None:
        self._failed.append(given)
        self.console.error(error)
        if self._as_json:
            from gradcam_cli.pipeline.json_record import as_json

            self.console.result(
                as_json({"input": given, "error": {"message": error.message, "hint": option_hint(error)}})
            )

    def _sum_up(self, seconds: float) -> None:
        skipped = self._plan.skipped
        if len(self._plan.jobs) + skipped + len(self._plan.failed) < 2 and not skipped:
            return
        parts = [f"{self._done} done in {seconds:.1f} s"] if self._plan.jobs or not skipped else []
        if skipped:
            parts.append(f"{skipped} skipped, {'its' if skipped == 1 else 'their'} files exist")
        if self._failed:
            parts.append(f"{len(self._failed)} failed")
        self.console.info(", ".join(parts))


@contextmanager
def _temporary_folder() -> Iterator[Path]:
    """Yield a directory that is removed at the end, also where a signal ends the process at once."""
    with TemporaryDirectory(prefix="gradcam-", ignore_cleanup_errors=True) as folder:
        clean_up = partial(rmtree, folder, ignore_errors=True)
        clean_ups.append(clean_up)
        try:
            yield Path(folder)
        finally:
            clean_ups.remove(clean_up)


def _written_to(folder: Path, job: Job) -> Job:
    """Return a job whose files are made in a directory, for standard output: some formats are not written in order."""
    return replace(job, outputs=tuple(replace(each, path=folder / f"result.{each.container}") for each in job.outputs))
