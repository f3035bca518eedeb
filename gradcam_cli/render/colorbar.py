"""A colour bar beside a picture, as high as that: a colormap from 0 to 1 in white on black, like captions."""

from __future__ import annotations

import functools
from typing import TYPE_CHECKING

import numpy as np

from gradcam_cli.render.colormap import colormap
from gradcam_cli.render.scale import MARKS
from gradcam_cli.render.text.lettering import CAPITALS, MEDIUM, WHITE, text_width, write

if TYPE_CHECKING:
    import numpy.typing as npt

    Pixels = npt.NDArray[np.uint8]

_TALLEST, _SMALLEST = 0.045, 9
"""Height of the letters: as a share of the picture's short side, and the least in pixels."""


@functools.lru_cache(maxsize=16)
def colorbar_strip(size: tuple[int, int], name: str) -> Pixels:
    """Return a colour bar with the marks 0, 0.5 and 1, hot at its top.

    The array is cached and read-only, so that calls for every frame are cheap.

    Args:
        size: (height, width) of the picture beside it, in pixels.
        name: of the colormap.

    Returns:
        uint8 RGB (height, w, 3), w even.
    """
    height = size[0]
    letters = max(_SMALLEST, round(_TALLEST * min(size)))
    gap, bar = max(2, letters // 2), letters
    widest = max(text_width(text, letters, MEDIUM) for _, text in MARKS)
    width = 2 * ((3 * gap + bar + widest + 1) // 2)
    strip = np.zeros((height, width, 3), np.uint8)
    top, bottom = min(gap, (height - 1) // 2), max(height - gap, (height + 1) // 2)
    levels = np.rint(np.linspace(255, 0, bottom - top)).astype(np.uint8)
    strip[top:bottom, gap : gap + bar] = colormap(name)[levels][:, None]
    capitals = round(CAPITALS * letters)
    shown = [MARKS[0], MARKS[-1]] if bottom - top < 4 * letters else MARKS
    for value, text in shown if bottom - top >= 2 * letters else ():
        base = min(max(top + round((1 - value) * (bottom - top)) + capitals // 2, top + capitals), bottom)
        write(strip, text, (2 * gap + bar, base), letters, WHITE, MEDIUM)
    strip.setflags(write=False)
    return strip
