"""The interface of a frame of moving pictures, the same for every medium."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from fractions import Fraction

    import numpy as np
    import numpy.typing as npt

    from gradcam_cli.records import Size
    from gradcam_cli.render.planes import Planes


class Frame(Protocol):
    """One frame of a source."""

    @property
    def size(self) -> Size:
        """(height, width)."""

    def rgb(self, size: Size | None = None) -> npt.NDArray[np.uint8]:
        """Return uint8 RGB (h, w, 3), resized with antialiasing when ``size`` is given."""

    @property
    def time(self) -> Fraction:
        """Seconds since the first frame."""

    @property
    def duration(self) -> Fraction:
        """Seconds it is shown."""

    @property
    def planes(self) -> Planes:
        """Planes y (H, W), u and v (H/2, W/2): uint8, yuv420p, BT.709, limited range; odd sides are padded by one."""
