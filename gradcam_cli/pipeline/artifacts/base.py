"""The base class of artifacts that draw the frames of a clip."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from gradcam_cli.render.planes import to_planes

if TYPE_CHECKING:
    import numpy.typing as npt

    from gradcam_cli.pipeline.frame import Frame
    from gradcam_cli.pipeline.settings import ClipSettings
    from gradcam_cli.records import Prediction, Size
    from gradcam_cli.render.planes import Planes

    Pixels = npt.NDArray[np.uint8]


class ClipArtifact:
    """Draws one kind of result, frame by frame, for one output. Several threads may draw at once, in any order.

    A subclass implements ``rgb``; one that does not need RGB also implements ``planes``, the format of videos.

    Args:
        settings: how the result is drawn.
        blank: whether the maps of the whole clip are blank.

    Attributes:
        coloured: whether the map is shown in colours, interpolated for that, and not as its grey levels.
    """

    coloured = True

    def __init__(self, settings: ClipSettings, *, blank: bool) -> None:
        self.settings = settings
        self.blank = blank

    @property
    def palette(self) -> Pixels | None:
        """The palette of the indices that ``rgb`` returns, uint8 RGB (256, 3); None where it returns colours."""
        return None

    def size(self, size: Size) -> Size:
        """Return the size (height, width) of the result for frames of ``size``."""
        return size

    def rgb(self, frame: Frame, size: Size, grayscale: Pixels, prediction: Prediction) -> Pixels:
        """Draw a frame.

        Args:
            frame: frame of the source.
            size: (height, width) to draw it at.
            grayscale: its map, uint8 of that size.
            prediction: the explained class.

        Returns:
            uint8 RGB (h, w, 3) of ``self.size(size)``, or indices (h, w) into the palette.
        """
        raise NotImplementedError

    def planes(self, frame: Frame, grayscale: Pixels, prediction: Prediction) -> Planes:
        """Draw a frame for a video.

        Args:
            frame: frame of the source.
            grayscale: its map, uint8 (H, W) of the frame's planes, whose sides are even.
            prediction: the explained class.

        Returns:
            Planes of ``self.size`` of the planes' size.
        """
        height, width = frame.size
        drawn = self.rgb(frame, frame.size, grayscale[:height, :width], prediction)
        drawn = drawn if self.palette is None else self.palette[drawn]
        full = self.size((grayscale.shape[0], grayscale.shape[1]))
        return to_planes(np.pad(drawn, [(0, full[0] - len(drawn)), (0, full[1] - drawn.shape[1]), (0, 0)], "edge"))
