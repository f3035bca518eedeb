"""Reruns of the part of a network behind a layer, on other outputs of that layer, without the part before it."""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING, Any

import torch

from gradcam_cli.cam.execution.batch_invariant import perturbations_of_one
from gradcam_cli.cam.outputs.nested import first_tensor, with_replaced

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from torch import nn

    from gradcam_cli.cam.capture import Place
    from gradcam_cli.cam.outputs.readout import Readout

Recorded = tuple["dict[nn.Module, list[Any]]", Any]
"""The outputs of modules, call by call, and the layer's output."""

SAME = 1e-3
"""Deviation, relative to the largest logit, up to which a shortened run counts as the same."""


class PartialForward:
    """The part of a network behind a layer, for one picture.

    Of the modules that run before the layer, the outermost return their recorded outputs for the picture, so that
    nothing in them is computed. A check ensures once that this changes nothing; otherwise the whole network runs.

    Args:
        network: in eval mode, not used elsewhere meanwhile.
        place: the layer.
        picture: (1, 3, H, W).
        readout: the way to the network's logits.
        recorded: a recorded forward pass of it, and its logits, (1, K); without, one is made.
    """

    def __init__(
        self,
        network: nn.Module,
        place: Place,
        picture: torch.Tensor,
        readout: Readout,
        recorded: tuple[Recorded, torch.Tensor] | None = None,
    ) -> None:
        self._network, self._layer, self._picture, self._readout = network, place.module, picture, readout
        self._batch_dim = place.layout.batch_dim
        if recorded is None:
            with record_outputs(network, place) as noted:
                logits = readout.logits(network, picture).detach()
            recorded = noted(), logits
        (self._given, self._output), logits = recorded
        activation = first_tensor(self._output, (3, 4))
        assert activation is not None
        self._activation = activation
        self.activation: torch.Tensor = activation.transpose(0, self._batch_dim)
        """The layer's output, in its own layout, batch first."""
        # Of other records it is not known where the batch is, and a recorded tensor has no graph to hook.
        self.shortened = not self._batch_dim and not readout.from_input
        self._copies = False
        try:
            written = self._picture = picture.clone()
            version = written._version
            again = self(self.activation)
            self._copies = written._version != version
        except Exception:  # a network may do anything, including writing into its inputs
            self.shortened = False
        else:
            # A module that runs on both sides of the layer may have returned the output of another call.
            same_shape = again.shape == logits.shape
            self.shortened &= same_shape and bool((again - logits).abs().max() <= SAME * logits.abs().max())

    def __call__(self, outputs: torch.Tensor) -> torch.Tensor:
        """Run on other outputs of the layer, (B, …) in its own layout; return the logits, (B, K)."""
        count = len(outputs)
        if self._readout.from_input:
            outputs = outputs.detach().requires_grad_(True)
        with contextlib.ExitStack() as stack:
            stack.enter_context(torch.set_grad_enabled(self._readout.from_input))
            replaced = with_replaced(self._output, self._activation, outputs.transpose(0, self._batch_dim))
            for module, earlier in self._given.items():
                is_layer = module is self._layer
                if self.shortened or is_layer:
                    answers = [_repeated(each, count) if self.shortened else _OWN for each in earlier]
                    stack.enter_context(_answering(module, [*answers, replaced] if is_layer else answers))
            stack.enter_context(perturbations_of_one())
            pictures = self._picture.expand(count, -1, -1, -1)
            return self._readout.logits(self._network, pictures.clone() if self._copies else pictures).detach()


_OWN = object()
"""Stands for a module's own output among the answers of its calls."""


def beside(network: nn.Module, layer: nn.Module) -> Iterator[nn.Module]:
    """Yield the children of a layer's ancestors, except these and the layer: the modules before and behind it."""
    ancestors = [module for module in network.modules() if layer in set(module.modules())]
    for ancestor in ancestors:
        if ancestor is not layer:
            yield from (child for child in ancestor.children() if child not in ancestors)


@contextlib.contextmanager
def record_outputs(network: nn.Module, place: Place) -> Iterator[Callable[[], Recorded]]:
    """Record, in one run, the outputs of the outermost modules before the layer, call by call, and of the layer.

    Yields a function that returns them afterwards.
    """
    given: list[tuple[nn.Module, Any]] = []
    layer, before, left = place.module, 0, place.number

    def note(module: nn.Module, args: tuple[Any, ...], output: Any) -> None:  # noqa: ANN401
        nonlocal before, left
        left -= module is layer
        if module is layer and left == 0:
            before = len(given)
        given.append((module, _mapped(output, lambda tensor: tensor.detach().clone())))  # it may be overwritten later

    def noted() -> Recorded:
        by_module: dict[nn.Module, list[Any]] = {layer: []}
        for module, output in given[:before]:
            by_module.setdefault(module, []).append(output)
        return by_module, given[before][1]

    handles = [module.register_forward_hook(note) for module in {*beside(network, layer), layer}]
    try:
        yield noted
    finally:
        for handle in handles:
            handle.remove()


def sample_of(recorded: Recorded, picture: int, count: int) -> Recorded:
    """Return the records of one picture in a batch of ``count``; tensors without a batch stay unchanged."""

    def single(tensor: torch.Tensor) -> torch.Tensor:
        return tensor[picture : picture + 1] if tensor.ndim and len(tensor) == count else tensor

    given, output = recorded
    return {module: [_mapped(each, single) for each in calls] for module, calls in given.items()}, _mapped(
        output, single
    )


@contextlib.contextmanager
def _answering(module: nn.Module, answers: list[Any]) -> Iterator[None]:
    """Make a module's calls return ``answers`` one after the other, then its own output, as where one is ``_OWN``."""
    left = iter(answers)
    own = module.__dict__.get("forward")
    forward = module.forward

    def answer(*args: Any, **options: Any) -> Any:  # noqa: ANN401
        given = next(left, _OWN)
        return forward(*args, **options) if given is _OWN else given

    module.forward = answer
    try:
        yield
    finally:
        if own is None:
            del module.forward
        else:
            module.forward = own


def _mapped(output: Any, change: Callable[[torch.Tensor], torch.Tensor]) -> Any:  # noqa: ANN401
    """Return a module's output with each of its tensors changed."""
    if isinstance(output, torch.Tensor):
        return change(output)
    if isinstance(output, dict):
        return type(output)({key: _mapped(value, change) for key, value in output.items()})
    if isinstance(output, tuple) and hasattr(output, "_fields"):
        return type(output)(*(_mapped(value, change) for value in output))
    if isinstance(output, (tuple, list)):
        return type(output)(_mapped(value, change) for value in output)
    return output


def _repeated(output: Any, count: int) -> Any:  # noqa: ANN401
    return _mapped(output, lambda tensor: tensor.expand(count, *tensor.shape[1:]) if len(tensor) == 1 else tensor)
