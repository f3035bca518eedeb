"""Videos and animations explained from Python, written as files."""

from __future__ import annotations

import math
import os
from dataclasses import fields, replace
from fractions import Fraction
from inspect import Parameter
from pathlib import Path
from typing import TYPE_CHECKING, Any

from gradcam_cli.api.arguments import Request, whole_from_one, with_options_of
from gradcam_cli.api.pictures import explain
from gradcam_cli.api.progress import bar
from gradcam_cli.errors import InputError, UsageError
from gradcam_cli.files import refusal
from gradcam_cli.pipeline.artifacts.registry import CLIP_KINDS
from gradcam_cli.pipeline.clips.explanation import ClipExplanation
from gradcam_cli.pipeline.clips.run import ClipRun
from gradcam_cli.pipeline.explanation import Explanation
from gradcam_cli.pipeline.images.sweep import SweepRun
from gradcam_cli.pipeline.images.sweep_settings import SweepSettings
from gradcam_cli.pipeline.settings import ClipSettings, require
from gradcam_cli.plan.output_names import OutputOptions, build_jobs
from gradcam_cli.records import (
    CODECS,
    GIF_FPS,
    GIF_WIDTH,
    MAX_FRAMES,
    MAX_NUMBER,
    PICTURE_QUALITY,
    RATES,
    VIDEO_QUALITY,
    Part,
)
from gradcam_cli.text import printable

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from gradcam_cli.pipeline.images.sweep_settings import Sweep
    from gradcam_cli.pipeline.json_record import AnyExplanation
    from gradcam_cli.pipeline.outcome import Outcome
    from gradcam_cli.records import Job

_OWN = tuple(each for each in fields(ClipSettings) if each.name not in ("fail_fast", "render"))
_KINDS = ("grayscale", "heatmap", "overlay")
_LEAST_SIDE = 16
"""Pixels below which a longest side makes no sense for a clip."""


def _parameters(command: str) -> list[Parameter]:
    """Return the settings of clips as keyword arguments, with the command's defaults."""
    usual = {"max_frames": MAX_FRAMES[command]}
    return [
        Parameter(each.name, Parameter.KEYWORD_ONLY, default=usual.get(each.name, each.default), annotation=each.type)
        for each in _OWN
    ]


@with_options_of(explain, *_parameters("video"))
def explain_video(
    path: str | os.PathLike[str],
    directory: str | os.PathLike[str] = "gradcam_output",
    *,
    kinds: Sequence[str] = _KINDS,
    gif: bool = False,
    quality: int = VIDEO_QUALITY,
    progress: bool = True,
    **options: Any,  # noqa: ANN401
) -> ClipExplanation:
    """Explain a video as ``gradcam video`` does, and write its maps as videos with its sound.

    Args:
        path: of the video.
        directory: where the results are written; it is made where it is missing.
        kinds: of result: ``grayscale``, ``heatmap``, ``overlay``.
        gif: whether a GIF of the overlay is written too, of ``gif_fps`` frames a second (10), ``gif_width`` pixels
            across (480).
        quality: of the videos, 1 to 100.
        progress: whether a bar counts the frames, on a terminal or in a notebook.
        **options: the arguments of `explain`, and the settings of clips, named as the command's options, such as
            ``start=60``, ``smooth=0.3`` or ``side_by_side=True``.

    Returns:
        The clip's explanation: ``files``, ``target``, ``predictions``, ``blank``, ``record()``.

    Raises:
        GradcamError: the video cannot be explained; nothing is written then.
    """
    if gif:
        options["gif_fps"], options["gif_width"] = options["gif_fps"] or GIF_FPS, options["gif_width"] or GIF_WIDTH
    job = _job(path, directory, kinds, "mp4", more=("overlay.gif",) if gif else ())
    request, settings = _settings(options, quality)
    return _run(job, request, settings, progress=progress)


@with_options_of(explain, *_parameters("gif"))
def explain_gif(
    path: str | os.PathLike[str],
    directory: str | os.PathLike[str] = "gradcam_output",
    *,
    kinds: Sequence[str] = _KINDS,
    sweep: Sweep | None = None,
    count: int | None = None,
    progress: bool = True,
    **options: Any,  # noqa: ANN401
) -> ClipExplanation | Explanation:
    """Explain an animation as ``gradcam gif`` does, or animate the maps of a still picture; GIFs are written.

    Args:
        path: of the animation, or of the picture.
        directory: where the results are written; it is made where it is missing.
        kinds: of result, of an animation: ``grayscale``, ``heatmap``, ``overlay``.
        sweep: what changes from frame to frame of a still picture: ``channels``, ``layers``, ``classes`` or
            ``methods``; None explains an animation.
        count: most channels (64) or classes (5) of a sweep.
        progress: whether a bar counts the frames, on a terminal or in a notebook.
        **options: as of `explain_video`.

    Returns:
        The animation's explanation: ``files``, ``target``, ``predictions``, ``blank``, ``record()``; of a sweep, the
        picture's.

    Raises:
        GradcamError: it cannot be explained; nothing is written then.
    """
    if options["size"] is not None and options["gif_width"] is not None:
        raise UsageError("the size of the GIF is given twice", "give {size} or {gif_width}")
    if sweep is None:
        job = _job(path, directory, kinds, "gif")
        request, settings = _settings(options, PICTURE_QUALITY)
        return _run(job, request, settings, progress=progress)
    if count is not None:
        whole_from_one("count", count)
    job = _job(path, directory, ("overlay",), "gif", part=sweep)
    request, settings = _settings(options, PICTURE_QUALITY)
    shown = SweepSettings.of(sweep, count, request.session.settings)
    explained = _only(SweepRun([job], request.session, settings, shown))
    assert isinstance(explained, Explanation)
    return explained


def _job(
    path: str | os.PathLike[str],
    directory: str | os.PathLike[str],
    kinds: Sequence[str],
    container: str,
    *,
    more: tuple[str, ...] = (),
    part: str = "",
) -> Job:
    """Return the job for a file, with the names that the command gives to its results."""
    name = printable(os.fsdecode(path))
    refused = refusal(Path(path), "a clip", "explain one clip at a time")
    if refused:
        raise InputError(f"{name}: {refused[0]}", refused[1])
    kinds = (kinds,) if isinstance(kinds, str) else tuple(dict.fromkeys(kinds))
    for kind in kinds:
        require("kind of result", kind, CLIP_KINDS)
    if not kinds and not more:
        raise UsageError("no kind of result is given", f"choose some of {', '.join(CLIP_KINDS)}")
    options = OutputOptions(Path(directory), (*kinds, *more), container, parts=(Part(name=part),))
    (job,) = build_jobs([(os.fsdecode(path), "")], options)
    return job


def _run(job: Job, request: Request, settings: ClipSettings, *, progress: bool) -> ClipExplanation:
    with bar("explaining", wanted=progress) as show:
        run = ClipRun([job], request.session, settings, lambda job, tally, total: show(tally.frames, total))
        explained = _only(run)
    assert isinstance(explained, ClipExplanation)
    return explained


def _only(run: Iterable[Outcome]) -> AnyExplanation:
    """Return the explanation of a run over one input; raise its error."""
    (outcome,) = run
    if outcome.error is not None:
        raise outcome.error
    return outcome.explanations[0]


def _settings(options: dict[str, Any], quality: int) -> tuple[Request, ClipSettings]:
    """Check the settings of clips, before the network is loaded, and return them."""
    own = {each.name: options[each.name] for each in _OWN}
    for name in ("start", "end", "fps", "gif_fps"):
        own[name] = _exact(name, own[name], RATES if name.endswith("fps") else (Fraction(), Fraction(MAX_NUMBER)))
    if own["start"] is not None and own["end"] is not None and own["start"] >= own["end"]:
        raise UsageError("the start is not before the end", "give a {start} that is smaller than {end}")
    for name in ("batch_size", "stride", "max_pixels", "max_frames", "gif_width"):
        if own[name] is not None:
            whole_from_one(name, own[name])
    if own["max_size"] is not None and own["max_size"] < _LEAST_SIDE:
        raise UsageError(f"a longest side of {own['max_size']} pixels is too small", f"give {_LEAST_SIDE} or more")
    if not (isinstance(own["smooth"], (int, float)) and 0 <= own["smooth"] < math.inf):
        raise UsageError(f"a smoothing over {own['smooth']} seconds is not possible", "give a number from 0 on")
    require("scale of maps over a", own["normalize_over"], ("clip", "frame"))
    require("codec", own["codec"], CODECS)
    if not 1 <= quality <= 100:
        raise UsageError(f"a quality of {quality} is not possible", "give a number from 1 to 100")
    request = Request.of(options)
    return request, ClipSettings(**own, render=replace(request.render, quality=quality))


def _exact(name: str, given: object, allowed: tuple[Fraction, Fraction]) -> Fraction | None:
    """Return a number exactly as it is written: 29.97, ``30000/1001``."""
    if given is None:
        return None
    try:
        number = Fraction(str(given))
    except (ValueError, ZeroDivisionError):
        number = None
    if number is None or not allowed[0] <= number <= allowed[1]:
        raise UsageError(
            f"{name}: {given!r} is not a number from {allowed[0]} to {allowed[1]}",
            "give one such as 2.5 or '30000/1001'",
        )
    return number
