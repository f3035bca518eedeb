"""A figure drawn by matplotlib: type as type, lines as lines, pictures as pictures, in pixels, PDF and SVG."""

from __future__ import annotations

import base64
import io
import re
import threading
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import matplotlib as mpl
import numpy as np
from fontTools import subset
from fontTools.ttLib import TTFont
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.backends.backend_pdf import FigureCanvasPdf
from matplotlib.backends.backend_svg import FigureCanvasSVG
from matplotlib.figure import Figure as Page
from matplotlib.font_manager import FontProperties, findfont
from matplotlib.lines import Line2D
from matplotlib.patches import Rectangle

from gradcam_cli.render.figure.fonts import OWN, font
from gradcam_cli.render.figure.layout import DPI, Layout
from gradcam_cli.render.scale import MARKS

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    import numpy.typing as npt

    from gradcam_cli.render.figure.content import Figure
    from gradcam_cli.render.figure.layout import Text

    Pixels = npt.NDArray[np.uint8]

_FRAME = 0.5  # points
_HAIR = 1e-3  # dots

_RULES = {
    "pdf.fonttype": 42,  # TrueType: selectable, and journals refuse type 3
    "pdf.compression": 6,
    "svg.fonttype": "none",  # text stays text
    "svg.hashsalt": "gradcam",  # otherwise names of clip paths are random
    "svg.image_inline": True,
    "text.usetex": False,
    "path.simplify": False,
}

_LOCK = threading.Lock()


@contextmanager
def _own_settings(drawn: Page | None = None) -> Iterator[None]:
    """Draw with matplotlib's defaults and `_RULES`, whatever the user's own settings are; those are the process's.

    A page keeps its resolution: matplotlib's writers of PDF and SVG leave it at 72 dots per inch.
    """
    with _LOCK, mpl.rc_context():
        mpl.rcdefaults()
        mpl.rcParams.update(_RULES)
        dpi = 0.0 if drawn is None else drawn.dpi
        try:
            yield
        finally:
            if drawn is not None:
                drawn.dpi = dpi


def page(figure: Figure, *, width: int | None = None, dpi: float = DPI) -> Page:
    """Lay a figure out and return it as a `matplotlib.figure.Figure`, whose pixels at ``dpi`` are the pictures' own.

    Args:
        figure: with panels of `layout.panel_sizes`.
        width: of the figure in pixels; None is as wide as its content.
        dpi: pixels per inch.
    """
    plan = Layout(figure, width, dpi)
    height, across = plan.size
    with _own_settings():
        drawn = Page(figsize=(across / dpi, height / dpi), dpi=dpi, facecolor="white", edgecolor="none")
        pictures = [*([figure.source] if figure.source else []), *(panel for row in figure.rows for panel in row)]
        for picture, (left, top) in zip(pictures, plan.pictures, strict=True):
            high, wide = picture.pixels.shape[:2]
            _place(drawn, picture.pixels, (left, top, left + wide, top + high), plan.size)
        _draw_bar(drawn, figure.table, plan)
        for text in plan.texts:
            _write(drawn, text, plan.size, dpi)
    return drawn


def pixels(drawn: Page) -> Pixels:
    """Return a page's pixels, uint8 RGB (H, W, 3), at its own resolution."""
    with _own_settings(drawn):
        canvas = FigureCanvasAgg(drawn)
        canvas.draw()
        return np.ascontiguousarray(np.asarray(canvas.buffer_rgba())[..., :3])


def as_pdf(drawn: Page, about: Mapping[str, str]) -> bytes:
    """Return a page as PDF; equal pages give equal bytes.

    Args:
        drawn: the page.
        about: entries of its properties: Title, Subject, Keywords, Creator.
    """
    named: dict[str, Any] = {"Creator": None, "Producer": None, "CreationDate": None, **about}
    buffer = io.BytesIO()
    with _own_settings(drawn):
        FigureCanvasPdf(drawn).print_pdf(buffer, metadata=named)
    return buffer.getvalue()


def as_svg(drawn: Page, about: Mapping[str, str]) -> bytes:
    """Return a page as SVG, with the font's used part inside; equal pages give equal bytes.

    Args:
        drawn: the page.
        about: entries of its properties, as `as_pdf` takes them.
    """
    named: dict[str, Any] = {"Date": None, "Creator": None, "Format": "image/svg+xml", "Type": None}
    names = {"Title": "Title", "Subject": "Description", "Keywords": "Keywords", "Creator": "Creator"}
    named |= {names[key]: [value] if key == "Keywords" else value for key, value in about.items()}
    buffer = io.StringIO()
    with _own_settings(drawn):
        FigureCanvasSVG(drawn).print_svg(buffer, metadata=named)
    return _with_font(buffer.getvalue()).encode()


def _place(drawn: Page, picture: Pixels, box: tuple[int, int, int, int], size: tuple[int, int]) -> None:
    """Put a picture, uint8 RGB (h, w, 3), into a box (left, top, right, bottom) of a page, all in dots.

    The box is a hair smaller, since versions of matplotlib take 455.0000001 dots for 456.
    """
    (left, top, right, bottom), (height, width) = box, size
    across, high = (right - left - 2 * _HAIR) / width, (bottom - top - 2 * _HAIR) / height
    axes = drawn.add_axes(((left + _HAIR) / width, 1 - (bottom - _HAIR) / height, across, high))
    axes.set_axis_off()
    axes.imshow(picture, aspect="auto", interpolation="none", resample=False)


def _draw_bar(drawn: Page, table: Pixels, plan: Layout) -> None:
    """Draw an upright bar, hot at its top, in a black frame, with ticks at its right."""
    left, top, right, bottom = plan.bar
    height, width = plan.size
    _place(drawn, np.repeat(table[::-1, None], 2, axis=1), plan.bar, plan.size)
    frame = (left / width, 1 - bottom / height), (right - left) / width, (bottom - top) / height
    place: dict[str, Any] = {"transform": drawn.transFigure, "linewidth": _FRAME, "clip_on": False}
    drawn.add_artist(Rectangle(*frame, fill=False, edgecolor="black", zorder=3, **place))
    for value, _ in MARKS:
        y = 1 - (bottom - value * (bottom - top)) / height
        drawn.add_artist(
            Line2D([right / width, (right + plan.ticks) / width], [y, y], color="black", zorder=3, **place)
        )


def _write(drawn: Page, text: Text, size: tuple[int, int], dpi: float) -> None:
    """Write a block's lines."""
    height, width = size
    align, turn = ("center", 90) if text.upright else (text.align, 0)
    for line, below in text.block.baselines():
        down = below / 72 * dpi
        x, y = (text.x + down, text.y) if text.upright else (text.x, text.y + down)
        horizontal, vertical = ("right", "center") if text.upright else (align, "baseline")
        found = drawn.text(
            x / width, 1 - y / height, line, ha=horizontal, va=vertical, rotation=turn, rotation_mode="default",
            fontproperties=font(text.block.size, bold=text.block.bold), color="black", parse_math=False, usetex=False,
        )  # fmt: skip
        if text.upright:  # turned about its baseline's middle
            found.set(ha="center", va="baseline", rotation_mode="anchor")


_STYLED = re.compile(r"<text style=\"([^\"]*)\"[^>]*>([^<]*)</text>")


def _with_font(svg: str) -> str:
    """Return an SVG with the letters that it uses of our own font inside, for browsers that do not have it."""
    faces = []
    for bold in (False, True):
        used = {
            character
            for style, text in _STYLED.findall(svg)
            if (" bold " in f" {style} " or "700" in style) == bold
            for character in _unescaped(text)
        }
        if used:
            weight = "bold" if bold else "normal"
            data = base64.b64encode(_subset(used, weight)).decode()
            faces.append(f"@font-face{{font-family:'{OWN}';font-weight:{weight};src:url(data:font/ttf;base64,{data})}}")
    return svg.replace("<defs>", f"<defs>\n  <style>{''.join(faces)}</style>", 1)


def _unescaped(text: str) -> str:
    return text.replace("&lt;", "<").replace("&gt;", ">").replace("&amp;", "&")


def _subset(characters: set[str], weight: str) -> bytes:
    """Return our font with these characters alone, as TrueType."""
    options = subset.Options(notdef_outline=True, recalc_timestamp=False, layout_features=["kern"])
    loaded = TTFont(findfont(FontProperties(family=OWN, weight=weight)), recalcTimestamp=False)
    cut = subset.Subsetter(options)
    cut.populate(unicodes=[ord(character) for character in characters])
    cut.subset(loaded)
    buffer = io.BytesIO()
    loaded.save(buffer)
    return buffer.getvalue()
