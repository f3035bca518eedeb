"""What is printed where."""

from __future__ import annotations

import json
import sys

from gradcam_cli.cli.console import Console
from gradcam_cli.cli.main import run


def test_results_stand_on_lines_of_their_own_beside_a_bar(capsys, monkeypatch):
    monkeypatch.setenv("TERM", "xterm")
    for stream in (sys.stdout, sys.stderr):
        monkeypatch.setattr(stream, "isatty", lambda: True)
    console = Console(quiet=False, verbose=False)
    with console.progress(3, "working") as advance:
        for name in ("a.png", "b.png"):
            console.result(name)
            advance()
    screen = capsys.readouterr()
    assert screen.out == ""
    assert "\x1b[2Ka.png\n" in screen.err
    assert "\x1b[2Kb.png\n" in screen.err


def test_table_json_and_lines_give_the_same_probabilities(cat, tmp_path, capfd):
    """Of a comparison that of the first among the two, of a negation that of all others; each in a row of its own."""
    targets = ["-t", "cat", "-t", "cat vs dog", "-t", "not:cat"]
    out = ["-m", "tiny", "--save", "json", "-o", str(tmp_path)]
    assert run(["image", str(cat), *targets, *out, "--json"]) == 0
    printed = capfd.readouterr()
    records = [json.loads(line) for line in printed.out.splitlines()]
    among = {each["label"]: each["probability"] for each in records[0]["predictions"]}
    expected = {
        "cat": among["cat"],
        "cat vs dog": among["cat"] / (among["cat"] + among["dog"]),
        "not cat": 1 - among["cat"],
    }
    for record in records:
        label, probability = record["target"]["label"], record["target"]["probability"]
        assert abs(probability - expected[label]) < 1e-9
        (row,) = [line for line in printed.err.splitlines() if line.startswith(f"{label}  ")]
        assert f"{probability:.1%}" in row
        assert "explained" in row
    other = tmp_path / "b.jpg"
    other.write_bytes(cat.read_bytes())
    assert run(["image", str(cat), str(other), *targets, *out]) == 0
    lines = capfd.readouterr().err.splitlines()
    assert [f"{label} {expected[label]:.1%}" for label in expected] == [
        line.removeprefix(f"{cat}: ") for line in lines if line.startswith(f"{cat}: ")
    ]
