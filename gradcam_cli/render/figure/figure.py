"""One labelled picture of many overlays, for a paper: a source, rows and columns of cells, a colour bar, captions.

Lengths are those of print, inches and points; a resolution makes them pixels. Text that is too long for its place is
broken into two lines, then set smaller together with its likes (not below 6 points), then cut.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from gradcam_cli.render.figure.colorbar import bar_width, draw_bar
from gradcam_cli.render.text.lettering import BOLD, MEDIUM, REGULAR, size_of, text_width
from gradcam_cli.render.text.typesetting import Block, depth, set_alike

if TYPE_CHECKING:
    from collections.abc import Sequence

    import numpy.typing as npt

    from gradcam_cli.records import Size

    Pixels = npt.NDArray[np.uint8]

WIDTH, DPI = 2100, 300
"""A journal's two columns, 7 inches, in pixels at the resolution that journals ask for."""

_MARGIN, _GUTTER, _GAP = 0.08, 0.06, 0.045
"""In inches: around the figure, between cells, and between a picture and its text."""

_WIDEST, _HIGHEST, _PAGE, _LOWEST = 2.3, 3.0, 9.0, 0.9
"""In inches: a cell's limits; a page's height, which all rows are to fit; but cells get no lower than the last."""

_ABOVE, _BELOW = 0.4, 0.4
"""In inches, what text is taken to need when rows are fitted on a page: above the first row, and below each."""

_BAR, _SHORTEST_BAR, _UPRIGHT = 1.2, 0.5, 0.7
"""In inches: a colour bar goes past as many rows as make it so high; the least of a bar, and of a row heading."""

_TITLE, _HEADING, _CAPTION, _LEAST = 9, 8, 7, 6
"""Type sizes in points."""

_SOURCE = "input"


@dataclass(frozen=True, slots=True)
class Cell:
    """A picture and what is said below it.

    Attributes:
        pixels: uint8 RGB (h, w, 3), of one size throughout a figure.
        lines: captions, one below the other: ``("tabby 61 %", "12 ms")``.
    """

    pixels: Pixels
    lines: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Figure:
    """What a figure shows.

    Attributes:
        title: what all cells share; may be empty.
        source: the picture itself, with, say, its most probable classes.
        rows: headings, one a row of cells; empty where there is nothing to say.
        columns: headings, one a column of cells.
        cells: rows of cells, the last of which may be shorter.
        scale: text beside the colour bar; may be empty.
    """

    title: str
    source: Cell
    rows: tuple[str, ...]
    columns: tuple[str, ...]
    cells: tuple[tuple[Cell, ...], ...]
    scale: str


class _Lengths:
    """Lengths and type sizes in pixels at a resolution."""

    def __init__(self, dpi: int) -> None:
        self.dpi = dpi
        self.margin, self.gutter, self.gap = (max(1, round(part * dpi)) for part in (_MARGIN, _GUTTER, _GAP))
        self.title, self.heading, self.caption, self.least = (
            size_of(points, dpi) for points in (_TITLE, _HEADING, _CAPTION, _LEAST)
        )

    def upright(self, height: int) -> int:
        """Return the room of a row's heading, by the cells' height: where they are low, it goes past the captions."""
        return max(height, round(_UPRIGHT * self.dpi))

    def beside(self, rows: Sequence[str], scale: str, height: int) -> tuple[int, int]:
        """Return how many lines the upright texts need: the rows' headings, and the colour bar's.

        Args:
            rows: the headings.
            scale: the colour bar's text.
            height: of a cell. Less of it never means fewer lines, so that cells can be fitted to the lines.
        """
        headings = max((_lines(text, self.heading, MEDIUM, self.upright(height), 2) for text in rows), default=0)
        room = max(height, min(len(rows) * height, round(_BAR * self.dpi)), round(_SHORTEST_BAR * self.dpi))
        return headings, _lines(scale, self.caption, REGULAR, room, 3)

    def before_cells(self, lines: int) -> int:
        """Return the width of the rows' headings of so many lines, with the gap to their cells."""
        return depth(lines, self.heading) + self.gap if lines else 0

    def after_cells(self, lines: int) -> int:
        """Return the width of the colour bar and its text of so many lines, with the gaps before both."""
        return 2 * self.gutter + bar_width(self.dpi) + (self.gap + depth(lines, self.caption) if lines else 0)


def cell_size(
    picture: Size, columns: int, *, rows: Sequence[str] = ("",), scale: str = "", width: int = WIDTH, dpi: int = DPI
) -> Size:
    """Return (height, width) in pixels of the cells with which a figure is as wide as it may be.

    Cells have the picture's proportions and are at most 2.3 inches wide and 3 high, and so low, down to 0.9 inches,
    that many rows fit on a page of 9 inches. The figure is then narrower than ``width``. Many columns make cells
    small: in fewer than 0.9 inches of width, text is broken and cut with ``…``; in the end cells are a pixel wide.

    Args:
        picture: (height, width) of the source, in any unit.
        columns: of cells, 1 or more; the source's own comes on top of these.
        rows: their headings, as the figure will have them.
        scale: the colour bar's text, as the figure will have it.
        width: of the figure in pixels.
        dpi: pixels an inch.
    """
    lengths = _Lengths(dpi)
    height_limit = min(_HIGHEST, max(_LOWEST, (_PAGE - _ABOVE) / len(rows) - _BELOW)) * dpi
    limit = min(_WIDEST * dpi, height_limit * picture[1] / picture[0])
    lines = (0, 0)
    while True:
        around = 2 * lengths.margin + lengths.before_cells(lines[0]) + lengths.after_cells(lines[1])
        across = max(1, math.floor(min(limit, (width - around - columns * lengths.gutter) / (columns + 1))))
        size = max(1, round(across * picture[0] / picture[1])), across
        needed = lengths.beside(rows, scale, size[0])
        if needed == lines:
            return size
        lines = needed  # makes cells smaller, which never needs fewer


def draw(figure: Figure, table: Pixels, *, dpi: int = DPI) -> Pixels:
    """Draw a figure: black on white, with the cells' pixels as they are.

    The source is at the left, in the first row; below it its own captions. A row's heading stands upright before the
    row's cells. The colour bar is at the right.

    Args:
        figure: with cells of ``cell_size``, which decides on the width of what is drawn.
        table: the cells' colormap, uint8 RGB (256, 3).
        dpi: pixels an inch, as given to ``cell_size``.

    Returns:
        uint8 RGB (H, W, 3), at most as wide as was asked of ``cell_size``, if its cells are wider than a pixel.

    Raises:
        ValueError: the cells differ in size, or are not as many as the headings say.
    """
    _check(figure)
    plan = _Layout(figure, dpi)
    canvas = np.full((*plan.size, 3), 255, np.uint8)
    plan.title.draw(canvas, plan.lefts[0], plan.lengths.margin)
    for heading, left in zip(plan.headings, plan.lefts, strict=True):
        heading.draw(canvas, left, plan.headings_end - heading.height, plan.cell[1])
    _draw_cell(canvas, figure.source, plan.source_caption, plan.tops[0], plan.lefts[0], plan)
    for cells, captions, heading, top in zip(figure.cells, plan.captions, plan.row_headings, plan.tops, strict=True):
        before = plan.lefts[1] - plan.lengths.gap - heading.height
        heading.draw_upright(canvas, before, top, max(plan.cell[0], heading.width))
        for cell, caption, left in zip(cells, captions, plan.lefts[1:], strict=False):
            _draw_cell(canvas, cell, caption, top, left, plan)
    draw_bar(canvas, table, plan.bar_left, plan.tops[0], plan.bar_height, dpi)
    text_left = plan.bar_left + bar_width(dpi) + plan.lengths.gap
    plan.scale.draw_upright(canvas, text_left, plan.tops[0], plan.bar_height)
    return canvas


def _check(figure: Figure) -> None:
    counts = [len(cells) for cells in figure.cells]
    full = [len(figure.columns)] * len(figure.rows)
    if not full or not 0 < counts[-1] <= full[-1] or counts[:-1] != full[:-1] or len(counts) != len(full):
        raise ValueError(f"{len(figure.rows)} rows and {len(figure.columns)} columns, but cells in rows of {counts}")
    sizes = {cell.pixels.shape for cells in (*figure.cells, (figure.source,)) for cell in cells}
    if len(sizes) > 1:
        raise ValueError(f"cells of different sizes: {sorted(sizes)}")


def _draw_cell(canvas: Pixels, cell: Cell, caption: Block, top: int, left: int, plan: _Layout) -> None:
    height, width = plan.cell
    canvas[top : top + height, left : left + width] = cell.pixels
    caption.draw(canvas, left, top + height + plan.lengths.gap, width)


class _Layout:
    """Where everything of a figure lies, in pixels, and how its texts are set.

    Attributes:
        size: (height, width) of the figure.
        cell: (height, width) of each cell.
        lefts: x of the source and of the columns of cells.
        tops: y of the rows.
        headings_end: y below the headings of source and columns.
        bar_left: x of the colour bar.
        bar_height: from the first row on.
    """

    def __init__(self, figure: Figure, dpi: int) -> None:
        self.lengths = lengths = _Lengths(dpi)
        height, width = self.cell = figure.source.pixels.shape[0], figure.source.pixels.shape[1]
        lines = lengths.beside(figure.rows, figure.scale, height)
        first = lengths.margin + width + lengths.gutter + lengths.before_cells(lines[0])
        columns = [first + number * (width + lengths.gutter) for number in range(len(figure.columns))]
        self.lefts = [lengths.margin, *columns]
        end = columns[-1] + width
        self.bar_left = end + 2 * lengths.gutter
        total = end + lengths.after_cells(lines[1]) + lengths.margin
        self._set_texts(figure, total - 2 * lengths.margin, max(1, lines[0]))
        bottom = self._place_rows(len(figure.rows))
        along = (lengths.caption, lengths.least, self.bar_height, max(1, lines[1]))
        self.scale = set_alike([[figure.scale]], *along)[0]
        self.size = max(bottom, self.tops[0] + self.bar_height) + lengths.margin, total

    def _set_texts(self, figure: Figure, across: int, lines: int) -> None:
        """Set the texts around the cells: the title has room ``across``, a row's heading so many lines."""
        lengths, width = self.lengths, self.cell[1]
        self.title = set_alike([[figure.title]], lengths.title, lengths.least, across, weight=BOLD)[0]
        named = [[text] for text in (_SOURCE, *figure.columns)]
        self.headings = set_alike(named, lengths.heading, lengths.least, width, weight=MEDIUM)
        rows, room = [[text] for text in figure.rows], lengths.upright(self.cell[0])
        self.row_headings = set_alike(rows, lengths.heading, lengths.least, room, lines, MEDIUM)
        said = [figure.source.lines, *(cell.lines for cells in figure.cells for cell in cells)]
        self.source_caption, *rest = set_alike(said, lengths.caption, lengths.least, width)
        count = len(figure.columns)
        self.captions = [rest[start : start + count] for start in range(0, len(rest), count)]

    def _place_rows(self, rows: int) -> int:
        """Place the rows and the colour bar at even distances; return where pictures and captions end."""
        lengths, height = self.lengths, self.cell[0]
        title = self.title.height + 2 * lengths.gutter if self.title.lines else 0
        self.headings_end = lengths.margin + title + max(heading.height for heading in self.headings)
        first = self.headings_end + lengths.gap
        # The source's captions need no room in the rows where there are rows below it.
        said = max(block.height for captions in self.captions for block in captions)
        below, below_source = (text + lengths.gap if text else 0 for text in (said, self.source_caption.height))
        row = max(height + below, *(heading.width for heading in self.row_headings))
        pitch = row + (2 if below else 1) * lengths.gutter
        self.tops = [first + number * pitch for number in range(rows)]
        tall = min(rows, math.ceil(_BAR * lengths.dpi / height))
        self.bar_height = max((tall - 1) * pitch + height, round(_SHORTEST_BAR * lengths.dpi))
        return int(max(self.tops[-1] + row, first + height + below_source))


def _lines(text: str, size: int, weight: int, room: int, most: int) -> int:
    """Return how many lines a text is given, from 0 to ``most``."""
    width = text_width(text.strip(), size, weight)
    if width <= room:
        return 1 if width else 0
    return min(most, max(2, math.ceil(1.2 * width / room)))  # lines are not filled to the last letter
