"""The command without a subcommand."""

from __future__ import annotations

from gradcam_cli.cli.main import run


def test_a_command_that_is_almost_right(capfd):
    assert run(["imge", "cat.jpg"]) == 2
    assert capfd.readouterr().err.splitlines() == ["error: no such command 'imge'", "  hint: did you mean image?"]
    assert run(["qqq"]) == 2
    assert "did you mean" not in capfd.readouterr().err
