"""Pictures explained from Python."""

from __future__ import annotations

import os
from collections.abc import Iterable
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import torch

from gradcam_cli.api.arguments import Request, whole_from_one, with_options_of
from gradcam_cli.api.networks import warn
from gradcam_cli.api.progress import bar
from gradcam_cli.errors import GradcamError, InputError, UsageError
from gradcam_cli.media.image.memory import picture_in
from gradcam_cli.media.suffixes import ANIMATION_SUFFIXES, picture_suffixes
from gradcam_cli.pipeline.explanation import TOP, Explanation
from gradcam_cli.pipeline.images.loading import prepare_picture, read_picture_for
from gradcam_cli.pipeline.images.run import ImageRun
from gradcam_cli.pipeline.settings import RunSettings, require
from gradcam_cli.plan.inputs import Search, has_magic, nothing_left
from gradcam_cli.records import Job
from gradcam_cli.text import printable

if TYPE_CHECKING:
    from collections.abc import Generator, Sequence

    import numpy as np
    import numpy.typing as npt
    from PIL import Image
    from torch import nn

    from gradcam_cli.api.networks import Labels, Model
    from gradcam_cli.records import Activation, Fit, Picture, Upsampling

FORMS = "a path, bytes of a file, a picture of Pillow, or uint8 RGB pixels (H, W, 3)"
"""The forms in which a picture can be given."""

_BYTES = "bytes"


def explain(
    picture: str | os.PathLike[str] | bytes | npt.NDArray[np.uint8] | Image.Image,
    *,
    model: Model = "auto",
    weights: str | os.PathLike[str] | None = None,
    labels: Labels | None = None,
    layer: str | nn.Module = "auto",
    target: str | int = "top",
    method: str = "gradcam",
    fit: Fit = "whole",
    input_size: int | tuple[int, int] | None = None,
    mean: float | Sequence[float] | None = None,
    std: float | Sequence[float] | None = None,
    scale_255: bool = False,
    output: str | int | None = None,
    activation: Activation = "auto",
    device: str = "auto",
    look: str = "clear",
    colormap: str | None = None,
    alpha: float | None = None,
    alpha_by_intensity: bool = False,
    contours: Sequence[float] = (),
    normalize: str | None = None,
    upsample: Upsampling = "bilinear",
    caption: bool = False,
    colorbar: bool = False,
    side_by_side: bool = False,
    max_pixels: int | None = None,
    max_size: int | None = None,
    size: int | None = None,
) -> Explanation:
    """Explain one picture.

    Args:
        picture: a path, an encoded picture, a picture of Pillow, or uint8 pixels: RGB (H, W, 3) or gray (H, W).
        model: name of a network, one that ``load_model`` has returned, or any ``nn.Module`` that takes a batch of
            pictures; it is left as it is, also where it is being trained. What is made of it is kept, for the next
            pictures, until it changes or is gone.
        weights: checkpoint file for ``model``, unless that is loaded already; likewise ``device``.
        labels: names of the classes, in their order, or a file with them; not for what ``load_model`` has returned.
        layer: dotted name of the target layer, the module itself, or ``auto``.
        target: ``top``, a class index, a label, ``A vs B`` or ``not:A``.
        method: name of the method, as ``gradcam methods`` lists them, optionally with parameters.
        fit: ``whole``, ``crop``, ``stretch`` or ``pad``.
        input_size: side in pixels, or (h, w), that overrides the network's preset.
        mean: subtracted from values of 0…1, one number or one per channel; default: the preset's.
        std: divisor after that; default: the preset's.
        scale_255: whether the network takes values of 0…255; ``mean`` and ``std`` are then in such units, 0 and 1 by
            default.
        output: name or position of the network's output that has the class scores, where it has several.
        activation: ``softmax``, ``sigmoid`` (each class has its own probability), ``none`` (scores that are no logits,
            as a regression's), or ``auto``.
        device: device that runs the network.
        look: ``clear`` or ``classic``, which the following arguments change.
        colormap: name of the colormap.
        alpha: the heatmap's weight in the overlay, in [0, 1].
        alpha_by_intensity: whether cold regions stay clear in every look.
        contours: levels in (0, 1) of lines that the overlay shows instead of the heatmap.
        normalize: ``minmax``, ``max``, ``none``, or a percentile as ``p99``.
        upsample: ``bilinear`` or ``bicubic``, in heatmap and overlay.
        caption: whether files of the overlay have class and probability below it; ``.overlay`` is always bare.
        colorbar: whether they have a colour bar.
        side_by_side: whether they show the source beside it.
        max_pixels: larger pictures are refused from their header; default: 178 million.
        max_size: longest side in pixels of the maps and pictures that are returned; larger pictures are reduced.
        size: the same, of smaller pictures too, which are enlarged for the results alone; instead of ``max_size``.

    Returns:
        The explanation: ``.map`` (float32), ``.grayscale``, ``.heatmap``, ``.overlay`` (uint8) at the picture's
        size, ``.target``, ``.predictions``, ``.blank``.

    Raises:
        GradcamError: the picture or the network cannot be used.

    >>> explain("sample_images/cat.jpg", model="tiny").target.label
    'cat'
    """
    request = Request.of(locals())
    name, whole = read(picture, request)
    shown, prepared = prepare_picture(
        request.session, whole, request.size or request.max_size, enlarged=request.size is not None
    )
    result = request.session.explain_one(prepared, None if name == _BYTES else name)
    return Explanation(
        name, shown.pixels, request.session, result.maps[0], prepared.geometry, result.targets[0],
        result.predictions[:TOP], request.render, {"explain": result.seconds}, notes=shown.notes,
    )  # fmt: skip


@with_options_of(explain)
def explain_many(
    paths: str | os.PathLike[str] | Iterable[str | os.PathLike[str]],
    *,
    recursive: bool = False,
    on_error: Literal["raise", "warn"] = "raise",
    batch_size: int = 8,
    progress: bool = True,
    **options: Any,  # noqa: ANN401
) -> Generator[Explanation, None, None]:
    """Explain many pictures, several at a time, in memory that does not grow with their number.

    The network is loaded, and arguments are checked, by the call; pictures are read while the explanations are taken.

    Args:
        paths: of pictures, in any iterable; a directory stands for the pictures in it, a pattern (``*.jpg``,
            ``**/cat.*``) for those that match. One path need not be in a list.
        recursive: whether directories' subfolders are searched too.
        on_error: what happens to a picture that cannot be explained: its error is raised, which ends the run, or it is
            reported as a warning and left out.
        batch_size: pictures in one forward pass, at most.
        progress: whether a bar is shown, on a terminal or in a notebook.
        **options: the other arguments of `explain`.

    Returns:
        A generator of explanations, in the order of the paths, as `explain` makes them.

    Raises:
        GradcamError: the network cannot be used, or there is no picture; from the generator, a picture's error.

    >>> [each.target.label for each in explain_many("sample_images/cat.jpg", model="tiny")]
    ['cat']
    """
    require("way to take errors", on_error, ("raise", "warn"))
    whole_from_one("batch size", batch_size)
    jobs = [Job(path, printable(path), path) for path in _found(paths, recursive=recursive)]
    request = Request.of(options)
    settings = RunSettings(
        batch_size, on_error == "raise", request.max_pixels, request.max_size, request.render, request.size
    )
    return _explained(jobs, request, settings, progress=progress)


def _explained(
    jobs: list[Job], request: Request, settings: RunSettings, *, progress: bool
) -> Generator[Explanation, None, None]:
    with bar("explaining", wanted=progress and len(jobs) > 1) as show:
        show(0, len(jobs))
        with closing(iter(ImageRun(jobs, request.session, settings))) as outcomes:
            for done, outcome in enumerate(outcomes, 1):
                if outcome.error is not None:
                    if settings.fail_fast:
                        raise outcome.error
                    warn(_told(outcome.error))
                for explanation in outcome.explanations:
                    assert isinstance(explanation, Explanation)
                    yield explanation
                show(done, len(jobs))


def _told(error: GradcamError) -> str:
    return f"{error.message}; {error.hint}" if error.hint else error.message


def _found(paths: object, *, recursive: bool) -> list[Path]:
    """Return the pictures that paths, directories and patterns mean, in their order; a path that is there twice, twice.

    Raises:
        UsageError: there are none, or a directory or pattern has none.
    """
    given = [paths] if isinstance(paths, (str, os.PathLike)) else paths
    if not isinstance(given, Iterable):
        raise UsageError(f"the paths are of type {type(paths).__name__}", "give an iterable of paths, or a directory")
    found: list[Path] = []
    for each in given:
        if not isinstance(each, (str, os.PathLike)):
            raise UsageError(
                f"one of the paths is of type {type(each).__name__}", "explain takes pictures that are in memory"
            )
        text = os.fsdecode(each)
        if os.path.isdir(text) or (has_magic(text) and not os.path.lexists(text)):
            search = Search(picture_suffixes(), recursive, None, ANIMATION_SUFFIXES)
            search.add(text, literal=False)
            if not search.found:
                raise nothing_left(search.failed)
            found += [Path(each.path) for each in search.found.values() if each.path is not None]
        else:
            found.append(Path(text))
    if not found:
        raise UsageError("there are no paths", "give those of pictures, or a directory")
    return found


def read(picture: object, request: Request) -> tuple[str, Picture]:
    """Return a picture's name and the picture, which is a path, or is in memory in one of several forms."""
    limits = request.max_pixels, request.size or request.max_size
    if isinstance(picture, (bytes, bytearray, memoryview)):
        return _BYTES, read_picture_for(request.session, bytes(picture), "the picture", *limits)
    if isinstance(picture, (str, os.PathLike)):
        path = Path(picture)
        return str(path), read_picture_for(request.session, path, str(path), *limits)
    found = picture_in(picture, request.max_pixels)
    if found is None:
        what, hint = f"the picture is of type {type(picture).__name__}", f"give {FORMS}"
        if isinstance(picture, torch.Tensor):
            what, hint = "the picture is a tensor", f"Explainer takes batches of tensors; explain takes {FORMS}"
        raise InputError(what, hint)
    return found
