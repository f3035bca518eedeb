"""Results that exist already: which of them a run with these settings would make again, by the directory's records."""

from __future__ import annotations

import os
import stat
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from gradcam_cli.errors import UsageError
from gradcam_cli.files import file_state, size_of
from gradcam_cli.plan.output_names import called
from gradcam_cli.store.reading import Records, as_json
from gradcam_cli.store.record import Places
from gradcam_cli.text import explain_os_error, printable

if TYPE_CHECKING:
    from pathlib import Path

    from gradcam_cli.plan.inputs import Search
    from gradcam_cli.plan.output_names import OutputOptions
    from gradcam_cli.records import Job, Output
    from gradcam_cli.store.reading import Claim


@dataclass
class Existing:
    """The results of a plan's jobs that exist.

    Attributes:
        whole: jobs of which nothing is missing, by their positions.
        paths: all files that exist.
        others: those that records know to be of other settings or of another input, also one of the same name.
        unknown: those of which no record tells the settings, and which are older than all records.
        unreadable: files of records that cannot be read.
        passed_over: number of lines of records that could not be read, or are of a newer version.
    """

    whole: set[int] = field(default_factory=set)
    paths: list[Path] = field(default_factory=list)
    others: list[Path] = field(default_factory=list)
    unknown: list[Path] = field(default_factory=list)
    unreadable: list[Path] = field(default_factory=list)
    passed_over: int = 0


def find_existing(jobs: list[Job], search: Search, options: OutputOptions) -> Existing:
    """Look for the results of jobs.

    Raises:
        UsageError: a result would overwrite an input, or a directory is in its place.
    """
    found = Existing()
    there: list[tuple[int, Output, os.stat_result]] = []
    inodes = {item.inode: item.path for item in search.found.values() if item.inode and item.path is not None}
    for position, job in enumerate(jobs):
        for output in job.outputs:
            try:
                status = os.lstat(output.path)
            except FileNotFoundError:
                continue
            except OSError as error:
                raise unwritable(output.path, explain_os_error(error)[0]) from error
            if stat.S_ISDIR(status.st_mode):
                raise unwritable(output.path, "it is a directory")
            if search.key(str(output.path)) in search.found or _same_file(output.path, status, inodes):
                raise UsageError(
                    f"{printable(output.path)}: a result of {called(job)} would overwrite this input",
                    "choose another directory with {output_dir}",
                )
            there.append((position, output, status))
    found.paths = [output.path for _, output, _ in there]
    if there:
        _judge(found, jobs, there, options)
    return found


def _judge(
    found: Existing, jobs: list[Job], there: list[tuple[int, Output, os.stat_result]], options: OutputOptions
) -> None:
    """Sort the results that exist into those that count, those that are unknown, and others."""
    places, records = Places(options.directory), Records(options.directory)
    since = records.since if options.hash_of else float("inf")
    by_name = {
        as_json(places.result(output.path)): (jobs[position], output, status) for position, output, status in there
    }
    known: set[bytes] = set()
    own: set[bytes] = set()  # of which a record is of these settings
    last: dict[bytes, tuple[bool, bool]] = {}  # of the last record that a file is unchanged since: its own? complete?
    for claim in records.claims() if since < float("inf") else ():
        if claim.path not in by_name:
            continue
        job, output, status = by_name[claim.path]
        known.add(claim.path)
        is_own = _is_its_own(claim, job, output, places, options)
        if is_own:
            own.add(claim.path)
        if _is_unchanged(claim, output.path, status):
            is_own = is_own and (job.input is None or claim.input_size == size_of(job.input))
            last[claim.path] = is_own, claim.complete
    found.unreadable, found.passed_over = records.unreadable, records.damaged + records.newer
    missing = {position: len(job.outputs) for position, job in enumerate(jobs)}
    for name, (position, output, status) in zip(by_name, there, strict=True):
        if jobs[position].input is not None and name not in known and status.st_mtime_ns < since:
            found.unknown.append(output.path)
            missing[position] -= 1
        elif last.get(name) == (True, True) and jobs[position].input is not None:  # what stdin has is not known yet
            missing[position] -= 1
        elif name in known and not (last[name][0] if name in last else name in own):
            found.others.append(output.path)
    found.whole = {position for position, count in missing.items() if count == 0}


def _is_its_own(claim: Claim, job: Job, output: Output, places: Places, options: OutputOptions) -> bool:
    """Whether a record is of these settings and this input."""
    assert options.hash_of is not None
    assert options.parts is not None
    own = options.hash_of(options.parts[output.part])
    return claim.settings_hash == own and claim.input == as_json(places.input(job.input))


def _is_unchanged(claim: Claim, path: Path, status: os.stat_result) -> bool:
    """Whether a file is the recorded one; it is read only if its time differs, as in a copied directory."""
    try:
        if stat.S_ISLNK(status.st_mode):  # to where a store of large files has moved it
            status = os.stat(path)
        if claim.size != status.st_size or not stat.S_ISREG(status.st_mode):
            return False
        return status.st_mtime_ns == claim.changed or file_state(path).sha256 == claim.sha256
    except OSError:
        return False


def _same_file(path: Path, status: os.stat_result, inodes: dict[int, str]) -> bool:
    """Whether ``path`` is another name (a link of either kind) of an input."""
    try:
        if stat.S_ISLNK(status.st_mode):
            status = os.stat(path)
        return status.st_ino in inodes and os.path.samefile(inodes[status.st_ino], path)
    except OSError:  # a dangling link
        return False


def unwritable(path: Path, reason: str) -> UsageError:
    """Return the error for a place where no result can be written."""
    return UsageError(
        f"{printable(path)}: cannot be written: {reason}", "choose another directory for the results with {output_dir}"
    )
