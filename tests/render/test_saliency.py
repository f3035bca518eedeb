"""The way back to the source picture, against a pixel-by-pixel oracle in float64, OpenCV and a peer."""

from __future__ import annotations

import math

import cv2
import numpy as np
import pytest

from gradcam_cli.records import Geometry
from gradcam_cli.render.saliency import SaliencyMap

WHOLE = Geometry("whole", (61, 83), (32, 48), (0, 0), (32, 48))
CROP = Geometry("crop", (61, 83), (40, 54), (4, 11), (32, 32))
PAD = Geometry("pad", (61, 83), (24, 32), (-4, 0), (32, 32))
UPSCALED = Geometry("whole", (1, 3), (32, 96), (0, 0), (32, 96))


def oracle(values: np.ndarray, geometry: Geometry) -> np.ndarray:
    """For each source pixel's centre: undo the resize and the window, then interpolate between cells' centres."""
    (height, width), (grid_h, grid_w) = geometry.source, values.shape
    result = np.full((height, width), np.nan)
    for row in range(height):
        for column in range(width):
            y = (row + 0.5) * geometry.resized[0] / height - geometry.offset[0]
            x = (column + 0.5) * geometry.resized[1] / width - geometry.offset[1]
            if not (0 <= y <= geometry.input[0] and 0 <= x <= geometry.input[1]):
                continue
            v = min(max(y * grid_h / geometry.input[0] - 0.5, 0), grid_h - 1)
            u = min(max(x * grid_w / geometry.input[1] - 0.5, 0), grid_w - 1)
            top, left = math.floor(v), math.floor(u)
            bottom, right = min(top + 1, grid_h - 1), min(left + 1, grid_w - 1)
            upper = values[top, left] * (1 - (u - left)) + values[top, right] * (u - left)
            lower = values[bottom, left] * (1 - (u - left)) + values[bottom, right] * (u - left)
            result[row, column] = upper * (1 - (v - top)) + lower * (v - top)
    return result


@pytest.fixture
def values() -> np.ndarray:
    return np.random.default_rng(5).random((4, 6)).astype(np.float32) + 0.2


@pytest.mark.parametrize("geometry", [WHOLE, CROP, PAD, UPSCALED], ids=lambda g: f"{g.fit}{g.source}")
@pytest.mark.parametrize("normalize", ["minmax", "max", "none"])
def test_equals_the_oracle(values, geometry, normalize):
    expected = oracle(values.astype(np.float64), geometry)
    seen = ~np.isnan(expected)
    low = np.nanmin(expected) if normalize == "minmax" else 0.0
    span = (np.nanmax(expected) - low) if normalize != "none" else 1.0
    expected = np.where(seen, (expected - low) / span, 0)
    saliency = SaliencyMap(values, geometry, normalize)
    found = saliency.array()
    assert found.dtype == np.float32
    np.testing.assert_allclose(found, expected, atol=2e-6)
    assert np.abs(saliency.bytes() - np.clip(expected * 255, 0, 255)).max() <= 0.5 + 1e-3
    left, top, right, bottom = saliency.seen_box
    box = np.zeros_like(seen)
    box[top:bottom, left:right] = True
    np.testing.assert_array_equal(box, seen)


def test_equals_opencv_where_opencv_can(values):
    expected = cv2.resize(values, (83, 61), interpolation=cv2.INTER_LINEAR)
    np.testing.assert_allclose(SaliencyMap(values, WHOLE, "none").array(), expected, atol=1e-6)


def test_minmax_reaches_both_ends_of_the_bytes(values):
    for geometry in (WHOLE, CROP, PAD):
        saliency = SaliencyMap(values, geometry)
        left, top, right, bottom = saliency.seen_box
        seen = saliency.bytes()[top:bottom, left:right]
        assert (seen.min(), seen.max()) == (0, 255)


def test_blank_stays_zero():
    for normalize in ("minmax", "max", "none"):
        saliency = SaliencyMap(np.zeros((3, 3), np.float32), WHOLE, normalize)
        assert not saliency.array().any()
        assert not saliency.bytes().any()


def test_one_cell_is_flat():
    assert (SaliencyMap(np.full((1, 1), 0.25, np.float32), WHOLE, "none").array() == 0.25).all()


def test_strips_do_not_show(values):
    """A picture of many strips equals its small self where the pixels' centres coincide (every third)."""
    small = SaliencyMap(values, Geometry("whole", (400, 300), (32, 48), (0, 0), (32, 48)), "none").array()
    large = SaliencyMap(values, Geometry("whole", (1200, 900), (32, 48), (0, 0), (32, 48)), "none").array()
    np.testing.assert_allclose(large[1::3, 1::3], small, atol=1e-6)


@pytest.mark.parametrize("name", ["afghan_hound", "cat_dog", "zebra"])
def test_equals_a_peers_final_map(shared_data, name):
    """pytorch-grad-cam scales before and after upsampling; scaling commutes with interpolation."""
    reference = np.load(shared_data / "reference" / f"{name}.npz")
    target = int(reference["classes"][0])
    raw = np.maximum(reference[f"pgc/features.12/{target}/GradCAM/raw"].squeeze(), 0).astype(np.float32)
    geometry = Geometry("stretch", (224, 224), (224, 224), (0, 0), (224, 224))
    expected = reference[f"pgc/features.12/{target}/GradCAM/scaled"].squeeze()
    np.testing.assert_allclose(SaliencyMap(raw, geometry).array(), expected, atol=1e-4)


def test_a_shared_scale_clips(values):
    expected = np.clip((oracle(values.astype(np.float64), WHOLE) - 0.5) / 0.4, 0, 1)
    assert expected.min() == 0
    assert expected.max() == 1
    saliency = SaliencyMap(values, WHOLE, scale=(0.5, 0.9))
    np.testing.assert_allclose(saliency.array(), expected, atol=2e-6)
    assert np.abs(saliency.bytes() - expected * 255).max() <= 0.5 + 1e-3
