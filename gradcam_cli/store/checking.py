"""Compares the files in an output directory with its records."""

from __future__ import annotations

import json
import os
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from gradcam_cli.files import explain_read_error, file_state
from gradcam_cli.store.reading import as_json
from gradcam_cli.store.record import FOLDER, Places

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
    """Compare all files with their records; each is read. It is enough that one record fits: two runs may cross.

    Raises:
        OSError: the directory or its records cannot be read.
    """
    found = Checked()
    for row in records.rows():
        found.results += 1
        found.incomplete += not row["complete"]
    seen: set[int] = set()
    good: set[int] = set()
    for claim in records.claims():
        key, path = hash(claim.path), json.loads(b'"' + claim.path + b'"')
        seen.add(key)
        if key in good:
            continue
        problem = _problem(records.directory / path, claim.size, claim.sha256)
        if problem:
            found.problems[path] = problem
        else:
            good.add(key)
            found.problems.pop(path, None)
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
            count += not name.startswith(".") and hash(as_json(places.result(path))) not in seen
    return count
