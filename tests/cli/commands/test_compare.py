"""``gradcam compare`` as a user meets it."""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from gradcam_cli.cli.main import run
from gradcam_cli.errors import UsageError
from gradcam_cli.pipeline.settings import axes_for
from gradcam_cli.render.figure import draw


@pytest.fixture(autouse=True)
def _elsewhere(tmp_path, monkeypatch, photo):
    monkeypatch.chdir(tmp_path)
    Image.fromarray(np.kron(photo, np.ones((4, 4, 1), np.uint8))).save("a.png")


@pytest.fixture
def figures(monkeypatch):
    """Return the list of what is drawn."""
    drawn = []
    page = draw.page
    monkeypatch.setattr(draw, "page", lambda figure, **given: drawn.append(figure) or page(figure, **given))
    return drawn


def headings(figure):
    """Return the headings of a figure's panels."""
    return [panel.heading for row in figure.rows for panel in row]


@pytest.fixture
def gradcam(capfd):
    def call(*arguments: str):
        usual = {"-m": "tiny", "--width": "60", "--format": "png"}  # small figures are drawn sooner
        given = [part for name, value in usual.items() if name not in arguments for part in (name, value)]
        code = run(["compare", *given, *arguments])
        captured = capfd.readouterr()
        assert "Traceback" not in captured.err
        return code, captured.out.splitlines(), captured.err

    return call


def test_seven_methods_when_nothing_is_said(gradcam, figures):
    code, out, err = gradcam("a.png", "--width", "178", "--format", "png,pdf")
    assert (code, out) == (0, ["gradcam_output/a_compare.png", "gradcam_output/a_compare.pdf"])
    assert err.count("%") == 5
    (figure,) = figures
    assert headings(figure) == [
        "Input", "Grad-CAM", "Grad-CAM++", "XGrad-CAM", "HiResCAM", "LayerCAM", "Eigen-CAM", "Ablation-CAM",
    ]  # fmt: skip
    assert [len(row) for row in figure.rows] == [4, 4]  # no place is empty
    assert figure.title.startswith("tiny · stage3.1 · ")
    assert figure.title.endswith("%")
    assert not any(panel.lines for row in figure.rows for panel in row)  # no times, and no class twice
    with Image.open(out[0]) as picture:
        assert picture.width == round(178 / 25.4 * 300)
        assert picture.info["dpi"] == pytest.approx((300, 300), abs=0.1)
    assert Path(out[1]).read_bytes().startswith(b"%PDF")


def test_rows_and_columns_are_what_they_are_called(gradcam, figures):
    """Each cell holds the map of its own method and class, as gradcam image computes it."""
    options = ["-t", "cat", "-t", "dog", "--method", "gradcam", "--method", "layercam", "--method", "eigencam"]
    code, out, _ = gradcam("a.png", *options, "--json", "--format", "png")
    records = [json.loads(line) for line in out]
    assert code == 0
    assert [(each["target"]["label"], each["method"]) for each in records] == [
        (target, method) for target in ("cat", "dog") for method in ("gradcam", "layercam", "eigencam")
    ]
    assert {each["files"]["compare.png"] for each in records} == {"gradcam_output/a_compare.png"}
    (figure,) = figures
    assert headings(figure)[:3] == ["Grad-CAM", "LayerCAM", "Eigen-CAM"]
    assert [heading.split(" · ")[0] for heading in figure.headings] == ["cat", "dog"]
    assert figure.source.heading == "Input"  # above the rows: nothing is empty below it
    swapped = gradcam("a.png", *options, "--json", "--rows", "methods")[1]
    assert [json.loads(line)["method"] for line in swapped[:4]] == ["gradcam", "gradcam", "layercam", "layercam"]
    run(["image", "-m", "tiny", "a.png", *options, "--save", "json"])
    for each in records:
        part = f"{each['target']['label']}_{each['method']}"
        alone = json.loads(Path(f"gradcam_output/a_json_{part}.json").read_text())
        assert each["map"]["max"] == pytest.approx(alone["map"]["max"], rel=1e-4)


def test_layers_and_fused_layers(gradcam, figures):
    code, _, _ = gradcam("a.png", "--layer", "stage1", "--layer", "stage2", "--layer", "stage3", "--columns", "layers")
    assert code == 0
    assert headings(figures[-1]) == ["Input", "stage1", "stage2", "stage3"]
    code, _, _ = gradcam("a.png", "--layer", "stage2", "--layer", "stage3", "--fuse", "max", "--method", "layercam")
    assert code == 0
    assert "max of 2 layers" in figures[-1].title


@pytest.fixture
def checkpoints(tmp_path):
    """Return the files of two other networks, untrained, of ten classes."""
    import torch

    from gradcam_cli.models.registry import describe

    for seed in (0, 1):
        torch.manual_seed(seed)
        torch.save(describe("tiny").build(num_classes=10).state_dict(), tmp_path / f"net{seed}.pth")
    return "net0.pth", "net1.pth"


def test_networks_have_their_own_predictions_under_each_map(gradcam, figures, checkpoints):
    options = ["-m", "tiny", "-m", "tiny", "-w", checkpoints[0], "--method", "gradcam", "--method", "hirescam"]
    code, _, _ = gradcam("a.png", *options)
    assert code == 0
    (figure,) = figures
    assert figure.source.lines == ()
    assert [headings(figure)[:2], list(figure.headings)] == [["Grad-CAM", "HiResCAM"], ["tiny", "tiny · net0.pth"]] or [
        list(figure.headings), headings(figure)[:2]
    ] == [["Grad-CAM", "HiResCAM"], ["tiny", "tiny · net0.pth"]]  # fmt: skip
    assert all(len(panel.lines) == 1 and "%" in panel.lines[0] for row in figure.rows for panel in row)
    assert figure.title == "stage3.1"  # what all share


def test_each_network_has_the_weights_and_the_layer_behind_it(gradcam, figures, checkpoints):
    first, second = checkpoints
    out = gradcam("a.png", "-m", "tiny", "-w", first, "-l", "stage2", "-m", "tiny", "-l", "stage3", "--json")[1]
    assert [json.loads(line)["layer"] for line in out] == ["stage2", "stage3"]
    assert [json.loads(line)["weights"]["source"] for line in out] == ["net0.pth", "bundled"]
    assert figures[-1].title == "Grad-CAM"
    assert headings(figures[-1]) == ["Input", "tiny · net0.pth · stage2", "tiny · stage3"]
    out = gradcam("a.png", "-w", first, "-w", second, "-m", "tiny", "--json")[1]
    assert [json.loads(line)["weights"]["source"] for line in out] == ["net0.pth", "net1.pth"]
    out = gradcam("a.png", "-l", "stage2", "-m", "tiny", "-m", "tiny", "-w", second, "--json")[1]
    assert [json.loads(line)["layer"] for line in out] == ["stage2", "stage2"]
    code, out, err = gradcam("a.png", "-m", "tiny", "-l", "stage2", "-l", "stage3", "-m", "tiny", "-w", first)
    assert (code, out) == (2, [])
    assert "several layers of several networks" in err


def test_layers_of_networks_that_are_called_otherwise(gradcam, figures, tmp_path):
    """A heading names the layers of all networks; where their numbers differ there is no figure."""
    (tmp_path / "net.py").write_text(
        "from torch import nn\n"
        "def small():\n"
        "    return nn.Sequential(nn.Conv2d(3, 4, 3, 2), nn.ReLU(), nn.Conv2d(4, 8, 3, 2), nn.ReLU(),\n"
        "                         nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(8, 10))\n"
        "def large():\n"
        "    return nn.Sequential(nn.Conv2d(3, 3, 3), nn.ReLU(), *small())\n"
    )
    networks = ("-m", "net.py:small", "-m", "net.py:large", "--input-size", "32")
    code, _, err = gradcam("a.png", *networks, "--layer", "0", "--layer", "-4")
    assert code == 0, err
    assert "3 / 5" in (*figures[-1].headings, *headings(figures[-1]))
    code, out, err = gradcam("a.png", *networks, "--layer", "all")
    assert (code, out) == (2, [])
    assert "layers, which leaves no common rows or columns" in err


def test_labels_belong_to_their_network(gradcam, figures, checkpoints):
    Path("other.txt").write_text("\n".join(f"name {n}" for n in range(10)))
    gradcam("a.png", "-m", "tiny", "-w", checkpoints[0], "--labels", "other.txt", "-m", "tiny")
    first, second = (panel.lines[0] for panel in figures[-1].rows[0][1:])
    assert first.startswith("name ")
    assert not second.startswith("name ")


def test_pictures_as_rows(gradcam, figures, photo):
    Image.fromarray(photo).save("b.png")
    Image.fromarray(photo[:, :40]).save("c.jpg")
    options = ["a.png", "b.png", "c.jpg", "--rows", "inputs", "--method", "gradcam", "--method", "layercam"]
    code, out, _ = gradcam(*options, "--json", "--format", "png,svg")
    records = [json.loads(line) for line in out]
    assert code == 0
    assert [record["input"] for record in records] == ["a.png", "a.png", "b.png", "b.png", "c.jpg", "c.jpg"]
    (figure,) = figures
    assert figure.headings == ("a", "b", "c")
    gradcam(*options, "--name", "a=First", "--name", "b.png=Second")
    assert figures.pop().headings == ("First", "Second", "c")
    assert headings(figure)[:3] == ["Input", "Grad-CAM", "LayerCAM"]
    assert [row[0].lines[0] for row in figure.rows] == [
        f"{each['predictions'][0]['label']} · {each['predictions'][0]['probability']:.1%}" for each in records[::2]
    ]
    assert len({row[0].pixels.shape[1] for row in figure.rows}) == 1
    assert len({row[0].pixels.shape[0] for row in figure.rows}) == 2
    assert figure.title == "tiny · stage3.1"  # neither class nor method is all pictures'
    files = sorted(path.name for path in Path("gradcam_output").iterdir() if path.is_file())
    assert files == ["a_compare_inputs.png", "a_compare_inputs.svg"]
    assert gradcam(*options, "--skip-existing")[0] == 2  # another picture may have the same name
    assert run(["records", "gradcam_output", "--check"]) == 0
    code, _, err = gradcam("a.png", "b.png", "no.png", "--rows", "inputs")
    assert (code, "no.png" in err) == (3, True)


@pytest.mark.skipif(sys.platform != "linux", reason="elsewhere, file names are text")
def test_any_file_name_can_be_a_heading(gradcam, figures, photo):
    for name in (b"\xe9\x01 $x_1$.png", "a\u202eb".encode() + b".png"):
        Image.fromarray(photo).save(os.path.join(b".", name))
    code, _, err = gradcam(".", "--rows", "inputs", "--method", "gradcam", "--format", "png,pdf,svg", "-o", "out")
    assert code == 0, err
    assert len(figures[-1].headings) == 3


def test_a_picture_that_cannot_be_read_leaves_no_figure(gradcam):
    Path("bad.png").write_bytes(b"no picture")
    code, out, err = gradcam("a.png", "bad.png", "--rows", "inputs")
    assert (code, out) == (1, [])
    assert "bad.png" in err
    assert not list(Path("gradcam_output").glob("*.*"))


def test_names_and_title(gradcam, figures):
    options = ["--method", "gradcam", "--method", "smoothgrad:n=2", "--target", "cat"]
    code, _, _ = gradcam(
        "a.png", *options, "--name", "gradcam=Grad-CAM (ours)", "--name", "cat=Katze", "--name", "tiny=Our network"
    )
    assert code == 0
    assert headings(figures[-1]) == ["Input", "Grad-CAM (ours)", "SmoothGrad (n=2)"]
    assert figures[-1].title.split(" · ")[0] == "Our network"
    assert figures[-1].title.endswith("Katze")
    gradcam("a.png", *options, "--title", "A title of one's own")
    assert figures[-1].title == "A title of one's own"
    gradcam("a.png", *options, "--title", "")
    assert figures[-1].title == ""
    code, out, err = gradcam("a.png", *options, "--name", "layercam=x")
    assert (code, out) == (2, [])
    assert "'layercam' is nothing that is compared" in err
    assert gradcam("a.png", "--name", "gradcam")[0] == 2


def test_letters_without_a_font_are_told_once(gradcam):
    code, _, err = gradcam("a.png", "--title", "\U0001fae0 猫", "--method", "gradcam", "--format", "png,svg")
    assert code == 0
    assert err.count("no font of this machine has the characters") == 1
    assert "Warning" not in err


def test_classes_of_no_probability_are_not_listed(gradcam, figures, monkeypatch):
    gradcam("a.png", "-t", "cat", "-t", "truck", "--method", "gradcam", "--method", "layercam")
    assert all(float(line.split(" · ")[1].removesuffix("%")) >= 0.5 for line in figures[-1].source.lines)


def test_times_are_written_when_asked_for(gradcam, figures):
    gradcam("a.png", "--method", "gradcam", "--method", "layercam", "--times")
    times = [panel.lines for row in figures[-1].rows for panel in row[1:]]
    assert len(times) == 2
    assert all(line.endswith((" ms", " s")) for (line,) in times)


def test_figures_say_how_they_were_made_without_paths(gradcam, checkpoints, tmp_path):
    options = [str(tmp_path / "a.png"), "-m", "tiny", "-w", str(tmp_path / checkpoints[0]), "--format", "png,pdf,svg"]
    assert gradcam(*options)[0] == 0
    paths = [Path(f"gradcam_output/a_compare.{suffix}") for suffix in ("png", "pdf", "svg")]
    with Image.open(paths[0]) as picture:
        said = json.loads(picture.text["Description"])
    assert said["networks"][0]["network"] == "tiny"
    assert said["networks"][0]["weights"] == "net0.pth"
    assert len(said["networks"][0]["sha256"]) == 64
    assert (said["layers"], said["inputs"]) == (["stage3.1"], ["a.png"])
    assert said["methods"][:2] == ["gradcam", "gradcam++"]
    for path in paths:
        data = path.read_bytes()
        assert said["networks"][0]["sha256"].encode() in data.replace(b"\\\n", b"")
        assert str(tmp_path).encode() not in data
    assert gradcam(*options, "--no-metadata")[0] == 0
    for path in paths:
        assert b"net0" not in path.read_bytes()
        assert b"gradcam" not in path.read_bytes()


def test_what_cannot_be_laid_out_is_said_before_anything_is_loaded(gradcam):
    several = ("-t", "top:2", "--method", "gradcam", "--method", "fem", "--layer", "stage1", "--layer", "stage2")
    for arguments in (several, ("--rows", "layers", "--columns", "layers"), ("--columns", "inputs")):
        code, out, err = gradcam("a.png", *arguments)
        assert (code, out) == (2, [])
        assert err.count("\n") in (2, 3)
    assert not Path("gradcam_output").exists()


def test_a_blank_map_is_told(gradcam, figures, monkeypatch):
    Image.new("RGB", (64, 64), (127, 127, 127)).save("gray.png")
    code, _, err = gradcam("gray.png", "--method", "gradcam", "--method", "random", "-t", "not:cat", "-t", "cat")
    assert code == 0
    blank = [panel for row in figures[-1].rows for panel in row if panel.lines and "nothing" in panel.lines[-1]]
    assert len(blank) == err.count("is blank")


def test_the_longer_goes_across():
    counts = {"inputs": 1, "models": 1, "layers": 3, "targets": 2, "methods": 1}
    assert axes_for(counts, None, None) == ("targets", "layers")
    assert axes_for(counts, "layers", None) == ("layers", "targets")
    assert axes_for(counts, None, "targets") == ("layers", "targets")
    assert axes_for({**counts, "targets": 1}, None, None) == (None, "layers")
    assert axes_for({**counts, "targets": 1}, "layers", None) == ("layers", None)
    with pytest.raises(UsageError, match="targets"):
        axes_for({**counts, "methods": 4}, None, None)
