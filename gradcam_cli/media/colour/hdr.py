"""HDR: the transfer functions PQ and HLG (ITU-R BT.2100-2) and tone mapping (ITU-R BT.2390-11, section 5.4.1)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    import numpy.typing as npt

    Floats = npt.NDArray[np.floating[Any]]
    Values = npt.NDArray[np.float64]

HLG_PEAK = 1000.0
"""Nits of the display for which HLG is made."""

_M1, _M2 = 2610 / 16384, 2523 / 4096 * 128
_C1, _C2, _C3 = 3424 / 4096, 2413 / 4096 * 32, 2392 / 4096 * 32
PQ_PEAK = 10_000.0
"""Nits of PQ's largest value."""

_A, _B, _C = 0.17883277, 0.28466892, 0.55991073
_HLG_GAMMA = 1.2
_LUMA_2020 = np.array([0.2627, 0.6780, 0.0593])


def pq_to_nits(values: Values) -> Values:
    """Return luminance in nits of PQ's values in [0, 1]."""
    root = np.asarray(values) ** (1 / _M2)
    return np.asarray(PQ_PEAK * (np.maximum(root - _C1, 0) / (_C2 - _C3 * root)) ** (1 / _M1))


def nits_to_pq(nits: Values) -> Values:
    """Return PQ's values of luminance in nits."""
    root = (np.asarray(nits) / PQ_PEAK) ** _M1
    return np.asarray(((_C1 + _C2 * root) / (1 + _C3 * root)) ** _M2)


def hlg_to_scene(values: Values) -> Values:
    """Return the scene's linear light, in [0, 1], of HLG's values in [0, 1]."""
    values = np.asarray(values)
    return np.where(values <= 0.5, values**2 / 3, (np.exp((values - _C) / _A) + _B) / 12)


def scene_to_nits(scene: Floats, unit: float = 1.0) -> Floats:
    """Return light in nits, or units of that, on a display of `HLG_PEAK`, of a scene's linear BT.2020 (…, 3)."""
    luma = (scene @ _LUMA_2020.astype(scene.dtype))[..., np.newaxis]
    return scene * (HLG_PEAK * unit * luma ** (_HLG_GAMMA - 1))


def gain(brightest: Values, peak: float, white: float) -> Values:
    """Return the factors that compress highlights so that ``peak`` becomes ``white``; darker than the knee they are 1.

    The curve is that of BT.2390. It is taken of the largest of red, green and blue, by which all three are scaled, so
    that hues stay.

    Args:
        brightest: the largest of red, green and blue of each pixel, in nits.
        peak: the brightest light that shall be told apart.
        white: the brightest light that can be shown.
    """
    if peak <= white:
        return np.ones_like(brightest)
    top = float(nits_to_pq(np.array(peak)))
    most = float(nits_to_pq(np.array(white))) / top
    knee = 1.5 * most - 0.5
    value = nits_to_pq(np.maximum(brightest, 0)) / top
    t = ((value - knee) / (1 - knee)).clip(0, 1)
    rolled = (2 * t**3 - 3 * t**2 + 1) * knee + (t**3 - 2 * t**2 + t) * (1 - knee) + (3 * t**2 - 2 * t**3) * most
    return np.where(value <= knee, 1.0, pq_to_nits(rolled * top) / np.maximum(brightest, 1e-6))
