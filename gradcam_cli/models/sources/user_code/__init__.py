"""Networks from the user's own code: ``path/to/net.py:build`` or ``package.module:Class``."""

from __future__ import annotations

from typing import TYPE_CHECKING

from gradcam_cli.models.sources.user_code.spec import check_code, is_code

if TYPE_CHECKING:
    from collections.abc import Callable

    from gradcam_cli.models.architecture import Architecture, ModelEntry

PREFIX = ""
LIBRARY = ""
TAKES_ARGUMENTS = True
TAKES_TEXTS = False

matches, check = is_code, check_code


def names() -> tuple[str, ...]:
    """Return an empty tuple: the user chooses the names in user code."""
    return ()


def architecture(spec: str, **arguments: object) -> Architecture:
    """Run the code and describe the network that it makes, see `maker.architecture`."""
    from gradcam_cli.models.sources.user_code import maker

    return maker.architecture(spec, **arguments)


def entries(wanted: Callable[[str], bool]) -> list[ModelEntry]:
    """Return an empty list: user code is not listed."""
    return []
