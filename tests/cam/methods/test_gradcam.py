"""The engine's numbers: batches, classes, layers, binary heads, half precision."""

from __future__ import annotations

import copy

import numpy as np
import pytest
import torch
from torch import nn

from gradcam_cli.cam.explainer import Explainer


def test_a_batch_equals_its_pictures_alone(small_net, batch):
    explainer = Explainer(small_net, "features")
    together = explainer(batch, 1)
    for position, result in enumerate(together):
        alone = explainer(batch[position : position + 1], 1)[0]
        np.testing.assert_allclose(result.maps[0].values, alone.maps[0].values, atol=1e-6)


def test_several_classes_and_layers_come_from_one_forward(small_net, batch):
    calls = []
    small_net.register_forward_hook(lambda *_: calls.append(1))
    explainer = Explainer(small_net, ["features.2", "features", "tail"])
    calls.clear()
    results = explainer(batch, lambda logits: [0, 3])
    assert len(calls) == 1
    assert [(m.layer, m.target.index) for m in results[0].maps] == [
        ("features.2", 0), ("features.2", 3), ("features", 0), ("features", 3), ("tail", 0), ("tail", 3),
    ]  # fmt: skip
    for layer_map in results[0].maps:
        alone = Explainer(small_net, layer_map.layer)(batch[:1], layer_map.target.index)[0].maps[0]
        np.testing.assert_allclose(layer_map.values, alone.values, atol=1e-6)


def test_top_class_is_the_default(small_net, batch):
    results = Explainer(small_net, "features")(batch)
    expected = small_net(batch).argmax(1).tolist()
    assert [result.maps[0].target.index for result in results] == expected


def test_global_pooling_and_linear_make_gradcam_the_classic_cam(batch):
    """Behind average pooling and a linear layer Grad-CAM is CAM divided by the number of places (1610.02391, §3)."""
    torch.manual_seed(0)
    net = nn.Sequential(nn.Conv2d(3, 4, 3, 2), nn.ReLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(4, 3)).eval()
    result = Explainer(net, "1")(batch[:1], 2)[0].maps[0]
    maps = net[:2](batch[:1])[0].detach()
    cam = torch.einsum("c,chw->hw", net[4].weight[2].detach(), maps) / maps[0].numel()
    np.testing.assert_allclose(result.values, cam.relu().numpy(), atol=1e-6)
    assert result.high == pytest.approx(float(cam.max()), abs=1e-6)


def test_binary_head_has_two_sides(batch):
    torch.manual_seed(1)
    net = nn.Sequential(nn.Conv2d(3, 4, 3), nn.ReLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(4, 1)).eval()
    explainer = Explainer(net, "1")
    positive, negative = explainer(batch, 1), explainer(batch, 0)
    assert positive[0].maps[0].low == pytest.approx(-negative[0].maps[0].high)
    expected_sides = [int(logit > 0) for logit in net(batch)[:, 0].tolist()]
    assert [result.maps[0].target.index for result in explainer(batch)] == expected_sides


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_half_precision(small_net, batch, dtype):
    full = Explainer(small_net, "features")(batch, 1)
    half = Explainer(copy.deepcopy(small_net).to(dtype), "features")(batch, 1)
    for wide, narrow in zip(full, half, strict=True):
        assert narrow.maps[0].values.dtype == np.float32
        assert np.abs(wide.maps[0].values - narrow.maps[0].values).max() < 0.05 * wide.maps[0].values.max()


def test_small_float16_gradients_do_not_vanish(batch):
    """Without scaling, 1e-4 / 9 / 384 places is below what float16 can tell from zero."""
    torch.manual_seed(0)
    net = nn.Sequential(nn.Conv2d(3, 4, 1), nn.ReLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(4, 2)).eval()
    with torch.no_grad():
        net[4].weight.mul_(1e-4)
    full = Explainer(net, "1")(batch, 0)[0].maps[0]
    half = Explainer(copy.deepcopy(net).half(), "1")(batch, 0)[0].maps[0]
    assert full.blank is None
    assert half.blank is None
    assert half.high == pytest.approx(full.high, rel=0.02)
