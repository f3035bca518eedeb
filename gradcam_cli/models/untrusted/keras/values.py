"""Values of a configuration, checked: plain ones only."""

from __future__ import annotations

from typing import Any

from gradcam_cli.text import printable

Config = dict[str, Any]


class KerasConfigError(Exception):
    """The reason why a file is not accepted."""


class DamagedKerasError(KerasConfigError):
    """The reason why a file cannot be read."""


def plain(value: Any) -> Any:  # noqa: ANN401
    """Return a value without anything that would be called."""
    if value is None or isinstance(value, (bool, int, float, str)):
        return value
    if isinstance(value, list):
        return [plain(each) for each in value]
    if isinstance(value, dict):
        if "class_name" not in value:
            return {word(key): plain(each) for key, each in value.items()}
        kind = value["class_name"]
        if kind == "__tuple__":
            return [plain(each) for each in sequence(value.get("items"), "a value")]
        if kind == "__ellipsis__":
            return {"class_name": kind, "config": {}}
        if kind in ("__slice__", "__numpy__", "__tensor__"):
            return {"class_name": kind, "config": plain(mapping(value.get("config"), "a value"))}
    raise KerasConfigError(f"it has a value that is not plain, {shown(value)}")


def mapping(value: object, what: str) -> Config:
    """Return a dict, or raise KerasConfigError."""
    if not isinstance(value, dict):
        raise KerasConfigError(f"{what} is not written as Keras writes it")
    return value


def sequence(value: object, what: str) -> list[Any]:
    """Return a list, or raise KerasConfigError."""
    if not isinstance(value, (list, tuple)):
        raise KerasConfigError(f"{what} are not written as Keras writes them")
    return list(value)


def word(value: object) -> str:
    """Return a string, or raise KerasConfigError."""
    if not isinstance(value, str):
        raise KerasConfigError(f"it has {shown(value)} where a word stands")
    return value


def layer_name(value: object) -> str:
    """Return a layer's name as Keras 3 and PyTorch allow it."""
    return word(value).replace("/", "_").replace(".", "_")


def number(value: object) -> int:
    """Return a whole number, or raise KerasConfigError."""
    if not isinstance(value, int):
        raise KerasConfigError(f"it has {shown(value)} where a number stands")
    return value


def side(value: object) -> int | None:
    """Return a number, or None for any; or raise KerasConfigError."""
    return None if value is None else number(value)


def shown(value: object) -> str:
    """Return a value for a message, quoted, and shortened where it is long."""
    text = printable(str(value))
    return f"'{text if len(text) <= 60 else f'{text[:60]}…'}'"
