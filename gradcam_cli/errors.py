"""Errors with messages for a user, and the exit codes of the command.

The core raises errors; only the command line turns an error into a line on stderr and an exit code.
"""

from __future__ import annotations

import re
from enum import IntEnum
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable


class ExitCode(IntEnum):
    """Exit status of the ``gradcam`` command."""

    OK = 0
    FAILED = 1
    USAGE = 2
    PARTIAL = 3
    """Some inputs failed; the others are done."""
    INTERRUPTED = 130


SETTINGS = frozenset(
    [
        "batch_size",
        "codec",
        "device",
        "end",
        "fit",
        "format",
        "fps",
        "from_file",
        "fuse",
        "gif_width",
        "input_size",
        "labels",
        "layer",
        "max_frames",
        "max_pixels",
        "max_size",
        "method",
        "model",
        "model_arg",
        "name_from",
        "name_template",
        "no_overwrite",
        "no_records",
        "output",
        "output_dir",
        "precision",
        "recursive",
        "reshape",
        "size",
        "skip_existing",
        "start",
        "sweep",
        "target",
        "text",
        "weights",
    ]
)
"""Settings that hints may name, by their Python names; the command line spells them as options."""

_SETTING = re.compile(r"\{([a-z_]+)\}")


class GradcamError(Exception):
    """An error that a user can understand.

    Args:
        message: one line: what is wrong.
        hint: one line: what to do about it. A setting stands in braces, ``{input_size}``, since it has one name in
            Python and another on the command line.
        example: lines of code that show what the hint means.

    Attributes:
        message: one line: what is wrong.
        template: the hint with its braces, for an error that is derived from this one.
        example: lines of code, or empty.
    """

    exit_code = ExitCode.FAILED

    def __init__(self, message: str, hint: str = "", example: str = "") -> None:
        super().__init__(message)
        self.message = message
        self.template = hint
        self.example = example

    @property
    def hint(self) -> str:
        """One line: what to do about it, with the settings' Python names."""
        return self.hint_with(lambda name: name)

    def hint_with(self, spell: Callable[[str], str]) -> str:
        """Return the hint with the settings' names as spelt by ``spell``."""
        return _SETTING.sub(lambda match: spell(match[1]) if match[1] in SETTINGS else match[0], self.template)


class UsageError(GradcamError):
    """An impossible request, detected before any work begins."""

    exit_code = ExitCode.USAGE


class InputError(GradcamError):
    """One input cannot be read or explained; the others are not affected."""


class OutputError(GradcamError):
    """A result cannot be written."""


class ModelError(GradcamError):
    """The network, its weights, its labels or its target layer cannot be used."""
