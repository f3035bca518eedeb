"""What a file states of the pictures that a network was trained on: a checkpoint, or our own side file beside it.

Everything read here is data: numbers, names of classes, a layer's name. Nothing in it is run, imported or opened.
"""

from __future__ import annotations

import json
import math
import sys
from dataclasses import dataclass, fields, replace
from typing import TYPE_CHECKING, Any

from gradcam_cli.errors import ModelError
from gradcam_cli.models.files import require_regular, unreadable
from gradcam_cli.records import ACTIVATIONS, MAX_INPUT, MIN_INPUT, Activation, Numbers, Preset, Size
from gradcam_cli.text import printable, quoted

if sys.version_info >= (3, 11):
    import tomllib
else:  # the standard library's reader before it was in there
    import tomli as tomllib

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping
    from pathlib import Path

SUFFIX = ".gradcam.toml"
"""End of the name of a side file: ``mine.gradcam.toml`` beside ``mine.pth`` or ``mine.py``."""

SIZE_KEYS = ("input_size", "img_size", "image_size", "imgsz", "crop_size", "val_crop_size", "resolution")
MEAN_KEYS = ("mean", "image_mean", "img_mean", "pixel_mean", "norm_mean")
STD_KEYS = ("std", "image_std", "img_std", "pixel_std", "norm_std")
"""Keys by which training scripts and libraries call these, in order of preference."""

MAX_BYTES = 16 << 20


@dataclass(frozen=True)
class InputRecord:
    """What a file says; None where it says nothing.

    Attributes:
        size: side of the input, or its (h, w).
        resize: length of a picture's short side before the crop.
        mean: subtracted from the channels, likewise ``std``.
        std: divisor of the channels.
        scale: value of white, 1 or 255.
        interpolation: ``bilinear`` or ``bicubic``.
        multiple: what the sides of a whole picture are multiples of, as those of a patch.
        labels: names of the classes, in order or by index.
        layer: target layer for ``auto``.
        activation: what makes scores probabilities.
        source: the file, for a note; several with commas between them.
    """

    size: int | Size | None = None
    resize: int | None = None
    mean: Numbers | None = None
    std: Numbers | None = None
    scale: int | None = None
    interpolation: Any = None
    multiple: int | None = None
    labels: list[Any] | dict[Any, Any] | None = None
    layer: str | None = None
    activation: Activation | None = None
    source: str = ""

    def __str__(self) -> str:
        """Return its content in one line."""
        said = [f"{name} {_shown(getattr(self, name))}" for name in _READERS if getattr(self, name) is not None]
        files = self.source.split(", ")
        named = " and ".join([*([", ".join(files[:-1])] if files[1:] else []), files[-1]])
        return f"{named} {'say' if files[1:] else 'says'}: {', '.join(said)}"

    @property
    def known(self) -> frozenset[str]:
        """What it states of ``size``, ``mean``, ``std`` and ``scale``."""
        return frozenset(name for name in ("size", "mean", "std", "scale") if getattr(self, name) is not None)

    def or_else(self, other: InputRecord) -> InputRecord:
        """Return this record, completed by another that counts less."""
        lacking = {each.name: getattr(other, each.name) for each in fields(self) if getattr(self, each.name) is None}
        sources = [file for each in (self, other) if each.source for file in each.source.split(", ")]
        return replace(self, **lacking, source=", ".join(dict.fromkeys(sources)))

    def applied(self, preset: Preset) -> Preset:
        """Return the preset with what the record says."""
        if isinstance(self.size, tuple) and self.size[0] != self.size[1]:
            preset = replace(preset, resize=min(self.size), crop=min(self.size), size=self.size)
        elif self.size is not None:
            side = self.size[0] if isinstance(self.size, tuple) else self.size
            resize = self.resize or side
            exact = preset.size if preset.size == (side, side) else None
            preset = replace(preset, resize=resize, crop=side, multiple=math.gcd(resize, preset.multiple), size=exact)
        given = {name: getattr(self, name) for name in ("mean", "std", "scale", "interpolation", "multiple")}
        return replace(preset, **{name: value for name, value in given.items() if value is not None})


def recorded_in(bags: Iterable[Mapping[Any, Any]], source: str = "") -> InputRecord:
    """Return what the dicts of a file's content say, the first that says something counting most."""
    found = InputRecord()
    for bag in bags:
        if isinstance(bag.get("pretrained_cfg"), dict):  # timm's
            found = found.or_else(recorded_in([bag["pretrained_cfg"]]))
        mean, std = _first(bag, MEAN_KEYS, numbers_in), _first(bag, STD_KEYS, numbers_in)
        mean, std = (mean, std) if mean and std else (None, None)  # one alone is something else
        size = _first(bag, SIZE_KEYS, size_in)
        ratio, method = bag.get("crop_pct"), bag.get("interpolation")
        found = found.or_else(
            InputRecord(
                size=size,
                resize=math.floor(size / ratio)
                if isinstance(size, int) and isinstance(ratio, float) and 0.1 <= ratio <= 1
                else None,
                mean=mean,
                std=std,
                scale=None if mean is None or std is None else 255 if max(*mean, *std) > 2 else 1,
                interpolation=method if method in ("bilinear", "bicubic") else None,
            )
        )
    return replace(found, source=source) if found != InputRecord() else found


def side_file(path: Path) -> Path:
    """Return the name of the side file of a checkpoint or of code."""
    return path.with_suffix(SUFFIX)


def side_file_of(path: Path) -> InputRecord:
    """Return what the side file of a checkpoint or of code says, or an empty record where there is none.

    Raises:
        ModelError: it cannot be read, is no TOML, or has something that does not belong into it.
    """
    file = side_file(path)
    if not file.exists():
        return InputRecord()
    require_regular(file, "settings")
    try:
        with open(file, "rb") as opened:
            content = tomllib.loads(opened.read(MAX_BYTES).decode())
    except OSError as error:
        raise unreadable(file, "settings", error) from error
    except (UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise ModelError(
            f"settings {quoted(file)}: no TOML: {printable(str(error))}", "correct or delete it"
        ) from error
    values: dict[str, Any] = {}
    for key, value in content.items():
        read = _READERS[key](value) if key in _READERS else None
        if read is None:
            what = (
                f"'{printable(str(key))}' cannot be {quoted(str(value), 40)}" if key in _READERS else f"no key {key!r}"
            )
            raise ModelError(
                f"settings {quoted(file)}: {what}", f"it may have {', '.join(_READERS)}: data, no code or paths"
            )
        values[key] = read
    return InputRecord(**values, source=file.name)


def written(record: InputRecord) -> str:
    """Return the text of a side file."""
    lines = []
    for name in _READERS:
        value = getattr(record, name)
        if value is not None:
            value = list(value) if isinstance(value, tuple) else value
            lines.append(f"{name} = {json.dumps(value, ensure_ascii=True)}\n")
    return "".join(lines)


def _shown(value: object) -> str:
    if isinstance(value, (list, dict)):
        return f"of {len(value)} classes"
    if isinstance(value, tuple):
        return ",".join(f"{each:g}" for each in value)
    return printable(str(value))


def _is_names(value: object) -> bool:
    return isinstance(value, list) and bool(value) and all(isinstance(each, str) and each for each in value)


def _first(bag: Mapping[Any, Any], keys: Iterable[str], read: Any) -> Any:  # noqa: ANN401
    return next((found for key in keys if (found := read(bag.get(key))) is not None), None)


def size_in(value: object) -> int | Size | None:
    """Return a side, or a size, in any of the forms that files have: 224, [224, 224], [3, 224, 224], by names."""
    if isinstance(value, dict):
        value = [value.get("height"), value.get("width")]
    sides: list[Any] = list(value)[-2:] if isinstance(value, (list, tuple)) and len(value) in (1, 2, 3) else [value]
    if not all(
        isinstance(side, int) and not isinstance(side, bool) and MIN_INPUT <= side <= MAX_INPUT for side in sides
    ):
        return None
    return sides[0] if len(set(sides)) == 1 else (sides[0], sides[1])


def numbers_in(value: object) -> Numbers | None:
    """Return one number, or one a channel, as statistics are."""
    if isinstance(value, (int, float)) and not isinstance(value, bool):
        value = [value]
    if not isinstance(value, (list, tuple)) or len(value) not in (1, 3):
        return None
    if not all(isinstance(each, (int, float)) and not isinstance(each, bool) and 0 <= each <= 255 for each in value):
        return None
    return tuple(float(each) for each in value)


def _text(value: object) -> str | None:
    return value if isinstance(value, str) and value else None


_READERS: dict[str, Callable[[Any], Any]] = {
    "size": size_in,
    "resize": lambda value: found if isinstance(found := size_in(value), int) else None,
    "mean": numbers_in,
    "std": numbers_in,
    "scale": lambda value: value if value in (1, 255) else None,
    "labels": lambda value: value if _is_names(value) else None,
    "layer": _text,
    "activation": lambda value: value if value in ACTIVATIONS else None,
}
"""What a side file may have, in the order in which it is written → the check that returns the value, or None."""
