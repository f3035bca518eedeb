"""From a picture to the tensor that a network sees, and where in the picture that was."""

from __future__ import annotations

import warnings
from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch
from torch.nn import functional as F

from gradcam_cli.records import Fit, Geometry, Preset, Size

if TYPE_CHECKING:
    from collections.abc import Sequence

    import numpy as np
    import numpy.typing as npt

LONGEST = 4
"""A whole picture's long side is at most this many times the preset's resize size; longer strips are squeezed."""

# Decoded pictures are read-only and only ever read here.
warnings.filterwarnings("ignore", message="The given NumPy array is not writable", category=UserWarning)


@dataclass(frozen=True, slots=True)
class Prepared:
    """A picture as the network sees it: float32 (3, h, w), normalised, and where that lies in the picture."""

    tensor: torch.Tensor
    geometry: Geometry


def prepare(pixels: npt.NDArray[np.uint8], preset: Preset, fit: Fit) -> Prepared:
    """Bring a picture, uint8 RGB (H, W, 3), to a network's input."""
    geometry = plan_geometry((pixels.shape[0], pixels.shape[1]), preset, fit)
    return Prepared(to_tensor(pixels, geometry, preset), geometry)


def plan_geometry(source: Size, preset: Preset, fit: Fit) -> Geometry:
    """Decide what the network will see of a picture.

    ``whole``: everything, aspect kept up to rounding, short side = ``preset.resize``. ``crop``: the preset as it was
    trained: short side to ``preset.resize``, centre square of ``preset.crop``. ``stretch``: everything, squeezed into
    that square. ``pad``: everything, aspect kept, within that square, mean-coloured borders.

    Args:
        source: (H, W) of the picture.
        preset: the network's.
        fit: one of ``records.FITS``.
    """
    height, width = source
    square = (preset.crop, preset.crop)
    if fit == "stretch":
        return Geometry(fit, source, square, (0, 0), square)
    if fit == "pad":
        scale = preset.crop / max(height, width)
        resized = (max(1, round(height * scale)), max(1, round(width * scale)))
        offset = (-((square[0] - resized[0]) // 2), -((square[1] - resized[1]) // 2))
        return Geometry(fit, source, resized, offset, square)
    scale = preset.resize / min(height, width)
    if fit == "crop":
        # The sizes and the rounding are those of torchvision's Resize and CenterCrop, for the published accuracy.
        short, long = sorted(source)
        other = int(preset.resize * long / short)
        resized = (preset.resize, other) if height <= width else (other, preset.resize)
        offset = (round((resized[0] - square[0]) / 2), round((resized[1] - square[1]) / 2))
        return Geometry(fit, source, resized, offset, square)

    def rounded(side: int) -> int:
        bounded = min(side * scale, LONGEST * preset.resize)
        return max(preset.multiple, round(bounded / preset.multiple) * preset.multiple)

    whole = (rounded(height), rounded(width))
    return Geometry(fit, source, whole, (0, 0), whole)


def to_tensor(pixels: npt.NDArray[np.uint8], geometry: Geometry, preset: Preset) -> torch.Tensor:
    """Resize with antialiasing, cut or pad, and normalise.

    Args:
        pixels: uint8 RGB (H, W, 3) of size ``geometry.source``, or already of size ``geometry.resized``.
        geometry: from ``plan_geometry``.
        preset: the network's.

    Returns:
        float32 (3, h, w), with (h, w) = ``geometry.input``.
    """
    # A (1, 3, H, W) view of interleaved pixels is what torch calls channels-last: resized in uint8, without a copy.
    picture = torch.from_numpy(pixels).permute(2, 0, 1)[None]
    if picture.shape[2:] != geometry.resized:
        picture = F.interpolate(picture, geometry.resized, mode=preset.interpolation, antialias=True)
    mean = torch.tensor(preset.mean).view(1, 3, 1, 1)
    std = torch.tensor(preset.std).view(1, 3, 1, 1)
    (top, left), (height, width) = geometry.offset, geometry.input
    window = picture[:, :, max(0, top) : max(0, top) + height, max(0, left) : max(0, left) + width]
    tensor = (window.float() / 255 - mean) / std
    if tensor.shape[2:] != geometry.input:
        before, above = max(0, -left), max(0, -top)
        after, below = width - before - tensor.shape[3], height - above - tensor.shape[2]
        tensor = F.pad(tensor, (before, after, above, below))
    return tensor[0]


def collate(pictures: Sequence[Prepared]) -> torch.Tensor:
    """Stack pictures of one input size into a batch (N, 3, h, w), channels-last in memory, as convolutions like it."""
    return torch.stack([picture.tensor for picture in pictures]).contiguous(memory_format=torch.channels_last)
