"""The number of channels that a network reads: usually three, one if it was made for grey pictures."""

from __future__ import annotations

from typing import Any

from torch import nn

RGB = 3


def first_convolution(network: nn.Module) -> tuple[str, nn.Conv2d] | None:
    """Return the dotted name and the module of the convolution that was registered first, or None without one."""
    return next(((name, each) for name, each in network.named_modules() if isinstance(each, nn.Conv2d)), None)


def input_channels(network: nn.Module) -> int | None:
    """Return the number of channels of a network's pictures by its first convolution; None where that is unknown.

    A first convolution of neither one nor three channels does not read pictures, so the number is unknown.
    """
    first = first_convolution(network)
    return first[1].in_channels if first is not None and first[1].in_channels in (1, RGB) else None


def with_one_channel(network: nn.Module) -> nn.Module:
    """Make a network's first convolution read one channel, in place; its weights must be loaded afterwards."""
    first = first_convolution(network)
    if first is not None:
        name, old = first
        wanted: dict[str, Any] = {
            each: getattr(old, each) for each in ("kernel_size", "stride", "padding", "dilation", "padding_mode")
        }
        parent, _, child = name.rpartition(".")
        new = nn.Conv2d(1, old.out_channels, bias=old.bias is not None, **wanted)
        setattr(network.get_submodule(parent), child, new)
    if getattr(network, "transform_input", False):  # Inception networks: it rescales three channels one by one
        network.transform_input = False  # type: ignore[assignment]
    return network
