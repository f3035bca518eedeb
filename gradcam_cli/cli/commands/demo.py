"""``gradcam demo``: a picture, a video and an animation that come with the package, explained."""

from __future__ import annotations

import os
import shlex
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from gradcam_cli.cli.console import Console
from gradcam_cli.cli.options.shared import run_options
from gradcam_cli.cli.options.types import FILE, SectionCommand, option, option_group
from gradcam_cli.errors import ExitCode, UsageError
from gradcam_cli.plan.existing import unwritable
from gradcam_cli.text import printable

if TYPE_CHECKING:
    from collections.abc import Sequence

RESULTS = "maps"
"""Folder of the results, so that a folder of inputs is left."""

demo_options = option_group(
    "Outputs",
    option(
        "-o", "--output-dir", type=FILE, metavar="DIR", default=Path("gradcam_demo"), show_default=True,
        help="Directory of the inputs, with a folder 'maps' of the results; created when missing.",
    ),
)  # fmt: skip


@click.command(short_help="Explain a picture, a video and a GIF that come with gradcam.", cls=SectionCommand)
@demo_options
@run_options
@click.pass_context
def demo(context: click.Context, /, **options: Any) -> int:  # noqa: ANN401
    """Explain a picture, a video and an animation that come with gradcam, with its bundled network, offline.

    They are written into a directory, and each is explained by the command that is shown; go on from these.
    """
    folder: Path = options["output_dir"]
    console = Console(quiet=options["quiet"], verbose=options["verbose"])
    _write_inputs(folder)
    flags = [f"--{name}" for name in ("fail-fast", "json", "quiet", "verbose") if options[_parameter(name)]]
    code = 0
    for command, name in (("image", "cat.jpg"), ("video", "cat.mp4"), ("gif", "cat.gif")):
        code = code or _run(context, console, [command, str(folder / name), *_with(folder)], flags)
    more = shlex.join(["gradcam", "gif", str(folder / "cat.jpg"), "--sweep", "channels", *_with(folder)])
    console.info(f"go on, for example: {more}", "bold")
    console.info("or with a picture of yours: gradcam image PICTURE", "bold")
    return code


def _parameter(name: str) -> str:
    return "as_json" if name == "json" else name.replace("-", "_")


def _with(folder: Path) -> list[str]:
    return ["--model", "tiny", "-o", str(folder / RESULTS)]


def _run(context: click.Context, console: Console, arguments: Sequence[str], flags: Sequence[str]) -> int:
    """Run a command as if it were typed, and return its exit code."""
    assert context.parent is not None
    group = context.parent.command
    console.info(f"$ {shlex.join(['gradcam', *arguments])}", "bold")
    return int(group.main([*arguments, *flags], prog_name="gradcam", standalone_mode=False) or ExitCode.OK)


def _write_inputs(folder: Path) -> None:
    """Write the picture, the video and the animation, those that are not there from an earlier time.

    Raises:
        UsageError: other files of these names are there, or there cannot be such a directory.
        OutputError: they cannot be written.
    """
    if str(folder) == "-" or (os.path.lexists(folder) and not os.path.isdir(folder)):
        raise unwritable(folder, "it is no directory")
    from gradcam_cli.media.atomic import write_all
    from gradcam_cli.media.samples import cat

    picture, video, animation = (folder / f"cat.{suffix}" for suffix in ("jpg", "mp4", "gif"))
    own = picture.is_file() and picture.read_bytes() == cat.photograph()
    taken = [each for each in (picture, video, animation) if os.path.lexists(each)]
    if taken and not own:
        raise UsageError(f"{printable(taken[0])} is there, and is not the demo's", "choose another directory with -o")
    if not own:
        write_all({picture: cat.photograph()})
    if video not in taken:
        cat.write_video(video)
    if animation not in taken:
        cat.write_animation(animation)
