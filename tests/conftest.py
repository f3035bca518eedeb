"""Small networks and pictures that several rooms' tests share."""

from __future__ import annotations

import csv
import signal
import subprocess
import sys
import zipfile
from pathlib import Path

import click
import numpy as np
import pytest
import torch
from torch import nn

torch.set_num_threads(1)  # small networks gain nothing from more, and tests may run beside other work

ROOT = Path(__file__).resolve().parents[1]
"""The checkout."""
SAMPLES = ROOT / "sample_images"
SHARED = ROOT.parent / "shared" / "data"
CORPUS = SHARED / "corpus"


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """Real weights, photographs and reference maps, which lie beside the project and are no part of it."""
    if not SHARED.is_dir():
        pytest.skip("the shared data (../shared/data) is not here")
    return SHARED


@pytest.fixture(scope="session")
def squeezenet(shared_data: Path) -> nn.Module:
    """Return the real network, in eval mode; to be left as it is."""
    import torchvision

    net = torchvision.models.squeezenet1_0()
    net.load_state_dict(torch.load(shared_data / "weights" / "squeezenet1_0_imagenet.pth", weights_only=True))
    return net.eval()


def corpus_rows(*kinds: str) -> list[dict[str, str]]:
    """Return the rows of the shared corpus' table that are of these kinds; none where there is no corpus."""
    if not (CORPUS / "manifest.csv").is_file():
        return []
    with (CORPUS / "manifest.csv").open(encoding="utf-8", newline="") as table:
        return [row for row in csv.DictReader(table) if row["kind"] in kinds]


@pytest.fixture(scope="session")
def corpus(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Unpack the shared corpus, make what no archive can hold (pipes, links, …), and return its folder."""
    if not (CORPUS / "corpus.zip").is_file():
        pytest.skip("the shared corpus (../shared/data/corpus) is not here")
    folder = tmp_path_factory.mktemp("corpus")
    with zipfile.ZipFile(CORPUS / "corpus.zip") as archive:
        archive.extractall(folder)
    subprocess.run([sys.executable, str(CORPUS / "make_special.py"), str(folder)], check=True)
    return folder


def commands() -> dict[str, click.Command]:
    """Return the subcommands by name."""
    from gradcam_cli.cli.main import COMMANDS, cli

    found = {name: cli.get_command(click.Context(cli), name) for name in COMMANDS}
    return {name: command for name, command in found.items() if command is not None}


def heed_interrupts() -> None:
    """Let a child be interrupted also where this process may not be, as shells start what runs in the background.

    To be called in the child before it becomes another program (``preexec_fn``).
    """
    signal.signal(signal.SIGINT, signal.SIG_DFL)


class SmallNet(nn.Module):
    """Two convolutions, pooling, a linear classifier: everything Grad-CAM needs, in a thousand parameters."""

    def __init__(self, classes: int = 5) -> None:
        super().__init__()
        self.features = nn.Sequential(
            nn.Conv2d(3, 6, 3, stride=2, padding=1),
            nn.ReLU(),
            nn.Conv2d(6, 8, 3, stride=2, padding=1),
            nn.BatchNorm2d(8),
            nn.ReLU(),
        )
        self.tail = nn.Sequential(nn.Conv2d(8, 8, 1), nn.Tanh())
        self.classifier = nn.Linear(8, classes)

    def head(self, maps: torch.Tensor) -> torch.Tensor:
        return self.classifier(self.tail(maps).mean((2, 3)))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.head(self.features(x))


@pytest.fixture
def small_net() -> SmallNet:
    """Return a seeded network in eval mode whose normalisation is not the identity."""
    torch.manual_seed(7)
    net = SmallNet()
    net.features[3].running_mean.uniform_(-0.3, 0.3)
    net.features[3].running_var.uniform_(0.5, 1.5)
    return net.eval()


@pytest.fixture
def batch() -> torch.Tensor:
    """Three normalised pictures of 24×40."""
    return torch.randn(3, 3, 24, 40, generator=torch.Generator().manual_seed(3))


@pytest.fixture
def cat() -> Path:
    """Return the path of the bundled picture of a cat."""
    return SAMPLES / "cat.jpg"


@pytest.fixture
def photo() -> np.ndarray:
    """Return a picture with structure at several scales, uint8 RGB 60×90."""
    rows, columns = np.mgrid[0:60, 0:90]
    waves = [127 + 120 * np.sin(rows / a + columns / b) for a, b in ((5, 9), (11, 4), (3, 17))]
    return np.stack(waves, axis=2).astype(np.uint8)
