import json
import os

import pytest

from gradcam_cli.errors import ModelError
from gradcam_cli.models.labels import read_labels

NAMES = ("tench", "great white shark", "crane's “bill”")


def write(tmp_path, content, name="names.txt"):
    path = tmp_path / name
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return path


READABLE = {
    "lines": ("names.txt", "\n".join(NAMES)),
    "crlf": ("names.txt", "\r\n".join(NAMES) + "\r\n"),
    "byte order mark": ("names.txt", "\ufeff" + "\n".join(NAMES)),
    "utf-16": ("names.txt", "\n".join(NAMES).encode("utf-16")),
    "utf-32": ("names.txt", "\n".join(NAMES).encode("utf-32")),
    "trailing blank lines": ("names.txt", "\n".join(NAMES) + "\n\n \n"),
    "list": ("names.json", json.dumps(NAMES)),
    "list not called json": ("names.txt", json.dumps(NAMES)),
    "list with mark": ("names.json", "\ufeff" + json.dumps(NAMES)),
    "index to name": ("names.json", json.dumps({"2": NAMES[2], "0": NAMES[0], "1": NAMES[1]})),
    "index to pair": ("names.json", json.dumps({str(i): [f"n0144076{i}", name] for i, name in enumerate(NAMES)})),
    "name to index": ("names.json", json.dumps({name: i for i, name in enumerate(NAMES)})),
    "python": ("names.txt", "{" + ",\n ".join(f"{i}: {name!r}" for i, name in enumerate(NAMES)) + "}"),
    "python, trailing comma": ("names.txt", "{" + "".join(f"{i}: {name!r},\n" for i, name in enumerate(NAMES)) + "}\n"),
    "wordnet": ("names.txt", "\n".join(f"n0144076{i} {name}" for i, name in enumerate(NAMES))),
}


@pytest.mark.parametrize("kind", READABLE)
def test_formats(kind, tmp_path):
    name, content = READABLE[kind]
    assert read_labels(write(tmp_path, content, name), 3) == NAMES


def test_an_identifier_stays_unless_every_name_has_one(tmp_path):
    assert read_labels(write(tmp_path, "n01440764 tench\ngoldfish"), 2) == ("n01440764 tench", "goldfish")


def test_lines_that_look_like_json_are_lines(tmp_path):
    assert read_labels(write(tmp_path, "{}\n[x]\n{0}"), 3) == ("{}", "[x]", "{0}")


def test_control_characters_are_spelled_out(tmp_path):
    labels = read_labels(write(tmp_path, "\x1b[31mred\x07\na\tb\n\u202egpj\x00\n猫 🐈 חתול"), 4)
    assert labels == ("\\x1b[31mred\\x07", "a\\tb", "\\u202egpj\\x00", "猫 🐈 חתול")


UNREADABLE = {
    "too few": ("n.txt", "a\nb", "2 names for 3 classes"),
    "too many": ("n.json", '["a", "b", "c", "d"]', "4 names for 3 classes"),
    "blank line": ("n.txt", "a\n\nb\nc", "line 2 of 4 is blank"),
    "hole": ("n.json", '{"0": "a", "1": "b", "3": "c"}', "no name for class 2 of 3 but one for '3'"),
    "negative": ("n.json", '{"-1": "a", "1": "b", "2": "c"}', "no name for class 0 of 3 but one for '-1'"),
    "one index twice": ("n.json", '{"a": 0, "b": 0, "c": 1}', "no name for class 2"),
    "numbers": ("n.json", "[1, 2, 3]", "class 0 is not a name"),
    "null": ("n.json", '{"0": "a", "1": null, "2": "c"}', "class 1 is not a name"),
    "empty name": ("n.json", '["a", " ", "c"]', "class 1 is not a name"),
    "scalar": ("n.json", "42", "a single int"),
    "empty": ("n.txt", "", "empty"),
    "only blanks": ("n.txt", "\ufeff \n\n", "empty"),
    "empty list": ("n.json", "[]", "0 names for 3 classes"),
    "cut": ("n.json", '["a", "b', "not valid JSON"),
    "deep": ("n.json", "[" * 100_000 + "]" * 100_000, "not valid JSON"),
    "huge number": ("n.json", "[" + "9" * 10_000 + "]", ""),
    "code": ("n.txt", "{0: __import__('os').system('true'), 1: 'b', 2: 'c'}", "1 names for 3 classes"),
    "deep python": ("n.txt", "{" * 100_000 + "}" * 100_000, "1 names for 3 classes"),
    "latin-1": ("n.txt", "café\nb\nc".encode("latin-1"), "not UTF-8"),
    "binary": ("n.txt", bytes(range(256)), "not UTF-8"),
    "odd utf-16": ("n.txt", b"\xff\xfea", "not UTF-8"),
}


@pytest.mark.parametrize("kind", UNREADABLE)
def test_what_cannot_be_read_is_one_clear_line(kind, tmp_path):
    name, content, words = UNREADABLE[kind]
    with pytest.raises(ModelError) as caught:
        read_labels(write(tmp_path, content, name), 3)
    assert words in caught.value.message
    assert name in caught.value.message
    assert "\n" not in caught.value.message + caught.value.hint
    assert caught.value.hint


def test_too_large_a_file_is_refused(tmp_path, monkeypatch):
    monkeypatch.setattr("gradcam_cli.models.labels.MAX_BYTES", 10)
    with pytest.raises(ModelError, match="larger"):
        read_labels(write(tmp_path, "a\n" * 20), 20)


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="no pipes here")
def test_pipes_and_folders_are_refused_unopened(tmp_path):
    os.mkfifo(tmp_path / "pipe")
    for path, words in ((tmp_path / "pipe", "a pipe"), (tmp_path, "a directory"), (tmp_path / "gone", "no such file")):
        with pytest.raises(ModelError, match=words):
            read_labels(path, 3)
