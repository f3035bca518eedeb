"""The whole command over every picture of the shared corpus: good ones done, bad ones told, nothing else."""

from __future__ import annotations

import json
import os
import re
import threading
from pathlib import Path

from gradcam_cli.cli.main import run
from tests.conftest import corpus_rows

ODD = "\udce9"
"""How the table's ``\\xe9``, a byte that is no UTF-8, appears in a file name."""
OPEN = re.compile(r"\bor\b.*\b(error|pictures?|outputs)\b")
"""In a row whose outcome is left open: processed, or refused with a clear error."""


def test_every_picture(corpus, tmp_path, monkeypatch, capfdbinary):
    monkeypatch.chdir(tmp_path)
    threads = threading.active_count()
    rows = {str(corpus / row["path"].replace("\\xe9", ODD)): row for row in corpus_rows("image")}

    code = run(["image", "-m", "tiny", "--json", "--save", "overlay", "--name-from", "path", "--", *rows])

    captured = capfdbinary.readouterr()
    assert code == 3
    records = [json.loads(line) for line in captured.out.decode().splitlines()]
    assert sorted(record["input"] for record in records) == sorted(rows)
    for record in records:
        row = rows[record["input"]]
        if not OPEN.search(row["expected"]) and (os.geteuid() or "unreadable" not in row["path"]):  # root reads it
            assert ("error" not in record) == (row["validity"] == "ok"), record

    done = [record["files"]["overlay"] for record in records if "error" not in record]
    assert {path.relative_to(tmp_path) for path in tmp_path.rglob("*") if path.is_file()} == set(map(Path, done))
    messages = captured.err.decode("utf-8", "backslashreplace").splitlines()
    for start in ("error: ", "  hint: "):
        assert sum(line.startswith(start) for line in messages) == len(rows) - len(done)
    assert not [line for line in messages if "Traceback" in line or "fault of gradcam" in line]
    assert threading.active_count() == threads
