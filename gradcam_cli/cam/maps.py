"""Class activation maps: the output of methods for a batch, and the checked map of each picture."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import torch

from gradcam_cli.errors import GradcamError, ModelError
from gradcam_cli.text import quoted, typed_line

if TYPE_CHECKING:
    from collections.abc import Sequence

    import numpy.typing as npt

    from gradcam_cli.cam.context import LayerContext
    from gradcam_cli.cam.methods.method import Method
    from gradcam_cli.cam.targets import Target

FLAT = 1e-6
"""A map whose values differ by less than this share of the largest is constant up to float32 rounding."""


@dataclass(frozen=True, slots=True, repr=False)
class ClassMap:
    """The class activation map of one picture for one class at one layer by one method.

    Attributes:
        layer: the target layer's dotted name, for a fused map all names, joined by ``+``; ``input`` for methods that
            use no layer.
        target: the explained score.
        method: name of the method, with its parameters.
        values: float32 (h, w), as fine as the layer's grid or as the input, rectified if the method requires it, not
            scaled; zeros where ``blank``.
        low: smallest value before rectification.
        high: largest value before rectification.
        blank: why the map shows nothing, or None.
        rectified: whether what speaks against the class is cut off.
    """

    layer: str
    target: Target
    method: str
    values: npt.NDArray[np.float32]
    low: float
    high: float
    blank: str | None
    rectified: bool = True

    def __repr__(self) -> str:
        shown = "×".join(map(str, self.values.shape)) + (", blank" if self.blank else "")
        return f"<ClassMap of class {self.target} by {self.method} at {self.layer}: {shown}>"


@dataclass(frozen=True, slots=True)
class Raw:
    """A method's output for a batch, before it is checked.

    Attributes:
        values: float32 (N, h, w), not rectified.
        dead: bool (N,), whether the score does not depend on the layer or input that the method uses.
    """

    values: npt.NDArray[np.float32]
    dead: npt.NDArray[np.bool_]

    def flipped(self) -> Raw:
        """Return the maps of pictures that were flipped left to right, turned back."""
        return Raw(self.values[:, :, ::-1], self.dead)

    @staticmethod
    def mean(several: Sequence[Raw]) -> Raw:
        """Average maps of versions of the same pictures; dead where all are."""
        values = sum(each.values for each in several) / np.float32(len(several))
        return Raw(np.asarray(values, np.float32), np.logical_and.reduce([each.dead for each in several]))

    def judged(self, layer: str, method: Method, targets: Sequence[Target]) -> list[ClassMap]:
        """Return a map for each picture, rectified if the method requires it, blank ones with the reason."""
        maps = []
        for raw, target, is_dead in zip(self.values, targets, self.dead, strict=True):
            blank = blank_reason(
                raw, gradient_is_zero=bool(is_dead), rectified=method.rectified, layered=method.layered
            )
            values = np.zeros_like(raw) if blank else np.maximum(raw, 0) if method.rectified else raw
            low, high = float(raw.min()), float(raw.max())
            maps.append(
                ClassMap(method.place(layer), target, method.name, values, low, high, blank, rectified=method.rectified)
            )
        return maps


def raw_maps(method: Method, context: LayerContext) -> Raw:
    """Return the result of a method for a layer's context.

    Raises:
        ModelError: a method of another package fails, or one that is not ours returns no maps.
    """
    maps = _computed(method, context)
    if not (isinstance(maps, torch.Tensor) and maps.is_floating_point() and maps.ndim == 3 and maps.numel()):
        shape = f" of {maps.dtype} {tuple(maps.shape)}" if isinstance(maps, torch.Tensor) else ""
        raise ModelError(
            f"the method {quoted(method.name)} returned a {type(maps).__name__}{shape}",
            "it must return a tensor of floats (N, h, w), a map for each picture",
        )
    if len(maps) != len(context.targets):
        raise ModelError(
            f"the method {quoted(method.name)} returned {len(maps)} maps for {len(context.targets)} pictures",
            "it must return a tensor of floats (N, h, w), a map for each picture",
        )
    values = maps.detach().float().cpu().numpy()
    if not method.gradient:
        return Raw(values, np.zeros(len(values), np.bool_))
    steepest = context.gradients.abs().amax((1, 2, 3))  # `any` takes four times as long
    return Raw(values, (steepest == 0).cpu().numpy())


def _computed(method: Method, context: LayerContext) -> object:
    try:
        return method.load()(context)
    except (GradcamError, MemoryError, torch.OutOfMemoryError):
        raise
    except Exception as error:  # foreign code may raise anything
        if method.plugin is None or "memory" in str(error).lower():  # on a CPU, torch raises no type of its own
            raise
        raise ModelError(
            f"the method {quoted(method.name)} of the package {method.plugin.package} {method.plugin.version} failed: "
            f"{typed_line(error)}",
            "report it to the package, or name another {method}",
        ) from error


def blank_reason(
    raw: npt.NDArray[np.float32], *, gradient_is_zero: bool, rectified: bool = True, layered: bool = True
) -> str | None:
    """Return one line on why a map shows nothing and what to try, or None when it shows something.

    Args:
        raw: the map before rectification, float32 (h, w).
        gradient_is_zero: whether the class score does not change with the layer's output at all.
        rectified: whether negative values are cut off when the map is shown.
        layered: whether it is a layer's map, not one of the pixels' gradient.
    """
    if not np.isfinite(raw).all():
        return "the map holds NaN or infinity: the network overflows; try it in float32, or check its weights"
    if not layered and not raw.any():
        return (
            "the class score does not change with any pixel: the output is saturated or nothing passes the gradient "
            "on; try logits instead of probabilities, or another target"
        )
    if gradient_is_zero:
        return (
            "the class score does not change with this layer: the output is saturated or the layer does not reach it; "
            "try a layer nearer the end, or logits instead of probabilities"
        )
    highest = float(raw.max())
    if rectified and highest <= 0:
        return "there is no positive evidence for this class at this layer; try another target or an earlier layer"
    shown = np.maximum(raw, 0) if rectified else raw
    if float(np.ptp(shown)) <= FLAT * float(np.abs(shown).max()):
        remedy = "an earlier layer, which has a finer grid" if layered else "another method"
        return f"the map is the same everywhere; try {remedy}"
    return None
