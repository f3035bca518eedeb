"""The bundled network: needs no download and no torchvision."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from gradcam_cli.records import Preset

if TYPE_CHECKING:
    from collections.abc import Callable

    from gradcam_cli.models.architecture import Architecture, ModelEntry

NAME = "tiny"
PREFIX = ""
LIBRARY = ""
TAKES_ARGUMENTS = False
TAKES_TEXTS = False

WEIGHTS = Path(__file__).with_name("tiny.safetensors")
"""Filters and matrices as float16, the rest as float32, without the batch counters of training."""


def names() -> tuple[str, ...]:
    """Return the one name."""
    return (NAME,)


def matches(spec: str) -> bool:
    """Whether it is that name; upper case is forgiven."""
    return spec.lower() == NAME


def check(spec: str) -> str:
    """Return the name as it is listed."""
    return NAME


def architecture(name: str) -> Architecture:
    """Describe the bundled network under ``name``."""
    from gradcam_cli.models.architecture import Architecture, Recipe
    from gradcam_cli.models.sources.tiny.network import CLASSES, MEAN, STD, TinyNet

    preset = Preset(resize=32, crop=32, mean=MEAN, std=STD, interpolation="bilinear", multiple=32)
    bundled = Recipe("bundled", WEIGHTS, preset, CLASSES)
    return Architecture(name, len(CLASSES), TinyNet, default=bundled, recipes=(bundled,))


def entries(wanted: Callable[[str], bool]) -> list[ModelEntry]:
    """List the bundled network.

    Args:
        wanted: called with its name; returns whether to list it.
    """
    from gradcam_cli.models.architecture import ModelEntry

    if not wanted(NAME):
        return []
    described = architecture(NAME)
    count = sum(parameter.numel() for parameter in described.build(described.num_classes).parameters())
    return [
        ModelEntry(NAME, WEIGHTS.stat().st_size / (1 << 20), count, None, described.default.preset.crop, cached=True)
    ]
