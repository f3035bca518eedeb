"""Networks of Hugging Face's transformers, ``hf:FOLDER`` or ``hf:OWNER/NAME``, where that library is installed."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from gradcam_cli.models.sources.hugging_face.folder import EXAMPLE, PREFIX, check_spec, open_folder

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from gradcam_cli.models.architecture import Architecture, ModelEntry

__all__ = ["PREFIX"]

LIBRARY = "transformers"
TAKES_ARGUMENTS = False
TAKES_TEXTS = True
HINT = EXAMPLE
"""What to do where the cache has no network."""

check = check_spec


def names() -> tuple[str, ...]:
    """Return an empty tuple: the names are those of folders and of a hub."""
    return ()


def matches(spec: str) -> bool:
    """Whether a name, or a pattern of names, is meant for this source."""
    return spec.lower().startswith(PREFIX)


def architecture(spec: str, texts: Sequence[str] = ()) -> Architecture:
    """Describe a network, see `networks.architecture`."""
    path = Path(spec.removeprefix(PREFIX))
    folder = open_folder(path) if path.is_dir() else None  # its errors need no heavy import
    from gradcam_cli.models.sources.hugging_face import networks

    return networks.architecture(spec, folder, texts)


def entries(wanted: Callable[[str], bool]) -> list[ModelEntry]:
    """List the networks in the hub's cache, see `cache.entries`; ``wanted`` takes names without ``hf:``."""
    from gradcam_cli.models.sources.hugging_face import cache

    return cache.entries(wanted)
