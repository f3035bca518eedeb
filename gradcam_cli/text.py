"""Names and system errors as text for messages: safe to print, and in one line."""

from __future__ import annotations

import errno
import os
import re

_UNPRINTABLE = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029\u061c\u200e\u200f\u202a-\u202e\u2066-\u2069\ud800-\udfff]")
_WHOLE = re.compile(r"-?[0-9]{1,9}")

_PERMISSIONS = "check who owns it and its permissions (ls -l)"
_OTHER_DISK = "free some space, or choose another disk"
_BLOCKED = ("a part of its path is a file, not a directory", "check the path, part by part")
_REASONS = {
    errno.ENOENT: ("there is no such file", "check the path for typing errors"),
    errno.EACCES: ("permission denied", _PERMISSIONS),
    errno.EPERM: ("permission denied", _PERMISSIONS),
    errno.EROFS: ("the file system is read-only", "choose another place"),
    errno.ENOTDIR: _BLOCKED,
    errno.EEXIST: _BLOCKED,  # of mkdir: a file exists where a directory should be
    errno.EISDIR: ("it is a directory", "choose another name, or move the directory away"),
    errno.ELOOP: ("it is a symbolic link that leads back to itself", "remove the link, or point it to a file"),
    errno.ENAMETOOLONG: ("the name is too long", "choose a shorter name (255 bytes is the usual limit)"),
    errno.ENOSPC: ("the disk is full", _OTHER_DISK),
    errno.EDQUOT: ("the disk quota is used up", _OTHER_DISK),
    errno.EFBIG: ("the file would be larger than allowed", "raise the limit (ulimit -f), or choose another disk"),
    errno.EMFILE: ("too many files are open", "raise the limit (ulimit -n), or use fewer workers"),
    errno.ENFILE: ("too many files are open", "close other programs, or use fewer workers"),
    errno.EIO: ("the device reports an input/output error", "check the disk or the network drive"),
}


def printable(text: str | os.PathLike[str]) -> str:
    r"""Return ``text``, often a path, made safe for one line of a terminal.

    Control characters, line separators, direction overrides and undecodable bytes appear as ``\n``, ``\u202e``,
    ``\xe9``; everything else stays. An empty text appears as ``''``.
    """
    return _UNPRINTABLE.sub(_escaped, os.fspath(text)) or "''"


def escaped_json(text: str) -> str:
    r"""Return an equivalent JSON text, with ``\u202e`` and the like for characters that `printable` escapes."""
    return _UNPRINTABLE.sub(lambda match: f"\\u{ord(match[0]):04x}", text)


def quoted(name: object, limit: int = 80) -> str:
    """Return ``name`` for a message: printable, in quotes, its middle left out beyond ``limit`` characters."""
    text = printable(str(name)) if str(name) else ""
    if len(text) > limit:
        text = f"{text[: limit // 2]}…{text[-limit // 2 :]}"
    return f"'{text}'"


def counted(number: int, noun: str) -> str:
    """Return a number with what is counted: ``1 file``, ``2 files``."""
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"


def whole_number(text: str) -> int | None:
    """Return the number that ``text`` contains in digits, with or without a minus; None for anything else.

    Numbers of more than nine digits are not needed, and Python refuses those of some thousand digits.
    """
    return int(text) if _WHOLE.fullmatch(text) else None


def _escaped(match: re.Match[str]) -> str:
    code = ord(match[0])
    if 0xDC80 <= code <= 0xDCFF:  # Python's code for an undecodable byte
        return f"\\x{code - 0xDC00:02x}"
    return match[0].encode("unicode_escape").decode("ascii")


def first_line(error: BaseException) -> str:
    """Return the first line of an error's text, printable; the name of its type where it has none."""
    return next((printable(line.strip()) for line in str(error).splitlines() if line.strip()), type(error).__name__)


def typed_line(error: BaseException) -> str:
    """Return ``first_line`` behind the name of the error's type."""
    name, line = type(error).__name__, first_line(error)
    return line if line == name else f"{name}: {line}"


def explain_os_error(error: OSError) -> tuple[str, str]:
    """Return a system error's description and a remedy, which is empty for unusual errors."""
    known = _REASONS.get(error.errno or 0)
    return known or (printable(error.strerror or str(error) or type(error).__name__), "")
