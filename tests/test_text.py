"""Whatever a name holds, it is shown in one line that a terminal only prints; system errors get words."""

from __future__ import annotations

import errno
from pathlib import Path

import pytest

from gradcam_cli.text import explain_os_error, printable, whole_number


@pytest.mark.parametrize(
    ("name", "shown"),
    [
        ("plain.jpg", "plain.jpg"),
        ("new\nline\t\x1b[31m.jpg", r"new\nline\t\x1b[31m.jpg"),
        ("caf\udce9.jpg", r"caf\xe9.jpg"),
        ("a\u202egpj.exe", r"a\u202egpj.exe"),
        ("family \U0001f468\u200d\U0001f469.jpg", "family \U0001f468\u200d\U0001f469.jpg"),
        ("back\\slash", "back\\slash"),
        ("", "''"),
    ],
)
def test_a_shown_name_cannot_act_upon_a_terminal(name, shown):
    assert printable(name) == shown
    assert shown.encode("utf-8")


def test_a_path_is_shown_as_its_text():
    assert printable(Path("a\n")) == r"a\n"


def test_system_errors_in_words():
    assert explain_os_error(PermissionError(errno.EACCES, "x"))[0] == "permission denied"
    assert all(explain_os_error(FileNotFoundError(errno.ENOENT, "x")))
    assert explain_os_error(OSError(errno.EXDEV, "odd\x1b")) == (r"odd\x1b", "")
    assert explain_os_error(OSError("no number")) == ("no number", "")
    assert explain_os_error(OSError()) == ("OSError", "")


@pytest.mark.parametrize(
    ("text", "number"),
    [
        ("0", 0),
        ("-12", -12),
        ("--5", None),
        ("²", None),
        ("", None),
        ("1.0", None),
        ("9" * 10, None),
        ("9" * 5000, None),
    ],
)
def test_whole_number(text, number):
    assert whole_number(text) == number
