"""Files that appear whole or not at all: written beside their place, then moved there."""

from __future__ import annotations

import errno
import os
import secrets
from contextlib import ExitStack, contextmanager, suppress
from typing import TYPE_CHECKING

from gradcam_cli.errors import OutputError
from gradcam_cli.text import explain_os_error, printable

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

_LONGEST_NAME = 255  # bytes, on nearly every file system


def write_all(files: Mapping[Path, bytes]) -> None:
    """Write several files, none of which takes its place before all of them are written.

    Missing directories are made, existing files replaced, permissions are the user's usual ones (umask).
    Whatever goes wrong, Ctrl-C included, no part file is left behind.

    Raises:
        OutputError: a file cannot be written: the disk is full, permission is denied, …
    """
    with ExitStack() as stack:
        for path, content in files.items():
            part = stack.enter_context(atomic_path(path))
            with explained(path), part.open("xb") as stream:
                stream.write(content)


@contextmanager
def atomic_path(path: Path) -> Iterator[Path]:
    """Give the name of a part file to write to; it becomes ``path`` when the block ends without an exception.

    The name is in the same directory, which is made when missing; it begins with ``.``, ends with ``.part`` and is
    no other process's. After an exception the part file is removed, and ``path`` is as it was.

    Raises:
        OutputError: the directory cannot be made, or ``path`` cannot be replaced. What the block itself raises
            passes unchanged: `explained` words its own system errors.
    """
    with explained(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        if path.is_dir():
            raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR))
    part = _part(path)
    try:
        yield part
        with explained(path):
            os.replace(part, path)
    finally:
        with suppress(OSError):
            part.unlink(missing_ok=True)


@contextmanager
def explained(path: Path) -> Iterator[None]:
    """Turn a system error of the block into an `OutputError` that names ``path``.

    Raises:
        OutputError: instead of any OSError.
    """
    try:
        yield
    except OSError as error:
        what, hint = explain_os_error(error)
        raise OutputError(
            f"{printable(path)}: cannot be written: {what}", hint or "choose another place with --output-dir"
        ) from error


def _part(path: Path) -> Path:
    """``dog.png`` → ``.dog.png.4711-9f3a61.part``, with the name cut where the whole would be too long."""
    ending = f".{os.getpid()}-{secrets.token_hex(3)}.part"
    name = path.name
    while len(os.fsencode(name)) + len(ending) + 1 > _LONGEST_NAME:
        name = name[:-1]
    return path.with_name(f".{name}{ending}")
