"""gradcam: which parts of a picture made a neural network choose a class.

The names below are imported when they are first used, so that ``import gradcam_cli`` costs nothing.
"""

from __future__ import annotations

from types import ModuleType
from typing import TYPE_CHECKING, Any

from gradcam_cli._version import __version__

if TYPE_CHECKING:
    from gradcam_cli.api import compare, explain, explain_gif, explain_many, explain_video
    from gradcam_cli.cam.explainer import Attribution, Explainer
    from gradcam_cli.cam.maps import ClassMap
    from gradcam_cli.cam.methods.method import Method, Parameter
    from gradcam_cli.cam.targets import Target
    from gradcam_cli.errors import GradcamError, InputError, ModelError, OutputError, UsageError
    from gradcam_cli.models.load import load_model
    from gradcam_cli.models.network import Network
    from gradcam_cli.pipeline.clips.explanation import ClipExplanation
    from gradcam_cli.pipeline.explanation import Explanation
    from gradcam_cli.pipeline.images.compare import Comparison
    from gradcam_cli.records import Prediction

_HOMES = {
    "Attribution": "cam.explainer",
    "ClassMap": "cam.maps",
    "Comparison": "pipeline.images.compare",
    "ClipExplanation": "pipeline.clips.explanation",
    "Explainer": "cam.explainer",
    "Explanation": "pipeline.explanation",
    "GradcamError": "errors",
    "InputError": "errors",
    "Method": "cam.methods.method",
    "ModelError": "errors",
    "Network": "models.network",
    "OutputError": "errors",
    "Parameter": "cam.methods.method",
    "Prediction": "records",
    "Target": "cam.targets",
    "UsageError": "errors",
    "compare": "api",
    "explain": "api",
    "explain_gif": "api",
    "explain_many": "api",
    "explain_video": "api",
    "load_model": "models.load",
}

__all__ = [  # noqa: RUF022 (functions first)
    "explain",
    "explain_many",
    "explain_video",
    "explain_gif",
    "compare",
    "load_model",
    "Explainer",
    "Attribution",
    "ClassMap",
    "ClipExplanation",
    "Comparison",
    "Explanation",
    "Method",
    "Network",
    "Parameter",
    "Prediction",
    "Target",
    "GradcamError",
    "InputError",
    "ModelError",
    "OutputError",
    "UsageError",
    "__version__",
]


def __getattr__(name: str) -> Any:  # noqa: ANN401
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from importlib import import_module

    return getattr(import_module(f"{__name__}.{_HOMES[name]}"), name)


def __dir__() -> list[str]:
    """List the public names, and what every package has: its submodules that are loaded, and names such as __doc__."""
    found = (name for name, value in globals().items() if name.startswith("__") or isinstance(value, ModuleType))
    return sorted({*__all__, *found})
