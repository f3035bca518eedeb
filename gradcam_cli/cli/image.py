"""``gradcam image``: still pictures."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

import click

from gradcam_cli.cli.console import Voice, print_result
from gradcam_cli.cli.options import (
    SectionCommand,
    flat,
    input_options,
    model_options,
    output_options,
    render_options,
    run_options,
)
from gradcam_cli.errors import ExitCode, GradcamError
from gradcam_cli.media.suffixes import PICTURE_SUFFIXES
from gradcam_cli.pipeline.plan import OutputOptions, Plan, make_plan
from gradcam_cli.pipeline.settings import ModelSettings, RenderSettings, RunSettings

if TYPE_CHECKING:
    from pathlib import Path

    from gradcam_cli.pipeline.run import Outcome
    from gradcam_cli.pipeline.session import Session


EXAMPLES = """\b
Examples:
  gradcam image cat.jpg
  gradcam image photos/ --recursive -o maps --skip-existing
  gradcam image dog.jpg -m resnet50 -t 'golden retriever' --colormap turbo
  gradcam image scan.png -m resnet18 -w mine.pth --labels classes.txt --json
  curl -s https://example.org/dog.jpg | gradcam image -
"""


@click.command(cls=SectionCommand, epilog=EXAMPLES)
@click.argument("inputs", metavar="PATH...", nargs=-1)
@input_options
@output_options
@model_options
@render_options
@run_options
def image(inputs: tuple[str, ...], **chosen: Any) -> int:  # noqa: ANN401
    """Explain pictures: files, directories, quoted globs, or - for a picture on stdin.

    For each picture a grayscale map, a heatmap and an overlay are written; their paths go to stdout, the predicted
    classes to stderr.
    """
    model = ModelSettings(
        model=chosen["model"],
        weights=chosen["weights"],
        labels=chosen["labels"],
        layers=tuple(dict.fromkeys(chosen["layers"])),
        targets=flat(chosen["targets"]),
        method=chosen["method"],
        fit=chosen["fit"],
        input_size=chosen["input_size"],
        device=chosen["device"],
    )
    render = RenderSettings(
        kinds=chosen["save"],
        format=chosen["picture_format"],
        colormap=chosen["colormap"],
        alpha=chosen["alpha"],
        by_intensity=chosen["alpha_by_intensity"],
        normalize=chosen["normalize"],
        quality=chosen["quality"],
    )
    if chosen["skip_existing"] and chosen["no_overwrite"]:
        raise click.UsageError("--skip-existing and --no-overwrite exclude each other")
    outputs = OutputOptions(
        directory=chosen["output_dir"],
        kinds=render.kinds,
        format=render.format,
        parts=model.parts,
        policy="skip" if chosen["skip_existing"] else "refuse" if chosen["no_overwrite"] else "replace",
        name_from=chosen["name_from"],
    )
    plan = make_plan(
        inputs,
        suffixes=PICTURE_SUFFIXES,
        options=outputs,
        from_file=chosen["from_file"],
        recursive=chosen["recursive"],
    )
    voice = Voice(quiet=chosen["quiet"], verbose=chosen["verbose"])
    settings = RunSettings(batch_size=chosen["batch_size"], fail_fast=chosen["fail_fast"], render=render)
    return _Report(voice, plan, as_json=chosen["as_json"]).work(model, settings)


class _Report:
    """Does the plan's work, says what comes of it, and knows the exit code."""

    def __init__(self, voice: Voice, plan: Plan, *, as_json: bool) -> None:
        self._voice = voice
        self._plan = plan
        self._as_json = as_json
        self._done = 0
        self._failed: list[str] = []

    def work(self, model: ModelSettings, settings: RunSettings) -> int:
        for name, error in self._plan.failed:
            self._fail(name, error)
        if self._failed and settings.fail_fast:
            return ExitCode.FAILED
        started = time.perf_counter()
        if self._plan.jobs:
            self._explain(model, settings)
        self._sum_up(time.perf_counter() - started)
        if not self._failed:
            return ExitCode.OK
        return ExitCode.PARTIAL if self._done or self._plan.skipped else ExitCode.FAILED

    def _explain(self, model: ModelSettings, settings: RunSettings) -> None:
        from gradcam_cli.pipeline.run import Run
        from gradcam_cli.pipeline.session import Session

        with self._voice.download() as progress:
            session = Session(model, progress=progress)
        self._introduce(session)
        jobs = self._plan.jobs
        with self._voice.progress(len(jobs), "explaining") as advance:
            for outcome in Run(jobs, session, settings):
                self._tell(outcome)
                advance()

    def _introduce(self, session: Session) -> None:
        for note in session.notes:
            self._voice.say(f"note: {note}")
        layers = session.explainer.layers
        names = ", ".join(layer.name for layer in layers)
        self._voice.say(f"model {session.network.name} ({session.network.weights.source}), layer {names}")
        for layer in layers:
            self._voice.explain(f"layer {layer.name}: {layer.reason}")

    def _tell(self, outcome: Outcome) -> None:
        if outcome.error is not None:
            self._fail(outcome.job.name, outcome.error)
            return
        from gradcam_cli.pipeline.results import as_json

        self._done += 1
        for note in outcome.notes:
            self._voice.say(f"note: {outcome.job.name}: {note}")
        if len(self._plan.jobs) == 1:
            self._voice.table(outcome.explanations)
        for explanation in outcome.explanations:
            if len(self._plan.jobs) > 1:
                self._voice.line(explanation)
            if explanation.blank:
                self._voice.warn(
                    f"{outcome.job.name}: the map for {explanation.target.label} is blank: {explanation.blank}"
                )
            if self._as_json:
                print_result(as_json(explanation.record()))
            else:
                self._print_paths(explanation.files.values())

    @staticmethod
    def _print_paths(paths: Any) -> None:  # noqa: ANN401
        path: Path
        for path in paths:
            print_result(str(path))

    def _fail(self, name: str, error: GradcamError) -> None:
        self._failed.append(name)
        self._voice.error(error)
        if self._as_json:
            from gradcam_cli.pipeline.results import as_json

            print_result(as_json({"input": name, "error": {"message": error.message, "hint": error.hint}}))

    def _sum_up(self, seconds: float) -> None:
        total = len(self._plan.jobs) + self._plan.skipped + len(self._plan.failed)
        if total < 2:
            return
        parts = [f"{self._done} done in {seconds:.1f} s"]
        if self._plan.skipped:
            parts.append(f"{self._plan.skipped} skipped, their files exist")
        if self._failed:
            parts.append(f"{len(self._failed)} failed")
        self._voice.say(", ".join(parts))
