"""The arguments of `explain`, which `explain_many` and the others take too: from values to settings."""

from __future__ import annotations

import functools
import inspect
import os
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, ParamSpec, TypeVar

from gradcam_cli.api.networks import check_model, layer_name, name_of, ready
from gradcam_cli.cam.methods.registry import check_method, methods_named
from gradcam_cli.cam.targets import TargetSpec, parse_target
from gradcam_cli.errors import UsageError
from gradcam_cli.models.labels import checked_names
from gradcam_cli.pipeline.render_settings import look_of
from gradcam_cli.pipeline.settings import ALL_LAYERS, ModelSettings, check_sides

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from gradcam_cli.pipeline.render_settings import RenderSettings
    from gradcam_cli.pipeline.session import Session

Given = ParamSpec("Given")
Returned = TypeVar("Returned")


def with_options_of(
    function: Callable[..., object], *more: inspect.Parameter
) -> Callable[[Callable[Given, Returned]], Callable[Given, Returned]]:
    """Decorate a function that ends in ``**options``: it gets all keyword arguments of another, in its signature too.

    Those that a caller leaves out are passed with their defaults.

    Args:
        function: has the arguments.
        *more: further ones, which go before those of the same name.
    """

    def decorate(own: Callable[Given, Returned]) -> Callable[Given, Returned]:
        declared = inspect.signature(own)
        mine = {name: each for name, each in declared.parameters.items() if each.kind is not each.VAR_KEYWORD}
        others = {each.name: each for each in (*inspect.signature(function).parameters.values(), *more)}
        taken = [each for name, each in others.items() if each.kind is each.KEYWORD_ONLY and name not in mine]
        whole = declared.replace(parameters=[*mine.values(), *taken])

        @functools.wraps(own)
        def called(*args: Given.args, **kwargs: Given.kwargs) -> Returned:
            try:
                bound = whole.bind(*args, **kwargs)
            except TypeError as error:
                raise TypeError(f"{own.__name__}() {error}") from None
            bound.apply_defaults()
            return own(*bound.args, **bound.kwargs)

        called.__signature__ = whole  # type: ignore[attr-defined]
        return called

    return decorate


@dataclass(frozen=True)
class Request:
    """What a call requests.

    Attributes:
        session: the network made ready.
        render: how maps are shown.
        max_pixels: most pixels of a picture; None is the usual limit.
        max_size: longest side of the results in pixels, or None for the picture's own.
        size: the same, of smaller pictures too, which are then enlarged.
    """

    session: Session
    render: RenderSettings
    max_pixels: int | None
    max_size: int | None
    size: int | None

    @staticmethod
    def of(arguments: Mapping[str, Any], *, several: bool = False) -> Request:
        """Check the arguments and make the network ready.

        Args:
            arguments: all keyword arguments of `explain` by their names; others are passed over.
            several: whether there may be lists of layers, targets and methods.

        Raises:
            GradcamError: they are not possible, or the network cannot be used.
        """
        given = arguments
        device = None if given["device"] == "auto" else given["device"]
        model = check_model(given["model"], weights=given["weights"], labels=given["labels"], device=device)
        labels = given["labels"]
        if labels is not None:
            labels = Path(labels) if isinstance(labels, (str, os.PathLike)) else checked_names(labels)
        layers, targets, methods = (
            _listed(given[name]) if several else (given[name],) for name in ("layer", "target", "method")
        )
        if not all(isinstance(method, str) for method in methods):
            raise UsageError("explain takes the name of a method", "give a function or a Method to Explainer")
        if ALL_LAYERS in layers and not several:
            raise UsageError("all layers are several maps", "name one, or compare them")
        settings = ModelSettings(
            model=name_of(model),
            weights=None if given["weights"] is None else Path(given["weights"]),
            labels=labels if isinstance(labels, Path) else None,
            layers=tuple(layer_name(layer, model) for layer in layers),
            targets=_targets(targets) if several else (_one(str(targets[0])),),
            methods=methods_named(methods) if several else (check_method(methods[0]),),
            fit=given["fit"],
            input_size=given["input_size"],
            mean=_numbers(given["mean"]),
            std=_numbers(given["std"]),
            scale_255=given["scale_255"],
            output=None if given["output"] is None else str(given["output"]),
            activation=given["activation"],
            device=given["device"],
        )
        render = look_of(given)
        max_size = given["max_size"]
        if max_size is not None:
            whole_from_one("longest side", max_size)
        check_sides(given["size"], max_size)
        names = labels if isinstance(labels, tuple) else None
        return Request(ready(model, names, settings), render, given["max_pixels"], max_size, given["size"])


def whole_from_one(what: str, number: object) -> None:
    """Raise UsageError unless a number is a whole one from 1 on."""
    if not isinstance(number, int) or number < 1:
        raise UsageError(f"a {what} of {number} is not possible", "give a whole number from 1 on")


def _listed(given: object) -> tuple[Any, ...]:
    """Return the values that are given, each once, where one alone need not be in a list."""
    return tuple(dict.fromkeys(given)) if isinstance(given, (list, tuple)) else (given,)


def _targets(given: Sequence[object]) -> tuple[TargetSpec, ...]:
    return tuple(dict.fromkeys(spec for target in given for spec in parse_target(str(target))))


def _one(target: str) -> TargetSpec:
    specs = parse_target(target)
    if len(specs) > 1:
        raise UsageError(f"{target!r} is {len(specs)} classes", "explain one at a time")
    return specs[0]


def _numbers(given: float | Sequence[float] | None) -> tuple[float, ...] | None:
    if given is None:
        return None
    return (float(given),) if isinstance(given, (int, float)) else tuple(map(float, given))
