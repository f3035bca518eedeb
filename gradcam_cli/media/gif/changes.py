"""What changes from frame to frame in a GIF, and what may stay because the difference is not visible.

A GIF's size is that of the changes, and of the ends of runs of equal pixels. Both are saved where the error stays
within `NEAR` levels; tests/benchmarks/README.md has the measurements.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import cv2
import numpy as np

if TYPE_CHECKING:
    import numpy.typing as npt

    from gradcam_cli.records import Size

    Pixels = npt.NDArray[np.uint8]

NEAR = 6
"""Levels of red, green and blue within which a colour may stay what it was."""


class Canvas:
    """What a viewer sees of a GIF up to now.

    Args:
        size: (height, width) of the frames.
    """

    def __init__(self, size: Size) -> None:
        self._size = size
        self._shown: npt.NDArray[np.uint8] | npt.NDArray[np.uint32] | None = None
        self._meant: Pixels | None = None

    def changes(self, indices: Pixels, palette: Pixels, pixels: Pixels | None = None) -> npt.NDArray[np.bool_]:
        """Return which pixels of a frame (H, W) have to be drawn, and take them for drawn.

        A pixel stays where its colour is the same. Where ``pixels`` are given it also stays while they are within
        `NEAR` levels of those that it was drawn for, so that errors do not add up.

        Args:
            indices: uint8 (H, W).
            palette: uint8 RGB (256, 3); without ``pixels`` that of all frames.
            pixels: uint8 RGB (H, W, 3), which the indices stand for.
        """
        if indices.shape != self._size:
            raise ValueError(f"a frame of {indices.shape} pixels in a GIF of {self._size}")
        wanted = indices if pixels is None else _packed(palette)[indices]
        if self._shown is None:
            self._shown, self._meant = wanted.copy(), None if pixels is None else pixels.copy()
            return np.ones(self._size, np.bool_)
        changed: npt.NDArray[np.bool_] = wanted != self._shown
        if pixels is not None and self._meant is not None:
            changed &= ~_near(pixels, self._meant) | _is_pure(pixels)
            np.copyto(self._meant, pixels, where=changed[..., np.newaxis])
        np.copyto(self._shown, wanted, where=changed)
        return changed


def in_runs(indices: Pixels, palette: Pixels, pixels: Pixels) -> Pixels:
    """Return a frame's indices in longer runs: along a row, a colour goes on while it is within `NEAR` levels.

    Args:
        indices: uint8 (H, W).
        palette: uint8 RGB (256, 3).
        pixels: uint8 RGB (H, W, 3), which the indices stand for.
    """
    found = indices.T.copy()  # columns, one after the other: each is a step along all rows
    columns = np.ascontiguousarray(pixels.transpose(1, 0, 2))
    mixed = ~_is_pure(columns)
    for before, here, meant, free in zip(found, found[1:], columns[1:], mixed[1:], strict=False):
        near = _near(meant[:, np.newaxis], palette[before][:, np.newaxis])[:, 0]
        np.copyto(here, before, where=near & free)
    return np.ascontiguousarray(found.T)


def _packed(palette: Pixels) -> npt.NDArray[np.uint32]:
    """Return a palette's colours (256, 3) as numbers (256,), which are compared at once."""
    return np.asarray(palette.astype(np.uint32) @ np.array([1 << 16, 1 << 8, 1], np.uint32), np.uint32)


def _is_pure(pixels: Pixels) -> npt.NDArray[np.bool_]:
    """Return where pixels (H, W, 3) are black or white (H, W): a ground of them shows any other colour."""
    white = cv2.inRange(pixels, (255, 255, 255), (255, 255, 255))
    return np.asarray(cv2.bitwise_or(white, cv2.inRange(pixels, (0, 0, 0), (0, 0, 0)))).view(np.bool_)


def _near(one: Pixels, other: Pixels) -> npt.NDArray[np.bool_]:
    """Return where pixels (H, W, 3) differ by at most `NEAR` levels: (H, W)."""
    return np.asarray(cv2.inRange(cv2.absdiff(one, other), (0, 0, 0), (NEAR, NEAR, NEAR))).view(np.bool_)
