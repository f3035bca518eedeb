"""The coloured map over the picture; on request beside its source, with a colour bar, and a caption below."""

from __future__ import annotations

import functools
from typing import TYPE_CHECKING

from gradcam_cli.media.image.encode import encode
from gradcam_cli.pipeline.artifacts.base import ClipArtifact
from gradcam_cli.render.colorbar import colorbar_strip
from gradcam_cli.render.colormap import colormap
from gradcam_cli.render.overlay import overlay
from gradcam_cli.render.panel import side_by_side
from gradcam_cli.render.planes import below, beside, colour_tables, overlay_planes, to_planes
from gradcam_cli.render.text.caption import caption, caption_height, caption_strip

if TYPE_CHECKING:
    from gradcam_cli.pipeline.artifacts.base import Pixels
    from gradcam_cli.pipeline.explanation import Explanation
    from gradcam_cli.pipeline.frame import Frame
    from gradcam_cli.pipeline.render_settings import RenderSettings
    from gradcam_cli.records import Prediction, Size
    from gradcam_cli.render.planes import Planes


def still(explanation: Explanation) -> bytes:
    """Return the content of a picture's file."""
    render = explanation.settings
    shown = _surrounded(explanation.pixels, explanation.overlay, render, explanation.target.caption)
    return encode(shown, render.format, quality=render.quality)


def _surrounded(source: Pixels, shown: Pixels, render: RenderSettings, text: str) -> Pixels:
    """Return an overlay, uint8 RGB (H, W, 3), with what the settings put around it."""
    size = source.shape[0], source.shape[1]
    if render.side_by_side:
        shown = side_by_side(source, shown, gap=0)
    if render.colorbar:
        shown = side_by_side(shown, colorbar_strip(size, render.colormap), gap=0)
    return caption(shown, text, size) if render.caption else shown


class Overlay(ClipArtifact):
    """The overlay of a clip: blended on a video's own planes; quantised in GIFs."""

    def size(self, size: Size) -> Size:
        """Return the size of a frame with what is around it."""
        render, (height, width) = self.settings.render, size
        across = 2 * width if render.side_by_side else width
        if render.colorbar:
            across += colorbar_strip(size, render.colormap).shape[1]
            across += across % 2
        return height + (caption_height(min(size)) if render.caption else 0), across

    def captioned(self, pixels: Pixels, grayscale: Pixels, text: str) -> Pixels:
        """Return the overlay of a picture, uint8 RGB of `size`.

        Args:
            pixels: the source, uint8 RGB (H, W, 3).
            grayscale: its map, uint8 (H, W).
            text: text of the caption, if there is to be one.
        """
        render = self.settings.render
        shown = pixels
        if not self.blank:
            shown = overlay(
                pixels, grayscale, colormap(render.colormap), alpha=render.alpha, by_intensity=render.by_intensity,
                contours=render.contours,
            )  # fmt: skip
        return _surrounded(pixels, shown, render, text)

    def rgb(self, frame: Frame, size: Size, grayscale: Pixels, prediction: Prediction) -> Pixels:
        """Draw a frame as RGB."""
        return self.captioned(frame.rgb(size), grayscale, prediction.caption)

    @functools.cached_property
    def _tables(self) -> Planes:
        return colour_tables(colormap(self.settings.render.colormap))

    def planes(self, frame: Frame, grayscale: Pixels, prediction: Prediction) -> Planes:
        """Draw a frame as planes."""
        render = self.settings.render
        if render.contours:
            return super().planes(frame, grayscale, prediction)
        size = grayscale.shape[0], grayscale.shape[1]
        shown = frame.planes
        if not self.blank:
            shown = overlay_planes(shown, grayscale, self._tables, alpha=render.alpha, by_intensity=render.by_intensity)
        if render.side_by_side:
            shown = beside(frame.planes, shown)
        if render.colorbar:
            shown = beside(shown, _bar_planes(size, render.colormap))
        if not render.caption:
            return shown
        return below(shown, _strip_planes(shown[0].shape[1], prediction.caption, min(size)))


@functools.lru_cache(maxsize=256)
def _strip_planes(width: int, text: str, short_side: int) -> Planes:
    return to_planes(caption_strip(width, text, short_side))


@functools.lru_cache(maxsize=16)
def _bar_planes(size: Size, name: str) -> Planes:
    return to_planes(colorbar_strip(size, name))
