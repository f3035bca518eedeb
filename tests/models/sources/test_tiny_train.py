"""The script that makes the bundled network, on a handful of pictures."""

from __future__ import annotations

import json
import sys

import numpy as np
import pytest
from PIL import Image
from safetensors.torch import load_file

from gradcam_cli.models.sources.tiny import train
from gradcam_cli.models.sources.tiny.network import CLASSES, TinyNet
from gradcam_cli.models.sources.tiny.train import Stretch, learning_rate, stretch_of


@pytest.fixture
def data(tmp_path):
    rng = np.random.default_rng(0)
    for split, count in (("train", 2), ("test", 1)):
        for name in CLASSES:
            folder = tmp_path / "data" / split / name
            folder.mkdir(parents=True)
            for k in range(count):
                Image.fromarray(rng.integers(0, 256, (32, 32, 3), np.uint8)).save(folder / f"{k}.png")
    return tmp_path / "data"


@pytest.mark.slow
def test_trains_stops_goes_on_and_writes_a_file(data, tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(
        train, "STRETCHES",
        (Stretch(1, 0.1, 1e-4, 0.5, 0.2, 0.5, 0.0, 1), Stretch(1, 0.05, 1e-4, 0.1), Stretch(2, 0.01, 1e-4, 0.1)),
    )  # fmt: skip
    out = tmp_path / "net.safetensors"
    monkeypatch.setattr(sys, "argv", ["train", "--data", str(data), "--out", str(out), "--batch-size", "8"])
    original = train.accuracy
    calls = []

    def stopping(*arguments):
        calls.append(1)
        if len(calls) == 3:
            raise KeyboardInterrupt
        return original(*arguments)

    monkeypatch.setattr(train, "accuracy", stopping)
    with pytest.raises(KeyboardInterrupt):
        train.main()
    assert not out.exists()
    train.main()
    lines = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert [line.get("epoch") for line in lines] == [1, 2, 4, None]
    network = TinyNet()
    assert not network.load_state_dict(load_file(out), strict=False).unexpected_keys


def test_the_rate_rises_and_falls():
    first = train.STRETCHES[0]
    rates = [learning_rate(first, done) for done in (0, 4, 8, 24, 40)]
    assert rates == pytest.approx([0, 0.1, 0.2, 0.1, 0])
    assert learning_rate(train.STRETCHES[1], 0) == pytest.approx(0.06)
    assert [learning_rate(train.STRETCHES[2], done) for done in (0, 1)] == pytest.approx([0.03, 0.02])
    assert [stretch_of(epoch) for epoch in (0, 39, 40, 47, 48)] == [(0, 0), (0, 39), (1, 0), (1, 7), (2, 0)]
    with pytest.raises(ValueError, match="no such epoch"):
        stretch_of(49)
