"""One class, one scale, and smoothing that does not know the frame rate."""

from __future__ import annotations

from fractions import Fraction

import numpy as np
import pytest

from gradcam_cli.cam.predictions import Ranking
from gradcam_cli.pipeline.clips.temporal import Smoothing, common_scale, mean_predictions


def test_the_class_is_the_clips():
    """Two weak frames for the dog, one strong for the cat: the mean decides, not the majority."""
    frames = [Ranking(chances, ("dog", "cat")) for chances in ([0.55, 0.45], [0.01, 0.99], [0.55, 0.45])]
    ranked = mean_predictions(frames)
    assert [each.label for each in ranked] == ["cat", "dog"]
    assert [each.probability for each in ranked] == pytest.approx([0.63, 0.37])


def run(rate: int, seconds: int = 2, tau: float = 0.5) -> float:
    smoothing = Smoothing(tau)
    smoothing(np.zeros((2, 2), np.float32), Fraction(1, rate))
    for _ in range(rate * seconds):
        shown = smoothing(np.ones((2, 2), np.float32), Fraction(1, rate))
    return float(shown[0, 0])


def test_smoothing_does_not_depend_on_the_frame_rate():
    assert run(10) == pytest.approx(run(60), abs=1e-5)
    assert run(25) == pytest.approx(1 - np.exp(-4), abs=1e-5)


def test_no_smoothing():
    smoothing = Smoothing(0)
    smoothing(np.zeros((2, 2), np.float32), Fraction(1, 30))
    assert smoothing(np.ones((2, 2), np.float32), Fraction(1, 30)).all()


def test_scale():
    maps = [np.array([[0.2, 0.5]], np.float32), np.array([[0.1, 2.0]], np.float32), np.zeros((1, 2), np.float32)]
    assert common_scale(maps, "minmax") == pytest.approx((0.1, 2.0))
    assert common_scale(maps, "max") == pytest.approx((0.0, 2.0))
    assert common_scale(maps, "none") == (0.0, 1.0)
    assert common_scale(maps[2:], "minmax") is None
