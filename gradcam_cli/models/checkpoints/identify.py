"""Which network a checkpoint is for: what the file says, as far as its tensors bear it out, or what they fit."""

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
    """A network's name, and a line that says how it was found."""

    name: str
    note: str


def identify(checkpoint: Checkpoint, path: Path, describe: Describe) -> Identified:
    """Return the network that a checkpoint is for.

    Args:
        checkpoint: what the file holds.
        path: the file, for messages.
        describe: name → architecture, for the names that have a signature.

    Raises:
        ModelError: several networks fit and the file does not say which, or none does.
    """
    said = checkpoint.metadata.architecture
    named = None if said is None else _known(said)
    tensors = without_wrappers(checkpoint.tensors)
    if named is not None and fits(describe(named), tensors):
        return Identified(named, f"{named}, as the checkpoint says, and its keys and shapes fit")
    found = fitting(tensors, describe)
    if len(found) == 1:
        return Identified(found[0], f"{found[0]}, recognised by its keys and shapes")
    if found:
        raise ModelError(
            f"weights {quoted(path)} fit {len(found)} networks: {', '.join(found)}",
            f"say which with --model, for example --model {found[0]}",
        )
    but = "" if said is None else f", though the file says {quoted(said)}"
    held = ", ".join(printable(key[:60]) for key in list(tensors)[:3])
    raise ModelError(
        f"weights {quoted(path)} fit none of the networks known by name{but}: it has {held}, …",
        "say which with --model NAME, or with --model FILE.py:FUNCTION if its layers are your own",
    )


def fitting(tensors: Mapping[str, Tensor], describe: Describe) -> list[str]:
    """Return the names of the networks that a checkpoint fits, whatever its number of classes.

    Those whose last layer it has not are never built; those that leave tensors over (of a loss, of heads that only
    training needs) only when no other fits.
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
        if tensor.ndim > 1:  # by the name alone, of three parts at most, and under any wrapper's prefix
            parts = key.rsplit(".", 3)
            for start in range(len(parts)):
                shapes.setdefault(".".join(parts[start:]), set()).add(tensor.shape[1])
    return [name for name, each in SIGNATURES.items() if each.features in shapes.get(each.head, ())]


def _known(said: str) -> str | None:
    """Return the name of ours that ``said`` is a spelling of, or None.

    Only names of the lists: a file must not get code run by calling itself after some ``file.py:function``.
    """
    name = said.strip().lower().rpartition("torchvision.models.")[2].replace("-", "_")
    return name if name in SIGNATURES else None
