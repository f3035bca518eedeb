"""One line of text below a picture, white on black."""

from __future__ import annotations

import functools
from typing import TYPE_CHECKING

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


def caption(pixels: Pixels, text: str, size: tuple[int, int] | None = None) -> Pixels:
    """Return the picture with one line of text below it: what it shows stays uncovered.

    Args:
        pixels: uint8 RGB (H, W, 3).
        text: of any language that the font has; OpenCV before 5 has ASCII only, and shows the rest as ``?``.
        size: (height, width) of the picture that determines the letters' size; without it, the picture's own.

    Returns:
        uint8 RGB (H + h, W, 3), a new array.
    """
    height, width = pixels.shape[:2]
    return np.vstack([pixels, caption_strip(width, text, min(size or (height, width)))])


def caption_height(short_side: int) -> int:
    """Return the height of a caption for a picture with this short side, even, in pixels."""
    return round(_letters(short_side) * 1.7 / 2) * 2


def _letters(short_side: int) -> int:
    return max(_SMALLEST, round(_TALLEST * short_side))


@functools.lru_cache(maxsize=64)
def caption_strip(width: int, text: str, short_side: int) -> Pixels:
    """Return one line of text, white on black, as wide as a picture; text that does not fit is cut with ``…``.

    The array is cached and read-only, so that calls for every frame are cheap.

    Args:
        width: of the picture, in pixels.
        text: what to write; control characters appear escaped.
        short_side: of the picture in pixels, which determines the letters' size.

    Returns:
        uint8 RGB (h, width, 3), h even.
    """
    letters, height = _letters(short_side), caption_height(short_side)
    margin = letters // 2
    least = max(_SMALLEST, round(letters * _NARROWEST))
    size, line = fitted(printable(text.strip()), letters, least, max(1, width - 2 * margin), _WEIGHT)
    strip = np.zeros((height, width, 3), np.uint8)
    write(strip, line, (margin, round(height / 2 + size * 0.36)), size, WHITE, _WEIGHT)
    strip.setflags(write=False)
    return strip
