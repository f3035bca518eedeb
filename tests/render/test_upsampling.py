"""Bicubic refinement, against Pillow's."""

from __future__ import annotations

import numpy as np
import pytest
from PIL import Image

from gradcam_cli.records import Geometry
from gradcam_cli.render.saliency import SaliencyMap
from gradcam_cli.render.upsampling import refined

WIDE = Geometry("whole", (400, 600), (64, 96), (0, 0), (64, 96))


@pytest.fixture
def values():
    return np.random.default_rng(1).random((8, 12), np.float32)


def test_equals_pillows_within_the_border(values):
    finer = refined(values, (64, 96))
    assert finer.shape == (64, 96)
    pillow = np.asarray(Image.fromarray(values).resize((96, 64), Image.Resampling.BICUBIC))
    inside = np.s_[16:-16, 16:-16]
    np.testing.assert_allclose(finer[inside], np.clip(pillow, values.min(), values.max())[inside], atol=1e-5)


def test_values_stay_within_the_maps_range_and_constants_stay(values):
    finer = refined(values, (1000, 1000))
    assert finer.min() >= values.min()
    assert finer.max() <= values.max()
    assert (refined(np.full((3, 5), 0.25, np.float32), (99, 99)) == np.float32(0.25)).all()


def test_a_small_picture_needs_no_finer_cells(values):
    np.testing.assert_array_equal(refined(values, (8, 12)), values)
    assert refined(values[:1, :1], (5, 5)).shape == (5, 5)


def test_what_is_shown_is_bicubic_all_the_way_and_the_scale_stays(values):
    plain = SaliencyMap(values, WIDE)
    smooth = plain.smooth()
    low, high = plain.scale
    pillow = np.asarray(Image.fromarray(values).resize((600, 400), Image.Resampling.BICUBIC))
    expected = np.clip((pillow - low) / (high - low), 0, 1)[100:-100, 100:-100]
    away, left = (np.abs(each.array()[100:-100, 100:-100] - expected).max() for each in (plain, smooth))
    assert left < 0.02 < 0.1 < away
    assert smooth.scale == plain.scale
