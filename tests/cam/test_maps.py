"""Blank maps are told, and zero is all that is shown of them."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import nn

from gradcam_cli.cam.explainer import Explainer
from gradcam_cli.cam.maps import blank_reason


def net_with(weight: float, bias: float = 0.0, last: nn.Module | None = None) -> nn.Module:
    net = nn.Sequential(
        nn.Conv2d(3, 4, 3), nn.ReLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(4, 3), last or nn.Identity()
    ).eval()
    with torch.no_grad():
        net[4].weight.fill_(weight)
        net[4].bias.fill_(bias)
    return net


@pytest.mark.parametrize(
    ("net", "reason"),
    [
        (net_with(-1.0), "no positive evidence for this class"),
        (net_with(0.0), "does not change with this layer"),
        (net_with(float("nan")), "NaN or infinity"),
        (net_with(1.0, 200.0, nn.Tanh()), "saturated"),
    ],
    ids=["no positive evidence", "dead", "not finite", "saturated"],
)
def test_reasons(net, reason, batch):
    torch.manual_seed(0)
    result = Explainer(net, "1")(batch, 1)[0].maps[0]
    assert reason in result.blank
    assert not result.values.any()


def test_constant():
    assert "the same everywhere" in blank_reason(np.full((4, 4), 0.3, np.float32), gradient_is_zero=False)


def test_rounding_on_a_constant_is_constant():
    raw = np.full((4, 4), 0.3, np.float32)
    raw[0, 0] = np.nextafter(raw[0, 0], np.float32(1))
    assert blank_reason(raw, gradient_is_zero=False) is not None


def test_a_map_with_one_warm_place_is_not_blank():
    raw = np.full((4, 4), -1.0, np.float32)
    raw[2, 1] = 1e-6
    assert blank_reason(raw, gradient_is_zero=False) is None
