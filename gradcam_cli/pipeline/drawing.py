"""An overlay and its caption as pictures have them: for frames of GIFs, sweeps and comparisons."""

from __future__ import annotations

from typing import TYPE_CHECKING

from gradcam_cli.render.colormap import colormap
from gradcam_cli.render.overlay import overlay
from gradcam_cli.render.panel import side_by_side
from gradcam_cli.render.text.caption import caption

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

    from gradcam_cli.pipeline.settings import ClipSettings
    from gradcam_cli.records import Prediction, Size

    Pixels = npt.NDArray[np.uint8]


def format_prediction(prediction: Prediction) -> str:
    """Return what a caption says: ``tabby  81%``."""
    return f"{prediction.label}  {prediction.probability:.0%}"


def shown_size(size: Size, kind: str, settings: ClipSettings) -> Size:
    """Return the size (height, width) of a result for frames of ``size``."""
    doubled = kind == "overlay" and settings.side_by_side
    return size[0], size[1] * (2 if doubled else 1)


def drawn(pixels: Pixels, grayscale: Pixels, text: str | None, settings: ClipSettings, *, blank: bool) -> Pixels:
    """Return an overlay as the settings want it, uint8 RGB.

    Args:
        pixels: the source, uint8 RGB (H, W, 3).
        grayscale: its map, uint8 (H, W).
        text: of the caption, or None.
        settings: how it looks.
        blank: whether nothing is to be seen; the overlay is then the source.
    """
    render = settings.render
    alpha = 0.0 if blank else render.alpha
    shown = overlay(pixels, grayscale, colormap(render.colormap), alpha=alpha, by_intensity=render.by_intensity)
    if settings.side_by_side:
        shown = side_by_side(pixels, shown, gap=0)
    return shown if text is None else caption(shown, text)
