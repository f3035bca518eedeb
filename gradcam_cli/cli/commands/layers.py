"""``gradcam layers``: the layers that can be the target layer."""

from __future__ import annotations

import json
import sys
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

import click

from gradcam_cli.cli.console import print_result
from gradcam_cli.cli.options.network import label_option, preprocessing_options, text_option
from gradcam_cli.cli.options.types import FILE, Checked
from gradcam_cli.errors import UsageError
from gradcam_cli.models.registry import check_name
from gradcam_cli.models.sources.user_code.spec import parse_argument
from gradcam_cli.pipeline.settings import ModelSettings
from gradcam_cli.text import printable

if TYPE_CHECKING:
    from pathlib import Path

    from gradcam_cli.pipeline.layer_listing import Listing

EPILOG = """\b
Examples:
  gradcam layers resnet50
  gradcam layers vit_b_16 --depth 3
  gradcam layers net.py:build --model-arg depth=18
  gradcam layers --weights mine.pth
  gradcam layers --weights mine.pth --input-size 150 --labels names.txt --write-config
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
@click.option("--output", metavar="NAME|INDEX", help="Which of a network's several outputs has the class scores.")
@text_option
@label_option
@preprocessing_options
@click.option(
    "--write-config", is_flag=True,
    help="Write input size, mean, std, labels, layer and activation, as far as they are known, into NAME.gradcam.toml "
    "beside the checkpoint or the code, where every command finds them.",
)  # fmt: skip
@click.option("--json", "as_json", is_flag=True, help="One JSON object a line.")
def layers(
    model: str,
    weights: Path | None,
    depth: int,
    arguments: tuple[tuple[str, object], ...],
    *,
    write_config: bool,
    as_json: bool,
    **options: Any,  # noqa: ANN401
) -> None:
    """List the layers of a network that have a grid, for --layer: feature maps, grid, parameters.

    MODEL is a name that 'gradcam models' lists, timm:NAME, hf:FOLDER, FILE.py:FUNCTION or package.module:CLASS.

    The layer that --layer auto takes is marked, and shown however deep it is. No weights are needed; your own
    checkpoint can be given. The network's preprocessing is shown too. On a pipe, the columns are separated by tabs.
    """
    from gradcam_cli.media.atomic import write_all
    from gradcam_cli.models.checkpoints.input_record import written
    from gradcam_cli.pipeline.layer_listing import list_layers

    file = _side_file(model, weights) if write_config else None
    listing = list_layers(ModelSettings(model=model, weights=weights, arguments=arguments, **options))
    if file is not None:
        write_all({file: written(listing.record).encode()})
        lacking = [name for name in ("size", "mean", "std", "scale") if getattr(listing.record, name) is None]
        more = f", without what is only assumed: {', '.join(lacking)}" if lacking else ""
        click.echo(f"{printable(file)} written{more}", err=True)
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


def _side_file(model: str, weights: Path | None) -> Path:
    """Return the side file of the checkpoint, of the folder, or of the code.

    Raises:
        UsageError: the network has none of them.
    """
    from gradcam_cli.models.load import side_file_for

    found = side_file_for(model, weights)
    if found is None:
        hint = "add --weights FILE, or name a FILE.py:FUNCTION or hf:FOLDER"
        raise UsageError("--write-config has nothing to write beside", hint)
    return found


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
