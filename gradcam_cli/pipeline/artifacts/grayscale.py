"""The map as grey levels."""

from __future__ import annotations

from typing import TYPE_CHECKING

from gradcam_cli.pipeline.artifacts.base import ClipArtifact
from gradcam_cli.render.colormap import grey_levels
from gradcam_cli.render.planes import grayscale_planes

if TYPE_CHECKING:
    from gradcam_cli.pipeline.artifacts.base import Pixels
    from gradcam_cli.pipeline.explanation import Explanation
    from gradcam_cli.pipeline.frame import Frame
    from gradcam_cli.records import Prediction, Size
    from gradcam_cli.render.planes import Planes


def still(explanation: Explanation) -> bytes:
    """Return the content of a picture's file."""
    return explanation.encoded


class Grayscale(ClipArtifact):
    """The map of a clip as grey levels; exact in GIFs, by a palette."""

    coloured = False

    @property
    def palette(self) -> Pixels:
        """Grey levels."""
        return grey_levels()

    def rgb(self, frame: Frame, size: Size, grayscale: Pixels, prediction: Prediction) -> Pixels:
        """Return the map: its values are the palette's indices."""
        return grayscale

    def planes(self, frame: Frame, grayscale: Pixels, prediction: Prediction) -> Planes:
        """Return the map as planes."""
        return grayscale_planes(grayscale)
