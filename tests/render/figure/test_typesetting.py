"""Lines that are set together: where they break, their common size."""

from __future__ import annotations

import pytest

from gradcam_cli.render.figure.fonts import text_width
from gradcam_cli.render.figure.typesetting import Block, common_size, set_alike, shortened, wrapped

SIZE = 8


def around(text: str) -> float:
    """Return a room that takes this text, and hardly more."""
    return text_width(text, SIZE) + 0.5


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
        (line,) = wrapped(text, SIZE, around(text) - 3)
        assert len(line) < len(text)


def test_what_does_not_fit_is_cut_in_its_last_line():
    room = around("Egyptian cat with")
    lines = wrapped("Egyptian cat with a name that has no end at all · 61.0%", SIZE, room)
    assert len(lines) == 2
    assert lines[0] == "Egyptian cat with"
    assert lines[1].endswith("… · 61.0%")
    assert max(text_width(line, SIZE) for line in lines) <= room
    (line,) = wrapped("x" * 90 + " y", SIZE, room)
    assert line.endswith("…")
    assert wrapped("tabby cat", SIZE, 3) == ()


def test_one_size_for_all_that_is_no_smaller_than_needed():
    texts = ["cat", "a rather long class name"]
    room = text_width(texts[1], 7)
    assert common_size(texts, SIZE, 6, room) == (7, 1)
    assert common_size(texts[:1], SIZE, 6, room) == (SIZE, 1)
    assert common_size(["x" * 99], SIZE, 6, room) == (6, 1)
    blocks = set_alike([["cat", " ", "b\nc"], texts[1:], []], SIZE, 6, room, lines=1)
    assert [block.lines for block in blocks] == [("cat", r"b\nc"), (texts[1],), ()]
    assert {block.size for block in blocks} == {7}


def test_lines_are_broken_only_where_the_least_size_does_not_do():
    text = "Element-wise Grad-CAM"
    (whole,) = set_alike([[text]], 8, 6, text_width(text, 6.5))
    assert (whole.lines, whole.size) == ((text,), 6.5)
    (broken,) = set_alike([[text]], 8, 6, text_width(text, 5))
    assert (broken.lines, broken.size) == (("Element-wise", "Grad-CAM"), 8)


def test_bold_type_is_wider_and_measured_as_such():
    assert text_width("Grad-CAM", 8, bold=True) > text_width("Grad-CAM", 8)
    assert shortened("Grad-CAM", 8, text_width("Grad-CAM", 8), bold=True).endswith("…")


def test_blocks_know_their_size():
    assert (Block((), SIZE).height, Block((), SIZE).width) == (0, 0)
    block = Block(("Hgjp", "tabby cat"), SIZE)
    assert block.width == text_width("tabby cat", SIZE)
    lines = list(block.baselines())
    assert [line for line, _ in lines] == ["Hgjp", "tabby cat"]
    assert 0 < lines[0][1] < lines[1][1] < block.height
