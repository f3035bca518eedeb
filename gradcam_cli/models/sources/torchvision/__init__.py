"""torchvision's 80 classifiers, by name."""

from __future__ import annotations

from typing import TYPE_CHECKING

from gradcam_cli.models.sources.torchvision.names import NAMES

if TYPE_CHECKING:
    from collections.abc import Callable

    from gradcam_cli.models.architecture import Architecture, ModelEntry

PREFIX = ""
LIBRARY = ""
TAKES_ARGUMENTS = False
TAKES_TEXTS = False


def names() -> tuple[str, ...]:
    """Return the names of the networks."""
    return NAMES


def matches(spec: str) -> bool:
    """Whether it is the name of one of these networks; upper case is accepted."""
    return spec.lower() in NAMES


def check(spec: str) -> str:
    """Return the name in its listed spelling."""
    return spec.lower()


def architecture(spec: str) -> Architecture:
    """Describe a network, see `networks.architecture`."""
    from gradcam_cli.models.sources.torchvision import networks

    return networks.architecture(spec)


def entries(wanted: Callable[[str], bool]) -> list[ModelEntry]:
    """List networks, see `networks.entries`."""
    from gradcam_cli.models.sources.torchvision import networks

    return networks.entries(wanted)
