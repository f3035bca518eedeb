"""Scaling of a map's values to [0, 1]: by its lowest and highest value, by a percentile, or not at all.

Nothing heavy is imported here at run time, so that the names can be checked at once.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from gradcam_cli.errors import UsageError

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

    from gradcam_cli.records import Geometry

    Values = npt.NDArray[np.float32]

NORMALIZATIONS = ("auto", "minmax", "max", "none", "p99")
"""Names of the ways; instead of 99 any percentile above 50 and below 100 can be given."""

MARKS = ((1.0, "1"), (0.5, "0.5"), (0.0, "0"))
"""Values of the scaled map that colour bars mark, with their texts."""

_PERCENTILE = re.compile(r"p(\d\d(?:\.\d{1,3})?)")

_WORDS = {
    "minmax": "each map from its lowest to its highest value",
    "max": "each map up to its highest value",
    "none": "maps as they are",
}


def check_normalization(name: str) -> str:
    """Return the name of a way as it is listed.

    Raises:
        UsageError: there is no such way.
    """
    known = name.strip().lower()
    if known in NORMALIZATIONS or percentile(known) is not None:
        return known
    raise UsageError(
        f"there is no normalisation {name!r}",
        "choose one of auto, minmax, max, none, or a percentile above 50 and below 100, as p99 or p99.5",
    )


def percentile(normalize: str) -> float | None:
    """Return the percentile that a way clips at, None where it is no such way: ``p99.5`` → 99.5."""
    found = _PERCENTILE.fullmatch(normalize)
    share = float(found[1]) if found else 0.0
    return share if 50 < share < 100 else None


def normalization_for(normalize: str, cells: tuple[int, ...], geometry: Geometry) -> str:
    """Return the way that ``auto`` stands for: ``p99`` for maps of the input's pixels, ``minmax`` for others.

    A few pixels of a gradient are many times larger than all others; scaled by them, the rest is black.

    Args:
        normalize: a name as `check_normalization` returns it.
        cells: (h, w) of the map.
        geometry: of the network's input.
    """
    if normalize != "auto":
        return normalize
    return "p99" if cells == geometry.input else "minmax"


def described(normalize: str) -> str:
    """Return what a way, not ``auto``, does to each map, in words."""
    share = percentile(normalize)
    return _WORDS[normalize] if share is None else f"each map up to its {share:g}th percentile"


def seen_cells(values: Values, geometry: Geometry) -> Values:
    """Return the cells of a map, float32 (h, w), whose centres lie in the picture, not in its padding."""
    kept = []
    for axis in (0, 1):
        cells, side = values.shape[axis], geometry.input[axis]
        low, high = -geometry.offset[axis], geometry.resized[axis] - geometry.offset[axis]
        inside = [low <= (cell + 0.5) * side / cells <= high for cell in range(cells)]
        first = inside.index(True) if True in inside else 0
        kept.append(slice(first, first + sum(inside) if True in inside else cells))
    return values[kept[0], kept[1]]


def clipped_range(cells: Values, share: float) -> tuple[float, float]:
    """Return the lowest value and the percentile ``share``; the highest value where that is no higher than the lowest.

    Args:
        cells: values of one map or of several, of any shape.
        share: the percentile, between 50 and 100.
    """
    import numpy as np

    low, high = float(cells.min()), float(np.percentile(cells, share))
    return low, high if high > low else float(cells.max())
