"""What an explanation shows of itself, and the files that it writes."""

from __future__ import annotations

import base64
import html.parser
import io
import re

import numpy as np
import pytest
import torch
from PIL import Image
from torch import nn

import gradcam_cli
from gradcam_cli.cli.main import run
from gradcam_cli.media.image.read import read_picture
from gradcam_cli.pipeline.artifacts.registry import KINDS


@pytest.fixture(scope="module")
def network():
    return gradcam_cli.load_model("tiny")


@pytest.fixture
def explanation(cat, network):
    return gradcam_cli.explain(cat, model=network)


def test_representations_are_one_short_line(explanation, network):
    assert re.fullmatch(r"<Explanation of cat\.jpg: cat 77\.\d% by gradcam at stage3\.1>", repr(explanation))
    assert repr(network) == "<Network tiny: 10 scores, bundled>"
    assert repr(explanation.class_map) == "<ClassMap of class 3 by gradcam at stage3.1: 8×16>"
    explainer = gradcam_cli.Explainer(network.module, input_size=(32, 32))
    opposed = gradcam_cli.Target(3, against=5, negated=True)
    (found,) = explainer(torch.ones(1, 3, 32, 32), [opposed])
    assert repr(found) == "<Attribution: 10 scores, 1 map>"
    assert "of class not 3 vs 5 by gradcam" in repr(found.maps[0])
    for name in gradcam_cli.__all__:
        assert len(repr(getattr(gradcam_cli, name))) < 200


def test_a_blank_map_is_blank_in_its_line(cat):
    explanation = gradcam_cli.explain(cat, model=blank_network())
    assert explanation.blank
    assert repr(explanation).endswith(", blank>")
    assert "the map is blank: " in explanation._repr_html_()


def blank_network() -> nn.Module:
    """Return a network whose scores do not depend on the picture, but whose layer has a grid."""
    net = nn.Sequential(nn.Conv2d(3, 4, 3), nn.ReLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(4, 2))
    nn.init.zeros_(net[4].weight)
    return net


class Parts(html.parser.HTMLParser):
    """Collects the tags, the addresses of pictures and the text."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags, self.sources, self.text = [], [], ""
        self.feed(text)

    def handle_starttag(self, tag, attrs):
        self.tags.append(tag)
        self.sources += [value for name, value in attrs if name == "src"]

    def handle_data(self, data):
        self.text += data


def pictures(explanation) -> list[Image.Image]:
    """Return the pictures that a notebook shows: within the HTML, and alone."""
    (source,) = Parts(explanation._repr_html_()).sources
    head, data = source.split(",")
    assert head == "data:image/jpeg;base64"
    return [Image.open(io.BytesIO(each)) for each in (base64.b64decode(data), explanation._repr_png_())]


def test_a_notebook_shows_picture_and_overlay(explanation):
    both, alone = pictures(explanation)
    assert (both.size, alone.size) == ((2 * 451 + 8, 300), (451, 300))
    np.testing.assert_array_equal(np.asarray(alone), explanation.overlay)
    shown = np.asarray(both.convert("RGB"), np.float32)
    assert np.abs(shown[:, :451] - explanation.pixels).mean() < 4
    assert np.abs(shown[:, 459:] - explanation.overlay).mean() < 6
    text = Parts(explanation._repr_html_()).text
    for part in ("cat 77.", "layer stage3.1", "method gradcam", "network tiny"):
        assert part in text


@pytest.mark.parametrize("size", [(3000, 2000), (20, 32), (2, 1500)])
def test_what_a_notebook_shows_is_small_but_visible(network, size):
    pixels = np.random.default_rng(1).integers(0, 255, (*size, 3)).astype(np.uint8)
    explanation = gradcam_cli.explain(pixels, model=network)
    both, alone = pictures(explanation)
    assert 160 <= max(alone.size) <= 480
    assert both.height == alone.height
    assert len(explanation._repr_html_()) < 1_200_000


def test_what_users_name_is_escaped(photo, small_net):
    labels = [f"<b>{number}</b>\"'" for number in range(5)]
    explanation = gradcam_cli.explain(photo, model=small_net, labels=labels)
    explanation.input = "<script>alert('1')&\u202e.png"
    explanation.session.notes.append("<img src=x onerror=y>")
    parts = Parts(explanation._repr_html_())
    assert set(parts.tags) <= {"div", "b", "img", "code"}
    assert parts.tags.count("b") == parts.tags.count("img") == 1
    assert "<script>" in parts.text
    assert "<img src=x" in parts.text
    assert "\u202e" not in parts.text
    assert "\u202e" not in repr(explanation)


@pytest.mark.parametrize("form", ["png", "jpg", "webp"])
def test_saved_files_are_those_of_the_command(explanation, cat, tmp_path, form):
    wanted = tmp_path / "wanted"
    kinds = tuple(kind for kind in KINDS if kind != "json")
    assert run(["image", "-q", "-m", "tiny", "--format", form, "--save", ",".join(kinds), "-o", str(wanted),
                "--no-records", str(cat)]) == 0  # fmt: skip
    found = explanation.save(tmp_path / "new" / "found", kinds, form)
    assert tuple(found) == kinds
    assert {path.name for path in found.values()} == {path.name for path in wanted.iterdir()}
    for path in found.values():
        assert path.read_bytes() == (wanted / path.name).read_bytes()
    assert explanation.files == found
    assert explanation.settings.format == "png"


def test_three_kinds_are_saved_by_default_and_one_may_be_named(explanation, tmp_path):
    assert [path.name for path in explanation.save(str(tmp_path)).values()] == [
        "cat_grayscale.png", "cat_heatmap.png", "cat_overlay.png",
    ]  # fmt: skip
    record = explanation.save(tmp_path, "json")["json"]
    assert record.name == "cat_json.json"
    assert str(record) in record.read_text(encoding="utf-8")


def test_the_maps_of_arrays_have_names_too(photo, network, tmp_path):
    explanation = gradcam_cli.explain(photo, model=network)
    assert explanation.save(tmp_path, ("overlay",))["overlay"].name == "array_overlay.png"
    explanation.input = "frame 7"
    path = explanation.save(tmp_path, ("overlay",))["overlay"]
    assert path.name == "frame 7_overlay.png"
    np.testing.assert_array_equal(read_picture(path, "it").pixels, explanation.overlay)


def test_what_cannot_be_saved_leaves_nothing(explanation, tmp_path):
    for wrong in ({"kinds": ("overlay", "overly")}, {"format": "bmp"}):
        with pytest.raises(gradcam_cli.UsageError, match="there is no") as caught:
            explanation.save(tmp_path / "out", **wrong)
        assert caught.value.hint
    assert not (tmp_path / "out").exists()
    (tmp_path / "cat_overlay.png").mkdir()
    with pytest.raises(gradcam_cli.OutputError):
        explanation.save(tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["cat_overlay.png"]
    assert explanation.files == {}
