"""The guide: shipped with the package, shown by ``gradcam help``, and true of every option and every JSON key."""

from __future__ import annotations

import json
import re
from collections import Counter

import pytest

from gradcam_cli.cli.commands.help import ORDER, summary, topics
from gradcam_cli.cli.main import run
from tests.conftest import ROOT, SAMPLES, commands

TOPICS = topics()
CELL = re.compile(r"`([^`]+)`")


def first_cells(text: str) -> list[str]:
    """Return what stands in backticks in the first cells of a topic's tables: what it describes."""
    rows = [line for line in text.splitlines() if line.startswith("|")]
    return [each for row in rows for each in CELL.findall(row.split("|")[1])]


def test_topics_are_listed_and_have_a_summary():
    assert tuple(TOPICS) == ORDER, "put a new topic where it belongs in ORDER"
    for text in TOPICS.values():
        assert text.startswith("# ")
        assert 20 < len(summary(text)) < 120
        assert "<" not in re.sub(r"`[^`]*`|```.*?```", "", text, flags=re.DOTALL), "no HTML"


def test_each_option_is_described_in_exactly_one_topic():
    described = Counter(
        name
        for text in TOPICS.values()
        for cell in first_cells(text)
        for name in re.findall(r"--[a-z][a-z0-9-]*", cell)
    )
    options = {
        max(parameter.opts, key=len)
        for command in commands().values()
        for parameter in command.params
        if parameter.param_type_name == "option"
    }
    assert {name: described[name] for name in options if described[name] != 1} == {}
    assert set(described) <= options, "no such option"


def keys_of(record: dict, prefix: str = "") -> set[str]:
    found: set[str] = set()
    for key, value in record.items():
        found |= keys_of(value, f"{prefix}{key}.") if isinstance(value, dict) else {f"{prefix}{key}"}
    return found


def test_each_json_key_is_described_once(tmp_path, monkeypatch, capfd):
    monkeypatch.chdir(tmp_path)
    tiny = ["-m", "tiny", "--json", "-q"]
    for command in (
        ["image", SAMPLES / "cat.jpg", "missing.jpg", "--save", "grayscale,heatmap,overlay,map,original,json"],
        ["video", SAMPLES / "cat.mp4", "--end", "0.2", "--gif"],
        ["gif", SAMPLES / "cat.gif", "--stride", "9"],
        ["compare", SAMPLES / "cat.jpg", "--method", "gradcam", "--method", "layercam"],
        *(
            ["gif", SAMPLES / "cat.jpg", "--sweep", sweep, "--count", "2"]
            for sweep in ("channels", "classes", "layers")
        ),
        ["gif", SAMPLES / "cat.jpg", "--sweep", "methods", "--input-size", "32"],
    ):
        assert run([*map(str, command), *tiny]) in (0, 3)
    records = [json.loads(line) for line in capfd.readouterr().out.splitlines()]
    keys = set().union(*(keys_of(record) for record in records))
    described = Counter(first_cells(TOPICS["scripting"]))
    assert {key: described[key] for key in keys if described[key] != 1} == {}
    known = keys | {"plugins"}
    tables = TOPICS["scripting"][TOPICS["scripting"].index("## JSON") :]
    assert {key for key in first_cells(tables) if not key.startswith("-")} == known


def test_each_key_of_a_record_is_described_once(tmp_path, monkeypatch, capfd):
    monkeypatch.chdir(tmp_path)
    assert run(["image", str(SAMPLES / "cat.jpg"), "-m", "tiny", "--json", "-q", "--colormap", "turbo"]) == 0
    printed = json.loads(capfd.readouterr().out)
    (line,) = (path.read_text() for path in tmp_path.glob("gradcam_output/.gradcam/*.jsonl"))
    kept = {**json.loads(line), "settings": "some"}
    keys = {re.sub(r"^files\.\w+\.", "files.KIND.", key) for key in keys_of(kept)} - keys_of(printed) | {"input"}
    text = TOPICS["records"][TOPICS["records"].index("## Keys") :]
    assert sorted(first_cells(text)) == sorted(keys)


@pytest.mark.parametrize("path", ["README.md", *(f"gradcam_cli/guide/{name}.md" for name in ORDER)])
def test_links_lead_somewhere(path):
    place = ROOT / path
    for target in re.findall(r"\]\(([^)#\s]+)(?:#[^)]*)?\)", place.read_text(encoding="utf-8")):
        if not target.startswith("https://"):
            assert (place.parent / target).exists(), f"{path} → {target}"


def test_readme_is_short():
    assert len((ROOT / "README.md").read_text(encoding="utf-8").splitlines()) <= 165


def test_help_shows_topics_and_commands(capfd):
    assert run(["help"]) == 0
    assert [line.split("\t")[0] for line in capfd.readouterr().out.splitlines()] == list(ORDER)
    assert run(["help", "Methods"]) == 0
    assert capfd.readouterr().out == TOPICS["methods"].rstrip("\n") + "\n"
    assert run(["help", "image"]) == 0
    assert capfd.readouterr().out.startswith("Usage: gradcam image [OPTIONS] PATH...")
    assert run(["help", "metods"]) == 2
    assert "did you mean methods" in capfd.readouterr().err
