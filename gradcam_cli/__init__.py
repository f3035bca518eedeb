"""gradcam: which parts of a picture made a neural network choose a class.

The names below are imported when they are first used, so that ``import gradcam_cli`` costs nothing.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from gradcam_cli._version import __version__

if TYPE_CHECKING:
    from gradcam_cli.api import explain
    from gradcam_cli.cam.explainer import Explainer
    from gradcam_cli.models.load import load_model

__all__ = ["Explainer", "__version__", "explain", "load_model"]

_HOMES = {
    "Explainer": "gradcam_cli.cam.explainer",
    "explain": "gradcam_cli.api",
    "load_model": "gradcam_cli.models.load",
}


def __getattr__(name: str) -> Any:  # noqa: ANN401
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from importlib import import_module

    return getattr(import_module(_HOMES[name]), name)
