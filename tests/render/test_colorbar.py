"""The colour bar beside a picture: its colours, its marks, its place."""

from __future__ import annotations

import numpy as np
import pytest

from gradcam_cli.render.colorbar import colorbar_strip
from gradcam_cli.render.colormap import colormap


@pytest.mark.parametrize("size", [(1, 1), (5, 300), (30, 40), (300, 451), (1080, 1920)])
def test_it_is_as_high_as_the_picture_and_even_in_width(size):
    strip = colorbar_strip(size, "turbo")
    assert strip.shape[0] == size[0]
    assert strip.shape[1] % 2 == 0
    assert strip is colorbar_strip(size, "turbo")
    assert not strip.flags.writeable


def test_its_colours_are_the_colormaps_hot_at_the_top():
    strip = colorbar_strip((600, 800), "viridis")
    bar = strip[:, 13 + 5]
    column = bar[bar.any(axis=1)]
    assert len(column) == 600 - 2 * 13
    np.testing.assert_array_equal(column[[0, -1]], colormap("viridis")[[255, 0]])
    assert {tuple(colour) for colour in column.tolist()} == {tuple(colour) for colour in colormap("viridis").tolist()}


def test_numbers_stand_beside_its_ends_and_middle():
    strip = colorbar_strip((600, 800), "jet")
    ink = (strip[:, 2 * 13 + 27 :] > 90).any(axis=(1, 2))
    groups = np.flatnonzero(np.diff(np.concatenate([[0], ink, [0]])))
    assert len(groups) == 6
    assert groups[0] < 40
    assert groups[-1] > 560
    assert not colorbar_strip((12, 800), "jet")[:, 20:].any()  # no room for numbers
