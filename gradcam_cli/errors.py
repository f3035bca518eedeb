"""Errors with messages for a user, and the exit codes of the command.

The core raises; only the command line turns an error into a line on stderr and an exit code.
"""

from __future__ import annotations

from enum import IntEnum


class ExitCode(IntEnum):
    """Exit status of the ``gradcam`` command."""

    OK = 0
    FAILED = 1
    USAGE = 2
    PARTIAL = 3
    """Some inputs failed; the others are done."""
    INTERRUPTED = 130


class GradcamError(Exception):
    """An error that a user can understand.

    Args:
        message: one line that describes the problem.
        hint: one line with a remedy.
    """

    exit_code = ExitCode.FAILED

    def __init__(self, message: str, hint: str = "") -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint


class UsageError(GradcamError):
    """An impossible request, detected before any work began."""

    exit_code = ExitCode.USAGE


class InputError(GradcamError):
    """One input cannot be read or explained; the others are not affected."""


class OutputError(GradcamError):
    """A result cannot be written."""


class ModelError(GradcamError):
    """The network, its weights, its labels or its target layer cannot be used."""
