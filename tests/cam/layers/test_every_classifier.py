"""Every classifier of torchvision, with random weights: a finite map with a grid from the layer that is found."""

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
GIANTS = ("vit_h_14", "regnet_y_128gf")
"""Of more than 600 million parameters: half a minute and six gigabytes for these two."""


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
    if name in GIANTS and "GRADCAM_TEST_GIANTS" not in os.environ:
        pytest.skip("set GRADCAM_TEST_GIANTS=1 to try the two largest as well")
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
