"""The Python API: ``gradcam image`` as a function."""

from __future__ import annotations

import copy
import warnings
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, cast

import numpy as np

from gradcam_cli.cam.methods.registry import check_method
from gradcam_cli.cam.targets import TargetSpec, parse_target
from gradcam_cli.errors import InputError, UsageError
from gradcam_cli.pipeline.explanation import TOP, Explanation
from gradcam_cli.pipeline.images.loading import prepare_picture, read_picture_for
from gradcam_cli.pipeline.render_settings import looking
from gradcam_cli.pipeline.session import Session
from gradcam_cli.pipeline.settings import ModelSettings
from gradcam_cli.records import Picture

if TYPE_CHECKING:
    import os
    from collections.abc import Sequence

    import numpy.typing as npt

    from gradcam_cli.models.network import Network
    from gradcam_cli.records import Activation, Fit, Upsampling


def explain(
    picture: str | os.PathLike[str] | bytes | npt.NDArray[np.uint8],
    *,
    model: str | Network = "auto",
    weights: str | os.PathLike[str] | None = None,
    labels: str | os.PathLike[str] | None = None,
    layer: str = "auto",
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
    max_pixels: int | None = None,
    max_size: int | None = None,
) -> Explanation:
    """Explain one picture.

    Args:
        picture: a path, an encoded picture, or uint8 RGB pixels (H, W, 3).
        model: name of a network, or one that ``load_model`` has returned; give the latter for many pictures.
        weights: checkpoint file for ``model``, unless that is loaded already; likewise ``labels`` and ``device``.
        labels: labels file for ``model``.
        layer: dotted name of the target layer, or ``auto``.
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
        max_pixels: larger pictures are refused from their header; default: 178 million.
        max_size: longest side in pixels of the maps and pictures that are returned; larger pictures are reduced.

    Returns:
        The explanation: ``.map`` (float32), ``.grayscale``, ``.heatmap``, ``.overlay`` (uint8) at the picture's
        size, ``.target``, ``.predictions``, ``.blank``.

    Raises:
        GradcamError: the picture or the network cannot be used.

    >>> explain("sample_images/cat.jpg", model="tiny").target.label
    'cat'
    """
    loaded = None if isinstance(model, str) else model
    if loaded is not None and (weights is not None or labels is not None or device != "auto"):
        raise UsageError(
            "the network is loaded: weights, labels and device cannot be changed any more",
            "give them to load_model instead",
        )
    if not isinstance(method, str):
        raise UsageError("explain takes the name of a method", "give a function or a Method to Explainer")
    settings = ModelSettings(
        model=model if isinstance(model, str) else model.name,
        weights=None if weights is None else Path(weights),
        labels=None if labels is None else Path(labels),
        layers=(layer,),
        targets=(_one(str(target)),),
        methods=(check_method(method),),
        fit=fit,
        input_size=input_size,
        mean=_numbers(mean),
        std=_numbers(std),
        scale_255=scale_255,
        output=None if output is None else str(output),
        activation=activation,
        device=device,
    )
    render = looking(
        look, colormap=colormap, alpha=alpha, alpha_by_intensity=alpha_by_intensity, contours=contours,
        normalize=normalize, upsample=upsample,
    )  # fmt: skip
    if max_size is not None and max_size < 1:
        raise UsageError(f"a longest side of {max_size} pixels is not possible", "give a whole number from 1 on")
    session = Session(settings, warn=_warn) if loaded is None else _session(settings, loaded)
    name, read = _read(picture, session, max_pixels, max_size)
    shown, prepared = prepare_picture(session, read, max_size)
    result = session.explain_one(prepared)
    return Explanation(
        name, shown.pixels, session, result.maps[0], prepared.geometry, result.targets[0], result.predictions[:TOP],
        render, {"explain": result.seconds},
    )  # fmt: skip


def _session(settings: ModelSettings, network: Network) -> Session:
    """Return a session with a loaded network, copied from the last one unless the network has changed since.

    Tracing, copying and folding a network takes as long as explaining a picture or two.
    """
    key = replace(settings, targets=()), network.state
    known, session = network.cache.get("session", (None, None))
    if known != key:
        session = Session(settings, network, warn=_warn)
        network.cache["session"] = key, session
    same = copy.copy(cast("Session", session))
    same.settings = replace(settings, layers=same.settings.layers)
    return same


def _warn(text: str) -> None:
    warnings.warn(text, stacklevel=4)  # of the caller of `explain`


def _one(target: str) -> TargetSpec:
    specs = parse_target(target)
    if len(specs) > 1:
        raise UsageError(f"{target!r} is {len(specs)} classes", "explain one at a time")
    return specs[0]


def _numbers(given: float | Sequence[float] | None) -> tuple[float, ...] | None:
    if given is None:
        return None
    return (float(given),) if isinstance(given, (int, float)) else tuple(map(float, given))


def _read(
    picture: str | os.PathLike[str] | bytes | npt.NDArray[np.uint8],
    session: Session,
    max_pixels: int | None,
    max_size: int | None,
) -> tuple[str, Picture]:
    if isinstance(picture, np.ndarray):
        if picture.dtype != np.uint8 or picture.ndim != 3 or picture.shape[2] != 3 or not picture.size:
            raise InputError(
                f"the picture is {picture.dtype} of shape {picture.shape}", "give uint8 RGB pixels of shape (H, W, 3)"
            )
        return "array", Picture(np.ascontiguousarray(picture), (), (picture.shape[0], picture.shape[1]))
    if isinstance(picture, bytes):
        return "bytes", read_picture_for(session, picture, "the picture", max_pixels, max_size)
    path = Path(picture)
    return str(path), read_picture_for(session, path, str(path), max_pixels, max_size)
