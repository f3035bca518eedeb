"""What a user chose, as plain values: checked without torch, handed down the pipeline."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal

from gradcam_cli.cam.targets import TOP, Target

if TYPE_CHECKING:
    from pathlib import Path

    from gradcam_cli.records import Fit, Normalization

PictureFormat = Literal["png", "jpg", "webp"]

FORMATS: tuple[PictureFormat, ...] = ("png", "jpg", "webp")

KINDS = ("grayscale", "heatmap", "overlay", "map", "original", "json")
"""Kinds of result; ``pipeline.results`` makes them."""


@dataclass(frozen=True, slots=True)
class ModelSettings:
    """Which network to ask, and what about.

    Attributes:
        model: name of the network.
        weights: checkpoint file, or None for the network's own weights.
        labels: labels file, or None for the network's own.
        layers: dotted names, or ``auto``.
        targets: the classes to explain.
        method: a key of ``cam.methods.METHODS``.
        fit: how a picture meets the network's input.
        input_size: side in pixels that overrides the preset's sizes.
        device: ``auto``, ``cpu``, ``cuda``, ``mps`` or another of torch's names.
    """

    model: str = "auto"
    weights: Path | None = None
    labels: Path | None = None
    layers: tuple[str, ...] = ("auto",)
    targets: tuple[Target, ...] = (TOP,)
    method: str = "gradcam"
    fit: Fit = "whole"
    input_size: int | None = None
    device: str = "auto"

    @property
    def parts(self) -> tuple[str, ...]:
        """What tells one picture's results apart in their names; empty when there is one result only."""
        layers = self.layers if len(self.layers) > 1 else ("",)
        targets = [target.name for target in self.targets] if len(self.targets) > 1 else [""]
        parts = tuple("_".join(filter(None, (layer, target))) for layer in layers for target in targets)
        return parts if len(parts) > 1 else ()


@dataclass(frozen=True, slots=True)
class RenderSettings:
    """How a map is shown.

    Attributes:
        kinds: of result, of ``KINDS``.
        format: of the results that are pictures.
        colormap: one of ``render.colormap.COLORMAPS``.
        alpha: the heatmap's weight in the overlay, in [0, 1].
        by_intensity: whether that weight is multiplied by the map.
        normalize: how the map is brought to [0, 1].
        quality: of JPEG and WebP, 1 to 100.
    """

    kinds: tuple[str, ...] = ("grayscale", "heatmap", "overlay")
    format: PictureFormat = "png"
    colormap: str = "jet"
    alpha: float = 0.5
    by_intensity: bool = False
    normalize: Normalization = "minmax"
    quality: int = 95


@dataclass(frozen=True, slots=True)
class RunSettings:
    """How many inputs are worked on, and when to stop.

    Attributes:
        batch_size: pictures in one forward pass, at most.
        fail_fast: whether the first input that fails ends the run.
    """

    batch_size: int = 8
    fail_fast: bool = False
    render: RenderSettings = field(default_factory=RenderSettings)
