"""Pictures next to each other."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    import numpy.typing as npt

    Pixels = npt.NDArray[np.uint8]

GAP = 8
"""Pixels between two pictures."""


def side_by_side(left: Pixels, right: Pixels, gap: int = GAP) -> Pixels:
    """Put two pictures next to each other, with a white gap between them.

    The gap is a pixel wider where that makes the whole width even, as videos need it.

    Args:
        left: uint8 RGB (H, W, 3).
        right: uint8 RGB (H, V, 3).
        gap: the gap's width in pixels.

    Returns:
        uint8 RGB (H, W + gap + V, 3).

    Raises:
        ValueError: their heights differ.
    """
    if len(left) != len(right):
        raise ValueError(f"pictures of {len(left)} and {len(right)} pixels in height do not fit next to each other")
    width = left.shape[1] + gap + right.shape[1]
    width += width % 2
    panel = np.full((len(left), width, 3), 255, np.uint8)
    panel[:, : left.shape[1]] = left
    panel[:, width - right.shape[1] :] = right
    return panel
