"""Principal components over the places of a grid."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch

from gradcam_cli.cam.pca import agreeing, first_component, points_of

if TYPE_CHECKING:
    from torch import Tensor

    from gradcam_cli.cam.context import LayerContext


def eigencam(context: LayerContext) -> Tensor:
    """Project the activations at every place on their first principal component, uncentred.

    The sign of a component is arbitrary: it is chosen so that the map agrees with the sum of the feature maps.
    pytorch-grad-cam centres the activations first and leaves the sign to chance: its maps differ, and some are
    inverted.

    Source: Muhammad and Yeasin, "Eigen-CAM: Class Activation Map using Principal Components", IJCNN 2020,
    https://arxiv.org/abs/2008.00299.
    """
    return first_component(context.activations)


def eigengradcam(context: LayerContext) -> Tensor:
    """Apply ``eigencam`` to gradient times activation, which depends on the class.

    Known from pytorch-grad-cam, which centres and leaves the sign to chance here too.
    """
    return first_component(context.gradients * context.activations)


def kpca_cam(context: LayerContext) -> Tensor:
    """Project on the first kernel principal component: sigmoid kernel tanh(x·x'/C + 1) of the centred activations.

    The sign is fixed as in ``eigencam``. Needs hw × hw numbers per picture, so use a deep layer.

    Source: Karmani et al., "KPCA-CAM: Visual Explainability of Deep Computer Vision Models using Kernel PCA", 2024,
    https://arxiv.org/abs/2410.00267.
    """
    maps = context.activations
    points = points_of(maps)
    centred = points - points.mean(dim=1, keepdim=True)
    kernel = torch.tanh(centred @ centred.transpose(1, 2) / maps.shape[1] + 1)
    rows = kernel.mean(dim=1, keepdim=True)
    kernel = kernel - rows - rows.transpose(1, 2) + rows.mean(dim=2, keepdim=True)
    values, vectors = torch.linalg.eigh(kernel)
    return agreeing(vectors[:, :, -1] * values[:, -1:].clamp(min=0).sqrt(), maps)
