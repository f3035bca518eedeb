"""What is too large, too long or leads elsewhere is refused by every command, and the limits can be raised."""

from __future__ import annotations

import json
import os
from fractions import Fraction

import numpy as np
import pytest
from PIL import Image

from gradcam_cli.cli.main import run
from gradcam_cli.cli.options.types import count
from gradcam_cli.errors import UsageError
from gradcam_cli.media import limits
from gradcam_cli.media.video.write import VideoWriter

pytestmark = [
    pytest.mark.slow,
    pytest.mark.filterwarnings("ignore::PIL.Image.DecompressionBombWarning"),  # pytest resets our filters
]

SIZE = (48, 64)


@pytest.fixture(autouse=True)
def _files(tmp_path, monkeypatch):
    """Work beside a picture, animations and a video of five frames, all of 64×48."""
    monkeypatch.chdir(tmp_path)
    random = np.random.default_rng(0)
    frames = [Image.fromarray(random.integers(0, 256, (*SIZE, 3), np.uint8)) for _ in range(5)]
    frames[0].save("a.png")
    for name in ("a.gif", "b.webp", "c.apng"):
        form = {"form": "PNG"} if name == "c.apng" else {}
        frames[0].save(name, form.get("form"), save_all=True, append_images=frames[1:], duration=100)
    with VideoWriter(tmp_path / "a.mp4", SIZE, tick=Fraction(1, 10), rate=Fraction(10)) as writer:
        for k, frame in enumerate(frames):
            writer.write_rgb(np.asarray(frame), Fraction(k, 10), Fraction(1, 10))


@pytest.fixture
def gradcam(capfd):
    def call(command: str, name: str, *options: str):
        code = run([command, name, "-m", "tiny", "--input-size", "32", *options])
        captured = capfd.readouterr()
        assert "Traceback" not in captured.err
        assert "fault of gradcam" not in captured.err
        return code, captured.out, captured.err

    return call


CLIPS = [("gif", "a.gif"), ("gif", "b.webp"), ("gif", "c.apng"), ("video", "a.mp4")]
PICTURES = [("image", "a.png"), ("compare", "a.png"), ("gif", "a.png"), ("image", "a.gif")]
SWEEP = ("--sweep", "channels", "--count", "2")
OPTIONS = {"compare": ("--method", "gradcam", "--method", "layercam"), "image": ("--save", "overlay")}


def most(pixels: int, monkeypatch) -> None:
    """Make the usual limits, Pillow's own among them, as low as that, so that a test needs no large picture."""
    monkeypatch.setattr("gradcam_cli.media.image.read.PICTURE_PIXELS", pixels)
    monkeypatch.setattr("gradcam_cli.media.gif.read.ANIMATION_PIXELS", pixels)
    monkeypatch.setattr("gradcam_cli.media.video.read.FRAME_PIXELS", pixels)
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", pixels // 2)


@pytest.mark.parametrize("raised", [False, True])
@pytest.mark.parametrize(("command", "name"), [*PICTURES, *CLIPS])
def test_pixels(command, name, raised, gradcam, monkeypatch, tmp_path):
    most(3000, monkeypatch)
    options = (*OPTIONS.get(command, ()), *(SWEEP if (command, name) == ("gif", "a.png") else ()))
    code, out, err = gradcam(command, name, *options, *(("--max-pixels", "3072") if raised else ()))
    if raised:
        assert code == 0
        assert out
        return
    assert code == 1
    assert out == ""
    assert "more than 3000 pixels" in err
    assert "raise the limit" in err
    assert "--max-pixels" in err
    assert not [path for path in (tmp_path / "gradcam_output").rglob("*") if path.is_file()]


@pytest.mark.parametrize(("command", "name"), [*PICTURES, *CLIPS])
def test_the_limit_can_be_lowered(command, name, gradcam):
    options = (*OPTIONS.get(command, ()), *(SWEEP if (command, name) == ("gif", "a.png") else ()))
    code, out, err = gradcam(command, name, *options, "--max-pixels", "3k")
    assert (code, out) == (1, "")
    assert "more than 3000 pixels" in err
    assert "raise the limit: --max-pixels 3072" in err


def test_the_usual_limit(gradcam):
    Image.new("1", (14_000, 12_800)).save("big.png")
    code, _, err = gradcam("image", "big.png", "--save", "json")
    assert code == 1
    assert "more than 178 million pixels" in err
    assert "raise the limit with --max-pixels" in err


@pytest.mark.parametrize(("command", "name"), CLIPS)
def test_frames(command, name, gradcam, tmp_path):
    code, out, err = gradcam(command, name, "--save", "overlay", "--max-frames", "4")
    assert (code, out) == (1, "")
    assert f"error: {name}: has more than 4 frames" in err
    assert "raise the limit with --max-frames" in err
    assert not list((tmp_path / "gradcam_output").iterdir())
    assert gradcam(command, name, "--save", "overlay", "--max-frames", "5")[0] == 0


def test_a_part_of_a_long_video_may_be_taken(gradcam):
    assert gradcam("video", "a.mp4", "--save", "overlay", "--max-frames", "2", "--end", "0.2")[0] == 0


def test_a_rate_that_repeats_frames_is_bounded_too(gradcam):
    assert "more than 20 frames" in gradcam("video", "a.mp4", "--fps", "1000", "--max-frames", "20")[2]


def test_a_video_that_hides_its_length_is_stopped(gradcam, monkeypatch, tmp_path):
    monkeypatch.setattr("gradcam_cli.media.video.info.length", lambda container, stream: None)
    code, out, err = gradcam("video", "a.mp4", "--save", "overlay", "--max-frames", "3")
    assert (code, out) == (1, "")
    assert "error: a.mp4: has more than 3 frames" in err
    assert not list((tmp_path / "gradcam_output").iterdir())


def test_a_gif_of_very_many_frames_is_refused_soon(gradcam, tmp_path):
    """Frames of 23 bytes, in a file that is as long as one likes: not even counted to the end."""
    frame = b"!\xf9\x04\0\1\0\0\0,\0\0\0\0\1\0\1\0\0\2\2D\1\0"
    head = b"GIF89a" + bytes((60, 0, 40, 0, 0x80, 0, 0)) + bytes(6)
    (tmp_path / "long.gif").write_bytes(head + 200_000 * frame + b";")
    code, _, err = gradcam("gif", "long.gif")
    assert code == 1
    assert "more than 10000 frames" in err


@pytest.mark.parametrize(
    ("text", "number"),
    [("1", 1), ("200M", 200_000_000), ("200e6", 200_000_000), ("2.5k", 2500), ("1G", 10**9), (" 2E+3 ", 2000)],
)
def test_counts(text, number):
    assert count(text) == number


@pytest.mark.parametrize("text", ["0", "-1", "1.5", "M", "nan", "1e99", "9" * 5000, "1e-3", "2000G", "1_000", "", "٣"])
def test_what_is_no_count(text):
    with pytest.raises(UsageError) as caught:
        count(text)
    assert "200M" in caught.value.hint


@pytest.mark.parametrize("name", ["a\0b", "\ud800"])
@pytest.mark.parametrize("option", ["-o", "--weights", "--labels", "--from-file"])
def test_names_that_no_file_can_have(name, option, gradcam):
    code, out, err = gradcam("image", "a.png", option, name)
    assert (code, out) == (2, "")
    assert "error: " in err
    assert "hint: " in err


class TestLinks:
    """Results stay in the output directory."""

    @pytest.fixture(autouse=True)
    def _folders(self, tmp_path):
        (tmp_path / "in" / "sub" / "deep").mkdir(parents=True)
        Image.open("a.png").save("in/sub/deep/x.png")
        (tmp_path / "out").mkdir()
        (tmp_path / "elsewhere").mkdir()

    @pytest.mark.parametrize("link", ["out/sub", "out/sub/deep"])
    def test_a_folder_that_is_a_link_is_refused(self, link, gradcam, tmp_path):
        (tmp_path / link).parent.mkdir(exist_ok=True)
        os.symlink(tmp_path / "elsewhere", link)
        (tmp_path / "elsewhere" / "deep").mkdir()
        code, out, err = gradcam("image", "in", "-r", "-o", "out")
        assert (code, out) == (2, "")
        assert f"error: {link}: is a symbolic link" in err
        assert not [path for path in (tmp_path / "elsewhere").rglob("*") if path.is_file()]

    def test_the_directory_itself_may_be_one(self, gradcam, tmp_path):
        os.symlink(tmp_path / "elsewhere", "out/link")
        assert gradcam("image", "in", "-r", "-o", "out/link", "--save", "overlay")[0] == 0
        assert (tmp_path / "elsewhere" / "sub" / "deep" / "x_overlay.png").is_file()

    @pytest.mark.parametrize(
        ("command", "name", "ending"),
        [
            ("image", "a.png", ".png"), ("video", "a.mp4", ".mp4"), ("gif", "a.gif", ".gif"),
            ("compare", "a.png", ".pdf"),
        ],
    )  # fmt: skip
    def test_a_file_that_is_a_link_is_replaced(self, command, name, ending, gradcam, tmp_path):
        mine = tmp_path / "elsewhere" / "mine"
        mine.write_text("mine")
        place = tmp_path / "out" / (f"a_compare{ending}" if command == "compare" else f"a_overlay{ending}")
        place.symlink_to(mine)
        assert gradcam(command, name, "-o", "out", *(OPTIONS["compare"] if command == "compare" else ()))[0] == 0
        assert mine.read_text() == "mine"
        assert not place.is_symlink()
        assert place.stat().st_size > 100


def test_json_is_safe_to_print_and_says_what_it_means(tmp_path, capfd):
    names = ["\x9b31m.png", "\u202egpj.png", "\udce9.png", '"\\\n</script>.png', "a\u2028.png", "b\x7f.png", "ü 猫.png"]
    names = [name for name in names if _can_have(tmp_path / name)]
    (tmp_path / "labels.json").write_text(json.dumps(["\x1b[31m", '"}\n', "\ud800", "\u202e", *map(str, range(6))]))
    for name in names:
        Image.open("a.png").save(tmp_path / "plain.png")
        (tmp_path / "plain.png").rename(tmp_path / name)
    code = run(["image", "-m", "tiny", "--labels", "labels.json", "--json", "--save", "overlay,json", "--", *names])
    assert code == 0
    out = capfd.readouterr().out
    assert out.replace("\n", "").isprintable()
    assert sorted(json.loads(line)["input"] for line in out.splitlines()) == sorted(names)
    for path in (tmp_path / "gradcam_output").glob("*.json"):
        text = path.read_text("utf-8")
        assert text.rstrip("\n").isprintable()
        record = json.loads(text)
        assert record["input"] in names
        assert all(label["label"].isprintable() for label in record["predictions"])
    assert len(list((tmp_path / "gradcam_output").glob("*.json"))) == len(names)


def _can_have(path) -> bool:
    try:
        path.touch()
    except (OSError, UnicodeError):  # macOS takes no bytes that are no UTF-8
        return False
    return True


def test_limits_are_what_the_help_says(capfd):
    run(["video", "--help"])
    said = " ".join(capfd.readouterr().out.split())
    pictures, videos, animations = limits.PICTURE_PIXELS, limits.FRAME_PIXELS, limits.ANIMATION_PIXELS
    millions = [f"{each // 10**6}M" for each in (pictures, videos, animations)]
    assert "Default: {}, for videos {}, for animations {}.".format(*millions) in said
