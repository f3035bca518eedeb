"""The orientation of a video's frames: the display matrix, reduced to the eight right-angled ones."""

from __future__ import annotations

import struct
from dataclasses import dataclass
from typing import TYPE_CHECKING, cast

import cv2
import numpy as np
from av.sidedata.sidedata import Type

if TYPE_CHECKING:
    from collections.abc import Mapping

    import av
    import numpy.typing as npt
    from av.sidedata.sidedata import SideData

_BOTH = -1  # cv2.flip's code; 0 and 1 are one direction


@dataclass(frozen=True, slots=True)
class Turn:
    """What makes a picture upright: it is transposed first, then mirrored.

    Attributes:
        transposed: rows become columns.
        across: left and right change places.
        down: top and bottom change places.
    """

    transposed: bool = False
    across: bool = False
    down: bool = False

    def of(self, plane: npt.NDArray[np.uint8]) -> npt.NDArray[np.uint8]:
        """Return a plane (H, W) turned upright."""
        if self.transposed and self.across != self.down:  # one step instead of two
            way = cv2.ROTATE_90_CLOCKWISE if self.across else cv2.ROTATE_90_COUNTERCLOCKWISE
            return np.asarray(cv2.rotate(plane, way), np.uint8)
        if self.transposed:
            plane = np.asarray(cv2.transpose(plane), np.uint8)
        if self.across or self.down:
            plane = np.asarray(cv2.flip(plane, _BOTH if self.across == self.down else int(self.across)), np.uint8)
        return plane

    @property
    def words(self) -> str:
        """The turn in words; empty for none."""
        if self.transposed:
            way = "90° counterclockwise" if self.down else "90° clockwise"
            return way if self.across != self.down else f"{way} and mirrored"
        if self.across and self.down:
            return "180°"
        return "mirrored" if self.across else "flipped top to bottom" if self.down else ""


def turn_of(frame: av.VideoFrame) -> Turn:
    """Return the turn that a frame's display matrix asks for, at right angles the nearest one."""
    matrix = cast("Mapping[Type, SideData]", frame.side_data).get(Type.DISPLAYMATRIX)
    if matrix is None:
        return Turn()
    # x' = a x + c y, y' = b x + d y; the other numbers move and project, which players ignore.
    a, b, _, c, d = struct.unpack_from("=5i", matrix)
    if abs(a) + abs(d) >= abs(b) + abs(c):
        return Turn(across=a < 0, down=d < 0)
    return Turn(transposed=True, across=c < 0, down=b < 0)
