"""Kernels whose results do not depend on the batch's size and the number of threads.

On processors PyTorch chooses between oneDNN and a matrix product by the batch's size and the number of threads, and
matrix products round differently for other numbers of rows. Here the choice is fixed: a picture then has the same
feature maps, scores and map in every batch.
"""

from __future__ import annotations

import contextlib
import threading
from types import MethodType
from typing import TYPE_CHECKING, cast

import torch
from torch import nn
from torch.nn import functional as F

from gradcam_cli.cam.execution import token_linear
from gradcam_cli.cam.execution.prepacked_conv import Prepacked

if TYPE_CHECKING:
    from collections.abc import Iterator

    from torch import Tensor

MAX_WEIGHTS = 4_000_000
"""Most weights of a linear layer that is run picture by picture: larger ones would be reread from memory each time."""


def make_batch_invariant(network: nn.Module) -> None:
    """Make convolutions and linear layers round the same for every batch and number of threads, in place.

    Modules of other classes, other precisions than float32, and devices other than a processor with oneDNN are left
    unchanged.

    Args:
        network: a ``replica``.
    """
    if not torch.backends.mkldnn.is_available():  # type: ignore[no-untyped-call]
        return
    for module in network.modules():
        weight = getattr(module, "weight", None)
        if "forward" in module.__dict__ or not isinstance(weight, torch.Tensor):
            continue
        if weight.device.type != "cpu" or weight.dtype != torch.float32:
            continue
        if type(module) is nn.Conv2d and module.padding_mode == "zeros" and not isinstance(module.padding, str):
            module.packed = Prepacked()  # type: ignore[assignment]
            module.forward = MethodType(_convolved, module)  # type: ignore[method-assign]
        elif type(module) is nn.Linear:
            module.forward = MethodType(_linear, module)  # type: ignore[method-assign]


def _convolved(module: nn.Conv2d, x: Tensor) -> Tensor:
    """Convolve with oneDNN, which PyTorch does not use for small batches and single threads."""
    packed: Tensor | None = module.packed.convolved(module, x)  # type: ignore[operator, union-attr]
    if packed is not None:
        return packed
    padding = cast("tuple[int, int]", module.padding)
    if x.ndim != 4 or x.dtype != torch.float32:
        return F.conv2d(x, module.weight, module.bias, module.stride, padding, module.dilation, module.groups)
    convolved: Tensor = torch.mkldnn_convolution(
        x, module.weight, module.bias, padding, module.stride, module.dilation, module.groups
    )
    return convolved


def _linear(module: nn.Linear, x: Tensor) -> Tensor:
    """Run pictures one by one: as fast, since a head's weights fit into the processor's cache; tokens all at once."""
    if x.ndim == 3:
        return token_linear.linear(x, module.weight, module.bias)
    if x.ndim != 2 or len(x) < 2 or module.weight.numel() > MAX_WEIGHTS or getattr(_here, "versions", False):
        return F.linear(x, module.weight, module.bias)
    return torch.cat([F.linear(each, module.weight, module.bias) for each in x[:, None]])


_here = threading.local()


@contextlib.contextmanager
def perturbations_of_one() -> Iterator[None]:
    """Let linear layers run a batch as a whole while it consists of versions of one picture, so no other affects it."""
    before = getattr(_here, "versions", False)
    _here.versions = True
    try:
        yield
    finally:
        _here.versions = before


def weighted_sums(weights: Tensor, maps: Tensor) -> Tensor:
    """Return Σ_k w_k A_k for each picture alone: (N, C), (N, C, h, w) → (N, h, w)."""
    sums = [row @ planes.flatten(1) for row, planes in zip(weights, maps, strict=True)]
    return torch.stack(sums).view(-1, *maps.shape[2:])
