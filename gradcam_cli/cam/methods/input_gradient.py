"""Methods that use the network's input: the effect of each pixel's colours on the score.

Their maps are as large as the input. A pixel's value is the largest of its three colours' absolute values.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from torch.nn import functional as F

from gradcam_cli.cam.methods.gradcam import gradcam
from gradcam_cli.errors import ModelError

if TYPE_CHECKING:
    from torch import Tensor

    from gradcam_cli.cam.context import LayerContext
    from gradcam_cli.cam.layers.trace import Trace


def strongest_colour(gradients: Tensor) -> Tensor:
    """Return the largest absolute value of the colours: (N, 3, H, W) → (N, H, W)."""
    return gradients.abs().amax(dim=1)


def gradient(context: LayerContext) -> Tensor:
    r"""Return how much the score changes with each pixel.

    .. math:: L_{ij} = \max_k \left|\frac{\partial y}{\partial x_{kij}}\right|

    Returns:
        (N, H, W), at the network's input; the same for all methods that use no layer.

    Source: Simonyan et al., "Deep Inside Convolutional Networks: Visualising Image Classification Models and Saliency
    Maps", ICLR Workshops 2014, https://arxiv.org/abs/1312.6034, section 3.1.
    """
    return strongest_colour(context.input_gradients(context.pictures))


def guided_backprop(context: LayerContext) -> Tensor:
    r"""Apply ``gradient``, but pass only positive gradients back through every ReLU.

    .. math:: L_{ij} = \max_k \left|R^0_{kij}\right|, \qquad
              R^l = [f^l > 0] \, [R^{l+1} > 0] \, R^{l+1} \text{ at a ReLU}

    ReLU6 is a ReLU too; other activations pass the gradient on unchanged. The map depends little on the class: it shows
    the parts that the network reacts to.

    Source: Springenberg et al., "Striving for Simplicity: The All Convolutional Net", ICLR Workshops 2015,
    https://arxiv.org/abs/1412.6806, section 3.4.
    """
    return strongest_colour(context.guided_gradients)


def guided_gradcam(context: LayerContext) -> Tensor:
    r"""Multiply guided backpropagation by Grad-CAM: details where they support the class.

    .. math:: L_{ij} = \max_k \left|R^0_{kij} \cdot \mathrm{up}(\mathrm{relu}(L^{\text{Grad-CAM}}))_{ij}\right|

    Grad-CAM's map is upsampled bilinearly to the input (half-pixel centres).

    Returns:
        (N, H, W), at the network's input.

    Source: Selvaraju et al., "Grad-CAM: Visual Explanations from Deep Networks via Gradient-based Localization",
    ICCV 2017, https://arxiv.org/abs/1610.02391, section 3.1.
    """
    coarse = gradcam(context).clamp(min=0)[:, None]
    size = context.pictures.shape[2:]
    return strongest_colour(
        context.guided_gradients * F.interpolate(coarse, size, mode="bilinear", align_corners=False)
    )


def needs_relu(trace: Trace, layer: str) -> None:
    """Raise ModelError when the network has no ReLU, where guided backpropagation is the plain gradient."""
    if not trace.rectifies:
        raise ModelError("guided backpropagation needs ReLUs, and the network has none", "choose {method} smoothgrad")
