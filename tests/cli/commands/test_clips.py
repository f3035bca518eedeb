"""``gradcam video`` and ``gradcam gif`` as a user meets them."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest
from PIL import Image

from gradcam_cli.cam.methods.registry import quick
from gradcam_cli.cli.main import run
from gradcam_cli.media.video import read as video_read
from gradcam_cli.media.video.write import VideoWriter
from gradcam_cli.pipeline.artifacts.overlay import Overlay
from gradcam_cli.pipeline.session import Session
from tests.conftest import heed_interrupts


@pytest.fixture(autouse=True)
def _elsewhere(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)


@pytest.fixture
def clip(tmp_path, photo) -> Path:
    """Make a pan over a picture: about a second, at 12.5 frames per second."""
    path = tmp_path / "clip.mp4"
    pixels = np.ascontiguousarray(np.kron(photo, np.ones((2, 2, 1), np.uint8)))
    with VideoWriter(path, (120, 180), tick=Fraction(1, 25), rate=Fraction(25, 2)) as writer:
        for k in range(12):
            writer.write_rgb(np.roll(pixels, 3 * k, axis=1), Fraction(2 * k, 25), Fraction(2, 25))
    return path


@pytest.fixture
def animation(tmp_path, photo) -> Path:
    path = tmp_path / "pan.gif"
    frames = [Image.fromarray(np.roll(photo, 5 * k, axis=1)) for k in range(5)]
    frames[0].save(path, save_all=True, append_images=frames[1:], duration=[100, 50, 200, 70, 80], loop=3)
    return path


@pytest.fixture
def gradcam(capfd):
    def call(*arguments: str):
        code = run([arguments[0], "-m", "tiny", *arguments[1:]])
        captured = capfd.readouterr()
        assert "Traceback" not in captured.err
        return code, captured.out.splitlines(), captured.err

    return call


def frames_of(path: str | Path) -> tuple[list[Fraction], list[np.ndarray]]:
    with av.open(str(path)) as container:
        frames = list(container.decode(video=0))
        return [frame.pts * frame.time_base for frame in frames], [frame.to_ndarray(format="rgb24") for frame in frames]


def test_a_video_becomes_three_and_a_gif(gradcam, clip):
    code, out, err = gradcam("video", str(clip), "--gif")
    assert code == 0
    kinds = ("grayscale.mp4", "heatmap.mp4", "overlay.mp4", "overlay.gif")
    assert out == [f"gradcam_output/clip_{kind}" for kind in kinds]
    source_times, _ = frames_of(clip)
    for path in out[:3]:
        times, pictures = frames_of(path)
        assert times == source_times
        assert pictures[0].shape == (120, 180, 3)
    with Image.open(out[3]) as gif:
        assert gif.n_frames > 5
    assert "◂ explained" in err or "< explained" in err
    assert not list(Path("gradcam_output").glob(".*.part"))


def test_the_overlay_is_the_source_plus_the_heatmap(gradcam, clip):
    gradcam("video", str(clip), "--look", "classic", "--alpha", "0.4", "--quality", "95")
    _, source = frames_of(clip)
    _, heat = frames_of("gradcam_output/clip_heatmap.mp4")
    _, over = frames_of("gradcam_output/clip_overlay.mp4")
    for picture, hot, shown in zip(source, heat, over, strict=True):
        assert np.abs(0.6 * picture + 0.4 * hot - shown).mean() < 4


def test_json_and_the_part_between_start_and_end(gradcam, clip):
    code, out, _ = gradcam("video", str(clip), "--start", "0.2", "--end", "0.6", "--json", "--save", "heatmap")
    assert code == 0
    record = json.loads(out[0])
    assert record["clip"]["frames"] == 5
    assert record["clip"]["seconds"] == pytest.approx(0.36, abs=0.05)
    assert list(record["files"]) == ["heatmap"]
    assert record["target"]["label"]
    assert len(frames_of(record["files"]["heatmap"])[0]) == 5


def test_an_apng_that_repeats_more_often_than_a_gif_can_say(gradcam, photo):
    frames = [Image.fromarray(np.roll(photo, 5 * k, axis=1)) for k in range(3)]
    frames[0].save("many.png", save_all=True, append_images=frames[1:], duration=100, loop=2**31)
    code, out, _ = gradcam("gif", "many.png", "--save", "overlay")
    assert code == 0
    with Image.open(out[0]) as gif:
        assert gif.info["loop"] == 65_535


def test_a_start_beyond_any_file(gradcam, clip):
    code, out, err = gradcam("video", str(clip), "--start", "1000000000")
    assert (code, out) == (1, [])
    assert "has no frame in the part that is wanted" in err


def test_side_by_side_and_caption(gradcam, clip):
    gradcam("video", str(clip), "--side-by-side", "--caption", "--save", "overlay", "--gif", "--gif-width", "90")
    _, pictures = frames_of("gradcam_output/clip_overlay.mp4")
    _, source = frames_of(clip)
    assert pictures[0].shape == (136, 360, 3)  # the caption is below
    halves = pictures[3][:80, :180], pictures[3][:80, 180:]
    left, right = (np.abs(half.astype(int) - source[3][:80]).mean() for half in halves)
    assert left < 0.3 * right, "the source stands on the left"
    with Image.open("gradcam_output/clip_overlay.gif") as gif:
        assert gif.size == (180, 76)


def test_an_animation_keeps_its_times_and_loop(gradcam, animation):
    code, out, _ = gradcam("gif", str(animation))
    assert code == 0
    assert out == [f"gradcam_output/pan_{kind}.gif" for kind in ("grayscale", "heatmap", "overlay")]
    for path in out:
        with Image.open(path) as gif:
            assert gif.info["loop"] == 3
            assert gif.size == (90, 60)
            durations = []
            for k in range(gif.n_frames):
                gif.seek(k)
                durations.append(gif.info["duration"])
            assert sum(durations) == 500


@pytest.mark.parametrize("suffix", ["png", "jpg", "bmp"])
def test_what_can_be_done_with_a_still_picture_is_told(gradcam, photo, suffix):
    Image.fromarray(photo).save(f"still.{suffix}")
    code, out, err = gradcam("gif", f"still.{suffix}")
    assert (code, out) == (2, [])
    assert f"still.{suffix}: is a still picture, which does not move" in err
    assert f"use: gradcam gif still.{suffix} --sweep channels, or layers, classes, methods" in err
    assert f"gradcam image still.{suffix}" in err
    assert not Path("gradcam_output").exists()
    _, _, err = gradcam("video", f"still.{suffix}")
    assert f"use: gradcam image still.{suffix}" in err


@pytest.mark.parametrize("suffix", ["gif", "webp"])
def test_an_animation_of_one_frame_is_explained_with_a_note(gradcam, photo, suffix):
    Image.fromarray(photo).save(f"still.{suffix}")
    code, out, err = gradcam("gif", f"still.{suffix}", "--save", "overlay", "--json")
    assert code == 0
    assert "has one frame and does not move: 'gradcam image' explains stills" in err
    assert len(json.loads(out[0])["clip"]["notes"]) == 1


def test_the_first_frame_of_an_animation_as_a_picture(gradcam, animation):
    assert "is read: 'gradcam gif' explains them all" in gradcam("image", str(animation))[2]


@pytest.mark.slow
@pytest.mark.parametrize(
    ("sweep", "options", "frames"),
    [
        ("channels", ("--count", "7"), 1 + 7),
        ("classes", ("--count", "3"), 3),
        ("layers", (), 9),
        ("methods", (), len(quick())),
        ("methods", ("--method", "gradcam", "--method", "eigencam"), 2),
        ("layers", ("--layer", "stage1", "--layer", "stage2", "--layer", "stage3"), 3),
        ("classes", ("-t", "cat", "-t", "dog vs cat"), 2),
    ],
)
def test_a_still_picture_is_swept(gradcam, photo, sweep, options, frames):
    Image.fromarray(photo).save("still.png")
    code, out, err = gradcam("gif", "still.png", "--sweep", sweep, *options)
    assert (code, out) == (0, [f"gradcam_output/still_overlay_{sweep}.gif"])
    assert err.count("%") >= 5
    with Image.open(out[0]) as gif:
        assert gif.size == (90, 76)
        assert gif.n_frames == frames


def test_channels_begin_with_all_of_them_and_those_left_out_are_told(gradcam, photo, monkeypatch):
    texts, drawn = [], []
    captioned = Overlay.captioned

    def kept(self, pixels, grayscale, text):
        texts.append(text)
        drawn.append(grayscale)
        return captioned(self, pixels, grayscale, text)

    monkeypatch.setattr(Overlay, "captioned", kept)
    Image.fromarray(photo).save("still.png")
    code, out, err = gradcam("gif", "still.png", "--sweep", "channels", "--count", "3", "--json")
    assert code == 0
    gradcam("image", "still.png", "--save", "grayscale")
    with Image.open("gradcam_output/still_grayscale.png") as whole:
        assert (drawn[0] == np.asarray(whole)).all()
    assert texts[0] == "all 144 channels of stage3.1 · Grad-CAM"
    assert all(re.fullmatch(r"channel \d+ · weight [+-][\d.e-]+ · share [\d.]+%", text) for text in texts[1:])
    assert len(texts) == 4
    found = re.search(r"3 of 144 channels, with \d+% of the evidence for the class; left out: (.*)", err)
    assert found, err
    assert sum(map(int, re.findall(r"\d+", found[1]))) == 141
    assert any("3 of 144 channels" in note for note in json.loads(out[0])["notes"])


def test_a_sweep_of_the_usual_width_stays_below_ten_megabytes(gradcam):
    """Noise is the worst for a GIF, and so are colours that change everywhere."""
    noise = np.random.default_rng(0).integers(0, 256, (500, 500, 3), dtype=np.uint8)
    Image.fromarray(noise).save("noise.png")
    look = ("--look", "classic")
    code, out, err = gradcam("gif", "noise.png", "--sweep", "channels", *look)
    assert code == 0
    assert "the GIF is made smaller: " in err
    assert 1_000_000 < Path(out[0]).stat().st_size < 10_000_000
    with Image.open(out[0]) as gif:
        assert 300 < gif.width < 480
    gradcam("gif", "noise.png", "--sweep", "channels", *look, "--count", "2", "--gif-width", "480")
    with Image.open(out[0]) as gif:
        assert gif.width == 480


@pytest.mark.parametrize(
    ("options", "reason"),
    [
        (("channels", "--method", "smoothgrad"), "the method smoothgrad uses no layer"),
        (("channels", "--layer", "stage1", "--layer", "stage2"), "is made of one layer and one class and one method"),
        (("channels", "--layer", "stage1", "--layer", "stage2", "--fuse", "mean"), "is made of one layer"),
        (("methods", "--method", "eigencam"), "needs two"),
        (
            ("methods", "--method", "eigencam", "--method", "gradcam", "-t", "top:2"),
            "is made of one layer and one class",
        ),
    ],
)
def test_what_a_sweep_cannot_show(gradcam, options, reason):
    code, out, err = gradcam("gif", "still.png", "--sweep", *options)
    assert (code, out) == (2, [])
    assert reason in err


def test_layers_are_not_swept_by_a_method_that_looks_at_none(gradcam):
    code, out, err = gradcam("gif", "still.png", "--sweep", "layers", "--method", "smoothgrad")
    assert (code, out) == (2, [])
    assert "the method smoothgrad uses no layer" in err


def test_thinned_gifs_last_as_long(gradcam, clip):
    gradcam("video", str(clip), "--gif", "--gif-fps", "5", "--save", "overlay")
    with av.open("gradcam_output/clip_overlay.gif") as container:
        assert len(list(container.decode(video=0))) <= 6
    with Image.open("gradcam_output/clip_overlay.gif") as gif:
        total = 0
        for k in range(gif.n_frames):
            gif.seek(k)
            total += gif.info["duration"]
    assert total == pytest.approx(960, abs=10)


def test_a_clip_for_one_class_against_another(gradcam, clip):
    code, out, _ = gradcam("video", str(clip), "-t", "ship vs cat", "--save", "overlay", "--json")
    assert code == 0
    assert json.loads(out[0])["target"]["label"] == "ship vs cat"


@pytest.mark.parametrize(
    "options", [("--fuse", "mean"), ("--start", "2", "--end", "1"), ("--fps", "0"), ("--fps", "x")]
)
def test_usage_errors(gradcam, clip, options):
    code, out, err = gradcam("video", str(clip), *options)
    assert (code, out) == (2, [])
    assert err.count("error: ") == 1


@pytest.mark.slow
def test_no_frame_of_a_short_clip_is_asked_about_twice(gradcam, clip, animation, monkeypatch):
    explained = []
    explain_batch = Session.explain_batch
    monkeypatch.setattr(
        Session,
        "explain_batch",
        lambda self, pictures, targets: explained.append(len(pictures)) or explain_batch(self, pictures, targets),
    )
    for command, path, bytes_ahead, expected in (
        ("video", clip, video_read.AHEAD_BYTES, 12),
        ("video", clip, 0, 12 + 12),  # it is decoded once more, and might be otherwise
        ("gif", animation, 0, 5),
    ):
        monkeypatch.setattr(video_read, "AHEAD_BYTES", bytes_ahead)
        explained.clear()
        assert gradcam(command, str(path), "--target", "cat", "-o", f"{path.suffix[1:]}{bytes_ahead}")[0] == 0
        assert sum(explained) == expected
    held, apart = (frames_of(f"mp4{most}/clip_overlay.mp4") for most in (256 << 20, 0))
    assert held[0] == apart[0]
    assert all((one == other).all() for one, other in zip(held[1], apart[1], strict=True))


def test_bad_inputs_cost_themselves(gradcam, clip):
    Path("bad.mp4").write_bytes(b"no video")
    Path("cut.mp4").write_bytes(clip.read_bytes()[:700])
    code, out, err = gradcam("video", "bad.mp4", str(clip), "cut.mp4", "--save", "overlay")
    assert code == 3
    assert out == ["gradcam_output/clip_overlay.mp4"]
    assert err.count("error: ") == 2
    assert [path.name for path in Path("gradcam_output").iterdir() if path.name != ".gradcam"] == ["clip_overlay.mp4"]


@pytest.mark.slow
@pytest.mark.parametrize("keep", [False, True])
def test_interrupted(clip, photo, tmp_path, keep):
    """Ctrl-C: nothing half-written; with --keep-partial a playable file of what was done."""
    long = tmp_path / "long.mp4"
    pixels = np.ascontiguousarray(np.kron(photo, np.ones((6, 6, 1), np.uint8)))
    with VideoWriter(long, (360, 540), tick=Fraction(1, 25), rate=Fraction(25)) as writer:
        for k in range(300):
            writer.write_rgb(np.roll(pixels, k, axis=1), Fraction(k, 25), Fraction(1, 25))
    process = subprocess.Popen(
        [sys.executable, "-m", "gradcam_cli", "video", "-m", "tiny", str(long), *(["--keep-partial"] if keep else [])],
        stderr=subprocess.PIPE, stdout=subprocess.PIPE, cwd=tmp_path, env=dict(os.environ),
        preexec_fn=heed_interrupts,
    )  # fmt: skip
    out = tmp_path / "gradcam_output"
    try:
        while not (out.is_dir() and len(list(out.glob(".*overlay*"))) == 1):
            assert process.poll() is None
        while sum(path.stat().st_size for path in out.glob(".*overlay*")) < 20_000:
            assert process.poll() is None
        process.send_signal(signal.SIGINT)
        _, err = process.communicate(timeout=60)
    finally:
        process.kill()
    assert process.returncode == 130
    assert b"stopped after" in err
    assert b"interrupted" in err
    assert not list(out.glob(".*.part"))
    written = sorted(path.name for path in out.iterdir() if path.name != ".gradcam")
    if keep:
        assert "long_overlay.partial.mp4" in written
        assert not [name for name in written if ".partial." not in name], "--skip-existing would take it for finished"
        times, _ = frames_of(out / "long_overlay.partial.mp4")
        assert 0 < len(times) < 300
    else:
        assert written == []


@pytest.mark.slow
def test_several_methods_and_classes_have_results_each(gradcam, clip, animation):
    code, out, _ = gradcam(
        "video", str(clip), "--gif", "--save", "overlay", "--method", "gradcam", "--method", "layercam", "-t", "top:2"
    )
    parts = [f"{target}_{method}" for target in ("top1", "top2") for method in ("gradcam", "layercam")]
    expected = {f"gradcam_output/clip_overlay_{part}.{suffix}" for part in parts for suffix in ("mp4", "gif")}
    assert (code, set(out)) == (0, expected)
    assert len({Path(path).read_bytes() for path in out}) == len(out)
    code, out, _ = gradcam("gif", str(animation), "--layer", "all", "--fuse", "mean", "--save", "heatmap", "--json")
    record = json.loads(out[0])
    assert (code, list(record["files"])) == (0, ["heatmap"])
    assert record["layer"].startswith("stem.0+")
    code, out, err = gradcam("gif", "cat.png", "--sweep", "layers", "-t", "top:2")
    assert (code, out) == (2, [])
    assert "a sweep of layers is made of one class and one method" in err
