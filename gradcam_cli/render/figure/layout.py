"""The places of a figure's parts, on the grid of its pixels, so that pictures are shown as they are.

Lengths are in inches and points (1/72 inch); a resolution converts them to dots, one for each pixel of the pictures.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

from gradcam_cli.render.figure.fonts import CAPITALS, text_width
from gradcam_cli.render.figure.typesetting import Block, common_size, depth, set_alike
from gradcam_cli.render.scale import MARKS
from gradcam_cli.text import printable

if TYPE_CHECKING:
    from collections.abc import Sequence

    from gradcam_cli.records import Size
    from gradcam_cli.render.figure.content import Figure

WIDTH, DPI = 2100, 300
"""A journal's two columns, 7 inches, in dots at the resolution that journals require."""

SOURCE_SHARE = 0.6
"""Size of a source that stands above the rows, as a share of a panel's."""

_MARGIN, _GUTTER, _GAP = 0.06, 0.07, 0.045
"""In inches: around the figure, between panels, and between a picture and its text."""

_PAGE, _LOWEST = 9.0, 0.6
"""In inches: a page's height, which all rows should fit; a panel's least height for that."""

_UPRIGHT = 0.6
"""In inches: the least room for an upright heading; lower rows are set further apart for it."""

_BAR, _TICK, _SHORTEST = 0.1, 0.03, 0.5
"""In inches: a colour bar's width, the length of its ticks, its least height."""

_TITLE, _HEADING, _CAPTION, _MARK, _LEAST = 9, 8, 7, 6.5, 6
"""Sizes of the type in points."""


@dataclass(frozen=True, slots=True)
class PanelSizes:
    """Sizes in pixels that pictures must have.

    Attributes:
        rows: (height, width) of the panels of each row.
        source: of the source above the rows.
    """

    rows: tuple[Size, ...]
    source: Size


class _Lengths:
    """Lengths in dots at a resolution."""

    def __init__(self, dpi: float) -> None:
        self.dpi = dpi
        self.margin, self.gutter, self.gap = (max(1, round(part * dpi)) for part in (_MARGIN, _GUTTER, _GAP))

    def dots(self, points: float) -> int:
        """Return a length in points as dots, rounded up."""
        return math.ceil(points / 72 * self.dpi)

    def points(self, dots: float) -> float:
        """Return a length in dots as points."""
        return dots * 72 / self.dpi

    def before(self, lines: int) -> int:
        """Return the width of upright headings of ``lines`` lines, with the gap to their panels."""
        return self.dots(depth(lines, _HEADING)) + self.gap if lines else 0

    @property
    def bar(self) -> int:
        """Width of the colour bar with its marks, and the gap before it."""
        marks = max(text_width(text, _MARK) for _, text in MARKS)
        return 2 * self.gutter + round((_BAR + _TICK) * self.dpi) + self.gap + self.dots(marks)

    def after(self, lines: int) -> int:
        """Return the width of the colour bar and its text of ``lines`` lines, with the gaps before both."""
        return self.bar + (self.gap + self.dots(depth(lines, _CAPTION)) if lines else 0)

    def upright(self, heights: Sequence[int]) -> float:
        """Return the room in points for upright headings before rows of these heights."""
        return self.points(max(min(heights), round(_UPRIGHT * self.dpi)))

    def lines_of(self, headings: Sequence[str], heights: Sequence[int]) -> int:
        """Return how many lines the upright headings need before rows of these heights."""
        shown = [printable(text.strip()) for text in headings if text.strip()]
        if not shown:
            return 0
        return common_size(shown, _HEADING, _LEAST, self.upright(heights), 2, bold=True)[1]


def panel_sizes(
    pictures: Sequence[Size],
    columns: int,
    *,
    headings: Sequence[str] = ("",),
    scale: str = "",
    source: bool = False,
    captions: int = 1,
    width: int = WIDTH,
    dpi: float = DPI,
) -> PanelSizes:
    """Return the sizes of the largest panels with which a figure is as wide as wanted, and no higher than a page.

    Panels have their pictures' proportions. With many columns they become small; the least width is one pixel.

    Args:
        pictures: (height, width) of each row's picture, in any unit.
        columns: number of panels in a row.
        headings: the rows' headings.
        scale: the text of the figure's colour bar.
        source: whether the source stands above the rows.
        captions: lines below each panel.
        width: of the figure in dots.
        dpi: dots per inch.
    """
    lengths = _Lengths(dpi)
    shares = [height / width for height, width in pictures]
    around_rows = 2.2 * _HEADING + (1.4 * _CAPTION * captions + 6) * len(pictures)
    high = _PAGE * dpi - lengths.dots(around_rows)
    tall = sum(shares) + (SOURCE_SHARE * shares[0] if source else 0)
    limit = max(high / tall, _LOWEST * dpi / max(shares))
    lines, scale_lines = 0, 1 if scale else 0
    while True:
        room = width - 2 * lengths.margin - lengths.before(lines) - lengths.after(scale_lines)
        across = max(1, math.floor(min(limit, (room - (columns - 1) * lengths.gutter) / columns)))
        heights = [max(1, round(across * share)) for share in shares]
        along = sum(heights) + (len(heights) - 1) * (lengths.gutter + lengths.dots(2 * _CAPTION))
        needed = lengths.lines_of(headings, heights), _scale_lines(scale, lengths.points(along))
        if needed[0] <= lines and needed[1] <= scale_lines:
            break
        lines, scale_lines = max(lines, needed[0]), max(scale_lines, needed[1])  # smaller panels never need fewer
    small = max(1, round(across * SOURCE_SHARE))
    return PanelSizes(tuple((height, across) for height in heights), (max(1, round(small * shares[0])), small))


def _scale_lines(scale: str, room: float) -> int:
    """Return the number of upright lines for the colour bar's text, from 0 to 4, in ``room`` points."""
    return common_size([scale], _CAPTION, _LEAST, max(room, _SHORTEST * 72), 4)[1] if scale else 0


@dataclass(frozen=True, slots=True)
class Text:
    """A block at its place.

    Attributes:
        block: the lines.
        x: in dots from the left: of the block's left end, its middle where it is centred; of its left edge if upright.
        y: in dots from the top: of the block's top; if upright, of its middle.
        align: how lines lie at ``x``.
        upright: whether lines run from bottom to top.
    """

    block: Block
    x: float
    y: float
    align: str = "center"
    upright: bool = False


class Layout:
    """The places of a figure's parts, in dots from the upper left.

    Args:
        figure: with panels of `panel_sizes`.
        width: of the figure; None is as wide as its content.
        dpi: dots per inch.

    Attributes:
        size: (height, width) of the figure.
        pictures: (left, top) of the source above the rows, if any, and of each panel, row by row.
        texts: all texts at their places.
        bar: (left, top, right, bottom) of the colour bar.
        ticks: length of the bar's ticks.
    """

    def __init__(self, figure: Figure, width: int | None = None, dpi: float = DPI) -> None:
        self._lengths = lengths = _Lengths(dpi)
        self._figure = figure
        self._heights = [int(row[0].pixels.shape[0]) for row in figure.rows]
        self._across = int(figure.rows[0][0].pixels.shape[1])
        self._columns = len(figure.rows[0])
        self.texts: list[Text] = []
        self.pictures: list[tuple[int, int]] = []
        lines = lengths.lines_of(figure.headings, self._heights)
        self._upright = set_alike(
            [[text] for text in figure.headings], _HEADING, _LEAST, lengths.upright(self._heights), max(1, lines),
            bold=True,
        )  # fmt: skip
        scale_lines = self._rough_scale_lines()
        self._left = lengths.margin + lengths.before(lines)
        inner = self._columns * self._across + (self._columns - 1) * lengths.gutter
        content = self._left + inner + lengths.after(scale_lines) + lengths.margin
        total = content if width is None else max(width, content)
        self._left += (total - content) // 2
        top = self._set_title((total - content) // 2 + lengths.margin, content - 2 * lengths.margin)
        top = self._set_source(top)
        tops, bottom = self._set_rows(top)
        self._set_headings(tops)
        low = max(tops[-1] + self._heights[-1], tops[0] + round(_SHORTEST * dpi))
        bar_left = self._left + inner + 2 * lengths.gutter
        self.bar = bar_left, tops[0], bar_left + round(_BAR * dpi), low
        self.ticks = round(_TICK * dpi)
        self._set_bar(max(1, scale_lines))
        self.size = max(bottom, low) + lengths.margin, total

    def _rough_scale_lines(self) -> int:
        gaps = (len(self._heights) - 1) * (self._lengths.gutter + self._lengths.dots(2 * _CAPTION))
        return _scale_lines(self._figure.scale, self._lengths.points(sum(self._heights) + gaps))

    def _column(self, number: int) -> int:
        return self._left + number * (self._across + self._lengths.gutter)

    def _set_title(self, left: int, room: int) -> int:
        """Place the title; return the y below it."""
        lengths = self._lengths
        title = set_alike([[self._figure.title]], _TITLE, _LEAST, lengths.points(room), bold=True)[0]
        if not title.lines:
            return lengths.margin
        self.texts.append(Text(title, left, lengths.margin, "left"))
        return lengths.margin + lengths.dots(title.height) + 2 * lengths.gap

    def _set_source(self, top: int) -> int:
        """Place a source above the rows, and its texts to its right; return the y below it."""
        source, lengths = self._figure.source, self._lengths
        if source is None:
            return top
        height, width = (int(side) for side in source.pixels.shape[:2])
        self.pictures.append((self._left, top))
        left, right = self._left + width + 2 * lengths.gap, self._column(self._columns - 1) + self._across
        room = lengths.points(max(1, right - left))
        heading = set_alike([[source.heading]], _HEADING, _LEAST, room, bold=True)[0]
        lines = set_alike([source.lines], _CAPTION, _LEAST, room)[0]
        self.texts.append(Text(heading, left, top, "left"))
        below = top + lengths.dots(heading.height) + lengths.gap
        self.texts.append(Text(lines, left, below, "left"))
        return max(top + height, below + lengths.dots(lines.height)) + 2 * lengths.gutter

    def _set_rows(self, top: int) -> tuple[list[int], int]:
        """Place the panels, their headings and captions; return each row's top and the y below all."""
        lengths, rows = self._lengths, self._figure.rows
        room = lengths.points(self._across)
        headings = set_alike([[panel.heading] for row in rows for panel in row], _HEADING, _LEAST, room, bold=True)
        captions = set_alike([panel.lines for row in rows for panel in row], _CAPTION, _LEAST, room)
        tops, bottom, number = [], top, 0
        for row, height, beside in zip(rows, self._heights, self._upright, strict=True):
            above, below = headings[number : number + len(row)], captions[number : number + len(row)]
            number += len(row)
            deep = max(lengths.dots(block.height) for block in above)
            start = bottom + (deep + lengths.gap if deep else 0)
            for column, (head, caption) in enumerate(zip(above, below, strict=True)):
                middle = self._column(column) + self._across / 2
                self.pictures.append((self._column(column), start))
                self.texts.append(Text(head, middle, start - lengths.gap - lengths.dots(head.height)))
                self.texts.append(Text(caption, middle, start + height + lengths.gap))
            tops.append(start)
            under = max(lengths.dots(block.height) for block in below)
            low = start + height + (under + lengths.gap if under else 0)
            bottom = max(low, start + lengths.dots(beside.width)) + lengths.gutter
        return tops, bottom - lengths.gutter

    def _set_headings(self, tops: list[int]) -> None:
        lengths = self._lengths
        for block, top, height in zip(self._upright, tops, self._heights, strict=True):
            left = self._left - lengths.gap - lengths.dots(block.height)
            self.texts.append(Text(block, left, top + max(height, lengths.dots(block.width)) / 2, upright=True))

    def _set_bar(self, lines: int) -> None:
        lengths = self._lengths
        _, top, right, bottom = self.bar
        left = right + self.ticks + lengths.gap // 2
        for value, mark in MARKS:
            block = Block((mark,), _MARK)
            middle = top + (1 - value) * (bottom - top) - lengths.dots(_MARK * CAPITALS) / 2
            lowest = bottom - lengths.dots(_MARK * CAPITALS)
            self.texts.append(Text(block, left, min(max(middle, top), lowest), "left"))
        room = lengths.points(bottom - top)
        text = set_alike([[self._figure.scale]], _CAPTION, _LEAST, room, lines)[0]
        beside = right + self.ticks + lengths.gap + lengths.dots(max(text_width(mark, _MARK) for _, mark in MARKS))
        self.texts.append(Text(text, beside, (top + bottom) / 2, upright=True))
