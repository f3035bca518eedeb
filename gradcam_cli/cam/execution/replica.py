"""Copies of a network that run in its place: they share its tensors where possible, and are made to run fast.

A batch norm in eval mode is a linear map of each channel, so that it can be folded into a convolution before it
(Jacob et al., "Quantization and Training of Neural Networks for Efficient Integer-Arithmetic-Only Inference", CVPR
2018, section 3.2). Copies leave the network unchanged, and each thread can have its own.
"""

from __future__ import annotations

import contextlib
import copy
import threading
from typing import TYPE_CHECKING

import torch
from torch import nn

from gradcam_cli.cam.capture import is_compiled, uncompile

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator


def replica(network: nn.Module) -> nn.Module:
    """Copy a network's structure, in eval mode: parameters and buffers stay shared, and none needs a gradient.

    Raises:
        Exception: the network contains objects that cannot be copied.
    """
    return _copied(network, {id(buffer): buffer for buffer in network.buffers()})


def _copied(network: nn.Module, shared: dict[int, object]) -> nn.Module:
    for parameter in network.parameters():
        shared[id(parameter)] = nn.Parameter(parameter.detach(), requires_grad=False)
    copied = copy.deepcopy(network, shared).eval()
    for module in copied.modules():
        if is_compiled(module):
            uncompile(module)
    return copied


def throwaway(network: nn.Module) -> nn.Module | None:
    """Copy a network for a trial run: what it changes in its buffers and attributes is lost with the copy.

    Returns:
        The copy, which shares the parameters; None where the network contains objects that cannot be copied.
    """
    try:
        return _copied(network, {})
    except Exception:  # a network may contain anything
        return None


@contextlib.contextmanager
def restored(network: nn.Module) -> Iterator[None]:
    """Give a network the attributes and buffers back at the end of the block that it has now."""
    kept = [(module, dict(module.__dict__), dict(module._buffers)) for module in network.modules()]
    values = [(buffer, buffer._version, buffer.detach().clone()) for buffer in network.buffers() if not _fixed(buffer)]
    try:
        yield
    finally:
        for module, attributes, buffers in kept:
            module.__dict__.clear()
            module.__dict__.update(attributes)
            module._buffers.clear()
            module._buffers.update(buffers)
        with torch.no_grad():
            for buffer, version, value in values:
                if buffer._version != version:
                    buffer.copy_(value)


def _fixed(buffer: torch.Tensor) -> bool:
    """Return whether a buffer's changes are not counted, or it has no values that could change."""
    return buffer.is_inference() or buffer.is_meta


@torch.no_grad()
def fold(network: nn.Module, normalised: Iterable[tuple[str, str]], keep: Iterable[str] = ()) -> None:
    """Fold batch norms into the convolutions before them, in place; the output of the batch norm stays the same.

    Convolutions with hooks or a dtype other than float32 or float64, where rounding would show, are left unchanged.

    Args:
        network: a ``replica``.
        normalised: names of (convolution, batch norm), from ``trace_network``.
        keep: names of modules whose output must not change.
    """
    kept = set(keep)
    for name, norm_name in normalised:
        convolution, norm = network.get_submodule(name), network.get_submodule(norm_name)
        assert isinstance(convolution, nn.Conv2d)
        assert isinstance(norm, nn.BatchNorm2d)
        weight, mean, variance = convolution.weight, norm.running_mean, norm.running_var
        hooked = any(m._forward_hooks or m._forward_pre_hooks for m in (convolution, norm))
        precise = weight.dtype in (torch.float32, torch.float64)
        if name in kept or hooked or mean is None or variance is None or not precise:
            continue
        scale = (variance.double() + norm.eps).rsqrt()
        if norm.weight is not None:
            scale = scale * norm.weight
        bias = -mean.double() * scale
        if convolution.bias is not None:
            bias = bias + convolution.bias * scale
        if norm.bias is not None:
            bias = bias + norm.bias
        folded = weight * scale.to(weight.dtype).view(-1, 1, 1, 1)
        convolution.weight = nn.Parameter(folded, requires_grad=False)
        convolution.bias = nn.Parameter(bias.to(weight.dtype), requires_grad=False)
        norm.forward = _unchanged  # type: ignore[method-assign, assignment]


def lay_out(network: nn.Module) -> None:
    """Convert weights to channels-last, in place, like the pipeline's batches; otherwise each call converts them.

    It is the fastest layout for convolutions, on processors as on GPUs. A network with tensors of five dimensions,
    which it does not support, is left unchanged.

    Args:
        network: a ``replica``.
    """
    if not any(parameter.ndim == 5 for parameter in network.parameters()):
        network.to(memory_format=torch.channels_last)


def _unchanged(x: torch.Tensor) -> torch.Tensor:
    return x


@contextlib.contextmanager
def torch_cores_shared(threads: int) -> Iterator[None]:
    """Limit each of ``threads`` that run networks at once to its share of the cores; enter it before they begin."""
    cores = torch.get_num_threads()
    torch.set_num_threads(max(1, cores // threads))
    try:
        yield
    finally:
        torch.set_num_threads(cores)


class Replicas:
    """A pool with as many copies of a network as threads use at the same time.

    Args:
        template: a ``replica``, never run itself.
    """

    def __init__(self, template: nn.Module) -> None:
        self._template = template
        self._free: list[nn.Module] = []
        self._lock = threading.Lock()

    @contextlib.contextmanager
    def borrow(self) -> Iterator[nn.Module]:
        """Yield a copy that no other thread uses."""
        with self._lock:
            copied = self._free.pop() if self._free else replica(self._template)
        try:
            yield copied
        finally:
            self._free.append(copied)
