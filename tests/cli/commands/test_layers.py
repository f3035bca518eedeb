"""``gradcam layers`` as a user meets it."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch
import torchvision
from safetensors.torch import save_file

from gradcam_cli.cli.main import run
from gradcam_cli.models.load import load_model
from gradcam_cli.pipeline.layer_listing import list_layers
from gradcam_cli.pipeline.session import Session
from gradcam_cli.pipeline.settings import ModelSettings


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


CODE = """
import torch
from torch import nn

class Shared(nn.Module):
    def __init__(self):
        super().__init__()
        torch.manual_seed(0)
        self.one, self.two, self.relu = nn.Conv2d(3, 4, 3, 4, 1), nn.Conv2d(4, 4, 3, 1, 1), nn.ReLU()
        self.head = nn.Linear(4, 3)
    def forward(self, x):
        return self.head(self.relu(self.two(self.relu(self.one(x)))).mean((2, 3)))

def gray():
    net = Shared()
    net.one = nn.Conv2d(1, 4, 3, 4, 1)
    return net

def fixed():
    return nn.Sequential(nn.Conv2d(3, 4, 3, 8, 1), nn.ReLU(), nn.Flatten(), nn.Linear(4 * 8 * 8, 3))

class Aside(Shared):
    def forward(self, x):
        maps = self.relu(self.one(x))
        self.two(maps)
        return self.head(maps.mean((2, 3)))
"""


@pytest.mark.parametrize(
    ("name", "layer", "size"),
    [("Shared", "relu#2", None), ("gray", "relu#2", None), ("fixed", "1", (64, 64)), ("Aside", "relu", None)],
)
def test_layers_and_image_agree(name, layer, size, tmp_path, capfd):
    (tmp_path / "net.py").write_text(CODE)
    model = f"{tmp_path / 'net.py'}:{name}"
    session = Session(ModelSettings(model=model))
    listing = list_layers(ModelSettings(model=model))
    assert [each.name for each in session.explainer.layers] == [listing.auto] == [layer]
    assert listing.preset == session.preset
    assert size in (None, listing.input, session.geometry((300, 400)).input)
    assert rows_of(capfd, model)


def test_layers_are_listed_where_auto_finds_none(tmp_path, capfd):
    (tmp_path / "net.py").write_text(f"""{CODE}
class Apart(Shared):
    def forward(self, x):
        self.one(x)
        return self.head(x.mean((2, 3)).repeat(1, 2)[:, :4])
""")
    assert run(["layers", f"{tmp_path / 'net.py'}:Apart"]) == 0
    out, err = capfd.readouterr()
    assert out.startswith("one\tConv2d")
    assert "warning: no layer is taken by itself: the score does not depend on any layer" in err


def test_a_side_file_is_written_and_read(tmp_path, capfd, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "net.py").write_text(CODE)
    (tmp_path / "names.txt").write_text("ant\nbee\ncat\n")
    options = [
        "--input-size",
        "48x64",
        "--mean",
        "0.5",
        "--std",
        "0.25",
        "--labels",
        "names.txt",
        "--activation",
        "sigmoid",
    ]
    assert run(["layers", "net.py:Shared", *options, "--write-config"]) == 0
    assert "net.gradcam.toml written" in capfd.readouterr().err
    session = Session(ModelSettings(model="net.py:Shared"))
    assert session.preset.size == (48, 64)
    assert (session.preset.mean, session.preset.std) == ((0.5,) * 3, (0.25,) * 3)
    assert session.network.labels is not None
    assert (session.network.labels, session.activation) == (("ant", "bee", "cat"), "sigmoid")
    assert not any("assumed" in note for note in session.notes)
    assert list_layers(ModelSettings(model="net.py:Shared")).input == (48, 64)
    assert run(["layers", "resnet18", "--write-config"]) == 2
    assert "nothing to write beside" in capfd.readouterr().err


@pytest.mark.parametrize("given", ["hub", "hub/model.safetensors"])
def test_the_side_file_of_a_folder_lies_in_it(tmp_path, capfd, monkeypatch, given):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "hub").mkdir()
    net = torchvision.models.squeezenet1_0(num_classes=3)
    save_file(net.state_dict(), tmp_path / "hub/model.safetensors")
    arguments = ["layers", "squeezenet1_0", "--weights", given, "--input-size", "96", "--write-config"]
    assert run(arguments) == 0
    assert "hub/model.gradcam.toml written" in capfd.readouterr().err
    for weights in (Path("hub"), Path("hub/model.safetensors")):
        assert load_model("squeezenet1_0", weights=weights).preset.crop == 96


def test_what_is_only_assumed_is_not_written(tmp_path, capfd, monkeypatch):
    monkeypatch.chdir(tmp_path)
    torch.save(torchvision.models.squeezenet1_0(num_classes=3).state_dict(), "mine.pth")
    Path("names.txt").write_text("ant\nbee\ncat\n")
    arguments = ["layers", "--weights", "mine.pth", "--labels", "names.txt", "--write-config"]
    assert run(arguments) == 0
    assert "mine.gradcam.toml written, without what is only assumed: size, mean, std, scale" in capfd.readouterr().err
    assert Path("mine.gradcam.toml").read_text().startswith("labels = ")
    session = Session(ModelSettings(weights=Path("mine.pth")))
    assert session.network.labels == ("ant", "bee", "cat")
    assert any("a side of 256 pixels, mean 0.485,0.456,0.406, std" in note for note in session.notes)
    assert run([*arguments, "--input-size", "150", "--scale-255"]) == 0
    assert "only assumed" not in capfd.readouterr().err
    assert not any("assumed" in note for note in Session(ModelSettings(weights=Path("mine.pth"))).notes)
