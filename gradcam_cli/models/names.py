"""The names of models, known without importing torch, so that a wrong one is told at once."""

from __future__ import annotations

import difflib
import importlib.util
from typing import TYPE_CHECKING

from gradcam_cli.errors import UsageError
from gradcam_cli.models.code_spec import check_code, is_code
from gradcam_cli.text import quoted

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

AUTO = "auto"
TINY = "tiny"
TIMM = "timm:"
"""What the names of timm's networks begin with."""

# Written out because asking torchvision takes seconds; a test compares it with the installed torchvision.
TORCHVISION: tuple[str, ...] = (
    "alexnet",
    "convnext_base",
    "convnext_large",
    "convnext_small",
    "convnext_tiny",
    "densenet121",
    "densenet161",
    "densenet169",
    "densenet201",
    "efficientnet_b0",
    "efficientnet_b1",
    "efficientnet_b2",
    "efficientnet_b3",
    "efficientnet_b4",
    "efficientnet_b5",
    "efficientnet_b6",
    "efficientnet_b7",
    "efficientnet_v2_l",
    "efficientnet_v2_m",
    "efficientnet_v2_s",
    "googlenet",
    "inception_v3",
    "maxvit_t",
    "mnasnet0_5",
    "mnasnet0_75",
    "mnasnet1_0",
    "mnasnet1_3",
    "mobilenet_v2",
    "mobilenet_v3_large",
    "mobilenet_v3_small",
    "regnet_x_1_6gf",
    "regnet_x_3_2gf",
    "regnet_x_8gf",
    "regnet_x_16gf",
    "regnet_x_32gf",
    "regnet_x_400mf",
    "regnet_x_800mf",
    "regnet_y_1_6gf",
    "regnet_y_3_2gf",
    "regnet_y_8gf",
    "regnet_y_16gf",
    "regnet_y_32gf",
    "regnet_y_128gf",
    "regnet_y_400mf",
    "regnet_y_800mf",
    "resnet18",
    "resnet34",
    "resnet50",
    "resnet101",
    "resnet152",
    "resnext50_32x4d",
    "resnext101_32x8d",
    "resnext101_64x4d",
    "shufflenet_v2_x0_5",
    "shufflenet_v2_x1_0",
    "shufflenet_v2_x1_5",
    "shufflenet_v2_x2_0",
    "squeezenet1_0",
    "squeezenet1_1",
    "swin_b",
    "swin_s",
    "swin_t",
    "swin_v2_b",
    "swin_v2_s",
    "swin_v2_t",
    "vgg11",
    "vgg11_bn",
    "vgg13",
    "vgg13_bn",
    "vgg16",
    "vgg16_bn",
    "vgg19",
    "vgg19_bn",
    "vit_b_16",
    "vit_b_32",
    "vit_h_14",
    "vit_l_16",
    "vit_l_32",
    "wide_resnet50_2",
    "wide_resnet101_2",
)

NAMES: tuple[str, ...] = (AUTO, TINY, *TORCHVISION)
"""Every name that ``--model`` takes besides timm's and code, in the order of a listing."""


def check_name(spec: str) -> str:
    """Return the model's name as it is spelled here; upper case is forgiven.

    Of ``timm:NAME`` no more is checked than that timm is there, of ``FILE.py:FUNCTION`` and ``package.module:CLASS``
    what can be known without running them.

    Raises:
        UsageError: no such model; the hint has the names that look alike.
    """
    name = spec.strip()
    if is_timm(name):
        require_timm()
        return name.lower()
    if name.lower() in NAMES:
        return name.lower()
    if is_code(name):
        return check_code(name)
    hint = close_to(name, NAMES) or "give auto, tiny or one that 'gradcam models' lists, such as resnet50"
    raise UsageError(f"unknown model {quoted(spec)}", hint)


def close_to(name: str, known: Sequence[str], prefix: str = "") -> str:
    """Return a hint with the names that look like ``name``, ``prefix`` put in front; empty when none does."""
    close = difflib.get_close_matches(name.lower().replace("-", "_"), known, n=3, cutoff=0.6)
    return f"did you mean {' or '.join(f'{prefix}{each}' for each in close)}?" if close else ""


def is_timm(name: str) -> bool:
    """Whether a model's name, or a pattern of names, is meant for timm."""
    return name.lower().startswith(TIMM)


def has_timm() -> bool:
    """Whether timm is installed; it is not imported."""
    return importlib.util.find_spec("timm") is not None


def require_timm() -> None:
    """Check that timm is installed.

    Raises:
        UsageError: it is not.
    """
    if not has_timm():
        raise UsageError("timm is not installed", "pip install timm, or choose a model that 'gradcam models' lists")


def check_arguments(spec: str, arguments: Iterable[object]) -> None:
    """Check that arguments are given to code alone.

    Raises:
        UsageError: the model is known by its name and takes none.
    """
    if list(arguments) and (is_timm(spec) or not is_code(spec)):
        raise UsageError(
            f"model {quoted(spec)} takes no --model-arg", "give them to code of your own: --model FILE.py:FUNCTION"
        )
