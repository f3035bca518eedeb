"""Steady maps for a clip: one class, one scale, smoothing over time."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np

from gradcam_cli.cam.predictions import Ranking
from gradcam_cli.render.scale import clipped_range, percentile

if TYPE_CHECKING:
    from collections.abc import Sequence
    from fractions import Fraction

    import numpy.typing as npt

    Values = npt.NDArray[np.float32]


def mean_predictions(frames: Sequence[Ranking]) -> Ranking:
    """Return every class with its mean probability over the frames, all explained by one network."""
    chances = [math.fsum(each) / len(frames) for each in zip(*(frame.chances for frame in frames), strict=True)]
    return Ranking(chances, frames[0].labels, frames=frames, plain=frames[0].plain)


class Smoothing:
    """Exponential smoothing over real time, so that the result does not depend on the frame rate.

    A map's weight is ``1 − exp(−duration / tau)``: after ``tau`` seconds of a new picture, whatever the number of
    frames in them, 63 % of the shown map is new.

    Args:
        tau: time constant in seconds; 0 switches it off.
    """

    def __init__(self, tau: float) -> None:
        self._tau = tau
        self._held: Values | None = None

    def __call__(self, values: Values, duration: Fraction) -> Values:
        """Return the smoothed map of a frame that is shown for ``duration`` seconds; the first is returned as it is."""
        if self._tau <= 0 or self._held is None or self._held.shape != values.shape:
            self._held = values
        else:
            weight = np.float32(-math.expm1(-float(duration) / self._tau))
            self._held = self._held + weight * (values - self._held)
        return self._held


def common_scale(maps: Sequence[Values], normalize: str) -> tuple[float, float] | None:
    """Return (low, high) that the clip's maps are scaled from, or None when there is nothing to scale.

    Args:
        maps: rectified maps of frames spread over the clip, without the cells of padding.
        normalize: ``minmax`` takes the smallest value as low, ``max`` zero; ``p99`` that percentile of all values as
            high; ``none`` scales nothing: (0, 1).
    """
    if normalize == "none":
        return 0.0, 1.0
    shown = [values for values in maps if values.any()]
    if not shown:
        return None
    share = percentile(normalize)
    if share is not None:
        low, high = clipped_range(np.concatenate([values.ravel() for values in shown]), share)
        return (low, high) if high > low else None
    low = min(float(values.min()) for values in shown) if normalize == "minmax" else 0.0
    high = max(float(values.max()) for values in shown)
    return (low, high) if high > low else None
