"""Iso-lines of a map over the untouched picture."""

from __future__ import annotations

from typing import TYPE_CHECKING

import cv2
import numpy as np
from contourpy import contour_generator

if TYPE_CHECKING:
    from collections.abc import Sequence

    import numpy.typing as npt

    Pixels = npt.NDArray[np.uint8]

_THICKNESS = 1 / 200
"""Thickness of a line, as a share of the picture's short side; its dark border is half as thick on either side."""

_SHIFT = 4
"""Bits of a coordinate behind the point: lines run between the pixels."""


def draw_contours(pixels: Pixels, grayscale: Pixels, levels: Sequence[float], table: Pixels) -> Pixels:
    """Return the picture with a line where the map has a level, in the level's colour, with a black border.

    Args:
        pixels: uint8 RGB (H, W, 3).
        grayscale: the map, uint8 (H, W).
        levels: in (0, 1), of the map.
        table: colormap, uint8 RGB (256, 3).

    Returns:
        uint8 RGB (H, W, 3), a new array.
    """
    drawn = np.ascontiguousarray(pixels.copy())
    if min(grayscale.shape) < 2:
        return drawn
    core = max(1, round(_THICKNESS * min(grayscale.shape)))
    found = contour_generator(z=grayscale.astype(np.float32), line_type="Separate")
    for level in sorted(levels):
        # Never a value that bytes have: where the map is flat at the level itself there is no line.
        lines = [np.rint(np.asarray(line) * (1 << _SHIFT)).astype(np.int32) for line in found.lines(level * 255 - 0.25)]
        colour = tuple(int(value) for value in table[round(level * 255)])
        for thickness, ink in ((core + 2 * max(1, core // 2), (0, 0, 0)), (core, colour)):
            cv2.polylines(drawn, lines, False, ink, thickness, cv2.LINE_AA, _SHIFT)
    return drawn
