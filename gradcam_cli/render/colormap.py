"""Colormaps by name: OpenCV's, as tables of 256 colours.

The names are listed here so that they are known without OpenCV; a test compares the list with the library.
"""

from __future__ import annotations

import difflib
import functools
from typing import TYPE_CHECKING

from gradcam_cli.errors import UsageError

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

COLORMAPS = (
    "autumn", "bone", "cividis", "cool", "deepgreen", "hot", "hsv", "inferno", "jet", "magma", "ocean", "parula",
    "pink", "plasma", "rainbow", "spring", "summer", "turbo", "twilight", "twilight_shifted", "viridis", "winter",
)  # fmt: skip


def check_colormap(name: str) -> str:
    """Return the canonical name of a colormap; case and ``-`` for ``_`` do not matter.

    Raises:
        UsageError: there is no colormap of that name; close matches are suggested.
    """
    canonical = name.strip().lower().replace("-", "_")
    if canonical in COLORMAPS:
        return canonical
    close = difflib.get_close_matches(canonical, COLORMAPS, 3, 0.5)
    hint = f"did you mean {', '.join(close)}?" if close else f"choose one of {', '.join(COLORMAPS)}"
    raise UsageError(f"there is no colormap '{name}'", hint)


@functools.cache
def colormap(name: str) -> npt.NDArray[np.uint8]:
    """Return a colormap as uint8 RGB (256, 3), from cold to hot.

    Args:
        name: one of ``COLORMAPS``.
    """
    import cv2
    import numpy as np

    ramp = np.arange(256, dtype=np.uint8)[:, None]
    coloured = cv2.applyColorMap(ramp, getattr(cv2, f"COLORMAP_{name.upper()}"))
    table: npt.NDArray[np.uint8] = np.ascontiguousarray(coloured[:, 0, ::-1])
    table.setflags(write=False)
    return table


@functools.cache
def grey_levels() -> npt.NDArray[np.uint8]:
    """Return black to white as a colormap, uint8 RGB (256, 3)."""
    import numpy as np

    table = np.repeat(np.arange(256, dtype=np.uint8)[:, None], 3, axis=1)
    table.setflags(write=False)
    return table
