"""The saliency map: a class activation map resized to the whole source picture and scaled once."""

from __future__ import annotations

import functools
import itertools
import math
from typing import TYPE_CHECKING

import cv2
import numpy as np

from gradcam_cli.render.scale import clipped_range, normalization_for, percentile, seen_cells
from gradcam_cli.render.upsampling import refined

if TYPE_CHECKING:
    from collections.abc import Iterator

    import numpy.typing as npt

    from gradcam_cli.records import Geometry

STRIP_VALUES = 1 << 16
"""Pixels processed at a time: few enough to stay in the processor's cache, whatever the picture's size."""


class _Axis:
    """Positions of the source's pixels along one axis between the cells of the grid.

    A pixel's centre goes through the resize into the network's input and from there to the grid, half-pixel centres
    throughout (``align_corners=False``); beyond the outermost cells' centres the map is continued flat.

    Attributes:
        low: per pixel, the cell before it, int (n,).
        high: per pixel, the cell after it, int (n,).
        part: per pixel, its position between the two as a fraction, float32 (n,) in [0, 1].
        rest: per pixel, 1 - ``part``.
    """

    def __init__(self, source: int, resized: int, offset: int, seen: int, cells: int) -> None:
        at_input = (np.arange(source) + 0.5) * (resized / source) - offset
        at_grid = np.clip(at_input * (cells / seen) - 0.5, 0, cells - 1)
        self.low = np.minimum(at_grid.astype(np.intp), max(cells - 2, 0))
        self.high = np.minimum(self.low + 1, cells - 1)
        self.part = (at_grid - self.low).astype(np.float32)
        self.rest = 1 - self.part
        edges = [0, *(np.flatnonzero(np.diff(self.low)) + 1).tolist(), source]
        self._between = list(itertools.pairwise(edges))

    def runs(self, longest: int) -> Iterator[slice]:
        """Yield the stretches of pixels that lie between the same two cells, none longer than ``longest``."""
        for start, stop in self._between:
            for first in range(start, stop, longest):
                yield slice(first, min(first + longest, stop))


class _Place:
    """Position of a map over the source, shared by a clip's frames.

    Attributes:
        down: the axis of rows.
        across: the axis of columns.
        seen_box: (left, top, right, bottom) of the pixels whose centres the network saw; never empty.
        sees_all: whether the box contains all pixels.
    """

    def __init__(self, geometry: Geometry, cells: tuple[int, ...]) -> None:
        sides = zip(geometry.source, geometry.resized, geometry.offset, geometry.input, cells, strict=True)
        self.down, self.across = (_Axis(*side) for side in sides)
        left, top, right, bottom = geometry.seen
        height, width = geometry.source
        x0, y0 = min(math.ceil(left - 0.5), width - 1), min(math.ceil(top - 0.5), height - 1)
        self.seen_box = x0, y0, max(x0 + 1, math.floor(right + 0.5)), max(y0 + 1, math.floor(bottom + 0.5))
        self.sees_all = self.seen_box == (0, 0, width, height)


_place = functools.lru_cache(maxsize=4)(_Place)


class SaliencyMap:
    """A map over the source picture, made in strips of rows, so that a large picture costs little memory.

    Bilinear interpolation is separable: first along the rows of the grid, then, when pixels are requested, down the
    columns. It is exact for all cropping and padding of the preprocessing.

    Args:
        values: the class activation map, float32 (h, w), rectified; zeros when it is blank.
        geometry: how the picture was resized and cropped to the network's input.
        normalize: ``minmax`` stretches the seen part to [0, 1]; ``max`` divides by its maximum; ``p99`` stretches up
            to that percentile of its cells, and clips; ``none`` leaves the values as they are; ``auto`` chooses.
        scale: (low, high) that become 0 and 1 instead, for maps that share a scale; values outside are clipped.

    Attributes:
        scale: (low, high) that became 0 and 1, or None where the values are as they were.
    """

    def __init__(
        self,
        values: npt.NDArray[np.float32],
        geometry: Geometry,
        normalize: str = "auto",
        scale: tuple[float, float] | None = None,
    ) -> None:
        self.size = geometry.source
        self._values, self._geometry = values, geometry
        self._place = _place(geometry, values.shape)
        across = self._place.across
        self._rows: npt.NDArray[np.float32] = values.take(across.low, axis=1) * across.rest
        self._rows += values.take(across.high, axis=1) * across.part
        way = normalization_for(normalize, values.shape, geometry)
        share = percentile(way)
        clipped = scale is not None or share is not None
        if scale is None and share is not None:
            scale = clipped_range(seen_cells(values, geometry), share)
        elif scale is None and way != "none":
            low, high = self._range()
            scale = (low if way == "minmax" else 0.0, high)
        self.scale = scale
        if scale is not None:
            low, high = scale
            if high > low:
                self._rows -= np.float32(low)
                self._rows /= np.float32(high - low)
            else:
                self._rows[:] = 0
        # An interpolated value never exceeds both of its rows.
        self._exceeds = clipped and (self._rows.min() < 0 or self._rows.max() > 1)

    @property
    def seen_box(self) -> tuple[int, int, int, int]:
        """(left, top, right, bottom) of the source pixels whose centres the network saw; never empty."""
        return self._place.seen_box

    def _range(self) -> tuple[float, float]:
        """Return the seen part's minimum and maximum: between two cells the map is linear, so the ends suffice."""
        left, top, right, bottom = self.seen_box
        ends = []
        for run in self._place.down.runs(self.size[0]):
            first, last = max(run.start, top), min(run.stop, bottom) - 1
            if first <= last:
                ends += [self._interpolated(slice(y, y + 1), self._rows)[:, left:right] for y in (first, last)]
        return min(float(end.min()) for end in ends), max(float(end.max()) for end in ends)

    def _interpolated(self, run: slice, rows: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
        start, end = rows[self._place.down.low[run.start]], rows[self._place.down.high[run.start]]
        strip: npt.NDArray[np.float32] = np.multiply.outer(self._place.down.part[run], end - start)
        strip += start
        return strip

    def _strips(self, scale: float = 1.0) -> Iterator[tuple[slice, npt.NDArray[np.float32]]]:
        """Yield the scaled map in strips, zero where the network did not see the picture."""
        left, top, right, bottom = self.seen_box
        rows = self._rows * np.float32(scale)
        for run in self._place.down.runs(max(1, STRIP_VALUES // self.size[1])):
            strip = self._interpolated(run, rows)
            if self._exceeds:
                np.clip(strip, 0, scale, out=strip)
            if not self._place.sees_all:
                strip[: max(0, top - run.start)] = 0
                strip[max(0, bottom - run.start) :] = 0
                strip[:, :left] = 0
                strip[:, right:] = 0
            yield run, strip

    def smooth(self) -> SaliencyMap:
        """Return the same map on the same scale with bicubic interpolation, for what shows it in colours."""
        return SaliencyMap(refined(self._values, self.size), self._geometry, "none", self.scale)

    def array(self) -> npt.NDArray[np.float32]:
        """Return the map as float32 (H, W): in [0, 1], or the layer's own values with ``none``."""
        return np.concatenate([strip for _, strip in self._strips()])

    def bytes(self) -> npt.NDArray[np.uint8]:
        """Return the map as uint8 (H, W): [0, 1] to 0 … 255, rounded once; values outside are clipped."""
        grayscale = np.empty(self.size, np.uint8)
        for run, strip in self._strips(255.0):
            cv2.convertScaleAbs(strip, dst=grayscale[run])  # rounds and saturates in one go; nothing is negative
        return grayscale
