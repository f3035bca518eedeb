"""Comparisons made from Python."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from gradcam_cli.api.arguments import Request, with_options_of
from gradcam_cli.api.networks import warn
from gradcam_cli.api.pictures import explain, read
from gradcam_cli.errors import UsageError
from gradcam_cli.pipeline.images.compare import Comparison, compared
from gradcam_cli.pipeline.settings import AXES, COMPARED, CompareSettings, require
from gradcam_cli.records import Job

if TYPE_CHECKING:
    from collections.abc import Mapping

    from gradcam_cli.pipeline.settings import Axis


_OF_FILES = ("size", "max_size", "caption", "colorbar", "side_by_side")
"""Arguments of `explain` that shape its files."""


@with_options_of(explain)
def compare(
    pictures: Any,  # noqa: ANN401
    *,
    rows: Axis | None = None,
    columns: Axis | None = None,
    width: float = 178,
    title: str | None = None,
    names: Mapping[str, str] | None = None,
    times: bool = False,
    metadata: bool = True,
    **options: Any,  # noqa: ANN401
) -> Comparison:
    """Put methods, layers, classes, networks or pictures side by side in a figure, as ``gradcam compare`` does.

    Args:
        pictures: one, as `explain` takes it, or a list, which are the rows of the figure.
        rows: what differs from row to row: ``inputs``, ``models``, ``layers``, ``targets`` or ``methods``; default: the
            shorter of two, or the inputs.
        columns: what differs from column to column; default: the longer.
        width: of the figure in millimetres.
        title: of the figure; default: what all maps share.
        names: method, layer, class, network or picture as it was given → its name in the figure.
        times: whether the time of each map is written below it.
        metadata: whether files state the figure's origin: networks, layers, methods, version.
        **options: the arguments of `explain`, of which ``method``, ``layer``, ``target`` and ``model`` may be lists.
            Without any list, seven methods are compared.

    Returns:
        The comparison: ``save("figure.pdf")`` (or png, svg), ``figure()``, ``explanations``. Notebooks show it.

    Raises:
        GradcamError: a picture or a network cannot be used, or more than two things vary.
    """
    for name in _OF_FILES:
        if options[name]:
            raise UsageError(f"{name} is of single pictures, and means nothing in a figure", "leave it out")
    given = list(pictures) if isinstance(pictures, (list, tuple)) else [pictures]
    if not given:
        raise UsageError("there is no picture", "give one, or a list of them")
    for axis in (rows, columns):
        if axis is not None:
            require("axis", axis, AXES)
    if len(given) > 1 and rows not in (None, "inputs"):
        raise UsageError(f"several pictures are the rows of a figure, and {rows} are given", "give them as columns")
    models = options["model"] if isinstance(options["model"], (list, tuple)) else [options["model"]]
    varies = any(isinstance(options[name], (list, tuple)) for name in ("method", "layer", "target", "model"))
    if not varies and len(given) == 1 and options["method"] == "gradcam":
        options["method"] = list(COMPARED)
    request = [Request.of({**options, "model": model}, several=True) for model in models]
    found = []
    for number, each in enumerate(given, 1):
        name, picture = read(each, request[0])
        shown = f"{name} {number}" if name in ("array", "bytes") and len(given) > 1 else name  # to tell them apart
        found.append((Job(Path(shown), shown, Path(shown)), picture))
    settings = CompareSettings(
        rows="inputs" if len(given) > 1 and rows is None else rows, columns=columns, width=width, title=title,
        names=tuple((names or {}).items()), times=times, metadata=metadata, max_pixels=request[0].max_pixels,
        render=request[0].render,
    )  # fmt: skip
    comparison = compared(found, [each.session for each in request], settings)
    for note in comparison.notes:
        warn(note)
    return comparison
