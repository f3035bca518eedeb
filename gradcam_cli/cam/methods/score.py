"""Score-CAM and its variants: the class's score for the picture masked with each feature map.

The masks are feature maps, upsampled bilinearly to the input (half-pixel centres), then scaled to [0, 1]; masked
pixels become zero in the normalised picture, the mean colour of the training pictures. Constant feature maps give no
mask; their weight is 0, as in the authors' code.
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

import torch
from torch.nn import functional as F

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from torch import Tensor

    from gradcam_cli.cam.context import LayerContext

AT_ONCE = 16
"""Masked pictures in one forward pass; a third faster than 32 on processors, whose caches are small."""
SEED = 0


def scorecam(context: LayerContext) -> Tensor:
    r"""Weight every feature map by the class's probability for the picture masked with it.

    .. math:: \alpha_k = \mathrm{softmax}(f(x \circ M_k))_c

    As in the authors' code; the paper's text and other implementations use other weights: see ``scorecam_paper``.

    Source: Wang et al., "Score-CAM: Score-Weighted Visual Explanations for Convolutional Neural Networks", CVPR
    Workshops 2020, https://arxiv.org/abs/1910.01279.
    """
    return _weighed(context, lambda logits, picture: context.probability(logits, picture))


def scorecam_paper(context: LayerContext) -> Tensor:
    r"""Weight by the softmax over the feature maps of the logit's gain over a blank picture.

    .. math:: \alpha = \mathrm{softmax}_k(f(x \circ M_k)_c - f(0)_c)

    Source: https://arxiv.org/abs/1910.01279, algorithm 1.
    """
    if "blank" not in context.memory:
        context.memory["blank"] = context.run(torch.zeros_like(context.pictures[:1]))
    blank: Tensor = context.memory["blank"]

    def gained(logits: Tensor, picture: int) -> Tensor:
        return context.score(logits, picture) - context.score(blank, picture)

    return _weighed(context, gained, softmax=True)


def scorecam_logits(context: LayerContext) -> Tensor:
    r"""Weight by the softmax over the feature maps of the logit, as pytorch-grad-cam and torch-cam do.

    .. math:: \alpha = \mathrm{softmax}_k(f(x \circ M_k)_c)

    ``scorecam_paper`` subtracts the same number for all feature maps, so that the two agree up to rounding. torch-cam
    scales masks before upsampling them, pytorch-grad-cam aligns corners.

    Source: https://arxiv.org/abs/1910.01279.
    """
    return _weighed(context, context.score, softmax=True)


def faster_scorecam(context: LayerContext, *, n: int = 64) -> Tensor:
    """Apply ``scorecam`` to the n feature maps of each picture that vary most, or as many as the budget allows.

    Source: https://github.com/tabayashi0117/Score-CAM, "Faster-Score-CAM".
    """
    return _weighed(context, context.probability, most=n)


def iscam(context: LayerContext, *, n: int = 10) -> Tensor:
    r"""Weight by the class's logit, averaged over the mask's strength, softmax over the feature maps.

    .. math:: \alpha = \mathrm{softmax}_k\left(\frac{1}{n} \sum_{i=1}^{n} f(x \circ \tfrac{i}{n} M_k)_c\right)

    In torch-cam 0.5.0 the strength is a running total of i/n, up to 5.5, and masks are scaled before they
    are upsampled.

    Source: Naidu et al., "IS-CAM: Integrated Score-CAM for axiomatic-based explanations", 2020,
    https://arxiv.org/abs/2010.03023.
    """
    return _weighed(context, context.score, softmax=True, changes=[_weaker(step / n) for step in range(1, n + 1)])


def sscam(context: LayerContext, *, n: int = 8, sigma: float = 2.0) -> Tensor:
    r"""Weight by the class's logit, averaged over noisy copies of the mask, softmax over the feature maps.

    .. math:: \alpha = \mathrm{softmax}_k\left(\frac{1}{n} \sum_{i=1}^{n} f(x \circ (M_k + \delta_i))_c\right)

    with δ ~ N(0, σ²) at every pixel, the same for all feature maps; seeded. torch-cam 0.5.0 draws new noise
    for each feature map, unseeded.

    Source: Wang et al., "SS-CAM: Smoothed Score-CAM for Sharper Visual Feature Localization", 2020,
    https://arxiv.org/abs/2006.14255.
    """
    generator = torch.Generator().manual_seed(SEED)
    shape = (1, 1, *context.pictures.shape[2:])
    noises = [(torch.randn(shape, generator=generator) * sigma).to(context.pictures) for _ in range(n)]
    return _weighed(context, context.score, softmax=True, changes=[_noisier(noise) for noise in noises])


def _unchanged(masks: Tensor) -> Tensor:
    return masks


def _weaker(share: float) -> Callable[[Tensor], Tensor]:
    return lambda masks: masks * share


def _noisier(noise: Tensor) -> Callable[[Tensor], Tensor]:
    return lambda masks: masks + noise


def _weighed(
    context: LayerContext,
    score: Callable[[Tensor, int], Tensor],
    *,
    softmax: bool = False,
    most: int | None = None,
    changes: Sequence[Callable[[Tensor], Tensor]] = (_unchanged,),
) -> Tensor:
    """Weight the feature maps of each picture by the ``score`` of the masked pictures' logits.

    Args:
        context: the layer's context for a batch.
        score: logits (B, K), the picture's position → (B,).
        softmax: whether the scores of all feature maps are normalised to a sum of 1.
        most: feature maps, those that vary most, where that many are enough.
        changes: versions of the masks whose scores are averaged.
    """
    maps = context.activations
    weights = torch.zeros(maps.shape[:2], device=maps.device)
    chosen = [_chosen(planes, most, context.budget) for planes in maps]
    done, total = 0, sum(map(len, chosen)) * len(changes)
    for picture, channels in enumerate(chosen):
        versions = []
        for change in changes:
            logits: list[Tensor] = []
            began = time.monotonic()
            for some in torch.split(channels, AT_ONCE):
                if most and logits and context.budget is not None and time.monotonic() - began > context.budget:
                    break
                logits.append(_masked_logits(context, picture, some.tolist(), change))
                done += len(some)
                context.report_progress(done, total)
            if logits:
                versions.append(score(torch.cat(logits), picture))
        if versions:
            mean = torch.stack(versions).mean(dim=0)
            weights[picture, channels[: len(mean)]] = torch.softmax(mean, dim=0) if softmax else mean
    return context.weighed(weights)


def _chosen(planes: Tensor, most: int | None, budget: float | None) -> Tensor:
    """Return the indices of the feature maps (C, h, w) to use: no flat ones, and with ``most`` the most varied."""
    uneven = (planes.amax(dim=(1, 2)) > planes.amin(dim=(1, 2))).nonzero()[:, 0]
    if most is None:
        return uneven
    order = planes[uneven].var(dim=(1, 2), correction=0).argsort(descending=True, stable=True)
    return uneven[order if budget is not None else order[:most]]


@torch.no_grad()
def _masked_logits(
    context: LayerContext, picture: int, channels: list[int], change: Callable[[Tensor], Tensor]
) -> Tensor:
    """Return the logits of the picture under some of its masks, (len(channels), K).

    They are cached for other methods and classes, which need the same where the masks are unchanged.
    """
    known: dict[int, Tensor] = context.memory.setdefault(("masked", picture), {}) if change is _unchanged else {}
    missing = [channel for channel in channels if channel not in known]
    if missing:
        shown = context.pictures[picture]
        masks = context.activations[picture, missing][:, None]
        masks = F.interpolate(masks, shown.shape[1:], mode="bilinear", align_corners=False)
        low, high = masks.amin(dim=(2, 3), keepdim=True), masks.amax(dim=(2, 3), keepdim=True)
        masked = shown * change((masks - low) / (high - low)).to(shown.dtype)
        logits = context.run(masked.contiguous(memory_format=torch.channels_last))
        known.update(zip(missing, logits, strict=True))
    return torch.stack([known[channel] for channel in channels])
