"""A line of a directory's records: an explanation, the hash of its settings, and the state of its files."""

from __future__ import annotations

import hashlib
import json
import os
import re
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path, PurePath
from typing import TYPE_CHECKING, Any

from gradcam_cli.text import printable

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

    from gradcam_cli.records import FileState

SCHEMA = 1
"""Version of a line's keys. New keys may come without a new version; it is raised when one changes its meaning."""

FOLDER = ".gradcam"
"""The directory of records within the output directory."""

FILE = ("path", "size", "sha256", "changed")
"""The keys of a file."""

HEAD = ("schema", "settings_hash", "complete", "input", "input_size", "cell", "files")
"""The first keys of a line: which files it is about. Who looks for files need not parse the rest; `reading` knows
their form."""

ROW = ("model", "layer", "method", "target", "predictions", "map")
"""The keys that follow: what a table shows."""

AFTER_ROW = b',"settings":'
"""Where the row ends: its quotes are not escaped, so that no text within a line has it."""


@dataclass(frozen=True)
class Places:
    """Paths as records have them: relative to the output directory, with ``/``.

    Attributes:
        directory: the output directory.
    """

    directory: Path

    @cached_property
    def _real(self) -> str:
        return os.path.realpath(self.directory)

    @cached_property
    def _ways(self) -> dict[str, str]:
        return {}

    @cached_property
    def _prefix(self) -> str:
        return "" if self.directory == Path() else os.path.join(self.directory, "")

    def result(self, path: Path) -> str:
        """Return the name of a file in the output directory."""
        return _with_slashes(str(path).removeprefix(self._prefix))

    def input(self, path: Path | None) -> str:
        """Return the way to an input, ``-`` for standard input."""
        if path is None:
            return "-"
        folder, name = os.path.split(path)
        way = self._ways.get(folder)
        if way is None:
            way = self._ways[folder] = self._way(folder)
        return _with_slashes(os.path.join(way, name))

    def _way(self, folder: str | Path) -> str:
        """Return the way to a directory, empty for the output directory itself."""
        try:
            way = os.path.relpath(os.path.realpath(folder), self._real)
        except ValueError:  # another drive: its folders are told apart by a digest
            return hashlib.blake2s(os.fsencode(os.path.realpath(folder)), digest_size=8).hexdigest()
        return "" if way == os.curdir else way

    def relative(self, paths: Iterable[Path], *, alone: bool = False) -> Callable[[Any], Any]:
        """Return a function of plain values (texts, lists, dicts) that returns them without absolute paths.

        Args:
            paths: those that settings name: a text may be one, begin with one as ``net.py:build`` does, or have an
                absolute one, or its folder, somewhere within.
            alone: whether a whole text that is any other absolute path is one too.
        """
        paths = tuple(paths)
        ways = {name: way for path in paths for name, way in self._spellings(path, self.input(path))}
        within = [
            (re.compile(rf"(?<![\w./-]){re.escape(name)}(?![\w-])"), way)
            for path in paths
            if path.is_absolute()
            for each, to in ((path, self.input(path)), (path.parent, self._way(path.parent) or os.curdir))
            if each != each.parent  # not the root
            for name, way in self._spellings(each, _with_slashes(to))
        ]

        def renamed(value: Any) -> Any:  # noqa: ANN401
            if isinstance(value, str):
                for name, way in ways.items():
                    if value in (name, f"hf:{name}") or value.startswith(f"{name}:"):
                        return value.replace(name, way, 1)
                for pattern, way in within:
                    value = way.join(pattern.split(value))
                return self.input(Path(value)) if alone and os.path.isabs(value) else value
            if isinstance(value, list):
                return [renamed(each) for each in value]
            return {key: renamed(each) for key, each in value.items()} if isinstance(value, dict) else value

        return renamed

    def _spellings(self, path: Path, way: str) -> list[tuple[str, str]]:
        return [(str(path), way), (printable(path), printable(way))]


def _with_slashes(path: str) -> str:
    return path if os.sep == "/" else PurePath(path).as_posix()


def line(
    record: Mapping[str, Any],
    *,
    settings_hash: str,
    settings: Mapping[str, Any],
    complete: bool,
    source: str,
    source_size: int | None,
    cell: int,
    files: Mapping[str, tuple[str, FileState]],
) -> bytes:
    """Return a line, ASCII: everything else, of names and labels too, is escaped.

    Args:
        record: the explanation as ``--json`` prints it.
        settings_hash: of its settings.
        settings: those that are not the usual ones, by their names.
        complete: whether it is that of the whole input.
        source: the way to the input, see `Places`.
        source_size: the input's bytes, None where it is no file.
        cell: position among the results that share their files, as the cells of a figure do.
        files: the results' keys → their names in the output directory, and their states.
    """
    states = {
        key: dict(zip(FILE, (path, state.size, state.sha256, state.changed), strict=True))
        for key, (path, state) in files.items()
    }
    head = dict(zip(HEAD, (SCHEMA, settings_hash, complete, source, source_size, cell, states), strict=True))
    row = {key: record[key] for key in ROW}
    rest = {key: value for key, value in record.items() if key not in head and key not in row}
    whole = {**head, **row, "settings": settings, **rest}
    return json.dumps(whole, separators=(",", ":"), allow_nan=False).encode() + b"\n"


def row_of(line: bytes) -> dict[str, Any]:
    """Return the keys of a line that a table shows, those of its head first.

    Raises:
        ValueError: it is no JSON.
    """
    found: dict[str, Any] = json.loads(line.partition(AFTER_ROW)[0] + b"}")
    return found
