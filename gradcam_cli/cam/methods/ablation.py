"""Ablation-CAM: the loss of score when a feature map is removed."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch

if TYPE_CHECKING:
    from torch import Tensor

    from gradcam_cli.cam.context import LayerContext

NUMBERS = 1_000_000
"""Most activation values in one run: 4 MB in float32, which fit into caches."""


def ablationcam(context: LayerContext) -> Tensor:
    r"""Weight every feature map by the share of the logit that is lost without it.

    .. math:: \alpha_k = \frac{y - y_{A_k = 0}}{|y|}

    |y| instead of the paper's y, so that a negative logit does not invert the map. Only the part of the network behind
    the layer is run again. The difference is small compared to y: both logits come from one pass, so that they are
    rounded in the same way.

    Source: Desai and Ramaswamy, "Ablation-CAM: Visual Explanations for Deep Convolutional Network via Gradient-free
    Localization", WACV 2020, https://doi.org/10.1109/WACV45572.2020.9093360, equation 3.
    """
    rows = []
    for picture in range(len(context.targets)):
        whole, lost = _logits(context, picture)
        score = context.score(whole, picture).abs().clamp(min=torch.finfo(torch.float32).tiny)
        rows.append(context.score(lost, picture) / score)
        context.report_progress(picture + 1, len(context.targets))
    weights = torch.stack(rows)
    return context.weighed(weights.to(context.activations))


@torch.no_grad()
def _logits(context: LayerContext, picture: int) -> tuple[Tensor, Tensor]:
    """Return the logits of one picture of the batch, (1, K), and their loss without each feature map, (C, K).

    They are cached: other classes need the same.
    """
    key = ("ablated", picture)
    if key not in context.memory:
        partial_forward = context.partial_forward(picture)
        whole, dim = partial_forward.activation, context.channel_dim
        channels = whole.shape[dim]
        at_once = max(1, min(channels, NUMBERS // whole.numel() - 1))
        found, outputs = [], whole.repeat(at_once + 1, *[1] * (whole.ndim - 1))
        for first in range(0, channels, at_once):
            some = outputs[: min(at_once, channels - first) + 1]
            for row in range(len(some) - 1):
                some[row].select(dim - 1, first + row).zero_()
            version = outputs._version
            logits = partial_forward(some)
            if outputs._version != version:  # the network writes into its input
                outputs.copy_(whole)
            for row in range(len(some) - 1):
                some[row].select(dim - 1, first + row).copy_(whole[0].select(dim - 1, first + row))
            logits = logits.to(torch.promote_types(logits.dtype, torch.float32))
            found.append(logits[-1:] - logits[:-1])
        context.memory[key] = logits[-1:], torch.cat(found)
    kept: tuple[Tensor, Tensor] = context.memory[key]
    return kept
