"""Records as they are written and read: whole lines, whatever happens to a run."""

from __future__ import annotations

import errno
import json
import os
import resource
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from gradcam_cli.errors import OutputError, UsageError
from gradcam_cli.records import FileState
from gradcam_cli.store.reading import Records
from gradcam_cli.store.record import FOLDER, HEAD, ROW, SCHEMA, Places, line, row_of
from gradcam_cli.store.writing import Recorder

RECORD = {
    "input": "given",
    "model": "tiny",
    "layer": "stage3",
    "method": "gradcam",
    "target": {"index": 3, "label": "cat", "probability": 0.5, "score": 1.5},
    "predictions": [],
    "map": {"blank": False},
    "weights": {"source": "bundled"},
    "files": {"overlay": "given"},
}
WEIRD = ['q"uote', "back\\slash", 'mean","cell":7,"files":{', "a\nb", "\udce9", "é\u202e", "{", '","model":"x', "\0"]


def state(content: str = "") -> FileState:
    return FileState(len(content), f"{len(content):064x}", 10**18)


def written(name, *, source="in.png", settings="a" * 32, cell=0, complete=True, files=None, **record):
    return line(
        {**RECORD, **record}, settings_hash=settings, settings={"model": "tiny"}, complete=complete, source=source,
        source_size=7, cell=cell, files=files or {"overlay": (name, state())},
    )  # fmt: skip


def put(directory, *lines, name="20260101T000000.000000000-00000000.jsonl"):
    folder = Path(directory, FOLDER)
    folder.mkdir(exist_ok=True)
    (folder / name).write_bytes(b"".join(lines))
    return Records(Path(directory))


def paths(records):
    return [json.loads(each)["files"]["overlay"]["path"] for each in records.current()]


def test_a_line_is_one_line_of_ascii_that_json_readers_read():
    for text in WEIRD:
        found = written(text, source=text, layer=text, notes=[text], target={"label": text})
        assert found.isascii()
        assert found.endswith(b"}\n")
        assert found.count(b"\n") == 1
        record = json.loads(found)
        assert list(record)[: len(HEAD) + len(ROW)] == [*HEAD, *ROW]
        assert (record["input"], record["files"]["overlay"]["path"], record["layer"]) == (text, text, text)
        assert record["notes"] == [text]
        assert row_of(found) == {key: record[key] for key in (*HEAD, *ROW)}


def test_whatever_names_have_is_read_back(tmp_path):
    records = put(tmp_path, *(written(text, source=text, settings=f"{n:032x}") for n, text in enumerate(WEIRD)))
    claims = list(records.claims())
    assert [json.loads(b'"' + claim.path + b'"') for claim in claims] == WEIRD
    assert [json.loads(b'"' + claim.input + b'"') for claim in claims] == WEIRD
    assert [int(claim.settings_hash, 16) for claim in claims] == list(range(len(WEIRD)))
    assert claims[0][4:] == (7, 0, "0" * 64, 10**18)
    assert paths(records) == WEIRD
    assert (records.damaged, records.newer) == (0, 0)


def test_a_line_with_several_files(tmp_path):
    files = {key: (f"cat_{key}", state("x" * n)) for n, key in enumerate(("overlay", "overlay.gif", "map"))}
    (first, *rest) = put(tmp_path, written("", files=files, complete=False)).claims()
    assert [(each.path.decode(), each.size) for each in (first, *rest)] == [
        (path, found.size) for path, found in files.values()
    ]
    assert not first.complete


@pytest.mark.parametrize(
    "damage",
    [
        lambda whole: whole[:-1],
        lambda whole: whole[: len(whole) // 2],
        lambda whole: whole[:5],
        lambda whole: b"\0" * len(whole),
        lambda whole: b"\n",
        lambda whole: b"[]\n",
        lambda whole: b"{}\n",
        lambda whole: b'"text"\n',
        lambda whole: whole.replace(b'"schema":1', b'"schema":"1"'),
        lambda whole: whole.replace(b'"files":{', b'"files":[{'),
        lambda whole: whole.replace(b'"size":0', b'"size":-1'),
        lambda whole: whole.replace(b'"path":', b'"p":'),
        lambda whole: b"\xff" + whole,
    ],
)
def test_a_damaged_line_costs_itself(tmp_path, damage):
    damaged = damage(written("b"))
    put(tmp_path, written("a"), damaged)
    records = put(tmp_path, written("c"), name="20260101T000001.000000000-00000000.jsonl")
    assert [claim.path for claim in records.claims()] == [b"a", b"c"]
    assert records.damaged == 1
    assert paths(records) == ["a", "c"]
    assert records.damaged == 1


def test_lines_of_a_newer_version_are_told_apart(tmp_path):
    newer = written("b").replace(b'"schema":%d' % SCHEMA, b'"schema":%d' % (SCHEMA + 1))
    records = put(tmp_path, written("a"), newer.replace(b'"files"', b'"other"'))
    assert paths(records) == ["a"]
    assert (records.damaged, records.newer) == (0, 1)


def test_what_was_replaced_is_left_out(tmp_path):
    records = put(
        tmp_path,
        written("a", settings="1" * 32),
        written("b"),
        written("a", settings="2" * 32),
        written("a", settings="3" * 32),
        written("b"),
    )
    assert [json.loads(each)["settings_hash"][0] for each in records.current()] == ["3", "a"]


def test_a_result_holds_as_long_as_one_of_its_files(tmp_path):
    both = {"overlay": ("a", state()), "map": ("m", state())}
    records = put(tmp_path, written("", files=both), written("a"))
    assert len(list(records.current())) == 2
    records = put(tmp_path, written("", files=both), written("a"), written("m"))
    assert paths(records) == ["a", "m"]


def test_the_cells_of_a_figure_hold_together(tmp_path):
    records = put(
        tmp_path,
        *(written("f", cell=cell, method=f"old {cell}") for cell in range(3)),
        written("a"),
        *(written("f", cell=cell, method=f"new {cell}") for cell in range(2)),
    )
    assert [json.loads(each)["method"] for each in records.current()] == ["gradcam", "new 0", "new 1"]


def test_files_of_records_are_read_in_the_order_of_the_runs(tmp_path):
    for number in (3, 1, 2):
        put(tmp_path, written("a", method=str(number)), name=f"2026010{number}T000000.000000000-ff.jsonl")
    (found,) = Records(tmp_path).current()
    assert json.loads(found)["method"] == "3"
    assert Records(tmp_path).since == 1767225600 * 10**9
    put(tmp_path, name="merged.jsonl")
    assert Records(tmp_path).since == 0, "whether a result is older cannot be told any more"


def test_a_directory_without_records(tmp_path):
    assert Records(tmp_path).since == float("inf")
    assert list(Records(tmp_path).claims()) == list(Records(tmp_path).current()) == []


def test_lines_that_come_while_they_are_read_wait_for_the_next_time(tmp_path):
    records = put(tmp_path, written("a"), written("b"))
    found = records.current()
    assert b'"a"' in next(found)
    with open(records.paths[0], "ab") as file:
        file.write(written("a"))
    put(tmp_path, written("b"), name="20260102T000000.000000000-00000000.jsonl")
    assert len(list(found)) == 1
    assert len(list(records.current())) == 2


# ---- writing


def lines_in(directory):
    return [each for path in Records(directory).paths for each in path.read_bytes().splitlines(keepends=True)]


def test_a_recorder_appends_to_a_file_of_its_own(tmp_path):
    with Recorder(tmp_path) as one, Recorder(tmp_path) as other:
        one.add([b"1\n", b"2\n"])
        other.add([b"3\n"])
        one.add([b"4\n"])
        assert len(Records(tmp_path).paths) == 2
    assert sorted(lines_in(tmp_path)) == [b"1\n", b"2\n", b"3\n", b"4\n"]


def test_the_file_is_there_before_the_first_result_and_leaves_when_there_was_none(tmp_path):
    with Recorder(tmp_path / "out"):
        (path,) = Records(tmp_path / "out").paths
        assert path.read_bytes() == b""
        assert Records(tmp_path / "out").since < float("inf")
    assert list((tmp_path / "out").iterdir()) == []
    with Recorder(tmp_path / "out") as kept:
        kept.add([b"1\n"])
        with Recorder(tmp_path / "out"):
            pass
    assert lines_in(tmp_path / "out") == [b"1\n"]


def test_a_run_that_was_stopped_leaves_its_file(tmp_path):
    """Results may be there that it had no time to record, and which are not to pass for older ones."""
    with pytest.raises(KeyboardInterrupt), Recorder(tmp_path):
        raise KeyboardInterrupt
    assert Records(tmp_path).since < float("inf")


def test_what_a_full_disk_has_cut_off_is_taken_back(tmp_path):
    """The limit on a file's size stops a write as a full disk does: within it."""
    code = (
        "import resource, signal, sys\nfrom pathlib import Path\n"
        "from gradcam_cli.store.writing import Recorder\nfrom gradcam_cli.errors import OutputError\n"
        "signal.signal(signal.SIGXFSZ, signal.SIG_IGN)\n"
        "with Recorder(Path(sys.argv[1])) as recorder:\n"
        "    recorder.add([b'first\\n'])\n"
        "    resource.setrlimit(resource.RLIMIT_FSIZE, (10, resource.RLIM_INFINITY))\n"
        "    try:\n        recorder.add([b'the second\\n', b'third\\n'])\n"
        "    except OutputError as error:\n        print(error.message)\n"
        "    resource.setrlimit(resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY,) * 2)\n"
        "    recorder.add([b'fourth\\n'])\n"
    )
    done = subprocess.run([sys.executable, "-c", code, tmp_path], capture_output=True, text=True, check=True)
    assert "the record cannot be written" in done.stdout
    assert lines_in(tmp_path) == [b"first\n", b"fourth\n"]


def test_an_error_of_the_disk_says_where(tmp_path, monkeypatch):
    def full(handle, data):
        raise OSError(errno.ENOSPC, "no")

    with Recorder(tmp_path) as recorder:
        monkeypatch.setattr(os, "write", full)
        with pytest.raises(OutputError, match=r"\.jsonl: the record cannot be written: the disk is full"):
            recorder.add([b"1\n"])
        monkeypatch.undo()
    (path,) = Records(tmp_path).paths
    assert path.read_bytes() == b"", "results without a record are known to be newer than this run"


@pytest.mark.parametrize("what", ["file", "link", "dangling link"])
def test_records_need_a_directory_of_their_own(tmp_path, what):
    place = tmp_path / FOLDER
    if what == "file":
        place.touch()
    else:
        place.symlink_to(tmp_path if what == "link" else "nowhere")
    with pytest.raises(UsageError, match="is no directory") as caught, Recorder(tmp_path):
        pass
    assert "no_records" in caught.value.hint


def test_a_directory_that_is_removed_or_moved_away(tmp_path):
    out = tmp_path / "out"
    with Recorder(out) as recorder:
        recorder.add([b"1\n"])
        out.rename(tmp_path / "away")
        recorder.add([b"2\n"])
        for path in (out / FOLDER).iterdir():
            path.unlink()
        recorder.add([b"3\n"])
    assert lines_in(tmp_path / "away") == [b"1\n"]
    assert lines_in(out) == [b"3\n"]


def test_runs_that_come_and_go_at_once(tmp_path):
    """One clears an empty directory of records away while another makes it."""
    errors = []

    def work():
        try:
            for _ in range(60):
                with Recorder(tmp_path):
                    pass
            with Recorder(tmp_path) as recorder:
                recorder.add([b"x\n"])
        except Exception as error:
            errors.append(error)

    threads = [threading.Thread(target=work) for _ in range(4)]
    for each in threads:
        each.start()
    for each in threads:
        each.join()
    assert errors == []
    assert lines_in(tmp_path) == [b"x\n"] * 4


# ---- paths


def test_paths_are_relative_to_the_directory(tmp_path, monkeypatch):
    (tmp_path / "work" / "pictures").mkdir(parents=True)
    monkeypatch.chdir(tmp_path / "work")
    for directory in ("out", "./out", str(tmp_path / "work" / "out")):
        places = Places(Path(directory))
        for given in ("pictures/a.png", "./pictures/a.png", str(tmp_path / "work/pictures/a.png")):
            assert places.input(Path(given)) == "../pictures/a.png"
        assert places.input(None) == "-"
        assert places.result(Path(directory, "sub", "a.png")) == "sub/a.png"
    assert Places(Path()).input(Path("pictures/a.png")) == "pictures/a.png"
    assert Places(Path()).result(Path("sub/a.png")) == "sub/a.png"
    (tmp_path / "elsewhere").mkdir()
    Path("out").symlink_to(tmp_path / "elsewhere")
    assert Places(Path("out")).input(Path("pictures/a.png")) == "../work/pictures/a.png"


def test_no_absolute_path_is_left_in_texts(tmp_path):
    weights = tmp_path / "w" / "mine.pth"
    places = Places(tmp_path / "out")
    said = {"notes": [f"from {weights}, as {weights.parent}/config.json says"], "n": 1, "w": str(weights), "x": None}
    assert places.relative([weights, Path("plain.txt")])(said) == {
        "notes": ["from ../w/mine.pth, as ../w/config.json says"],
        "n": 1,
        "w": "../w/mine.pth",
        "x": None,
    }
    assert places.relative([], alone=True)({"arguments": [["file", str(tmp_path / "a")], ["n", 3]]}) == {
        "arguments": [["file", "../a"], ["n", 3]]
    }


def test_many_records_take_little_memory(tmp_path):
    """The whole lines are never held: 200 MB of them in a process that may have no more than half of that besides."""
    whole = written("a" * 30, notes=["x" * 10_000])
    records = put(tmp_path)
    with open(records.paths[0], "wb") as file:
        for number in range(20_000):
            file.write(whole.replace(b"a" * 30, b"%030d" % number))
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    assert sum(1 for _ in records.current()) == 20_000
    assert sum(1 for _ in records.claims()) == 20_000
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 100_000 * (
        1024 if sys.platform == "darwin" else 1
    )
