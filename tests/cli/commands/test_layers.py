"""``gradcam layers`` as a user meets it."""

from __future__ import annotations

import json

import pytest
import torch
import torchvision

from gradcam_cli.cli.main import run


def rows_of(capfd, *arguments: str) -> list[list[str]]:
    assert run(["layers", *arguments]) == 0
    return [line.split("\t") for line in capfd.readouterr().out.splitlines()]


def test_shapes_parameters_and_auto(capfd):
    rows = {row[0]: row[1:] for row in rows_of(capfd, "resnet18")}
    assert rows["conv1"] == ["Conv2d", "64", "128×176", "9408", ""]
    assert rows["layer4"][:2] == ["Sequential", "512"]
    assert rows["layer4.1"][-1] == "auto"
    assert [name for name, row in rows.items() if row[-1]] == ["layer4.1"]
    assert "fc" not in rows
    assert "layer4.1.conv1" not in rows


def test_the_grid_follows_the_input(capfd):
    """As for a picture of 4:3, which gradcam image takes whole."""
    rows = {row[0]: row[1:] for row in rows_of(capfd, "resnet18", "--input-size", "64", "--depth", "3")}
    assert rows["layer4.1"][2] == "2×3"
    assert rows["layer4.1.conv1"][2:4] == ["2×3", str(512 * 512 * 9)]


@pytest.mark.slow
@pytest.mark.parametrize("model", ["tiny", "vit_b_32", "auto", "swin_t"])
def test_every_kind_of_network_has_one_auto(capfd, model):
    """Whatever the depth, and without its weights."""
    rows = rows_of(capfd, model, "--depth", "1")
    assert sum(row[-1] == "auto" for row in rows) == 1


def test_json(capfd):
    assert run(["layers", "tiny", "--json"]) == 0
    records = [json.loads(line) for line in capfd.readouterr().out.splitlines()]
    (auto,) = [record for record in records if record["auto"]]
    assert len(auto["grid"]) == 2
    assert auto["parameters"] > 0


def test_a_model_that_there_is_not(capfd):
    assert run(["layers", "resnet5"]) == 2
    captured = capfd.readouterr()
    assert captured.out == ""
    assert "did you mean resnet50" in captured.err


def test_the_preprocessing_is_told_beside(capfd):
    assert run(["layers", "resnet18"]) == 0
    said = capfd.readouterr().err
    assert said == "resnet18, input 352×256, RGB 0…1, mean 0.485,0.456,0.406, std 0.229,0.224,0.225\n"


def test_a_checkpoint_of_ones_own(capfd, tmp_path):
    net = torchvision.models.squeezenet1_1(num_classes=3)
    net.features[0] = torch.nn.Conv2d(1, 64, 3, stride=2)
    torch.save(net.state_dict(), tmp_path / "grey.pth")
    assert run(["layers", "-w", str(tmp_path / "grey.pth")]) == 0
    captured = capfd.readouterr()
    assert "squeezenet1_1, input 352×256, luma 0…1, mean 0.458971" in captured.err
    assert "features.12" in captured.out
