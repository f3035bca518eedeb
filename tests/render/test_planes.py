"""Blending on planes equals blending in RGB, converted by somebody else."""

from __future__ import annotations

import cv2
import numpy as np
import pytest

from gradcam_cli.render.colormap import colormap
from gradcam_cli.render.overlay import overlay
from gradcam_cli.render.planes import colour_tables, grayscale_planes, heatmap_planes, overlay_planes, to_yuv


def test_primaries_are_bt709s():
    """The values of 100 % colour bars in BT.709, as published for test signals."""
    colours = np.array([[255, 255, 255], [0, 0, 0], [255, 0, 0], [0, 255, 0], [0, 0, 255]], np.uint8)
    expected = [[235, 128, 128], [16, 128, 128], [63, 102, 240], [173, 42, 26], [32, 240, 118]]
    np.testing.assert_array_equal(to_yuv(colours), expected)


@pytest.fixture
def smooth() -> np.ndarray:
    rows, columns = np.mgrid[0:64, 0:96]
    return np.rint(127 + 127 * np.sin(rows / 20) * np.cos(columns / 30)).astype(np.uint8)


@pytest.fixture
def picture() -> np.ndarray:
    """Chroma varies slowly, so that halving it loses little."""
    rows, columns = np.mgrid[0:64, 0:96]
    return np.stack([127 + 90 * np.sin(rows / a + columns / b) for a, b in ((40, 50), (45, 60), (50, 70))], 2).astype(
        np.uint8
    )


def planes_of(pixels: np.ndarray):
    yuv = to_yuv(pixels)
    half = (pixels.shape[1] // 2, pixels.shape[0] // 2)
    u, v = (cv2.resize(np.ascontiguousarray(yuv[..., k]), half, interpolation=cv2.INTER_AREA) for k in (1, 2))
    return np.ascontiguousarray(yuv[..., 0]), u, v


@pytest.mark.parametrize("by_intensity", [False, True])
@pytest.mark.parametrize("alpha", [0.0, 0.4, 1.0])
@pytest.mark.parametrize("name", ["jet", "viridis"])
def test_overlay_equals_the_one_in_rgb(picture, smooth, name, alpha, by_intensity):
    table = colormap(name)
    expected = planes_of(overlay(picture, smooth, table, alpha=alpha, by_intensity=by_intensity))
    found = overlay_planes(planes_of(picture), smooth, colour_tables(table), alpha=alpha, by_intensity=by_intensity)
    for mine, theirs in zip(found, expected, strict=True):
        difference = np.abs(mine.astype(int) - theirs)
        assert difference.mean() < 1
        assert np.percentile(difference, 99) <= 4


def test_heatmap_and_grayscale(smooth):
    table = colormap("viridis")
    y, _, _ = heatmap_planes(smooth, colour_tables(table))
    np.testing.assert_array_equal(y, to_yuv(table[smooth])[..., 0])
    y, u, v = grayscale_planes(smooth)
    assert (y.min(), y.max()) == (16, to_yuv(np.full((1, 3), smooth.max(), np.uint8))[0, 0])
    assert (u == 128).all()
    assert u.shape == v.shape == (32, 48)
