"""timm's networks, ``timm:NAME``, where that library is installed; it takes seconds to import."""

from __future__ import annotations

import importlib.util
from typing import TYPE_CHECKING

from gradcam_cli.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Callable

    from gradcam_cli.models.architecture import Architecture, ModelEntry

PREFIX = "timm:"
LIBRARY = "timm"
TAKES_ARGUMENTS = False
TAKES_TEXTS = False


def is_installed() -> bool:
    """Whether timm is installed; it is not imported."""
    return importlib.util.find_spec(LIBRARY) is not None


def names() -> tuple[str, ...]:
    """Return an empty tuple: timm would have to be imported."""
    return ()


def matches(spec: str) -> bool:
    """Whether a name, or a pattern of names, is meant for timm."""
    return spec.lower().startswith(PREFIX)


def check(spec: str) -> str:
    """Return the name in lower case; only the presence of timm is checked.

    Raises:
        UsageError: timm is not installed.
    """
    _require()
    return spec.lower()


def _require() -> None:
    if not is_installed():
        raise UsageError("timm is not installed", "pip install timm, or choose a model that 'gradcam models' lists")


def architecture(spec: str) -> Architecture:
    """Describe a network, see `networks.architecture`."""
    from gradcam_cli.models.sources.timm import networks

    return networks.architecture(spec)


def entries(wanted: Callable[[str], bool]) -> list[ModelEntry]:
    """List networks, see `networks.entries`; ``wanted`` takes names without ``timm:``.

    Raises:
        UsageError: timm is not installed.
    """
    _require()
    from gradcam_cli.models.sources.timm import networks

    return networks.entries(wanted)
