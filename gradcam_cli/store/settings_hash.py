"""The hash of everything that changes a result, from typed settings and the contents of files; no torch is needed."""

from __future__ import annotations

import hashlib
import json
from dataclasses import MISSING, fields, is_dataclass
from fractions import Fraction
from math import isfinite
from pathlib import Path
from typing import TYPE_CHECKING, Any

from gradcam_cli.records import BY_CONTENT, NO_RESULT

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence
    from dataclasses import Field

    from _typeshed import DataclassInstance

RESULT_VERSION = 1
"""Raised with each change by which the same settings give other results; results of other versions are made anew."""

DIGITS = 32


def settings_hash(command: str, settings: Sequence[DataclassInstance], contents: Mapping[str, str | None]) -> str:
    """Return the hash of what a result depends on besides its input, in 32 hexadecimal digits.

    Args:
        command: the kind of run, such as ``image``.
        settings: dataclasses of settings. Fields marked by `records.NO_RESULT` do not count, and those marked by
            `records.BY_CONTENT` are left to ``contents``.
        contents: the networks' names and the digests of the files that they are made of, by their role.

    Raises:
        TypeError: a setting has a type that has no canonical form.
    """
    values = {
        "version": RESULT_VERSION,
        "command": command,
        "settings": [_plain(each, _canonical) for each in settings],
        "contents": dict(contents),
    }
    text = json.dumps(values, sort_keys=True, separators=(",", ":"), allow_nan=False)
    return hashlib.sha256(text.encode()).hexdigest()[:DIGITS]


def stated(settings: Sequence[DataclassInstance]) -> dict[str, Any]:
    """Return the settings that differ from their defaults, as plain values by their names; those within others too."""
    found: dict[str, Any] = {}
    for each in settings:
        for field, value in _counting(each):
            usual = field.default if field.default_factory is MISSING else field.default_factory()
            if is_dataclass(usual) and not isinstance(usual, type):
                found |= {
                    inner.name: _plain(own, _shown)
                    for inner, own in _counting(value)
                    if own != getattr(usual, inner.name)
                }
            elif value != usual:
                found[field.name] = _plain(value, _shown)
    return found


def _counting(settings: DataclassInstance, besides: Mapping[str, str] = NO_RESULT) -> Iterator[tuple[Field[Any], Any]]:
    """Yield the fields that change a result, with their values, without those that are marked otherwise."""
    for field in fields(settings):
        if field.metadata.get("hash") not in (NO_RESULT["hash"], besides["hash"]):
            yield field, getattr(settings, field.name)


def _canonical(value: object) -> Any:  # noqa: ANN401
    """Return a value that JSON has no form of, with the name of its type: the same for equal ones only."""
    kind = type(value).__name__
    if is_dataclass(value) and not isinstance(value, type):
        return {"": kind, **{field.name: _plain(each, _canonical) for field, each in _counting(value, BY_CONTENT)}}
    if isinstance(value, dict):
        return {"": kind, "items": [[_plain(each, _canonical) for each in pair] for pair in value.items()]}
    if isinstance(value, (set, frozenset)):
        return {"": kind, "items": sorted(map(repr, value))}
    if isinstance(value, (Fraction, float, complex, bytes, type(...))):
        return {"": kind, "value": repr(value)}
    raise TypeError(f"no canonical form of {kind}")


def _shown(value: object) -> Any:  # noqa: ANN401
    """Return a dict as one, a path or what has a name of its own as text."""
    if isinstance(value, dict):
        return {str(key): _plain(each, _shown) for key, each in value.items()}
    return str(value) if isinstance(value, Path) else str(getattr(value, "name", value))


def _plain(value: object, other: Callable[[Any], Any]) -> Any:  # noqa: ANN401
    """Return a value as JSON has it, by ``other`` where JSON has no form of it."""
    if isinstance(value, (tuple, list)):
        return [_plain(each, other) for each in value]
    plain = value is None or isinstance(value, (bool, int, str)) or (isinstance(value, float) and isfinite(value))
    return value if plain else other(value)
