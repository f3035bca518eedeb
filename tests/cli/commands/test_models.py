"""``gradcam models``, and networks of one's own code, as a user meets them."""

from __future__ import annotations

import json
from textwrap import dedent

import cv2
import numpy as np
import pytest

from gradcam_cli.cli.main import run
from gradcam_cli.models.sources import timm as timm_source

NETS = """
    from torch import nn

    def scene(num_classes=6):
        '''A plain convolutional network that takes 150x150 only.'''
        def block(inputs, outputs):
            return nn.Sequential(nn.Conv2d(inputs, outputs, 3, padding=1), nn.ReLU(), nn.MaxPool2d(2))
        return nn.Sequential(block(3, 8), block(8, 8), block(8, 16), nn.Flatten(), nn.Linear(16 * 18 * 18, num_classes))

    class CatDog(nn.Module):
        '''One logit: positive is a dog.'''
        def __init__(self, width=8):
            super().__init__()
            convolutions = nn.Conv2d(3, width, 5, stride=4), nn.Conv2d(width, width, 3)
            self.features = nn.Sequential(convolutions[0], nn.ReLU(), convolutions[1], nn.ReLU())
            self.score = nn.Linear(width, 1)

        def forward(self, x):
            return self.score(self.features(x).mean((2, 3))).squeeze(1)

    def broken():
        raise ValueError("no such thing\\nand more")
"""


@pytest.fixture
def place(tmp_path, monkeypatch, photo):
    """Be in a folder with a picture and a file of networks."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "nets.py").write_text(dedent(NETS))
    cv2.imwrite("photo.png", np.repeat(np.repeat(photo, 4, 0), 4, 1))
    return tmp_path


def test_the_list_is_torchvisions_and_tiny(capfd):
    from torchvision import models

    assert run(["models", "--json"]) == 0
    entries = {entry["name"]: entry for entry in map(json.loads, capfd.readouterr().out.splitlines())}
    assert set(entries) == {"tiny", *models.list_models(module=models)}
    for name, entry in entries.items():
        if name != "tiny":
            weights = models.get_model_weights(name).DEFAULT
            assert entry["parameters"] == weights.meta["num_params"]
            assert entry["accuracy"] == weights.meta["_metrics"]["ImageNet-1K"]["acc@1"]
            assert entry["input"] == weights.transforms().crop_size[0]
    assert entries["tiny"]["cached"]


def test_columns_and_the_cache(capfd, tmp_path, monkeypatch):
    monkeypatch.setenv("TORCH_HOME", str(tmp_path))
    (tmp_path / "hub" / "checkpoints").mkdir(parents=True)
    (tmp_path / "hub" / "checkpoints" / "resnet18-f37072fd.pth").write_bytes(b"x")
    assert run(["models", "ResNet1*"]) == 0
    rows = [line.split("\t") for line in capfd.readouterr().out.splitlines()]
    assert [row[0] for row in rows] == ["resnet18", "resnet101", "resnet152"]
    assert rows[0] == ["resnet18", "44.7", "11689512", "69.8", "224", "cached"]
    assert rows[1][-1] == ""


def test_a_part_of_the_name(capfd):
    assert run(["models", "_v2_x1"]) == 0
    assert [line.split("\t")[0] for line in capfd.readouterr().out.splitlines()] == [
        "shufflenet_v2_x1_0", "shufflenet_v2_x1_5",
    ]  # fmt: skip


@pytest.mark.parametrize("installed", [True, False])
def test_timm_is_mentioned_where_it_is(capfd, monkeypatch, installed):
    monkeypatch.setattr("gradcam_cli.models.registry.find_spec", lambda name: installed or None)
    assert run(["models", "tiny"]) == 0
    assert ("timm:" in capfd.readouterr().err) is installed


def test_a_pattern_that_nothing_matches(capfd):
    assert run(["models", "resnt18"]) == 2
    captured = capfd.readouterr()
    assert captured.out == ""
    assert "did you mean resnet18" in captured.err


def test_timm_that_is_not_there(capfd, monkeypatch):
    monkeypatch.setattr(timm_source, "is_installed", lambda: False)
    assert run(["models", "timm:*"]) == 2
    assert run(["layers", "timm:resnet18"]) == 2
    assert capfd.readouterr().err.count("error: timm is not installed\n  hint: pip install timm") == 2


def test_a_scene_network_of_150_pixels(place, capfd):
    assert run(["image", "photo.png", "-m", "nets.py:scene", "--input-size", "150", "--json"]) == 0
    record = json.loads(capfd.readouterr().out)
    assert record["model"] == "nets.py:scene"
    assert record["weights"] == {"source": "as its code made it", "sha256": None}
    assert (record["layer"], len(record["predictions"])) == ("2.1", 5)
    assert len(list((place / "gradcam_output").glob("*.*"))) == 3 + len([".gradcam"])


def test_a_cat_and_dog_network_of_one_logit(place, capfd):
    (place / "labels.txt").write_text("cat\ndog\n")
    arguments = ["-m", "nets.py:CatDog", "--model-arg", "width=4", "--labels", "labels.txt", "-t", "cat", "-t", "dog"]
    assert run(["image", "photo.png", *arguments, "--json"]) == 0
    records = [json.loads(line) for line in capfd.readouterr().out.splitlines()]
    assert [record["target"]["label"] for record in records] == ["cat", "dog"]
    assert {record["layer"] for record in records} == {"features.3"}


def test_layers_of_ones_own_network(place, capfd):
    assert run(["layers", "nets.py:CatDog", "--model-arg", "width=3"]) == 0
    rows = {row[0]: row[1:] for row in (line.split("\t") for line in capfd.readouterr().out.splitlines())}
    assert rows["features"][1] == "3"
    assert rows["features.3"][-1] == "auto"


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        (["-m", "nets.py:broken"], 1, "error: nets.py:broken: ValueError: no such thing (nets.py, line 22)\n"),
        (["-m", "nets.py:scen"], 2, "error: 'nets.py' has no function or class 'scen'\n  hint: did you mean scene?\n"),
        (["-m", "nets.py:CatDog", "--model-arg", "size=3"], 2, "it takes (width=8)"),
        (["-m", "tiny", "--model-arg", "size=3"], 2, "takes no arguments"),
    ],
)
def test_errors_are_one_line_and_a_hint(place, capfd, arguments, code, message):
    assert run(["image", "photo.png", *arguments]) == code
    captured = capfd.readouterr()
    assert captured.out == ""
    assert message in captured.err
    assert len(captured.err.splitlines()) == 2
