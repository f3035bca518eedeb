"""What the files beside a checkpoint state of it, as model hubs write them: timm's and Hugging Face's."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from gradcam_cli.models.checkpoints.input_record import (
    MAX_BYTES,
    InputRecord,
    numbers_in,
    recorded_in,
    side_file_of,
    size_in,
)
from gradcam_cli.records import MAX_INPUT, Activation, Preset, Size

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

INDEX = "model.safetensors.index.json"
WEIGHTS = ("model.safetensors", INDEX)
"""Names of transformers' weights, or of the list of the files that they are split into."""
PROCESSORS = ("preprocessor_config.json", "processor_config.json")
"""Names of the description of a processor; the second has it among others."""
_SHARP = (1, 3)
"""Pillow's numbers of the Lanczos and the bicubic filter."""
_SQUASHED = 384
"""From this side on, ConvNeXt's processor takes the whole picture instead of a crop."""
_PROBLEMS: dict[str, Activation] = {"multi_label_classification": "sigmoid", "regression": "none"}
"""Hugging Face's kinds of problems → what makes the scores probabilities; for others this is the usual."""


def recorded_beside(path: Path) -> InputRecord:
    """Return what the files beside a checkpoint state: our side file, ``preprocessor_config.json``, ``config.json``.

    Raises:
        ModelError: one of them cannot be read, or the side file has something that does not belong into it.
    """
    found = side_file_of(path)
    config = json_in(path.parent / "config.json")
    for record in (recorded_by_processor(processor_in(path.parent)), recorded_by_config(config)):
        found = found.or_else(record)
    return found


def processor_in(folder: Path) -> dict[str, Any]:
    """Return Hugging Face's description of a processor of pictures, or an empty dict."""
    alone, among = (json_in(folder / name) for name in PROCESSORS)
    whole = among.get("image_processor")
    return alone or (whole if isinstance(whole, dict) else {})


def recorded_by_config(config: Mapping[str, Any]) -> InputRecord:
    """Return what a ``config.json`` of timm or Hugging Face states."""
    trained = config.get("pretrained_cfg")
    labels = config.get("label_names") or config.get("id2label")
    labels = labels or (trained.get("label_names") if isinstance(trained, dict) else None)
    if isinstance(labels, dict) and all(str(name).startswith("LABEL_") for name in labels.values()):
        labels = None  # placeholders
    found = replace(
        recorded_in([config]),
        labels=labels if isinstance(labels, (list, dict)) else None,
        activation=_PROBLEMS.get(str(config.get("problem_type"))),
    )
    source = "config.json" if found != InputRecord() else ""
    return replace(found, multiple=_patch(config.get("patch_size")), source=source)


def _patch(side: object) -> int | None:
    """Return what sides are multiples of, where the usual number cuts through the patches of a transformer."""
    return side if isinstance(side, int) and 1 < side <= MAX_INPUT and Preset().multiple % side else None


def recorded_by_processor(content: Mapping[str, Any]) -> InputRecord:
    """Return what Hugging Face's ``preprocessor_config.json`` states; keys that it leaves out are not known.

    The steps are: resize, crop, rescale, with an offset for some, normalise, twice for some. Their product is one
    mean and one standard deviation.
    """
    if not content:
        return InputRecord()
    resize, side = _resized(content)
    rescaled = content.get("do_rescale") is not False
    mean, std = numbers_in(content.get("image_mean")), numbers_in(content.get("image_std"))
    if content.get("do_normalize") is False:
        mean, std = (0.0,), (1.0,)
    if not std or min(std) <= 0:
        mean = std = None
    if mean and std and rescaled:
        factor = content.get("rescale_factor")
        white = 255 * factor if isinstance(factor, (int, float)) and 1e-6 < factor <= 1 else 1.0
        black = -1.0 if content.get("rescale_offset") else 0.0
        mean = tuple(round((each - black) / white, 9) for each in mean)
        std = tuple(round(each**2 / white if content.get("include_top") else each / white, 9) for each in std)
    return InputRecord(
        size=side,
        resize=resize,
        mean=mean,
        std=std,
        scale=1 if rescaled else 255,
        interpolation="bicubic" if content.get("resample") in _SHARP else "bilinear",
        source="preprocessor_config.json",
    )


def _resized(content: Mapping[str, Any]) -> tuple[int | None, int | Size | None]:
    """Return the length of a picture's short side before the crop, or None, and the size of the input."""
    size, crop = content.get("size"), content.get("crop_size")
    window = size_in(crop) if content.get("do_center_crop") else None
    if not isinstance(size, dict) or "shortest_edge" not in size:
        whole = size_in(size)
        return whole if window and isinstance(whole, int) else None, window or whole
    edge, ratio = size_in(size["shortest_edge"]), content.get("crop_pct")
    if isinstance(edge, int) and isinstance(ratio, float) and 0.1 <= ratio <= 1 and (window or edge < _SQUASHED):
        return int(edge / ratio), window or edge
    return edge if isinstance(edge, int) else None, window or edge


def transformers_config(folder: Path) -> dict[str, Any]:
    """Return the ``config.json`` of a network of Hugging Face's transformers, or an empty dict."""
    config = json_in(folder / "config.json")
    return config if isinstance(config.get("model_type"), str) and "pretrained_cfg" not in config else {}


def transformers_folder(weights: Path) -> Path | None:
    """Return the folder of a network of transformers whose folder or weights file is given, or None."""
    folder = weights if weights.is_dir() else weights.parent
    if folder != weights and weights.name not in WEIGHTS:
        return None
    return folder if transformers_config(folder) or (folder / "adapter_config.json").is_file() else None


def timm_name(folder: Path) -> str | None:
    """Return the name of timm's architecture that a folder's ``config.json`` states, or None."""
    config = json_in(folder / "config.json")
    name = config.get("architecture")
    return name if isinstance(name, str) and "pretrained_cfg" in config else None


def json_in(path: Path) -> dict[str, Any]:
    """Return a JSON object, or an empty dict where there is none that can be read."""
    if not path.is_file():
        return {}
    try:
        with open(path, "rb") as file:
            content = json.loads(file.read(MAX_BYTES))
    except (OSError, ValueError, RecursionError):
        return {}
    return content if isinstance(content, dict) else {}
