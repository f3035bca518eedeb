"""``-o out.png`` and ``-o -``: one result in the file that is named, or on standard output."""

from __future__ import annotations

import io
import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from gradcam_cli.cli.main import run
from tests.conftest import SAMPLES


@pytest.fixture(autouse=True)
def _elsewhere(tmp_path, monkeypatch, photo):
    monkeypatch.chdir(tmp_path)
    Image.fromarray(photo).save("a.png")
    Image.fromarray(photo[::-1]).save("b.png")


@pytest.fixture
def gradcam(capfdbinary):
    def call(*arguments: str):
        before = files()
        code = run([*arguments, "-m", "tiny"])
        captured = capfdbinary.readouterr()
        err = captured.err.decode()
        assert "Traceback" not in err
        if code == 2:
            assert captured.out == b""
            assert err.count("error: ") == err.count("  hint: ") == 1
            assert files() == before, "nothing is left behind"
        return code, captured.out, err

    return call


def files() -> set[str]:
    return {str(path) for path in Path().rglob("*")}


@pytest.mark.parametrize(
    ("command", "path", "kind"),
    [
        (("image", "a.png"), "out.png", "PNG"),
        (("image", "a.png"), "deep/er/out.JPG", "JPEG"),
        (("image", "a.png"), "out.jpeg", "JPEG"),
        (("image", "a.png", "--save", "heatmap"), "out.webp", "WEBP"),
        (("gif", "b.png", "--sweep", "classes", "--count", "2"), "out.gif", "GIF"),
    ],
)
def test_one_file_and_nothing_beside_it(gradcam, command, path, kind):
    before = files()
    assert gradcam(*command, "-o", path)[:2] == (0, f"{path}\n".encode())
    with Image.open(path) as picture:
        assert picture.format == kind
    assert files() - before == {path, *(str(each) for each in Path(path).parents if str(each) != ".")}


def test_it_is_the_overlay_that_a_directory_gets(gradcam):
    gradcam("image", "a.png")
    gradcam("image", "a.png", "-o", "out.png")
    assert Path("out.png").read_bytes() == Path("gradcam_output/a_overlay.png").read_bytes()
    gradcam("image", "a.png", "-o", "map.npy", "--save", "map")
    assert np.load("map.npy").shape == (60, 90)


@pytest.mark.parametrize(("suffix", "beginning"), [("png", b"\x89PNG"), ("pdf", b"%PDF"), ("svg", b"<?xml")])
def test_a_figure(gradcam, suffix, beginning):
    figure = ("compare", "a.png", "b.png", "--rows", "inputs", "--width", "60")
    assert gradcam(*figure, "-o", f"f.{suffix}")[:2] == (0, f"f.{suffix}\n".encode())
    assert Path(f"f.{suffix}").read_bytes().startswith(beginning)
    assert {each for each in files() if "f." in each or "gradcam" in each} == {f"f.{suffix}"}
    code, out, _ = gradcam(*figure, "-o", "-", "--format", suffix)
    assert (code, out) == (0, Path(f"f.{suffix}").read_bytes())


def test_a_video_and_an_animation(gradcam):
    assert gradcam("video", str(SAMPLES / "cat.mp4"), "--end", "0.2", "-o", "v.mp4")[:2] == (0, b"v.mp4\n")
    assert gradcam("gif", str(SAMPLES / "cat.gif"), "--stride", "6", "-o", "g.gif")[:2] == (0, b"g.gif\n")
    assert gradcam("gif", str(SAMPLES / "cat.gif"), "--stride", "6", "-o", "-")[1] == Path("g.gif").read_bytes()
    assert files() == {"a.png", "b.png", "v.mp4", "g.gif"}


def test_bytes_on_standard_output_and_all_else_on_stderr(gradcam):
    code, out, err = gradcam("image", "a.png", "-o", "-", "--format", "webp")
    assert code == 0
    with Image.open(io.BytesIO(out)) as picture:
        assert (picture.format, picture.size) == ("WEBP", (90, 60))
    assert err.count("%") == 5
    assert files() == {"a.png", "b.png"}
    assert gradcam("image", "missing.png", "-o", "-")[:2] == (2, b"")
    Path("bad.png").write_bytes(b"\x89PNG and no more")
    assert gradcam("image", "bad.png", "-o", "-")[:2] == (1, b"")


@pytest.mark.parametrize(
    ("arguments", "reason"),
    [
        (("image", "a.png", "b.png", "-o", "x/o.png"), "x/o.png takes one result, and there are 2 inputs"),
        (("image", "a.png", "missing.png", "-o", "o.png"), "there are 2 inputs"),
        (("image", "*.png", "-o", "o.png"), "there are 2 inputs"),
        (("image", ".", "-o", "o.png"), ". is a directory"),
        (("image", "a.png", "-o", "o.png", "-t", "top:2"), "there are 2"),
        (("image", "a.png", "-o", "o.png", "--layer", "stage1", "--layer", "stage2"), "there are 2"),
        (("image", "a.png", "-o", "o.png", "--layer", "all"), "each layer has its own"),
        (("image", "a.png", "-o", "-", "--method", "gradcam", "--method", "layercam"), "standard output takes one"),
        (("image", "a.png", "-o", "o.png", "--save", "overlay,heatmap"), "--save overlay,heatmap are several"),
        (("image", "a.png", "-o", "o.png", "--save", "map"), "--save map writes .npy"),
        (("image", "a.png", "-o", "o.png", "--format", "jpg"), "is not --format jpg"),
        (("image", "a.png", "-o", "a.png"), "would overwrite this input"),
        (("image", "a.png", "-o", "b.png", "--no-overwrite"), "results exist already: 'b.png'"),
        (("image", "a.png", "-o", "o.png", "--skip-existing"), "no records say how it was made"),
        (("image", "a.png", "-o", "o.png", "--name-template", "{stem}"), "leave --name-template out"),
        (("image", "a.png", "-o", "o.gif"), "no result is of that kind"),
        (("image", "a.png", "-o", "a.png/o.png"), "a.png"),
        (("image", "a.png", "-o", "-", "--json"), "--json and the result"),
        (("image", "a.png", "-o", "-", "--save", "json"), "use --json"),
        (("compare", "a.png", "-o", "-"), "one format of the figure"),
        (("compare", "a.png", "-o", "f.pdf", "--format", "png"), "is not --format png"),
        (("compare", "a.png", "-o", "f.jpg"), "no result is of that kind"),
        (("compare", "a.png", "b.png", "-o", "f.pdf"), "there are 2 inputs"),
        (("gif", "a.png", "-o", "g.mp4"), "no result is of that kind"),
        (("video", "c.mp4", "-o", "v.mp4", "--gif"), "the video and its GIF are several"),
        (("video", "c.mp4", "-o", "-", "--keep-partial"), "keeps a file"),
    ],
)
def test_what_is_not_one_file_is_refused(gradcam, arguments, reason):
    code, _, err = gradcam(*arguments)
    assert code == 2
    assert reason in err


def test_a_terminal_is_refused(gradcam, monkeypatch):
    monkeypatch.setattr(sys.stdout, "isatty", lambda: True)
    code, _, err = gradcam("image", "a.png", "-o", "-")
    assert code == 2
    assert "a terminal cannot show the result" in err


@pytest.mark.parametrize("place", ["o.png", "new.png/", "maps.v2"])
def test_directories_stay_directories(gradcam, place):
    Path("o.png").mkdir()
    assert gradcam("image", "a.png", "-o", place, "--save", "overlay")[0] == 0
    assert Path(place, "a_overlay.png").is_file()


def test_a_failure_leaves_neither_file_nor_directory(gradcam):
    Path("bad.png").write_bytes(b"\x89PNG and no more")
    before = files()
    assert gradcam("image", "bad.png", "-o", "new/out.png")[:2] == (1, b"")
    assert files() == before


def test_a_file_is_replaced_and_what_the_environment_says_is_a_default(gradcam, monkeypatch):
    shutil.copy("a.png", "out.png")
    monkeypatch.setenv("GRADCAM_FORMAT", "jpg")
    monkeypatch.setenv("GRADCAM_NAME_TEMPLATE", "{kind}/{stem}")
    monkeypatch.setenv("GRADCAM_SAVE", "grayscale")
    monkeypatch.setenv("GRADCAM_OUTPUT_DIR", "out.png")
    code, out, err = gradcam("image", "b.png", "--json")
    assert code == 0, err
    assert json.loads(out)["files"] == {"grayscale": "out.png"}
    with Image.open("out.png") as picture:
        assert (picture.format, picture.mode) == ("PNG", "L")


def test_a_reader_that_has_left():
    reading, writing = os.pipe()
    os.close(reading)
    command = [sys.executable, "-m", "gradcam_cli", "image", "a.png", "-m", "tiny", "-o", "-", "--quiet"]
    done = subprocess.run(command, stdout=writing, stderr=subprocess.PIPE, check=False)
    os.close(writing)
    assert (done.returncode, done.stderr) == (1, b"")
