"""Tensors in nested outputs: tuples, dicts, dataclasses and objects, to any depth."""

from __future__ import annotations

import copy
from dataclasses import fields, is_dataclass
from typing import TYPE_CHECKING, Any

import torch

if TYPE_CHECKING:
    from collections.abc import Iterator

    Path = tuple[str, ...]
    """The way to a tensor: keys, field names and positions."""


def tensors_in(output: Any) -> Iterator[torch.Tensor]:  # noqa: ANN401
    """Yield the ``named_tensors_in`` an output, without their places."""
    for _, tensor in named_tensors_in(output):
        yield tensor


def named_tensors_in(output: Any, path: Path = ()) -> Iterator[tuple[Path, torch.Tensor]]:  # noqa: ANN401
    """Yield the floating-point tensors in a tensor, tuple, list, dict, dataclass or object with ``.logits``.

    Outputs of layers (attention returns a tuple) and of networks are searched in their own order; ``logits`` comes
    first where it exists.
    """
    if isinstance(output, torch.Tensor):
        if output.is_floating_point():
            yield path, output
    elif isinstance(output, dict):
        for key in sorted(output, key=lambda key: key != "logits"):
            yield from named_tensors_in(output[key], (*path, str(key)))
    elif isinstance(output, tuple) and hasattr(output, "_fields"):
        for name in sorted(output._fields, key=lambda name: name != "logits"):
            yield from named_tensors_in(getattr(output, name), (*path, name))
    elif isinstance(output, (tuple, list)):
        for position, each in enumerate(output):
            yield from named_tensors_in(each, (*path, str(position)))
    elif is_dataclass(output):
        for name in sorted((field.name for field in fields(output)), key=lambda name: name != "logits"):
            yield from named_tensors_in(getattr(output, name), (*path, name))
    elif hasattr(output, "logits"):
        yield from named_tensors_in(output.logits, (*path, "logits"))


def first_tensor(output: Any, dims: tuple[int, ...]) -> torch.Tensor | None:  # noqa: ANN401
    """Return the first of the ``tensors_in`` an output with one of ``dims`` dimensions, or None."""
    return next((tensor for tensor in tensors_in(output) if tensor.ndim in dims), None)


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
