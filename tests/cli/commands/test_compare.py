"""``gradcam compare`` as a user meets it."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from gradcam_cli.cli.commands.compare import USUAL_METHODS
from gradcam_cli.cli.main import run
from gradcam_cli.errors import UsageError
from gradcam_cli.pipeline.images import compare
from gradcam_cli.pipeline.settings import axes_for


@pytest.fixture(autouse=True)
def _elsewhere(tmp_path, monkeypatch, photo):
    monkeypatch.chdir(tmp_path)
    Image.fromarray(np.kron(photo, np.ones((4, 4, 1), np.uint8))).save("a.png")


@pytest.fixture
def figures(monkeypatch):
    """Return the list of what is drawn."""
    drawn = []
    draw = compare.draw
    monkeypatch.setattr(compare, "draw", lambda figure, *args, **kw: drawn.append(figure) or draw(figure, *args, **kw))
    return drawn


@pytest.fixture
def gradcam(capfd):
    def call(*arguments: str):
        code = run(["compare", *([] if "-m" in arguments else ["-m", "tiny"]), *arguments])
        captured = capfd.readouterr()
        assert "Traceback" not in captured.err
        return code, captured.out.splitlines(), captured.err

    return call


def test_six_methods_when_nothing_is_said(gradcam, figures):
    code, out, err = gradcam("a.png")
    assert (code, out) == (0, ["gradcam_output/a_compare.png", "gradcam_output/a_compare.pdf"])
    assert err.count("%") == 5
    (figure,) = figures
    cells = [cell for row in figure.cells for cell in row]
    assert [cell.lines[0] for cell in cells] == list(USUAL_METHODS)
    assert all(cell.lines[1].endswith(("ms", "s")) for cell in cells)
    assert [len(row) for row in figure.cells] == [3, 3]
    assert figure.title.startswith("tiny · stage3.1 · ")
    assert len(figure.source.lines) == 3
    with Image.open(out[0]) as picture:
        assert picture.width <= 2103
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
    assert figure.columns == ("gradcam", "layercam", "eigencam")
    assert [heading.split("  ")[0] for heading in figure.rows] == ["cat", "dog"]
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
    assert figures[-1].columns == ("stage1", "stage2", "stage3")
    code, _, _ = gradcam("a.png", "--layer", "stage2", "--layer", "stage3", "--fuse", "max", "--method", "layercam")
    assert code == 0
    assert "max of 2 layers" in figures[-1].title


def test_networks_have_their_own_predictions_under_each_cell(gradcam, figures, tmp_path, monkeypatch):
    import torch
    import torchvision

    torch.manual_seed(0)
    monkeypatch.setenv("TORCH_HOME", str(tmp_path / "torch"))
    folder = tmp_path / "torch" / "hub" / "checkpoints"
    folder.mkdir(parents=True)
    weights = torchvision.models.SqueezeNet1_1_Weights.IMAGENET1K_V1
    net = torchvision.models.squeezenet1_1()
    torch.save(net.state_dict(), folder / weights.url.rsplit("/", 1)[1])
    code, _, err = gradcam("a.png", "-m", "tiny", "-m", "squeezenet1_1", "--method", "gradcam", "--method", "hirescam")
    if "squeezenet1_1" in err and code:
        pytest.skip("random weights are refused for their hash")
    assert code == 0
    assert figures[-1].source.lines == ()
    assert {figures[-1].rows, figures[-1].columns} == {("tiny", "squeezenet1_1"), ("gradcam", "hirescam")}
    assert all(len(cell.lines) == 2 and "%" in cell.lines[0] for row in figures[-1].cells for cell in row)


def test_what_cannot_be_laid_out_is_said_before_anything_is_loaded(gradcam):
    several = ("-t", "top:2", "--method", "gradcam", "--method", "fem", "--layer", "stage1", "--layer", "stage2")
    for arguments in (several, ("--rows", "layers", "--columns", "layers"), ("-m", "tiny", "-m", "alexnet", "-w", "x")):
        code, out, err = gradcam("a.png", *arguments)
        assert (code, out) == (2, [])
        assert err.count("\n") == 2
    assert not Path("gradcam_output").exists()


def test_a_blank_map_is_told(gradcam, figures, monkeypatch):
    Image.new("RGB", (64, 64), (127, 127, 127)).save("gray.png")
    code, _, err = gradcam("gray.png", "--method", "gradcam", "--method", "random", "-t", "not:cat", "-t", "cat")
    assert code == 0
    blank = [cell for row in figures[-1].cells for cell in row if "nothing to see" in cell.lines[-1]]
    assert len(blank) == err.count("is blank")


def test_the_longer_goes_across():
    counts = {"models": 1, "layers": 3, "targets": 2, "methods": 1}
    assert axes_for(counts, None, None) == ("targets", "layers")
    assert axes_for(counts, "layers", None) == ("layers", "targets")
    assert axes_for(counts, None, "targets") == ("layers", "targets")
    assert axes_for({**counts, "targets": 1}, None, None) == (None, "layers")
    assert axes_for({**counts, "targets": 1}, "layers", None) == ("layers", None)
    with pytest.raises(UsageError, match="targets"):
        axes_for({**counts, "methods": 4}, None, None)
