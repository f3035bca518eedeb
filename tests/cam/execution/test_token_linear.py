"""Linear layers over tokens: autograd's own gradients, without the work for tokens that none reaches."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch.nn import functional as F
from torch.utils.flop_counter import FlopCounterMode
from torchvision.models import VisionTransformer

from gradcam_cli.cam.execution.token_linear import linear
from gradcam_cli.cam.explainer import Explainer

PICTURES, TOKENS, INPUTS, OUTPUTS = 3, 7, 5, 4
REACHED = {
    "one": [0],
    "some": [1, 4],
    "all": list(range(TOKENS)),
    "none": [],
}  # fmt: skip


@pytest.fixture
def layer() -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Tokens that need a gradient, weight and bias, in float64."""
    torch.manual_seed(0)
    x = torch.randn(PICTURES, TOKENS, INPUTS, dtype=torch.float64, requires_grad=True)
    return x, torch.randn(OUTPUTS, INPUTS, dtype=torch.float64), torch.randn(OUTPUTS, dtype=torch.float64)


@pytest.mark.parametrize("reached", REACHED.values(), ids=REACHED)
def test_the_gradient_is_autograds(layer, reached):
    x, weight, bias = layer
    found, expected = (
        torch.autograd.grad(product(x, weight, bias)[:, reached].pow(2).sum(), x)[0] for product in (linear, F.linear)
    )
    torch.testing.assert_close(found, expected, rtol=1e-14, atol=1e-14)
    assert bool(found.any()) is bool(reached)


def test_tokens_that_one_picture_alone_needs(layer):
    x, weight, bias = layer
    wanted = torch.zeros(PICTURES, TOKENS, 1, dtype=torch.float64)
    wanted[0, 2] = wanted[2, 5] = 1
    found, expected = (
        torch.autograd.grad((product(x, weight, bias) * wanted).sum(), x)[0] for product in (linear, F.linear)
    )
    torch.testing.assert_close(found, expected, rtol=1e-14, atol=1e-14)
    assert found.any(dim=2).nonzero().tolist() == [[0, 2], [2, 5]]


def test_a_gradient_that_is_zero_has_a_derivative(layer):
    """A square at zero: its gradient vanishes, its second derivative does not."""
    x, weight, _ = layer
    found = []
    for product in (linear, F.linear):
        bias = -F.linear(x, weight).detach()
        scores = (product(x, weight, None) + bias).pow(2)[:, 0].sum()
        (gradient,) = torch.autograd.grad(scores, x, create_graph=True)
        assert not gradient.any()
        found += torch.autograd.grad(gradient.sum(), x)
    torch.testing.assert_close(found[0], found[1], rtol=1e-14, atol=1e-14)
    assert found[0].any()


def test_without_a_gradient_nothing_is_recorded(layer):
    x, weight, bias = layer
    assert not linear(x.detach(), weight, bias).requires_grad


@pytest.mark.parametrize("reached", REACHED.values(), ids=REACHED)
def test_the_work_is_that_of_the_tokens_reached(layer, reached):
    x, weight, bias = layer
    scores = linear(x, weight, bias)[:, reached].sum()
    with FlopCounterMode(display=False) as counted:
        torch.autograd.grad(scores, x)
    assert counted.get_total_flops() == 2 * PICTURES * len(reached) * INPUTS * OUTPUTS


def test_a_transformers_map_is_the_same_for_less():
    torch.manual_seed(0)
    net = VisionTransformer(
        image_size=32, patch_size=8, num_layers=2, num_heads=2, hidden_dim=16, mlp_dim=64, num_classes=5
    ).eval()
    torch.nn.init.normal_(net.heads[0].weight)
    batch, maps, work = torch.randn(2, 3, 32, 32), [], []
    for optimize in (False, True):
        explainer = Explainer(net, input_size=(32, 32), optimize=optimize)
        with FlopCounterMode(display=False) as counted:
            maps.append(explainer(batch, [1, 3])[1].maps[0].values)
        work.append(sum(
            count for op, count in counted.get_flop_counts()["Global"].items() if "conv" not in str(op)
        ))  # fmt: skip
    assert maps[0].max() > 0
    np.testing.assert_allclose(maps[1], maps[0], atol=1e-6 * maps[0].max())
    skipped = 2 * (2 * 16 * 64) * (17 - 1) * 2  # two layers' products, 16 of 17 tokens, two pictures
    assert work[0] - work[1] == skipped
