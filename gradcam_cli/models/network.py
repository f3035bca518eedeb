"""A network that is ready to be explained, and where its weights came from."""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING, Any

from gradcam_cli.files import file_state, sha256
from gradcam_cli.text import counted

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from torch import nn

    from gradcam_cli.plugins import Plugin
    from gradcam_cli.records import Activation, Preset


STATISTICS = frozenset(["size", "mean", "std"])
"""What has to be known of the pictures that a network was trained on."""


@dataclass
class Weights:
    """Where a network's weights came from.

    Attributes:
        source: ``bundled``, ``torchvision IMAGENET1K_V1``, or the checkpoint's path as it was given.
        path: the file, or the list of several; None where the user's own code has set them.
        parts: the several files.
    """

    source: str
    path: Path | None
    parts: tuple[Path, ...] = ()

    def sha256(self) -> str | None:
        """Return the SHA-256 in hexadecimal of the file, or of several one after another, computed once.

        None where there is no file, or no longer.
        """
        return self._digest

    @cached_property
    def _digest(self) -> str | None:
        if self.path is None:
            return None
        try:
            return sha256(self.parts) if self.parts else file_state(self.path).sha256
        except OSError:
            return None


@dataclass(repr=False)
class Network:
    """A network that is ready to be explained.

    Attributes:
        module: maps float32 (N, C, H, W), C = ``preset.channels``, to logits (N, ``num_classes``); in evaluation mode,
            float32, no parameter requires a gradient.
        name: name of its architecture.
        num_classes: number of scores that it returns.
        preset: its preprocessing.
        labels: names of its classes, or None when they are not known.
        weights: where its weights came from.
        notes: notes for the user about how it was loaded, one line each.
        assumed: what no file states of its pictures, of ``size``, ``mean``, ``std`` and ``scale``: the preset has usual
            values.
        layer: target layer that a file names for ``auto``, or None.
        activation: what makes its scores probabilities, as a file states, or None.
        one_by_one: whether it takes one picture at a time only.
        plugin: the package whose source it comes from, or None.
        cache: objects that are derived from the network once and reused; it lives exactly as long as the network.
    """

    module: nn.Module
    name: str
    num_classes: int
    preset: Preset
    labels: tuple[str, ...] | None
    weights: Weights
    notes: tuple[str, ...] = ()
    assumed: frozenset[str] = frozenset()
    layer: str | None = None
    activation: Activation | None = None
    one_by_one: bool = False
    plugin: Plugin | None = None
    cache: dict[object, Any] = field(default_factory=dict)

    def __repr__(self) -> str:
        return f"<Network {self.name}: {counted(self.num_classes, 'score')}, {self.weights.source}>"

    @property
    def sides(self) -> int:
        """Number of named classes: one score has two sides, the negative one first, unless it is a plain number."""
        return 1 if self.num_classes == 1 and self.activation == "none" else max(2, self.num_classes)

    @property
    def state(self) -> int:
        """A number that changes when weights are replaced or changed in place, as by an optimizer's step, or parts."""
        return state_of(self.module)


def state_of(module: nn.Module) -> int:
    """Return a number that changes when a module's tensors, its parts, their hooks or their plain attributes change."""
    tensors = (*module.parameters(), *module.buffers())
    values = ((id(each), each.data_ptr(), 0 if each.is_inference() else each._version) for each in tensors)
    parts = (
        (name, type(each), id(each), len(each._forward_hooks), len(each._forward_pre_hooks), *_attributes(each))
        for name, each in module.named_modules()
    )
    return hash((*values, *parts))


def _attributes(module: nn.Module) -> Iterator[object]:
    """Yield what a module is set to: numbers, texts, and functions in the place of methods."""
    for name, value in vars(module).items():
        if isinstance(value, (bool, int, float, str)) and name != "training":
            yield name, value
        elif callable(value):
            yield name, id(value)
