"""True colours → 256 of them, steadily: for the overlay frames of a GIF.

Chosen by measurement on overlays at a width of 480 pixels. A palette for each frame, as is usual, costs 130 ms a frame
(median cut) and makes still parts flicker; so does error diffusion (Floyd-Steinberg), whose pattern changes everywhere
when one pixel does. Without dithering, or with a plain threshold matrix, the palette's
colours lie too far apart to hide the bands of a colormap. Here every colour has a pattern of 16 palette colours whose
mean is close to it (Thomas Knoll's pattern dithering), from a table: under 1 ms a frame, and the same pixel always
gives the same result. The palette stays until a frame no longer fits it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import cv2
import numpy as np
from PIL import Image

if TYPE_CHECKING:
    import numpy.typing as npt

    Pixels = npt.NDArray[np.uint8]

_SAMPLES = 6_000
"""Pixels of a frame that its palette is made from, about."""

_BITS = 5
"""Of each channel, in the table of patterns: 6 take eight times the work, and are hardly closer to the original."""

_WEIGHT = 8
"""Pixels that a colour counts for, however many have it."""

_SPREAD = np.float32(0.25)
"""Share of the error that the pattern's next colour makes good: more hides bands better, but shows as grain."""

_REACH = np.float32(16)
"""Levels that this comes to at most: what no palette colour makes good would add up, and end in blue within red."""

_ORDER = np.array([[0, 8, 2, 10], [12, 4, 14, 6], [3, 11, 1, 9], [15, 7, 13, 5]], np.int32)
"""Which of a pattern's colours, dark to light, a pixel takes: a 4×4 Bayer matrix."""

_LIGHTNESS = np.array([0.299, 0.587, 0.114])


class Quantizer:
    """Turns RGB frames into indices of a palette that is kept from frame to frame.

    Attributes:
        palette: uint8 RGB (256, 3), of the latest frame; another array when it was made anew.
    """

    def __init__(self) -> None:
        self.palette: Pixels = np.zeros((256, 3), np.uint8)
        self._carrier = _carrier(self.palette)
        self._patterns: Pixels = np.zeros(0, np.uint8)
        self._tolerance = -1.0

    def __call__(self, pixels: Pixels) -> Pixels:
        """Quantise uint8 RGB (H, W, 3) to uint8 (H, W); ``palette`` then tells the colours."""
        step = max(1, round((pixels.shape[0] * pixels.shape[1] / _SAMPLES) ** 0.5))
        sample = np.ascontiguousarray(pixels[::step, ::step].reshape(-1, 3))
        if self._error(sample) > self._tolerance:
            self.palette = _palette(sample)
            self._carrier = _carrier(self.palette)
            self._patterns = _patterns(self.palette, self._carrier)
            self._tolerance = 1.15 * self._error(sample) + 0.5
        height, width = pixels.shape[:2]
        places = np.tile(_ORDER, (height // 4 + 1, width // 4 + 1))[:height, :width]
        places += _bins(pixels) << 4
        return self._patterns[places]

    def _error(self, sample: Pixels) -> float:
        """Return by how many levels the nearest colours differ from (n, 3) pixels: the root of the mean square.

        A plain mean does not tell of a small hot spot that the palette has no colours for.
        """
        error = cv2.absdiff(sample, self.palette[_nearest(sample, self._carrier)])
        return float(np.sqrt(np.square(error, dtype=np.float32).mean()))


def _bins(pixels: Pixels) -> npt.NDArray[np.int32]:
    """Return for colours, uint8 RGB (…, 3), which share their first `_BITS` bits a channel: a number, int32 (…)."""
    bins = (pixels >> (8 - _BITS)).astype(np.int32)
    return (bins[..., 0] << 2 * _BITS) + (bins[..., 1] << _BITS) + bins[..., 2]


def _palette(sample: Pixels) -> Pixels:
    """Return the colours that fit (n, 3) pixels best, dark to light: median cut, then each the mean of its pixels.

    Colours count beside pixels, so that rare ones, those of a small hot spot, get their share of the palette.
    """
    sample = np.concatenate([sample, np.repeat(_colours(sample), _WEIGHT, axis=0)])
    cut = Image.fromarray(sample[None]).quantize(256, Image.Quantize.MEDIANCUT, dither=Image.Dither.NONE)
    labels = np.asarray(cut).astype(np.int32).reshape(-1, 1)
    count = int(labels.max()) + 1
    rounds = (cv2.TERM_CRITERIA_MAX_ITER, 4, 0.0)
    points = sample[:, None].astype(np.float32)  # of three channels: a single row of (n, 3) would be taken for n points
    _, _, means = cv2.kmeans(points, count, labels, rounds, 1, cv2.KMEANS_USE_INITIAL_LABELS)
    palette = np.zeros((256, 3), np.uint8)
    palette[:count] = np.rint(means[np.argsort(means @ _LIGHTNESS)])
    return palette


def _colours(sample: Pixels) -> Pixels:
    """Return the different colours among (n, 3) pixels, of those that share `_BITS` bits a channel the mean."""
    _, which, count = np.unique(_bins(sample), return_inverse=True, return_counts=True)
    means = np.stack([np.bincount(which, channel) for channel in sample.T], axis=1) / count[:, None]
    return np.rint(means).astype(np.uint8)


def _patterns(palette: Pixels, carrier: Image.Image) -> Pixels:
    """Return for every colour of `_BITS` bits a channel its 16 indices, dark to light, in one row: uint8 (n · 16,)."""
    width = 256 >> _BITS
    levels = np.arange(1 << _BITS, dtype=np.float32) * width + (width - 1) / 2
    wanted = np.stack(np.meshgrid(levels, levels, levels, indexing="ij"), -1).reshape(-1, 3)
    missing = np.zeros_like(wanted)
    pattern = np.empty((len(wanted), _ORDER.size), np.uint8)
    for column in pattern.T:
        sought = wanted + np.clip(missing * _SPREAD, -_REACH, _REACH)
        column[:] = _nearest(np.clip(sought, 0, 255).astype(np.uint8), carrier)
        missing += wanted - palette[column]
    pattern.sort(axis=1)
    return pattern.ravel()


def _carrier(palette: Pixels) -> Image.Image:
    """Return a picture that carries the palette; Pillow remembers in it what it found, so it is made but once."""
    carrier = Image.new("P", (1, 1))
    carrier.putpalette(palette.tobytes())
    return carrier


def _nearest(colours: Pixels, carrier: Image.Image) -> Pixels:
    """Return the index of the palette's nearest colour for each of (n, 3)."""
    found = Image.fromarray(colours[None]).quantize(palette=carrier, dither=Image.Dither.NONE)
    return np.asarray(found, np.uint8).ravel()
