"""Bicubic refinement of a map, for what is shown: bilinear interpolation alone leaves facets in large pictures."""

from __future__ import annotations

import functools
import math
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    import numpy.typing as npt

    from gradcam_cli.records import Size

    Values = npt.NDArray[np.float32]

_FINER = 8
"""Most cells that one is divided into along an axis; between these, bilinear interpolation shows no facets."""

_SHARPNESS = -0.5
"""Keys' parameter: the kernel that reproduces parabolas (doi:10.1109/TASSP.1981.1163711)."""


def refined(values: Values, size: Size) -> Values:
    """Return a map with each cell divided, by cubic convolution (Keys 1981), its values within the map's own range.

    Args:
        values: float32 (h, w).
        size: (height, width) of the picture that the map is shown over.

    Returns:
        float32 (h·m, w·n), of the same extent; m and n are at most 8.
    """
    down, across = (
        _weights(cells, min(_FINER, math.ceil(side / cells))) for cells, side in zip(values.shape, size, strict=True)
    )
    smooth = down @ values.astype(np.float64) @ across.T
    return np.clip(smooth, values.min(), values.max()).astype(np.float32)


@functools.lru_cache(maxsize=8)
def _weights(cells: int, parts: int) -> npt.NDArray[np.float64]:
    """Return the weight of each cell in each of its parts, (cells·parts, cells); the outermost cells are repeated."""
    at = (np.arange(cells * parts) + 0.5) / parts - 0.5
    before = np.floor(at).astype(np.intp)
    weights = np.zeros((len(at), cells))
    for step in (-1, 0, 1, 2):
        cell = before + step
        np.add.at(weights, (np.arange(len(at)), np.clip(cell, 0, cells - 1)), _kernel(np.abs(at - cell)))
    weights.setflags(write=False)
    return weights


def _kernel(distance: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    """Return Keys' cubic kernel at distances from 0 to 2."""
    near = ((_SHARPNESS + 2) * distance - (_SHARPNESS + 3)) * distance**2 + 1
    far = _SHARPNESS * (((distance - 5) * distance + 8) * distance - 4)
    return np.where(distance <= 1, near, far)
