"""Atomic output: a file is written under a temporary name in its directory, then renamed."""

from __future__ import annotations

import errno
import hashlib
import os
import platform
import re
import secrets
from contextlib import ExitStack, contextmanager, suppress
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

from gradcam_cli.errors import OutputError
from gradcam_cli.files import file_state
from gradcam_cli.records import FileState
from gradcam_cli.text import explain_os_error, printable

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from io import FileIO

_LONGEST_NAME = 255  # bytes, on nearly every file system
_PART = re.compile(r"\..*\.(?P<process>[1-9][0-9]*)-(?P<system>[0-9a-f]{8})[0-9a-f]{6}\.part", re.DOTALL)


def write_all(files: Mapping[Path, bytes]) -> dict[Path, FileState]:
    """Write several files, and return their states; they are renamed into place only after all of them are written.

    Missing directories are made, existing files replaced, permissions are the user's usual ones (umask).
    After any failure, Ctrl-C included, no part file is left behind.

    Raises:
        OutputError: a file cannot be written: the disk is full, permission is denied, …
    """
    written = {}
    with ExitStack() as stack:
        for path, content in files.items():
            part = stack.enter_context(atomic_path(path))
            with explained(path), part.open("xb", buffering=0) as stream:
                _write(stream, content)
                changed = os.fstat(stream.fileno()).st_mtime_ns
            written[path] = FileState(len(content), hashlib.sha256(content).hexdigest(), changed)
    return written


def _write(stream: FileIO, content: bytes) -> None:
    """Write all of ``content``: a system call may write a part of it."""
    rest = memoryview(content)
    while rest:
        rest = rest[stream.write(rest) :]


@contextmanager
def atomic_path(path: Path, written: dict[Path, FileState] | None = None) -> Iterator[Path]:
    """Yield the name of a part file to write to; it is renamed to ``path`` when the block ends without an exception.

    The part file is in the same directory, which is made when missing; its name begins with ``.``, ends with ``.part``
    and is unique to this process. After an exception the part file is removed, and ``path`` is unchanged.
    `remove_abandoned` removes part files of killed processes.

    Args:
        path: of the file.
        written: takes the file's state, read before another process can replace it.

    Raises:
        OutputError: the directory cannot be made, or ``path`` cannot be replaced. Exceptions of the block
            itself pass unchanged; `explained` is for its system errors.
    """
    with explained(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        if path.is_dir():
            raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR))
    part = _part(path)
    try:
        yield part
        with explained(path):
            if written is not None:
                written[path] = file_state(part)
            os.replace(part, path)
    finally:
        with suppress(OSError):
            part.unlink(missing_ok=True)


def keep_part(part: Path, path: Path) -> None:
    """Keep the unfinished content of ``path`` under a name that marks it: ``cat.mp4`` → ``cat.partial.mp4``.

    Raises:
        OutputError: the part file cannot be renamed.
    """
    kept = path.with_name(f"{path.stem}.partial{path.suffix}")
    with explained(kept):
        os.replace(part, kept)


def remove_abandoned(folder: Path) -> None:
    """Remove part files in a directory whose processes ended without removing them (SIGKILL, power failure).

    Part files of other machines and containers stay, since it is unknown here whether their processes still run.
    """
    if os.name != "posix":  # other systems have no harmless way of checking for a process
        return
    with suppress(OSError), os.scandir(folder) as entries:
        for entry in entries:
            found = _PART.fullmatch(entry.name)
            if found and found["system"] == _system() and not _lives(int(found["process"])):
                with suppress(OSError):
                    os.unlink(entry.path)


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
            f"{printable(path)}: cannot be written: {what}", hint or "choose another place with {output_dir}"
        ) from error


def _part(path: Path) -> Path:
    """``dog.png`` → ``.dog.png.4711-02c4e19b9f3a61.part``, with the name cut where the whole would be too long."""
    ending = f".{os.getpid()}-{_system()}{secrets.token_hex(3)}.part"
    name = path.name
    while len(os.fsencode(name)) + len(ending) + 1 > _LONGEST_NAME:
        name = name[:-1]
    return path.with_name(f".{name}{ending}")


@cache
def _system() -> str:
    """Return eight hexadecimal digits for the scope of process numbers: a machine, or a container on it."""
    parts = [platform.node()]
    with suppress(OSError):
        parts.append(os.readlink("/proc/self/ns/pid"))
    with suppress(OSError):
        parts.append(Path("/etc/machine-id").read_text())
    return hashlib.blake2s("\n".join(parts).encode(), digest_size=4).hexdigest()


def _lives(process: int) -> bool:
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    except (OSError, OverflowError):  # another user's process, or not a valid process number
        return True
    return True
