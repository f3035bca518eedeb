"""Networks that code of the user's own makes: ``path/to/net.py:build`` or ``package.module:Class``."""

from __future__ import annotations

from typing import TYPE_CHECKING

from gradcam_cli.models.sources.user_code.spec import check_code, is_code

if TYPE_CHECKING:
    from collections.abc import Callable

    from gradcam_cli.models.architecture import Architecture, ModelEntry

PREFIX = ""
LIBRARY = ""
TAKES_ARGUMENTS = True

matches, check = is_code, check_code


def names() -> tuple[str, ...]:
    """Return nothing: code has whatever name the user gives it."""
    return ()


def architecture(spec: str, **arguments: object) -> Architecture:
    """Run the code and describe the network that it makes, see `maker.architecture`."""
    from gradcam_cli.models.sources.user_code import maker

    return maker.architecture(spec, **arguments)


def entries(wanted: Callable[[str], bool]) -> list[ModelEntry]:
    """Return nothing: there is no list of code."""
    return []
