"""Any module can be explained, and is left as it is."""

from __future__ import annotations

import copy
import gc
import threading
import warnings
import weakref

import numpy as np
import pytest
import torch
from torch import nn

import gradcam_cli
from gradcam_cli.api import networks
from gradcam_cli.pipeline.session import Session
from tests.conftest import SmallNet


@pytest.fixture
def sessions(monkeypatch):
    """Return a list that grows with each session that is made."""
    made = []
    ready = Session.__init__
    monkeypatch.setattr(Session, "__init__", lambda *args, **kwargs: made.append(1) or ready(*args, **kwargs))
    return made


class Uncopyable(SmallNet):
    """A network with what cannot be copied."""

    def __init__(self):
        super().__init__()
        self.lock = threading.Lock()


def everything(module: nn.Module) -> list[object]:
    """Return what explaining could change."""
    hooks = [(len(each._forward_hooks), len(each._forward_pre_hooks), each.training) for each in module.modules()]
    tensors = [
        (id(each), each._version, each.data_ptr(), each.requires_grad, None if each.grad is None else id(each.grad))
        for each in (*module.parameters(), *module.buffers())
    ]
    return [hooks, tensors, [dict(each.__dict__) for each in module.modules() if not each._modules]]


@pytest.mark.parametrize("kind", [SmallNet, Uncopyable])
def test_a_module_is_explained_and_left_as_it_is(kind, cat):
    torch.manual_seed(3)
    module = kind().train()
    module(torch.randn(2, 3, 24, 24)).sum().backward()  # so that there are gradients
    module.features[0].requires_grad_(False)
    before = everything(module)
    found = gradcam_cli.explain(cat, model=module, layer="features.3")
    assert everything(module) == before
    assert (found.layer, found.session.network.name, len(found.predictions)) == ("features.3", kind.__name__, 5)
    evaluated = gradcam_cli.explain(cat, model=module.eval(), layer="features.3")
    np.testing.assert_array_equal(found.map, evaluated.map)


def test_a_module_is_what_user_code_of_it_is(cat, tmp_path, monkeypatch):
    """The same preprocessing, the same note on what was assumed."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "own.py").write_text("from tests.conftest import SmallNet\nimport torch\n"
                                     "def make():\n    torch.manual_seed(3)\n    return SmallNet()\n")  # fmt: skip
    torch.manual_seed(3)
    found = gradcam_cli.explain(cat, model=SmallNet())
    code = gradcam_cli.explain(cat, model="own.py:make")
    np.testing.assert_array_equal(found.map, code.map)
    assert found.predictions == code.predictions
    (note,) = found.session.notes
    assert "on what pictures SmallNet was trained: a side of 256 pixels" in note
    assert note.replace("SmallNet", "own.py:make") in code.session.notes
    told = gradcam_cli.explain(cat, model=SmallNet(), input_size=64, mean=0.5, std=0.5)
    assert told.session.notes == []
    assert min(told.geometry.input) == 64


def test_a_layer_may_be_the_module_itself(small_net, cat):
    named = gradcam_cli.explain(cat, model=small_net, layer="tail.0")
    given = gradcam_cli.explain(cat, model=small_net, layer=small_net.tail[0])
    np.testing.assert_array_equal(named.map, given.map)
    assert given.layer == "tail.0"
    parallel = nn.DataParallel(small_net)
    assert gradcam_cli.explain(cat, model=parallel, layer=small_net.tail[0]).layer == "tail.0"
    network = gradcam_cli.load_model("tiny")
    name, layer = next((name, each) for name, each in network.module.named_modules() if name == "stage2")
    assert gradcam_cli.explain(cat, model=network, layer=layer).layer == name


def test_classes_have_the_names_that_are_given(small_net, cat, tmp_path):
    names = ["ant", "bee", "cat", "dog", "elk"]
    found = gradcam_cli.explain(cat, model=small_net, labels=names, target="cat")
    assert (found.target.index, found.target.label) == (2, "cat")
    assert gradcam_cli.explain(cat, model=small_net, target=2).target.label == "class 2"
    file = tmp_path / "names.txt"
    file.write_text("\n".join(reversed(names)))
    assert gradcam_cli.explain(cat, model=small_net, labels=file, target=0).target.label == "elk"
    assert gradcam_cli.explain(cat, model=small_net, target=0).target.label == "class 0"
    digits = [f"number {number}" for number in range(10)]
    assert gradcam_cli.explain(cat, model="tiny", labels=digits, target=4).target.label == "number 4"
    assert gradcam_cli.load_model("tiny", labels=digits).labels == tuple(digits)
    with pytest.raises(gradcam_cli.ModelError, match="5 labels for 10 classes"):
        gradcam_cli.load_model("tiny", labels=names)
    for wrong in (names[:3], (*names, "fox")):
        with pytest.raises(gradcam_cli.ModelError, match=rf"^{len(wrong)} labels for 5 classes") as caught:
            gradcam_cli.explain(cat, model=small_net, labels=wrong)
        assert caught.value.hint
    for wrong in ([1, 2, 3, 4, 5], 7, ["a", "", "c", "d", "e"]):
        with pytest.raises(gradcam_cli.UsageError, match="the labels are no names"):
            gradcam_cli.explain(cat, model=small_net, labels=wrong)


def test_a_module_is_made_ready_once(small_net, cat, sessions):
    for target in (0, 1, 2):
        gradcam_cli.explain(cat, model=small_net, target=target)
    assert len(sessions) == 1
    gradcam_cli.explain(cat, model=copy.deepcopy(small_net))
    assert len(sessions) == 2


@pytest.mark.parametrize("change", ["weights", "load", "part", "hook", "double", "flag", "method", "statistics"])
def test_a_module_that_has_changed_is_made_ready_anew(small_net, cat, change):
    before = gradcam_cli.explain(cat, model=small_net, target=0, layer="features").map
    if change == "weights":
        with torch.no_grad():
            small_net.features[0].weight.neg_()
    elif change == "load":
        small_net.load_state_dict({name: -value for name, value in small_net.state_dict().items()}, strict=True)
        small_net.features[3].running_var.abs_()
    elif change == "part":
        small_net.features[4] = nn.Softplus()
    elif change == "hook":
        small_net.features[4].register_forward_hook(lambda module, given, output: output**2)
    elif change == "flag":
        small_net.features[0].padding_mode = "circular"
        small_net.features[3].eps = 0.5
    elif change == "method":
        small_net.features[4].forward = torch.square
    elif change == "statistics":
        small_net.train()(5 * torch.randn(4, 3, 24, 24))
    else:
        small_net.double()
        small_net.features[0].weight.data.neg_()
    after = gradcam_cli.explain(cat, model=small_net, target=0, layer="features").map
    fresh = gradcam_cli.explain(cat, model=copy.deepcopy(small_net), target=0, layer="features").map
    assert np.abs(after - before).max() > 1e-3
    np.testing.assert_array_equal(after, fresh)


def test_a_module_is_not_kept_alive(cat):
    module = SmallNet()
    gone = weakref.ref(module)
    number = id(module)
    gradcam_cli.explain(cat, model=module)
    found = gradcam_cli.explain(cat, model=module, layer=module.tail)
    assert number in networks._known
    del module
    gc.collect()
    assert gone() is None
    assert number not in networks._known
    assert found.overlay.shape == found.pixels.shape


class Counting(SmallNet):
    """A network that counts its runs in a buffer and in an attribute."""

    def __init__(self):
        super().__init__()
        self.register_buffer("runs", torch.zeros(()))
        self.count = 0

    def forward(self, x):
        self.runs += 1
        self.count += 1
        return super().forward(x)


def test_what_a_module_counts_is_not_counted(cat, sessions):
    module = Counting()
    for target in (0, 1):
        gradcam_cli.explain(cat, model=module, target=target)
    assert (module.runs.item(), module.count, len(sessions)) == (0, 0, 1)


@pytest.mark.parametrize("context", [torch.no_grad, torch.inference_mode], ids=["no_grad", "inference_mode"])
def test_a_module_is_explained_where_gradients_are_off(small_net, cat, context):
    wanted = gradcam_cli.explain(cat, model=copy.deepcopy(small_net), layer="features").map
    with context():
        np.testing.assert_allclose(gradcam_cli.explain(cat, model=small_net, layer="features").map, wanted, atol=1e-6)
        (many,) = gradcam_cli.explain_many(cat, model=small_net, layer="features")
        np.testing.assert_allclose(many.map, wanted, atol=1e-6)
        network = gradcam_cli.load_model("tiny")
        inside = [gradcam_cli.explain(cat, model=each).map for each in (network, "tiny")]
    for each in inside:
        np.testing.assert_array_equal(each, gradcam_cli.explain(cat, model=network).map)
    np.testing.assert_allclose(gradcam_cli.explain(cat, model=small_net, layer="features").map, wanted, atol=1e-6)


class Scripted:
    """Something with a forward method that is no module."""

    def forward(self, batch):
        return batch


@pytest.mark.parametrize(
    ("model", "message", "hint"),
    [
        (Scripted(), "type Scripted", "torch.nn.Module"),
        (None, "type NoneType", "load_model"),
        (SmallNet, "the class SmallNet", r"SmallNet\(\)"),
        (SmallNet().state_dict(), "as checkpoints are", "load_state_dict"),
    ],
    ids=["object", "None", "class", "checkpoint"],
)
def test_what_is_no_network_is_told(cat, model, message, hint):
    with pytest.raises(gradcam_cli.UsageError, match=message) as caught:
        gradcam_cli.explain(cat, model=model)
    assert hint.replace("\\", "") in caught.value.hint


def test_a_path_is_no_network(cat, tmp_path):
    with pytest.raises(gradcam_cli.UsageError, match="is a path") as caught:
        gradcam_cli.explain(cat, model=tmp_path / "mine.pth")
    assert "weights" in caught.value.hint


def test_layers_that_cannot_be_are_told(small_net, cat):
    for model, layer, message in (
        (small_net, nn.ReLU(), "is not a module of this network"),
        (small_net, small_net, "the whole network"),
        (small_net, 3, "type int"),
        ("tiny", small_net.tail, "needs the network"),
    ):
        with pytest.raises(gradcam_cli.UsageError, match=message) as caught:
            gradcam_cli.explain(cat, model=model, layer=layer)
        assert caught.value.hint
    with pytest.raises(gradcam_cli.ModelError, match="nowhere"):
        gradcam_cli.explain(cat, model=small_net, layer="nowhere")


@pytest.mark.parametrize("late", [{"weights": "w.pth"}, {"device": "cpu"}], ids=str)
def test_a_module_takes_no_other_weights(small_net, cat, late):
    with pytest.raises(gradcam_cli.UsageError, match="cannot be changed") as caught:
        gradcam_cli.explain(cat, model=small_net, **late)
    assert "load_state_dict" in caught.value.hint


@pytest.mark.filterwarnings("ignore:.*torch.jit:FutureWarning")
def test_modules_that_cannot_be_observed_or_have_no_values_are_told(small_net, cat):
    scripted = torch.jit.trace(small_net, torch.zeros(1, 3, 32, 32))
    with pytest.raises(gradcam_cli.ModelError, match="TorchScript") as caught:
        gradcam_cli.explain(cat, model=scripted)
    assert caught.value.hint
    with pytest.raises(gradcam_cli.ModelError, match="no values"):
        gradcam_cli.explain(cat, model=SmallNet().to("meta"))


def test_a_module_of_one_channel_gets_gray_pictures(cat):
    module = nn.Sequential(nn.Conv2d(1, 4, 3), nn.ReLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(4, 3))
    assert gradcam_cli.explain(cat, model=module, input_size=32).session.preset.channels == 1


def test_warnings_name_the_callers_line(cat):
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        networks.warn("mind this")
        context = gradcam_cli.api.networks.recording()
        context(networks.warn)("and this")
    assert [(str(each.message), each.filename) for each in caught] == [("mind this", __file__), ("and this", __file__)]
