"""Scaling by percentiles, against NumPy over the pixels of the input that show the picture."""

from __future__ import annotations

import numpy as np
import pytest

from gradcam_cli.errors import UsageError
from gradcam_cli.records import Geometry
from gradcam_cli.render.saliency import SaliencyMap
from gradcam_cli.render.scale import (
    check_normalization,
    clipped_range,
    described,
    normalization_for,
    percentile,
    seen_cells,
)

WHOLE = Geometry("whole", (61, 83), (32, 48), (0, 0), (32, 48))
PAD = Geometry("pad", (61, 83), (24, 32), (-4, 0), (32, 32))


@pytest.fixture
def specks():
    """Return a map of pixels of which a few are a hundred times as large as the others."""
    rng = np.random.default_rng(0)
    values = rng.random((32, 48), np.float32)
    values.flat[rng.choice(values.size, 8, replace=False)] = 100
    return values


def test_names():
    assert check_normalization(" P99.5 ") == "p99.5"
    assert [percentile(name) for name in ("p99", "p99.5", "p50", "p100", "p5", "minmax", "p")] == [
        99, 99.5, None, None, None, None, None,
    ]  # fmt: skip
    for wrong in ("p50", "p100", "99", "pp99", "nope", ""):
        with pytest.raises(UsageError, match="normalisation"):
            check_normalization(wrong)
    assert described("p99") == "each map up to its 99th percentile"


def test_auto_is_a_percentile_for_maps_of_pixels_alone():
    assert normalization_for("auto", (32, 48), WHOLE) == "p99"
    assert normalization_for("auto", (4, 6), WHOLE) == "minmax"
    assert normalization_for("max", (32, 48), WHOLE) == "max"


def test_a_few_specks_do_not_hide_the_rest(specks):
    shown = {way: SaliencyMap(specks, WHOLE, way) for way in ("auto", "minmax", "p99")}
    low, high = specks.min(), np.percentile(specks, 99)
    assert shown["auto"].scale == shown["p99"].scale == pytest.approx((low, high))
    assert shown["minmax"].bytes().mean() < 10 < 100 < shown["auto"].bytes().mean()
    assert shown["auto"].array().max() == 1
    plain = SaliencyMap(specks, WHOLE, "none").array()
    np.testing.assert_allclose(shown["auto"].array(), np.clip((plain - low) / (high - low), 0, 1), atol=1e-5)


def test_the_size_of_the_results_does_not_change_the_scale(specks):
    assert SaliencyMap(specks, WHOLE).scale == SaliencyMap(specks, WHOLE.for_source((610, 830))).scale


def test_padding_does_not_count():
    values = np.random.default_rng(0).random((32, 32), np.float32)
    values[:4] = values[-4:] = 50
    np.testing.assert_array_equal(seen_cells(values, PAD), values[4:-4])
    assert SaliencyMap(values, PAD, "p99").scale[1] < 1


def test_a_map_that_is_nearly_all_zero_is_scaled_by_its_maximum():
    values = np.zeros((32, 48), np.float32)
    values[3, 4] = 7
    assert clipped_range(values, 99) == (0, 7)
    assert SaliencyMap(values, WHOLE, "p99").bytes().max() > 100
    assert SaliencyMap(np.zeros((32, 48), np.float32), WHOLE, "p99").bytes().max() == 0
