"""Methods that need no gradient: the weights of the feature maps come from elsewhere."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch import nn

from gradcam_cli.errors import ModelError

if TYPE_CHECKING:
    from torch import Tensor

    from gradcam_cli.cam.context import LayerContext
    from gradcam_cli.cam.layers.trace import Trace


def fem(context: LayerContext, *, k: float = 2.0) -> Tensor:
    r"""Weight every feature map by the share of its places that stand out.

    .. math:: \alpha_k = \frac{1}{hw} \sum_{ij} [A_{kij} > \mu_k + k \sigma_k]

    Args:
        context: of a batch.
        k: standard deviations above a feature map's mean from which a place stands out.

    Source: Fuad et al., "Features Understanding in 3D CNNs for Actions Recognition in Video", IPTA 2020,
    https://hal.science/hal-02963298.
    """
    maps = context.activations
    threshold = maps.mean(dim=(2, 3), keepdim=True) + k * maps.std(dim=(2, 3), keepdim=True, correction=0)
    return context.weighed((maps > threshold).float().mean(dim=(2, 3)))


def random_weights(context: LayerContext, *, seed: int = 0) -> Tensor:
    """Weight the feature maps by numbers from U(-1, 1), the same for every picture and class; seeded."""
    count = context.activations.shape[1]
    weights = torch.rand(count, generator=torch.Generator().manual_seed(seed)) * 2 - 1
    return context.weighed(weights.to(context.activations.device).expand(len(context.targets), count))


def cam(context: LayerContext) -> Tensor:
    r"""Weight the feature maps by the class's weights in the linear layer that reads their means.

    .. math:: L = \sum_k w_{ck} A_k \qquad\text{for}\qquad y_c = \sum_k w_{ck} \mathrm{mean}(A_k) + b_c

    Raises:
        ModelError: the logits differ from that formula: other layers lie between the feature maps and the linear layer.

    Source: Zhou et al., "Learning Deep Features for Discriminative Localization", CVPR 2016,
    https://arxiv.org/abs/1512.04150.
    """
    head = context.linear_head
    if head is None or head.in_features != context.activations.shape[1]:
        raise _other_head()
    means = context.activations.mean(dim=(2, 3)).to(head.weight.dtype)
    scores = context.class_logits(nn.functional.linear(means, head.weight.detach(), head.bias).float())
    if not torch.allclose(scores, context.logits, rtol=1e-2, atol=1e-2 * float(context.logits.abs().max())):
        raise _other_head()
    return context.weighed(context.class_weights @ context.class_logits(head.weight.detach().float().T).T)


def needs_linear_head(trace: Trace, layer: str) -> None:
    """Raise ModelError unless exactly one module behind ``layer`` has parameters, a linear layer."""
    names = [call.name for call in trace.calls]
    behind = trace.calls[names.index(layer) + 1 :] if layer in names else []
    learned = [call.module for call in behind if any(True for _ in call.module.parameters(recurse=False))]
    if len(learned) != 1 or not isinstance(learned[0], nn.Linear):
        raise _other_head()


def _other_head() -> ModelError:
    return ModelError(
        "the method cam needs a network that ends in global average pooling and one linear layer, and its last grid",
        "choose {method} gradcam, which gives the same map where there is one",
    )
