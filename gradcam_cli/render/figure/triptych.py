"""The figure of one explanation: source, heatmap and overlay beside each other, with the class and a colour bar."""

from __future__ import annotations

from typing import TYPE_CHECKING

from gradcam_cli.render.figure.content import Figure, Panel
from gradcam_cli.render.figure.draw import page

if TYPE_CHECKING:
    from matplotlib.figure import Figure as Page

    from gradcam_cli.records import Size
    from gradcam_cli.render.figure.content import Pixels

NARROWEST, WIDEST, HIGHEST = 240, 1024, 2048
"""Least and greatest width, and greatest height, of a panel in pixels."""

_INCHES = 6.3
"""Width of the three panels on paper; the type keeps its size in points there."""

_LEAST_DPI = 100


def panel_size(size: Size) -> Size:
    """Return the size (height, width) of the panels for a picture: its own, if it is neither tiny nor huge."""
    scale = min(max(1.0, NARROWEST / size[1]), WIDEST / size[1], HIGHEST / size[0])
    return max(1, round(size[0] * scale)), max(1, round(size[1] * scale))


def triptych(
    source: Pixels, heatmap: Pixels, overlay: Pixels, *, title: str, caption: str, table: Pixels, scale: str
) -> Page:
    """Lay out the three pictures, uint8 RGB (H, W, 3) of one size, and return a `matplotlib.figure.Figure`.

    Args:
        source: the picture.
        heatmap: the map in colours.
        overlay: both.
        title: the class with its probability.
        caption: below the heatmap: how the map was made.
        table: the colormap, uint8 RGB (256, 3).
        scale: text of the colour bar.
    """
    panels = Panel(source, "Input"), Panel(heatmap, "Map", (caption,)), Panel(overlay, "Overlay")
    return page(Figure(title, (panels,), ("",), table, scale=scale), dpi=max(_LEAST_DPI, 3 * source.shape[1] / _INCHES))
