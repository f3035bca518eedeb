"""Copies that run in a network's place: the same maps, the network untouched, nothing folded that must not be."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
import torch
import torchvision
from torch import nn

from gradcam_cli.cam.execution.replica import fold, lay_out, replica, torch_cores_shared
from gradcam_cli.cam.explainer import MAX_AT_ONCE, Explainer
from gradcam_cli.cam.layers.trace import trace_network

SIZE = (24, 40)


def unsettled(net: nn.Module) -> nn.Module:
    """Give every batch norm statistics, weights and biases that are not those it begins with."""
    generator = torch.Generator().manual_seed(3)
    for module in net.modules():
        if isinstance(module, nn.BatchNorm2d):
            for tensor, low, high in (
                (module.running_mean, -0.3, 0.3), (module.running_var, 0.5, 1.5),
                (module.weight.data, 0.5, 1.5), (module.bias.data, -0.3, 0.3),
            ):  # fmt: skip
                tensor.uniform_(low, high, generator=generator)
    return net.eval()


def folded_in(net: nn.Module, size: tuple[int, int] = SIZE) -> list[str]:
    """Names of the batch norms that are folded."""
    copied = replica(net)
    fold(copied, trace_network(copied, size).normalised)
    return [name for name, module in copied.named_modules() if "forward" in module.__dict__]


def maps_of(net: nn.Module, batch: torch.Tensor, layer: str, *, optimize: bool) -> list[np.ndarray]:
    explainer = Explainer(net, layer, input_size=tuple(batch.shape[2:]), optimize=optimize)
    return [each.maps[0].values for each in explainer(batch, [1] * len(batch))]


def assert_same(net: nn.Module, batch: torch.Tensor, layer: str = "auto", tolerance: float = 1e-5) -> None:
    for plain, fast in zip(
        maps_of(net, batch, layer, optimize=False), maps_of(net, batch, layer, optimize=True), strict=True
    ):
        assert plain.max() > 0, "nothing to compare"
        np.testing.assert_allclose(fast, plain, atol=tolerance * plain.max())


@pytest.mark.parametrize("layer", ["auto", "features", "features.2", "features.3", "features.4"])
def test_the_same_maps_at_every_layer(small_net, batch, layer):
    """Also at the convolution in front of a batch norm, which then is not folded, and at the batch norm itself."""
    assert folded_in(small_net) == ["features.3"]
    assert_same(small_net, batch, layer)


@pytest.mark.slow
@pytest.mark.parametrize("name", ["mobilenet_v2", "resnet18", "densenet121"])
def test_the_same_maps_of_real_architectures(name):
    torch.manual_seed(1)
    net = unsettled(torchvision.models.get_model(name, weights=None, num_classes=7))
    layer = {"mobilenet_v2": "features.10", "resnet18": "layer3", "densenet121": "features.denseblock3"}[name]
    assert len(folded_in(net, (64, 64))) == {"mobilenet_v2": 52, "resnet18": 20, "densenet121": 59}[name]
    assert_same(net, torch.randn(2, 3, 64, 64), layer, 1e-4)


def test_the_network_is_left_as_it_was(small_net, batch):
    small_net.train()
    state = {name: value.clone() for name, value in small_net.state_dict().items()}
    parameters = list(small_net.parameters())
    Explainer(small_net, input_size=SIZE, optimize=True)(batch)
    assert all(module.training for module in small_net.modules())
    assert all(
        mine is before and mine.requires_grad for mine, before in zip(small_net.parameters(), parameters, strict=True)
    )
    assert all(torch.equal(value, state[name]) for name, value in small_net.state_dict().items())
    assert not any(module._forward_hooks or "forward" in module.__dict__ for module in small_net.modules())


def test_tensors_are_shared_unless_folded(small_net):
    copied = replica(small_net)
    assert copied.classifier.weight.data_ptr() == small_net.classifier.weight.data_ptr()
    assert copied.features[3].running_mean is small_net.features[3].running_mean


def test_weights_are_laid_out_as_batches_are(small_net, batch):
    explainer = Explainer(small_net, "features.2", optimize=True)
    with explainer.running() as (network, _):
        convolutions = [module for module in network.modules() if isinstance(module, nn.Conv2d)]
    assert convolutions
    for convolution in convolutions:
        assert convolution.weight.is_contiguous(memory_format=torch.channels_last)
    assert not small_net.features[2].weight.is_contiguous(memory_format=torch.channels_last)


def test_weights_that_two_share_stay_one():
    net = nn.Sequential(nn.Conv2d(3, 3, 3), nn.ReLU(), nn.Conv2d(3, 3, 3))
    net[2].weight = net[0].weight
    copied = replica(net)
    lay_out(copied)
    assert copied[2].weight is copied[0].weight


@pytest.mark.parametrize("targets", [None, 1, [0, 1, 2] * 4, lambda logits: [2, 0], torch.arange(12) % 3])
def test_a_large_batch_in_parts(small_net, targets):
    batch = torch.randn(12, 3, 40, 48, generator=torch.Generator().manual_seed(3))
    whole = Explainer(small_net)(batch, targets)
    parts = Explainer(small_net, optimize=True)(batch, targets)
    assert len(parts) == len(whole) == 12 > MAX_AT_ONCE
    for mine, expected in zip(parts, whole, strict=True):
        assert mine.logits == pytest.approx(expected.logits, abs=1e-5)
        assert [each.target for each in mine.maps] == [each.target for each in expected.maps]
        for one, other in zip(mine.maps, expected.maps, strict=True):
            np.testing.assert_allclose(one.values, other.values, atol=1e-5 * max(other.values.max(), 1))


class Odd(nn.Module):
    """A convolution, a batch norm, and something about them that forbids folding."""

    def __init__(self, oddity: str) -> None:
        super().__init__()
        self.first, self.conv, self.norm = (
            nn.Conv2d(3, 6, 3, padding=1),
            nn.Conv2d(6, 6, 3, padding=1),
            nn.BatchNorm2d(6),
        )
        self.head = nn.Linear(6, 4)
        self.oddity = oddity
        if oddity == "hook":
            self.conv.register_forward_hook(lambda module, args, output: output * 2)
        if oddity == "elsewhere":
            conv = self.conv
            self.run = lambda x: conv(x)
        if oddity == "tied":
            self.first = nn.Conv2d(6, 6, 3, padding=1)
            self.first.weight = self.conv.weight
        if oddity == "no statistics":
            self.norm = nn.BatchNorm2d(6, track_running_stats=False)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = self.first(torch.cat([x, -x], 1) if self.oddity == "tied" else x)
        y = self.run(x) if self.oddity == "elsewhere" else self.conv(x)
        if self.oddity == "read twice":
            return self.head((self.norm(y) + y).mean((2, 3)))
        if self.oddity == "called twice":
            return self.head((self.norm(y) + self.conv(torch.relu(x))).mean((2, 3)))
        if self.oddity == "view":
            return self.head(self.norm(y.view(y.shape)).mean((2, 3)))
        if self.oddity == "weight":
            return self.head(self.norm(y).mean((2, 3))) + self.conv.weight.sum()
        return self.head(torch.relu(self.norm(y)).mean((2, 3)))


@pytest.mark.parametrize(
    "oddity",
    ["read twice", "called twice", "view", "weight", "hook", "elsewhere", "tied", "no statistics"],
)
def test_what_must_not_be_folded(oddity, batch):
    torch.manual_seed(5)
    net = Odd(oddity).eval().double()  # gradients through a norm without statistics cancel in float32
    if oddity != "no statistics":
        unsettled(net)
    assert folded_in(net) == []
    assert_same(net, batch.double(), "first")


def test_without_the_oddity_it_is_folded(batch):
    torch.manual_seed(5)
    net = unsettled(Odd("none"))
    assert folded_in(net) == ["norm"]
    assert_same(net, batch, "first")


def test_half_precision_is_not_folded(small_net):
    assert folded_in(small_net.bfloat16()) == []


def test_a_network_that_cannot_be_copied_runs_itself(small_net, batch):
    small_net.lock = threading.Lock()
    explainer = Explainer(small_net, input_size=SIZE, optimize=True)
    assert explainer.concurrency == 1
    assert explainer(batch)[0].maps[0].values.max() > 0


def test_threads_explain_at_once(small_net):
    torch.manual_seed(0)
    pictures = torch.randn(24, 3, *SIZE)
    explainer = Explainer(small_net, input_size=SIZE, optimize=True)
    alone = [explainer(picture[None], 2)[0].maps[0].values for picture in pictures]
    with torch_cores_shared(4), ThreadPoolExecutor(4) as pool:
        together = list(pool.map(lambda picture: explainer(picture[None], 2)[0].maps[0].values, pictures))
    for mine, theirs in zip(together, alone, strict=True):
        np.testing.assert_allclose(mine, theirs, atol=1e-6)


def test_cores_are_given_back():
    cores = torch.get_num_threads()
    with pytest.raises(ZeroDivisionError), torch_cores_shared(2):
        1 / 0  # noqa: B018
    assert torch.get_num_threads() == cores
