"""Appends to a directory's records: a file of its own for each process, a line for each result."""

from __future__ import annotations

import errno
import os
import secrets
import stat
import time
from contextlib import suppress
from typing import TYPE_CHECKING

from gradcam_cli.errors import OutputError, UsageError
from gradcam_cli.store.record import FOLDER
from gradcam_cli.text import explain_os_error, printable

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path
    from types import TracebackType

    from typing_extensions import Self

_ATTEMPTS = 100


class Recorder:
    """Appends lines to a file of this process in ``.gradcam``; a context manager.

    The file is there before the first result, so that results without a line are known not to be older than records.
    A line is appended by one system call and only ever whole: what a full disk has cut off is taken back. At the end of
    a run without any result, the file is removed.

    Args:
        directory: the output directory.

    Raises:
        OutputError: the file cannot be made.
        UsageError: ``.gradcam`` is no directory.
    """

    def __init__(self, directory: Path) -> None:
        self._folder = directory / FOLDER
        self._path = self._folder
        self._handle = -1
        self._identity = 0, 0
        self._used = False

    def __enter__(self) -> Self:
        self._open()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._close()
        if not self._used and kind is None:  # a run that was stopped may have results that are not recorded yet
            with suppress(OSError):  # another run's may be there
                self._path.unlink()
                self._folder.rmdir()

    def add(self, lines: Iterable[bytes]) -> None:
        """Append lines, all of one input.

        Raises:
            OutputError: they cannot be written; then none of them is.
        """
        self._used = True
        size = self._size()
        if size is None:  # the directory was removed, or moved away
            self._close()
            try:
                self._open()
            except UsageError as error:  # the run is under way
                raise OutputError(error.message, error.template) from error
            size = 0
        data = b"".join(lines)
        try:
            written = os.write(self._handle, data)
            if written < len(data):
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        except OSError as error:
            with suppress(OSError):
                os.ftruncate(self._handle, size)
            raise self._failure(error) from error

    def _close(self) -> None:
        if self._handle >= 0:
            os.close(self._handle)
            self._handle = -1

    def _open(self) -> None:
        require_folder(self._folder)
        try:
            for _ in range(_ATTEMPTS):
                with suppress(FileNotFoundError, FileExistsError):  # another run has just cleared the directory away
                    self._create()
                    return
            self._create()
        except OSError as error:
            raise self._failure(error) from error

    def _create(self) -> None:
        self._folder.mkdir(parents=True, exist_ok=True)
        self._path = self._folder / _name()
        flags = os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_EXCL | getattr(os, "O_BINARY", 0)
        self._handle = os.open(self._path, flags, 0o666)
        self._identity = _identity(os.fstat(self._handle))

    def _size(self) -> int | None:
        """Return the bytes of the file, or None where it is not there any more; one call, since each costs a lock."""
        try:
            status = os.stat(self._path)
        except OSError:
            return None
        return status.st_size if _identity(status) == self._identity else None

    def _failure(self, error: OSError) -> OutputError:
        what, hint = explain_os_error(error)
        return OutputError(
            f"{printable(self._path)}: the record cannot be written: {what}",
            hint or "choose another place with {output_dir}, or leave the records out with {no_records}",
        )


def _identity(status: os.stat_result) -> tuple[int, int]:
    return status.st_dev, status.st_ino


def require_folder(folder: Path) -> None:
    """Check that the directory of records is one, or can be made.

    Raises:
        UsageError: something else has its name.
    """
    with suppress(OSError):  # it is made then, which tells what is wrong
        if not stat.S_ISDIR(os.lstat(folder).st_mode):
            raise UsageError(
                f"{printable(folder)}: is no directory, and records are kept there",
                "move it away, or leave the records out with {no_records}",
            )


def _name() -> str:
    """Return a name that no other process has; names in their order are those of the processes' starts."""
    now = time.time_ns()
    stamp = time.strftime("%Y%m%dT%H%M%S", time.gmtime(now // 10**9))
    return f"{stamp}.{now % 10**9:09d}-{secrets.token_hex(4)}.jsonl"
