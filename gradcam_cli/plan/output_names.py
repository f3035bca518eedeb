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
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Literal, NamedTuple

from gradcam_cli.records import Job, Output
from gradcam_cli.text import printable

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

MAX_NAME_BYTES = 235
"""Most bytes of a result's name. File systems allow 255; the rest is for the part file's ``.<name>.<pid>.part``."""

MAX_PART_BYTES = 40
"""Most bytes of one part (a label, a layer, a method), so that a long label leaves room for the picture's own name."""

_STDIN_STEM = "stdin"

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
        parts: layers, targets or methods that each have their own results; None where their names are not known until
            the network is loaded: then inputs and directories are checked, and the files when `Plan.with_parts` names
            them.
        policy: for results that exist: replace them, skip inputs that have them all, or refuse to start.
        name_from: source of the names: the input's name, or its whole path, which is unique.
    """

    directory: Path
    kinds: tuple[str, ...]
    format: str = "png"
    containers: Mapping[str, str] = field(default_factory=dict)
    parts: tuple[str, ...] | None = ()
    policy: Literal["replace", "skip", "refuse"] = "replace"
    name_from: Literal["stem", "path"] = "stem"


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


class Ending(NamedTuple):
    """The end of a result's name, after the stem; see `records.Output`."""

    key: str
    kind: str
    container: str
    part: str

    def __str__(self) -> str:
        """Return the text: ``_overlay_golden-retriever.png``."""
        part = f"_{self.part}" if self.part else ""
        return f"_{self.kind}{part}.{self.container}"


def endings(
    keys: Iterable[str], picture_format: str, parts: Iterable[str] = (), containers: Mapping[str, str] | None = None
) -> list[Ending]:
    """Return the end of each result's name, after the stem.

    Args:
        keys: kinds of result; one with its own container has that after a dot (``overlay.gif``).
        picture_format: suffix, without its dot, of all kinds that are pictures.
        parts: layers, targets or methods to distinguish; each kind then appears once for each of them.
        containers: suffix, without its dot, of the kinds that are not pictures.
    """
    names = _distinct_parts(parts) or [""]
    found = []
    for key in keys:
        kind, _, container = key.partition(".")
        container = container or (containers or {}).get(kind, picture_format)
        found += [Ending(key, kind, container, name) for name in names]
    return found


def _distinct_parts(parts: Iterable[str]) -> list[str]:
    """Return the parts in the form used in file names; equal ones (ImageNet has two cranes) are numbered."""
    names: list[str] = []
    taken: set[str] = set()
    for part in parts:
        plain = shorten(re.sub(r"[^\w.+-]+", "-", part).strip("-.") or _digest(part), MAX_PART_BYTES, part)
        name, number = plain, 1
        while fold(name) in taken:
            number += 1
            name = f"{plain}-{number}"
        taken.add(fold(name))
        names.append(name)
    return names


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
    """Return one job for each input, given as (path, or None for standard input; folder that its results mirror)."""
    ends = [(end, str(end)) for end in endings(options.kinds, options.format, options.parts or (), options.containers)]
    room = MAX_NAME_BYTES - max((len(os.fsencode(text)) for _, text in ends), default=0)
    current = os.path.realpath(os.curdir) if options.name_from == "path" else ""
    jobs = []
    for path, folder in found:
        if path is None:
            below, stem = "", _STDIN_STEM
        elif options.name_from == "path":
            below, stem = "", stem_from_path(path, current, room)
        else:
            below, stem = clean(folder), stem_from_name(os.path.basename(path), room)
        base = os.path.join(options.directory, below, stem)
        jobs.append(
            Job(
                input=None if path is None else Path(path),
                name="standard input" if path is None else printable(path),
                stem=Path(base),
                outputs=tuple(Output(*end, Path(base + text)) for end, text in ends),
            )
        )
    return jobs


def clashes(keyed: Iterable[tuple[str, Job]]) -> list[str]:
    """Describe the pairs of jobs that share a key, each pair once."""
    owners: dict[str, Job] = {}
    pairs = {(called(owners[key]), called(job)): job for key, job in keyed if owners.setdefault(key, job) is not job}
    return [f"{first} and {second} (both '{printable(job.stem)}_…')" for (first, second), job in pairs.items()]


def called(job: Job) -> str:
    """Return the name of a job's input in a message."""
    return job.name if job.input is None else f"'{job.name}'"
