"""Modes that see, change or leave out calls of torch's functions, whether modules make them or code."""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING, Any

import torch
from torch.nn import functional as F
from torch.overrides import TorchFunctionMode

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

_RELUS = {torch.relu, torch.relu_, torch.Tensor.relu, torch.Tensor.relu_, F.relu, F.relu6}
_CLIPS = {F.hardtanh, F.hardtanh_}
"""Called with both bounds; with a lower bound of 0 they are ReLUs with an upper limit, like ReLU6."""

_ATEN = torch.ops.aten

FINAL_ACTIVATIONS = {
    **dict.fromkeys((torch.softmax, torch.Tensor.softmax, F.softmax, torch.special.softmax), "softmax"),
    **dict.fromkeys((torch.log_softmax, torch.Tensor.log_softmax, F.log_softmax), "log_softmax"),
    torch.special.log_softmax: "log_softmax",
    **dict.fromkeys((torch.sigmoid, torch.Tensor.sigmoid, F.sigmoid, torch.special.expit), "sigmoid"),
    **dict.fromkeys((torch.sigmoid_, torch.Tensor.sigmoid_), "sigmoid"),
    **dict.fromkeys((_ATEN.softmax.int, _ATEN._softmax.default), "softmax"),
    **dict.fromkeys((_ATEN.log_softmax.int, _ATEN._log_softmax.default), "log_softmax"),
    _ATEN.sigmoid.default: "sigmoid",
}
"""Function that turns logits into probabilities or their logarithms, or operation of an exported network → its name."""


def is_relu(function: object, args: tuple[Any, ...], kwargs: dict[str, Any]) -> bool:
    """Return whether a call of a torch function, seen by a ``TorchFunctionMode``, is a ReLU; modules call these too."""
    if function in _CLIPS:
        return bool((args[1] if len(args) > 1 else kwargs.get("min_val", -1.0)) == 0)
    return function in _RELUS


class Intercepted(TorchFunctionMode):
    """Passes every call of one of torch's functions through ``call``.

    A dispatch mode would see more, including calls in compiled functions, but imports torch's compiler.
    """

    def call(self, function: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:  # noqa: ANN401
        """Return what stands for a call's result."""
        raise NotImplementedError

    def __torch_function__(
        self,
        func: Any,  # noqa: ANN401
        types: Sequence[type],
        args: tuple[Any, ...] = (),
        kwargs: dict[str, Any] | None = None,
    ) -> Any:  # noqa: ANN401
        return self.call(func, args, kwargs or {})


class Calls(Intercepted):
    """Calls ``noted`` after every call of one of torch's functions."""

    def noted(self, function: object, args: tuple[Any, ...], kwargs: dict[str, Any], result: object) -> None:
        """Process a call and its result."""
        raise NotImplementedError

    def call(self, function: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:  # noqa: ANN401
        """Make, replace or leave out the call."""
        result = function(*args, **kwargs)
        self.noted(function, args, kwargs, result)
        return result


class Guided(Calls):
    """Clamps gradients at the outputs of ReLUs at zero, in forward and backward passes that run within it.

    This covers modules, functions and in-place calls, and no module gets a hook. Source: Springenberg et al., "Striving
    for Simplicity: The All Convolutional Net", ICLR Workshops 2015, https://arxiv.org/abs/1412.6806.
    """

    def noted(
        self,
        function: object,
        args: tuple[Any, ...],
        kwargs: dict[str, Any],
        result: Any,  # noqa: ANN401
    ) -> None:
        """Clamp the gradient at a ReLU's output."""
        if is_relu(function, args, kwargs) and result.requires_grad:
            result.register_hook(_positive)


def _positive(gradient: torch.Tensor) -> torch.Tensor:
    return gradient.clamp(min=0)


class LeftOut(Intercepted):
    """Leaves one call of a final activation out: it returns its input."""

    def __init__(self, position: int) -> None:
        super().__init__()
        self._left = position

    def call(self, function: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:  # noqa: ANN401
        """Make, replace or leave out the call."""
        if function in FINAL_ACTIVATIONS:
            self._left -= 1
            if self._left == -1:
                return args[0] if args else kwargs["input"]
        return function(*args, **kwargs)


_STOPS = {torch.Tensor.detach, torch.Tensor.detach_, torch.detach, torch.Tensor.data.__get__}  # type: ignore[attr-defined]
"""Functions that return a tensor without its graph."""


class GraphKept(Intercepted):
    """Goes on with the graph inside ``no_grad`` and ``inference_mode``, and through ``detach``; values are the same."""

    def call(self, function: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:  # noqa: ANN401
        """Make, replace or leave out the call."""
        if function in _STOPS:
            return args[0]
        with recording():
            return function(*args, **kwargs)


@contextlib.contextmanager
def recording() -> Iterator[None]:
    """Record a graph in any mode of the caller: ``no_grad`` and ``inference_mode`` are suspended in the block."""
    with torch.inference_mode(False), torch.enable_grad():
        yield
