"""Looks: what they set, and that ``classic`` is the look of 0.1, bit by bit."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest

import gradcam_cli
from gradcam_cli.errors import UsageError
from gradcam_cli.media.image.read import read_picture
from gradcam_cli.pipeline.render_settings import LOOKS, RenderSettings, looking

SAMPLES = Path(__file__).resolve().parents[2] / "sample_images"


def test_looks_and_what_is_given_instead():
    assert looking() == RenderSettings() == LOOKS["clear"]
    assert looking("classic") == LOOKS["classic"]
    mixed = looking("classic", colormap="Viridis", alpha=0, alpha_by_intensity=True, normalize="p99")
    assert (mixed.colormap, mixed.alpha, mixed.by_intensity, mixed.normalize) == ("viridis", 0, True, "p99")
    assert mixed.unseen == "dark"
    for wrong in (
        {"look": "nope"},
        {"contours": (1.0,)},
        {"contours": (float("nan"),)},
        {"normalize": "p0"},
        {"upsample": "nope"},
    ):
        with pytest.raises(UsageError):
            looking(**wrong)


@pytest.mark.parametrize("fit", ["whole", "crop"])
@pytest.mark.parametrize("method", ["gradcam", "gradient"])
def test_classic_is_the_look_of_0_1(fit, method):
    """By the formulas of 0.1, written out: min-max, jet, half and half, the unseen part dark with light lines."""
    shown = gradcam_cli.explain(SAMPLES / "cat.jpg", model="tiny", fit=fit, method=method, look="classic")
    picture = read_picture(SAMPLES / "cat.jpg", "cat.jpg").pixels
    gray, (left, top, right, bottom) = shown.grayscale, shown.saliency.seen_box
    seen = np.zeros(gray.shape, bool)
    seen[top:bottom, left:right] = True
    assert (gray[seen].min(), gray[seen].max()) == (0, 255)
    jet = cv2.applyColorMap(gray, cv2.COLORMAP_JET)[..., ::-1]
    half = cv2.addWeighted(picture, 0.5, np.ascontiguousarray(jet), 0.5, 0)
    rows, columns = np.indices(gray.shape)
    for found, plain in ((shown.heatmap, jet), (shown.overlay, half)):
        np.testing.assert_array_equal(found[seen], plain[seen])
        dark = plain.mean(axis=2) * 0.35 + 40 * ((rows + columns) % 12 == 0)
        np.testing.assert_allclose(found[~seen], np.rint(dark)[~seen][:, None] * [1, 1, 1], atol=1)
    assert (fit == "crop") == (not seen.all())


def test_the_default_leaves_cold_regions_as_they_are():
    shown = gradcam_cli.explain(SAMPLES / "cat.jpg", model="tiny")
    cold = shown.grayscale == 0
    assert cold.any()
    np.testing.assert_array_equal(shown.overlay[cold], shown.pixels[cold])
    assert (shown.overlay[shown.grayscale == 255] != shown.pixels[shown.grayscale == 255]).any()


def test_contours_replace_the_heatmap():
    shown = gradcam_cli.explain(SAMPLES / "cat.jpg", model="tiny", contours=[0.5])
    changed = (shown.overlay != shown.pixels).any(axis=2)
    assert 0 < changed.mean() < 0.06
    assert (np.abs(shown.grayscale[changed].astype(int) - 127) < 60).all()


def test_bicubic_is_for_what_is_shown_alone():
    plain = gradcam_cli.explain(SAMPLES / "cat.jpg", model="tiny")
    smooth = gradcam_cli.explain(SAMPLES / "cat.jpg", model="tiny", upsample="bicubic")
    np.testing.assert_array_equal(plain.map, smooth.map)
    np.testing.assert_array_equal(plain.grayscale, smooth.grayscale)
    assert (plain.heatmap != smooth.heatmap).any()
    assert (plain.overlay != smooth.overlay).any()
