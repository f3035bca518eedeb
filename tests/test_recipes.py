"""The recipes of CONTRIBUTING.md, carried out in a copy of the package and its tests, as they stand there."""

from __future__ import annotations

import ast
import os
import re
import shlex
import shutil
import subprocess
import sys
from pathlib import Path
from textwrap import dedent

import pytest

from tests.conftest import ROOT, SAMPLES

TEXT = (ROOT / ".github" / "CONTRIBUTING.md").read_text(encoding="utf-8")
CREATE = re.compile(r"^\d\. `([\w/.]+)`:\n\n   ```python\n(.*?)\n   ```", re.MULTILINE | re.DOTALL)
INSERT = re.compile(r"^\d\. In `([\w/.]+)`, in `(\w+)`:\n\n   ```python\n(.*?)\n   ```", re.MULTILINE | re.DOTALL)
COMMANDS = re.compile(r"^   ```sh\n(.*?)\n   ```", re.MULTILINE | re.DOTALL)

RECIPES = dict(re.findall(r"^### (.*?)\n(.*?)(?=^### |^## |\Z)", TEXT, re.MULTILINE | re.DOTALL))
MADE = {
    "A method": ["cat_overlay.png"],
    "A model source": ["cat_overlay.png"],
    "A kind of result": ["cat_contour.png", "cat_contour.mp4", "cat_contour.gif"],
    "An input medium": ["noise_overlay.mp4"],
}
"""Some of what each recipe's commands are to write."""

pytestmark = pytest.mark.slow


def insert(path: Path, table: str, lines: str) -> None:
    """Put lines at the end of a tuple or dict that a module assigns to ``table``."""
    source = path.read_text(encoding="utf-8")
    assigned = [
        node.value
        for node in ast.walk(ast.parse(source))
        if isinstance(node, (ast.Assign, ast.AnnAssign)) and node.value is not None
        and any(getattr(each, "id", "") == table for each in getattr(node, "targets", [getattr(node, "target", None)]))
    ]  # fmt: skip
    (value,) = assigned
    rows = source.split("\n")
    rows.insert(value.end_lineno - 1, lines)
    path.write_text("\n".join(rows), encoding="utf-8")


@pytest.fixture
def copy(tmp_path):
    """Copy the package as it is installed, and the checkout's tests, into a folder."""
    import gradcam_cli

    skip = shutil.ignore_patterns("__pycache__")
    shutil.copytree(Path(gradcam_cli.__file__).parent, tmp_path / "gradcam_cli", ignore=skip)
    shutil.copytree(ROOT / "tests", tmp_path / "tests", ignore=skip)
    shutil.copytree(SAMPLES, tmp_path / "sample_images")
    (tmp_path / ".github").mkdir()
    shutil.copy(ROOT / "pyproject.toml", tmp_path)
    shutil.copy(ROOT / "README.md", tmp_path)
    for name in ("cat.jpg", "cat.mp4", "cat.gif"):
        shutil.copy(SAMPLES / name, tmp_path)
    return tmp_path


def run_in(folder: Path, command: list[str] | str) -> str:
    """Run a command with the copy in the place of the package, and return what it prints."""
    path = f"{folder}{os.pathsep}{os.environ['PATH']}"
    environment = {**os.environ, "PYTHONPATH": str(folder), "PATH": path, "GRADCAM_TEST_IN_PLACE": "1"}
    done = subprocess.run(
        command,
        cwd=folder,
        env=environment,
        shell=isinstance(command, str),
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, f"{command}\n{done.stdout}{done.stderr}"
    return done.stdout + done.stderr


def test_every_recipe_is_tried_here():
    assert set(RECIPES) == set(MADE)


@pytest.mark.skipif(os.name != "posix", reason="the recipes' commands are typed into a POSIX shell here")
@pytest.mark.parametrize("name", MADE)
def test_a_recipe(name, copy):
    recipe = RECIPES[name]
    ((created, code),) = CREATE.findall(recipe)
    assert not (copy / created).exists()
    (copy / created).write_text(dedent(re.sub(r"^   ", "", code, flags=re.MULTILINE)) + "\n", encoding="utf-8")
    inserted = INSERT.findall(recipe)
    assert [path for path, *_ in inserted if path.startswith("gradcam_cli")], "one line in a table"
    for path, table, lines in inserted:
        insert(copy / path, table, re.sub(r"^   ", "", lines, flags=re.MULTILINE))
    (copy / "gradcam").write_text(f"#!/bin/sh\nexec '{sys.executable}' -m gradcam_cli \"$@\"\n")
    (copy / "gradcam").chmod(0o755)
    (copy / "python").symlink_to(sys.executable)
    ((commands),) = COMMANDS.findall(recipe)
    *typed, suite = commands.split("\n")
    for command in typed:
        run_in(copy, re.sub(r" {3}", "", command))
    for each in MADE[name]:
        assert (copy / "gradcam_output" / each).stat().st_size > 0, each
    assert suite.strip().startswith("pytest tests/")
    printed = run_in(copy, [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", *shlex.split(suite)[1:]])
    assert re.search(r"\d+ passed", printed)
    run_in(
        copy,
        [
            sys.executable,
            "-m",
            "pytest",
            "-q",
            "-p",
            "no:cacheprovider",
            "tests/test_structure.py",
            "-k",
            "direction or circle or small",
        ],
    )
