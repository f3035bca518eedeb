"""What every reader of a user's file needs: names that are safe to print, and a look before opening."""

from __future__ import annotations

from typing import TYPE_CHECKING

from gradcam_cli.errors import ModelError
from gradcam_cli.files import explain_read_error, refusal
from gradcam_cli.text import quoted

if TYPE_CHECKING:
    from pathlib import Path


def require_regular(path: Path, kind: str) -> None:
    """Check, without opening it, that ``path`` is a regular file.

    Args:
        path: the file.
        kind: what messages call it: ``weights`` or ``labels``.

    Raises:
        ModelError: there is no such file, or it is something else.
    """
    refused = refusal(path, f"a {kind} file", f"give the path of a {kind} file")
    if refused:
        raise ModelError(f"{kind} {quoted(path)}: {refused[0]}", refused[1])


def unreadable(path: Path, kind: str, error: OSError) -> ModelError:
    """Return the error for a file, called ``kind`` in messages, that the system does not let one read."""
    what, hint = explain_read_error(error)
    return ModelError(f"{kind} {quoted(path)}: {what}", hint)
