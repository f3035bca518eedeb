"""Preprocessing of a picture to a network's input tensor, and the geometry between the two."""

from __future__ import annotations

import functools
import math
import warnings
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import torch
from torch.nn import functional as F

from gradcam_cli.errors import UsageError
from gradcam_cli.records import Fit, Geometry, Numbers, Preset, Size

if TYPE_CHECKING:
    from collections.abc import Sequence

    import numpy as np
    import numpy.typing as npt

MAX_ASPECT = 4
"""A whole picture's long side is at most this many times the preset's resize size; longer strips are squeezed."""

LUMA = (0.299, 0.587, 0.114)
"""Weights of red, green and blue in a grey value, by ITU-R BT.601."""

# Decoded pictures are read-only, and this module only reads them.
warnings.filterwarnings("ignore", message="The given NumPy array is not writable", category=UserWarning)


@dataclass(frozen=True, slots=True)
class Prepared:
    """The network's input from a picture: float32 (C, h, w), normalised, and its geometry in the picture."""

    tensor: torch.Tensor
    geometry: Geometry


def prepare(pixels: npt.NDArray[np.uint8], preset: Preset, fit: Fit, whole: Size | None = None) -> Prepared:
    """Convert uint8 RGB (H, W, 3) to a network's input; ``whole`` is the picture's own size if it was read smaller."""
    geometry = plan_geometry(whole or (pixels.shape[0], pixels.shape[1]), preset, fit)
    return Prepared(to_tensor(pixels, geometry, preset), geometry)


def for_channels(preset: Preset, channels: int) -> Preset:
    """Return the preset for a network that reads ``channels`` channels, one or three.

    Three statistics of colours are combined to one of their luma; a single one is used for every channel.
    """
    return replace(
        preset, channels=channels, mean=_statistics(preset.mean, channels), std=_statistics(preset.std, channels)
    )


def adapted(
    preset: Preset, *, side: int | Size | None, mean: Numbers | None, std: Numbers | None, scale_255: bool
) -> Preset:
    """Return the preset with a user's changes.

    Args:
        preset: the network's.
        side: side of the input in pixels, instead of the preset's sizes; of a whole picture, the short side. Or its
            (h, w), to which a whole picture is stretched.
        mean: one number or one for each channel, subtracted after scaling, instead of the preset's.
        std: one number or one for each channel, divided by, instead of the preset's.
        scale_255: whether the network takes values from 0 to 255; the statistics are then in these units and, where not
            given, 0 and 1.

    Raises:
        UsageError: three numbers for a network of one channel.
    """
    if isinstance(side, tuple):
        preset = replace(preset, resize=min(side), crop=min(side), size=side)
    elif side is not None:
        # A side that was asked for is taken exactly: what sides are rounded to has to divide it.
        preset = replace(preset, resize=side, crop=side, multiple=math.gcd(side, preset.multiple), size=None)
    if scale_255:
        preset = replace(preset, scale=255, mean=(0.0,) * preset.channels, std=(1.0,) * preset.channels)
    for statistic, numbers in (("mean", mean), ("std", std)):
        if numbers is not None and len(numbers) not in (1, preset.channels):
            raise UsageError(
                f"{statistic} has {len(numbers)} numbers for a network of {preset.channels} channel"
                f"{'s' if preset.channels > 1 else ''}",
                "give one number, or one for each channel",
            )
    return replace(
        preset,
        mean=_statistics(mean or preset.mean, preset.channels),
        std=_statistics(std or preset.std, preset.channels),
    )


def _statistics(numbers: Numbers, channels: int) -> Numbers:
    if len(numbers) == channels:
        return numbers
    if channels == 1:
        return (round(sum(share * number for share, number in zip(LUMA, numbers, strict=True)), 6),)
    return numbers * channels


@functools.lru_cache(maxsize=64)  # a clip's frames, and many a folder's pictures, are of one size
def plan_geometry(source: Size, preset: Preset, fit: Fit) -> Geometry:
    """Compute the part of a picture that the network will see.

    ``whole``: the whole picture, aspect kept up to rounding, short side = ``preset.resize``. ``crop``: as in training:
    short side to ``preset.resize``, centre square of ``preset.crop``. ``stretch``: the whole picture, squeezed into
    that square. ``pad``: the whole picture, aspect kept, within that square, mean-coloured borders. An input of a size
    of its own, ``preset.size``, takes the square's place, and ``whole`` is ``stretch``.

    Args:
        source: (H, W) of the picture.
        preset: the network's.
        fit: one of ``records.FITS``.
    """
    height, width = source
    square = preset.window
    if fit == "stretch" or (fit == "whole" and preset.size is not None):
        return Geometry("stretch", source, square, (0, 0), square)
    if fit == "pad":
        scale = min(square[0] / height, square[1] / width)
        resized = (max(1, round(height * scale)), max(1, round(width * scale)))
        offset = (-((square[0] - resized[0]) // 2), -((square[1] - resized[1]) // 2))
        return Geometry(fit, source, resized, offset, square)
    scale = preset.resize / min(height, width)
    if fit == "crop" and preset.size is not None:
        scale = max(square[0] / height, square[1] / width)
        resized = (max(square[0], round(height * scale)), max(square[1], round(width * scale)))
        offset = ((resized[0] - square[0]) // 2, (resized[1] - square[1]) // 2)
        return Geometry(fit, source, resized, offset, square)
    if fit == "crop":
        # The sizes and the rounding are those of torchvision's Resize and CenterCrop, for the published accuracy.
        short, long = sorted(source)
        other = int(preset.resize * long / short)
        resized = (preset.resize, other) if height <= width else (other, preset.resize)
        offset = (round((resized[0] - square[0]) / 2), round((resized[1] - square[1]) / 2))
        return Geometry(fit, source, resized, offset, square)

    def rounded(side: int) -> int:
        bounded = min(side * scale, MAX_ASPECT * preset.resize)
        return max(preset.multiple, round(bounded / preset.multiple) * preset.multiple)

    whole = (rounded(height), rounded(width))
    return Geometry(fit, source, whole, (0, 0), whole)


def to_tensor(pixels: npt.NDArray[np.uint8], geometry: Geometry, preset: Preset) -> torch.Tensor:
    """Resize with antialiasing, crop or pad, and normalise.

    Args:
        pixels: uint8 RGB (H, W, 3) of size ``geometry.source`` or smaller; one of ``geometry.resized`` is not resized.
        geometry: from ``plan_geometry``.
        preset: the network's.

    Returns:
        float32 (C, h, w), with C = ``preset.channels`` and (h, w) = ``geometry.input``.
    """
    # A (1, 3, H, W) view of interleaved pixels is what torch calls channels-last: resized in uint8, without a copy.
    picture = torch.from_numpy(pixels).permute(2, 0, 1)[None]
    if picture.shape[2:] != geometry.resized:
        picture = F.interpolate(picture, geometry.resized, mode=preset.interpolation, antialias=True)
    (top, left), (height, width) = geometry.offset, geometry.input
    window = picture[:, :, max(0, top) : max(0, top) + height, max(0, left) : max(0, left) + width]
    values = window[0].permute(1, 2, 0).to(torch.float32, memory_format=torch.contiguous_format)
    values.div_(255 / preset.scale)
    if preset.channels == 1:
        values = (values * torch.tensor(LUMA)).sum(-1, keepdim=True)
    down, across = values.shape[:2]
    values.view(down, -1).sub_(_a_row(preset.mean, across)).div_(_a_row(preset.std, across))
    tensor = values.permute(2, 0, 1)
    if tensor.shape[1:] != geometry.input:
        before, above = max(0, -left), max(0, -top)
        after, below = width - before - tensor.shape[2], height - above - tensor.shape[1]
        tensor = F.pad(tensor, (before, after, above, below))
    return tensor


@functools.lru_cache(maxsize=4)
def _a_row(statistics: Numbers, pixels: int) -> torch.Tensor:
    """Return statistics for a row of pixels with all channels: pixel by pixel would be loops over three values."""
    return torch.tensor(statistics).repeat(pixels)


def collate(pictures: Sequence[Prepared]) -> torch.Tensor:
    """Stack pictures of one input size into a batch (N, C, h, w), channels-last in memory, which suits convolutions."""
    return torch.stack([picture.tensor.permute(1, 2, 0) for picture in pictures]).permute(0, 3, 1, 2)
