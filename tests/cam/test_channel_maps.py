"""Feature maps by contribution, and the blocks of a network in order."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import nn

from gradcam_cli.cam.channel_maps import channel_maps
from gradcam_cli.cam.explainer import Explainer
from gradcam_cli.cam.layers.select import blocks
from gradcam_cli.cam.layers.trace import trace_network
from tests.cam.layers.test_select import crop_of, on_meta, small_vit


def test_contributions_add_up_to_grad_cam(small_net, batch):
    """Σ_k α_k·ΣA_k is the sum of Grad-CAM's map before it is rectified; the positive terms are what is shared out."""
    explainer = Explainer(small_net, "features")
    maps, shared, total = channel_maps(explainer, batch[:1], 1, 99)
    features = small_net.features(batch[:1]).detach().requires_grad_()
    small_net.head(features)[0, 1].backward()
    alpha = features.grad[0].mean(dim=(1, 2))
    contributions = (alpha[:, None, None] * features.detach()[0]).sum(dim=(1, 2))
    positive = contributions.clamp(min=0)
    assert [each.channel for each in maps] == [k for k in torch.argsort(-positive).tolist() if positive[k] > 0]
    assert (len(maps), total) == (shared, len(alpha))
    for each in maps:
        assert each.weight == pytest.approx(float(alpha[each.channel]), rel=1e-5)
        assert each.share == pytest.approx(float(positive[each.channel] / positive.sum()), abs=1e-5)
        np.testing.assert_allclose(each.values, features.detach()[0, each.channel].clamp(min=0).numpy(), atol=1e-6)
    assert sum(each.share for each in maps) == pytest.approx(1)


def test_count_bounds_the_maps(small_net, batch):
    explainer = Explainer(small_net, "features")
    every, two = (channel_maps(explainer, batch[:1], 1, count) for count in (99, 2))
    assert [each.channel for each in two.strongest] == [each.channel for each in every.strongest[:2]]
    assert (two.positive, two.total) == (every.positive, every.total)


def test_nothing_speaks_for_the_class(batch):
    net = nn.Sequential(nn.Conv2d(3, 4, 3), nn.ReLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(4, 2)).eval()
    with torch.no_grad():
        net[4].weight.fill_(-1.0)
    assert channel_maps(Explainer(net, "1"), batch[:1], 0, 5) == ([], 0, 4)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "some", "count"),
    [
        ("resnet18", ["conv1", "bn1", "relu", "layer1.0", "layer4.1"], 11),
        ("vgg11", ["features.0", "features.1", "features.19"], 16),
        ("squeezenet1_0", ["features.0", "features.3", "features.12"], 10),
        ("densenet121", ["features.conv0", "features.norm5"], None),
        ("swin_t", ["features.1.0", "features.7.1", "norm"], None),
        ("convnext_tiny", ["features.1.0", "features.7.2"], None),
        ("mobilenet_v2", ["features.0", "features.18"], 19),
    ],
)
def test_blocks_from_first_to_last(name, some, count):
    side = crop_of(name)
    names = [layer.name for layer in blocks(trace_network(on_meta(name), (side, side)))]
    assert [each for each in names if each in some] == some
    assert count is None or len(names) == count
    assert len(names) == len(set(names))
    assert not any(inner.startswith(f"{outer}.") for outer in names for inner in names)


def test_blocks_of_a_vision_transformer():
    names = [layer.name for layer in blocks(trace_network(small_vit(), (48, 48)))]
    assert [name for name in names if "encoder_layer" in name] == [
        f"encoder.layers.encoder_layer_{k}" for k in range(3)
    ]
