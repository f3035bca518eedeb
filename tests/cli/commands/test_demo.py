"""``gradcam demo``: what someone sees who has only installed the package."""

from __future__ import annotations

import json
import shlex
from pathlib import Path

import av
import numpy as np
import pytest
from PIL import Image

from gradcam_cli.cli.main import run
from gradcam_cli.media.samples import cat
from tests.conftest import SAMPLES


@pytest.fixture(autouse=True)
def _elsewhere(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)


def files(folder: str = ".") -> set[str]:
    return {str(path) for path in Path(folder).rglob("*") if path.is_file() and path.parent.name != ".gradcam"}


def test_inputs_results_and_the_commands_that_made_them(capfd, monkeypatch):
    monkeypatch.setattr("socket.socket.connect", lambda *_: pytest.fail("it is offline"))
    assert run(["demo"]) == 0
    out, err = capfd.readouterr()
    kinds = [f"cat_{kind}.{suffix}" for suffix in ("png", "mp4", "gif") for kind in ("grayscale", "heatmap", "overlay")]
    assert out.splitlines() == [f"gradcam_demo/maps/{name}" for name in kinds]
    inputs = {f"gradcam_demo/cat.{suffix}" for suffix in ("jpg", "mp4", "gif")}
    assert files() == {*out.splitlines(), *inputs}
    shown = [shlex.split(line)[2:] for line in err.splitlines() if line.startswith("$ gradcam ")]
    assert [command[:2] for command in shown] == [
        ["image", "gradcam_demo/cat.jpg"],
        ["video", "gradcam_demo/cat.mp4"],
        ["gif", "gradcam_demo/cat.gif"],
    ]
    assert "--sweep channels" in err
    made = Path("gradcam_demo/maps/cat_overlay.gif").read_bytes()
    assert run([*shown[2], "--no-overwrite"]) == 2, "it is the same command"
    assert run(shown[2]) == 0
    assert Path("gradcam_demo/maps/cat_overlay.gif").read_bytes() == made


def test_a_second_time_and_json(capfd):
    assert run(["demo", "-o", "a b", "-q"]) == 0
    times = {name: Path(name).stat().st_mtime_ns for name in files("a b") if "maps" not in name}
    capfd.readouterr()
    Path("a b/cat.gif").unlink()
    assert run(["demo", "-o", "a b", "-q", "--json"]) == 0
    out, err = capfd.readouterr()
    assert err == ""
    assert [json.loads(line)["input"] for line in out.splitlines()] == [f"a b/cat.{x}" for x in ("jpg", "mp4", "gif")]
    unchanged = {name for name, time in times.items() if Path(name).stat().st_mtime_ns == time}
    assert unchanged == {"a b/cat.jpg", "a b/cat.mp4"}


@pytest.mark.parametrize("name", ["cat.jpg", "cat.gif"])
def test_files_of_the_user_are_left_alone(capfd, name):
    Path(name).write_bytes(b"mine")
    assert run(["demo", "-o", "."]) == 2
    out, err = capfd.readouterr()
    assert (out, Path(name).read_bytes(), files()) == ("", b"mine", {name})
    assert f"{name} is there, and is not the demo's" in err


@pytest.mark.parametrize("place", ["-", "file"])
def test_it_needs_a_directory(capfd, place):
    Path("file").touch()
    assert run(["demo", "-o", place]) == 2
    assert "it is no directory" in capfd.readouterr().err
    assert files() == {"file"}


def test_the_packaged_photograph_is_that_of_the_repository(tmp_path):
    assert cat.photograph() == (SAMPLES / "cat.jpg").read_bytes()
    cat.write_video(tmp_path / "cat.mp4")
    cat.write_animation(tmp_path / "cat.gif")
    first = next(cat.frames()).astype(int)
    for path in (tmp_path / "cat.mp4", SAMPLES / "cat.mp4"):
        with av.open(str(path)) as container:
            frames = [frame.to_ndarray(format="rgb24") for frame in container.decode(video=0)]
        assert len(frames) == cat.FRAMES
        assert abs(frames[0] - first).mean() < 4
    for path in (tmp_path / "cat.gif", SAMPLES / "cat.gif"):
        with Image.open(path) as gif:
            assert (gif.n_frames, gif.size) == (12, cat.GIF_SIZE[::-1])
            small = np.asarray(Image.fromarray(first.astype(np.uint8)).resize(gif.size, Image.Resampling.BOX), int)
            assert abs(np.asarray(gif.convert("RGB")) - small).mean() < 6
