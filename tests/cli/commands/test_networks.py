"""Networks of one's own through ``gradcam image``: by the file alone, with other inputs and other heads."""

from __future__ import annotations

import json
import warnings
from pathlib import Path

import numpy as np
import pytest
import torch
import torchvision
from PIL import Image

from gradcam_cli.cli.main import run
from gradcam_cli.models.load import load_model

pytestmark = pytest.mark.slow


@pytest.fixture(autouse=True)
def _elsewhere(tmp_path, monkeypatch, photo):
    monkeypatch.chdir(tmp_path)
    Image.fromarray(photo).save("a.png")


@pytest.fixture
def explained(capfd):
    def call(*arguments: str) -> tuple[dict, str]:
        assert run(["image", "a.png", "--json", "--save", "overlay", *arguments]) == 0
        captured = capfd.readouterr()
        return json.loads(captured.out.splitlines()[0]), captured.err

    return call


def saved(classes: int, channels: int = 3, **more: object) -> torch.nn.Module:
    """Write ``net.pth``, a checkpoint that trains nothing but is well-formed, and return its network."""
    torch.manual_seed(0)
    net = torchvision.models.shufflenet_v2_x0_5(num_classes=classes)
    if channels == 1:
        net.conv1[0] = torch.nn.Conv2d(1, 24, 3, stride=2, padding=1, bias=False)
    torch.nn.init.normal_(net.fc.weight, std=2)
    torch.save({"state_dict": net.state_dict(), **more}, "net.pth")
    return net.eval()


def scores(net: torch.nn.Module, values: np.ndarray) -> np.ndarray:
    with torch.no_grad():
        batch = torch.from_numpy(values).permute(2, 0, 1)[None].float()
        return net(batch)[0].double().numpy()


def seen(side: int) -> np.ndarray:
    """Return the picture as ``--fit stretch`` shows it, (side, side, 3), in 0…255."""
    with Image.open("a.png") as picture:
        pixels = torch.from_numpy(np.asarray(picture)).permute(2, 0, 1)[None]
    resized = torch.nn.functional.interpolate(pixels, (side, side), mode="bilinear", antialias=True)
    return resized[0].permute(1, 2, 0).double().numpy()


INPUTS = {
    "statistics": (["--mean", "0.5", "--std", "0.25,0.5,1"], lambda x: (x / 255 - 0.5) / [0.25, 0.5, 1]),
    "raw": (["--scale-255"], lambda x: x),
    "raw with a mean": (["--scale-255", "--mean", "123,117,104"], lambda x: x - [123, 117, 104]),
}


@pytest.mark.parametrize("kind", INPUTS)
def test_inputs_of_every_scale(kind, explained):
    chosen, formula = INPUTS[kind]
    net = saved(4)
    record, _ = explained("-w", "net.pth", "--fit", "stretch", "--input-size", "64", *chosen)
    logits = scores(net, formula(seen(64)))
    expected = np.exp(logits - logits.max()) / np.exp(logits - logits.max()).sum()
    found = {each["index"]: each["probability"] for each in record["predictions"]}
    assert [found[index] for index in range(4)] == pytest.approx(expected, abs=1e-3)
    used = record["preprocessing"]
    assert (used["fit"], used["size"], used["channels"]) == ("stretch", [64, 64], 3)
    assert used["scale"] == (255 if "--scale-255" in chosen else 1)


def test_one_channel(explained):
    net = saved(4, channels=1, class_names=["ant", "bee", "cat", "dog"])
    record, said = explained(
        "-w", "net.pth", "--fit", "stretch", "--input-size", "64", "--mean", "0.1307", "--std", "0.3081"
    )
    assert "shufflenet_v2_x0_5, recognised by its keys and shapes" in said
    grey = seen(64) @ [[0.299], [0.587], [0.114]]
    logits = scores(net, (grey / 255 - 0.1307) / 0.3081)
    assert record["target"]["label"] == ["ant", "bee", "cat", "dog"][int(logits.argmax())]
    assert record["preprocessing"]["channels"] == 1
    assert record["preprocessing"]["mean"] == [0.1307]


@pytest.mark.parametrize("method", ["scorecam", "ablationcam", "smoothgrad", "guided-gradcam", "eigencam"])
def test_methods_of_every_kind_take_one_channel(method, explained):
    saved(4, channels=1)
    assert explained("-w", "net.pth", "--input-size", "64", "--method", method)[0]["method"] == method


def test_three_numbers_for_one_channel(capfd):
    saved(4, channels=1)
    assert run(["image", "a.png", "-w", "net.pth", "--mean", "1,2,3"]) == 2
    assert "3 numbers for a network of 1 channel" in capfd.readouterr().err


@pytest.mark.parametrize("wrong", [["--mean", "a"], ["--mean", "1,2"], ["--std", "0"], ["--std", "nan"]])
def test_wrong_numbers(wrong, capfd):
    assert run(["image", "a.png", *wrong]) == 2
    assert "number" in capfd.readouterr().err


def test_several_labels_at_once(explained):
    net = saved(6)
    arguments = ("-w", "net.pth", "--fit", "stretch", "--input-size", "64", "--scale-255")
    record, _ = explained(*arguments, "--activation", "sigmoid")
    logits = scores(net, seen(64))
    expected = sorted(1 / (1 + np.exp(-logits)), reverse=True)[:5]
    assert [each["probability"] for each in record["predictions"]] == pytest.approx(expected, abs=1e-3)
    assert record["activation"] == "sigmoid"
    assert explained(*arguments)[0]["activation"] == "softmax"


def test_an_exported_network(explained):
    net = saved(4)
    pictures = torch.randn(2, 3, 64, 64)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        torch.export.save(
            torch.export.export(net, (pictures,), dynamic_shapes=({0: torch.export.Dim("n")},)), "net.pt2"
        )
    whole, said = explained("-w", "net.pt2", "-l", "stage4")
    assert "takes 64×64 pictures only" in said
    plain, _ = explained("-w", "net.pth", "-l", "stage4", "--fit", "stretch", "--input-size", "64")
    assert whole["target"]["index"] == plain["target"]["index"]
    assert whole["map"]["max"] == pytest.approx(plain["map"]["max"], rel=1e-4)


def test_the_shared_weights_by_the_file_alone(shared_data):
    network = load_model(weights=shared_data / "weights" / "squeezenet1_0_imagenet.pth")
    assert (network.name, network.labels[281]) == ("squeezenet1_0", "tabby")


def test_a_file_of_nothing_known(capfd):
    torch.save({"conv.weight": torch.ones(2, 3, 1, 1)}, "net.pth")
    assert run(["image", "a.png", "-w", "net.pth"]) == 1
    said = capfd.readouterr().err
    assert "fit none of the networks known by name" in said
    assert not Path("gradcam_output").exists() or not list(Path("gradcam_output").iterdir())
