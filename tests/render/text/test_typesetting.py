"""Lines that are set together: where they break, their common size, drawn level and upright."""

from __future__ import annotations

import numpy as np
import pytest

from gradcam_cli.render.text.lettering import text_width
from gradcam_cli.render.text.typesetting import Block, common_size, set_alike, wrapped

SIZE = 30


def around(text: str) -> int:
    """Return a room that takes this text, and hardly more."""
    return text_width(text, SIZE) + 2


@pytest.mark.parametrize(
    ("text", "room", "lines"),
    [
        ("tiger cat 42.1 %", "tiger cat 42.1 %", ("tiger cat 42.1 %",)),
        ("tiger cat 42.1 %", "tiger cat 42", ("tiger cat", "42.1 %")),
        ("Score-CAM features.12", "features.12", ("Score-CAM", "features.12")),
        ("features.denseblock4", "denseblock4", ("features.", "denseblock4")),
        ("layer4.2.conv3", "layer4.2.", ("layer4.2.", "conv3")),
        ("Ablation-CAM", "Ablation-", ("Ablation-", "CAM")),
        ("resnet50 · layer4 · tabby", "resnet50 · layer4", ("resnet50", "layer4 · tabby")),
        ("", "x", ()),
    ],
)
def test_where_lines_end(text, room, lines):
    assert wrapped(text, SIZE, around(room)) == lines


def test_lines_are_of_even_length():
    first, second = wrapped("one two three four five six", SIZE, around("one two three four five"))
    assert (first, second) == ("one two three", "four five six")


def test_numbers_are_not_broken():
    for text in ("42.1 %", "-0.5", "0.25"):
        (line,) = wrapped(text, SIZE, around(text) - 8)
        assert len(line) < len(text)


def test_what_does_not_fit_is_cut_in_its_last_line():
    room = around("Egyptian cat with")
    lines = wrapped("Egyptian cat with a name that has no end at all 61 %", SIZE, room)
    assert len(lines) == 2
    assert lines[0] == "Egyptian cat with"
    assert lines[1].endswith("… 61 %")
    assert max(text_width(line, SIZE) for line in lines) <= room
    (line,) = wrapped("x" * 90 + " y", SIZE, room)
    assert line.endswith("…")
    assert wrapped("tabby cat", SIZE, 3) == ()


def test_one_size_for_all_that_is_no_smaller_than_needed():
    texts = ["cat", "a rather long class name"]
    room = text_width(texts[1], 25)
    size = common_size(texts, SIZE, 20, room)
    assert text_width(texts[1], size) <= room < text_width(texts[1], size + 1)
    assert common_size(texts[:1], SIZE, 20, room) == SIZE
    assert common_size(["x" * 99], SIZE, 20, room) == 20
    blocks = set_alike([["cat", " ", "b\nc"], texts[1:], []], SIZE, 20, room, lines=1)
    assert [block.lines for block in blocks] == [("cat", r"b\nc"), (texts[1],), ()]
    assert {block.size for block in blocks} == {size}


def drawn_box(pixels: np.ndarray) -> tuple[int, int, int, int]:
    """Left, top, right, bottom of what is not white."""
    rows, columns = np.nonzero(pixels.min(axis=2) < 255)
    return columns.min(), rows.min(), columns.max() + 1, rows.max() + 1


def test_blocks_keep_to_their_place():
    block = Block(("Hgjp", "tabby cat gjp"), SIZE)
    pixels = np.full((200, 400, 3), 255, np.uint8)
    block.draw(pixels, 40, 30, 300)
    left, top, right, bottom = drawn_box(pixels)
    assert left - 40 == pytest.approx(340 - right, abs=4)
    assert right - left == pytest.approx(block.width, abs=4)
    assert top == pytest.approx(30, abs=3)
    assert bottom == pytest.approx(30 + block.height, abs=4)


def test_upright_blocks_are_the_same_turned():
    block = Block(("ÄHgjp|", "tabby cat"), SIZE)
    level = np.full((block.height + 16, 316, 3), 255, np.uint8)
    block.draw(level, 8, 8, 300)
    upright = np.full((400, 200, 3), 255, np.uint8)
    block.draw_upright(upright, 50, 20, 300)
    np.testing.assert_array_equal(upright[12:328, 42 : 58 + block.height], np.rot90(level))
    assert (upright[:, :42] == 255).all()


def test_no_lines_draw_nothing():
    pixels = np.full((50, 50, 3), 255, np.uint8)
    block = Block((), SIZE)
    assert (block.height, block.width) == (0, 0)
    block.draw(pixels, 0, 0)
    block.draw_upright(pixels, 0, 0, 50)
    assert (pixels == 255).all()
