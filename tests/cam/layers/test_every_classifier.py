"""Torchvision's classifiers, with random weights: a finite map with a grid from the layer that is found."""

from __future__ import annotations

import math
import os

import numpy as np
import pytest
import torch
import torchvision
from torch import nn

from gradcam_cli.cam.explainer import Explainer
from tests.cam.layers.test_select import require_expected

pytestmark = pytest.mark.slow

CLASSIFIERS = torchvision.models.list_models(module=torchvision.models)
SIDE = 96
"""Of the picture, for networks that take any."""
ONE_SIZE = ("vit", "maxvit")
SMALL = frozenset(
    [
        "alexnet",
        "convnext_tiny",
        "densenet121",
        "efficientnet_b0",
        "efficientnet_v2_s",
        "googlenet",
        "inception_v3",
        "maxvit_t",
        "mnasnet0_5",
        "mobilenet_v2",
        "mobilenet_v3_small",
        "regnet_x_400mf",
        "regnet_y_400mf",
        "resnet18",
        "resnet50",
        "resnext50_32x4d",
        "shufflenet_v2_x0_5",
        "squeezenet1_0",
        "swin_t",
        "swin_v2_t",
        "vgg11",
        "vgg11_bn",
        "vit_b_32",
        "wide_resnet50_2",
    ]
)
"""Of each family one; all others take two minutes more, and six gigabytes."""


def with_random_weights(name: str) -> nn.Module:
    """Build a network quickly, also one of half a billion parameters: its values are a block of noise, repeated."""
    options = {"init_weights": False} if name in ("googlenet", "inception_v3") else {}
    with pytest.MonkeyPatch.context() as patch:
        for initialise in ("normal_", "kaiming_normal_", "kaiming_uniform_", "uniform_", "trunc_normal_"):
            patch.setattr(nn.init, initialise, lambda tensor, *args, **kwargs: tensor)
        net = torchvision.models.get_model(name, weights=None, num_classes=5, **options).eval()
    noise = torch.randn(1 << 16, generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        for parameter in net.parameters():
            count = parameter.numel()
            values = noise.repeat(math.ceil(count / len(noise)))[:count].view_as(parameter)
            if parameter.ndim > 1:
                parameter.copy_(values * math.sqrt(2 / parameter[0].numel()))
            else:
                parameter.copy_(1 + 0.1 * values)
    return net


@pytest.mark.parametrize("name", CLASSIFIERS)
def test_gives_a_finite_map_with_a_grid(name):
    if name not in SMALL and not os.environ.get("GRADCAM_TEST_FAMILIES"):
        pytest.skip("set GRADCAM_TEST_FAMILIES=1 to try all classifiers of torchvision")
    net = with_random_weights(name)
    side = 224 if name.startswith(ONE_SIZE) else SIDE
    picture = torch.randn(1, 3, side, side, generator=torch.Generator().manual_seed(1))
    explainer = Explainer(net, input_size=(side, side), optimize=True)
    if not name.startswith(("vit", "inception")):  # which test_select tries: one is large, one needs a larger picture
        require_expected(name, net, explainer.layers[0])
    (found,) = explainer(picture)[0].maps
    height, width = found.values.shape
    assert height == width > 1
    assert np.isfinite(found.values).all()
    assert found.low < found.high, found.blank
