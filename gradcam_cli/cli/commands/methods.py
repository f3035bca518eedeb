"""``gradcam methods``: the methods to choose from."""

from __future__ import annotations

import json
import sys
from typing import TYPE_CHECKING, Any

import click

from gradcam_cli.cam.methods.registry import listed_methods, method_named
from gradcam_cli.cli.console import Console, print_result

if TYPE_CHECKING:
    from gradcam_cli.cam.methods.method import Method, Parameter

EPILOG = """\b
Examples:
  gradcam methods
  gradcam methods smoothgrad
  gradcam image dog.jpg --method smoothgrad:n=32,sigma=0.2
"""


@click.command(short_help="List the methods with their papers, for --method.", epilog=EPILOG)
@click.argument("name", required=False)
@click.option("--json", "as_json", is_flag=True, help="One JSON object a line.")
def methods(name: str | None, *, as_json: bool) -> None:
    """List the methods for --method, each with a summary and its paper; with NAME, one method and its parameters.

    Methods of other packages come last. On a pipe, the columns are separated by tabs.
    """
    if name is not None:
        shown = [method_named(name)]
    else:
        shown, problems = listed_methods()
        for problem in problems:
            Console(quiet=False, verbose=False).warning(problem)
    if as_json:
        for method in shown:
            print_result(json.dumps(_record(method)))
    elif not sys.stdout.isatty():
        for method in shown:
            print_result(f"{method.name}\t{method.summary}\t{method.paper}")
        if name is not None:
            for parameter in shown[0].parameters:
                print_result("\t".join((parameter.name, *_figures(parameter), parameter.meaning)))
    else:
        _print_tables(shown, with_parameters=name is not None)


def _record(method: Method) -> dict[str, Any]:
    parameters = [
        {"name": each.name, "default": each.default, "meaning": each.meaning or None} for each in method.parameters
    ]
    package = None if method.plugin is None else f"{method.plugin.package} {method.plugin.version}"
    return {
        "name": method.name,
        "summary": method.summary,
        "paper": method.paper or None,
        "parameters": parameters,
        "package": package,
    }


def _figures(parameter: Parameter) -> tuple[str, str]:
    """Return the default and the range as text, empty where there is none."""
    limits = f"{parameter.low:g}…{parameter.high:g}" if parameter.high < float("inf") else ""
    return f"{parameter.default:g}", limits


def _print_tables(shown: list[Method], *, with_parameters: bool) -> None:
    import rich.console
    from rich.table import Table

    console = rich.console.Console(highlight=False)
    table = Table(box=None, pad_edge=False, show_header=False)
    table.add_column(no_wrap=True, style="bold")
    table.add_column()
    for method in shown:
        table.add_row(method.name, method.summary)
        if method.paper:
            table.add_row("", f"[dim]{method.paper}[/dim]")
        if method.plugin is not None:
            table.add_row("", f"[dim]package {method.plugin.package} {method.plugin.version}[/dim]")
    console.print(table)
    if not with_parameters:
        return
    (method,) = shown
    if not method.parameters:
        console.print("It has no parameters.", style="dim")
        return
    listing = Table(box=None, pad_edge=False, header_style="dim")
    for heading in ("parameter", "default", "range", ""):
        listing.add_column(heading)
    for parameter in method.parameters:
        listing.add_row(parameter.name, *_figures(parameter), parameter.meaning)
    console.print()
    console.print(listing)
