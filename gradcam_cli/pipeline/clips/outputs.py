"""The outputs of a clip: what becomes of a frame and its map, by kind of result and by container."""

from __future__ import annotations

import functools
import math
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from gradcam_cli.media.image.read import resized
from gradcam_cli.pipeline.drawing import drawn, format_prediction
from gradcam_cli.render.colormap import colormap
from gradcam_cli.render.planes import (
    beside,
    colour_tables,
    grayscale_planes,
    heatmap_planes,
    over_bottom,
    overlay_planes,
    to_planes,
)
from gradcam_cli.render.text.caption import caption_strip

if TYPE_CHECKING:
    from fractions import Fraction

    import numpy.typing as npt

    from gradcam_cli.media.gif.write import GifWriter
    from gradcam_cli.media.video.planes import VideoFrame
    from gradcam_cli.media.video.write import VideoWriter
    from gradcam_cli.pipeline.clips.survey import Frame
    from gradcam_cli.pipeline.settings import ClipSettings
    from gradcam_cli.records import Prediction, Size
    from gradcam_cli.render.planes import Planes

    Pixels = npt.NDArray[np.uint8]


class VideoSink:
    """Writes one kind of result as a video, blending on the frames' own planes.

    Args:
        writer: open.
        kind: ``grayscale``, ``heatmap`` or ``overlay``.
        settings: how it looks.
        blank: whether nothing is to be seen in the whole clip; the overlay is then the source.
    """

    def __init__(self, writer: VideoWriter, kind: str, settings: ClipSettings, *, blank: bool) -> None:
        self._writer = writer
        self._kind = kind
        self._settings = settings
        self._alpha = 0.0 if blank else settings.render.alpha
        self._colours = colour_tables(colormap(settings.render.colormap))

    def draw(self, frame: VideoFrame, grayscale: Pixels, prediction: Prediction) -> tuple[Planes, Fraction, Fraction]:
        """Return the planes of a frame with its map, uint8 (H, W), its time and its duration."""
        height, width = frame.planes[0].shape
        if grayscale.shape != (height, width):
            grayscale = np.pad(grayscale, [(0, height - len(grayscale)), (0, width - grayscale.shape[1])], "edge")
        return self._drawn(frame.planes, grayscale, prediction), frame.time, frame.duration

    def write(self, drawn: tuple[Planes, Fraction, Fraction]) -> None:
        """Encode what was drawn."""
        self._writer.write(*drawn)

    def finish(self) -> None:
        """Encode what is held back."""
        self._writer.flush()

    def _drawn(self, planes: Planes, grayscale: Pixels, prediction: Prediction) -> Planes:
        if self._kind == "grayscale":
            return grayscale_planes(grayscale)
        if self._kind == "heatmap":
            return heatmap_planes(grayscale, self._colours)
        render = self._settings.render
        shown = overlay_planes(planes, grayscale, self._colours, alpha=self._alpha, by_intensity=render.by_intensity)
        if self._settings.side_by_side:
            shown = beside(planes, shown)
        if self._settings.caption:
            shown = over_bottom(shown, _strip_planes(shown[0].shape[1], format_prediction(prediction)))
        return shown


@functools.lru_cache(maxsize=256)
def _strip_planes(width: int, text: str) -> Planes:
    return to_planes(caption_strip(width, text))


class _GifFrame(NamedTuple):
    """A frame of a GIF: uint8 indices (H, W), RGB (H, W, 3) or nothing new, shown from ``time`` to ``end``."""

    pixels: Pixels | None
    time: Fraction
    end: Fraction


class GifSink:
    """Writes one kind of result as a GIF: maps with the colormap as their palette, exact; overlays quantised.

    Args:
        writer: open, for frames of ``size``, its palette the colormap's or grey levels.
        kind: ``grayscale``, ``heatmap`` or ``overlay``.
        size: (height, width) of the frames in the GIF, before one stands beside the other.
        settings: how it looks.
        blank: whether nothing is to be seen in the whole clip.
    """

    def __init__(self, writer: GifWriter, kind: str, size: Size, settings: ClipSettings, *, blank: bool) -> None:
        self._writer = writer
        self._kind = kind
        self._size = size
        self._settings = settings
        self._blank = blank
        self._step = 1 / settings.gif_fps if settings.gif_fps else None

    def draw(self, frame: Frame, grayscale: Pixels, prediction: Prediction) -> _GifFrame:
        """Return a frame with its map, uint8 (H, W), or without it where ``gif_fps`` leaves it out.

        A frame stands for the first tick that falls into it, so that a faster source is thinned out evenly.
        """
        end = frame.time + frame.duration
        time = frame.time if self._step is None else self._step * math.ceil(frame.time / self._step)
        if time >= end:
            return _GifFrame(None, time, end)
        grayscale = resized(grayscale, self._size)
        if self._kind in ("grayscale", "heatmap"):
            return _GifFrame(grayscale, time, end)
        text = format_prediction(prediction) if self._settings.caption else None
        return _GifFrame(drawn(frame.rgb(self._size), grayscale, text, self._settings, blank=self._blank), time, end)

    def write(self, drawn: _GifFrame) -> None:
        """Encode what was drawn."""
        if drawn.pixels is None:
            self._writer.extend(drawn.end)
        elif drawn.pixels.ndim == 2:
            self._writer.write_indexed(drawn.pixels, drawn.time, drawn.end - drawn.time)
        else:
            self._writer.write(drawn.pixels, drawn.time, drawn.end - drawn.time)

    def finish(self) -> None:
        """Do nothing: the frame that is held back is written with the file's end."""
