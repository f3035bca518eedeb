"""``gradcam records``: what an output directory holds."""

from __future__ import annotations

import sys
from itertools import chain, islice
from typing import TYPE_CHECKING, Any, Literal

import click

from gradcam_cli.cli.console import Console, print_result
from gradcam_cli.cli.options.types import FILE
from gradcam_cli.errors import ExitCode, InputError, UsageError
from gradcam_cli.files import explain_read_error
from gradcam_cli.text import counted, printable

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from gradcam_cli.store.reading import Records

MAX_ROWS = 1000
"""Most rows of a table on a terminal."""
WIDTHS = (
    ("input", 12, 32), ("class", 8, 24), ("probability", 11, 11), ("layer", 6, 24), ("method", 7, 24),
    ("files", 5, None),
)  # fmt: skip
"""The columns of the table, with their least and most characters."""
BLOCK = 256
"""Lines that are written at once."""

EPILOG = """\b
Examples:
  gradcam records
  gradcam records maps --csv > maps.csv
  gradcam records maps --json | jq 'select(.map.blank) | .input'
  gradcam records maps --check
"""


@click.command(short_help="List what an output directory holds; --check its files.", epilog=EPILOG)
@click.argument("directory", type=FILE, default="gradcam_output")
@click.option("--csv", "as_csv", is_flag=True, help="A table for spreadsheets.")
@click.option("--json", "as_json", is_flag=True, help="One JSON object a line.")
@click.option("--check", is_flag=True, help="Compare every file with its record; exit code 3 where one differs.")
def records(directory: Path, *, as_csv: bool, as_json: bool, check: bool) -> int:
    """List the results in DIRECTORY: which input, class, layer, method and files.

    The records are what every run keeps of its results, in DIRECTORY/.gradcam. Those that later ones replace are left
    out; only --check looks at the files. On a pipe, the columns are those of --csv, separated by tabs.
    """
    from gradcam_cli.store.reading import Records

    if as_csv + as_json + check > 1:
        raise UsageError("--csv, --json and --check exclude each other", "give one of them")
    if not directory.is_dir():
        raise UsageError(f"{printable(directory)}: there is no such directory", "give the directory of results")
    found = Records(directory)
    if not found.paths:
        raise UsageError(
            f"{printable(directory)}: there are no records",
            "gradcam image, video, gif and compare write them, unless --no-records is given",
        )
    try:
        code = _check(found) if check else _list(found, as_csv=as_csv, as_json=as_json)
    except BrokenPipeError:
        raise
    except OSError as error:
        what, hint = explain_read_error(error)
        raise InputError(f"{printable(error.filename or directory)}: {what}", hint) from error
    _note(found)
    return code


def _list(found: Records, *, as_csv: bool, as_json: bool) -> int:
    if as_json:
        _print_lines(line.decode().rstrip("\n") for line in found.current())
    elif as_csv:
        _print_lines(_csv(found))
    elif sys.stdout.isatty():
        _print_table(found)
    else:
        from gradcam_cli.store.columns import spelt

        _print_lines("\t".join(_safe(spelt(cell)) for cell in row.values()) for row in _rows(found))
    return ExitCode.OK


def _safe(text: str) -> str:
    """Return a text made safe for a terminal; an empty one stays empty."""
    return text and printable(text)


def _print_lines(lines: Iterator[str]) -> None:
    while block := list(islice(lines, BLOCK)):
        print_result("\n".join(block))


def _rows(found: Records) -> Iterator[dict[str, Any]]:
    from gradcam_cli.store.columns import row

    return map(row, found.rows())


def _csv(found: Records) -> Iterator[str]:
    import csv
    import io

    from gradcam_cli.store.columns import COLUMNS, guarded

    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\r\n")  # what ends a line is quoted within a cell
    for cells in chain([COLUMNS], ([guarded(row[name]) for name in COLUMNS] for row in _rows(found))):
        writer.writerow(cells)
        yield text.getvalue().removesuffix("\r\n")
        text.seek(0)
        text.truncate()


def _print_table(found: Records) -> None:
    import rich.console
    from rich.table import Table
    from rich.text import Text

    from gradcam_cli.store.columns import row

    table = Table(box=None, pad_edge=False, header_style="dim")
    for heading, least, most in WIDTHS:
        justify: Literal["left", "right"] = "right" if heading == "probability" else "left"
        table.add_column(heading, justify=justify, overflow="ellipsis", no_wrap=True, min_width=least, max_width=most)
    count = 0
    for record in found.rows():
        count += 1
        if count > MAX_ROWS:
            continue
        cells = row(record)
        value, score = "", cells["score"]
        if cells["probability"] is not None:
            value = f"{cells['probability']:.1%}"
        elif score is not None:
            value = f"{score:.4g}"
        marks = [mark for mark, given in (("blank", cells["blank"]), ("incomplete", not cells["complete"])) if given]
        name = "/".join(part for part in cells["input"].split("/")[-2:] if part != "..")
        target = cells["target"] or "each frame's own"
        shown = (name, target, value, cells["layer"], cells["method"], ", ".join((*record["files"], *marks)))
        table.add_row(*(Text(_safe(each)) for each in shown))
    rich.console.Console(highlight=False).print(table)
    if count > MAX_ROWS:
        click.echo(f"and {count - MAX_ROWS} more; --csv and --json list them all", err=True)


def _check(found: Records) -> int:
    from gradcam_cli.store.checking import check

    checked = check(found)
    for path, problem in checked.problems.items():
        print_result(f"{printable(path)}: {problem}")
    good = checked.files - len(checked.problems)
    parts = [f"results: {checked.results}", f"files as recorded: {good} of {checked.files}"]
    if checked.incomplete:
        parts.append(f"of inputs that are cut off or damaged: {checked.incomplete}")
    if checked.unrecorded:
        parts.append(f"files without a record: {checked.unrecorded}")
    Console(quiet=False, verbose=False).info(", ".join(parts))
    return ExitCode.PARTIAL if checked.problems else ExitCode.OK


def _note(found: Records) -> None:
    console = Console(quiet=False, verbose=False)
    for path in found.unreadable:
        console.info(f"note: {printable(path)} cannot be read, and is passed over")
    if found.damaged:
        console.info(f"note: {counted(found.damaged, 'unreadable line')} passed over, as a killed run leaves")
    if found.newer:
        console.info(f"note: {counted(found.newer, 'line')} of a newer gradcam passed over")
