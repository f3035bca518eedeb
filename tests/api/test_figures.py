"""``compare`` and figures from Python."""

from __future__ import annotations

import numpy as np
import pytest
from matplotlib.figure import Figure
from PIL import Image

import gradcam_cli
from gradcam_cli.cli.main import run
from gradcam_cli.errors import UsageError
from gradcam_cli.models.registry import describe


@pytest.fixture
def picture(photo):
    return np.kron(photo, np.ones((3, 3, 1), np.uint8))


def test_the_figure_is_the_commands(picture, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    Image.fromarray(picture).save("a.png")
    names = {"gradcam": "Ours"}
    found = gradcam_cli.compare(
        "a.png", model="tiny", method=["gradcam", "layercam"], target="cat", names=names, width=60
    )
    options = "-m tiny --method gradcam --method layercam -t cat --name gradcam=Ours --width 60 --format svg,pdf"
    run(["compare", "a.png", *options.split(" ")])
    for suffix in ("pdf", "svg"):
        assert found.save(f"b.{suffix}").read_bytes() == (tmp_path / f"gradcam_output/a_compare.{suffix}").read_bytes()
    with pytest.raises(UsageError, match="format"):
        found.save("b.gif")
    assert [each.method for each in found.explanations] == ["gradcam", "layercam"]


def test_networks_layers_classes_and_pictures(picture):
    module = describe("tiny").build(num_classes=10)
    found = gradcam_cli.compare(picture, model=["tiny", module], layer=["stage2", "stage3"], width=60)
    assert sorted((each.session.network.name, each.layer) for each in found.explanations) == [
        ("TinyNet", "stage2"), ("TinyNet", "stage3"), ("tiny", "stage2"), ("tiny", "stage3"),
    ]  # fmt: skip
    found = gradcam_cli.compare([picture, picture[:, ::-1].copy()], model="tiny", target=["cat", "dog"], width=60)
    assert [each.target.label for each in found.explanations] == ["cat", "dog"] * 2
    texts = {text.get_text() for text in found.figure().texts}
    assert {"array 1", "array 2", "cat", "dog"} <= texts
    with pytest.raises(UsageError, match="no place"):
        gradcam_cli.compare([picture] * 2, model="tiny", target=["cat", "dog"], method=["gradcam", "fem"])


def test_what_shapes_single_files_is_refused(picture):
    for name in ("size", "caption"):
        with pytest.raises(UsageError, match="means nothing in a figure"):
            gradcam_cli.compare(picture, model="tiny", **{name: 100})


def test_seven_methods_without_a_list(picture):
    found = gradcam_cli.compare(picture, model="tiny")
    assert len({each.method for each in found.explanations}) == 7


def test_figures_show_themselves_in_notebooks(picture):
    found = gradcam_cli.compare(picture, model="tiny", layer=["stage2", "stage3"], width=60)
    assert isinstance(found.figure(), Figure)
    assert found._repr_png_().startswith(b"\x89PNG")
    assert len(repr(found)) < 400
    shown = gradcam_cli.explain(picture, model="tiny").figure()
    assert isinstance(shown, Figure)
    assert len(shown.axes) == 4  # three pictures and the colour bar


def test_a_list_of_pictures_is_the_rows(picture):
    with pytest.raises(UsageError, match="are the rows"):
        gradcam_cli.compare([picture] * 2, model="tiny", method=["gradcam", "fem"], rows="methods")


def test_no_picture_and_no_such_axis(picture):
    for pictures, axes in (([], {}), (picture, {"rows": "foo"}), (picture, {"columns": "foo"})):
        with pytest.raises(UsageError):
            gradcam_cli.compare(pictures, model="tiny", **axes)


def test_all_layers_are_no_single_map(picture):
    with pytest.raises(UsageError, match="several maps"):
        gradcam_cli.explain(picture, model="tiny", layer="all")
