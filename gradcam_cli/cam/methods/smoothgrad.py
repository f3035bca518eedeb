"""Methods that average over noisy copies of a picture, which smooths the gradient's jumps from pixel to pixel.

The noise is normal, its standard deviation a share of the range of the normalised picture's values. It is seeded and
drawn once for all pictures, so that none depends on the others in its batch.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch

from gradcam_cli.cam.methods.gradcam import TINY
from gradcam_cli.cam.methods.input_gradient import strongest_colour

if TYPE_CHECKING:
    from collections.abc import Iterator

    from torch import Tensor

    from gradcam_cli.cam.context import LayerContext

SEED = 0


def smoothgrad(context: LayerContext, *, n: int = 16, sigma: float = 0.15) -> Tensor:
    r"""Average the gradient at the pixels over noisy copies of the picture.

    .. math:: L_{ij} = \max_k \left|\frac{1}{n} \sum_{m=1}^{n}
              \frac{\partial y}{\partial x_{kij}}(x + \delta_m)\right|

    with δ ~ N(0, (σ · (max x - min x))²); seeded.

    Args:
        context: of a batch.
        n: noisy copies.
        sigma: σ, a share of the range of the picture's values: the authors found 0.1 to 0.2 best.

    Returns:
        (N, H, W), at the network's input.

    Source: Smilkov et al., "SmoothGrad: removing noise by adding noise", 2017, https://arxiv.org/abs/1706.03825.
    """
    total = torch.zeros_like(context.pictures, dtype=torch.float32)
    for pictures in _noisy(context, n, sigma):
        total += context.input_gradients(pictures)
    return strongest_colour(total / n)


def smoothgradcam_pp(context: LayerContext, *, n: int = 8, sigma: float = 0.15) -> Tensor:
    r"""Apply Grad-CAM++ with the gradient and its powers averaged over noisy copies of the picture.

    .. math:: \alpha_k = \sum_{ij} w_{kij} \mathrm{relu}(D^1_{kij}), \qquad
              w = \frac{D^2}{2 D^2 + D^3 \sum_{ab} A_{kab}}, \qquad
              D^p = \frac{1}{n} \sum_{m=1}^{n} g(x + \delta_m)^p

    with δ ~ N(0, (σ · (max x - min x))²), seeded, and A of the picture without noise. w is 0 where the denominator
    vanishes.

    Args:
        context: of a batch.
        n: noisy copies: fewer than for `smoothgrad`, since coarse maps settle sooner.
        sigma: σ, a share of the range of the picture's values.

    Source: Omeiza et al., "Smooth Grad-CAM++: An Enhanced Inference Level Visualization Technique for Deep
    Convolutional Neural Network Models", 2019, https://arxiv.org/abs/1908.01224, section 3.
    """
    maps = context.activations
    first, second, third = (torch.zeros_like(maps) for _ in range(3))
    for pictures in _noisy(context, n, sigma):
        gradients = context.on(pictures).gradients
        first += gradients / n
        second += gradients.square() / n
        third += gradients.pow(3) / n
    alone, crowd = 2 * second, third * maps.sum(dim=(2, 3), keepdim=True)
    sound = (alone + crowd).abs() > TINY * (alone + crowd.abs())
    coefficients = torch.where(sound, second / torch.where(sound, alone + crowd, 1.0), 0.0)
    return context.weighed((coefficients * first.clamp(min=0)).sum(dim=(2, 3)))


def _noisy(context: LayerContext, copies: int, sigma: float) -> Iterator[Tensor]:
    """Yield noisy copies of the batch, one at a time, so that memory does not grow with their number."""
    pictures = context.pictures
    # Half precision is too coarse for noise; float64 is kept, since rounding could switch other ReLUs on.
    plain = pictures.to(torch.promote_types(pictures.dtype, torch.float32))
    spread = sigma * (plain.amax(dim=(1, 2, 3), keepdim=True) - plain.amin(dim=(1, 2, 3), keepdim=True))
    generator = torch.Generator().manual_seed(SEED)
    for copy in range(copies):
        noise = torch.randn(pictures.shape[1:], generator=generator).to(plain.device)
        yield (plain + spread * noise).to(pictures.dtype)
        context.report_progress(copy + 1, copies)
