"""What every source of models does: one suite for all that are registered."""

from __future__ import annotations

import importlib
import importlib.util
import subprocess
import sys

import pytest
import torch

from gradcam_cli.models.architecture import Architecture, ModelEntry
from gradcam_cli.models.registry import FALLBACK, SOURCES, describe, find_models, source_of, sources

SPECS = {
    "tiny": "tiny",
    "torchvision": "squeezenet1_0",
    "timm": "timm:resnet18",
    "hugging_face": "hf:mine",
    "user_code": "net.py:build",
}
"""A model of each source."""

NET = """
from torch import nn

def build(num_classes=2):
    return nn.Sequential(nn.Conv2d(3, 4, 3), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(4, num_classes))
"""


@pytest.fixture(
    params=[pytest.param(each, marks=[pytest.mark.peers] if each == "hugging_face" else []) for each in SPECS]
)
def name(request, tmp_path, monkeypatch):
    if request.param == "timm" and importlib.util.find_spec("timm") is None:
        pytest.skip("timm is not installed")
    if request.param == "hugging_face":
        pytest.importorskip("transformers", reason="pip install '.[test-all]' for transformers")
        from tests.hugging_face import folder

        folder(tmp_path / "mine", "ResNet")
    (tmp_path / "net.py").write_text(NET)
    monkeypatch.chdir(tmp_path)
    return request.param


def test_every_source_is_tried_here():
    assert set(SPECS) == {*SOURCES, FALLBACK}


def test_a_name_has_one_source(name):
    spec = SPECS[name]
    source = source_of(spec)
    assert source.__name__.endswith(f".{name}")
    assert source.check(spec) == spec
    assert [each for each in sources()[:-1] if each.matches(spec)] == ([] if name == FALLBACK else [source])
    for known in source.names():
        assert source.matches(known.upper())
        assert source.check(known.upper()) == known


def test_a_source_is_light(name):
    heavy = {"torch", "numpy", "timm", "transformers"}
    code = f"import gradcam_cli.models.sources.{name}, sys; print(*{heavy} & set(sys.modules))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert not done.stdout.strip()


def test_an_architecture_is_built_for_any_number_of_classes(name):
    described = describe(SPECS[name])
    assert isinstance(described, Architecture)
    assert described.default in described.recipes
    assert described.name == SPECS[name]
    for classes in (described.num_classes, 3):
        net = described.build(num_classes=classes, **described.default.options).eval()
        side = described.default.preset.crop
        scores = net(torch.zeros(1, described.default.preset.channels, side, side))
        assert getattr(scores, "logits", scores).shape == (1, classes)


def test_entries_are_those_that_are_wanted(name):
    source = source_of(SPECS[name])
    bare = SPECS[name].removeprefix(source.PREFIX)
    listed = source.entries(lambda each: each.partition(".")[0] == bare)
    assert all(isinstance(each, ModelEntry) for each in listed)
    if name not in (FALLBACK, "hugging_face"):  # whose names are those of files and folders
        assert {each.name.partition(".")[0] for each in listed} == {SPECS[name]}
        assert set(listed) <= set(find_models(SPECS[name]))
    assert source.entries(lambda each: False) == []
