"""``gradcam methods``: what there is to choose from."""

from __future__ import annotations

import json
import sys

import click

from gradcam_cli.cam.methods.registry import METHODS
from gradcam_cli.cli.console import print_result


@click.command(short_help="List the methods with their papers, for --method.")
@click.option("--json", "as_json", is_flag=True, help="One JSON object a line.")
def methods(*, as_json: bool) -> None:
    """List the methods that --method takes, each with what it does and where it was published.

    On a pipe the columns are separated by tabs.
    """
    if as_json:
        for name, entry in METHODS.items():
            print_result(json.dumps({"name": name, "summary": entry.summary, "paper": entry.paper or None}))
        return
    if not sys.stdout.isatty():
        for name, entry in METHODS.items():
            print_result(f"{name}\t{entry.summary}\t{entry.paper}")
        return
    from rich.console import Console
    from rich.table import Table

    table = Table(box=None, pad_edge=False, show_header=False)
    table.add_column(no_wrap=True, style="bold")
    table.add_column()
    for name, entry in METHODS.items():
        table.add_row(name, entry.summary)
        if entry.paper:
            table.add_row("", f"[dim]{entry.paper}[/dim]")
    Console(highlight=False).print(table)
