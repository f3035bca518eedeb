"""What the engine leaves alone, and which networks it takes."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from torch import nn

from gradcam_cli.cam.explainer import Explainer
from gradcam_cli.errors import ModelError


def hooks_of(net: nn.Module) -> int:
    return sum(len(module._forward_hooks) + len(module._forward_pre_hooks) for module in net.modules())


def test_leaves_the_network_as_it_was(small_net, batch):
    small_net.train()
    small_net.tail.eval()
    small_net.classifier.weight.requires_grad_(False)
    flags = [module.training for module in small_net.modules()]
    state = {name: value.clone() for name, value in small_net.state_dict().items()}
    Explainer(small_net, "auto", input_size=(24, 40))(batch)
    assert [module.training for module in small_net.modules()] == flags
    assert [p.requires_grad for p in small_net.parameters()].count(False) == 1
    assert all(p.grad is None for p in small_net.parameters())
    assert hooks_of(small_net) == 0
    for name, value in small_net.state_dict().items():
        assert torch.equal(value, state[name]), f"{name} changed, as batch norm does in training mode"


def test_restores_flags_and_hooks_when_the_forward_raises(small_net, batch):
    explainer = Explainer(small_net, "features")

    def explode(maps: torch.Tensor) -> torch.Tensor:
        raise RuntimeError("boom")

    small_net.train()
    small_net.head = explode
    with pytest.raises(RuntimeError, match="boom"):
        explainer(batch)
    assert all(module.training for module in small_net.modules())
    assert all(p.requires_grad for p in small_net.parameters())
    assert hooks_of(small_net) == 0


def test_nothing_before_the_layer_is_recorded(small_net, batch):
    seen = {}
    small_net.features[1].register_forward_hook(lambda m, a, out: seen.update(before=out.requires_grad))
    small_net.tail.register_forward_hook(lambda m, a, out: seen.update(behind=out.requires_grad))
    Explainer(small_net, "features")(batch)
    assert seen == {"before": False, "behind": True}


def test_existing_gradients_are_not_touched(small_net, batch):
    small_net(batch).sum().backward()
    before = [p.grad.clone() for p in small_net.parameters()]
    Explainer(small_net, "features")(batch)
    assert all(torch.equal(p.grad, old) for p, old in zip(small_net.parameters(), before, strict=True))


@pytest.mark.parametrize("mode", [torch.enable_grad, torch.no_grad, torch.inference_mode])
def test_frozen_parameters_in_any_mode(small_net, batch, mode):
    free = Explainer(small_net, "features")(batch, 1)
    assert free[0].maps[0].blank is None
    for parameter in small_net.parameters():
        parameter.requires_grad_(False)
    with mode():
        batch = batch + 0
        frozen = Explainer(small_net, "features")(batch, 1)
    np.testing.assert_allclose(free[0].maps[0].values, frozen[0].maps[0].values, atol=1e-6)
    assert not any(p.requires_grad for p in small_net.parameters())


def test_in_place_activation_behind_the_layer(batch):
    """The tensor is kept as the layer returned it, negative values and all."""
    torch.manual_seed(0)

    def build(*, inplace: bool) -> nn.Sequential:
        torch.manual_seed(0)
        return nn.Sequential(
            nn.Conv2d(3, 4, 3), nn.ReLU(inplace=inplace), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(4, 3)
        ).eval()

    plain, overwriting = (Explainer(build(inplace=inplace), "0")(batch, 1)[0].maps[0] for inplace in (False, True))
    np.testing.assert_array_equal(plain.values, overwriting.values)
    assert (plain.low, plain.high) == (overwriting.low, overwriting.high)


@dataclass(frozen=True)
class Scores:
    name: str
    scores: torch.Tensor


@pytest.mark.parametrize(
    "wrap",
    [
        lambda scores: (scores, None),
        lambda scores: ((None, torch.tensor(1.0)), (scores,)),
        lambda scores: Scores("a", scores),
        lambda scores: [None, scores],
        lambda scores: {"aux": torch.zeros(3, 1, 1, 1), "out": scores},
        lambda scores: {"hidden": torch.zeros(3, 2), "logits": scores},
        lambda scores: SimpleNamespace(loss=None, logits=scores),
    ],
    ids=["tuple", "tuple of tuples", "dataclass", "list", "dict", "dict with logits", "object with logits"],
)
def test_outputs_of_many_shapes(small_net, batch, wrap):
    class Wrapped(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.net = small_net

        def forward(self, x):
            return wrap(self.net(x))

    plain = Explainer(small_net, "features")(batch, 1)
    wrapped = Explainer(Wrapped(), "net.features")(batch, 1)
    np.testing.assert_array_equal(plain[0].maps[0].values, wrapped[0].maps[0].values)


@pytest.mark.parametrize("count", [1, 2, 3])
@pytest.mark.parametrize("classes", [1, 3])
@pytest.mark.parametrize(
    "reshape",
    [
        lambda scores: scores.squeeze(),
        lambda scores: scores.squeeze(-1),
        lambda scores: scores.squeeze(0),
        lambda scores: scores[:, :, None, None],
        lambda scores: scores[:, None, None, :],
        lambda scores: scores[:, None],
        lambda scores: (scores[:, :, None, None].expand(-1, -1, 2, 2), scores[:, None]),
    ],
    ids=["squeezed", "last", "first", "NK11", "N11K", "N1K", "beside a map"],
)
@pytest.mark.parametrize("method", ["gradcam", "scorecam", "ablationcam"])
def test_dimensions_of_one(method, reshape, classes, count, batch):
    """They are read by the number of pictures, so that a picture alone and a batch get the same map."""
    torch.manual_seed(0)
    plain = nn.Sequential(nn.Conv2d(3, 4, 3), nn.Tanh(), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(4, classes))

    class Reshaped(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.net = plain

        def forward(self, x):
            return reshape(self.net(x))

    options = {"method": method, "input_size": (24, 40)}
    expected = Explainer(plain.eval(), "auto", **options)(batch[:count], 1)
    found = Explainer(Reshaped().eval(), "auto", **options)(batch[:count], 1)
    for one, other in zip(expected, found, strict=True):
        np.testing.assert_array_equal(one.logits, other.logits)
        np.testing.assert_allclose(one.maps[0].values, other.maps[0].values, atol=1e-6)


def test_a_layer_that_returns_a_dataclass(batch):
    class Named(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.conv = nn.Conv2d(3, 4, 3)

        def forward(self, x):
            return Scores("a", self.conv(x))

    class Net(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.named, self.classifier = Named(), nn.Linear(4, 3)

        def forward(self, x):
            return self.classifier(self.named(x).scores.tanh().mean((2, 3)))

    torch.manual_seed(0)
    net = Net().eval()
    whole, inner = (Explainer(net, layer)(batch, 1)[0].maps[0].values for layer in ("named", "named.conv"))
    np.testing.assert_array_equal(whole, inner)
    assert whole.max() > 0


def test_a_layer_that_returns_a_tuple(batch):
    class Pair(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.conv = nn.Conv2d(3, 4, 3)

        def forward(self, x):
            return self.conv(x), "weights"

    class Net(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.pair = Pair()
            self.classifier = nn.Linear(4, 3)

        def forward(self, x):
            return self.classifier(self.pair(x)[0].tanh().mean((2, 3)))

    torch.manual_seed(0)
    net = Net().eval()
    whole, inner = (Explainer(net, layer)(batch, 1)[0].maps[0].values for layer in ("pair", "pair.conv"))
    np.testing.assert_array_equal(whole, inner)
    assert whole.max() > 0


def test_a_layer_used_twice_is_captured_at_its_last_use(batch):
    class Net(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.first, self.second = nn.Conv2d(3, 4, 3), nn.Conv2d(4, 4, 3)
            self.relu = nn.ReLU()
            self.classifier = nn.Linear(4, 3)

        def forward(self, x):
            self.last = self.relu(self.second(self.relu(self.first(x))))
            return self.classifier(self.last.mean((2, 3)))

    torch.manual_seed(0)
    net = Net().eval()
    result = Explainer(net, "relu")(batch[:1], 1)[0].maps[0]
    assert result.values.shape == net.last.shape[2:]


class Words(nn.Module):
    def forward(self, x):
        return "cat"


def test_no_class_scores():
    with pytest.raises(ModelError, match=r"maps of scores, as segmentation networks do.*\(1, 4, 22, 38\)"):
        Explainer(nn.Sequential(nn.Conv2d(3, 4, 3)), "0", input_size=(24, 40))
    with pytest.raises(ModelError, match=r"no class scores .* but no tensor of floats for 1 picture"):
        Explainer(nn.Sequential(nn.Conv2d(3, 4, 3), Words()), "0")


def test_a_layer_without_a_grid(small_net, batch):
    with pytest.raises(ModelError, match="no grid"):
        Explainer(small_net, "classifier")(batch)


def test_a_foreign_module(small_net):
    with pytest.raises(ModelError, match="not a module of this network"):
        Explainer(small_net, nn.ReLU())


def test_a_module_as_layer(small_net, batch):
    assert Explainer(small_net, small_net.features)(batch)[0].maps[0].layer == "features"


@pytest.mark.parametrize("targets", [5, -1, [0, 1, 9], lambda logits: []])
def test_classes_that_there_are_not(small_net, batch, targets):
    with pytest.raises(ModelError, match="are not the network's"):
        Explainer(small_net, "features")(batch, targets)


def test_threads_share_a_network(small_net):
    """Hooks belong to the network: without turns, a thread would capture what another one's picture gave."""
    pictures = [torch.randn(1, 3, 24, 40, generator=torch.Generator().manual_seed(seed)) for seed in range(4)]
    alone = [Explainer(small_net, "features")(picture)[0].maps[0].values for picture in pictures]
    small_net.train()

    def explained(turn: int) -> np.ndarray:
        return Explainer(small_net, "features")(pictures[turn % 4])[0].maps[0].values

    with ThreadPoolExecutor(4) as threads:
        together = list(threads.map(explained, range(40)))
    for turn, values in enumerate(together):
        np.testing.assert_allclose(values, alone[turn % 4], atol=1e-6)
    assert all(module.training for module in small_net.modules())
