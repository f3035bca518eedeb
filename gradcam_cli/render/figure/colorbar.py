"""Colour bar of a printed figure: a colormap with its ends and middle marked."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from gradcam_cli.render.text.lettering import CAPITALS, size_of, text_width, write

if TYPE_CHECKING:
    import numpy.typing as npt

    Pixels = npt.NDArray[np.uint8]

_WIDTH, _TICK, _GAP = 0.1, 0.03, 0.025
"""In inches: the bar's width, a tick's length, and the gap from there to its number."""

_FRAME = 0.5  # points
_TYPE = 6.5  # points
_MARKS = ((1.0, "1"), (0.5, "0.5"), (0.0, "0"))


def bar_width(dpi: int) -> int:
    """Return the width in pixels of a bar and its numbers."""
    numbers = max(text_width(text, size_of(_TYPE, dpi)) for _, text in _MARKS)
    return sum(round(part * dpi) for part in (_WIDTH, _TICK, _GAP)) + numbers


def draw_bar(pixels: Pixels, table: Pixels, left: int, top: int, height: int, dpi: int) -> None:
    """Draw an upright bar, hot at its top, in a black frame, and its numbers 1, 0.5 and 0 to its right.

    Args:
        pixels: the canvas, uint8 RGB (H, W, 3), drawn onto in place.
        table: the colormap, uint8 RGB (256, 3).
        left: x of the frame, in pixels.
        top: y of the frame.
        height: including the frame, in pixels; the numbers stay within it.
        dpi: pixels per inch.
    """
    frame, width, tick = max(1, round(_FRAME / 72 * dpi)), round(_WIDTH * dpi), round(_TICK * dpi)
    bar = pixels[top : top + height, left : left + width]
    bar[:] = 0
    inner = bar[frame:-frame, frame:-frame]
    inner[:] = table[np.rint(np.linspace(255, 0, len(inner))).astype(np.uint8)][:, None]
    size = size_of(_TYPE, dpi)
    capitals = round(CAPITALS * size)
    for value, text in _MARKS:
        y = top + round((1 - value) * (height - frame))
        pixels[y : y + frame, left + width : left + width + tick] = 0
        # Centred on its tick, but not beyond the bar's ends.
        base = min(max(y + (frame + capitals) // 2, top + capitals), top + height)
        write(pixels, text, (left + width + tick + round(_GAP * dpi), base), size)
