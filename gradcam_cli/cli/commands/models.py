"""``gradcam models``: the networks that are known by name."""

from __future__ import annotations

import json
import sys
from dataclasses import asdict
from typing import TYPE_CHECKING

import click

from gradcam_cli.cli.console import print_result

if TYPE_CHECKING:
    from gradcam_cli.models.architecture import ModelEntry

HEADINGS = ("MiB", "parameters", "top-1 %", "input")

EPILOG = """\b
Examples:
  gradcam models
  gradcam models 'resnet*'
  gradcam models 'timm:convnext*'
"""


@click.command(short_help="List the networks that are known by name.", epilog=EPILOG)
@click.argument("pattern", default="")
@click.option("--json", "as_json", is_flag=True, help="One JSON object a line.")
def models(pattern: str, *, as_json: bool) -> None:
    """List the networks that --model takes by name: those that match PATTERN, a glob or a part of the name.

    The columns are the size of the weights, the number of parameters, the top-1 accuracy on ImageNet, the side of the
    input, and whether the weights are on this machine. timm's networks, if timm is installed, are listed when PATTERN
    begins with timm:, and those of transformers that are in the Hugging Face cache when it begins with hf:. On a pipe,
    the columns are separated by tabs.
    """
    from gradcam_cli.models.registry import find_models, prefixes

    entries = find_models(pattern)
    if as_json:
        for entry in entries:
            print_result(json.dumps(asdict(entry)))
    elif sys.stdout.isatty():
        _print_table(entries)
    else:
        for entry in entries:
            print_result("\t".join([entry.name, *_figures(entry, ""), "cached" if entry.cached else ""]))
    if ":" not in pattern:
        for prefix in prefixes():
            name = prefix.rstrip(":")
            like = f", or a pattern such as '{prefix}resnet*'" if name == "timm" else ""
            click.echo(f"{name}'s networks are listed by: gradcam models '{prefix}*'{like}", err=True)


def _figures(entry: ModelEntry, separator: str) -> tuple[str, str, str, str]:
    """Return size, parameters, accuracy and input as text, empty where not known."""
    return (
        "" if entry.mebibytes is None else f"{entry.mebibytes:.1f}",
        "" if entry.parameters is None else f"{entry.parameters:{separator}}",
        "" if entry.accuracy is None else f"{entry.accuracy:.1f}",
        str(entry.input),
    )


def _print_table(entries: list[ModelEntry]) -> None:
    from rich.console import Console
    from rich.table import Table

    table = Table(box=None, pad_edge=False, header_style="dim")
    table.add_column("name", overflow="fold")
    figures = [_figures(entry, ",") for entry in entries]
    known = [position for position in range(len(HEADINGS)) if any(row[position] for row in figures)]
    for position in known:
        table.add_column(HEADINGS[position], justify="right", no_wrap=True)
    table.add_column("", no_wrap=True)
    for entry, row in zip(entries, figures, strict=True):
        mark = "◂ here" if entry.cached else ""
        table.add_row(entry.name, *(row[each] for each in known), mark, style="bold" if entry.cached else None)
    Console(highlight=False).print(table)
