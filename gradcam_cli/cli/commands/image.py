"""``gradcam image``: still pictures."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from gradcam_cli.cli.options.network import model_options
from gradcam_cli.cli.options.output import PICTURES, for_one_file
from gradcam_cli.cli.options.settings import model_settings, plan_for, render_settings
from gradcam_cli.cli.options.shared import (
    batch_options,
    image_options,
    input_options,
    output_options,
    overlay_options,
    render_options,
    run_options,
)
from gradcam_cli.cli.options.types import SectionCommand
from gradcam_cli.cli.runner import CommandRunner
from gradcam_cli.media.suffixes import ANIMATION_SUFFIXES, picture_suffixes
from gradcam_cli.pipeline.result_settings import ResultSettings
from gradcam_cli.pipeline.settings import RunSettings

if TYPE_CHECKING:
    from collections.abc import Generator, Sequence

    from gradcam_cli.pipeline.outcome import Outcome
    from gradcam_cli.pipeline.session import Session
    from gradcam_cli.records import Job

EXAMPLES = """\b
Examples:
  gradcam image cat.jpg
  gradcam image photos/ --recursive -o maps --skip-existing
  gradcam image dog.jpg -m resnet50 -t 'golden retriever' --colormap turbo
  gradcam image scan.png -m resnet18 -w mine.pth --labels classes.txt --json
  curl -s https://example.org/dog.jpg | gradcam image -
"""


@click.command(short_help="Explain pictures: grayscale map, heatmap, overlay.", cls=SectionCommand, epilog=EXAMPLES)
@click.argument("inputs", metavar="PATH...", nargs=-1)
@input_options
@output_options
@image_options
@model_options
@render_options
@overlay_options
@batch_options(8, "Pictures")
@run_options
def image(inputs: tuple[str, ...], **options: Any) -> int:  # noqa: ANN401
    """Explain pictures: files, directories, quoted globs, or - for a picture on stdin.

    For each picture, a grayscale map, a heatmap and an overlay are written; their paths are printed to stdout, the
    predicted classes to stderr.
    """
    options = for_one_file(options, PICTURES, format_option="picture_format")
    model = model_settings(options)
    render = render_settings(options)
    settings = RunSettings(
        batch_size=options["batch_size"],
        fail_fast=options["fail_fast"],
        max_pixels=options["max_pixels"],
        max_size=options["max_size"],
        size=options["size"],
        render=render,
    )
    results = ResultSettings("image", (model,), (settings,))
    plan = plan_for(
        inputs, options, results, kinds=render.kinds, suffixes=picture_suffixes(), second=ANIMATION_SUFFIXES,
        picture_format=render.format, expected="picture",
    )  # fmt: skip

    def outcomes(session: Session, jobs: Sequence[Job]) -> Generator[Outcome, None, None]:
        from gradcam_cli.pipeline.images.run import ImageRun

        yield from ImageRun(jobs, session, settings)

    return CommandRunner(plan, results, options).run(outcomes, fail_fast=settings.fail_fast)
