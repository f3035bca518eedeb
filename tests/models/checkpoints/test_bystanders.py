"""What lies beside the tensors of a checkpoint: objects of any library are passed over, and nothing is ever called."""

from __future__ import annotations

import collections
import dataclasses
import datetime
import decimal
import enum
import functools
import pathlib
import random
import subprocess
import sys
import types
import uuid

import numpy as np
import pytest
import torch

from gradcam_cli.errors import ModelError
from gradcam_cli.models.checkpoints.read import read_checkpoint
from tests.models.checkpoints.test_read import Evil, saved
from tests.models.conftest import tiny_net


class Own:
    """A class of a training script."""

    def __init__(self):
        self.losses = [1.0]


@dataclasses.dataclass
class Arguments:
    lr: float = 0.1


class Mode(enum.Enum):
    TRAIN = 1


class Config(dict):
    """As yacs, easydict and others have it."""


class Names(list):
    """A list of its own."""


class Called:
    """Pickled as a call."""

    def __init__(self, function, *arguments):
        self.how = function, arguments

    def __reduce__(self):
        return self.how


def executed(*_):
    """Leave a trace, where this is ever called from a file."""
    raise AssertionError("a file was executed")


BYSTANDERS = {
    "object": Own(),
    "dataclass": Arguments(),
    "enum": Mode.TRAIN,
    "dict of its own": Config(lr=0.1, nested=Config(a=[1, 2])),
    "list of its own": Names(["a", "b"]),
    "simple namespace": types.SimpleNamespace(a=1),
    "date": datetime.datetime(2024, 1, 1),
    "span": datetime.timedelta(seconds=3),
    "partial": functools.partial(torch.optim.SGD, lr=0.1),
    "loss": torch.nn.MSELoss(),
    "function": torch.nn.functional.relu,
    "optimizer": torch.optim.SGD([torch.nn.Parameter(torch.ones(3))], lr=0.1, momentum=0.9),
    "array": np.arange(3.0),
    "array of names": np.array(["a", "b"]),
    "array of objects": np.array([Own()], dtype=object),
    "numpy date": np.datetime64("2024-01-01"),
    "numpy type": np.dtype([("a", "O")]).type,
    "random state": (torch.get_rng_state(), np.random.get_state(), random.Random(0).getstate()),
    "decimal": decimal.Decimal("0.9"),
    "uuid": uuid.UUID(int=3),
    "range": range(3),
    "frozenset": frozenset({1, 2}),
    "deque": collections.deque([1, 2], maxlen=5),
    "factory": collections.defaultdict(Own),
    "call of its own": Called(executed, 1, 2),
    "nested": {"a": [Own(), (Arguments(), {"b": Mode.TRAIN})]},
}


@pytest.mark.parametrize("legacy", [False, True])
@pytest.mark.parametrize("kind", BYSTANDERS)
def test_what_lies_beside_the_tensors_is_passed_over(kind, legacy, tmp_path):
    if (kind, legacy) == ("loss", True):
        pytest.skip("before version 1.6 torch stored the source of modules, and such files are refused")
    state = tiny_net(3).state_dict()
    content = {"epoch": 3, "model_state_dict": state, "x": BYSTANDERS[kind], "arch": "tiny", "classes": ["a", "b", "c"]}
    path = saved(content, tmp_path / "x.pth", _use_new_zipfile_serialization=not legacy)
    checkpoint = read_checkpoint(path)
    assert checkpoint.tensors.keys() == state.keys()
    assert all(checkpoint.tensors[key].equal(state[key]) for key in state)
    assert (checkpoint.metadata.architecture, checkpoint.metadata.class_names) == ("tiny", ["a", "b", "c"])


@pytest.mark.slow
def test_nothing_of_them_is_imported(tmp_path):
    """Not even a module that lies where Python would find it."""
    (tmp_path / "training.py").write_text("class Log:\n    pass\n")
    code = "import torch, training as t; torch.save({'state_dict': {'a.b': torch.ones(2)}, 'log': t.Log()}, 'x.pth')"
    environment = {"PYTHONPATH": str(tmp_path)}
    subprocess.run([sys.executable, "-c", code], cwd=tmp_path, check=True, env=environment)
    (tmp_path / "training.py").write_text("raise SystemExit('imported')\n")
    code = (
        "import sys, pathlib; from gradcam_cli.models.checkpoints.read import read_checkpoint\n"
        "assert list(read_checkpoint(pathlib.Path('x.pth')).tensors) == ['a.b']\n"
        "assert 'training' not in sys.modules"
    )
    path = [str(tmp_path), *(entry for entry in sys.path if entry)]
    subprocess.run(
        [sys.executable, "-c", code], cwd=tmp_path, check=True, env={"PYTHONPATH": ":".join(path)}, capture_output=True
    )


HOSTILE = {
    "system": Evil(),
    "eval": Called(eval, "1 + 1"),
    "exec": Called(exec, "pass"),
    "popen": Called(subprocess.Popen, ["true"]),
    "getattr": Called(getattr, "text", "upper"),
    "import": Called(__import__, "antigravity"),
    "large bytearray": Called(bytearray, 10**9),
    "large tensor": Called(torch.FloatStorage, 10**9),
}


@pytest.mark.parametrize("legacy", [False, True])
@pytest.mark.parametrize("kind", HOSTILE)
def test_calls_that_only_exploits_have_are_refused(kind, legacy, tmp_path, monkeypatch):
    marker = tmp_path / "marker"
    monkeypatch.setenv("GRADCAM_TEST_MARKER", str(marker))
    content = {"state_dict": tiny_net(3).state_dict(), "x": {"y": HOSTILE[kind]}}
    path = saved(content, tmp_path / "x.pth", _use_new_zipfile_serialization=not legacy)
    with pytest.raises(ModelError, match="which could run code") as caught:
        read_checkpoint(path)
    assert caught.value.hint
    assert not marker.exists()


@pytest.mark.parametrize("wrapped", [False, True])
def test_a_whole_network_is_named(wrapped, tmp_path):
    """There are no tensors but within an object, which is not made."""
    net = tiny_net(3)
    with pytest.raises(ModelError, match=r"a pickled \S*TinyNet, which could run code"):
        read_checkpoint(saved({"model": net, "epoch": 1} if wrapped else net, tmp_path / "x.pt"))


def test_a_path_of_an_object_is_no_path(tmp_path):
    content = {"state_dict": tiny_net(3).state_dict(), "x": Called(pathlib.PosixPath, Own())}
    with pytest.raises(ModelError, match="damaged"):
        read_checkpoint(saved(content, tmp_path / "x.pth"))


def test_too_many_names_are_refused(tmp_path):
    made = {f"x{k}": type(f"Kind{k}", (), {"__module__": "elsewhere"}) for k in range(1200)}
    elsewhere = types.ModuleType("elsewhere")
    for each in made.values():
        setattr(elsewhere, each.__name__, each)
    sys.modules["elsewhere"] = elsewhere
    try:
        path = saved({"state_dict": tiny_net(3).state_dict(), **made}, tmp_path / "x.pth")
    finally:
        del sys.modules["elsewhere"]
    with pytest.raises(ModelError, match="too many names"):
        read_checkpoint(path)


def test_a_configuration_of_its_own_class_names_the_network(tmp_path):
    """As yacs keeps it: a mapping is read as one."""
    content = {"model": tiny_net(3).state_dict(), "config": Config(arch="tiny", train=Config(lr=0.1))}
    assert read_checkpoint(saved(content, tmp_path / "x.pth")).metadata.architecture == "tiny"
