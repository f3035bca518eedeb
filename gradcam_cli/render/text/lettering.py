"""Text on pictures: measuring its width, fitting it into a line, and drawing it.

A size is a number of pixels as in OpenCV 5: capitals are three quarters of it high, and descenders are a quarter deep.
OpenCV before 5 has stroke fonts of ASCII only, drawn to the same measure; other characters become ``?``.
"""

from __future__ import annotations

import functools
import re
from typing import TYPE_CHECKING

import cv2

from gradcam_cli.render.text.shortening import cut

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

    Pixels = npt.NDArray[np.uint8]
    Ink = tuple[int, int, int]

BLACK: Ink = (0, 0, 0)
WHITE: Ink = (255, 255, 255)

REGULAR, MEDIUM = 400, 500
"""Weights of the strokes."""

CAPITALS = 0.75
"""Height of the capitals as a share of the size."""

_ENDING = re.compile(r"(?:  | · )[^·]{1,12}$| [<>]?\d[\d.]* %$")
"""Ending that is kept when a text is cut: ``  81 %``."""


def fitted(text: str, largest: int, least: int, room: int, weight: int = REGULAR) -> tuple[int, str]:
    """Return the size and the text, cut if necessary, that fit into one line of ``room`` pixels.

    The size is reduced first; a text too long at the least size is cut, with ``…`` for the part left out.
    """
    for size in range(largest, least - 1, -1):
        if text_width(text, size, weight) <= room:
            return size, text
    size = min(largest, least)
    return size, shortened(text, size, room, weight)


def shortened(text: str, size: int, room: int, weight: int = REGULAR) -> str:
    """Return the text, its middle or end left out so that it is at most ``room`` pixels wide.

    A short ending after ``·`` or two spaces, or a percentage, is kept; alone, where there is no room for more.
    """

    def fits(line: str) -> bool:
        return text_width(line, size, weight) <= room

    if fits(text):
        return text
    line, ending = cut(text, _ENDING, fits)
    return line or ending.strip()


if hasattr(cv2, "FontFace"):  # OpenCV 5: outlines with nearly all of Unicode

    @functools.cache
    def _font() -> cv2.FontFace:
        """Return the built-in font."""
        return cv2.FontFace("sans")

    def text_width(text: str, size: int, weight: int = REGULAR) -> int:
        """Return the text's width in pixels."""
        _, _, width, _ = cv2.getTextSize((0, 0), text, (0, 0), _font(), size, weight)
        return int(width)

    def write(
        pixels: Pixels, text: str, origin: tuple[int, int], size: int, ink: Ink = BLACK, weight: int = REGULAR
    ) -> None:
        """Write a line onto a picture, uint8 RGB (H, W, 3), in place; parts outside it are lost.

        Args:
            pixels: the picture.
            text: without line breaks.
            origin: (x, y) of the left end of the line that the letters stand on.
            size: in pixels.
            ink: RGB, 0 to 255.
            weight: of the strokes, ``REGULAR`` or ``MEDIUM``.
        """
        cv2.putText(pixels, text, origin, ink, _font(), size, weight)

else:  # strokes, for ASCII alone
    _HERSHEY_SIZE = 30.0  # pixels at scale 1, so that letters look as large as in OpenCV 5's font
    _LOOKALIKES = str.maketrans({"…": "...", "·": "-", "×": "x", "−": "-", "–": "-"})

    def _stroked(text: str, size: int, weight: int) -> tuple[str, int, float, int]:
        """Return OpenCV's parameters for a text: ASCII, font, scale, thickness."""
        plain = text.translate(_LOOKALIKES).encode("ascii", "replace").decode()
        thickness = max(1, round(size * weight / 7000))
        return plain, cv2.FONT_HERSHEY_SIMPLEX, size / _HERSHEY_SIZE, thickness

    def text_width(text: str, size: int, weight: int = REGULAR) -> int:
        """Return the text's width in pixels."""
        (width, _), _ = cv2.getTextSize(*_stroked(text, size, weight))
        return int(width) if text else 0  # no text would be as wide as a stroke

    def write(
        pixels: Pixels, text: str, origin: tuple[int, int], size: int, ink: Ink = BLACK, weight: int = REGULAR
    ) -> None:
        """Write a line onto a picture, uint8 RGB (H, W, 3), in place; the arguments are the other ``write``'s."""
        plain, font, scale, thickness = _stroked(text, size, weight)
        cv2.putText(pixels, plain, origin, font, scale, ink, thickness, cv2.LINE_AA)
