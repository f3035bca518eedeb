"""Conversion of pictures of 8 or 16 bits to sRGB: the arithmetic of `spaces`, by tables, to a level."""

from __future__ import annotations

import math
from functools import lru_cache
from typing import TYPE_CHECKING, Any

import cv2
import numpy as np

from gradcam_cli.media.colour.hdr import HLG_PEAK, PQ_PEAK, gain
from gradcam_cli.media.colour.spaces import HLG, REFERENCE_WHITE, srgb_of_light

if TYPE_CHECKING:
    import numpy.typing as npt

    from gradcam_cli.media.colour.spaces import Space

    Pixels = npt.NDArray[np.uint8] | npt.NDArray[np.uint16]
    Table = npt.NDArray[np.float32]

_STRIP = 64  # rows: they fit into the processor's cache
_FINE = (1 << 16) - 1
_GAINS = 4095
_LOOKED_AT = 1_000_000
"""Pixels, evenly spread, of which the brightness of a picture is measured."""
_SPECKLE = 1e-4
"""Share of the pixels that may be brighter than the peak: sparkles must not darken a picture."""


def converted(pixels: Pixels, space: Space, peak: float = REFERENCE_WHITE) -> npt.NDArray[np.uint8]:
    """Convert a picture to sRGB.

    Args:
        pixels: uint8 or uint16 RGB (H, W, 3).
        space: how its values are meant.
        peak: nits of the brightest part of HDR, which becomes white.

    Returns:
        uint8 RGB (H, W, 3).
    """
    found = np.empty(pixels.shape, np.uint8)
    for top in range(0, len(pixels), _STRIP):
        light = _light(pixels[top : top + _STRIP], space)
        if peak > REFERENCE_WHITE and space.is_hdr:
            brightest = light.max(-1, keepdims=True).clip(0) * np.float32(REFERENCE_WHITE / peak)
            light *= _gains(peak)[_index(np.sqrt(brightest), _GAINS)] / np.maximum(brightest, 1)
        found[top : top + _STRIP] = _curve()[_index(light, _FINE)]
    return found


def peak_of(pixels: Pixels, space: Space) -> float:
    """Return the nits of a picture's brightest part: SDR's white at least.

    Args:
        pixels: uint8 or uint16 RGB (H, W, 3).
        space: how its values are meant.
    """
    step = max(1, math.ceil((pixels.shape[0] * pixels.shape[1] / _LOOKED_AT) ** 0.5))
    nits = _light(pixels[::step, ::step], space).max(-1).ravel() * REFERENCE_WHITE
    place = int(nits.size * (1 - _SPECKLE))
    peak = float(np.partition(nits, min(place, nits.size - 1))[min(place, nits.size - 1)])
    return min(max(REFERENCE_WHITE, peak), HLG_PEAK if space.transfer == HLG else PQ_PEAK)


def to_8_bits(values: Pixels) -> npt.NDArray[np.uint8]:
    """Return values of 16 bits rounded to 8; those of 8 bits stay."""
    if values.dtype == np.uint8:
        return np.asarray(values, np.uint8)
    return np.asarray((values.astype(np.uint32) * 255 + 32767) // 65535, np.uint8)


def on_white(rgb: npt.NDArray[np.uint8], alpha: npt.NDArray[np.uint8]) -> npt.NDArray[np.uint8]:
    """Return a picture (H, W, 3) put on white by its alpha (H, W, 1); where that is 0 it is not seen."""
    weights = alpha.astype(np.uint16)
    return np.asarray((rgb * weights + 255 * (255 - weights) + 127) // 255, np.uint8)


def _light(pixels: Pixels, space: Space) -> Table:
    """Return linear sRGB, float32 (H, W, 3), 1 for SDR's white; colours that sRGB does not hold lie outside."""
    linear = _linear(space, pixels.dtype.itemsize)[pixels]
    return np.asarray(cv2.transform(space.displayed(linear), space.to_709), np.float32)


def _index(values: npt.NDArray[Any], last: int) -> npt.NDArray[np.int32]:
    """Return the places of values in [0, 1] in a table; others are at its ends."""
    return np.asarray((values * last + 0.5).clip(0, last), np.int32)


@lru_cache(maxsize=8)
def _linear(space: Space, size: int) -> Table:
    """Return linear values of all coded values of ``size`` bytes."""
    most = (1 << 8 * size) - 1
    return space.curve(np.arange(most + 1) / most).astype(np.float32)


@lru_cache(maxsize=8)
def _gains(peak: float) -> Table:
    """Return the factors of tone mapping by the square root of light, 1 at the peak."""
    return gain(np.linspace(0, 1, _GAINS + 1) ** 2 * peak, peak, REFERENCE_WHITE).astype(np.float32)


@lru_cache(maxsize=1)
def _curve() -> npt.NDArray[np.uint8]:
    """Return sRGB's levels of linear light, in 65535 steps."""
    return np.asarray(np.round(srgb_of_light(np.linspace(0, 1, _FINE + 1)) * 255), np.uint8)
