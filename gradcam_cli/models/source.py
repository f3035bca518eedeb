"""What a source of models tells about one: how it is built, and which trained weights exist for it.

A source is one module with ``architecture(name) -> Architecture`` and one line in ``load.SOURCES``.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from torch import nn

    from gradcam_cli.records import Preset


def same_key(key: str) -> str:
    """Return ``key``: for networks whose checkpoints use the network's own names."""
    return key


@dataclass(frozen=True)
class Recipe:
    """One published set of weights.

    Attributes:
        source: what it is called in results: ``bundled``, ``torchvision IMAGENET1K_V1``.
        location: its file, or an https address whose file name has the first digits of its SHA-256.
        preset: how the network wants its pictures with these weights.
        labels: names of its classes.
        options: arguments of ``Architecture.build`` that these weights need besides the number of classes.
    """

    source: str
    location: str | Path
    preset: Preset
    labels: tuple[str, ...] | None
    options: Mapping[str, Any] = field(default_factory=dict)

    @property
    def file_name(self) -> str:
        """Name of the weights' file."""
        return str(self.location).rpartition("/")[2]

    @property
    def hash(self) -> str | None:
        """First digits of the file's SHA-256 where its name has them: ``11ad3fa6`` of ``resnet50-11ad3fa6.pth``."""
        digits = Path(self.file_name).stem.rpartition("-")[2]
        return digits if len(digits) >= 8 and not set(digits) - set("0123456789abcdef") else None


@dataclass(frozen=True)
class Architecture:
    """A network that can be built for any number of classes.

    Attributes:
        name: what it is called.
        num_classes: how many classes ``build`` makes by default.
        build: takes ``num_classes=`` and a recipe's options.
        default: the weights that are used when none are given.
        recipes: every published set, the one that a checkpoint of unknown origin is taken for first.
        own_key: maps a checkpoint's key to the network's own, or to None when the network does without it.
    """

    name: str
    num_classes: int
    build: Callable[..., nn.Module]
    default: Recipe
    recipes: tuple[Recipe, ...]
    own_key: Callable[[str], str | None] = same_key
