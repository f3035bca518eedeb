"""The tutorial notebook runs as it stands, without Jupyter, and shows what its text says."""

from __future__ import annotations

import ast
import json
from importlib.resources import files

import pytest
import torch
from PIL import Image

import gradcam_cli
from tests.conftest import ROOT

BOOK = json.loads(files("gradcam_cli.guide").joinpath("tutorial.ipynb").read_text(encoding="utf-8"))
CELLS = ["".join(cell["source"]) for cell in BOOK["cells"] if cell["cell_type"] == "code"]


def executed(cells: list[str]) -> tuple[dict, list[object]]:
    """Run cells in one namespace, as a notebook does; return it, and what the cells' last lines show."""
    namespace, shown = {"__name__": "__main__"}, []
    for number, text in enumerate(cells, 1):
        tree = ast.parse(text, f"cell {number}")
        last = tree.body.pop() if isinstance(tree.body[-1], ast.Expr) else None
        exec(compile(tree, f"cell {number}", "exec"), namespace)
        if last is not None:
            value = eval(compile(ast.Expression(last.value), f"cell {number}", "eval"), namespace)
            shown += [] if value is None else [value]
    return namespace, shown


def test_the_tutorial_runs(tmp_path, monkeypatch, capfd):
    monkeypatch.chdir(tmp_path)
    threads = torch.get_num_threads()
    namespace, shown = executed(CELLS)
    assert torch.get_num_threads() == threads
    assert namespace["picture"].read_bytes() == (ROOT / "sample_images" / "cat.jpg").read_bytes()
    explanations = [each for each in shown if isinstance(each, gradcam_cli.Explanation)]
    assert len(explanations) == 6
    assert all(each.blank is None and "data:image/jpeg" in each._repr_html_() for each in explanations)
    assert [each.size for each in shown if isinstance(each, Image.Image)] == [(1200, 200)]
    assert (namespace["explanation"].target.label, namespace["of_dog"].target.label) == ("cat", "dog")
    assert namespace["accuracy"] > 0.9
    for name, sign in (("of_disc", 1), ("of_square", -1)):  # the map lies on the side that the text says
        values = namespace[name].map
        assert sign * (values[:, :32].mean() - values[:, 32:].mean()) > 0.02
    assert namespace["right"] >= 11
    written = sorted(path.name for path in (tmp_path / "maps").iterdir())
    assert written[-1] == "cat_overlay_layers.gif"
    assert len(written) == 13
    assert "cat: 77.2%" in capfd.readouterr().out


def test_the_notebook_is_small_and_without_outputs():
    assert (BOOK["nbformat"], BOOK["nbformat_minor"]) == (4, 5)
    for cell in BOOK["cells"]:
        assert set(cell) - {"execution_count", "outputs"} == {"cell_type", "id", "metadata", "source"}
        assert cell.get("outputs", []) == []
        assert cell.get("execution_count") is None
    assert len({cell["id"] for cell in BOOK["cells"]}) == len(BOOK["cells"])
    assert len(json.dumps(BOOK)) < 20_000


@pytest.mark.parametrize("page", ["README.md", "gradcam_cli/guide/python.md"])
def test_the_notebook_is_linked(page):
    assert "tutorial.ipynb)" in (ROOT / page).read_text(encoding="utf-8")
