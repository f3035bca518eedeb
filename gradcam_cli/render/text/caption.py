"""One line of text under or on a picture: white on black, to be readable on every picture."""

from __future__ import annotations

import functools
from typing import TYPE_CHECKING

import cv2
import numpy as np

from gradcam_cli.render.text.lettering import MEDIUM, WHITE, fitted, write
from gradcam_cli.text import printable

if TYPE_CHECKING:
    import numpy.typing as npt

    Pixels = npt.NDArray[np.uint8]

_TALLEST, _SMALLEST = 0.06, 10
"""Height of the letters: as a share of the picture's short side, and the least in pixels."""

_NARROWEST = 0.6
"""Text that is too long is made smaller, down to this share of its size; then it is cut."""

_WEIGHT = MEDIUM  # a little stronger than regular: thin strokes do not survive video compression
_SHADE = 0.3
"""Share of the picture's brightness that remains behind the text."""


def caption(pixels: Pixels, text: str) -> Pixels:
    """Return the picture with one line of text over its lower edge, which is darkened for it.

    Args:
        pixels: uint8 RGB (H, W, 3).
        text: of any language that the font has; OpenCV before 5 has ASCII only, and shows the rest as ``?``.

    Returns:
        uint8 RGB (H, W, 3), a new array; unchanged where the picture is too small for letters.
    """
    height, width = pixels.shape[:2]
    strip = caption_strip(width, text, min(height, width))
    captioned = pixels.copy()
    if len(strip) <= height // 2:
        place = captioned[height - len(strip) :]
        cv2.addWeighted(place, _SHADE, strip, 1.0, 0, dst=place)  # saturates
    return captioned


@functools.lru_cache(maxsize=64)
def caption_strip(width: int, text: str, short_side: int | None = None) -> Pixels:
    """Return one line of text, white on black, as wide as a picture; text that does not fit is cut with ``…``.

    The array is cached and read-only, so that calls for every frame are cheap.

    Args:
        width: of the picture, in pixels.
        text: what to write; control characters appear escaped.
        short_side: of the picture in pixels, which determines the letters' size; without it, ``width``.

    Returns:
        uint8 RGB (h, width, 3), h even.
    """
    letters = max(_SMALLEST, round(_TALLEST * (width if short_side is None else short_side)))
    height = round(letters * 1.7 / 2) * 2
    margin = letters // 2
    least = max(_SMALLEST, round(letters * _NARROWEST))
    size, line = fitted(printable(text.strip()), letters, least, max(1, width - 2 * margin), _WEIGHT)
    strip = np.zeros((height, width, 3), np.uint8)
    write(strip, line, (margin, round(height / 2 + size * 0.36)), size, WHITE, _WEIGHT)
    strip.setflags(write=False)
    return strip
