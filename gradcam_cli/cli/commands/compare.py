"""``gradcam compare``: one figure of many maps."""

from __future__ import annotations

import os
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import click

from gradcam_cli.cli.options.network import models_options
from gradcam_cli.cli.options.output import FIGURES, for_one_file
from gradcam_cli.cli.options.settings import plan_for, render_settings
from gradcam_cli.cli.options.several_models import OrderedCommand, networks_of
from gradcam_cli.cli.options.shared import (
    compare_options,
    input_options,
    output_options,
    render_options,
    run_options,
)
from gradcam_cli.cli.runner import CommandRunner
from gradcam_cli.errors import UsageError
from gradcam_cli.media.suffixes import ANIMATION_SUFFIXES, picture_suffixes
from gradcam_cli.pipeline.result_settings import ResultSettings
from gradcam_cli.pipeline.settings import COMPARED, CompareSettings, axes_for
from gradcam_cli.records import Part
from gradcam_cli.text import quoted

if TYPE_CHECKING:
    from collections.abc import Generator, Sequence

    from gradcam_cli.pipeline.outcome import Outcome
    from gradcam_cli.pipeline.session import Session
    from gradcam_cli.pipeline.settings import ModelSettings
    from gradcam_cli.records import Job

EXAMPLES = """\b
Examples:
  gradcam compare dog.jpg
  gradcam compare dog.jpg -t 'bull mastiff' -t 'tiger cat' --method gradcam --method layercam
  gradcam compare dog.jpg --layer layer2 --layer layer3 --layer layer4 -m resnet50 --rows layers
  gradcam compare dog.jpg -m resnet50 -m vit_b_16 -m convnext_tiny -t 'golden retriever'
  gradcam compare a.jpg b.jpg c.jpg --rows inputs -w before.pth -w after.pth --format svg
"""


@click.command(short_help="Put maps side by side in one labelled figure.", cls=OrderedCommand, epilog=EXAMPLES)
@click.argument("inputs", metavar="PATH...", nargs=-1)
@input_options
@output_options
@compare_options
@models_options
@render_options
@run_options
def compare(inputs: tuple[str, ...], **options: Any) -> int:  # noqa: ANN401
    """Put methods, layers, classes, networks or pictures side by side in one labelled figure.

    Give two or more values of one or two of these options: --method, --layer, --target, --model. Without any, seven
    methods are compared. Each picture has a figure of its own, unless --rows inputs puts them all into one.
    """
    options = for_one_file(options, FIGURES, format_option="formats")
    together = options["rows"] == "inputs"
    pictures = 2 if together else 1  # of a figure; how many they are is not known yet
    if together and options["skip_existing"]:
        raise UsageError("a figure of several pictures is always made anew", "leave --skip-existing out")
    models = _models(options, pictures)
    settings = CompareSettings(
        rows=options["rows"],
        columns=options["columns"],
        width=options["width"],
        inputs=tuple(os.path.basename(name) for name in inputs) if together else (),
        title=options["title"],
        names=options["names"],
        times=options["times"],
        metadata=not options["no_metadata"],
        fail_fast=options["fail_fast"],
        max_pixels=options["max_pixels"],
        render=render_settings(options),
    )
    axes_for(models[0].counts(len(models), pictures), settings.rows, settings.columns)  # nothing is loaded
    _check_names(settings, models)
    kinds = tuple(f"compare.{suffix}" for suffix in options["formats"])
    shown = models[0]
    targets = "+".join(each.name for each in shown.targets)
    part = Part("+".join(shown.layers), targets, "+".join(shown.methods), "inputs" if together else "")
    results = ResultSettings("compare", tuple(models), (settings,), part)
    plan = plan_for(
        inputs, options, results, kinds=kinds, suffixes=picture_suffixes(), second=ANIMATION_SUFFIXES,
        picture_format="png", expected="picture", joined=together,
    )  # fmt: skip
    runner = CommandRunner(plan, results, options)

    def outcomes(session: Session, jobs: Sequence[Job]) -> Generator[Outcome, None, None]:
        from gradcam_cli.pipeline.images.compare import CompareRun

        yield from CompareRun(jobs, [session, *(runner.load(model) for model in models[1:])], settings)

    return runner.run(outcomes, fail_fast=settings.fail_fast)


def _models(options: dict[str, Any], inputs: int) -> list[ModelSettings]:
    """Return the settings of each network; without anything to compare, of the usual methods."""
    networks = networks_of(options)
    several = max(networks[0].counts(len(networks), inputs).values()) > 1
    given = click.get_current_context().get_parameter_source("methods") is click.core.ParameterSource.COMMANDLINE
    if several or given:
        return networks
    return [replace(network, methods=COMPARED) for network in networks]


def _check_names(settings: CompareSettings, models: list[ModelSettings]) -> None:
    """Raise UsageError where a name is for something that the figure does not have."""
    known = [part for name in settings.inputs for part in (name, os.path.splitext(name)[0])]
    for model in models:
        files = [model.weights.name, model.weights.stem] if model.weights else []
        classes = [target.name for target in model.targets]
        methods = [part for method in model.methods for part in (method, method.partition(":")[0])]
        known += [model.model, *files, *model.layers, *classes, *methods]
    unknown = [thing for thing, _ in settings.names if thing not in known]
    if unknown:
        raise UsageError(
            f"{quoted(unknown[0])} is nothing that is compared",
            f"name one of {', '.join(map(quoted, dict.fromkeys(known)))}",
        )
