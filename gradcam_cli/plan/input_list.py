"""Lists of inputs in files."""

from __future__ import annotations

import codecs
import sys
from contextlib import nullcontext

from gradcam_cli.errors import UsageError
from gradcam_cli.files import read_at_most
from gradcam_cli.text import explain_os_error, printable

GIVE_LIST = "give {from_file} a file with one path a line"

MAX_BYTES = 256 << 20
"""Largest list: a million long paths."""


def read_list(source: str) -> list[str]:
    """Return the entries of the list in a file, or with ``-`` on standard input.

    UTF-16 is what Windows PowerShell writes; NUL ends the entries of ``find -print0``.

    Raises:
        UsageError: it cannot be read.
    """
    try:
        with nullcontext(sys.stdin.buffer) if source == "-" else open(source, "rb") as stream:
            data = read_at_most(stream, MAX_BYTES)
    except (OSError, ValueError) as error:
        reason = explain_os_error(error)[0] if isinstance(error, OSError) else str(error)
        raise UsageError(f"{printable(source)}: the list cannot be read: {reason}", GIVE_LIST) from error
    if data is None:
        raise UsageError(f"{printable(source)}: the list is larger than {MAX_BYTES >> 20} MiB", GIVE_LIST)
    if data.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
        text = data.decode("utf-16", "replace")
    else:
        text = data.removeprefix(codecs.BOM_UTF8).decode("utf-8", "surrogateescape")
    lines = text.split("\0") if "\0" in text else [line.removesuffix("\r") for line in text.split("\n")]
    return [line for line in lines if line.strip()]
