"""Gradient g = ∂y/∂A times activation A, place by place: sharper than one weight for each feature map."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from torch import Tensor

    from gradcam_cli.cam.context import LayerContext


def hirescam(context: LayerContext) -> Tensor:
    r"""Return :math:`\sum_k g_k A_k`, which adds up to the logit where one linear layer follows.

    Source: Draelos and Carin, "Use HiResCAM instead of Grad-CAM for faithful explanations of convolutional neural
    networks", 2020, https://arxiv.org/abs/2011.08891.
    """
    return context.summed(context.gradients * context.activations)


def layercam(context: LayerContext) -> Tensor:
    r"""Return :math:`\sum_k \mathrm{relu}(g_k) A_k`: evidence that raises the logit, good in shallow layers too.

    Source: Jiang et al., "LayerCAM: Exploring Hierarchical Class Activation Maps for Localization", IEEE Transactions
    on Image Processing 30, 2021, https://doi.org/10.1109/TIP.2021.3089943.
    """
    return context.summed(context.gradients.clamp(min=0) * context.activations)


def gradcam_elementwise(context: LayerContext) -> Tensor:
    r"""Return :math:`\sum_k \mathrm{relu}(g_k A_k)`; from pytorch-grad-cam, not from a paper."""
    return context.summed((context.gradients * context.activations).clamp(min=0))
