"""The printed figure: every pixel of the cells at its place, text where it belongs, nothing cut off."""

from __future__ import annotations

import itertools
from dataclasses import replace

import cv2
import numpy as np
import pytest

from gradcam_cli.render.colormap import colormap
from gradcam_cli.render.figure.colorbar import bar_width, draw_bar
from gradcam_cli.render.figure.figure import Cell, Figure, cell_size, draw
from gradcam_cli.render.text.typesetting import set_alike

TITLE = "squeezenet1_0 · features.12 · tiger cat 42.1 %"
SCALE = "each map on its own scale"
LANDSCAPE, PORTRAIT, SQUARE = (300, 450), (640, 480), (500, 500)
LONG = "a class whose name is much too long for any cell, however large it may be drawn on whatever paper 42.1 %"
MARGIN, GUTTER = 24, 18  # at 300 dpi


def colour(number: int) -> np.ndarray:
    """Return a colour that only this cell has: the table below has no blue of 77."""
    return np.array([10 + 3 * number, 200 - 5 * number, 77], np.uint8)


TABLE = np.stack([np.arange(256), np.arange(256)[::-1], np.full(256, 200)], axis=1).astype(np.uint8)


def figure_of(
    rows: tuple[str, ...],
    columns: tuple[str, ...],
    *,
    picture: tuple[int, int] = LANDSCAPE,
    title: str = TITLE,
    scale: str = SCALE,
    captions: tuple[str, ...] = ("tabby 61 %", "12 ms"),
    said: tuple[str, ...] = ("tiger cat 42.1 %", "tabby 30 %", "Egyptian cat 12 %"),
    **size: int,
) -> Figure:
    """Make a figure of plain cells: the source is number 0."""
    height, width = cell_size(picture, len(columns), rows=rows, scale=scale, **size)
    plain = [
        np.broadcast_to(colour(number), (height, width, 3)).copy() for number in range(1 + len(rows) * len(columns))
    ]
    cells = tuple(
        tuple(Cell(plain[1 + row * len(columns) + column], captions) for column in range(len(columns)))
        for row in range(len(rows))
    )
    return Figure(title, Cell(plain[0], said), rows, columns, cells, scale)


def place(drawn: np.ndarray, number: int) -> tuple[int, int, int, int]:
    """Return left, top, right, bottom of a cell, all of whose pixels must be there."""
    found = cv2.inRange(drawn, colour(number), colour(number))
    left, top, width, height = cv2.boundingRect(found)
    assert cv2.countNonZero(found) == width * height > 0
    return left, top, left + width, top + height


def dark(drawn: np.ndarray) -> np.ndarray:
    """Return where there is ink: bool (H, W)."""
    return drawn.max(axis=2) < 100


NAMES = ("Grad-CAM", "Grad-CAM++", "HiResCAM", "Layer-CAM", "Score-CAM", "Ablation-CAM")
LAYOUTS = [
    (("",), NAMES[:1]),
    (("",), NAMES),
    (NAMES, ("tabby", "tiger cat")),
    (("tabby", "tiger cat"), NAMES),
    (("features.3", "features.6", "features.9", "features.12"), NAMES[:4]),
]
SHAPES = [f"{len(rows)}x{len(columns)}" for rows, columns in LAYOUTS]


@pytest.mark.slow
@pytest.mark.parametrize("picture", [LANDSCAPE, PORTRAIT, SQUARE, (60, 600), (900, 100)], ids=str)
@pytest.mark.parametrize(("rows", "columns"), LAYOUTS, ids=SHAPES)
def test_cells_are_as_they_were_at_even_distances(rows, columns, picture):
    figure = figure_of(rows, columns, picture=picture)
    drawn = draw(figure, TABLE)
    assert drawn.dtype == np.uint8
    height, width = figure.source.pixels.shape[:2]
    places = [place(drawn, number) for number in range(1 + len(rows) * len(columns))]
    assert {(right - left, bottom - top) for left, top, right, bottom in places} == {(width, height)}
    assert places[0][:2] == (MARGIN, places[1][1])
    grid = np.array(places[1:]).reshape(len(rows), len(columns), 4)
    assert (np.diff(grid[:, :, 0], axis=1) == width + GUTTER).all()
    assert (grid[:, :, 0] == grid[0, :, 0]).all()
    assert (grid[:, 0, 1] == grid[:, :, 1].T).all()
    pitches = set(np.diff(grid[:, 0, 1]).tolist())
    assert len(pitches) <= 1
    assert all(pitch > height for pitch in pitches)
    if rows == ("",):
        assert grid[0, 0, 0] - places[0][2] == GUTTER


@pytest.mark.slow
@pytest.mark.parametrize("picture", [LANDSCAPE, PORTRAIT, (60, 600), (900, 100)], ids=str)
@pytest.mark.parametrize(("rows", "columns"), LAYOUTS, ids=SHAPES)
@pytest.mark.parametrize("text", ["", "gjpqÄ|", LONG])
def test_margins_are_white(rows, columns, picture, text):
    figure = figure_of(
        tuple(text for _ in rows),
        tuple(text for _ in columns),
        picture=picture,
        title=text,
        scale=text,
        captions=(text, text),
        said=(text,) * 4,
    )
    drawn = draw(figure, TABLE)
    inner = MARGIN - 9  # accents reach above capitals, and some letters a little beyond their width
    for edge in (drawn[:inner], drawn[-inner:], drawn[:, :inner], drawn[:, -inner:]):
        assert (edge == 255).all()
    for number in range(1 + len(rows) * len(columns)):
        place(drawn, number)  # nothing is written over it
    assert drawn.shape[1] <= 2100


@pytest.mark.parametrize(("rows", "columns"), LAYOUTS[1:2] + LAYOUTS[3:], ids=str)
@pytest.mark.parametrize(("width", "dpi"), [(2100, 300), (1050, 150), (1000, 300), (4200, 600)])
def test_figures_are_as_wide_as_asked(rows, columns, width, dpi):
    drawn = draw(figure_of(rows, columns, width=width, dpi=dpi), TABLE, dpi=dpi)
    assert width - len(columns) - 1 <= drawn.shape[1] <= width


@pytest.mark.parametrize("picture", [LANDSCAPE, PORTRAIT, (60, 600), (900, 100), (1, 1), (1, 5000)], ids=str)
@pytest.mark.parametrize("columns", [1, 2, 3, 6, 12])
def test_cells_have_the_pictures_proportions_and_limits(picture, columns):
    height, width = cell_size(picture, columns, scale=SCALE)
    assert width <= 2.3 * 300
    assert height <= 3 * 300 + 1
    assert height == max(1, round(width * picture[0] / picture[1]))


def test_few_cells_do_not_become_gigantic():
    assert cell_size(LANDSCAPE, 1) == (460, 690)
    height, width = cell_size(PORTRAIT, 1)
    assert (height, width) == (900, 675)
    assert draw(figure_of(("",), ("Grad-CAM",), picture=PORTRAIT), TABLE).shape[1] < 1700


def test_many_rows_fit_on_a_page():
    drawn = draw(figure_of(NAMES, ("tabby",)), TABLE)
    assert drawn.shape[0] <= 9 * 300
    assert cell_size(LANDSCAPE, 1, rows=("x",) * 50)[0] >= 0.85 * 300


def test_too_many_columns_make_cells_a_pixel_wide():
    assert cell_size(LANDSCAPE, 500) == (1, 1)
    draw(figure_of(("",), ("x",) * 40, width=900), TABLE)


def test_text_is_there_and_where_there_is_none_nothing_is():
    figure = figure_of(("", "tabby"), ("Grad-CAM", ""))
    drawn = draw(figure, TABLE)
    ink = dark(drawn)
    first, second, low = (place(drawn, number) for number in (1, 2, 3))
    title_end = MARGIN + 45
    assert ink[:title_end].any()
    assert ink[title_end : first[1], first[0] : first[2]].any()
    assert not ink[title_end : first[1], second[0] : second[2]].any()
    source = place(drawn, 0)
    before = slice(source[2], first[0])
    assert ink[low[1] : low[3], before].any()
    assert not ink[first[1] : first[3], before].any()
    for box in (source, first, second, low):
        assert ink[box[3] : box[3] + 60, box[0] : box[2]].any()


def test_nothing_to_say_leaves_the_pictures_alone():
    drawn = draw(figure_of(("",), ("",), title="", scale="", captions=(), said=()), TABLE)
    left, top, _, bottom = place(drawn, 1)
    assert drawn.shape[0] - bottom == MARGIN
    assert not dark(drawn)[:top, left:].any()


def test_long_texts_stay_in_their_columns():
    figure = figure_of(("",), (LONG, "x" * 90, "W" * 20, "cat"), captions=(LONG, "W" * 90))
    drawn = draw(figure, TABLE)
    ink = drawn.min(axis=2) < 255
    boxes = [place(drawn, number) for number in range(5)]
    for box, after in itertools.pairwise(boxes):
        middle = slice(box[2] + 3, after[0] - 3)
        assert not ink[MARGIN + 60 :, middle].any()
        assert ink[: box[1], after[0] : after[2]].any()


def test_the_sources_captions_do_not_push_rows_apart():
    few, many = (draw(figure_of(("a", "b"), ("Grad-CAM",), said=("tabby 61 %",) * count), TABLE) for count in (1, 12))
    assert [place(few, number) for number in range(3)] == [place(many, number) for number in range(3)]
    _, _, right, bottom = place(many, 0)
    assert dark(many)[bottom + 250 : bottom + 400, :right].any()
    tall = draw(figure_of(("",), ("Grad-CAM",), said=("tabby 61 %",) * 12), TABLE)
    assert dark(tall)[place(tall, 0)[3] + 380 :].any()


def test_a_low_cells_heading_is_not_cut_and_not_met_by_the_next():
    rows = ("features.11", "features.12", "features.13")
    figure = figure_of(rows, ("Grad-CAM",), picture=(60, 600), captions=())
    drawn = draw(figure, TABLE)
    source, *boxes = (place(drawn, number) for number in range(4))
    ink = dark(drawn)[:, source[2] + 2 : boxes[0][0] - 2].any(axis=1)
    for box, after in itertools.pairwise(boxes):
        assert ink[box[1] : box[1] + 60].any()
        assert not ink[after[1] - 12 : after[1]].any()


@pytest.mark.parametrize("rows", [("",), ("a", "b", "c")])
def test_the_colour_bar_is_the_table(rows):
    drawn = draw(figure_of(rows, NAMES[:5]), TABLE)
    _, top, right, bottom = place(drawn, 5)
    ys, xs = np.nonzero((drawn[:, :, 2] == 200) & (drawn[:, :, 0] != drawn[:, :, 1]))
    assert xs.min() > right
    column = drawn[ys.min() : ys.max() + 1, xs.min() + 5]
    assert (column[0] == TABLE[255]).all()
    assert (column[-1] == TABLE[0]).all()
    assert (np.diff(column[:, 0].astype(int)) <= 0).all()
    assert {tuple(found) for found in column} <= {tuple(entry) for entry in TABLE}
    assert (drawn[ys.min() : ys.max() + 1, xs.min() : xs.max() + 1] == column[:, None]).all()
    frame = drawn[top : ys.max() + 3, xs.min() - 2 : xs.max() + 3].copy()
    frame[2:-2, 2:-2] = 0
    assert not frame.any()
    if rows == ("",):
        assert ys.max() + 3 == bottom
    else:
        assert ys.max() - ys.min() > 1.2 * 300


@pytest.mark.parametrize("height", [40, 150, 900])
def test_the_bars_numbers_stay_within_its_height(height):
    pixels = np.full((height + 80, 200, 3), 255, np.uint8)
    draw_bar(pixels, colormap("jet"), 20, 40, height, 300)
    ink = pixels.min(axis=2) < 255
    assert not ink[:38].any()
    assert not ink[height + 42 :].any()
    numbers = ink[:, 20 + 42 : 20 + bar_width(300) + 2]
    assert numbers[40:70].any()
    assert numbers[height + 10 : height + 40].any()
    assert not ink[:, 20 + bar_width(300) + 2 :].any()


def test_equal_kinds_of_text_have_equal_size():
    short, long = set_alike([["tabby"], ["Egyptian cat or a name like that"]], 29, 23, 200)
    assert short.size == long.size < 29


def test_the_last_row_may_be_shorter():
    figure = figure_of(("", ""), ("", ""))
    short = replace(figure, cells=(figure.cells[0], figure.cells[1][:1]))
    whole, part = draw(figure, TABLE), draw(short, TABLE)
    assert whole.shape == part.shape
    gone = (whole != part).any(axis=2)
    height, width = figure.source.pixels.shape[:2]
    assert height * width * 0.5 < gone.sum() <= height * width * 1.5
    assert (part[gone] == 255).all()


def test_figures_that_do_not_fit_together():
    figure = figure_of(("",), ("a", "b"))
    ragged = Figure(figure.title, figure.source, ("", ""), figure.columns, (figure.cells[0][:1], *figure.cells), "")
    with pytest.raises(ValueError, match="2 rows and 2 columns"):
        draw(ragged, TABLE)
    other = Figure(figure.title, Cell(figure.source.pixels[1:]), figure.rows, figure.columns, figure.cells, "")
    with pytest.raises(ValueError, match="different sizes"):
        draw(other, TABLE)
    with pytest.raises(ValueError, match="0 columns"):
        draw(Figure("", figure.source, ("",), (), ((),), ""), TABLE)
