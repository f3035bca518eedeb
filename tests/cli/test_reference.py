"""The whole command, with real weights on real photographs, against a peer's final maps."""

from __future__ import annotations

import json

import numpy as np
import pytest

from gradcam_cli.cli.main import run


@pytest.fixture
def squeezenet(shared_data):
    return ["-m", "squeezenet1_0", "-w", str(shared_data / "weights" / "squeezenet1_0_imagenet.pth")]


def test_final_maps_equal_pytorch_grad_cams(shared_data, squeezenet, tmp_path, capfd):
    """From file to file: reading, preprocessing, channels-last network, upsampling and scaling, in batches."""
    crops = shared_data / "reference" / "crops"
    out = ["--save", "map", "--json", "-q", "-o", str(tmp_path)]
    assert run(["image", *squeezenet, "--fit", "stretch", *out, str(crops)]) == 0
    records = [json.loads(line) for line in capfd.readouterr().out.splitlines()]
    assert len(records) == 12
    for record in records:
        name = record["input"].rsplit("/", 1)[1].removesuffix(".png")
        reference = np.load(shared_data / "reference" / f"{name}.npz")
        target = int(reference["classes"][0])
        assert record["target"]["index"] == target
        assert record["layer"] == "features.12"
        expected = reference[f"pgc/features.12/{target}/GradCAM/scaled"].squeeze()
        found = np.load(record["files"]["map"])
        assert np.abs(found - expected).max() <= 1e-4
        raw = reference[f"ref/features.12/{target}/GradCAM/raw"]
        assert record["map"]["max"] == pytest.approx(float(raw.max()), rel=1e-4)
        assert record["map"]["min"] == pytest.approx(float(raw.min()), rel=1e-3, abs=1e-4)


def test_an_afghan_hound_is_called_one_and_the_warmth_is_on_the_dog(shared_data, squeezenet, tmp_path, capfd):
    photo = shared_data / "reference" / "photos" / "afghan_hound.jpg"
    assert run(["image", *squeezenet, "--save", "map", "--json", "-q", "-o", str(tmp_path), str(photo)]) == 0
    record = json.loads(capfd.readouterr().out)
    assert record["target"]["label"] == "Afghan hound"
    assert record["target"]["probability"] > 0.9
    values = np.load(record["files"]["map"])
    assert values.shape == (333, 500)
    hottest = np.unravel_index(values.argmax(), values.shape)
    assert 10 < hottest[0] < 130, "the head is in the upper third"
    assert 270 < hottest[1] < 400, "and right of the middle"
    assert values[:, :270].max() < 0.5, "the pavement on the left is cold"
