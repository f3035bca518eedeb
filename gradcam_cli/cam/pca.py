"""Principal components over the places of a grid; computed in float64, signs fixed."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch

if TYPE_CHECKING:
    from torch import Tensor


def points_of(maps: Tensor) -> Tensor:
    """Return (N, C, h, w) as float64 (N, hw, C), on the processor, since some devices lack float64."""
    return maps.cpu().double().flatten(2).transpose(1, 2)


def first_component(maps: Tensor) -> Tensor:
    """Project (N, C, h, w) at every place on the first principal component, uncentred; return float32 (N, h, w).

    The sign of a component is arbitrary: it is chosen so that the map agrees with the sum of the feature maps.
    """
    points = points_of(maps)
    if points.shape[1] <= points.shape[2]:  # the smaller of the two Gram matrices has the same components
        values, vectors = torch.linalg.eigh(points @ points.transpose(1, 2))
        projected = vectors[:, :, -1] * values[:, -1:].clamp(min=0).sqrt()
    else:
        _, vectors = torch.linalg.eigh(points.transpose(1, 2) @ points)
        projected = (points @ vectors[:, :, -1:])[:, :, 0]
    return agreeing(projected, maps)


def agreeing(projected: Tensor, maps: Tensor) -> Tensor:
    """Choose the sign of (N, hw) so that it agrees with the sum of the feature maps; return float32 (N, h, w)."""
    total = maps.cpu().double().sum(dim=1).flatten(1)
    sign = torch.where((projected * total).sum(dim=1, keepdim=True) < 0, -1.0, 1.0)
    return (projected * sign).float().view(-1, *maps.shape[2:])
