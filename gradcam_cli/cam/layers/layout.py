"""Layouts of a layer's grid in memory, and conversion to the common form (N, C, h, w).

Convolutional networks return (N, C, h, w), Swin and its variants (N, h, w, C), vision transformers (N, L, C) with class
and register tokens before the grid's.
"""

from __future__ import annotations

import copy
import math
from dataclasses import dataclass, fields, is_dataclass
from typing import TYPE_CHECKING, Any, Literal

import torch

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from gradcam_cli.records import Size

MAX_PREFIX_TOKENS = 16
"""Class, distillation and register tokens together; published networks have up to nine."""


@dataclass(frozen=True, slots=True)
class Layout:
    """The position of the grid in a layer's output.

    Attributes:
        kind: order of the dimensions.
        grid: (h, w).
        channels: number of feature maps.
        prefix: number of tokens before the grid's; 0 unless ``kind`` is ``tokens``.
    """

    kind: Literal["nchw", "nhwc", "tokens"]
    grid: Size
    channels: int
    prefix: int = 0

    @property
    def has_grid(self) -> bool:
        """Whether the grid has more than one place."""
        return self.grid[0] * self.grid[1] > 1

    def feature_maps(self, tensor: torch.Tensor) -> torch.Tensor:
        """Convert a tensor of this layout, (N, …), to (N, C, h, w); a view where possible."""
        if self.kind == "nchw":
            return tensor
        if self.kind == "nhwc":
            return tensor.permute(0, 3, 1, 2)
        grid = tensor[:, self.prefix :]
        return grid.transpose(1, 2).reshape(tensor.shape[0], self.channels, *self.grid)


def token_grid(length: int, input_size: Size) -> tuple[Size, int] | None:
    """Split a sequence of tokens into a grid shaped like the input and the tokens before it.

    Args:
        length: number of tokens.
        input_size: (H, W) of the network's input, whose aspect the grid shares.

    Returns:
        ((h, w), prefix tokens), the fewest prefix tokens that fit; None when nothing fits.
    """
    aspect = input_size[0] / input_size[1]
    for prefix in range(min(MAX_PREFIX_TOKENS, length - 1) + 1):
        count = length - prefix
        height = max(1, round(math.sqrt(count * aspect)))
        width = count // height
        # Patches are square, so the sides can be off the input's aspect by less than one patch.
        if height * width == count and abs(height - width * aspect) < 1:
            return (height, width), prefix
    return None


def _given_grid(length: int, grid: Size) -> tuple[Size, int] | None:
    """Split tokens into a grid of a given size and any number of tokens before it."""
    prefix = length - grid[0] * grid[1]
    return (grid, prefix) if prefix >= 0 else None


def layout_of(shape: Sequence[int], input_size: Size, tokens: Size | None = None) -> Layout | None:
    """Determine the layout of a layer's output from its shape.

    Four dimensions are (N, C, h, w) unless only the reading (N, h, w, C) gives a grid shaped like the input.

    Args:
        shape: of the output, batch first.
        input_size: (H, W) of the network's input.
        tokens: (h, w) of the grid of tokens; None finds it by the input's aspect.

    Returns:
        The layout, or None when the output has no spatial dimensions.
    """
    if len(shape) == 3:
        split = token_grid(shape[1], input_size) if tokens is None else _given_grid(shape[1], tokens)
        return Layout("tokens", split[0], shape[2], split[1]) if split else None
    if len(shape) != 4:
        return None
    aspect = input_size[0] / input_size[1]

    def unlike(height: int, width: int) -> float:
        return abs(math.log(max(height, 1) / max(width, 1) / aspect))

    _, a, b, c = shape
    if unlike(b, c) > math.log(2) and unlike(a, b) < unlike(b, c) / 2:
        return Layout("nhwc", (a, b), c)
    return Layout("nchw", (b, c), a)


def first_tensor(output: Any, dims: tuple[int, ...]) -> torch.Tensor | None:  # noqa: ANN401
    """Return the first of the ``tensors_in`` an output with one of ``dims`` dimensions, or None."""
    return next((tensor for tensor in tensors_in(output) if tensor.ndim in dims), None)


def tensors_in(output: Any) -> Iterator[torch.Tensor]:  # noqa: ANN401
    """Yield the floating-point tensors in a tensor, tuple, list, dict, dataclass or object with ``.logits``.

    Outputs of layers (attention returns a tuple) and of networks are searched in their own order; ``logits`` comes
    first where it exists.
    """
    if isinstance(output, torch.Tensor):
        if output.is_floating_point():
            yield output
    elif isinstance(output, dict):
        for key in sorted(output, key=lambda key: key != "logits"):
            yield from tensors_in(output[key])
    elif hasattr(output, "logits"):
        yield from tensors_in(output.logits)
    elif isinstance(output, (tuple, list)):
        for each in output:
            yield from tensors_in(each)
    elif is_dataclass(output):
        for field in fields(output):
            yield from tensors_in(getattr(output, field.name))


def with_replaced(output: Any, old: torch.Tensor, new: torch.Tensor) -> Any:  # noqa: ANN401
    """Return ``output`` with the tensor ``old``, found by identity, replaced by ``new``."""
    if output is old:
        return new
    if isinstance(output, dict):
        return type(output)({key: with_replaced(value, old, new) for key, value in output.items()})
    if isinstance(output, tuple) and hasattr(output, "_fields"):
        return type(output)(*(with_replaced(value, old, new) for value in output))
    if isinstance(output, (tuple, list)):
        return type(output)(with_replaced(value, old, new) for value in output)
    if is_dataclass(output):
        replaced = copy.copy(output)
        for field in fields(output):  # also frozen ones, and fields that __init__ does not take
            object.__setattr__(replaced, field.name, with_replaced(getattr(output, field.name), old, new))
        return replaced
    return output
