"""Random options, good and bad, from the commands' own parameters: a new option is covered as soon as it exists."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from gradcam_cli.cam.methods.registry import METHODS
from gradcam_cli.cli.main import COMMANDS, cli

if TYPE_CHECKING:
    from random import Random

ODD_TEXTS = (
    "", " ", "-", "--", "-1", "0", "1", "2", "1e400", "nan", "inf", "-inf", "1/0", "0x10", "99999999999999999999",
    "top", "auto", "all", "a,b", ",", "=", "a=b", "é", "猫", "\u202e", "\udce9", "a\nb", "\x1b[31m", "[red]",
    "%s", "{0}", "1e9", "1e-9", "1e30", "1e99999999", "1e-99999999", "9" * 5000, "top:999999999", "²", "--5",
    "stage1.²", "*", "[" * 3000, "?", "[", "~", ".", "no/such/place", "x" * 300, "'", '"', "cat vs dog", "not:cat",
)  # fmt: skip
"""None of them can lead anywhere but into the case's own folder, or to an error."""

WANTED = {
    "methods": tuple(name for name, entry in METHODS.items() if not entry.slow),
    "layers": ("auto", "all", "stage1", "stage2.0", "stage3.-1", "classifier", "stage9"),
    "targets": ("top", "top:2", "top:99", "cat", "3", "99", "cat vs dog", "not:dog", "CAT"),
    "colormap": ("jet", "viridis", "hot", "turbo"),
    "model": ("tiny", "tiny", "tiny", "net.py:build", "net.py:nothing", "net.py", "no.such:Module", "tinny"),
    "arguments": ("num_classes=2", "num_classes=-1", "depth=3"),
    "weights": ("net.pth", "a.png", "labels.txt"),
    "labels": ("labels.txt", "net.pth"),
    "device": ("cpu", "auto", "cuda", "cuda:9", "mps", "meta", "cpu:1"),
    "input_size": ("7", "8", "32", "33", "64", "4097"),  # the largest allowed one takes minutes
    "output_dir": ("out", "deep/er", "out put", "a.png", "猫", "."),
    "from_file": ("list.txt", "-", "a.png"),
    "pattern": ("resnet*", "tiny"),
    "save": ("overlay", "grayscale,heatmap", "map,json", "original"),
}
"""Good and half good values for parameters whose type does not tell any, by the parameter's name."""

WANTED["models"] = WANTED["model"]


def arguments_for(command: str, rng: Random, most: int) -> list[str]:
    """Return up to ``most`` random options of a command; the one for the model is always there if there is one."""
    parameters = [each for each in _parameters(command) if isinstance(each, click.Option) and not each.is_eager]
    chosen = rng.sample(parameters, min(len(parameters), rng.randrange(most + 1)))
    result = []
    for parameter in chosen:
        if parameter.name not in {"model", "models"}:
            result += _written(parameter, rng)
    if any(parameter.name in {"model", "models"} for parameter in parameters):  # the usual one could be downloaded
        result += ["-m", rng.choice(WANTED["model"]) if rng.random() < 0.2 else "tiny"]
    return result


def _parameters(command: str) -> list[click.Parameter]:
    found = cli.get_command(click.Context(cli), command)
    assert found is not None, command
    assert command in COMMANDS
    return found.params


def _written(option: click.Option, rng: Random) -> list[str]:
    name = rng.choice(option.opts + option.secondary_opts)
    if option.is_flag:
        return [name]
    value = value_for(option, rng)
    if rng.random() < 0.3 and name.startswith("--"):
        return [f"{name}={value}"]
    again = _written(option, rng) if option.multiple and rng.random() < 0.3 else []
    return [name, value, *again]


def value_for(option: click.Parameter, rng: Random) -> str:
    """Return a value: mostly one that its type allows, otherwise anything."""
    if rng.random() < 0.2:
        return rng.choice(ODD_TEXTS)
    kind: Any = option.type
    if isinstance(kind, click.Choice):
        return str(rng.choice(tuple(kind.choices)))
    if option.name in WANTED:
        return rng.choice(WANTED[option.name])
    if isinstance(kind, click.types._NumberRangeBase):
        low = kind.min if kind.min is not None else 0
        usual = (low, low + 1, low + 3, low + rng.random() if kind.name == "float range" else low + 40)
        beyond = (low - 1, kind.max, (kind.max or 10**9) + 1)
        return str(rng.choice(beyond) if rng.random() < 0.15 else rng.choice(usual))
    return rng.choice(("0", "0.1", "0.5", "1/3", "2", "30000/1001", "1000000", "1e-9"))
