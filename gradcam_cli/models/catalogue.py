"""Which networks there are to choose from by name."""

from __future__ import annotations

from fnmatch import fnmatchcase
from importlib import import_module
from typing import TYPE_CHECKING

from gradcam_cli.errors import UsageError
from gradcam_cli.models.names import TIMM, close_to, is_timm, require_timm
from gradcam_cli.text import quoted

if TYPE_CHECKING:
    from gradcam_cli.models.architecture import ModelEntry

SOURCES = ("gradcam_cli.models.sources.tiny", "gradcam_cli.models.sources.torchvision")
"""Modules with ``entries(wanted)``, besides timm's, whose networks are too many to be listed unasked."""


def find(pattern: str = "") -> list[ModelEntry]:
    """List networks.

    Args:
        pattern: glob, or a part of the names; with ``timm:`` in front timm's are searched instead of ours.

    Raises:
        UsageError: timm is asked for and not installed, or nothing matches.
    """
    rest = pattern.strip().lower()
    sources: tuple[str, ...] = SOURCES
    if is_timm(rest):
        require_timm()
        rest, sources = rest.removeprefix(TIMM), ("gradcam_cli.models.sources.timm",)
    asked: list[str] = []
    glob = rest if set(rest) & set("*?[") else f"*{rest}*"

    def wanted(name: str) -> bool:
        asked.append(name)
        return fnmatchcase(name, glob)

    found: list[ModelEntry] = [entry for source in sources for entry in import_module(source).entries(wanted)]
    if not found:
        bases = list(dict.fromkeys(name.partition(".")[0] for name in asked))  # timm's have the weights' tag behind
        close = close_to(rest.strip("*?"), bases, TIMM if is_timm(pattern) else "")
        raise UsageError(
            f"no model matches {quoted(pattern)}", close or "give a part of a name, or a glob such as 'resnet*'"
        )
    return found
