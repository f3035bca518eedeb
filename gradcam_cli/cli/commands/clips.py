"""``gradcam video`` and ``gradcam gif``: moving pictures."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, Literal

import click

from gradcam_cli.cli.options.network import model_options
from gradcam_cli.cli.options.output import GIFS, VIDEOS, for_one_file
from gradcam_cli.cli.options.settings import model_settings, plan_for, render_settings
from gradcam_cli.cli.options.shared import (
    batch_options,
    input_options,
    moving_options,
    output_options,
    overlay_options,
    part_options,
    render_options,
    run_options,
    steady_options,
    sweep_options,
    video_options,
)
from gradcam_cli.cli.options.types import Checked, Function, SectionCommand, count, option, option_group
from gradcam_cli.cli.runner import CommandRunner
from gradcam_cli.errors import UsageError
from gradcam_cli.media.suffixes import picture_suffixes
from gradcam_cli.pipeline.clips.sources.registry import suffixes_for
from gradcam_cli.pipeline.images.sweep_settings import SweepSettings
from gradcam_cli.pipeline.result_settings import ResultSettings
from gradcam_cli.pipeline.settings import ClipSettings
from gradcam_cli.records import GIF_FPS, GIF_WIDTH, MAX_FRAMES, Part

if TYPE_CHECKING:
    from collections.abc import Callable, Generator, Iterator, Mapping, Sequence

    from gradcam_cli.cli.console import Console
    from gradcam_cli.pipeline.clips.engine import Tally
    from gradcam_cli.pipeline.outcome import Outcome
    from gradcam_cli.pipeline.session import Session
    from gradcam_cli.records import Job

VIDEO_EXAMPLES = """\b
Examples:
  gradcam video cat.mp4 --gif
  gradcam video clips/ --recursive -o maps --skip-existing
  gradcam video dog.mov -m resnet50 -t 'golden retriever' --smooth 0.3 --caption
  gradcam video long.mkv --start 60 --end 75.5 --side-by-side
"""

GIF_EXAMPLES = """\b
Examples:
  gradcam gif cat.gif
  gradcam gif dance.webp --colormap turbo --alpha-by-intensity --gif-width 320
  gradcam gif dog.jpg --sweep channels --count 64
"""


def frame_limit(usual: int) -> Callable[[Function], Function]:
    """Return the option for the most frames of a clip, ``usual`` by default."""
    return option_group(
        "Inputs",
        option(
            "--max-frames", type=Checked("N", count), metavar="N", default=usual, show_default=True,
            help="Refuse clips with more frames.",
        ),
    )  # fmt: skip


@click.command(
    short_help="Explain videos, with their sound; --gif for a GIF too.", cls=SectionCommand, epilog=VIDEO_EXAMPLES
)
@click.argument("inputs", metavar="PATH...", nargs=-1)
@input_options
@frame_limit(MAX_FRAMES["video"])
@part_options
@steady_options
@output_options
@moving_options
@video_options
@model_options
@render_options
@overlay_options
@batch_options(4, "Frames")
@run_options
def video(inputs: tuple[str, ...], **options: Any) -> int:  # noqa: ANN401
    """Explain videos: files, directories or quoted globs.

    For each video, a grayscale map, a heatmap and an overlay are written as MP4, with the sound. One class is explained
    for the whole clip, and its maps share one scale, so that nothing flickers.
    """
    options = for_one_file(options, VIDEOS)
    kinds = options["save"] + (("overlay.gif",) if options["gif"] else ())
    settings = _settings(
        options,
        fps=options["fps"],
        start=options["start"],
        end=options["end"],
        max_size=options["max_size"],
        codec=options["codec"],
        audio=not options["no_audio"],
        gif_fps=(options["gif_fps"] or GIF_FPS) if options["gif"] else None,
        gif_width=(options["gif_width"] or GIF_WIDTH) if options["gif"] else None,
    )
    if settings.start is not None and settings.end is not None and settings.start >= settings.end:
        raise UsageError("--start is not before --end", "give a start that is smaller than the end")
    return _run_clips(inputs, options, settings, command="video", kinds=kinds, picture_format="mp4")


@click.command(short_help="Explain animations, or animate a still picture.", cls=SectionCommand, epilog=GIF_EXAMPLES)
@click.argument("inputs", metavar="PATH...", nargs=-1)
@input_options
@frame_limit(MAX_FRAMES["gif"])
@sweep_options
@steady_options
@output_options
@moving_options
@model_options
@render_options
@overlay_options
@batch_options(4, "Frames")
@run_options
def gif(inputs: tuple[str, ...], **options: Any) -> int:  # noqa: ANN401
    """Explain animations (GIF, WebP, APNG): files, directories or quoted globs.

    For each animation, a grayscale map, a heatmap and an overlay are written as GIF, with the source's times and loop
    count. With --sweep, a still picture is animated instead: its strongest feature maps, the layers from first to last,
    the most probable classes, or the methods.
    """
    options = for_one_file(options, GIFS)
    if options["size"] and options["gif_width"]:
        raise UsageError("--size and --gif-width exclude each other", "give one of them")
    sweep = options["sweep"]
    if sweep is None:
        settings = _settings(options, gif_fps=options["gif_fps"], gif_width=options["gif_width"])
        return _run_clips(inputs, options, settings, command="gif", kinds=options["save"], picture_format="gif")
    settings = _settings(options, gif_width=options["gif_width"])
    model = model_settings(options)
    named = click.get_current_context().get_parameter_source("methods") is click.core.ParameterSource.COMMANDLINE
    if sweep == "methods" and named and len(model.methods) == 1:
        raise UsageError("a sweep of methods needs two", "add another --method, or leave it out for the quick ones")
    shown = SweepSettings.of(sweep, options["count"], model)
    layers, targets = model.fusion or "+".join(model.layers), "+".join(each.name for each in model.targets)
    part = Part(layers, targets, "+".join(model.methods), sweep)

    def outcomes(session: Session, jobs: Sequence[Job]) -> Generator[Outcome, None, None]:
        from gradcam_cli.pipeline.images.sweep import SweepRun

        yield from SweepRun(jobs, session, settings, shown)

    results = ResultSettings("sweep", (model,), (settings, shown), together=part)
    plan = plan_for(
        inputs,
        options,
        results,
        kinds=("overlay",),
        suffixes=picture_suffixes(),
        picture_format="gif",
        expected="picture",
    )
    return CommandRunner(plan, results, options).run(outcomes, fail_fast=settings.fail_fast)


def _settings(options: Mapping[str, Any], **more: Any) -> ClipSettings:  # noqa: ANN401
    return ClipSettings(
        batch_size=options["batch_size"],
        fail_fast=options["fail_fast"],
        max_pixels=options["max_pixels"],
        max_frames=options["max_frames"],
        per_frame_target=options["per_frame_target"],
        normalize_over=options["normalize_over"],
        smooth=options["smooth"],
        keep_partial=options["keep_partial"],
        stride=options["stride"],
        size=options["size"],
        render=render_settings(options),
        **more,
    )


def _run_clips(
    inputs: Sequence[str],
    options: Mapping[str, Any],
    settings: ClipSettings,
    *,
    command: Literal["video", "gif"],
    kinds: tuple[str, ...],
    picture_format: str,
) -> int:
    results = ResultSettings(command, (model_settings(options),), (settings,))
    plan = plan_for(
        inputs,
        options,
        results,
        kinds=kinds,
        suffixes=suffixes_for(command),
        picture_format=picture_format,
        expected="clip" if command == "video" else "animation",
    )
    runner = CommandRunner(plan, results, options)

    def outcomes(session: Session, jobs: Sequence[Job]) -> Generator[Outcome, None, None]:
        from gradcam_cli.pipeline.clips.run import ClipRun

        with _clip_progress(runner.console) as progress:
            for outcome in ClipRun(jobs, session, settings, progress.advance):
                progress.over(failed=outcome.error is not None)
                yield outcome

    return runner.run(outcomes, fail_fast=settings.fail_fast, bar=False)


class _ClipProgress:
    """Shows frames, speed and time left of the current clip."""

    def __init__(self, console: Console, show: Callable[[str, int, int | None], None]) -> None:
        self._console = console
        self._show = show
        self._under_way: tuple[Job, Tally] | None = None

    def advance(self, job: Job, tally: Tally, count: int | None) -> None:
        self._under_way = job, tally
        self._show(job.name, tally.frames, count)

    def over(self, *, failed: bool) -> None:
        """End a clip; report how far a failed one got."""
        if failed and self._under_way is not None:
            job, tally = self._under_way
            self._console.info(f"{job.name}: stopped after {tally.frames} frames ({tally.shown:.1f} s)")
        self._under_way = None


@contextmanager
def _clip_progress(console: Console) -> Iterator[_ClipProgress]:
    """Show the progress of clips; when the run is stopped, report how far it got."""
    with console.frames() as show:
        progress = _ClipProgress(console, show)
        try:
            yield progress
        except GeneratorExit:
            raise
        except BaseException:
            progress.over(failed=True)
            raise
