"""Colours and blending, against plain float arithmetic."""

from __future__ import annotations

import cv2
import numpy as np
import pytest

from gradcam_cli.errors import UsageError
from gradcam_cli.render.colormap import COLORMAPS, check_colormap, colormap
from gradcam_cli.render.overlay import heatmap, mark_unseen, overlay


def test_names_are_opencvs():
    assert set(COLORMAPS) == {name[9:].lower() for name in dir(cv2) if name.startswith("COLORMAP_")}


@pytest.mark.parametrize("name", COLORMAPS)
def test_tables_are_opencvs_in_rgb(name):
    table = colormap(name)
    assert (table.shape, table.dtype) == ((256, 3), np.uint8)
    bgr = cv2.applyColorMap(np.array([[0, 77, 255]], np.uint8), getattr(cv2, f"COLORMAP_{name.upper()}"))
    np.testing.assert_array_equal(table[[0, 77, 255]], bgr[0, :, ::-1])


def test_jet_goes_from_blue_to_red():
    cold, hot = colormap("jet")[0], colormap("jet")[-1]
    assert cold[2] > 100 > cold[0]
    assert hot[0] > 100 > hot[2]


def test_unknown_colormap():
    assert check_colormap("Twilight-Shifted") == "twilight_shifted"
    with pytest.raises(UsageError) as caught:
        check_colormap("virdis")
    assert "viridis" in caught.value.hint


@pytest.fixture
def gray(photo) -> np.ndarray:
    return np.ascontiguousarray(photo[:, :, 1])


def test_heatmap_is_the_table(gray):
    table = colormap("viridis")
    np.testing.assert_array_equal(heatmap(gray, table), table[gray])


@pytest.mark.parametrize("alpha", [0.0, 0.3, 0.5, 1.0])
def test_alpha_is_the_heatmaps_weight(photo, gray, alpha):
    table = colormap("jet")
    expected = (1 - alpha) * photo + alpha * table[gray].astype(np.float64)
    blended = overlay(photo, gray, table, alpha=alpha)
    assert np.abs(blended - expected).max() <= 0.5 + 1e-4


def test_alpha_by_intensity_leaves_cold_regions(photo, gray):
    table = colormap("jet")
    weight = 0.8 * gray[:, :, None] / 255
    expected = (1 - weight) * photo + weight * table[gray]
    blended = overlay(photo, gray, table, alpha=0.8, by_intensity=True)
    assert np.abs(blended - expected).max() <= 0.5 + 1e-3
    cold = np.zeros_like(gray)
    np.testing.assert_array_equal(overlay(photo, cold, table, alpha=0.8, by_intensity=True), photo)


def test_strips_cover_every_row():
    pixels = np.full((200, 7, 3), 200, np.uint8)
    gray = np.zeros((200, 7), np.uint8)
    for by_intensity in (False, True):
        blended = overlay(pixels, gray, colormap("bone"), alpha=0.5, by_intensity=by_intensity)
        assert (blended == blended[0]).all()


def test_unseen_is_marked_and_the_rest_is_not(photo):
    marked = mark_unseen(photo, (20, 0, 70, 60), "dark")
    np.testing.assert_array_equal(marked[:, 20:70], photo[:, 20:70])
    outside = np.concatenate([marked[:, :20], marked[:, 70:]], axis=1)
    assert (outside[..., 0] == outside[..., 1]).all()
    assert outside.mean() < 0.6 * photo.mean()
    assert photo.shape == marked.shape
    pale = mark_unseen(photo, (20, 0, 70, 60))
    np.testing.assert_array_equal(pale[:, 20:70], photo[:, 20:70])
    assert np.concatenate([pale[:, :20], pale[:, 70:]], axis=1).min() > 120
