"""The printed figure: every pixel of the panels at its place, type as type, nothing cut off, as wide as asked."""

from __future__ import annotations

import base64
import io
import itertools
import re
import shutil
import subprocess
import xml.etree.ElementTree as ElementTree
from dataclasses import replace

import cv2
import matplotlib as mpl
import numpy as np
import pytest
from fontTools.ttLib import TTFont

from gradcam_cli.render.figure import draw
from gradcam_cli.render.figure.content import Figure, Panel
from gradcam_cli.render.figure.fonts import lacking, text_width
from gradcam_cli.render.figure.layout import panel_sizes

TITLE = "squeezenet1_0 · features.12 · tiger cat · 42.1%"
SCALE = "each map from its lowest to its highest value"
LANDSCAPE, PORTRAIT, SQUARE = (300, 450), (640, 480), (500, 500)
LONG = "a class whose name is much too long for any cell, however large it may be drawn on whatever paper · 42.1%"
NAMES = ("Grad-CAM", "Grad-CAM++", "HiResCAM", "LayerCAM", "Score-CAM", "Ablation-CAM")
TABLE = np.stack([np.arange(256), np.arange(256)[::-1], np.full(256, 200)], axis=1).astype(np.uint8)
WIDTH = 2102
LAYOUTS = [  # rows, columns, source above, headings
    (1, 2, False, ("",)),
    (2, 4, False, ("", "")),
    (2, 3, True, ("tabby", "tiger cat")),
    (4, 4, True, ("features.3", "features.6", "features.9", "features.12")),
    (3, 3, False, ("sea_lion", "brambling", "flamingo")),
]


def colour(number: int) -> np.ndarray:
    """Return a colour that only this panel has."""
    return np.array([10 + 3 * number, 200 - 5 * number, 77], np.uint8)


def figure_of(
    rows: int = 2,
    columns: int = 3,
    above: bool = False,
    headings: tuple[str, ...] = ("", ""),
    *,
    picture: tuple[int, int] = LANDSCAPE,
    names: tuple[str, ...] = NAMES,
    title: str = TITLE,
    scale: str = SCALE,
    captions: tuple[str, ...] = ("tabby · 61.0%",),
    width: int = WIDTH,
) -> Figure:
    """Make a figure of plain panels, numbered from 1; a source above them is number 0."""
    sizes = panel_sizes(
        [picture] * rows, columns, headings=headings, scale=scale, source=above, captions=len(captions), width=width
    )

    def plain(number: int, size: tuple[int, int]) -> np.ndarray:
        return np.broadcast_to(colour(number), (*size, 3)).copy()

    panels = tuple(
        tuple(
            Panel(
                plain(1 + row * columns + column, sizes.rows[row]), "" if row else names[column % len(names)], captions
            )
            for column in range(columns)
        )
        for row in range(rows)
    )
    source = Panel(plain(0, sizes.source), "Input", captions * 3) if above else None
    return Figure(title, panels, headings, TABLE, source, scale)


def drawn(figure: Figure, width: int | None = WIDTH) -> np.ndarray:
    return draw.pixels(draw.page(figure, width=width))


def place(pixels: np.ndarray, number: int) -> tuple[int, int, int, int]:
    """Return left, top, right, bottom of a panel, all of whose pixels must be there."""
    found = cv2.inRange(pixels, colour(number), colour(number))
    left, top, width, height = cv2.boundingRect(found)
    assert cv2.countNonZero(found) == width * height > 0
    return left, top, left + width, top + height


@pytest.mark.parametrize(
    "picture",
    [LANDSCAPE, *(pytest.param(each, marks=pytest.mark.slow) for each in (PORTRAIT, (60, 600), (900, 100)))],
    ids=str,
)
@pytest.mark.parametrize("layout", LAYOUTS, ids=lambda layout: f"{layout[0]}x{layout[1]}")
def test_panels_are_as_they_were_and_the_figure_is_as_wide_as_asked(layout, picture):
    rows, columns, above, _ = layout
    figure = figure_of(*layout, picture=picture)
    pixels = drawn(figure)
    assert pixels.dtype == np.uint8
    assert pixels.shape[1] == WIDTH
    height, width = figure.rows[0][0].pixels.shape[:2]
    grid = np.array([place(pixels, 1 + number) for number in range(rows * columns)]).reshape(rows, columns, 4)
    assert (grid[..., 2] - grid[..., 0] == width).all()
    assert (grid[..., 3] - grid[..., 1] == height).all()
    assert (grid[:, :, 0] == grid[0, :, 0]).all()
    assert (grid[:, :1, 1] == grid[:, :, 1]).all()
    assert len(set(np.diff(grid[0, :, 0]).tolist())) <= 1
    if above:
        left, top, _, bottom = place(pixels, 0)
        assert left == grid[0, 0, 0]
        assert top < bottom < grid[0, 0, 1]
    edge = 10
    for border in (pixels[:edge], pixels[-edge:], pixels[:, :edge], pixels[:, -edge:]):
        assert (border == 255).all()


@pytest.mark.parametrize("columns", [1, 2, 3, 4])
def test_few_panels_fill_the_width(columns):
    """The content itself, not only the paper; a tall picture ends where a page does."""
    figure = figure_of(1, columns, headings=("",))
    pixels = drawn(figure)
    if columns > 1:
        assert np.flatnonzero((pixels < 250).any(axis=(0, 2)))[[0, -1]] == pytest.approx([18, WIDTH - 18], abs=20)
    assert drawn(figure_of(1, columns, headings=("",), picture=(900, 100))).shape[0] <= 9.3 * 300


def test_many_rows_fit_on_a_page_and_many_columns_on_the_paper():
    assert drawn(figure_of(6, 2, False, NAMES)).shape[0] <= 9.3 * 300
    sizes = panel_sizes([LANDSCAPE], 500)
    assert sizes.rows == ((1, 1),)


@pytest.mark.parametrize("text", ["", "gjpqÄ|$_^", LONG])
def test_texts_stay_in_their_places(text):
    layout = (2, 3, True, (text, text))
    figure = figure_of(*layout, names=(text,), title=text, scale=text, captions=(text, text))
    pixels = drawn(figure)
    for number in range(7):
        place(pixels, number)  # nothing is written over it
    boxes = [place(pixels, number) for number in (1, 2, 3)]
    ink = pixels.min(axis=2) < 250
    for box, after in itertools.pairwise(boxes):
        assert not ink[box[1] - 30 :, box[2] + 2 : after[0] - 2].any()
    assert (pixels[:, :8] == 255).all()
    assert (pixels[:, -8:] == 255).all()


@pytest.mark.parametrize("layout", LAYOUTS[:3], ids=lambda layout: f"{layout[0]}x{layout[1]}")
def test_the_colour_bar_is_the_table_over_all_rows(layout):
    pixels = drawn(figure_of(*layout))
    rows, columns = layout[:2]
    _, top, right, _ = place(pixels, columns)
    bottom = place(pixels, rows * columns)[3]
    bar = pixels[top : bottom + 1, right + 20 : right + 110]
    column = np.flatnonzero((bar[5:-5, :, 2] == 200).mean(axis=0) > 0.95)
    colours = bar[4:-4, column[len(column) // 2]]
    assert (np.diff(colours[:, 0].astype(int)) <= 0).all()
    assert colours[0, 0] > 245
    assert colours[-1, 0] < 10


def test_a_smaller_type_is_better_than_a_broken_line():
    one = "Element-wise Grad-CAM"
    figure = figure_of(1, 4, headings=("",), names=(one,))
    (texts,) = {tuple(text.get_text() for text in draw.page(figure, width=WIDTH).texts if text.get_text() == one)}
    assert texts == (one,) * 4


def test_pdf_has_its_type_inside():
    data = draw.as_pdf(draw.page(figure_of(), width=WIDTH), {"Title": "é", "Subject": "{}", "Creator": "gradcam"})
    assert data.startswith(b"%PDF")
    assert data.count(b"/FontFile2") == 2  # regular and bold, TrueType
    assert b"/Type3" not in data
    assert b"/ToUnicode" in data
    box = re.search(rb"/MediaBox \[ 0 0 ([\d.]+) ([\d.]+) \]", data)
    assert float(box[1]) == pytest.approx(WIDTH / 300 * 72, abs=0.01)


@pytest.mark.skipif(shutil.which("pdftotext") is None, reason="pdftotext is not installed")
def test_words_of_a_pdf_can_be_selected_and_pictures_are_exact(tmp_path):
    rng = np.random.default_rng(0)
    figure = figure_of(1, 2, headings=("",))
    noisy = tuple(replace(panel, pixels=rng.integers(0, 256, panel.pixels.shape, np.uint8)) for panel in figure.rows[0])
    figure = replace(figure, rows=(noisy,))
    path = tmp_path / "a.pdf"
    path.write_bytes(draw.as_pdf(draw.page(figure, width=WIDTH), {}))
    words = subprocess.run(["pdftotext", path, "-"], capture_output=True, text=True, check=True).stdout
    for text in (TITLE, "Grad-CAM", "Grad-CAM++", "tabby · 61.0%", "each map from"):
        assert text in words
    fonts = subprocess.run(["pdffonts", path], capture_output=True, text=True, check=True).stdout.splitlines()[2:]
    assert len(fonts) == 2
    assert all("DejaVuSans" in line and "CID TrueType" in line for line in fonts)
    subprocess.run(["pdfimages", "-png", path, tmp_path / "i"], check=True)
    # Matplotlib stores them upside down, and a matrix turns them.
    found = [cv2.imread(str(each))[::-1, :, ::-1] for each in sorted(tmp_path.glob("i*.png"))]
    for panel in noisy:
        assert any(each.shape == panel.pixels.shape and (each == panel.pixels).all() for each in found)


def test_svg_has_words_a_font_and_pictures():
    figure = figure_of(title="a < b & 'c' $x_1$")
    data = draw.as_svg(draw.page(figure, width=WIDTH), {"Title": "t & <u>", "Subject": "{}", "Creator": "gradcam"})
    root = ElementTree.fromstring(data)
    space = "{http://www.w3.org/2000/svg}"
    texts = [each.text for each in root.iter(f"{space}text")]
    assert {"a < b & 'c' $x_1$", "Grad-CAM", "tabby · 61.0%"} <= set(texts)
    images = list(root.iter(f"{space}image"))
    assert len(images) == 7  # six panels and the colour bar
    assert float(root.get("width").removesuffix("pt")) == pytest.approx(WIDTH / 300 * 72, abs=0.01)
    faces = re.findall(r"font-weight:(\w+);src:url\(data:font/ttf;base64,([^)]*)\)", data.decode())
    known = {weight: TTFont(io.BytesIO(base64.b64decode(font))).getBestCmap() for weight, font in faces}
    assert set(known) == {"normal", "bold"}
    assert {ord(letter) for letter in "".join(texts)} <= set(known["normal"]) | set(known["bold"])
    assert {ord(letter) for letter in TITLE[0] + "Grad-CAM++"} - set(known["bold"]) <= {ord("s")}


@pytest.mark.parametrize("encode", [draw.as_pdf, draw.as_svg])
def test_equal_figures_give_equal_bytes_and_metadata_is_as_given(encode):
    first, second, other = (
        encode(draw.page(figure_of(1, 2, headings=("",)), width=WIDTH), about)
        for about in ({"Title": "x"}, {"Title": "x"}, {})
    )
    assert first == second != other
    assert b"Matplotlib" not in other


def test_texts_without_a_font_are_found():
    assert lacking("Grad-CAM · Ä × … −") == ""
    assert lacking("\U0001fae0a") == "\U0001fae0"


def test_widths_are_those_that_are_drawn():
    figure = figure_of(1, 1, headings=("",), title="Wide title", scale="", captions=(), names=("",))
    pixels = drawn(figure)
    _, top, _, _ = place(pixels, 1)
    columns = np.flatnonzero((pixels[: top - 5] < 128).any(axis=(0, 2)))
    assert (columns[-1] - columns[0]) * 72 / 300 == pytest.approx(text_width("Wide title", 9, bold=True), abs=1)


def test_the_last_row_may_be_shorter():
    figure = figure_of(2, 3)
    short = replace(figure, rows=(figure.rows[0], figure.rows[1][:1]))
    whole, part = drawn(figure), drawn(short)
    assert whole.shape == part.shape
    gone = (whole != part).any(axis=2)
    assert (part[gone] == 255).all()


def test_figures_that_do_not_fit_together():
    figure = figure_of(1, 2, headings=("",))
    row = figure.rows[0]
    for rows, headings in (((), ()), ((row[:1], row), ("", "")), ((row,), ("", ""))):
        with pytest.raises(ValueError, match="row"):
            Figure("", rows, headings, TABLE)
    with pytest.raises(ValueError, match="different sizes"):
        Figure("", ((row[0], Panel(row[1].pixels[1:])),), ("",), TABLE)


def test_a_low_rows_heading_is_not_cut_and_not_met_by_the_next():
    headings = ("features.11", "features.12", "features.13")
    figure = figure_of(3, 3, True, headings, picture=(30, 900), captions=())
    page = draw.page(figure, width=WIDTH)
    assert set(headings) <= {text.get_text() for text in page.texts}
    pixels = draw.pixels(page)
    boxes = [place(pixels, number) for number in (1, 4, 7)]
    ink = (pixels[:, 15 : boxes[0][0] - 3].min(axis=2) < 128).any(axis=1)
    for box, after in itertools.pairwise(boxes):
        assert ink[box[1] : box[1] + 60].any()
        assert not ink[after[1] - 10 : after[1]].any()


def test_the_users_own_settings_of_matplotlib_change_nothing():
    figure = figure_of(1, 2, headings=("",))
    usual = drawn(figure), draw.as_svg(draw.page(figure, width=WIDTH), {})
    others = {
        "image.origin": "lower", "figure.constrained_layout.use": True, "svg.fonttype": "path", "axes.grid": True,
        "font.size": 30, "path.sketch": (5, 50, 2), "image.interpolation": "bicubic",
    }  # fmt: skip
    with mpl.rc_context(others):
        own = drawn(figure), draw.as_svg(draw.page(figure, width=WIDTH), {})
        assert mpl.rcParams["image.origin"] == "lower"
    np.testing.assert_array_equal(own[0], usual[0])
    assert own[1] == usual[1]


def test_a_page_keeps_its_resolution_whatever_is_written_first():
    page = draw.page(figure_of(1, 2, headings=("",)), width=WIDTH)
    before = draw.pixels(page)
    draw.as_pdf(page, {})
    draw.as_svg(page, {})
    np.testing.assert_array_equal(draw.pixels(page), before)
