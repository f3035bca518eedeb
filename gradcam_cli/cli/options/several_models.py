"""The networks of a comparison: each ``--model`` with the ``--weights``, ``--labels`` and ``--layer`` behind it."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import click

from gradcam_cli.cli.options.settings import model_settings
from gradcam_cli.cli.options.types import SectionCommand
from gradcam_cli.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from gradcam_cli.pipeline.settings import ModelSettings

_ORDER = "gradcam_cli.order"
_OWN = ("models", "weights", "labels", "layers")


class OrderedCommand(SectionCommand):
    """A command that remembers in which order its options were given; see `networks_of`."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Parse the arguments as usual."""
        _, _, order = self.make_parser(ctx).parse_args(args=list(args))
        ctx.meta[_ORDER] = [parameter.name for parameter in order if parameter.name in _OWN]
        return super().parse_args(ctx, args)


@dataclass
class _Network:
    """What was given for one network."""

    model: str | None = None
    weights: Path | None = None
    labels: Path | None = None
    layers: list[str] = field(default_factory=list)


def networks_of(options: Mapping[str, Any]) -> list[ModelSettings]:
    """Return the settings of each network.

    ``-w``, ``--labels`` and ``-l`` belong to the ``-m`` before them. A second ``-w`` without its own ``-m`` is another
    checkpoint of the same network. Layers and labels before the first network are for all, and layers behind the last
    alone, too.

    Raises:
        UsageError: arguments are given for several networks, or networks have different numbers of layers.
    """
    given, shared, common = _networks(options)
    if len(given) > 1 and options["arguments"]:
        raise UsageError("--model-arg belongs to one network, and several are compared", "give one --model with it")
    own_layers = any(each.layers for each in given[:-1])
    if own_layers and max(len(each.layers) for each in given) > 1:
        raise UsageError(
            "several layers of several networks have no common rows or columns",
            "give each network one --layer, or all of them the same ones, before the first --model",
        )
    found = []
    for each in given:
        own = {
            "model": each.model or "auto",
            "weights": each.weights,
            "labels": each.labels or common,
            "layers": (each.layers or shared or ["auto"]) if own_layers else options["layers"],
        }
        found.append(model_settings({**options, **own}))
    return list(dict.fromkeys(found))


def _networks(options: Mapping[str, Any]) -> tuple[list[_Network], list[str], Path | None]:
    """Return what was given for each network, in the order of the options; layers and labels before the first."""
    shared: list[str] = []
    common: Path | None = None
    values = {name: iter(options[name]) for name in _OWN}
    found: list[_Network] = []
    for name in click.get_current_context().meta.get(_ORDER, []):
        value = next(values[name])
        last = found[-1] if found else None
        if name == "models":
            if last is None or last.model is not None:
                found.append(_Network(value))
            else:
                last.model = value
        elif name == "weights":
            if last is None or last.weights is not None:
                found.append(_Network(last.model if last else None, value))
            else:
                last.weights = value
        elif name == "labels":
            if last is None:
                common = value
            else:
                last.labels = value
        else:
            (last.layers if last else shared).append(value)
    return found or [_Network()], shared, common
