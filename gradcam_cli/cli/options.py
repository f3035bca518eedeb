"""Options that commands share, in the sections in which ``--help`` shows them.

Each option that takes one value can also be set in the environment: ``--output-dir`` by ``GRADCAM_OUTPUT_DIR``.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from gradcam_cli.cam.methods import check_method
from gradcam_cli.cam.targets import Target, parse_target
from gradcam_cli.cli.sections import (
    Checked,
    Finite,
    Function,
    Several,
    count,
    exact,
    grid,
    longest_side,
    numbers,
    option,
    options,
    path,
    rate,
)
from gradcam_cli.models.code import parse_argument
from gradcam_cli.models.names import check_name
from gradcam_cli.pipeline.settings import (
    AXES,
    FORMATS,
    KINDS,
    MAX_INPUT,
    MIN_INPUT,
    MOVING_KINDS,
    SWEEPS,
)
from gradcam_cli.records import (
    ACTIVATIONS,
    CODECS,
    FIGURE_FORMATS,
    FITS,
    FUSIONS,
    NORMALIZATIONS,
    PICTURE_QUALITY,
    PRECISIONS,
    VIDEO_QUALITY,
)
from gradcam_cli.render.colormap import check_colormap

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

FILE = Checked("FILE", path)

input_options = options(
    "Inputs",
    option(
        "--from-file", metavar="LIST", help="Take inputs from a file, one path a line; - reads the list from stdin."
    ),
    option("-r", "--recursive", is_flag=True, help="Search the subfolders of directories."),
    option(
        "--max-pixels", type=Checked("N", count), metavar="N",
        help="Refuse larger pictures and frames undecoded; 200M is 200 million. Default: 178M, of videos 67M.",
    ),
)  # fmt: skip

output_options = options(
    "Outputs",
    option(
        "-o", "--output-dir", type=FILE, metavar="DIR", default=Path("gradcam_output"), show_default=True,
        help="Where files go; made when missing.",
    ),
    option(
        "--name-from", type=click.Choice(("stem", "path")), default="stem", show_default=True,
        help="Name files by the input's name, or by its whole path.",
    ),
    option("--skip-existing", is_flag=True, help="Skip inputs whose files all exist: resumes a run."),
    option("--no-overwrite", is_flag=True, help="Stop before anything is done if a file exists."),
)  # fmt: skip

image_options = options(
    "Outputs",
    option(
        "--save", type=Several(KINDS), default="grayscale,heatmap,overlay", show_default=True,
        help=f"What to write: {', '.join(KINDS)}. 'map' is float32 .npy.",
    ),
    option(
        "--format", "picture_format", type=click.Choice(FORMATS), default="png", show_default=True,
        help="Of the pictures written.",
    ),
    option(
        "--quality", type=click.IntRange(1, 100), metavar="1…100", default=PICTURE_QUALITY, show_default=True,
        help="Of jpg and webp.",
    ),
    longest_side("what is written; larger pictures are made smaller"),
)  # fmt: skip

moving_options = options(
    "Outputs",
    option(
        "--save", type=Several(MOVING_KINDS), default="grayscale,heatmap,overlay", show_default=True,
        help=f"What to write: {', '.join(MOVING_KINDS)}.",
    ),
    option("--caption", is_flag=True, help="Write class and probability into the overlay."),
    option("--side-by-side", is_flag=True, help="Put the source beside the overlay."),
    option("--keep-partial", is_flag=True, help="When stopped, keep what is done, playable, as NAME.partial.mp4."),
    option("--gif-fps", type=Checked("N", rate), metavar="N", help="Most frames per second of GIFs."),
    option("--gif-width", type=click.IntRange(1, 65_535), metavar="PIXELS", help="Most pixels across of GIFs."),
)  # fmt: skip

video_options = options(
    "Outputs",
    option("--gif", is_flag=True, help="Write the overlay as a GIF too."),
    option(
        "--codec", type=click.Choice(CODECS), default="h264", show_default=True,
        help="H.264 plays everywhere; the others are smaller and slower.",
    ),
    option(
        "--quality", type=click.IntRange(1, 100), metavar="1…100", default=VIDEO_QUALITY, show_default=True,
        help=f"Of videos; {VIDEO_QUALITY} is hard to tell from the source.",
    ),
    option("--no-audio", is_flag=True, help="Leave the sound out."),
)  # fmt: skip

sweep_options = options(
    "Stills that move",
    option("--sweep", type=click.Choice(SWEEPS), help="Animate a still picture: its maps one after another."),
    option(
        "--count", type=click.IntRange(1), metavar="N", help="Channels (default 64) or classes (5) to show, at most."
    ),
)

part_options = options(
    "Which frames",
    option("--start", type=Checked("SECONDS", exact), metavar="SECONDS", help="Leave out what comes before."),
    option("--end", type=Checked("SECONDS", exact), metavar="SECONDS", help="Leave out what comes from there on."),
    option(
        "--fps", type=Checked("N", rate), metavar="N",
        help="Take frames at this rate; default: the source's own times.",
    ),
    longest_side("the frames"),
)  # fmt: skip

steady_options = options(
    "Which frames",
    option("--stride", type=click.IntRange(1), metavar="N", default=1, show_default=True, help="Keep every Nth frame."),
    option("--per-frame-target", is_flag=True, help="Explain each frame's own class instead of the clip's."),
    option(
        "--normalize-over", type=click.Choice(("clip", "frame")), default="clip", show_default=True,
        help="What shares one scale; a clip's does not flicker.",
    ),
    option(
        "--smooth", type=Finite(0), metavar="SECONDS", default=0.0, show_default=True,
        help="Smooth maps over time with this time constant, whatever the frame rate.",
    ),
)  # fmt: skip

_MODEL_HELP = (
    "A name that 'gradcam models' lists, timm:NAME, code of your own (FILE.py:FUNCTION, package.module:CLASS), or "
    "'auto': the one that --weights are for; without them mobilenet_v2 if its weights are at hand or can be fetched, "
    "otherwise 'tiny' (bundled, offline)."
)

_one_model = options(
    "Network",
    option("-m", "--model", type=Checked("NAME", check_name), default="auto", show_default=True, help=_MODEL_HELP),
)

_several_models = options(
    "Network",
    option(
        "-m", "--model", "models", type=Checked("NAME", check_name), multiple=True, default=("auto",),
        help=f"{_MODEL_HELP} Repeat for several.",
    ),
)  # fmt: skip

_how_to_explain = options(
    "Network",
    option(
        "--model-arg", "arguments", type=Checked("NAME=VALUE", parse_argument), multiple=True,
        help="Argument for code of your own; repeat for several.",
    ),
    option(
        "-w", "--weights", type=FILE, metavar="FILE",
        help="Checkpoint (.pth, .pt, .ckpt, .safetensors) or exported network (.pt2); nothing in it is executed.",
    ),
    option("--labels", type=FILE, metavar="FILE", help="Class names: a text file, one a line, or JSON."),
    option(
        "-l", "--layer", "layers", metavar="NAME", multiple=True, default=("auto",),
        help="Target layer, as in layer4.1 or features.-1; repeat for several, or all. Default: the last with a grid.",
    ),
    option(
        "--reshape", type=Checked("HxW", grid), metavar="HxW",
        help="The grid that a transformer's last tokens make, where the one that is found is wrong.",
    ),
    option("--fuse", type=click.Choice(FUSIONS), help="Make one map of several layers'."),
    option(
        "-t", "--target", "targets", type=Checked("CLASS", parse_target), multiple=True, default=("top",),
        help="Class to explain: top (default), top:3, an index or a label; 'A vs B' for what tells A from B, not:A for "
        "what speaks against A; repeat for several.",
    ),
    option(
        "--method", "methods", type=Checked("NAME", check_method), multiple=True, default=("gradcam",),
        help="The formula: gradcam (default) or another that 'gradcam methods' lists; repeat for several, or all.",
    ),
    option(
        "--budget", type=Finite(0, min_open=True), metavar="SECONDS",
        help="For a picture with faster-scorecam: as many feature maps as that allows, instead of 64.",
    ),
    option(
        "--augment-smooth", is_flag=True,
        help="Average the maps of six versions: flipped or not, at 0.9, 1 and 1.1 times the brightness.",
    ),
    option(
        "--eigen-smooth", is_flag=True,
        help="Keep the main component of what the feature maps add up to: less noise.",
    ),
    option(
        "--fit", type=click.Choice(FITS), default="whole", show_default=True,
        help="How a picture meets the input: all of it with its aspect, the training crop, stretched, or padded.",
    ),
    option(
        "--input-size", type=click.IntRange(MIN_INPUT, MAX_INPUT), metavar="PIXELS",
        help="Side of the input, for a network of your own.",
    ),
    option(
        "--mean", type=Checked("A,B,C", numbers), metavar="A,B,C",
        help="Subtracted from values of 0…1, per channel or one number; default: the network's.",
    ),
    option(
        "--std", type=Checked("A,B,C", numbers), metavar="A,B,C",
        help="Divided by after that; default: the network's.",
    ),
    option(
        "--scale-255", is_flag=True,
        help="The network takes values of 0…255; --mean and --std are then in such units, 0 and 1 by default.",
    ),
    option(
        "--activation", type=click.Choice(ACTIVATIONS), default="auto", show_default=True,
        help="What makes scores probabilities: sigmoid for a network of several labels at once. auto: softmax, or "
        "sigmoid for one score.",
    ),
    option(
        "--device", metavar="NAME", default="auto", show_default=True,
        help="cpu, cuda, cuda:1, mps, xpu; auto takes a GPU if there is one.",
    ),
    option(
        "--precision", type=click.Choice(PRECISIONS), default="float32", show_default=True,
        help="Of the network's numbers; the lower ones are faster where machines have them.",
    ),
    option(
        "--no-optimize", "optimize", is_flag=True, flag_value=False, default=True,
        help="Run the network as it is: batch norms are not folded into convolutions. Slower, the same maps.",
    ),
)  # fmt: skip


def model_options(function: Function) -> Function:
    """Add the options for one network and how it explains."""
    return _one_model(_how_to_explain(function))


def models_options(function: Function) -> Function:
    """Add the options for several networks and how they explain."""
    return _several_models(_how_to_explain(function))


render_options = options(
    "Looks",
    option(
        "--colormap", type=Checked("NAME", check_colormap), default="jet", show_default=True,
        help="jet, turbo, viridis, inferno, magma, hot or any other of OpenCV's.",
    ),
    option(
        "--alpha", type=Finite(0, 1), metavar="0…1", default=0.5, show_default=True,
        help="The heatmap's weight in the overlay.",
    ),
    option("--alpha-by-intensity", is_flag=True, help="Weigh each pixel by its heat too: cold regions stay clear."),
    option(
        "--normalize", type=click.Choice(NORMALIZATIONS), default="minmax", show_default=True,
        help="How the map is brought to 0…1.",
    ),
)  # fmt: skip


compare_options = options(
    "Figure",
    option("--rows", type=click.Choice(AXES), help="What differs from row to row; default: the shorter of two."),
    option("--columns", type=click.Choice(AXES), help="What differs from column to column; default: the longer."),
    option(
        "--format", "formats", type=Several(FIGURE_FORMATS), default="png,pdf", show_default=True,
        help="Of the figure: png, pdf or both.",
    ),
    option(
        "--width", type=Finite(40, 400), metavar="MM", default=178, show_default=True,
        help="Of the figure, in millimetres at 300 dpi; 178 is two columns of a journal.",
    ),
)  # fmt: skip


def batch_options(usual: int, what: str) -> Callable[[Function], Function]:
    """Return the option for how much is run at once: ``usual`` of what a command is about."""
    return options(
        "Running",
        option(
            "--batch-size", type=click.IntRange(1, 4096), metavar="N", default=usual, show_default=True,
            help=f"{what} in one forward pass, at most.",
        ),
    )  # fmt: skip


run_options = options(
    "Running",
    option("--fail-fast", is_flag=True, help="Stop at the first input that fails."),
    option("--json", "as_json", is_flag=True, help="One JSON object a line on stdout instead of paths."),
    option("-q", "--quiet", is_flag=True, help="Say nothing but errors."),
    option("-v", "--verbose", is_flag=True, help="Explain choices: which layer, and why."),
)


def flat(wishes: Iterable[Iterable[Target]]) -> tuple[Target, ...]:
    """Join what several ``--target`` ask for, each wish once."""
    return tuple(dict.fromkeys(target for each in wishes for target in each))
