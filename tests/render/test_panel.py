"""Pictures next to each other: nothing lost, an even width, no other heights."""

from __future__ import annotations

import numpy as np
import pytest

from gradcam_cli.render.panel import side_by_side


@pytest.mark.parametrize(
    ("left", "right", "gap", "width"), [(90, 90, 8, 188), (90, 91, 8, 190), (5, 5, 0, 10), (5, 4, 0, 10)]
)
def test_side_by_side(photo, left, right, gap, width):
    one, two = photo[:, :left], 255 - np.resize(photo, (60, right, 3))
    panel = side_by_side(one, two, gap)
    assert panel.shape == (60, width, 3)
    assert panel.dtype == np.uint8
    assert np.array_equal(panel[:, :left], one)
    assert np.array_equal(panel[:, width - right :], two)
    assert (panel[:, left : width - right] == 255).all()


def test_other_heights_are_refused(photo):
    with pytest.raises(ValueError, match="60 and 59"):
        side_by_side(photo, photo[1:])
