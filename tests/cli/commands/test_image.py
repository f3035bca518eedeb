"""``gradcam image`` as a user meets it: files, streams, exit codes."""

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

from gradcam_cli.cam.methods.registry import METHODS
from gradcam_cli.cli.main import run
from tests.conftest import commands, heed_interrupts
from tests.media.colour import oracle


@pytest.fixture(autouse=True)
def _elsewhere(tmp_path, monkeypatch, photo):
    """Every test works in a directory of its own that holds three pictures."""
    monkeypatch.chdir(tmp_path)
    for position, name in enumerate(("a.png", "b.png", "c.png")):
        Image.fromarray(np.roll(photo, 7 * position, axis=1)).save(name)


@pytest.fixture
def gradcam(capfd):
    def call(*arguments: str, model: str = "tiny"):
        code = run(["image", *([] if "-m" in arguments else ["-m", model]), *arguments])
        captured = capfd.readouterr()
        assert "Traceback" not in captured.err
        return code, captured.out.splitlines(), captured.err

    return call


def shown(path: str | Path, mode: str | None = None) -> np.ndarray:
    with Image.open(path) as picture:
        return np.asarray(picture.convert(mode) if mode else picture)


def size_and_mode(path: str | Path) -> tuple[tuple[int, int], str]:
    with Image.open(path) as picture:
        picture.load()
        return picture.size, picture.mode


def names(folder: str = "gradcam_output") -> list[str]:
    return sorted(
        str(path.relative_to(folder))
        for path in Path(folder).rglob("*")
        if path.is_file() and path.parent.name != ".gradcam"
    )


def test_the_main_job(gradcam):
    code, out, err = gradcam("a.png")
    assert code == 0
    assert out == [f"gradcam_output/a_{kind}.png" for kind in ("grayscale", "heatmap", "overlay")]
    assert [size_and_mode(path) for path in out] == [((90, 60), mode) for mode in ("L", "P", "RGB")]
    assert "layer stage3.1" in err
    assert err.count("%") == 5


def test_the_three_pictures_agree(gradcam, photo):
    gradcam(
        "a.png",
        "--look",
        "classic",
        "--alpha",
        "0.4",
        "--colormap",
        "viridis",
        "--save",
        "grayscale,heatmap,overlay,map,original",
    )
    gray = shown("gradcam_output/a_grayscale.png")
    hot = shown("gradcam_output/a_heatmap.png", "RGB")
    blend = shown("gradcam_output/a_overlay.png")
    values = np.load("gradcam_output/a_map.npy")
    assert (values.dtype, values.shape) == (np.float32, photo.shape[:2])
    assert (values.min(), values.max()) == (0, pytest.approx(1))
    assert np.abs(gray - values * 255).max() <= 0.51
    assert np.abs(blend - (0.6 * photo + 0.4 * hot)).max() <= 0.51
    np.testing.assert_array_equal(shown("gradcam_output/a_original.png"), photo)


def test_json(gradcam):
    code, out, _ = gradcam("a.png", "b.png", "--json", "-t", "cat")
    assert code == 0
    first, second = map(json.loads, out)
    assert (first["input"], second["input"]) == ("a.png", "b.png")
    assert set(first) == {
        "input", "complete", "model", "weights", "layer", "method", "target", "predictions", "map", "geometry", "files",
        "seconds",
        "versions", "preprocessing", "activation", "notes",
    }  # fmt: skip
    assert first["model"] == "tiny"
    assert first["weights"]["source"] == "bundled"
    assert len(first["weights"]["sha256"]) == 64
    assert first["target"]["label"] == "cat"
    assert len(first["predictions"]) == 5
    assert sum(each["probability"] for each in first["predictions"]) <= 1
    assert first["geometry"]["source"] == [60, 90]
    assert first["map"]["max"] >= first["map"]["min"]
    assert set(first["files"]) == {"grayscale", "heatmap", "overlay"}


def test_max_size(gradcam):
    Image.open("a.png").resize((900, 600)).save("large.jpg")
    kinds = ("grayscale", "heatmap", "overlay", "original", "map", "json")
    code, out, _ = gradcam("large.jpg", "a.png", "--max-size", "75", "--save", ",".join(kinds))
    assert code == 0
    assert len(out) == 12
    for path in out:
        if path.endswith(".png"):
            assert size_and_mode(path)[0] == (75, 50)
        elif path.endswith(".npy"):
            assert np.load(path).shape == (50, 75)
        else:
            assert json.loads(Path(path).read_text())["geometry"]["source"] == [50, 75]
    large, small = (shown(path).astype(int) for path in out if "original" in path)
    assert np.abs(large - small).mean() < 8


def test_the_limit_of_pixels_is_for_the_file_whatever_the_results_size(gradcam):
    code, _, err = gradcam("a.png", "--max-size", "16", "--max-pixels", "5k")
    assert code == 1
    assert "more than 5000 pixels" in err


def test_one_bad_input_costs_one_line_and_exit_code_3(gradcam):
    Path("bad.jpg").write_bytes(b"\xff\xd8 not really")
    code, out, err = gradcam("a.png", "bad.jpg", "missing.png", "b.png")
    assert code == 3
    assert len(out) == 6
    errors = [line for line in err.splitlines() if line.startswith("error: ")]
    assert [line.split()[1].rstrip(":") for line in errors] == ["missing.png", "bad.jpg"]
    assert err.count("hint: ") == 2
    assert "2 done" in err
    assert "2 failed" in err
    assert not [name for name in names() if "bad" in name or name.endswith(".part")]


def test_json_tells_failures_too(gradcam):
    Path("bad.jpg").write_bytes(b"")
    code, out, _ = gradcam("bad.jpg", "a.png", "--json")
    assert code == 3
    bad, good = map(json.loads, out)
    assert bad["input"] == "bad.jpg"
    assert set(bad["error"]) == {"message", "hint"}
    assert "error" not in good


def test_nothing_worked_is_exit_code_1(gradcam):
    Path("bad.jpg").write_bytes(b"")
    code, out, _ = gradcam("bad.jpg")
    assert (code, out) == (1, [])
    assert names() == []


def test_fail_fast(gradcam):
    Path("bad.jpg").write_bytes(b"")
    code, _, _ = gradcam("bad.jpg", "a.png", "b.png", "c.png", "--fail-fast", "--batch-size", "1")
    assert code != 0


def test_results_come_in_the_inputs_order(gradcam, photo):
    """Also when input sizes differ, so that batches are formed out of order."""
    inputs = []
    for position in range(9):
        name = f"p{position}.png"
        height = (60, 120, 40)[position % 3]
        Image.fromarray(photo).resize((90, height)).save(name)
        inputs.append(name)
    code, out, _ = gradcam(*inputs, "--batch-size", "2", "--save", "overlay")
    assert code == 0
    assert out == [f"gradcam_output/p{position}_overlay.png" for position in range(9)]


def test_a_batch_gives_what_one_by_one_gives(gradcam):
    gradcam("a.png", "b.png", "c.png", "-o", "together", "--save", "map")
    for name in "abc":
        gradcam(f"{name}.png", "-o", "alone", "--save", "map")
        together, alone = (np.load(f"{folder}/{name}_map.npy") for folder in ("together", "alone"))
        np.testing.assert_allclose(together, alone, atol=2e-5)


def test_directories_globs_and_lists(gradcam):
    Path("in/deep").mkdir(parents=True)
    os.rename("a.png", "in/a.png")
    os.rename("b.png", "in/deep/b.png")
    assert gradcam("in", "-r", "-o", "out", "--save", "overlay")[0] == 0
    assert names("out") == ["a_overlay.png", "deep/b_overlay.png"]
    Path("list.txt").write_text("in/a.png\n\nc.png\n")
    code, out, _ = gradcam("--from-file", "list.txt", "--save", "overlay")
    assert (code, len(out)) == (0, 2)
    code, out, _ = gradcam("in/**/*.png", "--save", "overlay", "-o", "globbed")
    assert (code, len(out)) == (0, 2)


def test_standard_input(gradcam, monkeypatch):
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(Path("a.png").read_bytes())))
    code, out, _ = gradcam("-", "--json")
    assert code == 0
    record = json.loads(out[0])
    assert record["input"] == "-"
    assert record["files"]["overlay"] == "gradcam_output/stdin_overlay.png"


def test_failures_are_called_as_successes_are(gradcam, monkeypatch):
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(b"no picture")))
    Path("new\nline.png").write_bytes(b"no picture")
    code, out, _ = gradcam("-", "new\nline.png", "miss\ting.png", "a.png", "--json")
    assert code == 3
    assert {json.loads(line)["input"] for line in out} == {"-", "new\nline.png", "miss\ting.png", "a.png"}


def test_endless_standard_input_is_refused(gradcam, monkeypatch):
    monkeypatch.setattr("gradcam_cli.pipeline.images.run.MAX_STDIN_BYTES", 1000)
    monkeypatch.setattr("gradcam_cli.plan.input_list.MAX_BYTES", 1000)
    with open("/dev/zero") as endless:
        monkeypatch.setattr(sys, "stdin", endless)
        for arguments, expected in (["-"], 1), (["--from-file", "-"], 2), (["--from-file", "/dev/zero"], 2):
            code, out, err = gradcam(*arguments)
            assert (code, out) == (expected, [])
            assert "is larger than 0 MiB" in err


def test_alpha_is_a_number(gradcam):
    code, out, err = gradcam("a.png", "--alpha", "nan")
    assert (code, out) == (2, [])
    assert "alpha" in err
    err = gradcam("a.png", "--alpha", "half")[2]
    assert err.splitlines() == [
        "error: invalid value for '--alpha': 'half' is not a valid float range", "  hint: see gradcam image --help"
    ]  # fmt: skip


def test_all_layers_have_results_each_or_one(gradcam):
    code, out, err = gradcam("a.png", "b.png", "--layer", "all", "--save", "overlay,map")
    layers = [name.removeprefix("a_overlay_").removesuffix(".png") for name in names() if name.startswith("a_overlay")]
    assert code == 0
    assert {"stem.0", "stage1.0", "stage3.1"} <= set(layers)
    assert len(out) == 4 * len(layers) == len(names())
    assert f"stem.0 to stage3.1 ({len(layers)})" in err
    assert gradcam("a.png", "b.png", "--layer", "all", "--save", "overlay,map", "--skip-existing")[:2] == (0, [])
    code, out, err = gradcam("a.png", "--layer", "all", "--no-overwrite", "--save", "overlay")
    assert (code, out) == (2, [])
    assert "exist already" in err
    code, out, _ = gradcam("a.png", "--layer", "stem", "--layer", "auto", "--fuse", "product", "--save", "json")
    assert (code, out) == (0, ["gradcam_output/a_json.json"])
    assert json.loads(Path(out[0]).read_text())["layer"] == "stem+stage3.1"
    code, _, err = gradcam("a.png", "--fuse", "mean")
    assert code == 2
    assert "--layer all" in err


def test_several_targets_and_layers(gradcam):
    code, out, _ = gradcam("a.png", "-t", "cat", "-t", "top:2", "-l", "stage1", "-l", "auto", "--save", "overlay,map")
    assert code == 0
    assert len(out) == len(set(out)) == 2 * 3 * 2
    assert "gradcam_output/a_overlay_stage1_cat.png" in out
    assert "gradcam_output/a_map_auto_top2.npy" in out
    assert sorted(Path(path).name for path in out) == names()
    assert not np.array_equal(
        np.load("gradcam_output/a_map_stage1_cat.npy"), np.load("gradcam_output/a_map_auto_cat.npy")
    )


def test_every_file_holds_what_its_name_says(gradcam):
    layers, targets, methods = ("stage1", "auto"), ("cat", "ship"), ("layercam", "gradcam", "fem")
    chosen = [
        *(word for layer in layers for word in ("-l", layer)), *(word for target in targets for word in ("-t", target)),
        *(word for method in methods for word in ("--method", method)),
    ]  # fmt: skip
    code, out, _ = gradcam("a.png", *chosen, "--save", "json")
    assert code == 0
    assert len(out) == 12
    for path in out:
        layer, target, method = Path(path).stem.removeprefix("a_json_").split("_")
        record = json.loads(Path(path).read_text())
        assert (record["target"]["label"], record["method"]) == (target, method)
        assert (record["layer"] == "stage1") == (layer == "stage1")


@pytest.mark.slow
def test_all_methods(gradcam):
    code, out, _ = gradcam("a.png", "--method", "all", "--save", "overlay")
    assert code == 0
    assert len(out) == sum(not entry.needs for entry in METHODS.values()), "all but those that not every network suits"
    code, out, _ = gradcam("a.png", "--method", "cam", "--method", "gradcam", "--save", "map")
    assert code == 0
    cam, same = (np.load(path) for path in out)
    np.testing.assert_allclose(cam, same, atol=1e-3)


def test_a_method_that_there_is_not(gradcam):
    code, out, err = gradcam("a.png", "--method", "gradcm")
    assert (code, out) == (2, [])
    assert "no method 'gradcm'" in err
    assert "gradcam" in err.splitlines()[1]


def test_methods_are_listed(capfd):
    assert run(["methods"]) == 0
    rows = [line.split("\t") for line in capfd.readouterr().out.splitlines()]
    assert [row[0] for row in rows] == list(METHODS)
    assert rows[0][2] == "https://arxiv.org/abs/1610.02391"
    assert run(["methods", "--json"]) == 0
    records = [json.loads(line) for line in capfd.readouterr().out.splitlines()]
    assert [record["name"] for record in records] == list(METHODS)


def test_one_class_against_another(gradcam):
    code, out, _ = gradcam(
        "a.png", "-t", "cat vs dog", "-t", "not:cat", "-t", "dog vs 3", "--save", "map,json", "--json"
    )
    assert code == 0
    records = [json.loads(line) for line in out]
    assert [record["target"]["label"] for record in records] == ["cat vs dog", "not cat", "dog vs cat"]
    assert [record["target"]["index"] for record in records] == [3, 3, 5]
    assert records[0]["files"]["map"] == "gradcam_output/a_map_cat-vs-dog.npy"
    assert records[1]["files"]["map"] == "gradcam_output/a_map_not-cat.npy"
    assert records[0]["map"]["min"] == pytest.approx(-records[2]["map"]["max"], rel=1e-4)


@pytest.mark.parametrize(
    ("target", "code"), [("cat vs cat", 1), ("cat vs nothing", 1), ("top:2 vs cat", 2), ("not:", 2), ("not:top:3", 2)]
)
def test_comparisons_that_make_no_sense(gradcam, target, code):
    found, out, err = gradcam("a.png", "-t", target)
    assert (found, out) == (code, [])
    assert err.count("error: ") == 1


def test_formats(gradcam):
    for suffix in ("jpg", "webp"):
        code, out, _ = gradcam("a.png", "--format", suffix)
        assert code == 0
        for path in out:
            assert size_and_mode(path)[0] == (90, 60)


def test_crop_marks_what_was_not_seen(gradcam):
    _, out, _ = gradcam("a.png", "--fit", "crop", "--json", "--save", "overlay,map,grayscale,heatmap")
    left, top, right, bottom = json.loads(out[0])["geometry"]["seen"]
    assert (top, bottom) == (0, 60)
    assert 0 < left < right < 90
    values = np.load("gradcam_output/a_map.npy")
    assert not values[:, : int(left) - 1].any()
    edge = shown("gradcam_output/a_overlay.png")[:, : int(left) - 1]
    assert (edge[..., 0] == edge[..., 1]).all(), "unseen pixels keep no colour"


def test_skip_existing_and_no_overwrite(gradcam):
    gradcam("a.png")
    before = Path("gradcam_output/a_overlay.png").stat().st_mtime_ns
    code, out, err = gradcam("a.png", "b.png", "--skip-existing")
    assert (code, len(out)) == (0, 3)
    assert "1 skipped" in err
    assert Path("gradcam_output/a_overlay.png").stat().st_mtime_ns == before
    code, out, err = gradcam("a.png", "c.png", "--no-overwrite")
    assert (code, out) == (2, [])
    assert not Path("gradcam_output/c_overlay.png").exists()
    assert gradcam("a.png", "--no-overwrite", "--skip-existing")[0] == 2


def test_quiet_and_verbose(gradcam):
    assert gradcam("a.png", "-q")[2] == ""
    assert "the last layer with a grid" in gradcam("a.png", "-v")[2]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("-t", "dgo"), "no class is called 'dgo'"),
        (("-t", "10"), "there is no class '10'"),
        (("-l", "stage4"), "no layer 'stage4'"),
        (("-l", "classifier"), "no grid"),
        (("-w", "none.pth"), "none.pth"),
        (("-m", "auto", "-w", "a.png"), "not a PyTorch or safetensors checkpoint"),
        (("--device", "warp"), "warp"),
        (("--labels", "a.png"), "a.png"),
    ],
)
def test_what_the_network_cannot_do(gradcam, arguments, message):
    code, out, err = gradcam("a.png", "b.png", *arguments)
    assert code in (1, 2)
    assert out == []
    assert message in err
    assert err.count("error: ") == 1
    assert err.count("hint: ") == 1
    assert names() == []


def test_blank_maps_are_told_and_not_painted(gradcam, tmp_path):
    """A network whose weights speak against every class: its overlay is the picture, and JSON says so."""
    import torch
    from safetensors.torch import save_file

    from gradcam_cli.models.sources.tiny.network import TinyNet

    torch.manual_seed(0)
    net = TinyNet()
    with torch.no_grad():
        net.classifier.weight.fill_(-1.0)
    save_file(net.state_dict(), "against.safetensors")
    code, out, err = gradcam("a.png", "-w", "against.safetensors", "--json")
    record = json.loads(out[0])
    assert code == 0
    assert record["map"]["blank"] is True
    assert "no positive evidence for this class" in record["map"]["reason"]
    assert "warning: " in err
    assert not shown(record["files"]["grayscale"]).any()
    np.testing.assert_array_equal(shown(record["files"]["overlay"]), shown("a.png"))


def test_non_finite_scores_are_an_error(gradcam):
    import torch
    from safetensors.torch import save_file

    from gradcam_cli.models.sources.tiny.network import TinyNet

    net = TinyNet()
    with torch.no_grad():
        net.classifier.bias.fill_(float("nan"))
    save_file(net.state_dict(), "nan.safetensors")
    code, out, err = gradcam("a.png", "-w", "nan.safetensors")
    assert (code, out) == (1, [])
    assert "non-finite scores" in err
    assert names() == []


def test_an_input_is_never_overwritten(gradcam):
    Path("x_overlay.png").write_bytes(Path("a.png").read_bytes())
    Path("x.png").write_bytes(Path("a.png").read_bytes())
    code, out, err = gradcam("x.png", "x_overlay.png", "-o", ".")
    assert (code, out) == (2, [])
    assert "overwrite" in err


def test_environment_gives_defaults(gradcam, monkeypatch):
    monkeypatch.setenv("GRADCAM_OUTPUT_DIR", "elsewhere")
    monkeypatch.setenv("GRADCAM_SAVE", "overlay")
    assert gradcam("a.png")[1] == ["elsewhere/a_overlay.png"]


@pytest.mark.parametrize(("value", "chosen"), [("1", True), ("0", False)])
def test_flags_in_the_environment_mean_what_they_are_called(monkeypatch, value, chosen):
    image = commands()["image"]
    flags = [each for each in image.params if getattr(each, "is_flag", False) and each.envvar]
    assert len(flags) > 8
    for flag in flags:
        monkeypatch.setenv(flag.envvar, value)
    given = image.make_context("image", ["x.png"]).params
    assert {flag.name: given[flag.name] for flag in flags} == {flag.name: chosen for flag in flags}


@pytest.mark.slow
def test_odd_names_in_a_shell_loop(tmp_path):
    """``for f in *; do gradcam image -- "$f"; done`` with names that break careless tools."""
    pictures = tmp_path / "loop"
    pictures.mkdir()
    data = (tmp_path / "a.png").read_bytes()
    for name in (b"-rf.png", b"two words.png", b"caf\xe9.png"):
        (pictures / os.fsdecode(name)).write_bytes(data)
    script = f'for f in *; do "{sys.executable}" -m gradcam_cli image -q -m tiny --save overlay -- "$f" || exit; done'
    done = subprocess.run(
        ["bash", "-c", script],
        cwd=pictures,
        capture_output=True,
        check=False,
        env=dict(os.environ),
    )
    assert (done.returncode, done.stderr) == (0, b"")
    assert sorted(done.stdout.split(b"\n")[:-1]) == [
        b"gradcam_output/-rf_overlay.png", b"gradcam_output/caf\xe9_overlay.png",
        b"gradcam_output/two words_overlay.png",
    ]  # fmt: skip


@pytest.mark.slow
def test_interrupt_is_130_and_leaves_no_parts(tmp_path, photo):
    """Ctrl-C in the middle of a long run: what is finished stays whole, nothing half-written is left."""
    import signal

    folder = tmp_path / "many"
    folder.mkdir()
    for position in range(400):
        os.link(tmp_path / "a.png", folder / f"{position}.png")
    process = subprocess.Popen(
        [sys.executable, "-m", "gradcam_cli", "image", "-m", "tiny", str(folder), "--batch-size", "1"],
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, cwd=tmp_path, env=dict(os.environ),
        preexec_fn=heed_interrupts,
    )  # fmt: skip
    assert process.stdout is not None
    process.stdout.readline()
    process.send_signal(signal.SIGINT)
    _, err = process.communicate(timeout=60)
    assert process.returncode == 130
    assert b"Traceback" not in err
    assert b"interrupted" in err
    written = names(str(tmp_path / "gradcam_output"))
    assert 0 < len(written) < 1200
    assert not [name for name in written if name.endswith(".part")]
    for name in written:
        size_and_mode(tmp_path / "gradcam_output" / name)


@pytest.mark.slow
def test_broken_pipe_is_silent(tmp_path):
    script = f'"{sys.executable}" -m gradcam_cli image -q -m tiny a.png b.png c.png | head -n 1'
    done = subprocess.run(
        ["bash", "-c", script],
        cwd=tmp_path,
        capture_output=True,
        check=False,
        env=dict(os.environ),
    )
    assert done.stderr == b""
    assert done.stdout.count(b"\n") == 1


def test_the_first_thing_that_one_types(gradcam):
    """A directory with a picture and an animation of one name, as the bundled samples are."""
    frames = [Image.open(name) for name in ("a.png", "b.png")]
    frames[0].save("a.gif", save_all=True, append_images=frames[1:])
    code, out, err = gradcam(".", "--save", "overlay")
    assert (code, sorted(out)) == (0, [f"gradcam_output/{name}_overlay.png" for name in "abc"])
    assert "note: ./a.gif, an animation, is passed over: 'gradcam gif'" in err


def test_other_files_of_a_directory_are_told_in_one_line(gradcam):
    Path("in").mkdir()
    shutil.copy("a.png", "in")
    for name in ("b.JXL", "c.jxl", "d.dng", *(f"e.s{k}" for k in range(9))):
        Path("in", name).touch()
    code, _, err = gradcam("in", "--save", "overlay")
    assert code == 0
    (note,) = [line for line in err.splitlines() if "passed over" in line]
    assert note == "note: 12 other files passed over: .jxl 2, .dng 1, .s0 1, .s1 1, .s2 1, .s3 1, .s4 1, .s5 1, …"
    assert "passed over" not in gradcam("in", "--save", "overlay", "-q")[2]


def test_options_expand_a_tilde(gradcam, tmp_path, monkeypatch):
    """As shells do not behind an equals sign."""
    home = tmp_path / "home"
    home.mkdir()
    monkeypatch.setenv("HOME", str(home))
    monkeypatch.setenv("USERPROFILE", str(home))
    (home / "net.py").write_text(
        "from gradcam_cli.models.registry import describe\n"
        "def build():\n    return describe('tiny').build(num_classes=10)\n"
    )
    (home / "list").write_text("a.png\n")
    (home / "names.txt").write_text("\n".join(f"name {n}" for n in range(10)))
    code, out, err = gradcam("-m", "~/net.py:build", "--from-file=~/list", "--labels=~/names.txt", "--output-dir=~/out")
    assert (code, len(out)) == (0, 3), err
    assert all(path.startswith(str(home / "out")) for path in out)
    assert not Path("~").exists()


def test_what_was_done_with_the_colours_is_said_and_in_the_json(gradcam):
    Image.new("RGB", (64, 48), (200, 90, 60)).save("a.png", icc_profile=oracle.profile("P3"))
    code, out, err = gradcam("a.png", "--json", "--save", "overlay")
    note = "its colours are converted from P3 to sRGB"
    assert code == 0
    assert note in json.loads(out[0])["notes"]
    assert note in err
