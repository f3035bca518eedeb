"""Reads a directory's records: line by line, in the order of the runs, past what a killed run has left unfinished."""

from __future__ import annotations

import calendar
import json
import re
from array import array
from contextlib import suppress
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, NamedTuple

from gradcam_cli.store.record import FOLDER, SCHEMA, row_of

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from pathlib import Path

    import numpy as np
    import numpy.typing as npt

_NAME = re.compile(r"(\d{4})(\d\d)(\d\d)T(\d\d)(\d\d)(\d\d)\.(\d{9})-[0-9a-f]+\.jsonl")
_BUFFER = 1 << 20

# A line's head as `record.line` writes it. Regular expressions take a third of the time of parsing it as JSON, and
# check it at once.
_TEXT = rb'"([^"\\]*(?:\\.[^"\\]*)*)"'
_SCHEMA = re.compile(rb'\{"schema":(\d+),')
_HEAD = re.compile(
    rb'"settings_hash":"([0-9a-f]+)","complete":(true|false),"input":' + _TEXT + rb',"input_size":(\d+|null),'
    rb'"cell":(\d+),"files":\{'
)
_FILE = re.compile(
    rb'"[^"\\]+":\{"path":' + _TEXT + rb',"size":(\d+),"sha256":"([0-9a-f]{64})","changed":(\d+)\}(,|\},"model":)'
)


class Claim(NamedTuple):
    """A record's entry on one file.

    Attributes:
        path: its name in the output directory, as JSON has it.
        settings_hash: of the settings that made it.
        complete: whether the whole input was explained.
        input: the way to the input, see `record.Places`, as JSON has it.
        input_size: bytes of the input.
        size: bytes of the file.
        sha256: of its content.
        changed: time of its last change in nanoseconds.
    """

    path: bytes
    settings_hash: str
    complete: bool
    input: bytes
    input_size: int | None
    size: int
    sha256: str
    changed: int


@dataclass
class Records:
    """The records of an output directory.

    Attributes:
        directory: the output directory.
        damaged: lines that could not be read, of the last pass: a killed run's last one, or damaged on the disk.
        newer: lines of a newer version of gradcam, of the last pass, which are passed over.
        unreadable: files of records that could not be read in the last pass.
    """

    directory: Path
    damaged: int = field(default=0, init=False)
    newer: int = field(default=0, init=False)
    unreadable: list[Path] = field(default_factory=list, init=False)

    @property
    def paths(self) -> list[Path]:
        """The files of records, in the order of their runs' starts."""
        return sorted((self.directory / FOLDER).glob("*.jsonl"))

    @property
    def since(self) -> float:
        """Nanoseconds since 1970 at which the first run began that has left records; infinite where there are none."""
        return min((_start(path.name) for path in self.paths), default=float("inf"))

    def claims(self) -> Iterator[Claim]:
        """Yield what the records state of each file, the earliest first."""
        for head, files in self._heads(self._snapshot()):
            if head is None:
                continue
            settings_hash, complete, source, size = head.group(1).decode(), head[2] == b"true", head[3], head[4]
            input_size = None if size == b"null" else int(size)
            for file in files:
                yield Claim(
                    file[1], settings_hash, complete, source, input_size, int(file[2]), file[3].decode(), int(file[4])
                )

    def rows(self) -> Iterator[dict[str, Any]]:
        """Yield what a table shows of the lines that hold."""
        for line in self.current():
            try:
                row = row_of(line)
            except ValueError:  # damaged behind its head
                self.damaged += 1
                continue
            yield row

    def current(self) -> Iterator[bytes]:
        """Yield the lines that hold: those that are the last about at least one of their files.

        It takes some 60 bytes of memory a file.
        """
        snapshot = self._snapshot()
        keep = self._holding(snapshot)
        for kept, line in zip(keep, self._lines(snapshot), strict=True):
            if kept:
                yield line

    def _holding(self, snapshot: Iterable[tuple[Path, int]]) -> npt.NDArray[np.bool_]:
        """Return for each line whether it holds; lines that share their files, as of a figure, hold together."""
        import numpy as np

        names, owners, groups = array("q"), array("I"), array("I")  # of each file: hash, line; of each line: the first
        for position, (head, files) in enumerate(self._heads(snapshot)):
            first = max(0, position - int(head[5])) if head else position
            groups.append(first)
            for file in files:
                names.append(hash(file[1]))
                owners.append(first)
        order = np.argsort(np.asarray(names), kind="stable")
        is_last = np.append(np.diff(np.asarray(names)[order]) != 0, np.ones(min(1, len(order)), np.bool_))
        holding = np.zeros(len(groups), np.bool_)
        holding[np.asarray(owners)[order[is_last]]] = True
        kept: npt.NDArray[np.bool_] = holding[np.asarray(groups)]
        return kept

    def _snapshot(self) -> list[tuple[Path, int]]:
        """Return the files and their present sizes: what other runs append meanwhile is left for the next time."""
        self.damaged = self.newer = 0
        self.unreadable = []
        found = []
        for path in self.paths:
            with suppress(FileNotFoundError):  # a run without results has just cleared it away
                found.append((path, path.stat().st_size))
        return found

    def _lines(self, snapshot: Iterable[tuple[Path, int]]) -> Iterator[bytes]:
        """Yield lines unparsed, also what a killed run has left of its last one, in constant memory."""
        for path, size in snapshot:
            try:
                file = open(path, "rb", _BUFFER)  # noqa: SIM115
            except FileNotFoundError:
                continue
            except OSError:
                self.unreadable = [*dict.fromkeys([*self.unreadable, path])]
                continue
            with file:
                for line in file:
                    size -= len(line)
                    if size < 0:
                        break
                    yield line

    def _heads(
        self, snapshot: Iterable[tuple[Path, int]]
    ) -> Iterator[tuple[re.Match[bytes] | None, list[re.Match[bytes]]]]:
        """Yield the head of each line and its files; None and nothing where it cannot be read, or is a newer one."""
        for line in self._lines(snapshot):
            schema = _SCHEMA.match(line)
            head = _HEAD.match(line, schema.end()) if schema else None
            files: list[re.Match[bytes]] = []
            position = head.end() if head else 0
            while head and (file := _FILE.match(line, position)):
                files.append(file)
                position = file.end()
                if file[5] != b",":
                    break
            if schema and int(schema[1]) > SCHEMA:
                self.newer += 1
            elif files and files[-1][5] != b"," and line.endswith(b"}\n"):
                yield head, files
                continue
            else:
                self.damaged += 1
            yield None, []


def as_json(text: str) -> bytes:
    """Return a name as a `Claim` has it."""
    return json.dumps(text).encode()[1:-1]


def _start(name: str) -> float:
    """Return the nanoseconds since 1970 that the name of a file of records states; 0 where it is another's."""
    found = _NAME.fullmatch(name)
    if found is None:
        return 0
    *moment, fraction = map(int, found.groups())
    return calendar.timegm((*moment, 0, 0, 0)) * 10**9 + fraction
