"""Videos and animations from Python are those of the commands, byte for byte."""

from __future__ import annotations

import dataclasses
import inspect
import io
import json
import sys
from fractions import Fraction

import pytest

import gradcam_cli
from gradcam_cli.cli.main import run
from gradcam_cli.pipeline.settings import ClipSettings
from tests.conftest import SAMPLES, commands

VIDEO, ANIMATION, STILL = (SAMPLES / name for name in ("cat.mp4", "cat.gif", "cat.jpg"))


@pytest.fixture(scope="module")
def network():
    return gradcam_cli.load_model("tiny")


def of_command(folder, capfd, *arguments) -> dict:
    options = ["-m", "tiny", "--json", "-q", "--no-records", "-o", folder]
    assert run([*map(str, (*arguments, *options))]) == 0
    return json.loads(capfd.readouterr().out)


def require_same(explained, wanted: dict, folder) -> None:
    """Compare files and records, but for what differs from run to run."""
    assert {path.name for path in explained.files.values()} == {path.name for path in folder.iterdir()}
    for path in explained.files.values():
        assert path.read_bytes() == (folder / path.name).read_bytes()
    found = json.loads(json.dumps(explained.record()))
    for record in (found, wanted):
        record.pop("seconds")
        record["files"] = sorted(record["files"])
    assert found == wanted


def test_a_video_is_explained_as_by_the_command(tmp_path, network, capfd):
    options = (
        "--end 0.4 --stride 2 --gif --smooth 0.2 --colormap turbo --save overlay,heatmap --side-by-side --quality 60"
    )
    wanted = of_command(tmp_path / "a", capfd, "video", VIDEO, *options.split())
    explained = gradcam_cli.explain_video(
        VIDEO, tmp_path / "b", model=network, kinds=("overlay", "heatmap"), gif=True, end="0.4", stride=2, smooth=0.2,
        colormap="turbo", side_by_side=True, quality=60,
    )  # fmt: skip
    assert isinstance(explained, gradcam_cli.ClipExplanation)
    assert repr(explained).startswith("<ClipExplanation of cat.mp4: cat ")
    assert list(explained.files) == ["overlay", "heatmap", "overlay.gif"]
    require_same(explained, wanted, tmp_path / "a")


def test_an_animation_is_explained_as_by_the_command(tmp_path, capfd, small_net):
    wanted = of_command(tmp_path / "a", capfd, "gif", ANIMATION, "--stride", 5, "--gif-width", 100)
    explained = gradcam_cli.explain_gif(ANIMATION, tmp_path / "b", model="tiny", stride=5, gif_width=100)
    require_same(explained, wanted, tmp_path / "a")
    own = gradcam_cli.explain_gif(ANIMATION, tmp_path / "c", model=small_net, layer=small_net.tail, stride=9,
                                  kinds="overlay", labels=["a", "b", "c", "d", "e"])  # fmt: skip
    assert own.target.label in "abcde"
    assert own.layer == "tail"


@pytest.mark.parametrize("sweep", ["channels", "classes"])
def test_a_still_picture_is_animated_as_by_the_command(tmp_path, network, capfd, sweep):
    wanted = of_command(tmp_path / "a", capfd, "gif", STILL, "--sweep", sweep, "--count", 3)
    explained = gradcam_cli.explain_gif(STILL, tmp_path / "b", model=network, sweep=sweep, count=3)
    require_same(explained, wanted, tmp_path / "a")


def test_defaults_are_those_of_the_commands():
    """Each setting of clips is an argument, and has the option's default."""
    names = {each.name for each in dataclasses.fields(ClipSettings)} - {"render", "fail_fast"}
    for command, function in (("video", gradcam_cli.explain_video), ("gif", gradcam_cli.explain_gif)):
        arguments = inspect.signature(function).parameters
        assert names <= set(arguments)
        for option in commands()[command].params:
            if option.name in names:
                default = bool(option.default is True) if option.is_flag else option.default
                default = None if "nset" in repr(default).lower() else default  # click's own word for no default
                assert arguments[option.name].default == default, option.name


@pytest.mark.parametrize(
    "wrong",
    [
        {"start": 3, "end": 2}, {"fps": 0}, {"smooth": float("nan")}, {"smooth": "x"}, {"codec": "x"},
        {"normalize_over": "x"}, {"kinds": ("map",)}, {"kinds": ()}, {"stride": 0}, {"end": "x"}, {"gif_width": 0},
        {"max_size": 3}, {"size": 3}, {"size": 300, "max_size": 300}, {"quality": 0},
        {"batch_size": 1.5}, {"method": "nope"}, {"fit": "nope"},
    ],
    ids=str,
)  # fmt: skip
def test_settings_that_cannot_be_are_told(tmp_path, network, wrong):
    with pytest.raises(gradcam_cli.UsageError) as caught:
        gradcam_cli.explain_video(VIDEO, tmp_path / "out", model=network, **wrong)
    assert caught.value.hint
    assert not (tmp_path / "out").exists()


def test_clips_that_cannot_be_explained_leave_nothing(tmp_path, network):
    (tmp_path / "no.mp4").write_bytes(b"no video")
    for path in (tmp_path / "missing.mp4", tmp_path, tmp_path / "no.mp4", STILL):
        with pytest.raises(gradcam_cli.InputError) as caught:
            gradcam_cli.explain_video(path, tmp_path / "out", model=network)
        assert caught.value.hint
    for wrong in ({"sweep": "colours"}, {"sweep": "layers", "method": "rise"}, {"sweep": "classes", "count": 0},
                  {"size": 300, "gif_width": 200}):  # fmt: skip
        with pytest.raises(gradcam_cli.UsageError) as told:
            gradcam_cli.explain_gif(STILL, tmp_path / "out", model=network, **wrong)
        assert told.value.hint
    with pytest.raises(TypeError, match=r"explain_gif\(\) .*'strid'"):
        gradcam_cli.explain_gif(ANIMATION, tmp_path / "out", model=network, strid=2)
    assert not (tmp_path / "out").exists()


class Terminal(io.StringIO):
    def isatty(self):
        return True


def test_a_bar_counts_the_frames(tmp_path, network, monkeypatch):
    monkeypatch.setenv("TERM", "xterm")
    terminal = Terminal()
    monkeypatch.setattr(sys, "stderr", terminal)
    gradcam_cli.explain_video(VIDEO, tmp_path, model=network, end=Fraction(1, 5), kinds="overlay")
    assert "explaining" in terminal.getvalue()
