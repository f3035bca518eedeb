"""File names of results; no two results share one.

An input's name may contain anything that the file system allows: emoji, bytes that are not UTF-8, line breaks. It is
kept where that is safe, so that results are found beside one another; only characters that would break a list with one
path per line are replaced.
"""

from __future__ import annotations

import hashlib
import os
import re
import unicodedata
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from gradcam_cli.errors import UsageError
from gradcam_cli.plan.name_template import USUAL, NameTemplate, parse_template
from gradcam_cli.records import Job, Output, Part
from gradcam_cli.store.record import FOLDER
from gradcam_cli.text import printable, quoted

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

MAX_NAME_BYTES = 235
"""Most bytes of a result's name. File systems allow 255; the rest is for the part file's ``.<name>.<pid>.part``."""

MAX_PART_BYTES = 40
"""Most bytes of one part (a label, a layer, a method), so that a long label leaves room for the picture's own name."""

_LEAST_STEM = 32
"""Bytes of an input's own name for which there is always room."""

_STDIN_STEM = "stdin"

STDOUT = Path("-")
"""Stands for standard output, as the one file of a result; files that are named so have a suffix."""

_LINE_BREAKING = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029]")
_DIGITS = re.compile(r"([0-9]+)")


@dataclass(frozen=True, slots=True)
class OutputOptions:
    """Where results are written, and what happens to existing ones.

    Attributes:
        directory: their directory; folders below it mirror those of an input directory.
        kinds: kinds of result, in the order in which they are reported.
        format: suffix, without its dot, of the results that are pictures.
        containers: suffix, without its dot, of the kinds that are not pictures.
        parts: layers, targets and methods that each have their own results; None where their names are not known until
            the network is loaded: then inputs and directories are checked, and the files when `Plan.revised` names
            them.
        policy: for results that exist: replace them, skip inputs that have them all, or refuse to start.
        name_from: source of ``{stem}``: the input's name, or its whole path, which is unique.
        template: of the names.
        hash_of: returns the settings' hash of a part, see `store.settings_hash`; None where nothing is known of the
            settings, and existing files are taken by their names.
        records: whether records are written.
        joined: whether all inputs share the results of the first.
        file: the one file that is written instead of those in the directory, `STDOUT` for standard output, or None.
    """

    directory: Path
    kinds: tuple[str, ...]
    format: str = "png"
    containers: Mapping[str, str] = field(default_factory=dict)
    parts: tuple[Part, ...] | None = (Part(),)
    policy: Literal["replace", "skip", "refuse"] = "replace"
    name_from: Literal["stem", "path"] = "stem"
    template: NameTemplate = field(default_factory=lambda: parse_template(USUAL))
    hash_of: Callable[[Part], str] | None = None
    records: bool = False
    joined: bool = False
    file: Path | None = None


def natural_key(name: str) -> tuple[list[str | int], str]:
    """Return a sort key that puts ``frame2`` before ``frame10`` and ignores case."""
    pieces: list[str | int] = list(_DIGITS.split(name.casefold()))
    pieces[1::2] = map(int, pieces[1::2])
    return pieces, name


def fold(name: str) -> str:
    """Return the form of ``name`` by which file systems that ignore case and Unicode composition compare names."""
    return name.lower() if name.isascii() else unicodedata.normalize("NFC", name.casefold())


def clean(name: str) -> str:
    """Return ``name`` with ``_`` for each control character and line separator."""
    return _LINE_BREAKING.sub("_", name)


@dataclass(frozen=True, slots=True)
class Ending:
    """What is known of a result's name before its input: see `records.Output`.

    Attributes:
        part: the position of the part in `OutputOptions.parts`.
        fields: the values of the template's fields, all but those of the input.
    """

    key: str
    container: str
    part: int
    fields: dict[str, str]

    def name(self, template: NameTemplate, stem: str, suffix: str) -> str:
        """Return the result's path in the output directory, with ``/``: ``dog_overlay_golden-retriever.png``."""
        return f"{template.filled({**self.fields, 'stem': stem, 'suffix': suffix})}.{self.container}"


def endings(options: OutputOptions) -> list[Ending]:
    """Return what is known of each result's name before its input: each kind's for all parts, in their order.

    Raises:
        UsageError: the template gives two results of one input the same name.
    """
    parts = options.parts or (Part(),)
    names = _distinct([part.name for part in parts])
    found: list[Ending] = []
    for key in options.kinds:
        kind, _, container = key.partition(".")
        container = container or options.containers.get(kind, options.format)
        for position, (part, name) in enumerate(zip(parts, names, strict=True)):
            of_part = {each: plain(getattr(part, each)) for each in ("layer", "target", "method")}
            found.append(Ending(key, container, position, {"kind": kind, "part": name, **of_part}))
    owners: dict[str, Ending] = {}
    for end in found:
        other = owners.setdefault(fold(end.name(options.template, "x", "x")), end)
        if other is not end:
            lacks = "{kind}" if other.fields["kind"] != end.fields["kind"] else "{part}"
            raise UsageError(
                f"the template {quoted(options.template.text)} gives several results of one input the same name",
                f"add {lacks} to {{name_template}}",
            )
    return found


def _distinct(names: Iterable[str]) -> list[str]:
    """Return names in the form used in file names; equal ones (ImageNet has two cranes) are numbered."""
    found: list[str] = []
    taken: set[str] = set()
    for name in names:
        short = plain(name)
        numbered, number = short, 1
        while fold(numbered) in taken:
            number += 1
            numbered = f"{short}-{number}"
        taken.add(fold(numbered))
        found.append(numbered)
    return found


def plain(name: str) -> str:
    """Return the name of a layer, target or method as file names have it; empty for an empty one."""
    return shorten(re.sub(r"[^\w.+-]+", "-", name).strip("-.") or _digest(name), MAX_PART_BYTES, name) if name else ""


def stem_from_name(name: str, room: int) -> str:
    """Return the stem of the results of a file called ``name``: without its last suffix, ``room`` bytes at most."""
    return shorten(clean(os.path.splitext(name)[0]), room, name)


def stem_from_path(path: str, current: str, room: int) -> str:
    """Return a stem that no other path has: ``a/my-cat.jpg`` → ``a-my--cat-jpg``.

    Separators and the suffix's dot become ``-``, so a ``-`` of the path itself is doubled. Where that still
    could be read in two ways (outside the current directory, no suffix, a name with ``-`` at an end, a replaced
    character) a hash of the path follows. The stem depends on this one path alone, so that a batch that is
    resumed or split finds the same names.

    Args:
        path: path of the input.
        current: absolute path of the current directory.
        room: most bytes of the stem.
    """
    absolute = os.path.abspath(path)
    prefix = current.rstrip(os.sep) + os.sep
    inside = absolute.startswith(prefix)
    source = absolute[len(prefix) :] if inside else absolute
    root, suffix = os.path.splitext(os.path.splitdrive(source)[1].strip(os.sep))
    pieces = root.split(os.sep) + ([suffix[1:]] if len(suffix) > 1 else [])
    flat = "-".join(piece.replace("-", "--") for piece in pieces)
    stem = clean(flat)
    readable = inside and len(suffix) > 1 and stem == flat
    if readable and not any(piece.startswith("-") or piece.endswith("-") for piece in pieces):
        return shorten(stem, room, source)
    return _with_digest(stem, room, source)


def shorten(stem: str, room: int, source: str) -> str:
    """Return ``stem`` in at most ``room`` bytes; a cut one ends in a hash of ``source``, so it stays distinct."""
    return stem if len(os.fsencode(stem)) <= room else _with_digest(stem, room, source)


def _with_digest(stem: str, room: int, source: str) -> str:
    ending = f"-{_digest(source)}"
    left = max(1, room - len(ending))
    stem = stem[:left]
    while len(os.fsencode(stem)) > left:  # whole characters are removed, never a part of one
        stem = stem[:-1]
    return stem + ending


def _digest(source: str) -> str:
    return hashlib.blake2s(os.fsencode(source), digest_size=4).hexdigest()


def build_jobs(found: Iterable[tuple[str | None, str]], options: OutputOptions) -> list[Job]:
    """Return one job for each input, given as (path, or None for standard input; folder that its results mirror).

    Raises:
        UsageError: the template gives two results of one input the same name, or too long a one.
    """
    ends = endings(options)
    room = _room(ends, options.template)
    current = os.path.realpath(os.curdir) if options.name_from == "path" else ""
    jobs = []
    for path, folder in found:
        suffix = ""
        if path is None:
            below, stem = "", _STDIN_STEM
        elif options.name_from == "path":
            below, stem = "", stem_from_path(path, current, room)
        else:
            below, stem = clean(folder), stem_from_name(os.path.basename(path), room)
        stem = f"_{stem}" if stem == FOLDER else stem  # with a template it could become the directory of records
        if path is not None and "suffix" in options.template.fields:
            suffix = shorten(clean(os.path.splitext(path)[1].lstrip(".")), MAX_PART_BYTES, path)
        base = os.path.join(options.directory, below)
        jobs.append(
            Job(
                input=None if path is None else Path(path),
                name="standard input" if path is None else printable(path),
                stem=Path(base, stem),
                outputs=tuple(
                    Output(
                        end.key, end.fields["kind"], end.container, end.part,
                        Path(os.path.join(base, end.name(options.template, stem, suffix))),
                    )
                    for end in ends
                ),
            )
        )  # fmt: skip
    return [replace(jobs[0], others=tuple(jobs[1:]))] if options.joined and jobs else jobs


def _room(ends: Iterable[Ending], template: NameTemplate) -> int:
    """Return the most bytes that an input's own name may have in the results' names.

    Raises:
        UsageError: there is no room for one.
    """
    longest, most = 0, 1  # bytes of a piece, stems in a piece
    for end in ends:
        path = end.name(template, "\0", "x" * MAX_PART_BYTES if "suffix" in template.fields else "")
        for piece in path.split("/"):
            longest = max(longest, len(os.fsencode(piece)))
            most = max(most, piece.count("\0"))
    if longest > MAX_NAME_BYTES - _LEAST_STEM:
        raise UsageError(
            f"the template {quoted(template.text)} makes names that are too long", "give a shorter {name_template}"
        )
    return (MAX_NAME_BYTES - longest + most) // most


def clashes(keyed: Iterable[tuple[str, Job]]) -> list[tuple[str, Job, Job]]:
    """Return pairs of jobs that share a key, each pair once, as (the key, the first job, the second)."""
    owners: dict[str, Job] = {}
    pairs = {
        (called(owners[key]), called(job)): (key, owners[key], job)
        for key, job in keyed
        if owners.setdefault(key, job) is not job
    }
    return list(pairs.values())


def called(job: Job) -> str:
    """Return the name of a job's input in a message."""
    return job.name if job.input is None else f"'{job.name}'"
