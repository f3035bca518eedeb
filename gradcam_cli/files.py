"""Checks of a file before it is opened, its digest, and messages for files that cannot be read."""

from __future__ import annotations

import errno
import hashlib
import os
import stat
from functools import lru_cache
from typing import TYPE_CHECKING

from gradcam_cli.records import FileState
from gradcam_cli.text import explain_os_error

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path
    from typing import BinaryIO

_SPECIAL = {stat.S_IFIFO: "pipe", stat.S_IFSOCK: "socket"}


def refusal(path: Path, wanted: str, hint: str) -> tuple[str, str] | None:
    """Check ``path`` without opening it: opening a pipe waits for ever, and a device may never end.

    Args:
        path: the file.
        wanted: the expected kind: ``a picture``.
        hint: the remedy for a directory, pipe, socket or device.

    Returns:
        None for a regular file; otherwise the problem (``is a directory, not a picture``) and a remedy.
    """
    try:
        mode = os.stat(path).st_mode
    except ValueError:  # a NUL in the name
        return "no file can have this name", "check the path for typing errors"
    except OSError as error:
        if error.errno == errno.ENOENT and os.path.islink(path):
            what = "cannot be read: it is a symbolic link to a file that does not exist"
            return what, "remove the link, or point it to a file"
        return explain_read_error(error)
    if stat.S_ISREG(mode):
        return None
    if stat.S_ISDIR(mode):
        return f"is a directory, not {wanted}", hint
    return f"is not a regular file but a {_SPECIAL.get(stat.S_IFMT(mode), 'device')}", hint


def expanded(path: str) -> str:
    """Return a path with its ``~`` expanded, as shells do not behind an ``=``, in quotes and in lists of files."""
    return os.path.expanduser(path) if path.startswith("~") and not os.path.lexists(path) else path


def read_at_most(stream: BinaryIO, most: int) -> bytes | None:
    """Return the rest of ``stream``, or None when that is more than ``most`` bytes: a device may never end."""
    data = stream.read(most + 1)
    return data if len(data) <= most else None


def file_state(path: Path) -> FileState:
    """Read a file through; one that has not changed since is not read again.

    Raises:
        OSError: it cannot be read.
    """
    status = os.stat(path)
    return FileState(status.st_size, _sha256_once(path, status.st_size, status.st_mtime_ns), status.st_mtime_ns)


@lru_cache(maxsize=256)
def _sha256_once(path: Path, size: int, changed: int) -> str:  # a changed file is another
    return sha256([path])


def sha256(paths: Iterable[Path]) -> str:
    """Return the SHA-256 in hexadecimal of files one after another.

    Raises:
        OSError: one of them cannot be read.
    """
    digest = hashlib.sha256()
    for path in paths:
        with open(path, "rb") as file:
            while chunk := file.read(1 << 20):
                digest.update(chunk)
    return digest.hexdigest()


def size_of(path: Path | None) -> int | None:
    """Return a file's bytes; None for no path, and where it cannot be reached: its reader tells why."""
    try:
        return None if path is None else os.stat(path).st_size
    except OSError:
        return None


def explain_read_error(error: OSError) -> tuple[str, str]:
    """Return the reason why a file cannot be read (``cannot be read: permission denied``), and a remedy."""
    what, hint = explain_os_error(error)
    return f"cannot be read: {what}", hint or "copy it elsewhere and try again"
