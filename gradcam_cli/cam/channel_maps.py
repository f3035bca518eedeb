"""Single feature maps of a layer, ranked by their contributions to a class."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

import torch

from gradcam_cli.cam.capture import capture
from gradcam_cli.cam.context import BatchContext
from gradcam_cli.cam.function_modes import recording
from gradcam_cli.cam.targets import Target

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

    from gradcam_cli.cam.explainer import Explainer


@dataclass(frozen=True, slots=True)
class ChannelMap:
    """One feature map.

    Attributes:
        channel: its number in the layer, from 0.
        weight: Grad-CAM's α_k, the mean gradient of the score over the map: score per unit of activation.
        share: of all positive contributions, in [0, 1]; a contribution is Σ_ij α_k·A_kij.
        values: the feature map A_k, rectified, float32 (h, w).
    """

    channel: int
    weight: float
    share: float
    values: npt.NDArray[np.float32]


class ChannelMaps(NamedTuple):
    """The feature maps that contribute most, the strongest first, and how many there are.

    Attributes:
        strongest: some of those with a positive contribution.
        positive: number of feature maps with a positive contribution.
        total: number of feature maps of the layer.
    """

    strongest: list[ChannelMap]
    positive: int
    total: int


@recording()
def channel_maps(explainer: Explainer, picture: torch.Tensor, target: int | Target, count: int) -> ChannelMaps:
    """Return the feature maps of the explainer's first layer that contribute most to a class, the strongest first.

    Args:
        explainer: for the network and its target layer.
        picture: normalised, (1, 3, H, W).
        target: class index or `Target`.
        count: largest number of maps; those without a positive contribution are left out.

    Raises:
        ModelError: the layer has no grid, or the network returns no class scores.
    """
    some = next(explainer.network.parameters(), picture)
    with explainer.running() as (network, places):
        captured = capture(network, places[:1], picture.to(some.device, some.dtype), explainer.readout)
    maps = captured.feature_maps[0][0]
    target = target if isinstance(target, Target) else Target(target)
    gradient = BatchContext(captured, [target], explainer.budget).at(0).gradients[0]
    weights = gradient.mean(dim=(1, 2))
    contributions = (weights * maps.sum(dim=(1, 2))).clamp(min=0)
    total, positive = float(contributions.sum()), int((contributions > 0).sum())
    order = torch.argsort(contributions, descending=True, stable=True)[: min(count, positive)].tolist()
    strongest = [
        ChannelMap(
            channel, float(weights[channel]), float(contributions[channel]) / total,
            maps[channel].clamp(min=0).cpu().numpy(),
        )
        for channel in order
    ]  # fmt: skip
    return ChannelMaps(strongest, positive, len(maps))
