"""Methods that look at the network's input: the pixels' gradient, guided through ReLUs, over noisy copies."""

from __future__ import annotations

import numpy as np
import pytest
import torch
import torchvision
from torch import nn
from torch.nn import functional as F

from gradcam_cli.cam.context import Budget
from gradcam_cli.cam.explainer import Explainer
from gradcam_cli.cam.layers.trace import trace_network
from gradcam_cli.cam.methods.registry import METHODS
from gradcam_cli.errors import ModelError
from tests.cam.oracle import Oracle

OF_INPUT = [name for name, entry in METHODS.items() if not entry.layered]
GUIDED = ["guided-backprop", "guided-gradcam"]


class Functional(nn.Module):
    """Two convolutions with ``first`` and ``second`` behind them, and a classifier of their means."""

    def __init__(self, first, second) -> None:
        super().__init__()
        torch.manual_seed(5)
        self.stem, self.body, self.head = nn.Conv2d(3, 6, 3), nn.Conv2d(6, 8, 3), nn.Linear(8, 4)
        self.first, self.second = first, second

    def forward(self, x):
        return self.head(self.second(self.body(self.first(self.stem(x)))).mean((2, 3)))


def test_the_oracles_agree_where_nothing_is_guided(small_net, batch):
    """So that the written-out derivative may stand for central differences, which are slow over many copies."""
    truth = Oracle(small_net, batch[0], "features")
    np.testing.assert_allclose(truth.sent_back(2, guided=False), truth.input_gradient(2), atol=1e-8)


@pytest.mark.parametrize("method", [*OF_INPUT, "guided-gradcam"])
def test_maps_are_as_large_as_the_input(small_net, batch, method):
    for found in Explainer(small_net, ["features", "tail"], method=method, optimize=True)(batch, 1)[1].maps:
        assert found.values.shape == (24, 40)
        assert (found.values >= 0).all()
        assert found.values.max() > 0
        assert (found.layer == "input") == (method in OF_INPUT)


def test_what_looks_at_no_layer_is_done_once_for_all_layers(small_net, batch):
    passes = []
    small_net.register_forward_hook(lambda *_: passes.append(1))
    explainer = Explainer(small_net, ["features", "tail"], method=[*OF_INPUT, "guided-gradcam"])
    passes.clear()
    explainer(batch, 1)
    assert len(passes) == 1 + 1 + 16 + 1, "the batch, gradient, smoothgrad, and one guided for all that want it"


@pytest.mark.parametrize(
    ("first", "second"),
    [
        (F.relu, torch.relu),
        (torch.relu_, torch.Tensor.relu),
        (lambda x: F.relu(x, inplace=True), lambda x: x.relu_()),
        (nn.ReLU(inplace=True), F.relu_),
    ],
)
@pytest.mark.parametrize("method", GUIDED)
def test_relus_as_functions_are_guided_as_modules_are(batch, first, second, method):
    expected = Explainer(Functional(nn.ReLU(), nn.ReLU()), "stem", method=method)(batch, 1)
    for mine, theirs in zip(
        Explainer(Functional(first, second), "stem", method=method)(batch, 1), expected, strict=True
    ):
        assert mine.maps[0].values.max() > 0
        np.testing.assert_array_equal(mine.maps[0].values, theirs.maps[0].values)


@pytest.mark.parametrize("clip", [F.relu6, nn.ReLU6(inplace=True), nn.Hardtanh(0, 6), lambda x: F.hardtanh_(x, 0, 6)])
def test_relu6_is_a_relu(batch, clip):
    """Where no value reaches 6 it gives the same."""
    (mine,) = Explainer(Functional(clip, clip), "body", method="guided-backprop")(batch[:1], 1)
    (theirs,) = Explainer(Functional(F.relu, F.relu), "body", method="guided-backprop")(batch[:1], 1)
    (plain,) = Explainer(Functional(clip, clip), "body", method="gradient")(batch[:1], 1)
    np.testing.assert_array_equal(mine.maps[0].values, theirs.maps[0].values)
    assert not np.allclose(mine.maps[0].values, plain.maps[0].values)


@pytest.mark.parametrize("activation", [nn.GELU(), F.silu, nn.Hardtanh(), F.leaky_relu])
@pytest.mark.parametrize("method", GUIDED)
def test_guided_methods_need_relus(activation, method):
    """And say so before any work."""
    net = Functional(activation, activation)
    assert not trace_network(net, (32, 32)).rectifies
    with pytest.raises(ModelError, match="needs ReLUs, and the network has none") as caught:
        Explainer(net, "body", method=method)
    assert caught.value.hint == "choose method smoothgrad"


@pytest.mark.slow
@pytest.mark.parametrize(("name", "has"), [("mobilenet_v2", True), ("densenet121", True), ("vit_b_16", False)])
def test_relus_are_seen_in_published_networks(name, has):
    assert trace_network(torchvision.models.get_model(name, weights=None), (224, 224)).rectifies == has


@pytest.mark.peers
def test_guided_backpropagation_equals_the_peers(batch):
    peer = pytest.importorskip("pytorch_grad_cam", reason="pip install '.[test-all]' for pytorch_grad_cam")
    torch.manual_seed(6)
    net = torchvision.models.resnet18(num_classes=6).eval()
    picture = torch.randn(1, 3, 64, 96)
    mine = Explainer(net, "layer4", method="guided-backprop", optimize=True)(picture, 2)[0].maps[0].values
    theirs = np.abs(peer.GuidedBackpropReLUModel(net, device="cpu")(picture, 2)).max(axis=2)
    assert np.abs(mine - theirs).max() <= 1e-5 * theirs.max()


def test_progress_of_noisy_copies_is_told(small_net, batch):
    reported = []
    budget = Budget(progress=lambda done, total: reported.append((done, total)))
    Explainer(small_net, "features", method="smoothgradcam++", budget=budget)(batch, 1)
    assert reported == [(done, 8) for done in range(1, 9)]


@pytest.mark.parametrize("method", [*OF_INPUT, "smoothgradcam++", "guided-gradcam"])
def test_the_network_is_left_as_it_was(small_net, batch, method):
    batch.requires_grad_(False)
    before = batch.clone()
    Explainer(small_net, "features", method=method)(batch, 1)
    assert torch.equal(batch, before)
    assert not batch.requires_grad
    assert all(parameter.requires_grad and parameter.grad is None for parameter in small_net.parameters())
    assert not any(module._forward_hooks or module._backward_hooks for module in small_net.modules())


@pytest.mark.parametrize("method", OF_INPUT)
def test_a_saturated_score_leaves_nothing_to_show(batch, method):
    net = nn.Sequential(Functional(F.relu, F.relu), nn.Tanh())
    nn.init.constant_(net[0].head.bias, 200.0)
    found = Explainer(net, "0.body", method=method)(batch, 1)[0].maps[0]
    assert found.blank
    assert "does not change with any pixel" in found.blank


@pytest.mark.parametrize("method", [*OF_INPUT, "smoothgradcam++"])
def test_networks_that_change_their_input_and_half_precision(batch, method):
    class Shifted(Functional):
        def forward(self, x):
            return super().forward(x.mul_(0.5))

    whole = Explainer(Shifted(F.relu, F.relu), "body", method=method)(batch[:1].clone(), 1)[0].maps[0].values
    half = Explainer(Shifted(F.relu, F.relu).half(), "body", method=method)(batch[:1].clone(), 1)[0].maps[0].values
    assert whole.max() > 0
    cosine = (whole * half).sum() / np.linalg.norm(whole) / np.linalg.norm(half)
    assert cosine > 0.99
