"""Plain values that training scripts pickle beside weights, rebuilt without the libraries they came from.

``torch.load(weights_only=True)`` calls only allowed names. Allowed here are functions and classes of this module and a
few of Python's own that only store their arguments. A placeholder stands in for every other name: the class or function
itself is never looked up.
"""

from __future__ import annotations

import argparse
from collections import OrderedDict
from pathlib import PurePosixPath, PureWindowsPath
from typing import TYPE_CHECKING, Any

import numpy as np

from gradcam_cli.models.untrusted.pickle_cost import REAL_BUILTINS

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from gradcam_cli.models.untrusted.pickle_cost import Checked

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


class Placeholder:
    """Stands in for an object that is neither imported nor called; it ignores all that a file puts into it.

    Attributes:
        path: dotted name of the class or function.
    """

    path = "object"

    def __new__(cls, *_: object, **__: object) -> Placeholder:
        """Make one, whatever the arguments are."""
        return super().__new__(cls)

    def __setstate__(self, state: object) -> None:
        """Ignore the object's attributes."""


def placeholders(checked: Iterable[Checked]) -> list[tuple[Callable[..., Any], str]]:
    """Return what stands in for the classes and functions in pickles, for ``torch.serialization.safe_globals``.

    Mappings become ordinary ones and sequences lists, since torch's unpickler puts items into nothing else.
    """
    found: dict[str, Callable[..., Any]] = {}
    for _, names, mappings, sequences in checked:
        for name in names - _OWN - REAL_BUILTINS:
            found[name] = Mapping if name in mappings else Sequence if name in sequences else _placeholder(name)
    return [(found[name], name) for name in sorted(found)]


def _placeholder(path: str) -> type[Placeholder]:
    return type("Placeholder", (Placeholder,), {"path": path})


class Mapping:
    """Replaces a dict's subclass: gives an ordinary mapping, whose items follow in the file."""

    def __new__(cls, *_: object) -> OrderedDict[object, object]:  # type: ignore[misc]
        """Return the mapping, whatever the arguments are."""
        return OrderedDict()


class Sequence:
    """Replaces a list's subclass or a deque: gives an ordinary list, whose items follow in the file."""

    def __new__(cls, *_: object) -> list[object]:  # type: ignore[misc]
        """Return the list, whatever the arguments are."""
        return []


def number(kind: Dtype, data: bytes) -> float | Placeholder:
    """Return a number pickled by numpy, or a placeholder for another scalar, such as a date.

    Raises:
        ValueError: it is neither.
    """
    if not isinstance(kind, Dtype) or not isinstance(kind.code, str):
        raise ValueError("not a numpy type")  # as for any other damage
    dtype = np.dtype(kind.code).newbyteorder(kind.order)  # type: ignore[arg-type, unused-ignore]
    if dtype.char not in _NUMBERS:
        return Placeholder()
    if len(data) != dtype.itemsize:
        raise ValueError("not one plain number")
    value: float = np.frombuffer(data, dtype).item()
    return value


def defaulting(*_: object) -> dict[object, object]:
    """Return an ordinary dict in place of a ``defaultdict``, whose factory would be a function from the file."""
    return {}


def safe_globals() -> list[Callable[..., Any] | tuple[Callable[..., Any], str]]:
    """Return the names that a checkpoint may use besides tensors, for ``torch.serialization.safe_globals``."""
    # Files name the plain types as factories of defaultdicts and as types of arguments; a call of one copies.
    return [argparse.Namespace, OrderedDict, bool, int, float, str, list, tuple, dict, *_RENAMED]


_RENAMED: list[tuple[Callable[..., Any], str]] = [
    (defaulting, "collections.defaultdict"),
    (Sequence, "collections.deque"),
    (Dtype, "numpy.dtype"),
    *((number, f"numpy.{core}.multiarray.scalar") for core in ("core", "_core")),
    *(
        (kind, f"{module}.{prefix}{system}Path")
        for module in ("pathlib", "pathlib._local")
        for kind, system in ((PurePosixPath, "Posix"), (PureWindowsPath, "Windows"))
        for prefix in ("", "Pure")
    ),
]
_OWN = {"argparse.Namespace", "collections.OrderedDict", *(name for _, name in _RENAMED)}
"""Names that have their own stand-in, or are themselves."""


def attributes(value: object) -> dict[Any, Any]:
    """Return the named values in a dict or a Namespace; an empty dict for anything else."""
    if isinstance(value, argparse.Namespace):
        return vars(value)
    return value if isinstance(value, dict) else {}
