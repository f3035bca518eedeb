"""The plan, made before the first picture is opened and before torch is loaded: inputs → jobs.

Nothing heavy is imported here and no picture is decoded. So the plan does not know whether an input is a picture: its
reader finds out, and a bad one fails alone.
"""

from __future__ import annotations

import os
import tempfile
import unicodedata
from contextlib import suppress
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Literal

from gradcam_cli.errors import UsageError
from gradcam_cli.media.atomic import remove_abandoned
from gradcam_cli.plan.existing import Existing, find_existing, unwritable
from gradcam_cli.plan.input_list import read_list
from gradcam_cli.plan.inputs import Search, identity, nothing_left, some
from gradcam_cli.plan.name_template import USUAL
from gradcam_cli.plan.output_names import STDOUT, OutputOptions, build_jobs, called, clashes, fold
from gradcam_cli.store.record import FOLDER
from gradcam_cli.store.writing import require_folder
from gradcam_cli.text import counted, explain_os_error, printable

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence
    from pathlib import Path

    from gradcam_cli.errors import InputError
    from gradcam_cli.records import Job, Part

__all__ = ["OutputOptions", "Plan", "make_plan"]

_USUAL = (".jpg", ".mp4", ".gif")
_RENAME = "rename one, or write them to different directories with {output_dir}"


@dataclass(frozen=True, slots=True)
class Plan:
    """The jobs of a run.

    Attributes:
        jobs: in the order of the inputs, a directory's in natural order.
        skipped: number of inputs whose results all exist already.
        search: the inputs that were found, and those that cannot be used.
        options: options for the outputs.
        notes: notes on results that exist, one line each.
    """

    jobs: list[Job]
    skipped: int
    search: Search
    options: OutputOptions
    notes: tuple[str, ...] = ()

    @property
    def failed(self) -> list[tuple[str, InputError]]:
        """Inputs that cannot be used, as (what was given, why). The others are not affected."""
        return self.search.failed

    def revised(self, parts: tuple[Part, ...], hash_of: Callable[[Part], str] | None) -> Plan:
        """Return the plan with other parts of the results, or other hashes of their settings; raises as `make_plan`."""
        return _planned(self.search, replace(self.options, parts=parts, hash_of=hash_of))


def make_plan(
    inputs: Sequence[str],
    *,
    suffixes: frozenset[str],
    second: frozenset[str] = frozenset(),
    options: OutputOptions,
    from_file: str | None = None,
    recursive: bool = False,
    expected: Literal["picture", "clip", "animation"] | None = None,
) -> Plan:
    """Return the jobs for the inputs, create the output directory and remove part files of killed runs from it.

    Args:
        inputs: files, directories, patterns (``*.jpg``, ``**/cat.*``) and ``-`` for standard input.
        suffixes: suffixes of files taken from directories and patterns, lower-case, with their dot. A file that is
            named is taken whatever its suffix.
        second: those of the suffixes whose files are taken from a directory only if it has no others.
        options: options for the outputs.
        from_file: file that lists inputs, one a line or ended by NUL; ``-`` for standard input.
        recursive: whether directories' subfolders are searched too.
        expected: what the inputs are to be; None takes any.

    Raises:
        UsageError: no input can be used, two inputs would write one file, an input would be overwritten, or an
            output cannot be written (or exists, when the policy is to refuse). No directory is left behind then.
    """
    if not inputs and from_file is None:
        example = next((suffix for suffix in _USUAL if suffix in suffixes), "")
        raise UsageError("no input was given", f"name a file or a directory, as in: cat{example} holiday/")
    if from_file == "-" and "-" in inputs:
        raise UsageError("standard input cannot be both the list of inputs and an input", "save one of them in a file")
    avoided = identity(str(options.directory)) if options.file is None else None
    search = Search(suffixes, recursive, avoided, second, expected)
    for argument in inputs:
        search.add(argument, literal=False)
    for line in read_list(from_file) if from_file is not None else ():
        search.add(line, literal=True)
    if not search.found:
        raise nothing_left(search.failed)
    return _planned(search, options)


def _planned(search: Search, options: OutputOptions) -> Plan:
    jobs = build_jobs(((item.path, item.folder) for item in search.found.values()), options)
    if options.file is not None:
        jobs, options = _to_one_file(jobs, search, options, options.file)
    if not options.kinds or options.file == STDOUT:
        return Plan(jobs, 0, search, options)
    _check_clashes(jobs, options)
    for folder in _folders(jobs, options):
        remove_abandoned(folder)
    skipped, notes = 0, tuple[str, ...]()
    if options.parts is not None and os.path.lexists(options.directory):
        jobs, skipped, notes = _without_existing(jobs, find_existing(jobs, search, options), options)
    if jobs:
        _prepare(jobs, options)
    if options.parts is None:  # these names were as good as any for the checks
        jobs = [replace(job, outputs=()) for job in jobs]
    return Plan(jobs, skipped, search, options, notes)


def _to_one_file(
    jobs: list[Job], search: Search, options: OutputOptions, file: Path
) -> tuple[list[Job], OutputOptions]:
    """Return the one job with the one file that it writes, and the options for that file's directory.

    Raises:
        UsageError: there are several results.
    """
    name = "standard output" if file == STDOUT else printable(file)
    given = sum(1 + len(job.others) for job in jobs) + len(search.failed)
    hint = "give a directory for the results with {output_dir}"
    if search.folders and not options.joined:
        raise UsageError(f"{name} takes one result, and {printable(search.folders[0])} is a directory", hint)
    if len(jobs) != 1 or (search.failed and given > 1):
        raise UsageError(f"{name} takes one result, and there are {counted(given, 'input')}", hint)
    if options.parts is None or len(jobs[0].outputs) != 1:
        several = "each layer has its own" if options.parts is None else f"there are {len(jobs[0].outputs)}"
        raise UsageError(f"{name} takes one result, and {several}", hint)
    outputs = (replace(jobs[0].outputs[0], path=file),)
    return [replace(jobs[0], stem=file.with_suffix(""), outputs=outputs)], replace(options, directory=file.parent)


def _folders(jobs: Iterable[Job], options: OutputOptions) -> set[Path]:
    """Return the directories of the results; where no template makes folders, the stem tells it."""
    spread = "/" in options.template.text
    return {path.parent for job in jobs for path in (job.paths if spread else [job.stem])}


def _check_clashes(jobs: Sequence[Job], options: OutputOptions) -> None:
    shared = clashes((str(path), job) for job in jobs for path in job.paths)
    if not shared:
        return
    by_suffix = all(_suffix(first) != _suffix(second) for _, first, second in shared)
    if "stem" not in options.template.fields:
        hint = "add {stem} to {name_template}"
    elif by_suffix and options.template.text == USUAL:
        more = "_{part}" if options.parts is None or len(options.parts) > 1 else ""
        hint = f"tell them apart with {{name_template}} '{{stem}}_{{suffix}}_{{kind}}{more}'"
    else:
        hint = "tell them apart with {name_from} path" if options.name_from == "stem" else _RENAME
    pairs = [f"{called(first)} and {called(second)} (both '{printable(key)}')" for key, first, second in shared]
    raise UsageError(f"the results would have the same name: {some(pairs)}", hint)


def _suffix(job: Job) -> str:
    return os.path.splitext(job.given)[1].lower()


def _without_existing(
    jobs: list[Job], existing: Existing, options: OutputOptions
) -> tuple[list[Job], int, tuple[str, ...]]:
    """Return the remaining jobs, the number of skipped ones, and notes, according to the policy."""
    if existing.paths and options.policy == "refuse":
        hint = "keep them and do the others with {skip_existing}, or leave out {no_overwrite} to replace them"
        if existing.others or options.file is not None:
            place = "directory" if options.file is None else "name"
            hint = (
                f"keep them: choose another {place} with {{output_dir}}, or leave out {{no_overwrite}} to replace them"
            )
        raise UsageError(f"results exist already: {some(_quoted(existing.others or existing.paths))}", hint)
    notes = [f"{printable(path)} cannot be read: what it records counts as unknown" for path in existing.unreadable]
    if existing.passed_over:
        notes.append(
            f"{counted(existing.passed_over, 'line')} of the records passed over: damaged, or of a newer gradcam"
        )
    remaining = jobs
    if options.policy == "skip":
        remaining = [job for position, job in enumerate(jobs) if position not in existing.whole]
        if existing.unknown:
            what = f"{counted(len(existing.unknown), 'result')} without a record"
            notes.append(f"{what} taken as existing, whatever its settings were: {some(_quoted(existing.unknown))}")
    if existing.others:
        what = f"{counted(len(existing.others), 'result')} of other settings, or of another input"
        notes.append(f"replacing {what}: {some(_quoted(existing.others))}")
    return remaining, len(jobs) - len(remaining), tuple(notes)


def _quoted(paths: Iterable[Path]) -> list[str]:
    return [f"'{printable(path)}'" for path in paths]


def _prepare(jobs: Sequence[Job], options: OutputOptions) -> None:
    """Create the output directory, the only sure test that it is possible; remove it if that or the plan fails."""
    directory = options.directory
    created = [path for path in (directory, *directory.parents) if not os.path.lexists(path)]
    try:
        try:
            directory.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise unwritable(directory, explain_os_error(error)[0]) from error
        if options.records:
            require_folder(directory / FOLDER)
        for folder in sorted(_folders(jobs, options) | {directory}):
            while not os.path.lexists(folder):
                folder = folder.parent
            if not os.path.isdir(folder):
                raise unwritable(folder, "it is a file")
            if linked := _link_between(directory, folder):
                raise UsageError(
                    f"{printable(linked)}: is a symbolic link, and results are not written through one",
                    "remove the link, or choose another directory for the results with {output_dir}",
                )
            if not os.access(folder, os.W_OK | os.X_OK):
                raise unwritable(folder, "permission denied, or the file system is read-only")
        shared = clashes((fold(str(path)), job) for job in jobs for path in job.paths)
        if shared and _ignores_case(directory):
            pairs = [
                f"{called(first)} and {called(second)} (both '{printable(second.stem)}…')"
                for _, first, second in shared
            ]
            raise UsageError(f"the output directory does not tell these names apart: {some(pairs)}", _RENAME)
        if options.file is None:
            created = []
    finally:  # one file's writer makes its directory anew: a run that fails leaves none
        for path in created:
            with suppress(OSError):
                path.rmdir()


def _link_between(directory: Path, folder: Path) -> Path | None:
    """Return a symbolic link between the output directory, which may itself be one, and a folder in it, or None."""
    below = (each for each in (folder, *folder.parents) if each != directory and each.is_relative_to(directory))
    return next((each for each in below if each.is_symlink()), None)


def _ignores_case(directory: Path) -> bool:
    """Whether names that differ only in case or composition are one name there; assumed if it cannot be tried."""
    try:
        with tempfile.NamedTemporaryFile(prefix=".gradcam-\u00e9-", dir=directory) as probe:
            parent, name = os.path.split(probe.name)
            others = name.upper(), unicodedata.normalize("NFD", name)
            return any(os.path.lexists(os.path.join(parent, other)) for other in others)
    except (OSError, UnicodeError):
        return True
