"""Colour spaces by the code points of ITU-T H.273, and their conversion to sRGB, in exact arithmetic."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING, Any

import numpy as np

from gradcam_cli.media.colour.hdr import gain, hlg_to_scene, pq_to_nits, scene_to_nits

if TYPE_CHECKING:
    import numpy.typing as npt

    Floats = npt.NDArray[np.floating[Any]]
    Values = npt.NDArray[np.float64]
    Chromaticities = tuple[float, float, float, float, float, float, float, float]

PQ, HLG = 16, 18
"""Transfer functions of HDR."""
_LINEAR = 8

REFERENCE_WHITE = 203.0
"""Nits of a white sheet of paper in HDR, which becomes SDR's white: ITU-R BT.2408."""

# (x, y) of white, red, green and blue, ITU-T H.273, table 2.
_D65 = 0.3127, 0.3290
_709: Chromaticities = (*_D65, 0.640, 0.330, 0.300, 0.600, 0.150, 0.060)
_PRIMARIES: dict[int, tuple[str, Chromaticities]] = {
    1: ("BT.709", _709),
    4: ("BT.470 M", (0.310, 0.316, 0.67, 0.33, 0.21, 0.71, 0.14, 0.08)),
    8: ("film", (0.310, 0.316, 0.681, 0.319, 0.243, 0.692, 0.145, 0.049)),
    9: ("BT.2020", (*_D65, 0.708, 0.292, 0.170, 0.797, 0.131, 0.046)),
    10: ("XYZ", (1 / 3, 1 / 3, 1.0, 0.0, 0.0, 1.0, 0.0, 0.0)),
    11: ("DCI-P3", (0.314, 0.351, 0.680, 0.320, 0.265, 0.690, 0.150, 0.060)),
    12: ("Display P3", (*_D65, 0.680, 0.320, 0.265, 0.690, 0.150, 0.060)),
}
"""Those that differ visibly from BT.709. Those of BT.601 (5, 6, 7, 22) are shown as they are, as most players do."""

_POWERS = {17: 2.6}
"""Transfer functions that are powers of another exponent than displays'. The others for SDR are shown as they are, also
BT.470 BG's (5): its 2.8 stands in PAL's standard, but no player acts on it."""

_BRADFORD = np.array([[0.8951, 0.2664, -0.1614], [-0.7502, 1.7135, 0.0367], [0.0389, -0.0685, 1.0296]])


@dataclass(frozen=True, slots=True)
class Space:
    """How a file's RGB values are meant.

    Attributes:
        name: of the primaries and, where it matters, of the transfer function.
        primaries: (x, y) of white, red, green and blue.
        transfer: code point of the transfer function; 0 is ``power``.
        power: exponent of the transfer function; 0 is sRGB's own curve.
    """

    name: str
    primaries: Chromaticities
    transfer: int = 1
    power: float = 0.0

    @property
    def is_hdr(self) -> bool:
        """Whether it has whites that are brighter than paper."""
        return self.transfer in (PQ, HLG)

    def light(self, values: Values) -> Values:
        """Return linear light of coded values (…, 3) in [0, 1]; 1 is SDR's white, HDR goes beyond."""
        return np.asarray(self.displayed(self.curve(values)), np.float64)

    def curve(self, values: Values) -> Values:
        """Return linear values of coded ones, each for itself; of HLG it is the light of the scene."""
        if self.transfer == PQ:
            return pq_to_nits(values) / REFERENCE_WHITE
        if self.transfer == HLG:
            return hlg_to_scene(values)
        if self.transfer == _LINEAR:
            return values
        return np.asarray(values**self.power if self.power else _light_of_srgb(values))

    def displayed(self, linear: Floats) -> Floats:
        """Return the light on a display of what `curve` returns (…, 3)."""
        return scene_to_nits(linear, 1 / REFERENCE_WHITE) if self.transfer == HLG else linear

    def to_srgb(self, values: Values, peak: float = REFERENCE_WHITE) -> Values:
        """Convert coded values (…, 3) in [0, 1] to sRGB in [0, 1]; what sRGB does not hold is clipped.

        Args:
            values: as the file has them.
            peak: nits of the brightest part of HDR, which becomes white.
        """
        light = self.light(values) @ self.to_709.T
        if self.is_hdr:
            light = light * gain(light.max(-1, keepdims=True) * REFERENCE_WHITE, peak, REFERENCE_WHITE)
        return srgb_of_light(light.clip(0, 1))

    def description(self, target: str, peak: float) -> str:
        """Return a note on the conversion to a space that is called ``target``; ``peak`` is in nits."""
        what = f"its colours are converted from {self.name} to {target}"
        if not self.is_hdr:
            return what
        mapped = f", highlights up to {peak:.0f} nits by BT.2390" if peak > REFERENCE_WHITE else ""
        return f"{what}, white at {REFERENCE_WHITE:.0f} nits{mapped}"

    @property
    def to_709(self) -> Values:
        """The matrix (3, 3) from its linear RGB to linear sRGB, white to white."""
        return _to_709(self.primaries)


def space(primaries: int, transfer: int) -> Space | None:
    """Return the colour space of code points; None for one that is shown as it is.

    Args:
        primaries: of H.273, table 2; unknown ones are taken for BT.709's, those of HDR for BT.2020's.
        transfer: of H.273, table 3.
    """
    is_hdr = transfer in (PQ, HLG)
    name, xy = _PRIMARIES.get(primaries, _PRIMARIES[9 if is_hdr and primaries in (0, 2) else 1])
    power = _POWERS.get(transfer, 0.0)
    if xy == _709 and not (is_hdr or power or transfer == _LINEAR):
        return None
    curve = {PQ: ", PQ", HLG: ", HLG", _LINEAR: ", linear"}.get(transfer, f", gamma {power:g}" if power else "")
    return Space(name + curve, xy, transfer, power)


def measured_space(gamma: float, primaries: Chromaticities | None) -> Space | None:
    """Return the colour space of a PNG's ``gAMA`` and ``cHRM``; None for one that is sRGB, nearly.

    Args:
        gamma: the exponent of encoding, 0.45455 for sRGB's.
        primaries: (x, y) of white, red, green and blue; None for sRGB's.
    """
    xy = primaries if primaries and _is_sound(primaries) else _709
    usual = abs(gamma * 2.2 - 1) < 0.02
    if not 0.1 < gamma < 10 or (usual and max(abs(a - b) for a, b in zip(xy, _709, strict=True)) < 0.005):
        return None
    name = "the PNG's primaries and gamma" if xy != _709 else "the PNG's gamma"
    return Space(name, xy, 0, 0.0 if usual else 1 / gamma)


def _is_sound(primaries: Chromaticities) -> bool:
    """Whether chromaticities are those of three lights that make up a white."""
    if len(primaries) != 8 or not all(0 <= each <= 1 for each in primaries) or min(primaries[1::2]) <= 0:
        return False
    return abs(float(np.linalg.det(_corners(primaries)))) > 1e-3


@cache
def _to_709(primaries: Chromaticities) -> Values:
    """Return the matrix from linear RGB of these primaries to linear sRGB, white to white."""
    white, white_709 = _xyz(*primaries[:2]), _xyz(*_709[:2])
    cones, cones_709 = _BRADFORD @ white, _BRADFORD @ white_709
    adapted = np.linalg.inv(_BRADFORD) @ np.diag(cones_709 / cones) @ _BRADFORD
    return np.asarray(np.linalg.inv(_to_xyz(_709)) @ adapted @ _to_xyz(primaries))


def _to_xyz(primaries: Chromaticities) -> Values:
    columns = _corners(primaries)
    return np.asarray(columns * np.linalg.solve(columns, _xyz(*primaries[:2])))


def _corners(primaries: Chromaticities) -> Values:
    return np.stack([_xyz(*primaries[k : k + 2], scale=False) for k in (2, 4, 6)], axis=1)


def _xyz(x: float, y: float, *, scale: bool = True) -> Values:
    """Return XYZ of a chromaticity, with Y = 1 where it is scaled."""
    found = np.array([x, y, 1 - x - y])
    return found / y if scale else found


def _light_of_srgb(values: Values) -> Values:
    return np.where(values <= 0.04045, values / 12.92, ((values + 0.055) / 1.055) ** 2.4)


def srgb_of_light(light: Values) -> Values:
    """Return sRGB's values of linear light, both in [0, 1]."""
    return np.where(light <= 0.0031308, light * 12.92, 1.055 * light ** (1 / 2.4) - 0.055)
