"""A checkpoint's metadata beside its tensors: the name of its architecture and the names of its classes."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from gradcam_cli.models.checkpoints.input_record import InputRecord, recorded_in
from gradcam_cli.models.untrusted.safe_globals import attributes

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

ARCHITECTURE_KEYS = ("arch", "architecture", "model_name", "model", "model_type", "backbone", "net", "network")
CLASS_KEYS = ("class_names", "classes", "idx_to_class", "class_to_idx", "labels", "id2label")
BAGS = ("hyper_parameters", "hparams", "args", "config", "cfg", "opt", "meta", "metadata")
"""Keys under which training scripts store their arguments."""

MAX_NAME = 100


@dataclass(frozen=True)
class CheckpointMetadata:
    """The metadata found in a file; nothing of it has been checked.

    Attributes:
        architecture: a name, as written in the file, or None.
        class_names: a list, or a dict of names to indices or indices to names, or None.
        record: of the pictures that it was trained on.
    """

    architecture: str | None = None
    class_names: list[Any] | dict[Any, Any] | None = None
    record: InputRecord = field(default_factory=InputRecord)


def find_metadata(*contents: object) -> CheckpointMetadata:
    """Return the first architecture and the first class names in a file's content.

    Args:
        contents: dicts or Namespaces, the outermost first.
    """
    bags = [bag for content in contents for bag in _bags(attributes(content))]
    names = (bag[key] for bag in bags for key in ARCHITECTURE_KEYS if isinstance(bag.get(key), str))
    classes = (_listing(bag[key]) for bag in bags for key in CLASS_KEYS if key in bag)
    return CheckpointMetadata(
        architecture=next((name for name in names if 0 < len(name) <= MAX_NAME), None),
        class_names=next((found for found in classes if found), None),
        record=recorded_in(bags, "the checkpoint"),
    )


def from_metadata(metadata: Mapping[str, str]) -> CheckpointMetadata:
    """Return the metadata of a safetensors file, where structures are written as JSON."""
    return find_metadata({key: _decoded(text) for key, text in metadata.items()})


def _bags(content: dict[Any, Any]) -> Iterator[dict[Any, Any]]:
    yield content
    for key in BAGS:
        if inner := attributes(content.get(key)):
            yield inner


def _decoded(text: str) -> object:
    if text[:1] in ("[", "{"):
        try:
            return json.loads(text)
        except (RecursionError, ValueError):
            pass
    return text


def _listing(value: object) -> list[Any] | dict[Any, Any] | None:
    """Return class names in a form that ``labels`` can read; None for a count, a tensor, a path."""
    if isinstance(value, tuple):
        value = list(value)
    return value if isinstance(value, (list, dict)) else None
