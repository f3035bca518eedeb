"""The methods: formulas that turn feature maps and gradients into class activation maps.

A method is one function in a file of its family and one line in ``METHODS``; it is imported when it is asked for, so
that the names are known without torch.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, cast

if TYPE_CHECKING:
    from collections.abc import Callable

    import torch

    Method = Callable[[torch.Tensor, torch.Tensor], torch.Tensor]
    """(feature maps, gradients), both float32 (N, C, h, w) → class activation maps (N, h, w), not rectified."""

METHODS: dict[str, str] = {
    "gradcam": "gradcam_cli.cam.methods.gradcam:gradcam",
}


def method_named(name: str) -> Method:
    """Import and return the method called ``name``, a key of ``METHODS``."""
    module, function = METHODS[name].split(":")
    return cast("Method", getattr(import_module(module), function))
