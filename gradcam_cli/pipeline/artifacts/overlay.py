"""The coloured map over the picture, optionally with a caption, optionally beside its source."""

from __future__ import annotations

import functools
from typing import TYPE_CHECKING

from gradcam_cli.media.image.encode import encode
from gradcam_cli.pipeline.artifacts.base import ClipArtifact
from gradcam_cli.render.colormap import colormap
from gradcam_cli.render.contours import draw_contours
from gradcam_cli.render.overlay import overlay
from gradcam_cli.render.panel import side_by_side
from gradcam_cli.render.planes import beside, colour_tables, over_bottom, overlay_planes, to_planes
from gradcam_cli.render.text.caption import caption, caption_strip

if TYPE_CHECKING:
    from gradcam_cli.pipeline.artifacts.base import Pixels
    from gradcam_cli.pipeline.explanation import Explanation
    from gradcam_cli.pipeline.frame import Frame
    from gradcam_cli.records import Prediction, Size
    from gradcam_cli.render.planes import Planes


def still(explanation: Explanation) -> bytes:
    """Return the content of a picture's file."""
    return encode(explanation.overlay, explanation.settings.format, quality=explanation.settings.quality)


class Overlay(ClipArtifact):
    """The overlay of a clip: blended on a video's own planes; quantised in GIFs."""

    def size(self, size: Size) -> Size:
        """Return the size of a frame, or of two beside each other."""
        return size[0], size[1] * (2 if self.settings.side_by_side else 1)

    @property
    def _alpha(self) -> float:
        """The heatmap's weight; 0 where the maps of the whole clip are blank, so that the overlay is the source."""
        return 0.0 if self.blank else self.settings.render.alpha

    def captioned(self, pixels: Pixels, grayscale: Pixels, text: str | None) -> Pixels:
        """Return the overlay of a picture, uint8 RGB of `size`.

        Args:
            pixels: the source, uint8 RGB (H, W, 3).
            grayscale: its map, uint8 (H, W).
            text: text of the caption, or None.
        """
        render = self.settings.render
        table = colormap(render.colormap)
        if render.contours:
            shown = pixels if self.blank else draw_contours(pixels, grayscale, render.contours, table)
        else:
            shown = overlay(pixels, grayscale, table, alpha=self._alpha, by_intensity=render.by_intensity)
        if self.settings.side_by_side:
            shown = side_by_side(pixels, shown, gap=0)
        return shown if text is None else caption(shown, text)

    def _text(self, prediction: Prediction) -> str | None:
        return prediction.caption if self.settings.caption else None

    def rgb(self, frame: Frame, size: Size, grayscale: Pixels, prediction: Prediction) -> Pixels:
        """Draw a frame as RGB."""
        return self.captioned(frame.rgb(size), grayscale, self._text(prediction))

    @functools.cached_property
    def _tables(self) -> Planes:
        return colour_tables(colormap(self.settings.render.colormap))

    def planes(self, frame: Frame, grayscale: Pixels, prediction: Prediction) -> Planes:
        """Draw a frame as planes."""
        if self.settings.render.contours:
            return super().planes(frame, grayscale, prediction)
        by_intensity = self.settings.render.by_intensity
        shown = overlay_planes(frame.planes, grayscale, self._tables, alpha=self._alpha, by_intensity=by_intensity)
        if self.settings.side_by_side:
            shown = beside(frame.planes, shown)
        text = self._text(prediction)
        return shown if text is None else over_bottom(shown, _strip_planes(shown[0].shape[1], text))


@functools.lru_cache(maxsize=256)
def _strip_planes(width: int, text: str) -> Planes:
    return to_planes(caption_strip(width, text))
