"""Fusion of several layers' maps into one."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch.nn import functional as F

if TYPE_CHECKING:
    from collections.abc import Sequence

    import numpy.typing as npt

    from gradcam_cli.cam.maps import ClassMap
    from gradcam_cli.records import Fusion

    Values = npt.NDArray[np.float32]

SHALLOW = 4
"""A layer whose grid is this many times as fine as the coarsest counts as shallow."""

STEEP = 2.0
"""γ of LayerCAM's tanh."""


def fuse(maps: Sequence[ClassMap], how: Fusion) -> ClassMap:
    r"""Fuse the maps of several layers, for one class by one method.

    Each is divided by its maximum, so that no layer outweighs the others, and upsampled bilinearly (half-pixel
    centres) to the finest of their grids; then their mean, maximum or product is taken, place by place. Blank maps are
    left out. Maps of a method that does not rectify are scaled from their minimum to their maximum instead.

    For LayerCAM's maximum, maps of shallow layers become :math:`\tanh(2 M / \max M)` first, as its authors do
    (https://doi.org/10.1109/TIP.2021.3089943, section III-C); with VGG16 these are the layers of its first three
    stages, as in the paper.

    Args:
        maps: of one picture, one per layer, first to last.
        how: ``mean``, ``max`` or ``product``.

    Returns:
        The fused map, in [0, 1]; its layer's name is the layers' names joined by ``+``. Blank where all maps are, or
        where a product is zero everywhere.
    """
    name = "+".join(dict.fromkeys(each.layer for each in maps))
    shown = [each for each in maps if each.blank is None]
    if not shown:
        return replace(maps[-1], layer=name)
    size = max((each.values.shape for each in shown), key=lambda shape: shape[0] * shape[1])
    coarsest = min(each.values.shape[0] for each in maps)
    planes = []
    for each in shown:
        plane = _scaled(each)
        if (each.method, how) == ("layercam", "max") and each.values.shape[0] >= SHALLOW * coarsest:
            plane = np.tanh(STEEP * plane)
        planes.append(_upsampled(plane, size))
    stack = np.stack(planes)
    values = stack.mean(0) if how == "mean" else stack.max(0) if how == "max" else stack.prod(0)
    reason = None if values.any() else "the layers' maps have no place in common; try their mean"
    return replace(
        shown[-1], layer=name, values=values, low=float(values.min()), high=float(values.max()), blank=reason
    )


def _scaled(each: ClassMap) -> Values:
    low = np.float32(0) if each.rectified else each.values.min()
    return np.asarray((each.values - low) / (each.values.max() - low), np.float32)


def _upsampled(plane: Values, size: tuple[int, ...]) -> Values:
    if plane.shape == size:
        return plane
    wide = F.interpolate(torch.from_numpy(plane)[None, None], size, mode="bilinear", align_corners=False)
    return np.asarray(wide[0, 0].numpy(), np.float32)
