"""``gradcam video`` and ``gradcam gif``: moving pictures."""

from __future__ import annotations

from contextlib import contextmanager
from fractions import Fraction
from typing import TYPE_CHECKING, Any

import click

from gradcam_cli.cam.methods.registry import METHODS
from gradcam_cli.cli.console import Voice
from gradcam_cli.cli.options.network import model_options
from gradcam_cli.cli.options.settings import model_settings, plan_for, render_settings
from gradcam_cli.cli.options.shared import (
    batch_options,
    input_options,
    moving_options,
    output_options,
    part_options,
    render_options,
    run_options,
    steady_options,
    sweep_options,
    video_options,
)
from gradcam_cli.cli.options.types import Checked, Function, SectionCommand, count, option, options
from gradcam_cli.cli.runner import Report
from gradcam_cli.errors import UsageError
from gradcam_cli.media.suffixes import ANIMATION_SUFFIXES, PICTURE_SUFFIXES, VIDEO_SUFFIXES
from gradcam_cli.pipeline.settings import ClipSettings

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence

    from gradcam_cli.pipeline.clips.engine import Tally
    from gradcam_cli.pipeline.clips.run import ClipOutcome
    from gradcam_cli.pipeline.outcome import Outcome
    from gradcam_cli.pipeline.session import Session
    from gradcam_cli.pipeline.settings import ModelSettings
    from gradcam_cli.records import Job

GIF_FPS = Fraction(10)
GIF_WIDTH = 480
"""What ``gradcam video --gif`` takes unless told otherwise; with all frames a GIF is many times its clip's size."""

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
    """Return the option for how many frames a clip may have, ``usual`` ones unless it is raised."""
    return options(
        "Inputs",
        option(
            "--max-frames", type=Checked("N", count), metavar="N", default=usual, show_default=True,
            help="Refuse clips of more.",
        ),
    )  # fmt: skip


@click.command(
    short_help="Explain videos, with their sound; --gif for a GIF too.", cls=SectionCommand, epilog=VIDEO_EXAMPLES
)
@click.argument("inputs", metavar="PATH...", nargs=-1)
@input_options
@frame_limit(1_000_000)
@part_options
@steady_options
@output_options
@moving_options
@video_options
@model_options
@render_options
@batch_options(4, "Frames")
@run_options
def video(inputs: tuple[str, ...], **chosen: Any) -> int:  # noqa: ANN401
    """Explain videos: files, directories or quoted globs.

    For each video a grayscale map, a heatmap and an overlay are written as MP4, the sound with them. The explained
    class is the clip's, and so is the scale of the maps, so that nothing flickers.
    """
    kinds = chosen["save"] + (("overlay.gif",) if chosen["gif"] else ())
    settings = _settings(
        chosen,
        fps=chosen["fps"],
        start=chosen["start"],
        end=chosen["end"],
        max_size=chosen["max_size"],
        codec=chosen["codec"],
        audio=not chosen["no_audio"],
        gif_fps=chosen["gif_fps"] or GIF_FPS,
        gif_width=chosen["gif_width"] or GIF_WIDTH,
    )
    if settings.start is not None and settings.end is not None and settings.start >= settings.end:
        raise UsageError("--start is not before --end", "give a start that is smaller than the end")
    return _work(inputs, chosen, settings, kinds=kinds, suffixes=VIDEO_SUFFIXES, picture_format="mp4")


@click.command(short_help="Explain animations, or animate a still picture.", cls=SectionCommand, epilog=GIF_EXAMPLES)
@click.argument("inputs", metavar="PATH...", nargs=-1)
@input_options
@frame_limit(10_000)
@sweep_options
@steady_options
@output_options
@moving_options
@model_options
@render_options
@batch_options(4, "Frames")
@run_options
def gif(inputs: tuple[str, ...], **chosen: Any) -> int:  # noqa: ANN401
    """Explain animations (GIF, WebP, APNG): files, directories or quoted globs.

    For each a grayscale map, a heatmap and an overlay are written as GIF, with the source's times and loop count.
    With --sweep, a still picture is animated instead: its strongest feature maps, the layers from first to last, the
    most probable classes, or the methods.
    """
    sweep = chosen["sweep"]
    if sweep is None:
        settings = _settings(chosen, gif_fps=chosen["gif_fps"], gif_width=chosen["gif_width"])
        return _work(inputs, chosen, settings, kinds=chosen["save"], suffixes=ANIMATION_SUFFIXES, picture_format="gif")
    settings = _settings(chosen, gif_width=chosen["gif_width"] or GIF_WIDTH)
    count = chosen["count"] or (64 if sweep == "channels" else 5)

    def outcomes(session: Session, jobs: Sequence[Job]) -> Iterable[Outcome]:
        from gradcam_cli.pipeline.images.sweep import SweepRun

        return SweepRun(jobs, session, settings, sweep, count)

    model = _one_map(chosen)
    if sweep == "layers" and not METHODS[model.methods[0]].layered:
        raise UsageError(f"the method {model.methods[0]} looks at no layer", "choose another --method or --sweep")
    plan = plan_for(
        inputs, chosen, model, kinds=("overlay",), suffixes=PICTURE_SUFFIXES, picture_format="gif", parts=(sweep,)
    )
    voice = Voice(quiet=chosen["quiet"], verbose=chosen["verbose"])
    return Report(voice, plan, as_json=chosen["as_json"]).work(model, outcomes, fail_fast=settings.fail_fast)


def _one_map(chosen: Mapping[str, Any]) -> ModelSettings:
    model = model_settings(chosen)
    if model.parts:
        raise UsageError("a sweep is made of one class at one layer by one method", "run it once for each")
    return model


def _settings(chosen: Mapping[str, Any], **more: Any) -> ClipSettings:  # noqa: ANN401
    return ClipSettings(
        batch_size=chosen["batch_size"],
        fail_fast=chosen["fail_fast"],
        max_pixels=chosen["max_pixels"],
        max_frames=chosen["max_frames"],
        per_frame_target=chosen["per_frame_target"],
        normalize_over=chosen["normalize_over"],
        smooth=chosen["smooth"],
        caption=chosen["caption"],
        side_by_side=chosen["side_by_side"],
        keep_partial=chosen["keep_partial"],
        stride=chosen["stride"],
        render=render_settings(chosen),
        **more,
    )


def _work(
    inputs: Sequence[str],
    chosen: Mapping[str, Any],
    settings: ClipSettings,
    *,
    kinds: tuple[str, ...],
    suffixes: frozenset[str],
    picture_format: str,
) -> int:
    model = model_settings(chosen)
    plan = plan_for(inputs, chosen, model, kinds=kinds, suffixes=suffixes, picture_format=picture_format)
    voice = Voice(quiet=chosen["quiet"], verbose=chosen["verbose"])

    def outcomes(session: Session, jobs: Sequence[Job]) -> Iterable[ClipOutcome]:
        from gradcam_cli.pipeline.clips.run import ClipRun

        with _told(voice) as told:
            for outcome in ClipRun(jobs, session, settings, told.advance):
                told.over(failed=outcome.error is not None)
                yield outcome

    report = Report(voice, plan, as_json=chosen["as_json"])
    return report.work(model, outcomes, fail_fast=settings.fail_fast, bar=False)


class _Told:
    """Shows frames, speed and time left of the clip that is worked on."""

    def __init__(self, voice: Voice, show: Callable[[str, int, int | None], None]) -> None:
        self._voice = voice
        self._show = show
        self._under_way: tuple[Job, Tally] | None = None

    def advance(self, job: Job, tally: Tally, count: int | None) -> None:
        self._under_way = job, tally
        self._show(job.name, tally.frames, count)

    def over(self, *, failed: bool) -> None:
        """Be done with a clip; of one that failed say how far it got."""
        if failed and self._under_way is not None:
            job, tally = self._under_way
            self._voice.say(f"{job.name}: stopped after {tally.frames} frames ({tally.shown:.1f} s)")
        self._under_way = None


@contextmanager
def _told(voice: Voice) -> Iterator[_Told]:
    """Show how far the clips are; when the run is stopped, say how far it got."""
    with voice.frames() as show:
        told = _Told(voice, show)
        try:
            yield told
        except GeneratorExit:
            raise
        except BaseException:
            told.over(failed=True)
            raise
