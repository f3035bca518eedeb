"""What trial runs show of a network: its layers and their grids, its class scores, where their gradient comes from.

The runs are real, on noise: one on a picture of the given size, one on a picture of another size, since a grid is what
scales with the input. They run on a copy that is thrown away.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import torch
from torch import nn

from gradcam_cli.cam.capture import undisturbed
from gradcam_cli.cam.execution.replica import throwaway
from gradcam_cli.cam.function_modes import recording
from gradcam_cli.cam.layers.causes import CannotRunError, cannot_run, quantised, unobserved
from gradcam_cli.cam.layers.layout import Layout, Seen, layout_of
from gradcam_cli.cam.layers.trial import Noted, Trial, is_linear_map
from gradcam_cli.cam.outputs.nested import tensors_in
from gradcam_cli.cam.outputs.reading import read_output
from gradcam_cli.cam.outputs.readout import Readout

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from gradcam_cli.records import Size

__all__ = ["CannotRunError", "ModuleCall", "Trace", "trace_network"]

_THROUGH = (
    "a part of the network runs without gradients (no_grad, inference_mode or detach); they are computed all the same"
)

_QUANTISED = "the network is quantised: its whole numbers have no gradients"
_STOPPED = "no gradient passes from the picture to the scores: the network rounds, or leaves PyTorch on the way"

LATEST_CALLS = 24
"""Number of last calls whose gradients are looked at first: two transformer blocks; a walk further back is rare."""


@dataclass(frozen=True, slots=True)
class ModuleCall:
    """One call of a module during the traced run.

    Attributes:
        name: the module's dotted name.
        number: which call of this module it is, from 1; 0 where the module is called once.
        module: the module.
        output: the tensor it returned.
        layout: of the grid in the output, or None.
        pooled: whether the output comes directly from a pooling layer.
        rearranged: whether the module only reshapes or reorders its input.
        depends: whether the output depends on the picture.
    """

    name: str
    number: int
    module: nn.Module
    output: torch.Tensor
    layout: Layout | None
    pooled: bool
    rearranged: bool
    depends: bool

    @property
    def place(self) -> str:
        """The call's name: the module's, and its number where there are several, ``relu#2``."""
        return f"{self.name}#{self.number}" if self.number else self.name

    @property
    def has_grid(self) -> bool:
        """Whether it can be a target layer: its output has a grid, and depends on the picture."""
        return self.layout is not None and self.layout.has_grid and self.depends

    @property
    def is_feature(self) -> bool:
        """Whether it has a grid of computed features: pooling and rearrangement compute none."""
        return self.has_grid and not (self.pooled or self.rearranged)

    @property
    def is_block(self) -> bool:
        """Whether it is a feature and no linear map of tokens, which may be a query, key or value of attention."""
        return self.is_feature and not is_linear_map(self.module)


@dataclass(frozen=True, slots=True)
class Trace:
    """The result of the trial runs.

    Attributes:
        input_size: (H, W) of the picture.
        channels: number of channels of the picture.
        calls: the calls of all modules, in the order of completion.
        classes: number of class scores.
        normalised: names of (convolution, batch norm) where the convolution's output goes only to the batch norm,
            each is called once, and nothing else reads the convolution's weight.
        rectifies: whether a ReLU ran, as a module or as a function.
        readout: the way to the network's logits.
        notes: for the user, about the scores.
        copied: whether a copy ran; a network that cannot be copied was run itself.
        stopped: why no gradient passes from the picture to the scores, or empty.
        gradients: by a call's position, whether the score's gradient reaches its grid; None where it is zero
            everywhere. Calls that were not looked at are left out, as are all without values.
    """

    input_size: Size
    channels: int
    calls: list[ModuleCall]
    classes: int
    normalised: list[tuple[str, str]]
    rectifies: bool
    readout: Readout
    notes: tuple[str, ...]
    copied: bool
    stopped: str
    gradients: dict[int, bool | None]

    def reaches(self, call: ModuleCall) -> bool | None:
        """Whether the score's gradient reaches the grid of a call; None where it was not seen."""
        return self.gradients.get(self.calls.index(call))


def trace_network(
    network: nn.Module,
    input_size: Size,
    channels: int = 3,
    tokens: Size | None = None,
    *,
    output: str | None = None,
    fits: Callable[[int], bool] = lambda count: False,
    plain: bool = False,
    gradients: bool = False,
) -> Trace:
    """Run a network for trial and record the calls of its modules.

    Args:
        network: maps (N, C, H, W) to class scores.
        input_size: (H, W) of the picture.
        channels: C.
        tokens: (h, w) of the grid of tokens; None finds it.
        output: name or position of the output that has the scores; None finds it.
        fits: whether the class labels are for that number of scores.
        plain: whether the scores are taken as they are, also behind a softmax or a sigmoid.
        gradients: whether to see from which layers the score's gradient comes.

    Raises:
        CannotRunError: the network raises on a picture of that size.
        ModelError: it needs something else than a picture, or its output contains no class scores.
    """
    if isinstance(network, torch.jit.ScriptModule) and (error := unobserved(network)) is not None:
        raise error
    copied = throwaway(network)
    request = _Request(input_size, channels, tokens, output, fits, plain, gradients)
    if copied is not None:
        trace = _traced(copied, request)
        if trace.calls or not any(True for _ in network.children()):
            return trace
        # Its forward is bound to the network's own modules.
    return replace(_traced(network, request), copied=False)


@dataclass(frozen=True, slots=True)
class _Request:
    """The arguments of ``trace_network``."""

    input_size: Size
    channels: int
    tokens: Size | None
    output: str | None
    fits: Callable[[int], bool]
    plain: bool
    gradients: bool


def _traced(network: nn.Module, request: _Request) -> Trace:
    with undisturbed(network):
        some = next(iter(network.parameters()), torch.empty(0))

        def noise(size: Size, count: int = 1) -> torch.Tensor:
            values = torch.randn((count, request.channels, *size), generator=torch.Generator().manual_seed(0))
            return values.to(some.device, some.dtype if some.is_floating_point() else torch.float32)

        first, through = _first_run(network, noise(request.input_size), request)
        if not any(call.output.ndim > 2 for call in first.calls) and (error := unobserved(network)) is not None:
            raise error
        stopped = (
            _QUANTISED if quantised(network) else _STOPPED if first.depends and not _has_graph(first.output) else ""
        )
        reading = read_output(
            first.output, 1, first.reads.activations, wanted=request.output, fits=request.fits, plain=request.plain,
            ends_normalised=first.reads.ends_normalised,
        )  # fmt: skip
        readout = replace(reading.readout, from_input=first.reads.hooks, through=through)
        sought = request.gradients and not stopped and not some.is_meta
        leaves = max(0, len(first.calls) - LATEST_CALLS) if sought else None
        others = list(_other_runs(network, first, noise, request.input_size, readout, leaves))
        calls = list(_module_calls(first, others, request.tokens))
        if any(call.layout is not None and call.layout.batch_dim for call in calls):
            pair = Trial(network, noise(request.input_size, 2), run=readout.run)
            calls = list(_with_two_pictures(calls, pair))
        found: dict[int, bool | None] = {}
        if leaves is not None and others[-1].error is None:
            found = _gradients(calls, others[-1], readout)
            if leaves and not any(found[position] and calls[position].is_block for position in found):
                again = Trial(network, others[-1].batch, run=readout.run, leaves=0)
                found = found if again.error is not None else _gradients(calls, again, readout)
    return Trace(
        request.input_size, request.channels, calls, reading.classes, first.normalised(), first.reads.rectifies,
        readout, (*reading.notes, *([_THROUGH] if through else [])), True, stopped, found,
    )  # fmt: skip


def _first_run(network: nn.Module, batch: torch.Tensor, request: _Request) -> tuple[Trial, bool]:
    """Run on one picture, and return whether the graph has to go on where the network stops it."""
    first = Trial(network, batch, depends=True)
    if first.error is not None:
        first = Trial(network, batch)  # it may only be that tensors with a graph were not expected
    elif not _has_graph(first.output):
        kept = Trial(network, batch, depends=True, run=Readout(through=True).run)
        if kept.error is None and _has_graph(kept.output):
            return kept, True
    if first.error is not None:
        raise cannot_run(network, request.input_size, request.channels, first.error) from first.error
    return first, False


def _has_graph(output: object) -> bool:
    return any(tensor.requires_grad for tensor in tensors_in(output))


def _other_runs(
    network: nn.Module,
    first: Trial,
    noise: Callable[[Size], torch.Tensor],
    size: Size,
    readout: Readout,
    leaves: int | None,
) -> Iterator[Trial]:
    """Yield a run at another size and, where that fails on the way, one at the same size for the gradients."""
    for tried in (_another(size), size):
        trial = Trial(network, noise(tried), run=readout.run, leaves=leaves)
        if trial.error is None and [call.name for call in trial.calls] != [call.name for call in first.calls]:
            trial.error = RuntimeError("it runs other modules for another input")
        yield trial
        if trial.error is None or leaves is None:
            return


def _another(size: Size) -> Size:
    """Return another size of input, whose sides differ by multiples of the usual strides, but not alike."""
    height, width = size
    return (height - 64, width - 32) if min(size) >= 128 else (height + 32, width + 16)


def _module_calls(first: Trial, others: list[Trial], tokens: Size | None) -> Iterator[ModuleCall]:
    times = Counter(call.name for call in first.calls)
    known: list[tuple[Size, Size]] = []
    lengths = {call.output.shape[1] for call in first.calls if call.output.ndim == 3}
    seen = [{(call.name, call.number): call for call in trial.calls} for trial in others]
    for call in first.calls:
        mine = _seen(first, call)
        found = ((trial, calls.get((call.name, call.number))) for trial, calls in zip(others, seen, strict=True))
        second = next((_seen(trial, other) for trial, other in found if other is not None), None)
        layout = layout_of(mine, second, tokens, known, lengths)
        if layout is not None and not layout.is_tokens and layout.has_grid:
            other = layout.at(second.shape, second.size) if second is not None else None
            known.append((layout.grid, layout.grid if other is None else other.grid))
        yield ModuleCall(
            call.name, call.number if times[call.name] > 1 else 0, call.module, call.output, layout, call.pooled,
            call.rearranged, call.depends,
        )  # fmt: skip


def _with_two_pictures(calls: list[ModuleCall], pair: Trial) -> Iterator[ModuleCall]:
    """Yield the calls; tokens (L, N, C) that are not so in a run on two pictures are something else, without a grid."""
    shapes = {(call.name, call.number): call.output.shape for call in pair.calls}
    for call in calls:
        dim = 0 if call.layout is None else call.layout.batch_dim
        shape = shapes.get((call.name, call.number or 1))
        yield replace(call, layout=None) if dim and (shape is None or shape[dim] != 2) else call


def _seen(trial: Trial, call: Noted) -> Seen:
    height, width = trial.batch.shape[2:]
    return Seen(tuple(call.output.shape), (height, width))


@recording()
def _gradients(calls: list[ModuleCall], trial: Trial, readout: Readout) -> dict[int, bool | None]:
    """Return, by a call's position, whether the gradient of the logits reaches its grid."""
    places = {position: leaf for position in range(len(calls)) if (leaf := trial.leaf(position)) is not None}
    logits = readout.logits_in(trial.output, len(trial.batch))
    # A classifier that was not trained may keep its logits at zero: then what it reads stands for them.
    flat = [call.given for call in trial.calls if call.given is not None and call.given.ndim == 2]
    for scores in (logits, *reversed(flat)):
        if not scores.requires_grad or not places:
            if scores is logits:
                return dict.fromkeys(places, False)
            continue
        weights = torch.randn(scores.shape, generator=torch.Generator().manual_seed(0)).to(scores)
        gradients = torch.autograd.grad(
            (scores * weights).sum(), list(places.values()), retain_graph=True, allow_unused=True
        )
        found: dict[int, bool | None] = {
            position: gradient is not None and _is_on_grid(calls[position], gradient, trial)
            for position, gradient in zip(places, gradients, strict=True)
        }
        if any(found.values()) or all(gradient is None for gradient in gradients):
            return found
    return dict.fromkeys(places)


def _is_on_grid(call: ModuleCall, gradient: torch.Tensor, trial: Trial) -> bool:
    """Return whether a gradient is not zero everywhere on a call's grid; tokens before the grid do not count."""
    height, width = trial.batch.shape[2:]
    layout = None if call.layout is None else call.layout.at(gradient.shape, (height, width))
    return bool((gradient if layout is None else layout.feature_maps(gradient)).any())
