"""From arguments to inputs: files, directories, patterns and standard input, each input once.

Whether an input is a picture is found out by its reader; only named files with an unusual suffix are looked at.
"""

from __future__ import annotations

import errno
import fnmatch
import os
import stat
from collections import Counter
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Literal, NamedTuple

from gradcam_cli.errors import InputError, UsageError
from gradcam_cli.files import expanded
from gradcam_cli.media.image import sniff
from gradcam_cli.plan.input_list import GIVE_LIST
from gradcam_cli.plan.output_names import natural_key
from gradcam_cli.text import explain_os_error, printable

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

_SHOWN = 3  # names of a long list in a message
_MAGIC = frozenset("*?[")
_MISSING = (errno.ENOENT, errno.ENOTDIR, errno.EINVAL)  # EINVAL: Windows, for a name with a *


class Found(NamedTuple):
    """An input: its path (None: standard input), its folder below a directory input, its inode if known."""

    path: str | None
    folder: str = ""
    inode: int = 0


Key = tuple[str, str]
"""Real directory and name: the same for every way of writing one path."""


class Search:
    """Collects inputs, each once, and those that cannot be used.

    Args:
        suffixes: suffixes of files taken from directories and patterns, lower-case, with their dot.
        recursive: whether directories' subfolders are searched too.
        output: `identity` of the output directory, which searches skip.
        second: those of the suffixes whose files are taken from a directory only if it has no others.
        expected: what the files are to be. A named one with another suffix is looked at: otherwise a network would be
            loaded before it is found that another command is meant.

    Attributes:
        found: the inputs in their order, by `key`.
        failed: inputs that cannot be used, as (what was given, why).
        left: files of a second suffix that were not taken.
        folders: directories that were given.
        passed: suffix, lower-case → number of other files that searches of directories and patterns passed over.
    """

    def __init__(
        self,
        suffixes: frozenset[str],
        recursive: bool,
        output: tuple[int, int] | None,
        second: frozenset[str] = frozenset(),
        expected: Literal["picture", "clip", "animation"] | None = None,
    ) -> None:
        self._expected = expected
        self.found: dict[Key, Found] = {}
        self.failed: list[tuple[str, InputError]] = []
        self.left: list[str] = []
        self.folders: list[str] = []
        self.passed: Counter[str] = Counter()
        self._suffixes = suffixes
        self._second = second
        self._kinds = f"give files of the kinds {' '.join(sorted(suffixes))}"
        self._recursive = recursive
        self._output = output
        self._real: dict[str, str] = {}

    def add(self, argument: str, *, literal: bool) -> None:
        """Add the inputs that ``argument`` means; a ``literal`` one is never a pattern or standard input."""
        argument = expanded(argument)
        if argument == "-" and not literal:
            self.found.setdefault(("", "-"), Found(None))
            return
        try:
            status = os.stat(argument)
        except (OSError, ValueError) as error:  # ValueError: a NUL or an unencodable character
            if os.path.islink(argument):
                self._add_file(argument)  # a dangling link, which the reader reports
            elif isinstance(error, OSError) and error.errno not in _MISSING:
                what, hint = explain_os_error(error)
                self._fail(argument, f"cannot be reached: {what}", hint or "check its name and permissions")
            elif not literal and has_magic(argument):
                self._add_pattern(argument)
            else:
                self._fail(argument, "there is no such file", "check the path for typing errors")
            return
        if stat.S_ISDIR(status.st_mode):
            self.folders.append(argument)
            self._add_folder(argument)
        elif found := self._misplaced(argument, status):
            self._fail(argument, found[0], f"use: {found[1].replace('*', printable(argument))}")
        else:
            self._add_file(argument, inode=status.st_ino)

    def _misplaced(self, path: str, status: os.stat_result) -> tuple[str, str] | None:
        """Return what a named file is that another command takes, and that command."""
        known = os.path.splitext(path)[1].lower() in self._suffixes
        if self._expected is None or known or not stat.S_ISREG(status.st_mode):
            return None
        with suppress(OSError), open(path, "rb") as file:
            return sniff.misplaced(file.read(sniff.HEAD), self._expected)
        return None  # its reader tells why

    def _fail(self, path: str, message: str, hint: str) -> None:
        self.failed.append((path, InputError(f"{printable(path)}: {message}", hint)))

    def _add_file(self, path: str, folder: str = "", inode: int = 0) -> None:
        self.found.setdefault(self.key(path), Found(path, folder, inode))

    def key(self, path: str) -> Key:
        """Return a key that is the same for all ways of writing ``path``."""
        parent, name = os.path.split(path)
        real = self._real.get(parent)
        if real is None:
            real = self._real[parent] = os.path.realpath(parent)
        return real, name

    def _wanted(self, name: str) -> bool:
        """Return whether a file that a search has found is taken; count it if not."""
        suffix = os.path.splitext(name)[1].lower()
        if suffix not in self._suffixes:
            self.passed[suffix or "without suffix"] += 1
        return suffix in self._suffixes

    def _add_folder(self, root: str) -> None:
        """Add a directory's files, and with ``recursive`` those below it, links to directories last.

        Every directory is visited once, so that circular links end, and under its own name if it has one here. Links to
        a directory above ``root`` are skipped, since they lead out of the requested directory.
        """
        seen = {identity(str(path)) for path in (Path(root).resolve(), *Path(root).resolve().parents)}
        stack, answered, deeper = [""], False, False
        links: list[str] = []
        seconds: list[Found] = []
        while stack or links:
            folder = stack.pop() if stack else links.pop(0)
            path = os.path.join(root, folder) if folder else root
            if folder:
                folder_identity = identity(path)
                if folder_identity in seen or folder_identity == self._output:
                    continue
                seen.add(folder_identity)
            try:
                entries = _list(path)
            except OSError as error:
                what, hint = explain_os_error(error)
                self._fail(path, f"cannot be listed: {what}", hint or "check its permissions")
                answered = True
                continue
            below: list[str] = []
            for entry in entries:
                if entry.name.startswith("."):
                    continue
                if _is_folder(entry):
                    (links if entry.is_symlink() else below).append(os.path.join(folder, entry.name))
                elif _is_file(entry) and self._wanted(entry.name):
                    if os.path.splitext(entry.name)[1].lower() in self._second:
                        seconds.append(Found(entry.path, folder, _inode(entry)))
                        continue
                    self._add_file(entry.path, folder, _inode(entry))
                    answered = True
            deeper = deeper or bool(below or links)
            if not self._recursive:
                break
            stack.extend(reversed(below))
        if seconds and answered:
            self.left += [str(each.path) for each in seconds]
        elif seconds:
            for each in seconds:
                self.found.setdefault(self.key(str(each.path)), each)
        elif not answered:
            more = "; search its subfolders with {recursive}" if deeper and not self._recursive else ""
            self._fail(root, "holds nothing to work on", self._kinds + more)

    def _add_pattern(self, pattern: str) -> None:
        """Add the paths to which a shell would expand the pattern, except files that are clearly of other kinds."""
        drive, rest = os.path.splitdrive(pattern)
        rest = rest.replace(os.altsep, os.sep) if os.altsep else rest
        split = [piece for piece in rest.split(os.sep) if piece]
        pieces = [piece for before, piece in zip(["", *split], split, strict=False) if not before == piece == "**"]
        suffix = os.path.splitext(rest)[1]
        named = bool(suffix) and _MAGIC.isdisjoint(suffix)  # '*.dat' means exactly those
        matched = False
        for path in self._matches(drive + (os.sep if rest.startswith(os.sep) else ""), pieces):
            if os.path.isdir(path):
                if "**" not in pieces:
                    self._add_folder(path)
                    matched = True
            elif named or self._wanted(path):
                self._add_file(path)
                matched = True
        if not matched:
            self._fail(pattern, "matches nothing", self._kinds)

    def _matches(self, base: str, pieces: list[str]) -> Iterator[str]:
        """Yield the paths below ``base`` that match. ``**`` follows no link, so it ends.

        A directory that is reached in several ways, by links or ``..``, is listed once for each rest of the pattern:
        otherwise the ways would multiply with each piece.
        """
        seen: set[tuple[object, ...]] = set()
        stack = [iter([(base, pieces)])]  # folders may be nested deeper than Python's recursion limit
        while stack:
            following = next(stack[-1], None)
            if following is None:
                stack.pop()
                continue
            base, pieces = following
            plain, rest = _literal(base, pieces)
            base = os.path.join(base, *plain)
            if plain and not os.path.lexists(base):
                continue
            if not rest:
                yield base
                continue
            state = identity(base or os.curdir) or base, *rest
            if state not in seen:
                seen.add(state)
                stack.append(self._steps(base, *rest))

    def _steps(self, base: str, piece: str, *rest: str) -> Iterator[tuple[str, list[str]]]:
        """Yield each path that matches a pattern's first piece in ``base``, with the rest of the pattern."""
        if piece == "**":
            yield base, list(rest) or ["*"]
        entries: list[os.DirEntry[str]] = []
        with suppress(OSError):
            entries = _list(base or os.curdir)
        for entry in entries:
            path = os.path.join(base, entry.name)
            if entry.name.startswith(".") and not piece.startswith("."):
                continue
            if piece == "**":
                if entry.is_dir(follow_symlinks=False) and identity(path) != self._output:
                    yield path, [piece, *rest]
            elif fnmatch.fnmatch(entry.name, piece) and (not rest or _is_folder(entry)):
                yield path, list(rest)


def _literal(base: str, pieces: list[str]) -> tuple[list[str], list[str]]:
    """Split a pattern's pieces: first those without magic, or that exist in ``base`` as they are, then the rest."""
    plain: list[str] = []
    for piece in pieces:
        if not _MAGIC.isdisjoint(piece) and (piece == "**" or not os.path.lexists(os.path.join(base, *plain, piece))):
            break
        plain.append(piece)
    return plain, pieces[len(plain) :]


def has_magic(text: str) -> bool:
    """Whether a text that names no file may be a pattern."""
    return not _MAGIC.isdisjoint(text)


def identity(path: str) -> tuple[int, int] | None:
    """Return a file's or directory's device and inode, the same for all its names; None when it cannot be reached."""
    try:
        status = os.stat(path)
    except (OSError, ValueError):
        return None
    return status.st_dev, status.st_ino


def _list(path: str) -> list[os.DirEntry[str]]:
    with os.scandir(path) as entries:
        return sorted(entries, key=lambda entry: natural_key(entry.name))


def _is_folder(entry: os.DirEntry[str]) -> bool:
    """Whether it is a directory or a link to one. The entry's own ``is_dir`` raises for a link to itself."""
    return os.path.isdir(entry.path) if entry.is_symlink() else entry.is_dir()


def _is_file(entry: os.DirEntry[str]) -> bool:
    """Whether it is a file, or a dangling link, which counts as a missing picture rather than no picture."""
    if entry.is_symlink():
        return os.path.isfile(entry.path) or not os.path.exists(entry.path)
    return entry.is_file()


def _inode(entry: os.DirEntry[str]) -> int:
    """Return the file's inode: known from the directory listing, looked up only where the entry is a link."""
    if not entry.is_symlink():
        return entry.inode()
    found = identity(entry.path)
    return found[1] if found else 0


def nothing_left(failed: Sequence[tuple[str, InputError]]) -> UsageError:
    """Return the error for a command without any usable input, given the inputs that failed."""
    if not failed:
        return UsageError("the list of inputs is empty", GIVE_LIST)
    return UsageError(some([error.message for _, error in failed]), failed[0][1].template)


def some(items: Sequence[str]) -> str:
    """Return the first few of ``items`` as text, and the number of further ones."""
    more = f"; and {len(items) - _SHOWN} more" if len(items) > _SHOWN else ""
    return "; ".join(items[:_SHOWN]) + more
