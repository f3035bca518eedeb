"""Heatmaps and overlays: a map in colours, alone or blended with the picture."""

from __future__ import annotations

from typing import TYPE_CHECKING

import cv2
import numpy as np

from gradcam_cli.render.contours import draw_contours

if TYPE_CHECKING:
    from collections.abc import Sequence

    import numpy.typing as npt

    from gradcam_cli.records import Unseen

    Pixels = npt.NDArray[np.uint8]
    Box = tuple[int, int, int, int]

STRIP = 64
"""Rows blended at a time; their intermediate values then stay in the processor's cache."""

_UNSEEN: dict[Unseen, tuple[float, float, float]] = {"light": (0.3, 165.0, -22.0), "dark": (0.35, 0.0, 40.0)}
"""Of pixels outside the network's input: the share of their grey that is kept, what is added to it, and to lines."""

_HATCH = 12
"""Distance in pixels of these lines."""


def heatmap(grayscale: Pixels, table: Pixels) -> Pixels:
    """Colour a map: uint8 (H, W) through a colormap (256, 3) to RGB (H, W, 3)."""
    # The table is in RGB order, and so is the result.
    return np.asarray(cv2.applyColorMap(grayscale, table[:, None]), np.uint8)


def overlay(
    pixels: Pixels,
    grayscale: Pixels,
    table: Pixels,
    *,
    alpha: float = 0.5,
    by_intensity: bool = False,
    contours: Sequence[float] = (),
) -> Pixels:
    """Blend the coloured map over the picture: (1 − weight)·picture + weight·heatmap, in float, rounded once.

    Or draw lines at levels of the map on the picture instead.

    Args:
        pixels: uint8 RGB (H, W, 3).
        grayscale: the map, uint8 (H, W).
        table: colormap, uint8 RGB (256, 3).
        alpha: the heatmap's weight in [0, 1].
        by_intensity: the weight is ``alpha`` times the map itself, so that cold regions stay as they are.
        contours: levels in (0, 1) of the lines.

    Returns:
        uint8 RGB (H, W, 3).
    """
    if contours:
        return draw_contours(pixels, grayscale, contours, table)
    blended = np.empty(pixels.shape, np.uint8)
    for top in range(0, len(pixels), STRIP):
        rows = slice(top, top + STRIP)
        hot = heatmap(grayscale[rows], table)
        if not by_intensity:
            cv2.addWeighted(pixels[rows], 1 - alpha, hot, alpha, 0, dst=blended[rows])
            continue
        weight = cv2.cvtColor(grayscale[rows], cv2.COLOR_GRAY2RGB).astype(np.float32)
        weight *= np.float32(alpha / 255)
        picture = pixels[rows].astype(np.float32)
        picture += weight * (hot.astype(np.float32) - picture)
        blended[rows] = np.rint(picture)
    return blended


def mark_unseen(picture: Pixels, seen: Box, look: Unseen = "light") -> Pixels:
    """Return the picture with the area outside ``seen``, which the network did not see, made pale or dark and hatched.

    Args:
        picture: uint8 RGB (H, W, 3).
        seen: (left, top, right, bottom) in pixels.
        look: whether that area is pale or dark.
    """
    height, width = picture.shape[:2]
    left, top, right, bottom = seen
    kept, added, line = _UNSEEN[look]
    marked = picture.copy()
    for rows, columns in (
        (slice(0, top), slice(0, width)),
        (slice(bottom, height), slice(0, width)),
        (slice(top, bottom), slice(0, left)),
        (slice(top, bottom), slice(right, width)),
    ):
        part = marked[rows, columns]
        if part.size:
            grey = part.mean(axis=2, keepdims=True) * kept + added
            lines = np.arange(rows.start, rows.start + len(part))[:, None] + np.arange(part.shape[1]) + columns.start
            part[:] = np.rint(grey + line * (lines % _HATCH == 0)[:, :, None])
    return marked
