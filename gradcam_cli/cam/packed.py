"""Convolutions' weights in the order in which oneDNN reads them.

Without that each call brings them into it anew: with one picture a quarter of ResNet-50's time. The best order depends
on the input's shape and the number of threads, so weights are packed for the first input that comes twice in a row.
"""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING, Any

import torch

if TYPE_CHECKING:
    from torch import Tensor, nn


class Packed:
    """One convolution's weights, packed; all copies of a network have the same.

    They must not change once packed.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._last: tuple[object, ...] | None = None
        self._for: tuple[object, ...] | None = None
        self._weight: Tensor | None = None

    def __deepcopy__(self, memo: dict[int, Any]) -> Packed:
        """Return itself: a copy of the network may be run by another thread, which packs nothing anew."""
        return self

    def convolved(self, module: nn.Conv2d, x: Tensor) -> Tensor | None:
        """Return what oneDNN makes of (N, C, H, W), or None where weights are not packed for it.

        The numbers are those of ``torch.mkldnn_convolution``, to the last bit. Nothing is recorded for a gradient.
        """
        if x.requires_grad or not x.is_contiguous(memory_format=torch.channels_last):
            return None
        case = (*x.shape, torch.get_num_threads())
        if self._for is None:
            with self._lock:
                if self._for is None and case == self._last:
                    self._weight = _packed(module, x)
                    self._for = case
                self._last = case
        if case != self._for or self._weight is None:
            return None
        return _run(module, x, self._weight)


def _packed(module: nn.Conv2d, x: Tensor) -> Tensor | None:
    """Return the weights packed for x, or None where this PyTorch cannot: none of its public functions does this."""
    how = module.padding, module.stride, module.dilation, module.groups
    try:
        packed: Tensor = torch.ops.mkldnn._reorder_convolution_weight(module.weight.detach(), *how, x.shape)
        _run(module, x, packed)
    except (AttributeError, RuntimeError):
        return None
    return packed


def _run(module: nn.Conv2d, x: Tensor, packed: Tensor) -> Tensor:
    how = module.padding, module.stride, module.dilation, module.groups
    convolved: Tensor = torch.ops.mkldnn._convolution_pointwise(x, packed, module.bias, *how, "none", [], "")
    return convolved
