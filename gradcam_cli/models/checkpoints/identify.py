"""Identification of a checkpoint's network: the one named in the file if its tensors fit, or the one they fit."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from gradcam_cli.errors import ModelError
from gradcam_cli.models.checkpoints.fit import fits, without_wrappers
from gradcam_cli.models.checkpoints.signatures import SIGNATURES
from gradcam_cli.text import printable, quoted

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from pathlib import Path

    from torch import Tensor

    from gradcam_cli.models.architecture import Architecture
    from gradcam_cli.models.checkpoints.read import Checkpoint

    Describe = Callable[[str], Architecture]


@dataclass(frozen=True)
class Identified:
    """A network's name, and one line on how it was found."""

    name: str
    note: str


def identify(checkpoint: Checkpoint, path: Path, describe: Describe) -> Identified:
    """Return the network that a checkpoint is for.

    Args:
        checkpoint: the file's content.
        path: the file, for messages.
        describe: name → architecture, for the names that have a signature.

    Raises:
        ModelError: several networks fit and the file does not name one of them, or none fits.
    """
    stated = checkpoint.metadata.architecture
    named = None if stated is None else _known(stated)
    tensors = without_wrappers(checkpoint.tensors)
    if named is not None and fits(describe(named), tensors):
        return Identified(named, f"{named}, as the checkpoint says, and its keys and shapes fit")
    found = fitting(tensors, describe)
    if len(found) == 1:
        return Identified(found[0], f"{found[0]}, recognised by its keys and shapes")
    if found:
        raise ModelError(
            f"weights {quoted(path)} fit {len(found)} networks: {', '.join(found)}",
            f"say which with {{model}}, for example {{model}} {found[0]}",
        )
    but = "" if stated is None else f", though the file says {quoted(stated)}"
    held = ", ".join(printable(key[:60]) for key in list(tensors)[:3])
    raise ModelError(
        f"weights {quoted(path)} fit none of the networks known by name{but}: it has {held}, …",
        "say which with {model} NAME, or with {model} FILE.py:FUNCTION if its layers are your own",
    )


def fitting(tensors: Mapping[str, Tensor], describe: Describe) -> list[str]:
    """Return the names of the networks that a checkpoint fits, with any number of classes.

    Networks whose last layer is not in the checkpoint are never built; those that leave tensors over (of a loss, of
    heads that only training needs) only when no other fits.
    """
    named = _with_the_same_head(tensors)
    count = sum(not key.endswith(".num_batches_tracked") for key in tensors)
    whole = [name for name in named if SIGNATURES[name].tensors == count]
    parts = [name for name in named if SIGNATURES[name].tensors < count]
    found = [name for name in whole if fits(describe(name), tensors)]
    return found or [name for name in parts if fits(describe(name), tensors)]


def _with_the_same_head(tensors: Mapping[str, Tensor]) -> list[str]:
    shapes: dict[str, set[int]] = {}
    for key, tensor in tensors.items():
        if tensor.ndim > 1:  # by the name alone, of three parts at most, with any wrapper's prefix
            parts = key.rsplit(".", 3)
            if len(parts) > 2 and parts[-2].isdecimal():  # within a Sequential
                shapes.setdefault(f"{parts[-3]}.{parts[-1]}", set()).add(tensor.shape[1])
            for start in range(len(parts)):
                shapes.setdefault(".".join(parts[start:]), set()).add(tensor.shape[1])
    return [name for name, each in SIGNATURES.items() if each.features in shapes.get(each.head, ())]


def _known(stated: str) -> str | None:
    """Return the known network of which ``stated`` is a spelling, or None.

    Only listed names count: a file must not run code by stating a ``file.py:function`` as its name.
    """
    name = stated.strip().lower().rpartition("torchvision.models.")[2].replace("-", "_")
    return name if name in SIGNATURES else None
