"""What the voice says, where."""

from __future__ import annotations

import sys

from gradcam_cli.cli.console import Console


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
