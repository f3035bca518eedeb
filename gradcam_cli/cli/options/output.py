"""Where results go: into a directory, into the one file that is named, or to standard output."""

from __future__ import annotations

import os
import sys
from typing import TYPE_CHECKING, Any, NamedTuple

import click

from gradcam_cli.cli.options.types import path
from gradcam_cli.errors import UsageError
from gradcam_cli.pipeline.artifacts.registry import SUFFIXES
from gradcam_cli.plan.output_names import STDOUT
from gradcam_cli.records import FIGURE_FORMATS
from gradcam_cli.text import printable

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

PICTURES = {".png": "png", ".jpg": "jpg", ".jpeg": "jpg", ".webp": "webp"}
"""Suffix of a picture's file → its format."""
FIGURES = {f".{suffix}": suffix for suffix in FIGURE_FORMATS}
VIDEOS = {".mp4": "mp4"}
GIFS = {".gif": "gif"}

_USUAL_KIND = "overlay"
_KNOWN = {**PICTURES, **FIGURES, **VIDEOS, **GIFS}


class Place(NamedTuple):
    """Where results go, as it was typed.

    Attributes:
        path: of a directory or a file.
        stdout: whether it is ``-``, for standard output.
        folder: whether it ends as only a directory's path does.
    """

    path: Path
    stdout: bool = False
    folder: bool = False


def place(text: str) -> Place:
    """Return the place that was typed: ``maps``, ``out.png``, ``-``.

    Raises:
        UsageError: no file can have this name.
    """
    return Place(path(text), text == "-", text.endswith(tuple({"/", os.sep})))


def for_one_file(
    options: Mapping[str, Any], formats: Mapping[str, str], *, format_option: str | None = None
) -> dict[str, Any]:
    """Return a command's options, for one result where one file is named: they have its kind and its format alone.

    Args:
        options: as they were given. ``save`` is the option for kinds, where there is one.
        formats: suffix, lower-case with its dot, of the files that the command writes → format.
        format_option: the parameter that the format is chosen by.

    Returns:
        The options with ``one_file``: its path, `STDOUT`, or None where results go to a directory.

    Raises:
        UsageError: other options ask for something else than one such file.
    """
    where: Place = options["output_dir"]
    kinds = options.get("save", ())
    if not _given("save") and len(kinds) != 1:
        kinds = (_USUAL_KIND,)
    of_kind = SUFFIXES.get(kinds[0]) if len(kinds) == 1 else None
    suffix = where.path.suffix.lower()
    if not where.stdout:
        if where.folder or os.path.isdir(where.path) or suffix not in {**_KNOWN, f".{of_kind}": of_kind}:
            return {**options, "one_file": None}
        if suffix not in {**formats, f".{of_kind}": of_kind}:
            wanted = " ".join(formats)
            raise UsageError(f"{_name(where)}: no result is of that kind", f"name a file with {wanted}, or a directory")
    _check(options, where, kinds)
    found = dict(options)
    if "save" in options:
        found["save"] = kinds
    if where.stdout:
        if format_option == "formats" and len(options["formats"]) > 1:
            raise UsageError("standard output takes one format of the figure", "choose it: --format png")
        return {**found, "one_file": STDOUT}
    if of_kind is not None and suffix != f".{of_kind}":
        raise UsageError(
            f"{_name(where)}: --save {kinds[0]} writes .{of_kind}", "name the file so, or save another kind"
        )
    if format_option is not None and of_kind is None:
        several = format_option == "formats"
        made = (formats[suffix],) if several else formats[suffix]
        if _given(format_option) and options[format_option] != made:
            asked = ",".join(options[format_option]) if several else options[format_option]
            raise UsageError(f"{_name(where)} is not --format {asked}", "leave --format out: the suffix tells it")
        found[format_option] = made
    return {**found, "one_file": where.path}


def _check(options: Mapping[str, Any], where: Place, kinds: tuple[str, ...]) -> None:
    """Raise UsageError where other options do not go with one file, or with standard output."""
    name = _name(where)
    if len(kinds) > 1 or options.get("gif"):
        what = "the video and its GIF are" if options.get("gif") else f"--save {','.join(kinds)} are"
        raise UsageError(f"{name} is one file, and {what} several", "ask for one kind, or give a directory")
    for option in ("name_template", "name_from"):
        if _given(option):
            raise UsageError(f"{name} is a file's name already", f"leave --{option.replace('_', '-')} out")
    if options["skip_existing"]:
        why = "nothing exists there before" if where.stdout else "beside it no records say how it was made"
        raise UsageError(f"{name} cannot be skipped: {why}", "use --no-overwrite, or give a directory")
    if not where.stdout:
        return
    if options["as_json"]:
        raise UsageError("--json and the result cannot both go to standard output", "name a file with -o")
    if kinds == ("json",):
        raise UsageError("the record has the paths of files, and there are none", "use --json, or name a file with -o")
    if options.get("keep_partial"):
        raise UsageError("--keep-partial keeps a file, and there is none", "name a file with -o")
    if sys.stdout is not None and sys.stdout.isatty():
        raise UsageError("a terminal cannot show the result", "send it to a file or a program: -o - > out.png")


def _name(where: Place) -> str:
    return "standard output" if where.stdout else printable(where.path)


def _given(parameter: str) -> bool:
    """Whether an option was typed: what the environment says is a default, which the file's name overrides."""
    source = click.get_current_context().get_parameter_source(parameter)
    return source is click.core.ParameterSource.COMMANDLINE
