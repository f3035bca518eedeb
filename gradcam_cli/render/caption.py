"""One line of text under or on a picture: white on black, so that no picture makes it unreadable."""

from __future__ import annotations

import functools
import re
from typing import TYPE_CHECKING

import cv2
import numpy as np

from gradcam_cli.text import printable

if TYPE_CHECKING:
    import numpy.typing as npt

    Pixels = npt.NDArray[np.uint8]

_TALLEST, _SMALLEST = 0.06, 10
"""Height of the letters: this share of the picture's short side, but no fewer pixels than these."""

_NARROWEST = 0.6
"""Text that is too long is made smaller, down to this share of its size; then it is cut."""

_ENDING = re.compile(r"(?:  | · )[^·]{1,12}$")
"""What a text that is cut keeps nevertheless: ``  81 %``."""

_WEIGHT = 500  # a little stronger than regular: thin strokes do not survive video compression
_SHADE = 0.3
"""What is left of the picture's light behind the text."""


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
    """Return one line of text, white on black, as wide as a picture; what does not fit becomes ``…``.

    The same array each time, read-only, so that it costs nothing to ask for it with every frame.

    Args:
        width: of the picture, in pixels.
        text: what to write; control characters appear escaped.
        short_side: of the picture in pixels, which decides on the letters' size; without it, ``width``.

    Returns:
        uint8 RGB (h, width, 3), h even.
    """
    letters = max(_SMALLEST, round(_TALLEST * (width if short_side is None else short_side)))
    height = round(letters * 1.7 / 2) * 2
    margin = letters // 2
    size, line = _fitting(printable(text.strip()), letters, max(1, width - 2 * margin))
    strip = np.zeros((height, width, 3), np.uint8)
    _draw(strip, line, (margin, round(height / 2 + size * 0.36)), size)
    strip.setflags(write=False)
    return strip


def _fitting(text: str, letters: int, room: int) -> tuple[int, str]:
    """Return the size in pixels, and how much of the text, so that it is at most ``room`` pixels wide."""
    least = max(_SMALLEST, round(letters * _NARROWEST))
    for size in range(letters, least - 1, -1):
        if _width(text, size) <= room:
            return size, text
    size = min(letters, least)
    found = _ENDING.search(text)
    ending = found[0] if found and _width(f"…{found[0]}", size) <= room else ""
    head = text[: len(text) - len(ending)]
    fits, fails = 0, len(head)
    while fails - fits > 1:
        middle = (fits + fails) // 2
        fits, fails = (middle, fails) if _width(_cut(head, middle, ending), size) <= room else (fits, middle)
    return size, _cut(head, fits, ending) if fits else ending.strip()


def _cut(head: str, count: int, ending: str) -> str:
    return f"{head[:count].rstrip()}…{ending}"


if hasattr(cv2, "FontFace"):  # OpenCV 5: outlines with nearly all of Unicode

    @functools.cache
    def _font() -> cv2.FontFace:
        """Return the built-in font."""
        return cv2.FontFace("sans")

    def _width(text: str, size: int) -> int:
        """Return the text's width in pixels."""
        _, _, width, _ = cv2.getTextSize((0, 0), text, (0, 0), _font(), size, _WEIGHT)
        return int(width)

    def _draw(strip: Pixels, text: str, origin: tuple[int, int], size: int) -> None:
        """Write white text; ``origin`` is the left end of the line that the letters stand on."""
        cv2.putText(strip, text, origin, (255, 255, 255), _font(), size, _WEIGHT)

else:  # strokes, for ASCII alone
    _HERSHEY_SIZE = 30.0  # pixels at scale 1, that letters look as large as the other font's

    def _ascii(text: str) -> str:
        return text.replace("…", "...").replace("·", "-").encode("ascii", "replace").decode()

    def _width(text: str, size: int) -> int:
        """Return the text's width in pixels."""
        (width, _), _ = cv2.getTextSize(_ascii(text), cv2.FONT_HERSHEY_SIMPLEX, size / _HERSHEY_SIZE, 1)
        return int(width)

    def _draw(strip: Pixels, text: str, origin: tuple[int, int], size: int) -> None:
        """Write white text; ``origin`` is the left end of the line that the letters stand on."""
        scale, thick = size / _HERSHEY_SIZE, max(1, round(size / 14))
        white = (255, 255, 255)
        cv2.putText(strip, _ascii(text), origin, cv2.FONT_HERSHEY_SIMPLEX, scale, white, thick, cv2.LINE_AA)
