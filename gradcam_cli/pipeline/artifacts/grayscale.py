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
    """Return the file for a picture."""
    return explanation.encoded


class Grayscale(ClipArtifact):
    """The same for clips: in GIFs exact, by a palette of grey levels."""

    @property
    def palette(self) -> Pixels:
        """Grey levels."""
        return grey_levels()

    def rgb(self, frame: Frame, size: Size, grayscale: Pixels, prediction: Prediction) -> Pixels:
        """Return the map: it is the palette's indices."""
        return grayscale

    def planes(self, frame: Frame, grayscale: Pixels, prediction: Prediction) -> Planes:
        """Return the map as planes."""
        return grayscale_planes(grayscale)
