"""Labelled figure of many overlays, for a paper: a source, rows and columns of cells, a colour bar, captions.

Lengths are in inches and points; a resolution converts them to pixels. Text that is too long for its place is broken
into two lines, then set smaller together with all text of its kind (not below 6 points), then cut.
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
"""A journal's two columns, 7 inches, in pixels at the resolution that journals require."""

_MARGIN, _GUTTER, _GAP = 0.08, 0.06, 0.045
"""In inches: around the figure, between cells, and between a picture and its text."""

_WIDEST, _HIGHEST, _PAGE, _LOWEST = 2.3, 3.0, 9.0, 0.9
"""In inches: a cell's largest width and height; a page's height, which all rows should fit; a cell's least height."""

_ABOVE, _BELOW = 0.4, 0.4
"""In inches: the assumed height of text above the first row, and below each row, when rows are fitted on a page."""

_BAR, _SHORTEST_BAR, _UPRIGHT = 1.2, 0.5, 0.7
"""In inches: a colour bar spans enough rows for this height; the least height of a bar, and of a row heading."""

_TITLE, _HEADING, _CAPTION, _LEAST = 9, 8, 7, 6
"""Type sizes in points."""

_SOURCE = "input"


@dataclass(frozen=True, slots=True)
class Cell:
    """A picture and the captions below it.

    Attributes:
        pixels: uint8 RGB (h, w, 3), of one size throughout a figure.
        lines: captions, one below the other: ``("tabby 61 %", "12 ms")``.
    """

    pixels: Pixels
    lines: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Figure:
    """The content of a figure.

    Attributes:
        title: text that applies to all cells; may be empty.
        source: the input picture, for example with its most probable classes.
        rows: headings, one per row of cells; may be empty texts.
        columns: headings, one per column of cells.
        cells: rows of cells; the last one may be shorter.
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
        """Return the room for a row's upright heading; where cells are low, it extends past the captions."""
        return max(height, round(_UPRIGHT * self.dpi))

    def beside(self, rows: Sequence[str], scale: str, height: int) -> tuple[int, int]:
        """Return the number of lines that the upright texts need: the rows' headings, and the colour bar's.

        Args:
            rows: the headings.
            scale: the colour bar's text.
            height: of a cell. Lower cells never need fewer lines, so that cells can be fitted to the lines.
        """
        headings = max((_lines(text, self.heading, MEDIUM, self.upright(height), 2) for text in rows), default=0)
        room = max(height, min(len(rows) * height, round(_BAR * self.dpi)), round(_SHORTEST_BAR * self.dpi))
        return headings, _lines(scale, self.caption, REGULAR, room, 3)

    def before_cells(self, lines: int) -> int:
        """Return the width of row headings of ``lines`` lines, with the gap to their cells."""
        return depth(lines, self.heading) + self.gap if lines else 0

    def after_cells(self, lines: int) -> int:
        """Return the width of the colour bar and its text of ``lines`` lines, with the gaps before both."""
        return 2 * self.gutter + bar_width(self.dpi) + (self.gap + depth(lines, self.caption) if lines else 0)


def cell_size(
    picture: Size, columns: int, *, rows: Sequence[str] = ("",), scale: str = "", width: int = WIDTH, dpi: int = DPI
) -> Size:
    """Return (height, width) in pixels of the largest cells that fit the figure's width.

    Cells have the picture's proportions and are at most 2.3 inches wide and 3 high. With many rows they get lower, down
    to 0.9 inches, to fit on a page of 9 inches; the figure is then narrower than ``width``. Many columns make cells
    small: below a width of 0.9 inches, text is broken and cut with ``…``; the least width is one pixel.

    Args:
        picture: (height, width) of the source, in any unit.
        columns: number of columns of cells, 1 or more, not counting the source's.
        rows: the figure's row headings.
        scale: the text of the figure's colour bar.
        width: of the figure in pixels.
        dpi: pixels per inch.
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
        lines = needed  # more lines make cells smaller, which never needs fewer lines


def draw(figure: Figure, table: Pixels, *, dpi: int = DPI) -> Pixels:
    """Draw a figure: black on white, with the cells' pixels unchanged.

    The source is at the left, in the first row; below it its own captions. A row's heading stands upright before the
    row's cells. The colour bar is at the right.

    Args:
        figure: with cells of ``cell_size``, which determines the figure's width.
        table: the cells' colormap, uint8 RGB (256, 3).
        dpi: pixels per inch, as given to ``cell_size``.

    Returns:
        uint8 RGB (H, W, 3), at most as wide as given to ``cell_size``, if its cells are wider than a pixel.

    Raises:
        ValueError: cells differ in size, or their number does not match the headings.
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
    """Positions of a figure's parts, in pixels, and its typeset texts.

    Attributes:
        size: (height, width) of the figure.
        cell: (height, width) of each cell.
        lefts: x of the source and of the columns of cells.
        tops: y of the rows.
        headings_end: y below the headings of source and columns.
        bar_left: x of the colour bar.
        bar_height: of the colour bar, from the top of the first row.
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
        """Set the texts around the cells: the title has room ``across``, a row's heading ``lines`` lines."""
        lengths, width = self.lengths, self.cell[1]
        self.title = set_alike([[figure.title]], lengths.title, lengths.least, across, weight=BOLD)[0]
        named = [[text] for text in (_SOURCE, *figure.columns)]
        self.headings = set_alike(named, lengths.heading, lengths.least, width, weight=MEDIUM)
        rows, room = [[text] for text in figure.rows], lengths.upright(self.cell[0])
        self.row_headings = set_alike(rows, lengths.heading, lengths.least, room, lines, MEDIUM)
        captions = [figure.source.lines, *(cell.lines for cells in figure.cells for cell in cells)]
        self.source_caption, *rest = set_alike(captions, lengths.caption, lengths.least, width)
        count = len(figure.columns)
        self.captions = [rest[start : start + count] for start in range(0, len(rest), count)]

    def _place_rows(self, rows: int) -> int:
        """Place the rows and the colour bar at even distances; return the y below pictures and captions."""
        lengths, height = self.lengths, self.cell[0]
        title = self.title.height + 2 * lengths.gutter if self.title.lines else 0
        self.headings_end = lengths.margin + title + max(heading.height for heading in self.headings)
        first = self.headings_end + lengths.gap
        # The source's captions do not make rows higher: they may extend beside the rows below.
        caption = max(block.height for captions in self.captions for block in captions)
        below, below_source = (text + lengths.gap if text else 0 for text in (caption, self.source_caption.height))
        row = max(height + below, *(heading.width for heading in self.row_headings))
        pitch = row + (2 if below else 1) * lengths.gutter
        self.tops = [first + number * pitch for number in range(rows)]
        tall = min(rows, math.ceil(_BAR * lengths.dpi / height))
        self.bar_height = max((tall - 1) * pitch + height, round(_SHORTEST_BAR * lengths.dpi))
        return int(max(self.tops[-1] + row, first + height + below_source))


def _lines(text: str, size: int, weight: int, room: int, most: int) -> int:
    """Return the number of lines for a text, from 0 to ``most``."""
    width = text_width(text.strip(), size, weight)
    if width <= room:
        return 1 if width else 0
    return min(most, max(2, math.ceil(1.2 * width / room)))  # lines are not filled to the last letter
