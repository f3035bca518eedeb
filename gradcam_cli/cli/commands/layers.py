"""``gradcam layers``: the layers that can be the target layer."""

from __future__ import annotations

import json
import sys
from dataclasses import asdict
from typing import TYPE_CHECKING

import click

from gradcam_cli.cli.console import print_result
from gradcam_cli.cli.options.types import FILE, Checked, input_size
from gradcam_cli.models.registry import check_name
from gradcam_cli.models.sources.user_code.spec import parse_argument

if TYPE_CHECKING:
    from pathlib import Path

    from gradcam_cli.pipeline.layer_listing import Listing

EPILOG = """\b
Examples:
  gradcam layers resnet50
  gradcam layers vit_b_16 --depth 3
  gradcam layers net.py:build --model-arg depth=18
  gradcam layers --weights mine.pth
"""


@click.command(short_help="List a network's layers, for --layer.", epilog=EPILOG)
@click.argument("model", type=Checked("MODEL", check_name), default="auto")
@click.option(
    "-w", "--weights", type=FILE, metavar="FILE", help="Checkpoint whose network to list, as in gradcam image."
)
@click.option(
    "--depth", type=click.IntRange(1), metavar="N", default=2, show_default=True, help="Levels of blocks to list."
)
@click.option(
    "--model-arg",
    "arguments",
    type=Checked("NAME=VALUE", parse_argument),
    multiple=True,
    help="Argument for your own code; repeat for several.",
)
@click.option(
    "--input-size",
    "size",
    type=Checked("PIXELS", input_size),
    metavar="PIXELS|HxW",
    help="Side of the input, or its size.",
)
@click.option("--json", "as_json", is_flag=True, help="One JSON object a line.")
def layers(
    model: str,
    weights: Path | None,
    depth: int,
    arguments: tuple[tuple[str, object], ...],
    size: int | tuple[int, int] | None,
    *,
    as_json: bool,
) -> None:
    """List the layers of a network that have a grid, for --layer: feature maps, grid, parameters.

    MODEL is a name that 'gradcam models' lists, timm:NAME, FILE.py:FUNCTION or package.module:CLASS.

    The layer that --layer auto takes is marked, and shown however deep it is. No weights are needed; your own
    checkpoint can be given. The network's preprocessing is shown too. On a pipe, the columns are separated by tabs.
    """
    from gradcam_cli.pipeline.layer_listing import list_layers

    listing = list_layers(model, size, weights, dict(arguments))
    if listing.problem:
        click.echo(f"warning: no layer is taken by itself: {listing.problem}", err=True)
    shown = [each for each in listing.layers if each.name.count(".") < depth or each.name == listing.auto]
    if as_json:
        for each in shown:
            print_result(json.dumps({**asdict(each), "auto": each.name == listing.auto}))
    elif sys.stdout.isatty():
        _print_tree(listing, [each.name for each in shown])
    else:
        click.echo(_heading(listing), err=True)
        for each in shown:
            grid = f"{each.grid[0]}×{each.grid[1]}"
            mark = "auto" if each.name == listing.auto else ""
            print_result(f"{each.name}\t{each.kind}\t{each.maps}\t{grid}\t{each.parameters}\t{mark}")


def _heading(listing: Listing) -> str:
    """Return the network's name and its preprocessing."""
    (height, width), preset = listing.input, listing.preset
    colours = "luma" if preset.channels == 1 else "RGB"
    mean, std = (",".join(f"{number:g}" for number in numbers) for numbers in (preset.mean, preset.std))
    return f"{listing.model}, input {width}×{height}, {colours} 0…{preset.scale}, mean {mean}, std {std}"


def _print_tree(listing: Listing, names: list[str]) -> None:
    from rich.console import Console
    from rich.table import Table

    table = Table(box=None, pad_edge=False, header_style="dim")
    table.add_column("layer", no_wrap=True)
    table.add_column("kind", style="dim")
    for heading in ("feature maps", "grid", "parameters"):
        table.add_column(heading, justify="right")
    table.add_column("")
    for each in listing.layers:
        if each.name in names:
            auto = each.name == listing.auto
            table.add_row(
                "  " * each.name.count(".") + each.name, each.kind, str(each.maps), f"{each.grid[0]}×{each.grid[1]}",
                f"{each.parameters:,}", "◂ auto" if auto else "", style="bold" if auto else None,
            )  # fmt: skip
    console = Console(highlight=False)
    console.print(_heading(listing), style="bold")
    console.print(table)
