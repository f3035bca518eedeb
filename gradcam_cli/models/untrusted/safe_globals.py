"""Plain values that training scripts pickle beside weights, rebuilt without anything of the libraries they came from.

``torch.load(weights_only=True)`` calls what it is allowed to and nothing else. What is allowed here are functions and
classes of this module and a few of Python's own that do no more than hold their arguments.
"""

from __future__ import annotations

import argparse
from collections import OrderedDict
from pathlib import PurePosixPath, PureWindowsPath
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Callable

_NUMBERS = "?bhilqBHILQefd"
"""Codes of numpy's types that are one plain number."""


class Dtype:
    """Stands in for ``numpy.dtype``, whose own ``__setstate__`` would take any memory layout from a file.

    Args:
        code: as numpy pickles it: ``f8``.
    """

    def __init__(self, code: str, *_: object) -> None:
        self.code = code if isinstance(code, str) else ""  # of anything else the text can be of any length
        self.order = "="

    def __setstate__(self, state: tuple[Any, ...]) -> None:
        """Take the byte order, the only part of a plain number's state that matters."""
        self.order = "<" if state[1] == "<" else ">" if state[1] == ">" else "="


def number(kind: Dtype, data: bytes) -> float:
    """Return the number that numpy has pickled.

    Raises:
        ValueError: it is not one plain number.
    """
    if not isinstance(kind, Dtype) or not isinstance(kind.code, str):
        raise ValueError("not a numpy type")  # as for any other damage
    dtype = np.dtype(kind.code).newbyteorder(kind.order)  # type: ignore[arg-type, unused-ignore]
    if dtype.char not in _NUMBERS or len(data) != dtype.itemsize:
        raise ValueError("not one plain number")
    value: float = np.frombuffer(data, dtype).item()
    return value


def defaulting(*_: object) -> dict[object, object]:
    """Return an ordinary dict in place of a ``defaultdict``, whose factory would be a function from the file."""
    return {}


def safe_globals() -> list[Callable[..., Any] | tuple[Callable[..., Any], str]]:
    """Return what a checkpoint may name besides tensors, as ``torch.serialization.safe_globals`` takes it."""
    renamed: list[tuple[Callable[..., Any], str]] = [(defaulting, "collections.defaultdict"), (Dtype, "numpy.dtype")]
    renamed += [(number, f"numpy.{core}.multiarray.scalar") for core in ("core", "_core")]
    for module in ("pathlib", "pathlib._local"):
        renamed += [(PurePosixPath, f"{module}.{name}") for name in ("PosixPath", "PurePosixPath")]
        renamed += [(PureWindowsPath, f"{module}.{name}") for name in ("WindowsPath", "PureWindowsPath")]
    # As the factories of defaultdicts and as types of arguments these stand in a file by name; called, they copy.
    return [argparse.Namespace, OrderedDict, bool, int, float, str, list, tuple, dict, *renamed]


def attributes(value: object) -> dict[Any, Any]:
    """Return what a bag of named values holds, a dict or a Namespace; of anything else nothing."""
    if isinstance(value, argparse.Namespace):
        return vars(value)
    return value if isinstance(value, dict) else {}
