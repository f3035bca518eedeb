"""Colour spaces: against published figures, independent formulas in float64, and zimg where ffmpeg has it."""

from __future__ import annotations

import numpy as np
import pytest

from gradcam_cli.media.colour import pixels
from gradcam_cli.media.colour.hdr import gain, hlg_to_scene, nits_to_pq, pq_to_nits, scene_to_nits
from gradcam_cli.media.colour.spaces import measured_space, space
from tests.media.colour import oracle

SPACES = [(9, 16), (9, 18), (12, 13), (9, 14), (9, 1), (11, 17), (1, 8), (2, 16), (4, 1), (8, 1), (10, 8)]


@pytest.mark.parametrize(("nits", "signal"), [(0, 0), (100, 0.5081), (203, 0.5807), (1000, 0.7518), (10_000, 1)])
def test_pq_is_that_of_bt2408(nits, signal):
    assert nits_to_pq(np.array(float(nits))) == pytest.approx(signal, abs=1e-4)
    assert pq_to_nits(np.array(signal)) == pytest.approx(nits, rel=2e-3, abs=1e-6)


@pytest.mark.parametrize(("signal", "nits"), [(0, 0), (0.75, 203), (1, 1000)])
def test_hlg_is_that_of_bt2408(signal, nits):
    gray = np.full((1, 3), float(signal))
    assert scene_to_nits(hlg_to_scene(gray)) == pytest.approx(nits, abs=0.5)


def test_matrices_are_the_published_ones():
    """BT.2407, and CSS Color 4 for P3."""
    to_709 = [[1.6605, -0.5876, -0.0728], [-0.1246, 1.1329, -0.0083], [-0.0182, -0.1006, 1.1187]]
    assert space(9, 1).to_709 == pytest.approx(np.array(to_709), abs=1e-4)
    of_p3 = [[1.22494, -0.22494, 0], [-0.04206, 1.04206, 0], [-0.01964, -0.07864, 1.09828]]
    assert space(12, 1).to_709 == pytest.approx(np.array(of_p3), abs=1e-4)


@pytest.mark.parametrize("points", [(1, 1), (1, 13), (2, 2), (6, 6), (5, 1), (1, 14), (1, 4), (5, 5), (0, 0), (99, 99)])
def test_what_players_show_as_it_is_stays(points):
    assert space(*points) is None


def test_white_stays_white_and_black_black():
    for points in SPACES:
        found = space(*points)
        white = np.ones((1, 3))
        if found.is_hdr:
            white *= 0.580689 if points[1] == 16 else 0.75
        assert found.to_srgb(white) == pytest.approx(1, abs=2e-3), found.name
        assert found.to_srgb(np.zeros((1, 3))) == pytest.approx(0), found.name


@pytest.mark.parametrize("points", SPACES)
@pytest.mark.parametrize("kind", [np.uint8, np.uint16])
@pytest.mark.parametrize("peak", [203.0, 1000.0])
def test_tables_are_within_a_level_of_the_arithmetic(points, kind, peak):
    found, most = space(*points), np.iinfo(kind).max
    values = np.random.default_rng(0).integers(0, most + 1, (90, 70, 3)).astype(kind)
    exact = found.to_srgb(values / most, peak) * 255
    converted = pixels.converted(values, found, peak)
    assert converted.dtype == np.uint8
    assert np.abs(converted - exact).max() <= 1
    assert np.abs(converted - exact).mean() < 0.3


SRGB = np.random.default_rng(1).uniform(0.02, 1, (40, 50, 3))


@pytest.mark.parametrize(
    ("points", "values"),
    [
        ((12, 13), oracle.coded(oracle.light(SRGB) @ oracle.between("sRGB", "P3").T)),
        ((9, 14), oracle.coded(oracle.light(SRGB) @ oracle.between("sRGB", "2020").T)),
        ((9, 16), oracle.pq(203 * oracle.light(SRGB) @ oracle.between("sRGB", "2020").T)),
        ((9, 18), oracle.hlg(203 * oracle.light(SRGB) @ oracle.between("sRGB", "2020").T)),
        ((1, 8), oracle.light(SRGB)),
    ],
)
def test_colours_come_back_from_other_spaces(points, values):
    assert np.abs(space(*points).to_srgb(values) - SRGB).max() < 2e-3
    deep = np.round(values.clip(0, 1) * 65535).astype(np.uint16)
    assert np.abs(pixels.converted(deep, space(*points)) / 255 - SRGB).max() < 5e-3


@pytest.mark.parametrize("peak", [300, 1000, 4000, 10_000])
def test_tone_mapping_is_bt2390s(peak):
    def expected(nits: float) -> float:
        """Section 5.4.1 with black at 0, one number at a time."""
        e1, most = oracle.pq(nits) / oracle.pq(peak), oracle.pq(203) / oracle.pq(peak)
        ks = 1.5 * most - 0.5
        if e1 < ks:
            return nits
        t = (e1 - ks) / (1 - ks)
        p = (2 * t**3 - 3 * t**2 + 1) * ks + (t**3 - 2 * t**2 + t) * (1 - ks) + (-2 * t**3 + 3 * t**2) * most
        return float(pq_to_nits(np.array(p * oracle.pq(peak))))

    nits = np.geomspace(0.01, peak, 60)
    shown = nits * gain(nits, peak, 203)
    assert shown == pytest.approx([expected(each) for each in nits], rel=1e-6)
    assert shown[-1] == pytest.approx(203, rel=1e-6)
    assert (np.diff(shown) > 0).all()


def test_what_fits_is_not_tone_mapped():
    nits = np.linspace(0, 203, 50)
    assert (gain(nits, 203, 203) == 1).all()
    assert (gain(nits, 150, 203) == 1).all()


def test_the_peak_leaves_sparkles_out():
    found = space(9, 16)
    values = np.full((400, 400, 3), round(float(oracle.pq(400)) * 255), np.uint8)
    values[0, :8] = 255
    assert pixels.peak_of(values, found) == pytest.approx(400, rel=0.05)
    values[:4] = 255
    assert pixels.peak_of(values, found) == pytest.approx(10_000)
    assert pixels.peak_of(values * 0, found) == 203


def test_gamma_and_primaries_of_png():
    assert measured_space(0.45455, None) is None
    assert measured_space(0.45455, (0.3127, 0.329, 0.64, 0.33, 0.3, 0.6, 0.15, 0.06)) is None
    assert measured_space(1.0, None).to_srgb(oracle.light(SRGB)) == pytest.approx(SRGB, abs=1e-6)
    adobe = measured_space(0.45455, (0.3127, 0.329, 0.64, 0.33, 0.21, 0.71, 0.15, 0.06))
    values = oracle.coded(oracle.light(SRGB) @ oracle.between("sRGB", "Adobe").T)
    assert adobe.to_srgb(values) == pytest.approx(SRGB, abs=2e-3)
    assert measured_space(0.0001, None) is None


@pytest.mark.parametrize(
    "primaries",
    [
        (0.0,) * 8,
        (42949.67,) * 8,
        (0.3, 0.0, 0.64, 0.33, 0.3, 0.6, 0.15, 0.06),
        (0.31, 0.33, 0.3, 0.6, 0.3, 0.6, 0.15, 0.06),
    ],
)
def test_primaries_that_cannot_be_are_not_believed(primaries):
    assert measured_space(0.45455, primaries) is None
    assert measured_space(1.0, primaries).to_srgb(oracle.light(SRGB)) == pytest.approx(SRGB, abs=1e-6)


def test_alpha_and_depth():
    rgb = np.array([[[10, 20, 30], [200, 100, 0], [7, 8, 9]]], np.uint8)
    alpha = np.array([[[255], [0], [128]]], np.uint8)
    assert pixels.on_white(rgb, alpha).tolist() == [[[10, 20, 30], [255, 255, 255], [131, 131, 132]]]
    assert pixels.to_8_bits(np.array([[[0, 257, 65535]]], np.uint16)).tolist() == [[[0, 1, 255]]]
