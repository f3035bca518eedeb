"""Networks and files that the tests of this folder share: small, made on the spot, offline."""

from __future__ import annotations

import pytest
import torch

from gradcam_cli.models.sources import tiny
from gradcam_cli.models.sources.tiny.network import TinyNet
from gradcam_cli.models.sources.tiny.train import export


def tiny_net(num_classes: int = 10, seed: int = 0) -> TinyNet:
    torch.manual_seed(seed)
    return TinyNet(num_classes).eval()


@pytest.fixture(autouse=True)
def one_thread():
    """Small networks gain nothing from threads, and lose much where other processes are busy."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


@pytest.fixture
def bundled(tmp_path, monkeypatch):
    """Let the bundled network be a random one; return it."""
    net = tiny_net()
    path = tmp_path / "bundled" / "tiny.safetensors"
    path.parent.mkdir()
    export(net, path, {"dataset": "none"})
    for parameter in net.parameters():
        if parameter.ndim > 1:
            parameter.data = parameter.data.half().float()  # as the file has it
    monkeypatch.setattr(tiny, "WEIGHTS", path)
    return net


@pytest.fixture
def empty_cache(tmp_path, monkeypatch):
    """Let torch's cache be an empty folder; return where checkpoints go."""
    monkeypatch.setenv("TORCH_HOME", str(tmp_path / "torch"))
    return tmp_path / "torch" / "hub" / "checkpoints"


@pytest.fixture
def marker(tmp_path, monkeypatch):
    """Return the path of a file that code in hostile files would make, which must not be there in the end."""
    path = tmp_path / "marker"
    monkeypatch.setenv("GRADCAM_TEST_MARKER", str(path))
    yield path
    assert not path.exists(), "a file ran code"
