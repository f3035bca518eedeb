"""Judges a class activation map before anybody takes it for evidence."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    import numpy.typing as npt

FLAT = 1e-6
"""A map whose values differ by less than this share of the largest is float32 rounding on a constant."""


def blank_reason(
    raw: npt.NDArray[np.float32], *, gradient_is_zero: bool, rectified: bool = True, layered: bool = True
) -> str | None:
    """Say in one line why a map shows nothing and what to try, or None when it shows something.

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
            "on; try logits instead of probabilities, or another --target"
        )
    if gradient_is_zero:
        return (
            "the class score does not change with this layer: the output is saturated or the layer does not reach it; "
            "try a layer nearer the end, or logits instead of probabilities"
        )
    highest = float(raw.max())
    if rectified and highest <= 0:
        return "nothing in the picture speaks for this class at this layer; try another --target or an earlier --layer"
    shown = np.maximum(raw, 0) if rectified else raw
    if float(np.ptp(shown)) <= FLAT * float(np.abs(shown).max()):
        remedy = "an earlier --layer, which has a finer grid" if layered else "another --method"
        return f"the map is the same everywhere; try {remedy}"
    return None
