"""What files say of the pictures that a network was trained on, and what is said where they say nothing."""

from __future__ import annotations

import json
from argparse import Namespace
from typing import Any

import pytest
import torch
from safetensors.torch import save_file

from gradcam_cli.errors import ModelError
from gradcam_cli.models.checkpoints.hub_files import recorded_beside
from gradcam_cli.models.checkpoints.input_record import InputRecord, recorded_in, side_file_of, written
from gradcam_cli.models.load import load_model
from gradcam_cli.models.sources.tiny import network as tiny
from gradcam_cli.pipeline.session import Session
from gradcam_cli.pipeline.settings import ModelSettings
from gradcam_cli.records import Preset

THREE = [0.5, 0.4, 0.3]


def state(classes: int = 3) -> dict[str, torch.Tensor]:
    torch.manual_seed(0)
    return tiny.TinyNet(classes).state_dict()


@pytest.mark.parametrize(
    ("bag", "size"),
    [
        ({"img_size": 150}, 150),
        ({"image_size": [150, 150]}, 150),
        ({"input_size": (3, 160, 128)}, (160, 128)),
        ({"size": 7, "imgsz": 96}, 96),
        ({"crop_size": {"height": 64, "width": 96}}, (64, 96)),
        ({"img_size": "large"}, None),
        ({"img_size": True}, None),
        ({"img_size": -3}, None),
        ({"img_size": 10**9}, None),
        ({"input_size": []}, None),
    ],
)
def test_sizes(bag, size):
    assert recorded_in([bag]).size == size


@pytest.mark.parametrize(
    ("bag", "expected"),
    [
        ({"mean": THREE, "std": THREE}, (tuple(THREE), tuple(THREE), 1)),
        ({"pixel_mean": [123.675, 116.28, 103.53], "pixel_std": [58.0, 57.0, 57.0]},
         ((123.675, 116.28, 103.53), (58.0, 57.0, 57.0), 255)),
        ({"image_mean": 0.5, "image_std": 0.25}, ((0.5,), (0.25,), 1)),
        ({"mean": 0.7}, (None, None, None)),  # of something else
        ({"mean": [1, 2], "std": [1, 2]}, (None, None, None)),
        ({"mean": ["a", "b", "c"], "std": THREE}, (None, None, None)),
    ],
)  # fmt: skip
def test_statistics(bag, expected):
    found = recorded_in([bag])
    assert (found.mean, found.std, found.scale) == expected


def test_a_lightning_checkpoint(tmp_path):
    hyper = {"img_size": 48, "mean": THREE, "std": [0.2, 0.2, 0.2], "class_names": ["a", "b", "c"]}
    for name, parameters in (("dict", hyper), ("namespace", Namespace(**hyper))):
        path = tmp_path / f"{name}.ckpt"
        torch.save({"state_dict": state(), "hyper_parameters": parameters}, path)
        network = load_model("tiny", weights=path)
        assert (network.preset.crop, network.preset.resize, network.preset.mean) == (48, 48, tuple(THREE))
        assert network.assumed == frozenset()
        assert any("the checkpoint says: size 48" in note for note in network.notes)


def test_safetensors_metadata(tmp_path):
    path = tmp_path / "mine.safetensors"
    save_file(state(), path, metadata={"input_size": "[3, 40, 56]"})
    network = load_model("tiny", weights=path)
    assert network.preset.size == (40, 56)
    assert network.assumed == {"mean", "std"}


def hub(folder: Any, **files: dict[str, Any]) -> Any:
    folder.mkdir()
    save_file(state(), folder / "model.safetensors")
    for name, content in files.items():
        (folder / f"{name}.json").write_text(json.dumps(content))
    return folder


def test_a_directory_of_a_model_hub(tmp_path):
    trained = {"input_size": [3, 48, 48], "mean": THREE, "std": THREE, "crop_pct": 0.75, "interpolation": "bicubic",
               "label_names": ["x", "y", "z"]}  # fmt: skip
    folder = hub(tmp_path / "hub", config={"architecture": "resnet18", "pretrained_cfg": trained})
    network = load_model("tiny", weights=folder)
    preset = network.preset
    assert (preset.crop, preset.resize, preset.interpolation, preset.mean) == (48, 64, "bicubic", tuple(THREE))
    assert network.labels == ("x", "y", "z")
    with pytest.raises(ModelError, match="is a directory without a checkpoint"):
        load_model("tiny", weights=tmp_path)


PROCESSORS = {
    "squash": ({"size": {"height": 48, "width": 64}}, (48, None, (48, 64))),
    "crop": (
        {"size": {"shortest_edge": 64}, "do_center_crop": True, "crop_size": {"height": 48, "width": 48}},
        (48, 64, None),
    ),
    "short side": ({"size": {"shortest_edge": 56}}, (56, 56, None)),
    "old": ({"size": 40}, (40, 40, None)),
}


@pytest.mark.parametrize("name", PROCESSORS)
def test_hugging_faces_processors(tmp_path, name):
    content, (crop, resize, size) = PROCESSORS[name]
    content = {**content, "image_mean": THREE, "image_std": THREE, "resample": 3, "do_rescale": True}
    folder = hub(tmp_path / "hub", preprocessor_config=content, config={"id2label": {"0": "p", "1": "q", "2": "r"}})
    network = load_model("tiny", weights=folder / "model.safetensors")
    assert (network.preset.crop, network.preset.size, network.preset.interpolation) == (crop, size, "bicubic")
    assert resize in (None, network.preset.resize)
    assert network.labels == ("p", "q", "r")
    assert network.preset.mean == tuple(THREE)


@pytest.mark.parametrize(
    "odd", [{"crop_pct": 1e-320}, {"crop_pct": 1e-300}, {"rescale_factor": 1e-320}, {"image_std": [0, 0, 0]},
            {"image_mean": [1e999] * 3}, {"size": {"shortest_edge": "x"}}, {"size": 10**30}, {"crop_size": [[]]}],
)  # fmt: skip
def test_values_that_cannot_be_are_passed_over(tmp_path, odd):
    content = {"size": {"shortest_edge": 64}, "image_mean": THREE, "image_std": THREE, **odd}
    folder = hub(tmp_path / "hub", preprocessor_config=content, config={"crop_pct": 1e-320, "input_size": 64})
    preset = load_model("tiny", weights=folder).preset
    assert 8 <= preset.crop <= preset.resize <= 4096
    assert all(0 < each <= 255 for each in preset.std)


def test_placeholders_are_no_labels(tmp_path):
    folder = hub(tmp_path / "hub", config={"id2label": {"0": "LABEL_0", "1": "LABEL_1", "2": "LABEL_2"}})
    assert load_model("tiny", weights=folder).labels is None


def test_a_side_file_counts_most_and_options_more(tmp_path, photo):
    path = tmp_path / "mine.ckpt"
    torch.save({"state_dict": state(), "hyper_parameters": {"img_size": 48, "mean": THREE, "std": THREE}}, path)
    record = InputRecord(
        size=(40, 56), mean=(0.1, 0.1, 0.1), std=(0.9, 0.9, 0.9), scale=1, labels=["ä", 'q"', "c"], layer="stage2",
        activation="sigmoid",
    )  # fmt: skip
    (tmp_path / "mine.gradcam.toml").write_text(written(record), encoding="utf-8")
    assert side_file_of(path) == InputRecord(**{**record.__dict__, "source": "mine.gradcam.toml"})
    session = Session(ModelSettings(model="tiny", weights=path))
    assert session.geometry(photo.shape[:2]).input == (40, 56)
    assert session.geometry(photo.shape[:2]).fit == "stretch"
    assert session.preset.mean == (0.1, 0.1, 0.1)
    assert session.network.labels == ("ä", 'q"', "c")
    assert (session.explainer.layers[0].name, session.activation) == ("stage2", "sigmoid")
    session = Session(
        ModelSettings(
            model="tiny", weights=path, input_size=32, mean=(0.3,), std=(0.7,), layers=("stage3",), activation="softmax"
        )
    )
    assert min(session.geometry(photo.shape[:2]).input) == 32
    assert (session.preset.mean, session.preset.std) == ((0.3,) * 3, (0.7,) * 3)
    assert (session.explainer.layers[0].name, session.activation) == ("stage3", "softmax")


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("code = 'net.py'", "no key 'code'"),
        ("plugins = ['x']", "no key 'plugins'"),
        ("labels = '../names.txt'", "'labels' cannot be"),
        ("size = 'large'", "'size' cannot be"),
        ("mean = [1, 2]", "'mean' cannot be"),
        ("activation = 'relu'", "'activation' cannot be"),
        ("size = [", "no TOML"),
        (b"\xff\xfe", "no TOML"),
    ],
)
def test_a_side_file_has_data_only(tmp_path, text, problem):
    (tmp_path / "mine.gradcam.toml").write_bytes(text if isinstance(text, bytes) else text.encode())
    with pytest.raises(ModelError, match=problem) as caught:
        side_file_of(tmp_path / "mine.pth")
    assert "\n" not in str(caught.value)
    assert caught.value.hint


def test_what_is_not_known_is_said(tmp_path):
    path = tmp_path / "mine.pth"
    torch.save(state(), path)

    def told(**options: Any) -> str:
        return " ".join(Session(ModelSettings(model="tiny", weights=path, **options)).notes)

    assert "a side of" in told()
    assert "mean 0.4914" in told()
    assert "a side of" not in told(input_size=40)
    assert "assumed" not in told(input_size=40, mean=(0.5,), std=(0.5,))
    assert "assumed" not in told(input_size=40, scale_255=True)
    assert "assumed" not in " ".join(Session(ModelSettings(model="tiny")).notes), "its own weights are known"


def test_nothing_beside_says_nothing(tmp_path):
    assert recorded_beside(tmp_path / "mine.pth") == InputRecord()
    (tmp_path / "config.json").write_text("[" * 100_000)
    assert recorded_beside(tmp_path / "mine.pth") == InputRecord()
    assert InputRecord().applied(Preset()) == Preset()
