"""Iso-lines: where they run, and that nothing else changes."""

from __future__ import annotations

import numpy as np
import pytest

from gradcam_cli.render.colormap import colormap
from gradcam_cli.render.contours import draw_contours

TABLE = colormap("turbo")


@pytest.fixture
def ramp():
    """Return a map that rises from left to right."""
    return np.repeat(np.arange(256, dtype=np.uint8)[None], 200, axis=0)


@pytest.fixture
def paper():
    return np.full((200, 256, 3), 200, np.uint8)


@pytest.mark.parametrize("level", [0.25, 0.5, 0.75])
def test_a_line_runs_where_the_map_has_its_level(ramp, paper, level):
    drawn = draw_contours(paper, ramp, (level,), TABLE)
    columns = np.flatnonzero((drawn != paper).any(axis=(0, 2)))
    assert columns.mean() == pytest.approx(level * 255, abs=1)
    assert len(columns) <= 8  # antialiased
    assert (paper == 200).all()


def test_lines_of_several_levels(ramp, paper):
    drawn = draw_contours(paper, ramp, (0.75, 0.25), TABLE)
    changed = (drawn != paper).any(axis=(0, 2))
    assert changed[64]
    assert changed[191]
    assert not changed[100:150].any()


def test_flat_maps_have_no_lines(paper):
    for value in (0, 127, 128, 255):
        np.testing.assert_array_equal(
            draw_contours(paper, np.full((200, 256), value, np.uint8), (0.5, 128 / 255), TABLE), paper
        )


def test_thickness_grows_with_the_picture(ramp):
    wide = np.repeat(np.repeat(ramp, 5, axis=0), 5, axis=1)
    drawn = draw_contours(np.full((*wide.shape, 3), 200, np.uint8), wide, (0.5,), TABLE)
    assert 5 <= (drawn != 200).any(axis=2)[500].sum() <= 16
    np.testing.assert_array_equal(drawn[500, 128 * 5], TABLE[128])
    assert (drawn[500] == 0).all(axis=1).any()


def test_pictures_of_one_pixel():
    for shape in ((1, 1), (1, 9), (2, 2)):
        drawn = draw_contours(np.zeros((*shape, 3), np.uint8), np.zeros(shape, np.uint8), (0.5,), TABLE)
        assert drawn.shape == (*shape, 3)
