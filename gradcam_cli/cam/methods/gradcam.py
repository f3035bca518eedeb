"""Grad-CAM and its variants: one weight α_k for each feature map A_k, from the gradient g = ∂y/∂A."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch

if TYPE_CHECKING:
    from torch import Tensor

    from gradcam_cli.cam.context import LayerContext


TINY = 1e-6
"""A sum below this share of its terms' magnitude is rounding error."""


def gradcam(context: LayerContext) -> Tensor:
    r"""Weight every feature map by the mean of its gradient and add them up.

    .. math:: L = \sum_k \alpha_k A_k, \qquad \alpha_k = \frac{1}{hw} \sum_{ij} \frac{\partial y}{\partial A_{kij}}

    The paper rectifies the sum; here the caller does, which needs to know how negative it was.

    Returns:
        (N, h, w), not rectified; the same for all methods.

    Source: Selvaraju et al., "Grad-CAM: Visual Explanations from Deep Networks via Gradient-based Localization",
    ICCV 2017, https://arxiv.org/abs/1610.02391, equations 1 and 2.
    """
    return context.weighed(context.gradients.mean(dim=(2, 3)))


def gradcam_pp(context: LayerContext) -> Tensor:
    r"""Weight positive gradients by a coefficient that is larger where few places of a map support the class.

    .. math:: \alpha_k = \sum_{ij} w_{kij} \mathrm{relu}(g_{kij}), \qquad
              w = \frac{g^2}{2 g^2 + g^3 \sum_{ab} A_{kab}} = \frac{1}{2 + g \sum_{ab} A_{kab}}

    w is 0 where g is 0 and where the denominator vanishes. The paper differentiates exp(y); its common factor
    cancels when the map is scaled. pytorch-grad-cam 1.5.7 adds 1e-6 to a denominator that global pooling makes about as
    small, torch-cam 0.5.0 loses the division: both are off by a quarter to a half of the map's maximum.

    Source: Chattopadhyay et al., "Grad-CAM++", WACV 2018, https://arxiv.org/abs/1710.11063, equations 10 and 19.
    """
    gradients = context.gradients
    second = gradients * context.activations.sum(dim=(2, 3), keepdim=True)
    denominator = 2 + second
    sound = (gradients > 0) & (denominator.abs() > TINY * (2 + second.abs()))
    coefficients = torch.where(sound, 1 / torch.where(sound, denominator, 1.0), 0.0)
    return context.weighed((coefficients * gradients.clamp(min=0)).sum(dim=(2, 3)))


def xgradcam(context: LayerContext) -> Tensor:
    r"""Weight the gradient at each place by the place's share of its feature map.

    .. math:: \alpha_k = \sum_{ij} \frac{A_{kij}}{\sum_{ab} A_{kab}} g_{kij}

    α is 0 for a map whose values cancel out.

    Source: Fu et al., "Axiom-based Grad-CAM", BMVC 2020, https://arxiv.org/abs/2008.02312, equation 8.
    """
    activations = context.activations
    total = activations.sum(dim=(2, 3))
    sound = total.abs() > TINY * activations.abs().sum(dim=(2, 3))
    weights = (context.gradients * activations).sum(dim=(2, 3)) / torch.where(sound, total, 1.0)
    return context.weighed(torch.where(sound, weights, 0.0))


def shapleycam(context: LayerContext) -> Tensor:
    r"""Weight every feature map by the mean of its gradient, corrected by the curvature along the activation.

    .. math:: \alpha_k = \frac{1}{hw} \sum_{ij} \left(g - \tfrac{1}{2} H A\right)_{kij}

    with H the Hessian of the logit: the second-order estimate of a feature map's Shapley value. Where only
    convolutions, ReLUs and pooling follow the layer, there is no curvature, and it equals Grad-CAM.

    Source: Cai, "CAMs as Shapley Value-based Explainers", 2025, https://arxiv.org/abs/2501.06261.
    """
    return context.weighed((context.gradients - context.curvature / 2).mean(dim=(2, 3)))


def finercam(context: LayerContext, *, n: int = 3, alpha: float = 1.0) -> Tensor:
    r"""Apply Grad-CAM to the difference to the classes whose logits are nearest to the explained one's.

    .. math:: \alpha_k = \mathrm{mean}\left(\frac{\partial}{\partial A_k}
              \left(y_c - \frac{\alpha}{|D|} \sum_{d \in D} y_d\right)\right)

    D are the n nearest to c, or as many as there are, without a class that c is compared with. A network with one
    logit has one other class, whose logit is -y: the map is twice Grad-CAM's. pytorch-grad-cam 1.5.7 weights D by its
    probabilities instead of evenly.

    Source: Zhang et al., "Finer-CAM: Spotting the Difference Reveals Finer Details for Visual Explanation", CVPR 2025,
    https://arxiv.org/abs/2501.11309; comparison strength 1.
    """
    logits, gradients = context.logits, context.gradients
    compared = torch.zeros_like(logits)
    for row, class_weights, own, target in zip(logits, compared, context.class_weights, context.targets, strict=True):
        distance = (row - row[target.index]).abs().masked_fill(own != 0, torch.inf)
        nearest = distance.argsort(stable=True)[: min(n, int((own == 0).sum()))]
        class_weights[nearest] = alpha * own[target.index] / max(1, len(nearest))
    if compared.any():
        gradients = gradients - context.gradients_of(compared)
    return context.weighed(gradients.mean(dim=(2, 3)))


def guided_weights(context: LayerContext) -> Tensor:
    r"""Take the mean of gradients that are positive, at places that are active.

    .. math:: \alpha_k = \frac{1}{hw} \sum_{ij} [g_{kij} > 0] [A_{kij} > 0] g_{kij}

    Keras tutorials call it Grad-CAM with guided gradients; they do not rectify the sum.
    """
    active = (context.activations > 0) * context.gradients.clamp(min=0)
    return context.weighed(active.mean(dim=(2, 3)))
