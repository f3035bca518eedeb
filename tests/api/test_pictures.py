"""The Python API does what the command does."""

from __future__ import annotations

import dataclasses
import io
import re
import subprocess
import sys

import numpy as np
import pytest
import torch
from PIL import Image

import gradcam_cli
from gradcam_cli.cli.commands.help import topics
from gradcam_cli.cli.main import run
from gradcam_cli.errors import GradcamError, InputError
from gradcam_cli.media.image.read import read_picture
from gradcam_cli.models.preprocess import collate
from gradcam_cli.pipeline.session import Session
from gradcam_cli.pipeline.settings import ModelSettings


@pytest.fixture
def path(tmp_path, photo):
    path = tmp_path / "picture.png"
    Image.fromarray(photo).save(path)
    return path


def test_probabilities_are_shown_as_the_network_gives_them(path):
    network = gradcam_cli.load_model("tiny")
    plain = gradcam_cli.explain(path, model=network)
    network = dataclasses.replace(network, module=torch.nn.Sequential(network.module, torch.nn.Softmax(1)), cache={})
    found = gradcam_cli.explain(path, model=network)
    assert found.target.probability == pytest.approx(plain.target.probability, abs=1e-6)
    np.testing.assert_allclose(found.map, plain.map, atol=1e-5)
    assert any("ends in a softmax" in note for note in found.session.notes)


def test_what_explain_cannot_take_is_said(path):
    with pytest.raises(gradcam_cli.UsageError, match="the name of a method") as raised:
        gradcam_cli.explain(path, model="tiny", method=lambda context: context.activations.mean(1))
    assert "Explainer" in raised.value.hint
    with pytest.raises(gradcam_cli.UsageError, match=r"^mean has 2 numbers"):
        gradcam_cli.explain(path, model="tiny", mean=(0.1, 0.2))


def test_explain_equals_the_command(path, tmp_path):
    explanation = gradcam_cli.explain(path, model="tiny", target="cat", colormap="turbo", alpha=0.3)
    out = tmp_path / "out"
    assert (
        run(
            [
                "image",
                "-q",
                "-m",
                "tiny",
                "-t",
                "cat",
                "--colormap",
                "turbo",
                "--alpha",
                "0.3",
                "-o",
                str(out),
                str(path),
            ]
        )
        == 0
    )
    for kind in ("grayscale", "heatmap", "overlay"):
        with Image.open(out / f"picture_{kind}.png") as picture:
            mode = "L" if kind == "grayscale" else "RGB"
            np.testing.assert_array_equal(getattr(explanation, kind), np.asarray(picture.convert(mode)))
    assert explanation.map.shape == explanation.pixels.shape[:2]
    assert explanation.target.label == "cat"
    assert len(explanation.predictions) == 5


def test_a_loaded_network_is_made_ready_once(path, monkeypatch):
    made = []
    ready = Session.__init__
    monkeypatch.setattr(Session, "__init__", lambda *args, **kwargs: made.append(1) or ready(*args, **kwargs))
    network = gradcam_cli.load_model("tiny")
    first = gradcam_cli.explain(path, model=network, target="cat").map
    other = gradcam_cli.explain(path, model=network, target="dog")
    assert (other.target.label, len(made)) == ("dog", 1)
    np.testing.assert_array_equal(gradcam_cli.explain(path, model=network, target="cat").map, first)
    assert not np.array_equal(other.map, first)
    gradcam_cli.explain(path, model=network, target="cat", layer="stage2")
    assert len(made) == 2


def test_a_network_that_was_changed_is_made_ready_anew(path):
    """The copies that run in its place share its tensors, but not what was folded of them."""
    network = gradcam_cli.load_model("tiny")
    before = gradcam_cli.explain(path, model=network, target="cat").predictions
    with torch.no_grad():
        for parameter in network.module.parameters():
            parameter.mul_(0.7)
    after = gradcam_cli.explain(path, model=network, target="cat").predictions
    with torch.no_grad():
        prepared = Session(ModelSettings(model="tiny")).prepare(read_picture(path, "it").pixels)
        truth = torch.softmax(network.module(collate([prepared]))[0], 0)
    assert after != before
    assert [each.probability for each in after] == pytest.approx([float(truth[each.index]) for each in after], abs=1e-4)


def test_pixels_bytes_and_paths_are_the_same(path, photo):
    network = gradcam_cli.load_model("tiny")
    buffer = io.BytesIO()
    Image.fromarray(photo).save(buffer, "PNG")
    maps = [
        gradcam_cli.explain(source, model=network, target=3).map
        for source in (path, str(path), photo, buffer.getvalue())
    ]
    for other in maps[1:]:
        np.testing.assert_array_equal(maps[0], other)


def test_a_gray_array_is_the_picture_of_three_equal_channels(photo):
    gray, network = photo[..., 0], gradcam_cli.load_model("tiny")
    wanted = gradcam_cli.explain(np.stack([gray] * 3, axis=2), model=network)
    for given in (gray, gray[..., np.newaxis], np.asfortranarray(gray)):
        found = gradcam_cli.explain(given, model=network)
        np.testing.assert_array_equal(found.pixels, wanted.pixels)
        np.testing.assert_array_equal(found.map, wanted.map)


@pytest.mark.parametrize(
    ("bad", "hint"),
    [
        (np.zeros((4, 4, 3), np.float32), r"array \* 255"),
        (np.full((4, 4, 3), 200.0), r"array\.round\(\)"),
        (np.full((4, 4, 3), -1.5), "undo its normalisation"),
        (np.full((4, 4), np.nan), "NaN"),
        (np.zeros((4, 4), np.uint16), "array / 257"),
        (np.zeros((4, 4, 4), np.uint8), r"PIL\.Image\.fromarray"),
        (np.zeros((3, 8, 8), np.uint8), "moveaxis"),
        (np.zeros((2, 8, 8, 3), np.uint8), r"array\[0\]"),
        (np.zeros((0, 4, 3), np.uint8), "uint8 RGB"),
        (np.zeros(12, np.uint8), "uint8 RGB"),
        (np.zeros((4, 4), bool), "uint8 RGB"),
        (torch.zeros(3, 8, 8), "Explainer takes batches"),
        (None, "give a path"),
        ([[1, 2], [3, 4]], "give a path"),
    ],
    ids=lambda value: str(getattr(value, "shape", value))[:20],
)
def test_what_could_be_meant_in_several_ways_is_refused_with_the_conversion(bad, hint):
    with pytest.raises(InputError, match="picture is") as caught:
        gradcam_cli.explain(bad, model="tiny")
    assert re.search(hint, caught.value.hint)


def test_a_picture_of_pillow_is_its_file(cat):
    network = gradcam_cli.load_model("tiny")
    wanted = gradcam_cli.explain(cat, model=network)
    with Image.open(cat) as picture:
        for _ in range(2):
            found = gradcam_cli.explain(picture, model=network)
            np.testing.assert_array_equal(found.map, wanted.map)
            np.testing.assert_array_equal(found.overlay, wanted.overlay)
            assert found.input == wanted.input
            picture.load()


def test_errors_are_gradcams(path):
    for options in (
        {"model": "resnet55"},
        {"model": "tiny", "layer": "nowhere"},
        {"model": "tiny", "target": "unicorn"},
    ):
        with pytest.raises(GradcamError) as caught:
            gradcam_cli.explain(path, **options)
        assert caught.value.message
        assert caught.value.hint


def test_explainer_and_load_model_are_public():
    network = gradcam_cli.load_model("tiny")
    results = gradcam_cli.Explainer(network.module, input_size=(32, 32))(torch.zeros(2, 3, 32, 32), 0)
    assert [result.maps[0].values.shape for result in results] == [(8, 8), (8, 8)]
    assert gradcam_cli.__version__
    with pytest.raises(AttributeError):
        _ = gradcam_cli.nothing


@pytest.mark.parametrize(
    "wrong",
    [
        {"fit": "nope"}, {"normalize": "nope"}, {"method": "nope"}, {"alpha": float("nan")}, {"alpha": 7},
        {"input_size": -5}, {"input_size": 64.5}, {"target": None}, {"target": -1}, {"target": 2.5},
    ],
    ids=str,
)  # fmt: skip
def test_wrong_choices_are_told(path, wrong):
    with pytest.raises(GradcamError) as caught:
        gradcam_cli.explain(path, model="tiny", **wrong)
    assert caught.value.hint


def test_a_class_may_be_a_numpy_integer(path):
    assert gradcam_cli.explain(path, model="tiny", target=np.int64(3)).target.index == 3


@pytest.mark.parametrize("late", [{"weights": "w.pth"}, {"labels": "l.txt"}, {"device": "cpu"}], ids=str)
def test_a_loaded_network_takes_no_other_weights(path, late):
    with pytest.raises(GradcamError, match="cannot be changed"):
        gradcam_cli.explain(path, model=gradcam_cli.load_model("tiny"), **late)


def test_exported_names_are_there_and_in_the_guide():
    text = topics()["python"]
    names = text[text.index("## Names") :]
    for name in gradcam_cli.__all__:
        exported = getattr(gradcam_cli, name)
        assert name == "__version__" or (exported.__doc__ and name in names), name
    assert set(gradcam_cli._HOMES) | {"__version__"} == set(gradcam_cli.__all__)
    with pytest.raises(AttributeError, match="no attribute 'Explanations'"):
        _ = gradcam_cli.Explanations


def test_all_names_are_listed_and_imported():
    """In a fresh process, where nothing has been used yet; and afterwards."""
    code = """
import gradcam_cli
before = set(dir(gradcam_cli))
assert before >= {*gradcam_cli.__all__, "__doc__", "__file__", "__path__"}, before
assert not before & {"Any", "TYPE_CHECKING", "annotations", "ModuleType", "_HOMES"}, before
from gradcam_cli import *
assert all(name in globals() for name in gradcam_cli.__all__)
assert callable(explain) and callable(explain_many) and issubclass(UsageError, GradcamError)
import gradcam_cli.models.registry
after = set(dir(gradcam_cli))
assert after - before >= {"api", "models"}, after - before
assert all(hasattr(gradcam_cli, name) for name in after)
"""
    subprocess.run([sys.executable, "-c", code], check=True)


def test_a_method_is_spelt_as_the_command_takes_it(cat):
    explanation = gradcam_cli.explain(cat, model="tiny", method="Grad-CAM++")
    assert explanation.method == "gradcam++"
    assert gradcam_cli.explain(cat, model="tiny", method="FinerCAM:alpha=0.5").method == "finercam:alpha=0.5"


def test_several_targets_are_refused_and_not_cut_down_to_the_first(cat):
    with pytest.raises(gradcam_cli.UsageError, match="'top:3' is 3 classes"):
        gradcam_cli.explain(cat, model="tiny", target="top:3")


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"method": "gradcm"}, "no method 'gradcm'"),
        ({"method": ["gradcam", "all"]}, "several"),
        ({"fusion": "sum"}, "no fusion 'sum'"),
    ],
)
def test_the_engine_checks_what_it_is_given(small_net, wrong, message):
    with pytest.raises(gradcam_cli.UsageError, match=message) as caught:
        gradcam_cli.Explainer(small_net, "features", **wrong)
    assert caught.value.hint
