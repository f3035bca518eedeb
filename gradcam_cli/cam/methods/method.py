"""A method: a formula, its properties for the engine, and its parameters."""

from __future__ import annotations

import inspect
import math
import sys
from dataclasses import dataclass, replace
from functools import partial, update_wrapper
from pkgutil import resolve_name
from typing import TYPE_CHECKING, cast

from gradcam_cli.errors import UsageError
from gradcam_cli.text import quoted

if TYPE_CHECKING:
    from collections.abc import Callable

    import torch

    from gradcam_cli.cam.context import LayerContext
    from gradcam_cli.cam.layers.trace import Trace
    from gradcam_cli.plugins import Plugin

    Formula = Callable[..., torch.Tensor]
    """LayerContext, parameters by name → maps (N, h, w), or of the input (N, H, W), not rectified."""

    Check = Callable[[Trace, str], None]
    """A network's trace, the target layer's name; raises ModelError where the method does not suit them."""

INPUT = "input"
"""Name used in place of a layer for methods that use no layer."""


@dataclass(frozen=True, slots=True)
class Parameter:
    """A number that a method takes.

    Attributes:
        name: its name, also the formula's keyword.
        default: an int where only whole numbers make sense.
        meaning: description in a few words.
        low: smallest value; infinity is never accepted.
        high: largest value.
    """

    name: str
    default: float
    meaning: str = ""
    low: float = -math.inf
    high: float = math.inf

    def read(self, text: str, method: str) -> float:
        """Return the value in ``text``.

        Raises:
            UsageError: the text is not a number, or out of range.
        """
        kind = int if isinstance(self.default, int) else float
        try:
            value: float = kind(text)
        except ValueError:
            value = math.nan
        if not (abs(value) <= sys.float_info.max and self.low <= value <= self.high):  # NaN fails here too
            what = "a whole number" if kind is int else "a number"
            limits = f" from {self.low:g}" if math.isfinite(self.low) else ""
            limits += f" to {self.high:g}" if math.isfinite(self.high) else ""
            raise UsageError(f"{method}: {self.name} cannot be {quoted(text)}", f"give {what}{limits}")
        return value


@dataclass(frozen=True, slots=True)
class Method:
    """A formula and its properties for the engine.

    Attributes:
        name: its name, followed by values of its parameters that are not the defaults.
        formula: a function of a `LayerContext` and of the parameters, or ``module:function`` of this folder.
        summary: one line.
        paper: where it was published, or empty.
        gradient: whether it uses the layer's gradient, so that its map is blank where the gradient is zero.
        rectified: whether negative values, evidence against the class, are cut off.
        slow: whether the network is run again for each feature map.
        layered: whether it uses the target layer; otherwise its map is the same for all layers.
        reruns: whether the part of the network behind the layer is run again, which needs the first pass recorded.
        needs: ``module:function`` that raises where a network or layer does not suit it; empty where all do.
        parameters: parameters that can be set.
        values: (name, value) of the parameters that are not the defaults.
        plugin: the package that adds it, or None.
        title: the name under which it was published, for figures; empty where that is its name.
    """

    name: str
    formula: str | Formula
    summary: str = ""
    paper: str = ""
    gradient: bool = True
    rectified: bool = True
    slow: bool = False
    reruns: bool = False
    layered: bool = True
    needs: str = ""
    parameters: tuple[Parameter, ...] = ()
    values: tuple[tuple[str, float], ...] = ()
    plugin: Plugin | None = None
    title: str = ""

    @property
    def published(self) -> str:
        """Its published name, with the values of parameters that are not the defaults."""
        given = ", ".join(f"{name}={value:.12g}" for name, value in self.values)
        return f"{self.title or self.name.partition(':')[0]} ({given})" if given else self.title or self.name

    @classmethod
    def of(cls, given: Method | Formula, name: str = "", plugin: Plugin | None = None) -> Method:
        """Return a method for a function, or one that another package provides.

        A function's first line of documentation is the summary, its keyword arguments with a number as default are
        the parameters. Its map is rectified and not taken for blank where the layer's gradient is zero.
        """
        if isinstance(given, Method):
            return replace(given, name=name or given.name, plugin=plugin)
        described = inspect.getdoc(given) or ""
        parameters = tuple(
            Parameter(each.name, each.default)
            for each in inspect.signature(given).parameters.values()
            if isinstance(each.default, (int, float)) and not isinstance(each.default, bool)
        )
        called = name or getattr(given, "__name__", type(given).__name__)
        summary = described.partition("\n")[0]
        return cls(called, given, summary, gradient=False, parameters=parameters, plugin=plugin)

    def bound(self, given: str | None) -> Method:
        """Return the method with other values of its parameters.

        Args:
            given: ``n=32,sigma=0.2``; None for the defaults.

        Raises:
            UsageError: it has no such parameter, the value is not possible, or a parameter is given twice.
        """
        if given is None:
            return self
        known = {parameter.name: parameter for parameter in self.parameters}
        values: dict[str, float] = {}
        for each in given.split(","):
            name, equals, text = (part.strip() for part in each.partition("="))
            if name not in known or not equals or name in values:
                has = ", ".join(f"{parameter.name}={parameter.default:g}" for parameter in self.parameters)
                raise UsageError(
                    f"{self.name} has no parameter {quoted(name)}" if name not in known
                    else f"{self.name}: the parameter {quoted(name)} is given twice" if name in values
                    else f"{self.name}: the parameter {quoted(name)} has no value",
                    f"it has {has}" if has else f"give {{method}} {self.name} alone: it has none",
                )  # fmt: skip
            values[name] = known[name].read(text, self.name)
        chosen = tuple((name, values[name]) for name in known if name in values and values[name] != known[name].default)
        spelt = ",".join(f"{name}={value:.12g}" for name, value in chosen)
        return replace(self, name=f"{self.name}:{spelt}" if chosen else self.name, values=chosen)

    def load(self) -> Callable[[LayerContext], torch.Tensor]:
        """Import and return the formula, its parameters bound."""
        formula = (
            cast("Formula", resolve_name(f"{__package__}.{self.formula}"))
            if isinstance(self.formula, str)
            else self.formula
        )
        given = {parameter.name: parameter.default for parameter in self.parameters} | dict(self.values)
        return update_wrapper(partial(formula, **given), formula) if given else formula

    def place(self, layer: str) -> str:
        """Return where the method's map is computed for a target layer: that layer's name, or ``input``."""
        return layer if self.layered else INPUT

    def check(self, trace: Trace, layer: str) -> None:
        """Raise ModelError when the method cannot explain the network at the layer with this name."""
        if self.needs:
            cast("Check", resolve_name(f"{__package__}.{self.needs}"))(trace, layer)
