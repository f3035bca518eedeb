"""The device and precision with which a network runs."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch

from gradcam_cli.errors import UsageError
from gradcam_cli.text import quoted

if TYPE_CHECKING:
    from torch import nn

    from gradcam_cli.records import Precision


def find_device(name: str) -> torch.device:
    """Return the device called ``name``: ``auto`` (an accelerator where there is one) or one of torch's names.

    Raises:
        UsageError: torch does not know the name, or this machine has no such device.
    """
    if name == "auto":
        found = {
            "cuda": torch.cuda.is_available(),
            "mps": torch.backends.mps.is_available(),
            "xpu": torch.xpu.is_available(),
        }
        return torch.device(next((kind for kind, there in found.items() if there), "cpu"))
    try:
        device = torch.device(name)
        torch.zeros(1, device=device).item()  # only use shows whether the device works
    except (RuntimeError, AssertionError, NotImplementedError, TypeError) as error:
        raise UsageError(f"device {quoted(name)} cannot be used here", "use {device} auto or {device} cpu") from error
    return device


def lower_precision(network: nn.Module, precision: Precision) -> None:
    """Convert a network's parameters and buffers to a lower precision, in place; ``float32`` changes nothing."""
    if precision != "float32":
        network.to(getattr(torch, precision))


def out_of_memory(error: Exception) -> bool:
    """Return whether an error means that device or machine memory is full; if so, release torch's cached memory."""
    text = str(error).lower()
    full = isinstance(error, (MemoryError, torch.OutOfMemoryError)) or "out of memory" in text
    full = full or (isinstance(error, RuntimeError) and "allocate memory" in text)
    if full and torch.cuda.is_available():
        torch.cuda.empty_cache()
    return full
