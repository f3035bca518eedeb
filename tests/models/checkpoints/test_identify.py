"""Which network a checkpoint is for, told by the file alone."""

import argparse
import collections
import pathlib
import time

import numpy as np
import pytest
import torch
import torchvision
from safetensors.torch import save_file
from torch import nn

from gradcam_cli.errors import ModelError
from gradcam_cli.models.checkpoints import identify
from gradcam_cli.models.checkpoints.fit import on_meta
from gradcam_cli.models.checkpoints.signatures import SIGNATURES, Signature
from gradcam_cli.models.load import load_model
from gradcam_cli.models.registry import describe
from gradcam_cli.models.sources.torchvision.names import NAMES
from tests.models.checkpoints.test_read import PICTURE, WRAPPED, saved
from tests.models.conftest import tiny_net


def state_of(name, num_classes=7):
    """Return names and shapes of a network's checkpoint, without values."""
    architecture = describe(name)
    build = architecture.build
    return on_meta(lambda: build(num_classes=num_classes, **architecture.recipes[0].options)).state_dict()


@pytest.mark.slow
@pytest.mark.parametrize("name", NAMES)
def test_every_torchvision_network_is_known_by_its_keys_and_shapes(name):
    """No two of them share all keys and shapes, so that each is the only one; the table is the installed library's."""
    state, other = state_of(name), state_of(name, 9)
    assert identify.fitting(state, describe) == [name]
    kept = {key: tensor for key, tensor in state.items() if not key.endswith("num_batches_tracked")}
    (head,) = (key for key in kept if kept[key].shape != other[key].shape and kept[key].ndim > 1)
    assert SIGNATURES[name] == Signature(len(kept), head, kept[head].shape[1])


def test_every_network_has_a_signature():
    assert set(SIGNATURES) == {"tiny", *NAMES}


@pytest.mark.slow
@pytest.mark.parametrize("kind", WRAPPED)
def test_in_every_wrapper(kind, tmp_path):
    net = tiny_net(3)
    network = load_model(weights=saved(WRAPPED[kind](net.state_dict()), tmp_path / "x.pth"))
    assert network.name == "tiny"
    assert network.notes[0] == "tiny, recognised by its keys and shapes"
    assert torch.equal(network.module(PICTURE), net.eval()(PICTURE))


@pytest.mark.slow
def test_vision_transformers_of_other_sizes_and_training_heads():
    recipe = describe("vit_b_16").recipes[1]
    large = on_meta(lambda: describe("vit_b_16").build(num_classes=3, **recipe.options)).state_dict()
    assert identify.fitting(large, describe) == ["vit_b_16"]

    from torchvision import models

    state = on_meta(lambda: models.inception_v3(num_classes=3, init_weights=False)).state_dict()
    assert any(key.startswith("AuxLogits") for key in state)
    assert identify.fitting(state, describe) == ["inception_v3"]


def test_it_is_quick():
    state = {f"module.{key}": tensor for key, tensor in state_of("resnet50").items()}
    started = time.process_time()
    assert identify.fitting(state, describe) == ["resnet50"]
    assert time.process_time() - started < 1.5


SAYS = {
    "arch": lambda state: {"arch": "tiny", "state_dict": state},
    "upper case": lambda state: {"model_name": " Tiny", "model": state},
    "lightning": lambda state: {"state_dict": state, "hyper_parameters": {"arch": "tiny", "lr": 0.1}},
    "arguments": lambda state: {"model": state, "args": argparse.Namespace(model="tiny")},
    "inner": lambda state: {"model": {"arch": "tiny", "state_dict": state}},
}


@pytest.mark.parametrize("kind", SAYS)
def test_the_file_says_it(kind, tmp_path):
    network = load_model(weights=saved(SAYS[kind](tiny_net(3).state_dict()), tmp_path / "x.pth"))
    assert network.notes == ("tiny, as the checkpoint says, and its keys and shapes fit",)


@pytest.mark.parametrize("key", ["arch", "architecture", "model", "model_name"])
def test_safetensors_metadata(key, tmp_path):
    metadata = {key: "tiny", "format": "pt", "class_names": '["a", "b", "c"]'}
    save_file(tiny_net(3).state_dict(), tmp_path / "x.safetensors", metadata)
    network = load_model(weights=tmp_path / "x.safetensors")
    assert (network.name, network.labels) == ("tiny", ("a", "b", "c"))
    assert "as the checkpoint says" in network.notes[0]


def test_what_a_file_says_is_believed_only_when_its_tensors_bear_it_out(tmp_path):
    path = saved({"arch": "resnet18", "state_dict": tiny_net(3).state_dict()}, tmp_path / "x.pth")
    assert load_model(weights=path).notes == ("tiny, recognised by its keys and shapes",)


def test_a_file_cannot_name_code_to_run(tmp_path, monkeypatch):
    (tmp_path / "evil.py").write_text("raise SystemExit('ran')")
    monkeypatch.chdir(tmp_path)
    for said in ("evil.py:make", "evil:make", "timm:x"):
        path = saved({"arch": said, "state_dict": tiny_net(3).state_dict()}, tmp_path / "x.pth")
        assert load_model(weights=path).name == "tiny"


def test_none_fits(tmp_path):
    state = {
        "arch": "my\x1bnet",
        "state_dict": {"conv.weight": torch.ones(2, 3, 1, 1), "head.weight": torch.ones(2, 2)},
    }
    with pytest.raises(ModelError, match=r"none of the networks.*my\\x1bnet.*conv.weight, head.weight") as caught:
        load_model(weights=saved(state, tmp_path / "x.pth"))
    assert "model" in caught.value.hint


def test_several_fit(tmp_path, monkeypatch):
    """As could be when torchvision adds a network of another's shapes: none is guessed."""
    monkeypatch.setitem(SIGNATURES, "twin", SIGNATURES["tiny"])
    find = lambda name: describe("tiny" if name == "twin" else name)  # noqa: E731
    path = saved({"state_dict": tiny_net(3).state_dict()}, tmp_path / "x.pth")
    from gradcam_cli.models.checkpoints.read import read_checkpoint

    with pytest.raises(ModelError, match="fit 2 networks: tiny, twin") as caught:
        identify.identify(read_checkpoint(path), path, find)
    assert "model tiny" in caught.value.hint


CLASSES = {
    "class_names": ["ant", "bee", "cat"],
    "classes": ("ant", "bee", "cat"),
    "idx_to_class": {0: "ant", 1: "bee", 2: "cat"},
    "class_to_idx": collections.OrderedDict(cat=2, ant=0, bee=1),
    "labels": {"0": "ant", "1": "bee", "2": "cat"},
}


@pytest.mark.slow
@pytest.mark.parametrize("key", CLASSES)
@pytest.mark.parametrize("place", ["hyper_parameters", "args", None])
def test_class_names_in_a_checkpoint(key, place, tmp_path):
    said = {key: CLASSES[key]}
    said = said if place is None else {place: argparse.Namespace(**said) if place == "args" else said}
    network = load_model(weights=saved({"state_dict": tiny_net(3).state_dict(), **said}, tmp_path / "x.ckpt"))
    assert network.labels == ("ant", "bee", "cat")


def test_one_score_has_two_names(tmp_path):
    (tmp_path / "names.txt").write_text("no\nyes")
    path = saved({"state_dict": tiny_net(1).state_dict(), "classes": ["bad", "good"]}, tmp_path / "x.pth")
    assert load_model(weights=path).labels == ("bad", "good")
    assert load_model(weights=path, labels=tmp_path / "names.txt").labels == ("no", "yes")


def test_a_labels_file_comes_first_and_names_of_another_number_are_told(tmp_path):
    path = saved({"state_dict": tiny_net(3).state_dict(), "classes": ["a", "b"]}, tmp_path / "x.pth")
    network = load_model(weights=path)
    assert network.labels is None
    assert "class names in the checkpoint are not used" in network.notes[1]
    (tmp_path / "names.txt").write_text("x\ny\nz")
    path = saved({"state_dict": tiny_net(3).state_dict(), "classes": ["a", "b", "c"]}, tmp_path / "y.pth")
    assert load_model(weights=path, labels=tmp_path / "names.txt").labels == ("x", "y", "z")


PLAIN = {
    "namespace": argparse.Namespace(lr=0.1, data=pathlib.PurePosixPath("a/b")),
    "path": pathlib.Path("data"),
    "windows path": pathlib.PureWindowsPath("c:/data"),
    "defaultdict": collections.defaultdict(list, a=[1]),
    "counts": collections.defaultdict(int, a=1),
    "ordered": collections.OrderedDict(a=1),
    "numpy float": np.float64(0.5),
    "numpy half": np.float16(0.5),
    "numpy int": np.int64(-3),
    "numpy bool": np.bool_(True),
}


@pytest.mark.parametrize("kind", PLAIN)
def test_hyper_parameters_in_plain_containers(kind, tmp_path):
    content = {
        "state_dict": tiny_net(3).state_dict(),
        "hyper_parameters": {"x": PLAIN[kind], "classes": ["a", "b", "c"]},
    }
    assert load_model(weights=saved(content, tmp_path / "x.ckpt")).labels == ("a", "b", "c")


class Reduced:
    def __init__(self, *how):
        self.how = how

    def __reduce__(self):
        return self.how


def grey_net(name, num_classes):
    from torchvision import models

    net = models.get_model(name, weights=None, num_classes=num_classes)
    net.conv1 = nn.Conv2d(1, 64, 7, stride=2, padding=3, bias=False)
    return net.eval()


def test_a_network_of_one_channel(tmp_path):
    net = grey_net("resnet18", 10)
    network = load_model(weights=saved(net.state_dict(), tmp_path / "x.pth"))
    assert (network.name, network.num_classes, network.preset.channels) == ("resnet18", 10, 1)
    assert network.preset.mean == (pytest.approx(0.299 * 0.485 + 0.587 * 0.456 + 0.114 * 0.406, abs=1e-6),)
    grey = PICTURE[:, :1]
    assert torch.equal(network.module(grey), net(grey))


@pytest.mark.slow
@pytest.mark.parametrize("name", ["densenet121", "inception_v3", "vit_b_32", "swin_t", "maxvit_t", "convnext_tiny"])
def test_networks_of_one_channel_by_any_first_convolution(name):
    state = state_of(name)
    first = next(key for key, tensor in state.items() if tensor.ndim == 4 and tensor.shape[1] == 3)
    state[first] = state[first][:, :1]
    assert identify.fitting(state, describe) == [name]


@pytest.mark.parametrize("named", [True, False])
@pytest.mark.parametrize("place", [0, 1])
def test_a_head_within_a_sequential(place, named, tmp_path):
    """As transfer learning writes it: ``fc = nn.Sequential(nn.Dropout(), nn.Linear(512, 7))``."""
    net = torchvision.models.resnet18(num_classes=7)
    net.fc = nn.Sequential(*[nn.Dropout()] * place, net.fc)
    path = tmp_path / "x.pth"
    torch.save({f"model.{key}": tensor for key, tensor in net.state_dict().items()}, path)
    network = load_model("resnet18" if named else "auto", weights=path)
    assert (network.name, network.num_classes) == ("resnet18", 7)
    picture = torch.randn(1, 3, 64, 64)
    torch.testing.assert_close(network.module(picture), net.eval()(picture))


def test_a_head_of_two_layers_needs_its_code(tmp_path):
    """What is between them is not in the file."""
    net = torchvision.models.resnet18()
    net.fc = nn.Sequential(nn.Linear(512, 16), nn.ReLU(), nn.Linear(16, 7))
    torch.save(net.state_dict(), tmp_path / "x.pth")
    with pytest.raises(ModelError, match=r"unexpected fc\.0\.weight"):
        load_model("resnet18", weights=tmp_path / "x.pth")
