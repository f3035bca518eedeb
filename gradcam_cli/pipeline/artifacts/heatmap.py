"""The map in the colours of a colormap."""

from __future__ import annotations

from functools import cached_property
from typing import TYPE_CHECKING

from gradcam_cli.media.image.encode import encode, with_palette
from gradcam_cli.pipeline.artifacts.base import ClipArtifact
from gradcam_cli.render.colormap import colormap
from gradcam_cli.render.planes import colour_tables, heatmap_planes

if TYPE_CHECKING:
    from gradcam_cli.pipeline.artifacts.base import Pixels
    from gradcam_cli.pipeline.explanation import Explanation
    from gradcam_cli.pipeline.frame import Frame
    from gradcam_cli.records import Prediction, Size
    from gradcam_cli.render.planes import Planes


def still(explanation: Explanation) -> bytes:
    """Return the content of a picture's file; where the network saw the whole picture, the colours are a palette."""
    settings = explanation.settings
    if explanation.geometry.sees_all:
        table = colormap(settings.colormap)
        if settings.format == "png" and explanation.shown is explanation.grayscale:
            return with_palette(explanation.encoded, table)
        return encode(explanation.shown, settings.format, table, settings.quality)
    return encode(explanation.heatmap, settings.format, quality=settings.quality)


class Heatmap(ClipArtifact):
    """The coloured map of a clip; exact in GIFs, whose palette is the colormap."""

    @property
    def palette(self) -> Pixels:
        """The colormap."""
        return colormap(self.settings.render.colormap)

    @cached_property
    def _tables(self) -> Planes:
        return colour_tables(self.palette)

    def rgb(self, frame: Frame, size: Size, grayscale: Pixels, prediction: Prediction) -> Pixels:
        """Return the map: its values are the palette's indices."""
        return grayscale

    def planes(self, frame: Frame, grayscale: Pixels, prediction: Prediction) -> Planes:
        """Return the coloured map as planes."""
        return heatmap_planes(grayscale, self._tables)
