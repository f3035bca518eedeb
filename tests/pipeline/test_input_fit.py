"""The size of a network's input: given, from a linear layer, or refused."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
from torch import nn

from gradcam_cli.cam.layers.linear_size import side_for_linear
from gradcam_cli.cam.layers.trace import CannotRunError
from gradcam_cli.errors import UsageError
from gradcam_cli.models.load import load_model
from gradcam_cli.pipeline.session import Session
from gradcam_cli.pipeline.settings import ModelSettings


def of_one_size(height: int, width: int, stride: int = 8) -> nn.Module:
    torch.manual_seed(0)
    layers: list[nn.Module] = []
    while 2 ** len(layers[::3]) < stride:
        layers += [nn.Conv2d(3 if not layers else 6, 6, 3, padding=1), nn.ReLU(), nn.MaxPool2d(2)]
    return nn.Sequential(*layers, nn.Flatten(), nn.Linear(6 * (height // stride) * (width // stride), 4)).eval()


def session_of(module: nn.Module, **options: object) -> Session:
    network = replace(load_model("tiny"), module=module, labels=None, cache={}, name="mine")
    network.assumed = frozenset({"size"})
    return Session(ModelSettings(model="mine", **options), network)


@pytest.mark.parametrize("side", [28, 64, 100, 150, 224, 299])
def test_a_linear_layer_tells_the_size(side, photo):
    session = session_of(of_one_size(side, side, 4))
    assert session.geometry(photo.shape[:2]).input == (side, side)
    assert session.fit == "stretch"
    told = [note for note in session.notes if "linear layer" in note]
    assert len(told) == 1
    assert f"{side // 4}×{side // 4}" in told[0]
    assert not any("a side of" in note for note in session.notes), "it is not assumed twice"
    assert session.explain_one(session.prepare(photo)).maps[0].values.shape == (side // 2,) * 2


def test_the_square_of_the_preset_is_tried_with_a_picture_that_is_none(photo):
    """Of 480×640 a short side of 32 makes 32×32; other pictures would fail later."""
    session = session_of(of_one_size(32, 32, 4))
    assert session.geometry(photo.shape[:2]).input == (32, 32)
    assert "32×32 pictures only" in session.notes[-1]


def test_an_unusual_size():
    found = side_for_linear(of_one_size(72, 72), (224, 224), 3)
    assert found.grid == 9
    assert found.side // 8 == 9


def test_a_size_that_is_given_is_not_replaced():
    with pytest.raises(CannotRunError):
        session_of(of_one_size(64, 64), input_size=96)


def test_maps_that_are_not_square():
    with pytest.raises(CannotRunError, match="of 128 places") as caught:
        session_of(of_one_size(128, 64))
    assert "{input_size}" in caught.value.template


@pytest.mark.parametrize("fit", ["whole", "crop", "stretch", "pad"])
@pytest.mark.parametrize("source", [(60, 90), (200, 50), (128, 64)])
def test_a_size_of_its_own(fit, source):
    session = session_of(of_one_size(128, 64), input_size=(128, 64), fit=fit)
    geometry = session.geometry(source)
    assert geometry.input == (128, 64)
    height, width = geometry.resized
    if fit in ("whole", "stretch"):
        assert (geometry.fit, geometry.resized, geometry.offset) == ("stretch", (128, 64), (0, 0))
    else:
        assert height / width == pytest.approx(source[0] / source[1], rel=0.03)
        larger = fit == "crop"
        assert min(height - 128, width - 64) == 0 if larger else max(height - 128, width - 64) == 0
        assert session.geometry(source).sees_all != larger or source == (128, 64)
    pixels = np.random.default_rng(0).integers(0, 255, (*source, 3), np.uint8)
    assert session.prepare(pixels).tensor.shape == (3, 128, 64)


@pytest.mark.parametrize("size", [0, (7, 64), (64, 5000), (64, 64, 64), "64"])
def test_sizes_that_are_not_possible(size):
    with pytest.raises(UsageError, match="input size"):
        ModelSettings(input_size=size)
