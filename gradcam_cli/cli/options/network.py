"""The options for the network, its preprocessing, and what is explained."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from gradcam_cli.cam.methods.registry import check_method
from gradcam_cli.cam.targets import TargetSpec, parse_target
from gradcam_cli.cli.options.types import (
    FILE,
    Checked,
    Finite,
    Function,
    grid,
    input_size,
    numbers,
    option,
    option_group,
)
from gradcam_cli.models.registry import check_name
from gradcam_cli.models.sources.user_code.spec import parse_argument
from gradcam_cli.records import ACTIVATIONS, FITS, FUSIONS, PRECISIONS

if TYPE_CHECKING:
    from collections.abc import Iterable

_MODEL_HELP = (
    "A name that 'gradcam models' lists, timm:NAME, hf:FOLDER, your own code (FILE.py:FUNCTION, package.module:CLASS), "
    "or 'auto': the network of the --weights; without them mobilenet_v2 if its weights are cached or can be "
    "downloaded, otherwise 'tiny' (bundled, offline)."
)

_WEIGHTS_HELP = (
    "Checkpoint (.pth, .pt, .ckpt, .safetensors), Keras file (.keras, .h5), exported network (.pt2), or a "
    "hub's folder; nothing in it is executed."
)
_LABELS_HELP = "Class names: a text file, one a line, or JSON."

_one_model = option_group(
    "Network",
    option("-m", "--model", type=Checked("NAME", check_name), default="auto", show_default=True, help=_MODEL_HELP),
    option("-w", "--weights", type=FILE, metavar="FILE", help=_WEIGHTS_HELP),
)

label_option = option_group("Network", option("--labels", type=FILE, metavar="FILE", help=_LABELS_HELP))

_several_models = option_group(
    "Network",
    option(
        "-m", "--model", "models", type=Checked("NAME", check_name), multiple=True, default=("auto",),
        help=f"{_MODEL_HELP} Repeat for several: --weights, --labels and --layer belong to the --model before them.",
    ),
    option("-w", "--weights", type=FILE, metavar="FILE", multiple=True, help=f"{_WEIGHTS_HELP} Repeat for several."),
    option("--labels", type=FILE, metavar="FILE", multiple=True, help=_LABELS_HELP),
)  # fmt: skip

preprocessing_options = option_group(
    "Network",
    option(
        "--input-size", type=Checked("PIXELS", input_size), metavar="PIXELS|HxW",
        help="Side of the input, for your own network, or its height and width.",
    ),
    option(
        "--mean", type=Checked("A,B,C", numbers), metavar="A,B,C",
        help="Subtracted from values of 0…1, per channel or one number; default: the network's.",
    ),
    option(
        "--std", type=Checked("A,B,C", numbers), metavar="A,B,C",
        help="Divisor after that; default: the network's.",
    ),
    option(
        "--scale-255", is_flag=True,
        help="The network takes values of 0…255; --mean and --std are then in such units, 0 and 1 by default.",
    ),
    option(
        "--activation", type=click.Choice(ACTIVATIONS), default="auto", show_default=True,
        help="Turns scores into probabilities: sigmoid for a network with several labels at once, none for a "
        "regression. auto: what the network itself ends in; otherwise softmax, or sigmoid for one score.",
    ),
)  # fmt: skip
"""What also a side file states."""

text_option = option_group(
    "Network",
    option(
        "--text", "texts", metavar="TEXT", multiple=True,
        help="A class of a network that compares pictures with texts (CLIP, SigLIP); repeat for several.",
    ),
)  # fmt: skip

_how_to_explain = option_group(
    "Network",
    option(
        "--model-arg", "arguments", type=Checked("NAME=VALUE", parse_argument), multiple=True,
        help="Argument for your own code; repeat for several.",
    ),
    option(
        "-l", "--layer", "layers", metavar="NAME", multiple=True, default=("auto",),
        help="Target layer, as in layer4.1 or features.-1; repeat for several, or all. Default: the last with a grid.",
    ),
    option(
        "--reshape", type=Checked("HxW", grid), metavar="HxW",
        help="Grid of a transformer's last tokens, where the one that is found is wrong.",
    ),
    option("--fuse", type=click.Choice(FUSIONS), help="Combine the maps of several layers into one."),
    option(
        "-t", "--target", "targets", type=Checked("CLASS", parse_target), multiple=True, default=("top",),
        help="Class to explain: top (default), top:3, an index or a label; 'A vs B' for what distinguishes A from B, "
        "not:A for evidence against A; repeat for several.",
    ),
    option(
        "--method", "methods", type=Checked("NAME", check_method), multiple=True, default=("gradcam",),
        help="The formula: gradcam (default) or another that 'gradcam methods' lists; repeat for several, or all.",
    ),
    option(
        "--budget", type=Finite(0, min_open=True), metavar="SECONDS",
        help="Time per picture of faster-scorecam: as many feature maps as it allows, instead of 64.",
    ),
    option(
        "--augment-smooth", is_flag=True,
        help="Average the maps of six versions: flipped or not, at 0.9, 1 and 1.1 times the brightness.",
    ),
    option(
        "--eigen-smooth", is_flag=True,
        help="Keep the main component of the feature maps' contributions: less noise.",
    ),
    option(
        "--fit", type=click.Choice(FITS), default="whole", show_default=True,
        help="How a picture is fitted to the input: whole with its aspect, the training crop, stretched, or padded.",
    ),
    option(
        "--output", metavar="NAME|INDEX",
        help="Which of a network's several outputs has the class scores, where that is not clear.",
    ),
    option(
        "--device", metavar="NAME", default="auto", show_default=True,
        help="cpu, cuda, cuda:1, mps, xpu; auto takes a GPU if there is one.",
    ),
    option(
        "--precision", type=click.Choice(PRECISIONS), default="float32", show_default=True,
        help="Number format of the network; the lower ones are faster where the machine supports them.",
    ),
    option(
        "--no-optimize", is_flag=True,
        help="Run the network as it is: batch norms are not folded into convolutions. Slower, the same maps.",
    ),
)  # fmt: skip


def model_options(function: Function) -> Function:
    """Add the options for one network and how it explains."""
    return _one_model(_how_to_explain(text_option(label_option(preprocessing_options(function)))))


def models_options(function: Function) -> Function:
    """Add the options for several networks and how they explain."""
    return _several_models(_how_to_explain(text_option(preprocessing_options(function))))


def flat(several: Iterable[Iterable[TargetSpec]]) -> tuple[TargetSpec, ...]:
    """Join the targets of several ``--target``, each target once."""
    return tuple(dict.fromkeys(target for each in several for target in each))
