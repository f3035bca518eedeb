"""``--size``: results with exactly this longest side, of what the network would have seen anyway."""

from __future__ import annotations

import json
from pathlib import Path

import av
import numpy as np
import pytest
from PIL import Image

from gradcam_cli.cli.main import run
from tests.conftest import SAMPLES

CLIP = (str(SAMPLES / "cat.mp4"), "--end", "0.2", "--json")
ANIMATION = (str(SAMPLES / "cat.gif"), "--stride", "4", "--json")


@pytest.fixture(autouse=True)
def _elsewhere(tmp_path, monkeypatch, photo):
    monkeypatch.chdir(tmp_path)
    Image.fromarray(photo).save("a.png")


@pytest.fixture
def gradcam(capfd):
    def call(*arguments: str):
        code = run([*arguments, "-m", "tiny"])
        captured = capfd.readouterr()
        return code, captured.out.splitlines(), captured.err

    return call


def opened(path: str) -> np.ndarray:
    with Image.open(path) as picture:
        return np.asarray(picture.convert("RGB"))


def seen(record: dict) -> dict:
    """Return what tells which pixels the network has got."""
    shape = {name: record["geometry"][name] for name in ("resized", "offset", "input")}
    values = {name: record["map"][name] for name in ("min", "max", "size") if name in record["map"]}
    return {"predictions": record["predictions"], **values, **shape}


def test_pictures_are_enlarged_after_the_network_has_seen_them(gradcam):
    code, plain, _ = gradcam("image", "a.png", "--json", "-o", "plain")
    code, large, _ = gradcam(
        "image", "a.png", "--json", "--size", "640", "-o", "large", "--save", "overlay,map,original"
    )
    assert code == 0
    assert opened("large/a_overlay.png").shape == (427, 640, 3)
    assert np.load("large/a_map.npy").shape == (427, 640)
    records = [json.loads(out[0]) for out in (plain, large)]
    assert seen(records[0]) == seen(records[1])
    assert records[1]["geometry"]["source"] == [427, 640]
    with Image.open("large/a_original.png") as picture:
        again = np.asarray(picture.resize((90, 60), Image.Resampling.BOX), int)
    assert abs(again - opened("a.png")).mean() < 4


def test_larger_pictures_are_reduced_as_by_max_size(gradcam):
    gradcam("image", "a.png", "--size", "45", "-o", "exact")
    gradcam("image", "a.png", "--max-size", "45", "-o", "most")
    assert opened("exact/a_overlay.png").shape == (30, 45, 3)
    assert Path("exact/a_overlay.png").read_bytes() == Path("most/a_overlay.png").read_bytes()


def test_frames_of_a_video_are_enlarged(gradcam):
    plain = json.loads(gradcam("video", *CLIP, "-o", "plain.mp4")[1][0])
    large = json.loads(gradcam("video", *CLIP, "-o", "large.mp4", "--size", "480")[1][0])
    assert seen(plain) == seen(large)
    assert large["clip"]["size"] == large["geometry"]["source"] == [318, 480]
    frames = []
    for path in ("plain.mp4", "large.mp4"):
        with av.open(path) as container:
            frames.append([frame.to_ndarray(format="rgb24") for frame in container.decode(video=0)])
    assert frames[1][0].shape == (318, 480, 3)
    for one, other in zip(*frames, strict=True):
        again = np.asarray(Image.fromarray(other).resize((320, 212), Image.Resampling.BOX), int)
        assert abs(again - one).mean() < 4


def test_frames_of_an_animation_and_of_a_sweep_are_enlarged(gradcam):
    plain = json.loads(gradcam("gif", *ANIMATION, "-o", "plain.gif")[1][0])
    large = json.loads(gradcam("gif", *ANIMATION, "-o", "large.gif", "--size", "300")[1][0])
    assert seen(plain) == seen(large)
    assert opened("large.gif").shape == (199, 300, 3)
    gradcam("gif", "a.png", "--sweep", "classes", "--count", "2", "-o", "sweep.gif", "--size", "600")
    assert opened("sweep.gif").shape[1] == 600


@pytest.mark.parametrize(
    ("arguments", "reason"),
    [
        (("image", "a.png", "--max-size", "60"), "the longest side is given twice"),
        (("video", CLIP[0], "--max-size", "60"), "the longest side is given twice"),
        (("gif", ANIMATION[0], "--gif-width", "60"), "--size and --gif-width exclude each other"),
    ],
)
def test_two_sizes_are_refused(gradcam, arguments, reason):
    code, out, err = gradcam(*arguments, "--size", "300")
    assert (code, out) == (2, [])
    assert reason in err
    assert not Path("gradcam_output").exists()
