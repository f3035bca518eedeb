"""What a processor of transformers does to a picture: measured on pictures of which every pixel is known.

Its file leaves keys out that are its class's defaults, and classes do more than their keys name: some normalise twice,
swap red and blue, or enlarge before the crop. The processor itself shows all of it.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Final

import numpy as np
import transformers
from transformers.models.auto.image_processing_auto import IMAGE_PROCESSOR_MAPPING_NAMES
from transformers.models.auto.modeling_auto import (
    MODEL_FOR_IMAGE_CLASSIFICATION_MAPPING_NAMES,
    MODEL_FOR_ZERO_SHOT_IMAGE_CLASSIFICATION_MAPPING_NAMES,
)

from gradcam_cli.models.checkpoints.hub_files import recorded_by_processor
from gradcam_cli.models.checkpoints.input_record import InputRecord
from gradcam_cli.records import MAX_INPUT

if TYPE_CHECKING:
    from collections.abc import Mapping

    import numpy.typing as npt

SIDE: Final = 480
"""Side of the pictures that are tried."""
_EXACT: Final = 2
"""Pixels by which a measured side may be off."""
_KEYS: Final = frozenset(
    [
        "crop_pct", "crop_size", "do_center_crop", "do_convert_rgb", "do_flip_channel_order", "do_normalize",
        "do_rescale", "do_resize", "image_mean", "image_std", "include_top", "resample", "rescale_factor",
        "rescale_offset", "size",
    ]
)  # fmt: skip
"""Keys that are handed to a processor; others may name files, or places on the hub."""


@dataclass(frozen=True)
class Processing:
    """What a folder states of its pictures.

    Attributes:
        record: sizes and statistics.
        bgr: whether the network takes blue, green and red, in this order.
    """

    record: InputRecord
    bgr: bool = False


def processing(content: Mapping[str, Any], model_type: str) -> Processing:
    """Return what ``preprocessor_config.json`` means.

    Args:
        content: of the file; empty where there is none.
        model_type: kind of the network, whose usual processor is meant where the file does not name one.
    """
    if not content:
        return Processing(InputRecord())
    read = recorded_by_processor(content)
    try:
        made = _made(content, model_type)
        return _measured(made, recorded_by_processor({**content, **made.to_dict()}))
    except Exception:  # of a class that is not known, or values that do not suit it: then the file alone counts
        return Processing(read)


def _made(content: Mapping[str, Any], model_type: str) -> Any:  # noqa: ANN401
    """Return the processor, of a class that a network which can be explained has; nothing is read or fetched for it."""
    stated = content.get("image_processor_type") or content.get("feature_extractor_type")
    name = str(stated).removesuffix("Fast").replace("FeatureExtractor", "ImageProcessor")
    explained = {*MODEL_FOR_IMAGE_CLASSIFICATION_MAPPING_NAMES, *MODEL_FOR_ZERO_SHOT_IMAGE_CLASSIFICATION_MAPPING_NAMES}
    usual = {kind: IMAGE_PROCESSOR_MAPPING_NAMES[kind] for kind in explained if kind in IMAGE_PROCESSOR_MAPPING_NAMES}
    if not stated:
        name = usual[model_type]["torchvision"]
    elif not any(name in names.values() for names in usual.values()):
        raise ValueError(f"{name} is not known")
    return getattr(transformers, name)(**{key: value for key, value in content.items() if key in _KEYS})


def _measured(processor: Any, read: InputRecord) -> Processing:  # noqa: ANN401
    """Return what a processor does; ``read`` has the filter that its file names."""
    black, white, ramp = np.zeros((3, SIDE, SIDE, 3), np.uint8)
    white += 255
    ramp[..., 0] = np.round(np.linspace(0, 255, SIDE))  # red grows from left to right
    dark, light, slope = (_run(processor, each) for each in (black, white, ramp))
    height, width = dark.shape[1:]
    row = height // 2
    low, high = (each[:, row, width // 2] for each in (dark, light))
    seen = np.flatnonzero(light[0, row] != dark[0, row])  # a crop may be filled up at its borders
    columns = seen[len(seen) // 8 : -len(seen) // 8]
    growth = [np.polyfit(columns, slope[channel, row, columns], 1)[0] for channel in range(3)] / (high - low)
    red = int(np.abs(growth).argmax())
    resized = round(SIDE / (SIDE - 1) / growth[red])
    if read.resize is not None and abs(resized - read.resize) <= _EXACT:
        resized = read.resize
    std = 1 / (high - low)
    mean = -low * std
    if red == 2:
        mean, std = mean[::-1], std[::-1]
    if not (np.isfinite([*mean, *std]).all() and std.min() > 0):
        raise ValueError("its statistics are not finite")
    untouched = _run(processor, black[: SIDE // 2, : SIDE // 2]).shape[1] != height  # its own size is kept
    record = replace(
        read,
        size=None if untouched else height if height == width else (height, width),
        resize=None if untouched or abs(resized - width) <= _EXACT else min(resized, MAX_INPUT),
        mean=tuple(round(float(each), 7) + 0.0 for each in mean),
        std=tuple(round(float(each), 7) for each in std),
        scale=1,
    )
    return Processing(record, bgr=red == 2)


def _run(processor: Any, picture: npt.NDArray[np.uint8]) -> npt.NDArray[np.float64]:  # noqa: ANN401
    """Return the values (C, h, w) that a processor makes of a picture."""
    made = processor(images=picture, return_tensors="np")["pixel_values"]
    return np.asarray(made[0], np.float64)
