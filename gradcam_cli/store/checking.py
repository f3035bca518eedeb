"""Compares the files in an output directory with its records."""

from __future__ import annotations

import os
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from gradcam_cli.files import explain_read_error, file_state
from gradcam_cli.store.record import FOLDER, Places, row_of

if TYPE_CHECKING:
    from pathlib import Path

    from gradcam_cli.store.reading import Records


@dataclass
class Checked:
    """What a check has found.

    Attributes:
        results: number of results.
        incomplete: number of those of which a part of the input was cut off or damaged.
        files: number of files that were compared.
        problems: the files that are not as recorded, by their names in the directory, and what is wrong.
        unrecorded: number of other files in the directory.
    """

    results: int = 0
    incomplete: int = 0
    files: int = 0
    problems: dict[str, str] = field(default_factory=dict)
    unrecorded: int = 0


def check(records: Records) -> Checked:
    """Compare all files with the records that hold; each is read.

    Raises:
        OSError: the directory or its records cannot be read.
    """
    found = Checked()
    seen: set[int] = set()
    for line in records.current():
        record = row_of(line)
        found.results += 1
        found.incomplete += not record["complete"]
        for file in record["files"].values():
            path = file["path"]
            problem = _problem(records.directory / path, file["size"], file["sha256"])
            found.problems.pop(path, None)  # of an earlier record, of which this file was replaced
            if problem:
                found.problems[path] = problem
            seen.add(hash(path))
    found.files = len(seen)
    found.unrecorded = _unrecorded(records.directory, seen)
    return found


def _problem(path: Path, size: int, sha256: str) -> str:
    try:
        if os.stat(path).st_size != size:
            return "is of another size than it was written with"
        return "" if file_state(path).sha256 == sha256 else "has changed since it was written"
    except FileNotFoundError:
        return "is missing"
    except OSError as error:
        return explain_read_error(error)[0]


def _unrecorded(directory: Path, seen: set[int]) -> int:
    """Return how many visible files no record names."""
    places, count = Places(directory), 0
    for folder, below, names in os.walk(directory):
        if FOLDER in below:
            below.remove(FOLDER)
        for name in names:
            path = directory.joinpath(os.path.relpath(folder, directory), name)
            count += not name.startswith(".") and hash(places.result(path)) not in seen
    return count
