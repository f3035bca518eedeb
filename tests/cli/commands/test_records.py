"""What an output directory knows of its results, as a user meets it: resuming, replacing, listing, checking."""

from __future__ import annotations

import base64
import csv
import hashlib
import io
import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import av
import numpy as np
import pytest
from PIL import Image

from gradcam_cli import explain
from gradcam_cli.cli.main import run
from tests.conftest import SAMPLES

OUT = Path("gradcam_output")


@pytest.fixture(autouse=True)
def _elsewhere(tmp_path, monkeypatch, photo):
    """Every test works in a directory of its own that holds two pictures."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("TORCH_HOME", str(tmp_path / "torch"))
    for position, name in enumerate(("a.png", "b.png")):
        Image.fromarray(np.roll(photo, 7 * position, axis=1)).save(name)


@pytest.fixture
def gradcam(capfd):
    def call(*arguments):
        commands = ("image", "video", "gif", "compare")
        code = run(
            [*map(str, arguments), *(["-m", "tiny"] if arguments[0] in commands and "-m" not in arguments else [])]
        )
        captured = capfd.readouterr()
        assert "Traceback" not in captured.err
        return code, captured.out.splitlines(), captured.err

    return call


def lines(out=OUT):
    return [
        json.loads(each)
        for path in sorted((out / ".gradcam").glob("*.jsonl"))
        for each in path.read_text().splitlines()
    ]


def image(gradcam, *arguments):
    return gradcam("image", "a.png", "--save", "overlay", *arguments)


# ---- what is recorded


def test_a_line_has_all_that_the_json_has_and_more(gradcam):
    _, out, _ = gradcam("image", "a.png", "b.png", "--json")
    for printed, kept in zip(map(json.loads, out), lines(), strict=True):
        assert kept["input"] == f"../{printed['input']}"
        assert {key: kept[key] for key in printed if key not in ("input", "files")} == {
            key: value for key, value in printed.items() if key not in ("input", "files")
        }
        assert (kept["schema"], kept["complete"], kept["cell"]) == (1, True, 0)
        assert kept["input_size"] == os.stat(printed["input"]).st_size
        assert kept["settings"] == {"model": "tiny"}
        for key, path in printed["files"].items():
            found = kept["files"][key]
            assert Path(path) == OUT / found["path"]
            assert found["size"] == os.stat(path).st_size
            assert found["changed"] == os.stat(path).st_mtime_ns
            done = subprocess.run(["sha256sum", path], capture_output=True, text=True, check=True)
            assert done.stdout.split()[0] == found["sha256"]


def test_the_map_at_the_layers_size_is_kept(gradcam):
    layers = ("stage3", "stage1")
    gradcam("image", "a.png", *(each for layer in layers for each in ("--layer", layer)))
    for kept, layer in zip(lines(), layers, strict=True):
        values = explain("a.png", model="tiny", layer=layer).class_map.values
        small = kept["map_bytes"]
        assert small["size"] == kept["map"]["size"] == list(values.shape)
        levels = np.frombuffer(base64.b64decode(small["data"]), np.uint8).reshape(small["size"])
        low, high = small["range"]
        assert (levels.min(), levels.max()) == (0, 255)
        assert np.abs(low + levels / 255 * (high - low) - values).max() < 0.501 / 255 * (high - low) + 1e-5


def test_a_map_of_the_pixels_is_kept_smaller(gradcam):
    gradcam("image", "a.png", "--method", "gradient", "--input-size", "128")
    (kept,) = lines()
    assert kept["map"]["size"] == [128, 192]
    assert kept["map_bytes"]["size"] == [43, 64]
    assert len(base64.b64decode(kept["map_bytes"]["data"])) == 43 * 64


def test_every_kind_of_run_leaves_records(gradcam):
    gradcam("video", SAMPLES / "cat.mp4", "--end", "0.2", "--save", "overlay", "--gif", "-o", "v")
    gradcam("gif", SAMPLES / "cat.gif", "--save", "overlay", "--stride", "8", "-o", "g")
    gradcam("gif", "a.png", "--sweep", "classes", "-o", "s")
    gradcam("compare", "a.png", "--method", "gradcam", "--method", "layercam", "-o", "c")
    gradcam("image", "a.png", "--layer", "all", "-o", "l")
    kept = {out: lines(Path(out)) for out in "vgscl"}
    assert [len(kept[out]) for out in "vgsc"] == [1, 1, 1, 2]
    assert len(kept["l"]) == len({each["settings_hash"] for each in kept["l"]}) > 3
    assert list(kept["v"][0]["files"]) == ["overlay", "overlay.gif"]
    assert kept["v"][0]["clip"]["frames"] > 1
    assert kept["v"][0]["map_bytes"] is None
    assert list(kept["s"][0]["files"]) == ["overlay_classes"]
    assert [each["cell"] for each in kept["c"]] == [0, 1]
    assert [each["method"] for each in kept["c"]] == ["gradcam", "layercam"]
    assert kept["c"][0]["files"] == kept["c"][1]["files"]
    for out in kept:
        code, _, err = gradcam("records", out, "--check")
        assert code == 0, err


@pytest.mark.parametrize("kind", ["mkv", "gif"])
def test_a_clip_that_is_cut_off_is_not_complete(gradcam, kind):
    command, name = ("gif", "cut.gif") if kind == "gif" else ("video", "cut.mkv")
    source = SAMPLES / "cat.gif"
    if kind == "mkv":
        source = Path("whole.mkv")
        with av.open(str(SAMPLES / "cat.mp4")) as clip, av.open(str(source), "w") as target:
            stream = target.add_stream_from_template(clip.streams.video[0])
            for packet in clip.demux(video=0):
                if packet.dts is not None:
                    packet.stream = stream
                    target.mux(packet)
    data = source.read_bytes()
    Path(name).write_bytes(data[: len(data) * 6 // 10])
    call = (command, name, "--save", "heatmap", "--stride", "4")
    code, made, err = gradcam(*call)
    assert code == 0
    assert "cut off" in err
    (kept,) = lines()
    assert not kept["complete"]
    assert any("cut off" in note for note in kept["clip"]["notes"])
    assert gradcam(*call, "--skip-existing")[1] == made, "half a clip does not pass for whole"
    Path(name).write_bytes(data)
    assert gradcam(*call, "--skip-existing")[1] == made
    assert gradcam(*call, "--skip-existing")[1] == []
    assert "of inputs that are cut off or damaged" not in gradcam("records", "--check")[2]


def test_nothing_of_this_machine_is_recorded(gradcam, tmp_path, monkeypatch):
    import torch

    from gradcam_cli.models.registry import describe

    monkeypatch.setenv("GRADCAM_COLORMAP", "jet")
    monkeypatch.setenv("SECRET", "value of the environment")
    weights, labels, code = tmp_path / "w.pth", tmp_path / "names.txt", tmp_path / "net.py"
    torch.save(describe("tiny").build(num_classes=10).state_dict(), weights)
    labels.write_text("\n".join(f"name {n}" for n in range(10)))
    code.write_text(
        "from gradcam_cli.models.registry import describe\n"
        "def build(data, seed):\n    return describe('tiny').build(num_classes=10)\n"
    )
    (tmp_path / "w.gradcam.toml").write_text("size = 64\nmean = 0.5\nstd = 0.5")
    picture = tmp_path / "a.png"
    gradcam("image", picture, "-m", f"{code}:build", "-w", weights, "--labels", labels, "-o", tmp_path / "out",
            "--model-arg", f"data={tmp_path}/x", "--model-arg", "seed=3")  # fmt: skip
    (text,) = (path.read_text() for path in (tmp_path / "out" / ".gradcam").iterdir())
    assert str(tmp_path) not in text
    assert "environment" not in text
    kept = json.loads(text)
    assert kept["settings"] == {
        "model": "../net.py:build", "weights": "../w.pth", "labels": "../names.txt", "colormap": "jet",
        "arguments": [["data", "../x"], ["seed", 3]],
    }  # fmt: skip
    assert kept["weights"]["source"] == "../w.pth"


def test_bare_files(gradcam):
    image(gradcam, "--no-records")
    assert [path.name for path in OUT.iterdir()] == ["a_overlay.png"]
    code, _, err = gradcam("records")
    assert code == 2
    assert "there are no records" in err


def test_an_input_that_fails_has_no_record(gradcam):
    Path("bad.png").write_bytes(b"no picture")
    gradcam("image", "bad.png")
    assert not (OUT / ".gradcam").exists()
    gradcam("image", "bad.png", "a.png")
    assert [each["input"] for each in lines()] == ["../a.png"]


# ---- what counts as existing


OTHERS = [
    ("--method", "eigencam"),
    ("-t", "dog"),
    ("--layer", "stage2"),
    ("--fit", "stretch"),
    ("--colormap", "jet"),
    ("--quality", "50"),
    ("--max-size", "50"),
    ("--activation", "sigmoid"),
    ("--no-optimize",),
    ("--labels", "names.txt"),
]


@pytest.mark.parametrize("other", OTHERS, ids=" ".join)
def test_results_of_other_settings_are_never_believed(gradcam, other):
    Path("names.txt").write_text("\n".join(f"name {n}" for n in range(10)))
    image(gradcam)
    assert image(gradcam, "--skip-existing")[:2] == (0, [])
    code, out, err = image(gradcam, *other, "--skip-existing")
    assert (code, out) == (0, [str(OUT / "a_overlay.png")])
    assert "note: replacing 1 result of other settings, or of another input: 'gradcam_output/a_overlay.png'" in err
    assert image(gradcam, *other, "--skip-existing")[:2] == (0, [])
    assert image(gradcam, "--skip-existing")[1] == [str(OUT / "a_overlay.png")]


@pytest.mark.parametrize(
    "same", [("--batch-size", "1"), ("--fail-fast",), ("-q",), ("--json",), ("--max-pixels", "1M")]
)
def test_what_changes_no_result_does_not_matter(gradcam, same):
    image(gradcam)
    assert image(gradcam, *same, "--skip-existing")[:2] == (0, [])


def test_the_content_of_labels_and_weights_counts(gradcam):
    import torch

    from gradcam_cli.models.registry import describe

    torch.manual_seed(1)
    net = describe("tiny").build(num_classes=10)
    torch.save(net.state_dict(), "w.pth")
    Path("names.txt").write_text("\n".join(f"name {n}" for n in range(10)))
    mine = ("-w", "w.pth", "--labels", "names.txt", "-m", "tiny", "--skip-existing")
    wrote = [str(OUT / "a_overlay.png")]
    assert image(gradcam, *mine)[1] == wrote
    assert image(gradcam, *mine)[1] == []
    Path("names.txt").write_text("\n".join(f"class {n}" for n in range(10)))
    assert image(gradcam, *mine)[1] == wrote
    next(net.parameters()).data.mul_(1.5)
    torch.save(net.state_dict(), "w.pth")
    assert image(gradcam, *mine)[1] == wrote
    assert image(gradcam, *mine)[1] == []


def test_a_result_of_part_of_the_settings_counts_alone(gradcam):
    """Of three methods those that were asked for before need not be made again: each has settings of its own."""
    image(gradcam, "--method", "gradcam", "--method", "layercam")
    hashes = {each["method"]: each["settings_hash"] for each in lines()}
    image(gradcam, "--method", "layercam", "-o", "alone")
    assert lines(Path("alone"))[0]["settings_hash"] == hashes["layercam"] != hashes["gradcam"]
    code, out, err = image(gradcam, "--method", "layercam", "--method", "gradcam", "--skip-existing")
    assert (code, out) == (0, [])
    assert "other settings" not in err


def test_another_input_under_the_same_name_is_not_believed(gradcam):
    os.mkdir("sub")
    shutil.copy("b.png", "sub/a.png")
    image(gradcam)
    code, out, err = gradcam("image", "sub/a.png", "--save", "overlay", "--skip-existing")
    assert (code, len(out)) == (0, 1)
    assert "of another input" in err


def test_a_video_and_a_gif_that_write_one_name(gradcam):
    """The README's own order."""
    shutil.copy(SAMPLES / "cat.mp4", "cat.mp4")
    shutil.copy(SAMPLES / "cat.gif", "cat.gif")
    video = ("video", "cat.mp4", "--gif", "--save", "overlay", "--end", "0.2")
    gradcam(*video)
    code, out, err = gradcam("gif", "cat.gif", "--save", "overlay", "--stride", "8", "--skip-existing")
    assert (code, out) == (0, [str(OUT / "cat_overlay.gif")])
    assert "of another input: 'gradcam_output/cat_overlay.gif'" in err
    assert len(gradcam(*video, "--skip-existing")[1]) == 2


def test_an_input_that_has_changed_is_explained_again(gradcam):
    image(gradcam)
    os.utime("a.png")
    assert image(gradcam, "--skip-existing")[1] == []
    with Image.open("a.png") as picture:
        picture.rotate(180).crop((0, 0, 50, 50)).save("a.png")
    _, out, err = image(gradcam, "--skip-existing")
    assert len(out) == 1
    assert "replacing 1 result of other settings, or of another input" in err


@pytest.mark.parametrize("damage", ["cut", "longer", "other content", "a link", "gone"])
def test_a_file_that_is_not_as_recorded_is_made_again(gradcam, damage):
    image(gradcam)
    path = OUT / "a_overlay.png"
    whole = path.read_bytes()
    if damage == "cut":
        path.write_bytes(whole[:100])
    elif damage == "longer":
        path.write_bytes(whole + b"x")
    elif damage == "other content":
        path.write_bytes(whole[:-1] + b"x")
    elif damage == "a link":
        path.rename("elsewhere.png")
        path.symlink_to("../b.png")
    else:
        path.unlink()
    assert image(gradcam, "--skip-existing")[1] == [str(path)]
    assert not path.is_symlink()
    assert path.read_bytes() == whole


def test_a_result_that_was_moved_behind_a_link_is_still_one(gradcam):
    """As stores of large files do."""
    image(gradcam)
    (OUT / "a_overlay.png").rename("elsewhere.png")
    (OUT / "a_overlay.png").symlink_to("../elsewhere.png")
    assert image(gradcam, "--skip-existing")[1] == []
    assert gradcam("records", "--check")[0] == 0


def test_what_is_on_stdin_is_never_taken_for_what_was_there(gradcam, monkeypatch):
    for name in ("a.png", "b.png"):
        monkeypatch.setattr("sys.stdin", type("Stdin", (), {"buffer": io.BytesIO(Path(name).read_bytes())}))
        _, out, _ = gradcam("image", "-", "--save", "original", "--skip-existing")
        assert out == [str(OUT / "stdin_original.png")]
        with Image.open(out[0]) as one, Image.open(name) as other:
            assert np.array_equal(one, other)


def test_an_input_that_changes_while_it_is_explained_is_explained_again(gradcam, monkeypatch):
    """Its size is that of what was read, not of what is there when its results are recorded."""
    from gradcam_cli.pipeline.recording import RunRecords

    add = RunRecords.add

    def add_late(self, outcome):
        Path("a.png").write_bytes(Path("b.png").read_bytes() + b"more")
        add(self, outcome)

    with monkeypatch.context() as patch:
        patch.setattr(RunRecords, "add", add_late)
        image(gradcam)
    assert len(image(gradcam, "--skip-existing")[1]) == 1


def test_weights_that_are_replaced_while_they_are_in_use_are_not_believed(gradcam, monkeypatch):
    """As a training run does; the hash is that of what was loaded."""
    import torch

    from gradcam_cli.models.registry import describe
    from gradcam_cli.pipeline.images.run import ImageRun

    def save(seed):
        torch.manual_seed(seed)
        torch.save(describe("tiny").build(num_classes=10).state_dict(), "w.pth")

    save(1)
    first = hashlib.sha256(Path("w.pth").read_bytes()).hexdigest()
    explain_all = ImageRun.__iter__

    def explain_late(self):
        save(2)
        return explain_all(self)

    with monkeypatch.context() as patch:
        patch.setattr(ImageRun, "__iter__", explain_late)
        image(gradcam, "-m", "tiny", "-w", "w.pth")
    assert lines()[0]["weights"]["sha256"] == first
    assert len(image(gradcam, "-m", "tiny", "-w", "w.pth", "--skip-existing")[1]) == 1


@pytest.mark.parametrize("call", [("compare", "--method", "gradcam"), ("gif", "--sweep", "classes")], ids=" ".join)
def test_another_run_that_writes_the_same_file_meanwhile_is_not_recorded_as_this_one(gradcam, monkeypatch, call):
    """What is recorded is what this run wrote, not what is there afterwards."""
    from gradcam_cli.pipeline.recording import RunRecords

    add = RunRecords.add

    def add_late(self, outcome):
        for path in OUT.glob("a_*"):
            path.write_bytes(b"of another run")
        add(self, outcome)

    command, *options = call
    with monkeypatch.context() as patch:
        patch.setattr(RunRecords, "add", add_late)
        made = gradcam(command, "a.png", *options)[1]
    assert made
    assert gradcam("records", "--check")[0] == 3
    assert gradcam(command, "a.png", *options, "--skip-existing")[1] == made


def test_a_method_of_another_package_counts_by_its_version(gradcam, monkeypatch):
    from dataclasses import replace

    from gradcam_cli.cam.methods.registry import method_named
    from gradcam_cli.plugins import Plugin

    def version(text):
        plugin = Plugin("gradcam.methods", "gradcam", "theirs", text)
        monkeypatch.setattr(
            "gradcam_cli.pipeline.result_settings.method_named", lambda name: replace(method_named(name), plugin=plugin)
        )

    version("1.0")
    image(gradcam)
    assert image(gradcam, "--skip-existing")[1] == []
    version("2.0")
    assert len(image(gradcam, "--skip-existing")[1]) == 1


@pytest.mark.parametrize("what", ["gone", "a directory", "unreadable"])
def test_a_file_of_records_that_cannot_be_read_costs_itself(gradcam, monkeypatch, what):
    image(gradcam)
    other = OUT / ".gradcam" / "20260101T000000.000000000-00000000.jsonl"
    if what == "gone":
        other.symlink_to("nowhere")
    elif what == "a directory":
        other.mkdir()
    else:
        other.touch()
        real = open
        monkeypatch.setattr(
            "builtins.open", lambda path, *given, **named: denied(path, other) or real(path, *given, **named)
        )
    code, out, err = image(gradcam, "--skip-existing")
    assert (code, out) == (0, [])
    assert ("cannot be read" in err) == (what != "gone")
    code, out, err = gradcam("records")
    assert (code, len(out)) == (0, 1)
    assert ("cannot be read" in err) == (what != "gone")


def denied(path, other):
    if path == other:
        raise PermissionError(13, "no", str(path))


def test_a_directory_of_records_that_is_none_is_told_before_a_network_is_loaded(gradcam):
    OUT.mkdir()
    (OUT / ".gradcam").touch()
    code, _, err = image(gradcam)
    assert code == 2
    assert "is no directory, and records are kept there" in err
    assert "model tiny" not in err
    assert image(gradcam, "--no-records")[0] == 0


def test_records_that_vanish_under_a_run_cost_their_input(gradcam, monkeypatch):
    from gradcam_cli.store.writing import Recorder

    add = Recorder.add

    def add_late(self, lines):
        if (OUT / ".gradcam").is_dir():
            shutil.rmtree(OUT / ".gradcam")
            (OUT / ".gradcam").touch()
        add(self, lines)

    with monkeypatch.context() as patch:
        patch.setattr(Recorder, "add", add_late)
        code, out, err = gradcam("image", "a.png", "b.png", "--save", "overlay")
    assert (code, out) == (1, [])
    assert err.count("is no directory, and records are kept there") == 2
    assert "fault of gradcam" not in err


def test_a_copied_directory_is_still_known(gradcam):
    image(gradcam)
    shutil.copytree(OUT, "copy", copy_function=shutil.copyfile)
    os.utime("copy/a_overlay.png", ns=(1, 1))
    assert image(gradcam, "-o", "copy", "--skip-existing")[1] == []
    os.mkdir("moved")
    shutil.move("copy", "moved/copy")
    assert len(image(gradcam, "-o", "moved/copy", "--skip-existing")[1]) == 1, "the way to the input is another"


def test_results_without_records_count_and_are_told(gradcam):
    """Those of version 0.1; also when others have come since."""
    gradcam("image", "a.png", "--save", "overlay", "--no-records")
    os.utime(OUT / "a_overlay.png", ns=(10**18, 10**18))
    code, out, err = gradcam("image", "a.png", "b.png", "--save", "overlay", "--skip-existing")
    assert (code, out) == (0, [str(OUT / "b_overlay.png")])
    assert err.count("1 result without a record taken as existing") == 1
    code, out, err = gradcam("image", "a.png", "b.png", "--save", "overlay", "--skip-existing")
    assert (code, out) == (0, [])
    assert err.count("1 result without a record taken as existing") == 1
    assert len(image(gradcam)[1]) == 1
    assert "without a record" not in image(gradcam, "--skip-existing")[2]


def test_results_without_records_that_are_newer_are_those_of_a_killed_run(gradcam):
    image(gradcam)
    shutil.copy(OUT / "a_overlay.png", OUT / "b_overlay.png")
    code, out, err = gradcam("image", "a.png", "b.png", "--save", "overlay", "--skip-existing")
    assert (code, out) == (0, [str(OUT / "b_overlay.png")])
    assert "other settings" not in err
    assert "without a record" not in err


def test_replacing_is_said_once_and_refused_on_wish(gradcam):
    gradcam("image", "a.png", "b.png")
    code, _, err = gradcam("image", "a.png", "b.png", "-t", "dog")
    assert code == 0
    assert err.count("replacing") == 1
    assert "replacing 6 results of other settings" in err
    assert "replacing" not in gradcam("image", "a.png", "b.png", "-t", "dog")[2]
    code, out, err = gradcam("image", "a.png", "-t", "dog", "--no-overwrite")
    assert (code, out) == (2, [])
    assert "results exist already" in err
    assert "keep them and do the others with --skip-existing" in err
    code, out, err = gradcam("image", "a.png", "-t", "cat", "--no-overwrite")
    assert code == 2
    assert "choose another directory with -o" in err


def test_auto_is_known_by_the_network_that_it_stood_for(gradcam):
    gradcam("image", "a.png", "-m", "auto", "--save", "overlay")
    assert lines()[0]["model"] == "tiny"
    assert gradcam("image", "a.png", "-m", "auto", "--save", "overlay", "--skip-existing")[1] == []
    assert gradcam("image", "a.png", "-m", "tiny", "--save", "overlay", "--skip-existing")[1] == []


def test_a_network_that_turns_out_to_be_another_is_not_mixed_in(gradcam, monkeypatch):
    """Weights that were not there when the run was planned, as those that are downloaded."""
    from gradcam_cli.models.sources import contents

    gradcam("image", "a.png", "-m", "auto", "--save", "overlay")
    real = contents.contents
    answers = [real("tiny", None, None), {"model": "mobilenet_v2"}]
    monkeypatch.setattr(
        "gradcam_cli.pipeline.result_settings.contents",
        lambda *given: answers.pop(0) if len(answers) > 1 else answers[0],
    )
    code, out, err = gradcam("image", "a.png", "b.png", "-m", "auto", "--save", "overlay", "--skip-existing")
    assert (code, out) == (0, [str(OUT / f"{name}_overlay.png") for name in "ab"])
    assert "replacing 1 result" in err


def test_all_layers_are_resumed(gradcam):
    everything = ("image", "a.png", "b.png", "--layer", "all", "--save", "overlay", "--skip-existing")
    made = gradcam(*everything)[1]
    assert len(made) > 10
    next(OUT.glob("b_overlay_*")).unlink()
    again = gradcam(*everything)[1]
    assert set(again) == {path for path in made if "/b_" in path}
    assert gradcam(*everything)[1] == []


def test_a_single_input_that_is_skipped_says_so(gradcam):
    image(gradcam)
    assert "1 skipped" in image(gradcam, "--skip-existing")[2]


def test_standard_input(gradcam, monkeypatch):
    class Stdin:
        buffer = io.BytesIO(Path("a.png").read_bytes())

    monkeypatch.setattr("sys.stdin", Stdin)
    gradcam("image", "-")
    assert (lines()[0]["input"], lines()[0]["input_size"]) == ("-", None)


def test_a_record_that_cannot_be_written_fails_its_input(gradcam, monkeypatch):
    from gradcam_cli.errors import OutputError
    from gradcam_cli.store.writing import Recorder

    def full(self, lines):
        self._used = True
        raise OutputError("the record cannot be written: the disk is full", "free some space")

    with monkeypatch.context() as patch:
        patch.setattr(Recorder, "add", full)
        code, out, err = gradcam("image", "a.png", "b.png")
        assert (code, out) == (1, [])
        assert err.count("the record cannot be written") == 2
        code, out, err = gradcam("image", "a.png", "b.png", "--fail-fast")
        assert (code, out) == (1, [])
        assert err.count("the record cannot be written") == 1
    assert len(gradcam("image", "a.png", "b.png", "--skip-existing")[1]) == 6


# ---- names


def test_names_by_a_template(gradcam):
    code, out, _ = gradcam(
        "image", "a.png", "--save", "overlay", "--name-template", "{stem}_{method}_{target}_{kind}",
        "--method", "gradcam", "--method", "layercam",
    )  # fmt: skip
    assert code == 0
    assert out == [str(OUT / f"a_{method}_top1_overlay.png") for method in ("gradcam", "layercam")]
    _, out, _ = gradcam("image", "a.png", "--save", "overlay,map", "--name-template", "{kind}/{layer}/{stem}")
    assert out == [str(OUT / "overlay/auto/a.png"), str(OUT / "map/auto/a.npy")]
    code, _, err = gradcam("image", "a.png", "--name-template", "{stem}_{name}")
    assert code == 2
    assert "unknown field 'name'" in err
    assert "stem, suffix, kind, part, layer, target, method" in err
    assert gradcam("records", "--check")[0] == 0


def test_inputs_that_differ_in_their_suffix(gradcam):
    with Image.open("a.png") as picture:
        picture.convert("RGB").save("a.jpg")
    code, _, err = gradcam("image", "a.png", "a.jpg")
    assert code == 2
    assert "--name-template '{stem}_{suffix}_{kind}'" in err
    code, out, _ = gradcam("image", "a.png", "a.jpg", "--save", "overlay", "--name-template", "{stem}_{suffix}_{kind}")
    assert out == [str(OUT / f"a_{suffix}_overlay.png") for suffix in ("png", "jpg")]


# ---- the command


def test_records_are_listed(gradcam):
    gradcam("image", "a.png", "b.png", "--save", "overlay")
    gradcam("image", "a.png", "--save", "overlay", "-t", "dog")
    _, out, err = gradcam("records")
    assert err == ""
    rows = [line.split("\t") for line in out]
    assert [row[0] for row in rows] == ["../b.png", "../a.png"]
    assert rows[1][4] == "dog"
    assert rows[1][-1] == "a_overlay.png"
    _, out, _ = gradcam("records", "--json")
    assert [json.loads(line) for line in out] == lines()[1:]
    _, out, _ = gradcam("records", "gradcam_output/", "--csv")
    table = list(csv.DictReader(out))
    assert [row["input"] for row in table] == ["../b.png", "../a.png"]
    assert table[1]["probability"] == repr(lines()[-1]["target"]["probability"])
    assert (table[0]["blank"], table[0]["complete"]) == ("false", "true")


def test_cells_that_a_spreadsheet_takes_for_formulas(gradcam):
    Path("names.txt").write_text("\n".join(f'=1+{n}; "x", y' for n in range(10)))
    os.rename("a.png", "@a.png")
    gradcam("image", "@a.png", "--save", "overlay", "--labels", "names.txt", "-o", ".")
    _, out, _ = gradcam("records", ".", "--csv")
    (row,) = csv.DictReader(out)
    assert row["input"] == "'@a.png"
    assert row["target"].startswith("'=1+")
    assert row["files"] == "'@a_overlay.png"
    assert float(row["score"]) == lines(Path())[0]["target"]["score"]


def test_a_file_that_differs_is_found(gradcam):
    gradcam("image", "a.png", "b.png")
    code, out, err = gradcam("records", "--check")
    assert (code, out) == (0, [])
    assert "results: 2, files as recorded: 6 of 6" in err
    whole = (OUT / "b_overlay.png").read_bytes()
    (OUT / "b_overlay.png").write_bytes(whole[:-1] + b"x")
    (OUT / "a_heatmap.png").write_bytes(whole)
    (OUT / "a_grayscale.png").unlink()
    (OUT / "notes.txt").touch()
    code, out, err = gradcam("records", "--check")
    assert code == 3
    assert out == [
        "a_grayscale.png: is missing",
        "a_heatmap.png: is of another size than it was written with",
        "b_overlay.png: has changed since it was written",
    ]
    assert "files as recorded: 3 of 6, files without a record: 1" in err
    gradcam("image", "a.png", "b.png", "--skip-existing")
    assert gradcam("records", "--check")[0] == 0


def test_unreadable_lines_are_told(gradcam):
    gradcam("image", "a.png")
    (path,) = (OUT / ".gradcam").iterdir()
    path.write_bytes(path.read_bytes() + b'{"schema":1,"settings_ha')
    (OUT / ".gradcam" / "2.jsonl").write_bytes(b'{"schema":99,"x":1}\n')
    code, out, err = gradcam("records")
    assert (code, len(out)) == (0, 1)
    assert "1 unreadable line passed over" in err
    assert "1 line of a newer gradcam passed over" in err
    assert "2 lines of the records passed over" in gradcam("image", "a.png", "--skip-existing")[2]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("nowhere",), "there is no such directory"),
        (("a.png",), "there is no such directory"),
        ((".",), "there are no records"),
        ((".", "--csv", "--json"), "exclude each other"),
    ],
)
def test_what_cannot_be_listed(gradcam, arguments, message):
    code, out, err = gradcam("records", *arguments)
    assert (code, out) == (2, [])
    assert message in err


def test_damage_behind_a_lines_head_costs_the_line(gradcam):
    gradcam("image", "a.png", "b.png")
    (path,) = (OUT / ".gradcam").iterdir()
    first, second = path.read_bytes().splitlines(keepends=True)
    path.write_bytes(first.replace(b'"predictions":[', b'"predictions":') + second.replace(b'"cell":0', b'"cell":9'))
    for listing in ((), ("--csv",)):
        code, out, err = gradcam("records", *listing)
        assert (code, len(out)) == (0, 1 + bool(listing))
        assert "1 unreadable line" in err
    assert gradcam("records", "--check")[0] == 0


def test_names_with_line_breaks_stay_one_row(gradcam):
    os.rename("a.png", "new\nline\r.png")
    gradcam("image", "new\nline\r.png", "--save", "overlay")
    done = subprocess.run([sys.executable, "-m", "gradcam_cli", "records", "--csv"], capture_output=True, check=True)
    (row,) = csv.DictReader(io.StringIO(done.stdout.decode(), newline=""))
    assert row["input"] == "../new\nline\r.png"
    assert len(gradcam("records")[1]) == 1


def test_each_network_of_a_figure_has_its_own_settings(gradcam):
    Path("net.py").write_text(
        "from gradcam_cli.models.registry import describe\n"
        "def f():\n    return describe('tiny').build(num_classes=10)\n"
    )
    gradcam("compare", "a.png", "-m", "tiny", "-m", "net.py:f", "--method", "gradcam", "-o", "deep/out")
    assert [each["settings"]["model"] for each in lines(Path("deep/out"))] == ["tiny", "../../net.py:f"]
    assert [each["model"] for each in lines(Path("deep/out"))] == ["tiny", "../../net.py:f"]


def test_what_exists_is_found_without_torch(gradcam):
    """A run that has nothing to do ends before anything heavy is imported."""
    image(gradcam)
    code = "import sys; from gradcam_cli.cli.main import run; print(run(sys.argv[1:]), 'torch' in sys.modules)"
    call = ["image", "a.png", "--save", "overlay", "-m", "tiny", "--skip-existing"]
    done = subprocess.run([sys.executable, "-c", code, *call], capture_output=True, text=True, check=True)
    assert done.stdout == "0 False\n"
    done = subprocess.run([sys.executable, "-c", code, "records"], capture_output=True, text=True, check=True)
    assert done.stdout.endswith("0 False\n")
