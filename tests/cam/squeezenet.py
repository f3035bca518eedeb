"""What is true of the real SqueezeNet, in float64: written out, no autograd, nothing of ours."""

from __future__ import annotations

import copy
from functools import cached_property, lru_cache

import numpy as np
import torch
from torch import nn
from torch.nn import functional as F
from torchvision.models.squeezenet import Fire

from gradcam_cli.cam.execution.batch_invariant import make_batch_invariant

AT_ONCE = 32
"""Pictures in one forward pass."""


class SqueezeNetOracle:
    """A ``Truth`` of torchvision's SqueezeNet 1.0.

    Args:
        net: in eval mode.
        picture: as the network takes it, (3, H, W).
        layer: dotted name; only at ``features.12`` are there gradients and logits without a feature map.
        gates: float32 for the ReLUs' gates and the largest of each pooling window as that precision sees them, which
            decides some that are all but ties otherwise. What is sent back through them is float64 all the same.
    """

    def __init__(
        self,
        net: nn.Module,
        picture: torch.Tensor | np.ndarray,
        layer: str = "features.12",
        gates: torch.dtype = torch.float64,
    ) -> None:
        self._net = copy.deepcopy(net).double()
        self._gates = copy.deepcopy(net).to(gates, memory_format=torch.channels_last)  # the kernels that are judged
        for module in (*self._net.modules(), *self._gates.modules()):
            if isinstance(module, nn.ReLU):
                module.inplace = False
        make_batch_invariant(self._gates)  # a gate that rounding decides is to be decided as the engine does
        self._layer = layer
        self._look_at(torch.as_tensor(picture).to(gates).numpy())

    def _look_at(self, picture: np.ndarray) -> None:
        self.picture = picture
        kept = []
        layer = self._net.get_submodule(self._layer)
        handle = layer.register_forward_hook(lambda module, args, output: kept.append(output))
        self._logits = self.logits_of(picture[None])[0]
        handle.remove()
        self.activations = kept[0][0].numpy()

    def logits(self) -> np.ndarray:
        return self._logits

    def logits_of(self, pictures: np.ndarray) -> np.ndarray:
        with torch.no_grad():
            return torch.cat([self._net(some) for some in torch.from_numpy(pictures).double().split(AT_ONCE)]).numpy()

    def at(self, picture: np.ndarray) -> SqueezeNetOracle:
        other = copy.copy(self)
        other.__dict__.pop("_scores", None)
        other._look_at(picture)
        return other

    @property
    def _weights(self) -> np.ndarray:
        """Of the 1×1 convolution behind ``features.12``, (K, C); then come a ReLU and the mean over the grid."""
        return self._net.classifier[1].weight.detach().numpy()[:, :, 0, 0]

    @cached_property
    def _scores(self) -> np.ndarray:
        """What that ReLU gets, (K, h, w)."""
        assert self._layer == "features.12"
        bias = self._net.classifier[1].bias.detach().numpy()
        return np.tensordot(self._weights, self.activations, axes=1) + bias[:, None, None]

    def gradient(self, target: int) -> np.ndarray:
        """W · [score > 0] / hw."""
        open_ = (self._scores[target] > 0) / self._scores[target].size
        return self._weights[target][:, None, None] * open_

    def curvature(self, target: int) -> np.ndarray:
        """None: between its kinks a ReLU is linear."""
        return np.zeros_like(self.activations)

    @lru_cache(maxsize=512)  # noqa: B019  (other classes ask for the same)
    def without(self, channel: int) -> np.ndarray:
        left = self._scores - self._weights[:, channel, None, None] * self.activations[channel]
        return np.maximum(left, 0).mean((1, 2))

    def input_gradient(self, target: int) -> np.ndarray:
        return self.sent_back(target, guided=False)

    def slopes(self, target: int, places: np.ndarray, step: float = 1e-7) -> np.ndarray:
        """∂logit/∂picture by central differences at flat ``places`` of the picture."""
        moved = np.zeros((len(places), self.picture.size))
        moved[np.arange(len(places)), places] = step
        moved = moved.reshape(-1, *self.picture.shape)
        above, below = (self.logits_of(self.picture + sign * moved)[:, target] for sign in (1, -1))
        return (above - below) / (2 * step)

    @lru_cache(maxsize=8)  # noqa: B019
    @torch.no_grad()
    def sent_back(self, target: int, *, guided: bool) -> np.ndarray:
        first = torch.from_numpy(self.picture)[None].contiguous(memory_format=torch.channels_last)
        values, classifier = [first], self._gates.classifier[1]
        for module in self._gates.features:
            values.append(module(values[-1]))
        scores = classifier(values[-1])[:, target : target + 1]
        # The logit's gradient by what its ReLU gave is positive everywhere: nothing to cut.
        back = (scores > 0).double() / scores.numel() * self._net.classifier[1].weight[target]
        for position in reversed(range(len(self._net.features))):
            modules = self._net.features[position], self._gates.features[position]
            back = _through(*modules, values[position], back, guided)
        return back[0].numpy()


def _through(
    module: nn.Module, gates: nn.Module, value: torch.Tensor, back: torch.Tensor, guided: bool
) -> torch.Tensor:
    """Turn the gradient by what a module gave for ``value`` into the one by ``value``, which ``gates`` looks at."""
    if isinstance(module, nn.Conv2d):
        return _through_convolution(module, value, back)
    if isinstance(module, nn.ReLU):
        return _gated(value, back, guided)
    if isinstance(module, nn.MaxPool2d):
        _, largest = F.max_pool2d(
            value, module.kernel_size, module.stride, ceil_mode=module.ceil_mode, return_indices=True
        )
        # Windows overlap: what is the largest in several of them is given the sum.
        flat = (
            torch.zeros_like(value, dtype=torch.float64).flatten(2).scatter_add(2, largest.flatten(2), back.flatten(2))
        )
        return flat.view_as(value)
    assert isinstance(module, Fire)
    squeezed = gates.squeeze(value)
    inner = squeezed.clamp(min=0)
    total = torch.zeros_like(inner, dtype=torch.float64)
    halves = back.split([module.expand1x1.out_channels, module.expand3x3.out_channels], dim=1)
    for name, half in zip(("expand1x1", "expand3x3"), halves, strict=True):
        opened = _gated(getattr(gates, name)(inner), half, guided)
        total += _through_convolution(getattr(module, name), inner, opened)
    return _through_convolution(module.squeeze, value, _gated(squeezed, total, guided))


def _gated(value: torch.Tensor, back: torch.Tensor, guided: bool) -> torch.Tensor:
    return torch.where((value > 0) & ((back > 0) | (not guided)), back, 0.0)


def _through_convolution(module: nn.Conv2d, value: torch.Tensor, back: torch.Tensor) -> torch.Tensor:
    (stride, _), (padding, _), (kernel, _) = module.stride, module.padding, module.kernel_size
    # Rows and columns at the end that no step of the kernel reached.
    unseen = [
        side + 2 * padding - kernel - (steps - 1) * stride
        for side, steps in zip(value.shape[2:], back.shape[2:], strict=True)
    ]
    return F.conv_transpose2d(back, module.weight, stride=stride, padding=padding, output_padding=unseen)
