"""Grad-CAM."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch

if TYPE_CHECKING:
    from torch import Tensor


def gradcam(activations: Tensor, gradients: Tensor) -> Tensor:
    r"""Weigh every feature map by the mean of its gradient and add them up.

    .. math:: L = \sum_k \alpha_k A_k, \qquad \alpha_k = \frac{1}{hw} \sum_{ij} \frac{\partial y}{\partial A_{kij}}

    The paper rectifies the sum; that is left to the caller, who needs to know how negative it was.

    Args:
        activations: A, feature maps (N, C, h, w).
        gradients: ∂y/∂A, (N, C, h, w).

    Returns:
        (N, h, w), not rectified.

    Source: Selvaraju et al., "Grad-CAM: Visual Explanations from Deep Networks via Gradient-based Localization",
    ICCV 2017, https://arxiv.org/abs/1610.02391, equations 1 and 2.
    """
    return torch.einsum("nc,nchw->nhw", gradients.mean(dim=(2, 3)), activations)
