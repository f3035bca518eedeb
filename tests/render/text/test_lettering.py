"""Letters: what fits, what is cut and what is kept of it, and where they land."""

from __future__ import annotations

import numpy as np
import pytest

from gradcam_cli.render.text.lettering import (
    CAPITALS,
    MEDIUM,
    fitted,
    shortened,
    text_width,
    write,
)


def test_what_is_too_long_is_made_smaller_and_then_cut():
    largest, least, room = 30, 18, 300
    assert fitted("cat", largest, least, room, MEDIUM) == (largest, "cat")
    size, line = fitted("a rather long class name", largest, least, room, MEDIUM)
    assert line == "a rather long class name"
    assert size < largest
    for text, ending in (
        ("hippopotamus " * 20 + " 12 %", "…  12 %"),
        ("hippopotamus " * 20 + "12 %", "… 12 %"),
        ("layer." * 40 + " · 8.1 %", "… · 8.1 %"),
        ("x" * 400, "…"),
    ):
        size, line = fitted(text, largest, least, room, MEDIUM)
        assert size == least
        assert line.endswith(ending)
        assert line.startswith(text[:4])
        assert 0.8 * room < text_width(line, size, MEDIUM) <= room


def test_the_ending_stays_alone_where_there_is_room_for_nothing_else():
    room = text_width("… 61 %", 20)
    assert shortened("tabby cat 61 %", 20, room) == "61 %"
    assert shortened("tabby cat", 20, 5) == ""
    assert shortened("", 20, 5) == ""


def test_heavier_is_wider():
    assert text_width("tabby cat", 30) < text_width("tabby cat", 30, MEDIUM)


@pytest.mark.parametrize("ink", [(0, 0, 0), (200, 30, 90)])
def test_letters_stand_on_their_line_in_their_colour(ink):
    size, ground = 40, 255
    pixels = np.full((120, 400, 3), ground, np.uint8)
    write(pixels, "HÄgjp", (50, 60), size, ink)
    rows, columns = np.nonzero((pixels != ground).any(axis=2))
    assert rows.max() <= 62 + 0.25 * size
    assert rows.min() >= 60 - size
    assert columns.min() >= 48
    assert columns.max() <= 52 + text_width("HÄgjp", size)
    assert (pixels == ink).all(axis=2).any()
    capital = np.full((120, 400, 3), ground, np.uint8)
    write(capital, "H", (50, 60), size, ink)
    rows, _ = np.nonzero((capital < 128).any(axis=2))
    assert rows.max() - rows.min() + 1 == pytest.approx(CAPITALS * size, abs=5)
