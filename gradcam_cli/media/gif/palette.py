"""Reduction of RGB frames to 256 colours without flicker: for the overlay frames of a GIF.

Chosen by measurement on overlays at a width of 480 pixels. A palette per frame, the usual way, costs 130 ms a frame
(median cut) and makes still parts flicker; so does error diffusion (Floyd-Steinberg), whose pattern changes everywhere
when one pixel changes. Without dithering, or with a plain threshold matrix, the palette's
colours lie too far apart to hide the bands of a colormap. Here every colour has a pattern of 16 palette colours whose
mean is close to it (Thomas Knoll's pattern dithering), from a table that is filled as colours appear: some ms a frame,
and the same pixel always gives the same result. The palette stays until a frame no longer fits it.
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
"""Approximate number of pixels of a frame that its palette is computed from."""

_BITS = 6
"""Bits per channel in the table of patterns: with 5, what is cut off shows as noise, and takes bytes."""

_COLOUR_BITS = 5
"""Bits per channel by which colours are distinct for the palette."""

_WEIGHT = 8
"""Number of pixels that each distinct colour counts for, regardless of how many pixels have it."""

_SPREAD = np.float32(0.15)
"""Share of the error that the pattern's next colour corrects: more hides bands better, but shows as grain."""

_REACH = np.float32(16)
"""Largest such correction, in levels: error that no palette colour corrects would add up to blue within red."""

_COLOURS = 255
"""Colours of a palette: one index stays free for what does not change in a GIF."""

_PURE = 0.005
"""Share of pixels of pure black or white from which it is in the palette."""

_STRIP = 64
"""Rows that are quantised at once."""

_ORDER = np.array([[0, 8, 2, 10], [12, 4, 14, 6], [3, 11, 1, 9], [15, 7, 13, 5]], np.int32)
"""Index of the pattern's colour, dark to light, for each pixel: a 4×4 Bayer matrix."""

_LIGHTNESS = np.array([0.299, 0.587, 0.114])


class Quantizer:
    """Converts RGB frames to indices, up to 254, of a palette that is kept from frame to frame.

    Attributes:
        palette: uint8 RGB (256, 3), of the latest frame; a new array each time it is recomputed.
    """

    def __init__(self) -> None:
        self.palette: Pixels = np.zeros((256, 3), np.uint8)
        self._carrier = _carrier(self.palette)
        self._patterns: Pixels = np.zeros((1 << 3 * _BITS, _ORDER.size), np.uint8)
        self._known = np.zeros(len(self._patterns), np.bool_)
        self._tolerance = -1.0

    def __call__(self, pixels: Pixels) -> Pixels:
        """Quantise uint8 RGB (H, W, 3) to uint8 (H, W); ``palette`` then contains the colours."""
        step = max(1, round((pixels.shape[0] * pixels.shape[1] / _SAMPLES) ** 0.5))
        sample = np.ascontiguousarray(pixels[::step, ::step].reshape(-1, 3))
        if self._error(sample) > self._tolerance:
            self.palette = _palette(sample)
            self._carrier = _carrier(self.palette)
            self._known[:] = False
            self._tolerance = 1.15 * self._error(sample) + 0.5
        found = np.empty(pixels.shape[:2], np.uint8)
        for top in range(0, len(pixels), _STRIP):
            found[top : top + _STRIP] = self._patterned(pixels[top : top + _STRIP])
        return found

    def _patterned(self, pixels: Pixels) -> Pixels:
        """Quantise rows that begin at a multiple of four: what is needed on the way is far larger than they are."""
        height, width = pixels.shape[:2]
        places = np.tile(_ORDER, (height // 4 + 1, width // 4 + 1))[:height, :width]
        bins = _bins(pixels, _BITS)
        self._learn(bins)
        places += bins << 4
        found = self._patterns.ravel()[places]
        for pure in (0, 255):
            index = np.flatnonzero((self.palette == pure).all(-1))
            if index.size:
                found[cv2.inRange(pixels, (pure,) * 3, (pure,) * 3) > 0] = index[0]
        return found

    def _learn(self, bins: npt.NDArray[np.int32]) -> None:
        """Compute the patterns of colours that have not been seen before."""
        seen = np.zeros_like(self._known)
        seen[bins] = True
        seen &= ~self._known
        new = np.flatnonzero(seen)
        self._patterns[new] = _patterns(new, self.palette, self._carrier)
        self._known[new] = True

    def _error(self, sample: Pixels) -> float:
        """Return the root mean square difference, in levels, of (n, 3) pixels from their nearest palette colours.

        A plain mean would miss a small hot spot that the palette has no colours for.
        """
        error = cv2.absdiff(sample, self.palette[_nearest(sample, self._carrier)])
        return float(np.sqrt(np.square(error, dtype=np.float32).mean()))


def _bins(pixels: Pixels, bits: int) -> npt.NDArray[np.int32]:
    """Return a number for the first ``bits`` bits per channel of each colour: uint8 RGB (…, 3) to int32 (…)."""
    bins = (pixels >> (8 - bits)).astype(np.int32)
    return (bins[..., 0] << 2 * bits) + (bins[..., 1] << bits) + bins[..., 2]


def _palette(sample: Pixels) -> Pixels:
    """Return the palette that fits (n, 3) pixels best, dark to light: median cut, then k-means.

    Distinct colours count in addition to pixels, so that rare ones, as in a small hot spot, get a share of the palette.
    """
    sample = np.concatenate([sample, np.repeat(_colours(sample), _WEIGHT, axis=0)])
    cut = Image.fromarray(sample[None]).quantize(_COLOURS, Image.Quantize.MEDIANCUT, dither=Image.Dither.NONE)
    labels = np.asarray(cut).astype(np.int32).reshape(-1, 1)
    count = int(labels.max()) + 1
    rounds = (cv2.TERM_CRITERIA_MAX_ITER, 4, 0.0)
    points = sample[:, None].astype(np.float32)  # of three channels: a single row of (n, 3) would be taken for n points
    _, _, means = cv2.kmeans(points, count, labels, rounds, 1, cv2.KMEANS_USE_INITIAL_LABELS)
    palette = np.zeros((256, 3), np.uint8)
    palette[:count] = np.rint(means[np.argsort(means @ _LIGHTNESS)])
    palette[count:] = palette[0]
    for pure in (0, 255):  # means are a little off, which shows on a page of that colour
        if np.count_nonzero((sample == pure).all(-1)) > _PURE * len(sample):
            palette[np.abs(palette.astype(np.int32) - pure).sum(-1).argmin()] = pure
    return palette


def _colours(sample: Pixels) -> Pixels:
    """Return the distinct colours among (n, 3) pixels: the mean of those that share `_COLOUR_BITS` bits per channel."""
    _, which, count = np.unique(_bins(sample, _COLOUR_BITS), return_inverse=True, return_counts=True)
    means = np.stack([np.bincount(which, channel) for channel in sample.T], axis=1) / count[:, None]
    return np.rint(means).astype(np.uint8)


def _patterns(bins: npt.NDArray[np.int64], palette: Pixels, carrier: Image.Image) -> Pixels:
    """Return 16 palette indices, dark to light, for colours by their numbers, see `_bins`: uint8 (n, 16)."""
    pattern = np.empty((len(bins), _ORDER.size), np.uint8)
    if not len(bins):
        return pattern
    width = 256 >> _BITS
    channels = np.stack([bins >> 2 * _BITS, bins >> _BITS, bins], -1) & ((1 << _BITS) - 1)
    wanted = (channels * width).astype(np.float32) + np.float32((width - 1) / 2)
    missing = np.zeros_like(wanted)
    for column in pattern.T:
        sought = wanted + np.clip(missing * _SPREAD, -_REACH, _REACH)
        column[:] = _nearest(np.clip(sought, 0, 255).astype(np.uint8), carrier)
        missing += wanted - palette[column]
    pattern[pattern >= _COLOURS] = 0  # the same colour
    pattern.sort(axis=1)
    return pattern


def _carrier(palette: Pixels) -> Image.Image:
    """Return a picture with the palette; Pillow caches its searches in it, so it is made only once per palette."""
    carrier = Image.new("P", (1, 1))
    carrier.putpalette(palette.tobytes())
    return carrier


def _nearest(colours: Pixels, carrier: Image.Image) -> Pixels:
    """Return the index of the palette's nearest colour for each of (n, 3) colours."""
    found = Image.fromarray(colours[None]).quantize(palette=carrier, dither=Image.Dither.NONE)
    return np.asarray(found, np.uint8).ravel()
