"""``gradcam compare``: one figure of many maps."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import click

from gradcam_cli.cli.options.network import models_options
from gradcam_cli.cli.options.settings import model_settings, plan_for, render_settings
from gradcam_cli.cli.options.shared import (
    compare_options,
    input_options,
    output_options,
    render_options,
    run_options,
)
from gradcam_cli.cli.options.types import SectionCommand
from gradcam_cli.cli.runner import CommandRunner
from gradcam_cli.errors import UsageError
from gradcam_cli.media.suffixes import ANIMATION_SUFFIXES, picture_suffixes
from gradcam_cli.pipeline.result_settings import ResultSettings
from gradcam_cli.pipeline.settings import CompareSettings, axes_for
from gradcam_cli.records import Part

if TYPE_CHECKING:
    from collections.abc import Generator, Sequence

    from gradcam_cli.pipeline.outcome import Outcome
    from gradcam_cli.pipeline.session import Session
    from gradcam_cli.pipeline.settings import ModelSettings
    from gradcam_cli.records import Job

USUAL_METHODS = ("gradcam", "gradcam++", "hirescam", "layercam", "eigencam", "ablationcam")
"""Methods that are compared by default."""

EXAMPLES = """\b
Examples:
  gradcam compare dog.jpg
  gradcam compare dog.jpg -t 'bull mastiff' -t 'tiger cat' --method gradcam --method layercam
  gradcam compare dog.jpg --layer layer2 --layer layer3 --layer layer4 -m resnet50 --rows layers
  gradcam compare dog.jpg -m resnet50 -m vit_b_16 -m convnext_tiny -t 'golden retriever'
"""


@click.command(short_help="Put maps side by side in one labelled figure.", cls=SectionCommand, epilog=EXAMPLES)
@click.argument("inputs", metavar="PATH...", nargs=-1)
@input_options
@output_options
@compare_options
@models_options
@render_options
@run_options
def compare(inputs: tuple[str, ...], **options: Any) -> int:  # noqa: ANN401
    """Put methods, layers, classes or networks side by side in one labelled figure.

    Give two or more values of one or two of these options: --method, --layer, --target, --model. Without any, six
    methods are compared. Each map is computed on its own, and its time is written under it.
    """
    models = _models(options)
    settings = CompareSettings(
        rows=options["rows"],
        columns=options["columns"],
        width=options["width"],
        fail_fast=options["fail_fast"],
        max_pixels=options["max_pixels"],
        render=render_settings(options),
    )
    axes_for(models[0].counts(len(models)), settings.rows, settings.columns)  # before a network is loaded
    kinds = tuple(f"compare.{suffix}" for suffix in options["formats"])
    shown = models[0]
    together = Part("+".join(shown.layers), "+".join(each.name for each in shown.targets), "+".join(shown.methods))
    results = ResultSettings("compare", tuple(models), (settings,), together)
    plan = plan_for(
        inputs, options, results, kinds=kinds, suffixes=picture_suffixes(), second=ANIMATION_SUFFIXES,
        picture_format="png", expected="picture",
    )  # fmt: skip
    runner = CommandRunner(plan, results, options)

    def outcomes(session: Session, jobs: Sequence[Job]) -> Generator[Outcome, None, None]:
        from gradcam_cli.pipeline.images.compare import CompareRun

        yield from CompareRun(jobs, [session, *(runner.load(model) for model in models[1:])], settings)

    return runner.run(outcomes, fail_fast=settings.fail_fast)


def _models(options: dict[str, Any]) -> list[ModelSettings]:
    """Return the settings of each network.

    Raises:
        UsageError: a checkpoint or arguments are given for several.
    """
    names = tuple(dict.fromkeys(options["models"]))
    if len(names) > 1 and options["weights"] is not None:
        raise UsageError("--weights belongs to one network, and several are compared", "give one --model with it")
    if len(names) > 1 and options["arguments"]:
        raise UsageError("--model-arg belongs to one network, and several are compared", "give one --model with it")
    first = model_settings({**options, "model": names[0]})
    several = max(first.counts(len(names)).values()) > 1
    given = click.get_current_context().get_parameter_source("methods") is click.core.ParameterSource.COMMANDLINE
    if not (several or given):
        first = replace(first, methods=USUAL_METHODS)
    return [replace(first, model=name) for name in names]
