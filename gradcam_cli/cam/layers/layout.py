"""Layouts of a layer's grid in memory, and conversion to the common form (N, C, h, w).

Convolutional networks return (N, C, h, w), Swin and its variants (N, h, w, C), vision transformers tokens (N, L, C) or
(L, N, C) with class and register tokens before the grid's, recurrent layers sequences of the same forms.

A grid is what scales with the input: outputs for two inputs of different sizes tell which dimensions it has. Where a
network takes one size only, the shape alone has to do.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from itertools import count
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator, Sequence

    import torch

    from gradcam_cli.records import Size

    Known = Sequence[tuple[Size, Size]]
    """Grids of earlier layers for both inputs, the latest last."""

MAX_PREFIX_TOKENS = 16
"""Class, distillation and register tokens together; published networks have up to nine."""

_ROUNDING = 2.0
"""A side of a grid is off its exact share of the input by less than this, whatever strides and paddings round."""

_DIMENSIONS = {"nchw": (2, 3, 1), "nhwc": (1, 2, 3), "nlc": (1, 1, 2), "ncl": (2, 2, 1), "lnc": (0, 0, 2)}
"""Layout → the dimensions of the grid's rows and columns, or of the tokens, and of the channels."""


@dataclass(frozen=True, slots=True)
class Seen:
    """What a run on one picture shows of a layer's output.

    Attributes:
        shape: of the output.
        size: (H, W) of the picture.
    """

    shape: tuple[int, ...]
    size: Size


@dataclass(frozen=True, slots=True)
class Layout:
    """The position of the grid in a layer's output.

    Attributes:
        kind: order of the dimensions; ``l`` are tokens.
        grid: (h, w).
        channels: number of feature maps.
        prefix: number of tokens before the grid's; 0 where there are no tokens.
        input_size: (H, W) of the input that has this grid.
        guessed: whether the shape alone has told the layout.
        given: whether the user has given the grid of tokens.
        fixed: whether the grid of tokens is the same for an input of another size.
    """

    kind: Literal["nchw", "nhwc", "nlc", "ncl", "lnc"]
    grid: Size
    channels: int
    prefix: int = 0
    input_size: Size = (0, 0)
    guessed: bool = False
    given: bool = False
    fixed: bool = False

    @property
    def has_grid(self) -> bool:
        """Whether the grid has more than one place."""
        return self.grid[0] * self.grid[1] > 1

    @property
    def is_tokens(self) -> bool:
        """Whether the grid's places lie in one dimension."""
        return "l" in self.kind

    @property
    def channel_dim(self) -> int:
        """The dimension of the feature maps."""
        return _DIMENSIONS[self.kind][2]

    @property
    def batch_dim(self) -> int:
        """The dimension of the pictures."""
        return 1 if self.kind == "lnc" else 0

    def at(self, shape: Sequence[int], input_size: Size) -> Layout | None:
        """Return the layout of an output of the same layer for another input, or None where it does not fit."""
        if len(shape) != (3 if self.is_tokens else 4):
            return None
        rows, columns, channels = _DIMENSIONS[self.kind]
        if not self.is_tokens:
            return replace(self, grid=(shape[rows], shape[columns]), channels=shape[channels], input_size=input_size)
        grid, prefix = self.grid, self.prefix
        count = shape[rows] - prefix
        if self.given:
            prefix = shape[rows] - grid[0] * grid[1]
        elif self.fixed and count == grid[0] * grid[1]:
            pass
        elif count != grid[0] * grid[1] or input_size != self.input_size:
            expected = [side * new / old for side, new, old in zip(grid, input_size, self.input_size, strict=True)]
            fitting = [(abs(h - expected[0]) + abs(w - expected[1]), (h, w)) for h, w in _products(count)]
            error, grid = min(fitting, default=(math.inf, grid))
            if error >= _ROUNDING:
                return None
        if prefix < 0:
            return None
        return replace(self, grid=grid, channels=shape[channels], prefix=prefix, input_size=input_size)

    def feature_maps(self, tensor: torch.Tensor) -> torch.Tensor:
        """Convert a tensor of this layout to (N, C, h, w); a view where possible."""
        if self.kind == "nchw":
            return tensor
        if self.kind == "nhwc":
            return tensor.permute(0, 3, 1, 2)
        order = {"nlc": (0, 2, 1), "ncl": (0, 1, 2), "lnc": (1, 2, 0)}[self.kind]
        tokens = tensor.permute(order)[:, :, self.prefix :]
        return tokens.reshape(tokens.shape[0], self.channels, *self.grid)


def _products(count: int) -> Iterator[Size]:
    return ((height, count // height) for height in range(1, count + 1) if count % height == 0)


def token_grid(length: int, input_size: Size) -> tuple[Size, int] | None:
    """Split a sequence of tokens into a grid shaped like the input and the tokens before it.

    Args:
        length: number of tokens.
        input_size: (H, W) of the network's input, whose aspect the grid shares.

    Returns:
        ((h, w), prefix tokens), the fewest prefix tokens that fit; None when nothing fits.
    """
    return next(_token_grids(length, input_size), None)


def _token_grids(length: int, input_size: Size) -> Iterator[tuple[Size, int]]:
    aspect = input_size[0] / input_size[1]
    for prefix in range(min(MAX_PREFIX_TOKENS, length - 1) + 1):
        count = length - prefix
        height = max(1, round(math.sqrt(count * aspect)))
        width = count // height
        # Patches are square, so the sides can be off the input's aspect by less than one patch.
        if height * width == count and abs(height - width * aspect) < 1:
            yield (height, width), prefix


def layout_of(
    first: Seen,
    second: Seen | None = None,
    tokens: Size | None = None,
    known: Known = (),
    lengths: Collection[int] = (),
) -> Layout | None:
    """Determine the layout of a layer's output from its shapes in one or two runs.

    Args:
        first: the layout returned is for this input.
        second: of another size; None where the network takes one size only.
        tokens: (h, w) of the grid of tokens; None finds it.
        known: grids of earlier layers; tokens are usually those of the first convolution's places.
        lengths: numbers of tokens that other layers return; a grid of as many rows belongs to attention.

    Returns:
        The layout, or None when the output has no grid.
    """
    second = second or first
    if len(first.shape) != len(second.shape) or len(first.shape) not in (3, 4):
        return None
    if len(first.shape) == 4:
        found = _image_layout(first, second, lengths)
    else:
        found = _token_layout(first, second, tokens, known)
    return None if found is None else replace(found, input_size=first.size)


def _image_layout(first: Seen, second: Seen, lengths: Collection[int]) -> Layout | None:
    shape, other = first.shape, second.shape
    if shape[0] != 1 or other[0] != 1:  # windows or patches
        return None
    _, a, b, c = shape
    readings = {(2, 3): Layout("nchw", (b, c), a), (1, 2): Layout("nhwc", (a, b), c)}
    if first.size != second.size and shape[1:] != other[1:]:
        errors = {
            dims: _error(first, second, dims)
            for dims, layout in readings.items()
            if shape[layout.channel_dim] == other[layout.channel_dim]
        }
        best = min(errors, key=errors.__getitem__, default=None)
        return readings[best] if best is not None and errors[best] < _ROUNDING else None
    size = first.size

    def unlike(height: int, width: int) -> float:
        return abs(math.log(max(height, 1) / max(width, 1) / (size[0] / size[1])))

    # By its shape alone it is (N, C, h, w) unless only the other reading has a grid shaped like the input.
    channels_last = unlike(b, c) > math.log(2) and unlike(a, b) < unlike(b, c) / 2
    found = replace(readings[(1, 2) if channels_last else (2, 3)], guessed=True)
    height, width = found.grid
    shaped_like_input = abs(height - width * size[0] / size[1]) < _ROUNDING
    of_attention = height > 1 and height in lengths
    return found if shaped_like_input and not of_attention else None


def _error(first: Seen, second: Seen, dims: Size) -> float:
    """Return by how much the sides of a grid in two dimensions are off what they should be for the second input.

    Either they scale with the input, or they grow by its growth over a stride, as without padding.
    """
    sides = [(first.shape[d], second.shape[d], first.size[i], second.size[i]) for i, d in enumerate(dims)]
    errors = [max(abs(new - old * new_size / size) for old, new, size, new_size in sides)]
    for old, new, size, new_size in sides:
        rate = (new - old) / (new_size - size)
        if rate > 0:
            errors.append(max(abs(b - a - rate * (after - before)) for a, b, before, after in sides))
    return min(errors)


def _token_layout(first: Seen, second: Seen, tokens: Size | None, known: Known) -> Layout | None:
    shape, other = first.shape, second.shape
    batch = [d for d in (0, 1) if shape[d] == other[d] == 1]
    if not batch:  # windows, or a sequence with something else in front
        return None
    kind: Literal["nlc", "ncl", "lnc"] = "nlc" if batch[0] == 0 else "lnc"
    if kind == "nlc" and shape[1] == other[1] and shape[2] != other[2]:
        kind = "ncl"
    along, _, channels = _DIMENSIONS[kind]
    if shape[channels] != other[channels]:
        return None
    length, guessed = shape[along], first.size == second.size or shape[along] == other[along]
    if tokens is not None:
        prefix = length - tokens[0] * tokens[1]
        return Layout(kind, tokens, shape[channels], prefix, given=True) if prefix >= 0 else None
    if guessed:
        split = _guessed_grid(length, first.size, known, fixed=first.size != second.size)
    else:
        split = _scaled_grid((length, other[along]), first.size, second.size, known)
    fixed = guessed and first.size != second.size
    return None if split is None else Layout(kind, split[0], shape[channels], split[1], guessed=guessed, fixed=fixed)


def _guessed_grid(length: int, size: Size, known: Known, *, fixed: bool) -> tuple[Size, int] | None:
    """Return the grid of tokens and their prefix; ``fixed`` if their number is the same for another input."""
    for grid, other in reversed(known):
        prefix = length - grid[0] * grid[1]
        if 0 <= prefix <= MAX_PREFIX_TOKENS and (not fixed or grid == other):
            return grid, prefix
    return None if fixed and length > 1 else token_grid(length, size)


def _scaled_grid(lengths: Size, size: Size, other_size: Size, known: Known) -> tuple[Size, int] | None:
    """Return the grid of tokens whose number differs between two inputs, and their prefix."""
    length, other_length = lengths
    for (h, w), (h2, w2) in reversed(known):
        if lengths == (h * w, h2 * w2):
            return (h, w), 0
    for (h, w), (h2, w2) in reversed(known):
        # A sequence along one side, as recurrent layers read it.
        if (length, other_length) in ((w, w2), (h, h2)):
            return ((1, length) if length == w else (length, 1)), 0
    for grid, other in reversed(known):
        for coarser, (h, w), (h2, w2) in zip(count(), _halvings(grid), _halvings(other), strict=False):
            prefix = length - h * w
            # Networks with stages have a class token at most.
            if 0 <= prefix <= (1 if coarser else MAX_PREFIX_TOKENS) and other_length - h2 * w2 == prefix:
                return (h, w), prefix
    square = _token_grids(length, size)  # patches of another shape come second
    oblong = ((grid, p) for p in range(min(MAX_PREFIX_TOKENS, length - 2) + 1) for grid in _products(length - p))
    for grid, prefix in (*square, *(each for each in oblong if min(each[0]) > 1)):
        if _same_grid(grid, other_length - prefix, size, other_size):
            return grid, prefix
    for axis, grid in ((1, (1, length)), (0, (length, 1))):
        if abs(other_length - length * other_size[axis] / size[axis]) < _ROUNDING:
            return grid, 0
    return None


def _same_grid(grid: Size, count: int, size: Size, other_size: Size) -> bool:
    """Return whether a number of tokens is that of a grid at another input."""
    expected = (grid[0] * other_size[0] / size[0], grid[1] * other_size[1] / size[1])
    return any(max(abs(h - expected[0]), abs(w - expected[1])) < 1 for h, w in _products(count))


def _halvings(grid: Size) -> Iterator[Size]:
    """Yield a grid and the coarser ones that networks with stages make of it."""
    while grid[0] * grid[1] > 1:
        yield grid
        grid = (-(-grid[0] // 2), -(-grid[1] // 2))
