"""Trial runs: nothing stays behind, what can be explained is, and each refusal names its own cause."""

from __future__ import annotations

import copy
import sys
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn
from torch.optim.swa_utils import AveragedModel

from gradcam_cli.cam.explainer import Explainer
from gradcam_cli.cam.layers.trace import CannotRunError, trace_network
from gradcam_cli.errors import ModelError
from tests.conftest import SmallNet

SIZE = (24, 40)


class Keeps(SmallNet):
    """Keeps what it has computed: for an input size, in a buffer, a list and a counter."""

    def __init__(self) -> None:
        super().__init__()
        self.grid: torch.Tensor | None = None
        self.seen: list[tuple[int, ...]] = []
        self.count = 0
        self.register_buffer("runs", torch.zeros((), dtype=torch.long))
        self.register_buffer("late", None)

    def forward(self, x):
        if self.grid is None or self.grid.shape != x.shape[2:]:
            self.grid = torch.linspace(-1, 1, x.shape[2] * x.shape[3], device=x.device).view(x.shape[2:])
        self.seen.append(tuple(x.shape))
        self.count += 1
        self.runs += 1
        self.late = x.mean()
        return super().forward(x + self.grid)


class Uncopied(Keeps):
    """Cannot be copied, as networks with locks or open files."""

    def __deepcopy__(self, memo: Any) -> Any:
        raise TypeError("cannot be copied")


@pytest.mark.parametrize("kind", [Keeps, Uncopied])
def test_a_trial_run_leaves_nothing_behind(kind, batch):
    torch.manual_seed(0)
    net = kind().eval()
    state = {name: value.clone() for name, value in net.state_dict().items()}
    trace_network(net, SIZE, gradients=True)
    assert (net.grid, net.count, int(net.runs), net.late) == (None, 0, 0, None)
    assert kind is Uncopied or net.seen == []
    assert all(torch.equal(value, state[name]) for name, value in net.state_dict().items())
    plain = Explainer(net, "features", input_size=(32, 32))(batch, 1)[0].maps[0].values
    assert plain.any()


def test_pictures_of_several_sizes_with_what_is_kept():
    net = Keeps().eval()
    explainer = Explainer(net, "features", input_size=SIZE, optimize=True)
    for size in (SIZE, (32, 32), (40, 24)):
        picture = torch.randn(1, 3, *size)
        expected = Explainer(copy.deepcopy(net), "features", input_size=size)(picture, 1)[0].maps[0].values
        found = explainer(picture, 1)[0].maps[0].values
        np.testing.assert_allclose(found, expected, atol=1e-5 * max(expected.max(), 1))
        assert found.shape == (size[0] // 4, size[1] // 4)


class Stateful(nn.Module):
    """Changes its windows for small inputs for good, as Hugging Face's Swin does."""

    def __init__(self) -> None:
        super().__init__()
        self.stem, self.head, self.window = nn.Conv2d(3, 6, 4, 4), nn.Linear(6, 3), 8
        self.mix = nn.Conv2d(6, 6, 1)

    def forward(self, x):
        maps = self.stem(x)
        self.window = min(self.window, *maps.shape[2:])
        return self.head(self.mix(maps.unfold(2, self.window, self.window).mean(-1)).mean((2, 3)))


def test_a_trial_at_another_size_does_not_change_the_next():
    net = Stateful().eval()
    trace = trace_network(net, (160, 160), gradients=True)
    assert net.window == 8
    assert trace.gradients
    assert any(trace.gradients.values())


class Wrapped(nn.Module):
    """A network whose features go through what people write between backbone and head."""

    def __init__(self, between: Any) -> None:
        super().__init__()
        torch.manual_seed(1)
        self.net = SmallNet()
        self.between = between
        self.kept = None

    def forward(self, x):
        return self.between(self, x)


def hooked(self: Wrapped, x: torch.Tensor) -> torch.Tensor:
    maps = self.net.features(x)
    maps.register_hook(lambda gradient: setattr(self, "kept", gradient))
    return self.net.head(maps)


def retained(self: Wrapped, x: torch.Tensor) -> torch.Tensor:
    maps = self.net.features(x)
    maps.retain_grad()
    return self.net.head(maps)


def frozen(self: Wrapped, x: torch.Tensor) -> torch.Tensor:
    with torch.no_grad():
        maps = self.net.features(x)
    return self.net.head(maps)


def inferred(self: Wrapped, x: torch.Tensor) -> torch.Tensor:
    with torch.inference_mode():
        maps = self.net.features(x)
    return self.net.head(maps.clone())


def detached(self: Wrapped, x: torch.Tensor) -> torch.Tensor:
    return self.net.head(self.net.features(x).detach())


def by_data(self: Wrapped, x: torch.Tensor) -> torch.Tensor:
    return self.net.head(self.net.features(x).data)


@torch.no_grad()
def never(self: Wrapped, x: torch.Tensor) -> torch.Tensor:
    return self.net(x)


def shifted(self: Wrapped, x: torch.Tensor) -> torch.Tensor:
    x -= 0.0
    return self.net(x)


def read(self: Wrapped, x: torch.Tensor) -> torch.Tensor:
    x.numpy()  # which a tensor with a graph does not have
    return self.net(x)


FORWARDS = [hooked, retained, frozen, inferred, detached, by_data, never, shifted, read]


@pytest.mark.parametrize("method", ["gradcam", "scorecam", "ablationcam", "smoothgrad"])
@pytest.mark.parametrize("layer", ["auto", "net.features"])
@pytest.mark.parametrize("forward", FORWARDS)
def test_forwards_that_stop_or_watch_gradients(forward, layer, method, batch):
    """The same map as without."""
    if forward is read and method == "smoothgrad":
        pytest.skip("it needs the input's gradient, which such a network cannot have")
    found, expected = (
        Explainer(Wrapped(each).eval(), layer, method=method, input_size=SIZE)(batch.clone(), 2)[1].maps[0]
        for each in (forward, lambda self, x: self.net(x))
    )
    assert found.layer == expected.layer
    np.testing.assert_allclose(found.values, expected.values, atol=1e-5 * np.abs(expected.values).max())


@pytest.mark.parametrize("forward", [frozen, detached, never])
def test_that_gradients_were_stopped_is_said(forward):
    assert "without gradients" in Explainer(Wrapped(forward).eval(), input_size=SIZE).notes[0]


def test_a_network_that_rounds_has_no_gradient(batch):
    net = Wrapped(lambda self, x: torch.from_numpy(self.net(x).detach().numpy())).eval()
    with pytest.raises(ModelError, match="no gradient passes") as caught:
        Explainer(net, "net.features", input_size=SIZE)
    assert "{method}" in caught.value.template
    found = Explainer(net, input_size=SIZE, method="eigencam")(batch)[0].maps[0]
    assert found.low < found.high


class Backend:
    """Counts what a compiler is given, and runs it as it is."""

    def __init__(self) -> None:
        self.graphs = 0

    def __call__(self, module: Any, inputs: Any) -> Any:
        self.graphs += 1
        return module.forward


@pytest.mark.slow
@pytest.mark.parametrize("optimize", [False, True])
@pytest.mark.parametrize("how", ["whole", "part", "in place"])
def test_compiled_networks(how, optimize, batch):
    torch.manual_seed(1)
    net, backend = SmallNet().eval(), Backend()
    plain = copy.deepcopy(net)
    if how == "whole":
        net = torch.compile(net, backend=backend)
    elif how == "part":
        net.features = torch.compile(net.features, backend=backend)
    else:
        net.compile(backend=backend)
    layer = {"whole": "_orig_mod.features.3", "part": "features._orig_mod.3", "in place": "features.3"}[how]
    for each in ("auto", layer):
        found = Explainer(net, each, input_size=SIZE, optimize=optimize)(batch, 2)[0].maps[0].values
        own = "auto" if each == "auto" else "features.3"
        expected = Explainer(plain, own, input_size=SIZE)(batch, 2)[0].maps[0].values
        np.testing.assert_allclose(found, expected, atol=1e-5 * expected.max())
    assert backend.graphs == 0
    assert "torch._dynamo" in sys.modules
    net(batch)
    assert backend.graphs > 0, "the network itself is left compiled"


@pytest.mark.parametrize("wrap", [nn.DataParallel, AveragedModel])
def test_wrappers_that_only_run_a_network(wrap, batch):
    torch.manual_seed(1)
    net = SmallNet().eval()
    found = Explainer(wrap(net).eval(), input_size=SIZE)(batch, 2)[0].maps[0].values
    np.testing.assert_allclose(found, Explainer(net, input_size=SIZE)(batch, 2)[0].maps[0].values, atol=1e-6)


class Tabular(SmallNet):
    def forward(self, x, patient):
        return super().forward(x) + patient


class Listed(SmallNet):
    def forward(self, pair):
        first, second = pair
        return super().forward(first) - super().forward(second)


class Halved(SmallNet):
    def forward(self, x):
        return super().forward(x.half())


def channels(count: int) -> nn.Module:
    net = SmallNet()
    net.features[0] = nn.Conv2d(count, 6, 3, 2, 1)
    return net


def volumes() -> nn.Module:
    return nn.Sequential(nn.Conv3d(3, 4, 3), nn.AdaptiveAvgPool3d(1), nn.Flatten(), nn.Linear(4, 2))


REFUSED = {
    "second input": (
        Tabular(),
        r"needs more than a picture: forward\(\) also takes patient",
        "forward(x, self.patient)",
    ),
    "list of inputs": (Listed(), "several inputs in one", "forward([x, self.other])"),
    "four channels": (channels(4), "pictures of 4 channels", "torch.cat([x, self.others], 1)"),
    "two channels": (channels(2), "pictures of 2 channels", "x[:, :2]"),
    "volumes": (volumes(), "five dimensions", "x[:, :, None]"),
    "half precision": (Halved(), "changes the number format", ""),
}


@pytest.mark.parametrize("name", REFUSED)
def test_each_refusal_names_its_cause(name):
    net, cause, example = REFUSED[name]
    with pytest.raises(ModelError, match=cause) as caught:
        trace_network(net.eval(), SIZE)
    assert not isinstance(caught.value, CannotRunError), "another size would not help"
    assert "input_size" not in caught.value.hint
    assert example in caught.value.example
    if example:
        lines = caught.value.example.splitlines()
        assert len(lines) == 3
        compile(caught.value.example, "hint", "exec")


def test_another_size_helps_only_where_the_size_is_wrong():
    net = nn.Sequential(nn.Conv2d(3, 4, 3), nn.Flatten(), nn.Linear(4 * 30 * 30, 2)).eval()
    with pytest.raises(CannotRunError, match="cannot be run on a 40×24 picture"):
        trace_network(net, SIZE)


def test_scripted_networks_have_no_layers():
    scripted = torch.jit.trace(SmallNet().eval(), torch.zeros(1, 3, *SIZE))
    with pytest.raises(ModelError, match="TorchScript"):
        Explainer(scripted, input_size=SIZE)


def test_quantised_networks_have_no_gradients(batch):
    net = torch.ao.quantization.quantize_dynamic(SmallNet().eval(), {nn.Linear}, torch.qint8)
    with pytest.raises(ModelError, match="quantised") as caught:
        Explainer(net, input_size=SIZE)
    assert "eigencam" in caught.value.hint
    assert Explainer(net, input_size=SIZE, method="eigencam")(batch)[0].maps[0].blank is None


def test_a_forward_that_belongs_to_the_original(batch):
    """A copy would run the original's modules unseen."""
    net, inner = nn.Module(), SmallNet()
    net.inner = inner
    net.forward = lambda x: inner(x)
    net.eval()
    found = Explainer(net, input_size=SIZE, optimize=True)(batch, 1)[0].maps[0]
    assert found.layer == "inner.tail.1"
    np.testing.assert_allclose(found.values, Explainer(inner, input_size=SIZE)(batch, 1)[0].maps[0].values, atol=1e-6)
