"""Convolution weights packed in oneDNN's own memory order.

Without that each call reorders them: with one picture a quarter of ResNet-50's time. The best order depends on the
input's shape and the number of threads, so weights are packed for the input that last came twice in a row.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, TypeAlias

import torch

if TYPE_CHECKING:
    from torch import Tensor, nn


MAX_PICTURES = 4
"""Largest batch: with more pictures reordering takes a few hundredths of the time, not worth a second copy."""

_Case: TypeAlias = "tuple[torch.Size, torch.dtype, int]"
"""Shape, dtype, threads."""


class Prepacked:
    """One convolution's packed weights, shared by all copies of a network.

    Neither the weights nor the bias may change once packed.
    """

    def __init__(self) -> None:
        self._able = True
        self._last: _Case | None = None
        self._packed: tuple[_Case, tuple[Any, ...]] | None = None

    def __deepcopy__(self, memo: dict[int, Any]) -> Prepacked:
        """Return itself: a copy of the network, run by another thread, does not pack again."""
        return self

    def convolved(self, module: nn.Conv2d, x: Tensor) -> Tensor | None:
        """Convolve (N, C, H, W) with oneDNN, or return None where weights are not packed for it.

        The numbers equal those of ``torch.mkldnn_convolution`` to the last bit. Nothing is recorded for a gradient.
        Every convolution of every frame runs this with Python's lock held, so the usual path is short.
        """
        if x.requires_grad or not x.is_contiguous(memory_format=torch.channels_last):
            return None
        case, packed = (x.shape, x.dtype, torch.get_num_threads()), self._packed
        again, self._last = case == self._last, case
        if packed is not None and packed[0] == case:
            return _run(x, packed[1])
        if again and self._able and x.dtype == torch.float32 and x.shape[0] <= MAX_PICTURES:
            return self._pack(module, x, case)
        return None

    def _pack(self, module: nn.Conv2d, x: Tensor, case: _Case) -> Tensor | None:
        try:
            how = module.padding, module.stride, module.dilation, module.groups
            weight = torch.ops.mkldnn._reorder_convolution_weight(module.weight.detach(), *how, x.shape)
            arguments: tuple[Any, ...] = (weight, module.bias, *how, "none", [], "")
            convolved = _run(x, arguments)
        except (AttributeError, RuntimeError):  # no public function of PyTorch does this: it may be removed
            self._able = False
            return None
        self._packed = case, arguments
        return convolved


def _run(x: Tensor, arguments: tuple[Any, ...]) -> Tensor:
    convolved: Tensor = torch.ops.mkldnn._convolution_pointwise.default(x, *arguments)
    return convolved
