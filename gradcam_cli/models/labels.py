"""Reads class names from files in common formats."""

from __future__ import annotations

import ast
import codecs
import json
import os
import re
from pathlib import Path
from typing import TYPE_CHECKING, Any

from gradcam_cli.errors import ModelError, UsageError
from gradcam_cli.models.files import require_regular, unreadable
from gradcam_cli.text import printable, quoted

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

MAX_BYTES = 16 << 20

_BYTE_ORDER_MARKS = (
    (codecs.BOM_UTF8, "utf-8"),
    (codecs.BOM_UTF32_LE, "utf-32-le"),  # before UTF-16, whose mark it begins with
    (codecs.BOM_UTF32_BE, "utf-32-be"),
    (codecs.BOM_UTF16_LE, "utf-16-le"),
    (codecs.BOM_UTF16_BE, "utf-16-be"),
)
_WORDNET_ID = re.compile(r"n\d{8}[ \t]+(?=\S)")
_PYTHON_ENTRY = re.compile(r"\s*(\d{1,9})\s*:\s*('(?:[^'\\\n]|\\.)*'|\"(?:[^\"\\\n]|\\.)*\")\s*(?:,|$)")

FORMATS = (
    "give one name a class, in the order of the scores: a line each, a JSON list, or a JSON object of index → name"
)


class _UnreadableError(ValueError):
    """The reason why a labels file cannot be used, without its name."""


def read_labels(path: Path, num_classes: int) -> tuple[str, ...]:
    r"""Return the names of the classes, in the order of their indices.

    Accepted are UTF-8 (or UTF-16/32 with a byte order mark) texts of one name per line; JSON lists; JSON objects
    ``{"0": "tench"}``, ``{"0": ["n01440764", "tench"]}`` and ``{"tench": 0}``; Python's ``{0: 'tench'}``. WordNet
    identifiers are dropped when every name begins with one (``n01440764 tench, Tinca tinca``). Control characters
    are escaped (``\x1b``), so that a name can be printed safely.

    Args:
        path: the file.
        num_classes: required number of names.

    Raises:
        ModelError: the file cannot be read, has another format or another number of names.
    """
    require_regular(path, "labels")
    try:
        with open(path, "rb") as file:
            data = file.read(MAX_BYTES + 1)
        names = _parse(_decode(data), num_classes, is_json=path.suffix.lower() == ".json")
    except OSError as error:
        raise unreadable(path, "labels", error) from error
    except _UnreadableError as error:
        raise ModelError(f"labels {quoted(path)}: {error}", FORMATS) from error
    if all(_WORDNET_ID.match(name) for name in names):
        names = [_WORDNET_ID.sub("", name, count=1) for name in names]
    return tuple(printable(name) for name in names)


def class_names(given: str | os.PathLike[str] | Sequence[str], num_classes: int) -> tuple[str, ...]:
    """Return the names of the classes from a list of them, or from a file, see `read_labels`.

    Raises:
        UsageError: these are no names.
        ModelError: it is another number of names, or the file cannot be read.
    """
    if isinstance(given, (str, os.PathLike)):
        return read_labels(Path(given), num_classes)
    names = checked_names(given)
    if len(names) != num_classes:
        raise miscounted(names, num_classes)
    return names


def checked_names(given: Sequence[str]) -> tuple[str, ...]:
    """Return names as they are shown.

    Raises:
        UsageError: these are no names.
    """
    if not isinstance(given, (list, tuple)) or not all(isinstance(name, str) and name.strip() for name in given):
        raise UsageError("the labels are no names", "give a list of names, one for each class in its order, or a file")
    return tuple(printable(name.strip()) for name in given)


def miscounted(names: Sequence[str], num_classes: int) -> ModelError:
    """Return the error for another number of names than of classes."""
    return ModelError(f"{len(names)} labels for {num_classes} classes", "give one name for each class, in their order")


def labels_in(content: list[Any] | dict[Any, Any], num_classes: int) -> tuple[str, ...] | None:
    """Return the names of the classes from a checkpoint's metadata, in the order of their indices.

    Args:
        content: the names in order, or a dict of index → name or name → index.
        num_classes: required number of names.

    Returns:
        The names, printable; None where some class has no name.
    """
    if isinstance(content, dict):
        content = {str(key): value for key, value in content.items() if isinstance(key, (str, int))}
    try:
        return tuple(printable(name) for name in _names(content, num_classes))
    except _UnreadableError:
        return None


def _decode(data: bytes) -> str:
    if len(data) > MAX_BYTES:
        raise _UnreadableError(f"larger than {MAX_BYTES >> 20} MiB")
    mark, encoding = next(((mark, name) for mark, name in _BYTE_ORDER_MARKS if data.startswith(mark)), (b"", "utf-8"))
    try:
        text = data[len(mark) :].decode(encoding)
    except UnicodeDecodeError as error:
        raise _UnreadableError("not UTF-8 text") from error
    if not text.strip():
        raise _UnreadableError("the file is empty")
    return text


def _parse(text: str, num_classes: int, *, is_json: bool) -> list[str]:
    """Return the names; text that looks like JSON but is not is read as lines, unless the file is named ``.json``."""
    if is_json or text.lstrip()[0] in "[{":
        try:
            return _names(_structure(text), num_classes)
        except (RecursionError, ValueError) as error:
            if is_json:
                reason = error if isinstance(error, _UnreadableError) else "not valid JSON"
                raise _UnreadableError(str(reason)) from error
    return _lines(text, num_classes)


def _structure(text: str) -> object:
    """Return the content of JSON, or of a Python dict of index → string, which is read without evaluating it."""
    try:
        return json.loads(text)
    except json.JSONDecodeError:
        literal = _python_dict(text)
        if literal is None:
            raise
        return literal


def _python_dict(text: str) -> dict[str, str] | None:
    body = text.strip()
    if not (body.startswith("{") and body.endswith("}")):
        return None
    body, entries, position = body[1:-1].rstrip(), {}, 0
    while position < len(body):
        entry = _PYTHON_ENTRY.match(body, position)
        if entry is None:
            return None
        try:
            entries[entry[1]] = str(ast.literal_eval(entry[2]))  # one quoted string, never more
        except (SyntaxError, ValueError):
            return None
        position = entry.end()
    return entries


def _require_count(count: int, num_classes: int) -> None:
    if count != num_classes:
        raise _UnreadableError(f"{count} names for {num_classes} classes")


def _names(content: object, num_classes: int) -> list[str]:
    if not isinstance(content, (list, dict)):
        raise _UnreadableError(f"holds a single {type(content).__name__}, not names")
    _require_count(len(content), num_classes)
    if isinstance(content, list):
        return [_name(entry, index) for index, entry in enumerate(content)]
    if all(type(value) is int for value in content.values()):
        content = {str(index): name for name, index in content.items()}
    return _ordered(content, num_classes)


def _ordered(entries: Mapping[str, object], num_classes: int) -> list[str]:
    """Return the values by index; _UnreadableError unless each of the classes has one."""
    ordered = [str(index) for index in range(num_classes)]
    lacking = next((index for index in ordered if index not in entries), None)
    if lacking is not None:
        stray = next(iter(entries.keys() - set(ordered)), None)
        instead = f" but one for {quoted(stray, 20)}" if stray is not None else ""
        raise _UnreadableError(f"no name for class {lacking} of {num_classes}{instead}")
    return [_name(entries[index], int(index)) for index in ordered]


def _name(entry: object, index: int) -> str:
    """Return the name in ``"tench"`` or ``["n01440764", "tench"]``."""
    if isinstance(entry, list) and len(entry) == 2 and isinstance(entry[0], str):
        entry = entry[1]
    if not isinstance(entry, str) or not entry.strip():
        raise _UnreadableError(f"the entry of class {index} is not a name")
    return entry.strip()


def _lines(text: str, num_classes: int) -> list[str]:
    lines = [line.strip() for line in text.rstrip().split("\n")]
    blank = next((number for number, line in enumerate(lines, 1) if not line), None)
    if blank is not None:  # skipping it could shift every later name by one
        raise _UnreadableError(f"line {blank} of {len(lines)} is blank, for {num_classes} classes")
    _require_count(len(lines), num_classes)
    return lines
