"""Plain values that training scripts pickle beside weights, rebuilt without the libraries they came from.

``torch.load(weights_only=True)`` calls only allowed names. Allowed here are functions and classes of this module and a
few of Python's own that only store their arguments.
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
"""Codes of numpy's dtypes of one plain number."""


class Dtype:
    """Replaces ``numpy.dtype``, whose own ``__setstate__`` would accept any memory layout from a file.

    Args:
        code: the dtype as numpy pickles it: ``f8``.
    """

    def __init__(self, code: str, *_: object) -> None:
        self.code = code if isinstance(code, str) else ""  # the text of another object can have any length
        self.order = "="

    def __setstate__(self, state: tuple[Any, ...]) -> None:
        """Read the byte order, the only relevant part of a plain number's state."""
        self.order = "<" if state[1] == "<" else ">" if state[1] == ">" else "="


def number(kind: Dtype, data: bytes) -> float:
    """Return a number pickled by numpy.

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
    """Return the names that a checkpoint may use besides tensors, for ``torch.serialization.safe_globals``."""
    renamed: list[tuple[Callable[..., Any], str]] = [(defaulting, "collections.defaultdict"), (Dtype, "numpy.dtype")]
    renamed += [(number, f"numpy.{core}.multiarray.scalar") for core in ("core", "_core")]
    for module in ("pathlib", "pathlib._local"):
        renamed += [(PurePosixPath, f"{module}.{name}") for name in ("PosixPath", "PurePosixPath")]
        renamed += [(PureWindowsPath, f"{module}.{name}") for name in ("WindowsPath", "PureWindowsPath")]
    # Files name the plain types as factories of defaultdicts and as types of arguments; a call of one copies.
    return [argparse.Namespace, OrderedDict, bool, int, float, str, list, tuple, dict, *renamed]


def attributes(value: object) -> dict[Any, Any]:
    """Return the named values in a dict or a Namespace; an empty dict for anything else."""
    if isinstance(value, argparse.Namespace):
        return vars(value)
    return value if isinstance(value, dict) else {}
