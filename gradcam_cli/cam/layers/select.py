"""Selection of the target layer: by name, or by one rule for every network from a trace of its run."""

from __future__ import annotations

import difflib
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import torch
from torch import nn

from gradcam_cli.cam.capture import logits_of, undisturbed
from gradcam_cli.cam.layers.layout import first_tensor
from gradcam_cli.errors import ModelError
from gradcam_cli.text import whole_number

if TYPE_CHECKING:
    from gradcam_cli.cam.layers.trace import ModuleCall, Trace
    from gradcam_cli.records import Size

_LATEST_TOKEN_LAYERS = 24
"""Number of last modules searched for a layer whose tokens all reach the score: well over a transformer block."""


@dataclass(frozen=True, slots=True)
class TargetLayer:
    """A layer to explain: its dotted name in the network, the module, and why it was chosen (for ``-v``)."""

    name: str
    module: nn.Module
    reason: str = "asked for"


def _is_score_map(calls: list[ModuleCall], call: ModuleCall, classes: int) -> bool:
    """Return whether a layer's feature maps are class scores: as many as classes, no parameters behind the layer."""
    return call.layout is not None and call.layout.channels == classes and not _learned_behind(calls, call)


def _learned_behind(calls: list[ModuleCall], call: ModuleCall) -> list[nn.Module]:
    """Return the modules with parameters of their own that ran after ``call`` and return no grid: the classifier."""
    behind = calls[calls.index(call) + 1 :]
    flat = [later.module for later in behind if later.layout is None or not later.layout.has_grid]
    return [module for module in flat if any(True for _ in module.parameters(recurse=False))]


def find_layer(network: nn.Module, trace: Trace) -> TargetLayer:
    """Find the last layer that still has a grid: the feature maps that the classifier sees.

    Layers that compute no features (pooling, dropout, rearrangement) and maps of class scores are skipped. Where the
    classifier reads only a class token, the grid's tokens no longer reach the score after the last attention; the
    result is then the last layer from which they do, except projections. Of modules that return the same tensor, the
    innermost block is named, not the ``nn.Sequential`` around it.

    Args:
        network: maps (N, C, H, W) to class scores.
        trace: its trace by ``trace_network``.

    Raises:
        ModelError: no layer has a grid.
    """
    calls, classes = trace.calls, trace.classes
    gridded = [call for call in calls if call.layout is not None and call.layout.has_grid]
    features = [call for call in gridded if not (call.pooled or call.rearranged)]
    while len(features) > 1 and _is_score_map(calls, features[-1], classes):
        features.pop()
    if not features:
        raise ModelError(
            "no layer of this network has a grid: there is nothing to map back to the picture",
            "use a convolutional network or a transformer with image patches",
        )
    last = features[-1]
    if last.layout is not None and (last.layout.prefix or _class_token_behind(calls, last)):
        # Projections are skipped: queries, keys and values are inputs of attention, not the tokens' features.
        tokens = [call for call in features if not isinstance(call.module, nn.Linear)] or features
        shape = (1, trace.channels, *trace.input_size)
        return _last_reaching(network, tokens[-_LATEST_TOKEN_LAYERS:], _learned_behind(calls, last), shape)
    chosen = _innermost(features, last)
    return TargetLayer(chosen.name, chosen.module, f"the last layer with a grid, {_size(chosen)}")


def _innermost(features: list[ModuleCall], call: ModuleCall) -> ModuleCall:
    """Return the innermost block among the layers that return the same tensor as ``call``."""
    same = [each for each in features if each.output is call.output]
    return next((each for each in reversed(same) if type(each.module) is not nn.Sequential), call)


def _class_token_behind(calls: list[ModuleCall], call: ModuleCall) -> bool:
    """Return whether a single token runs after ``call``: then the classifier may not read the grid."""
    behind = calls[calls.index(call) + 1 :]
    return any(each.layout is not None and each.layout.kind == "tokens" and not each.layout.has_grid for each in behind)


def _size(call: ModuleCall) -> str:
    assert call.layout is not None
    height, width = call.layout.grid
    return f"{call.layout.channels} feature maps of {height}×{width}"


def _last_reaching(
    network: nn.Module, candidates: list[ModuleCall], classifier: list[nn.Module], shape: tuple[int, ...]
) -> TargetLayer:
    """Return the last candidate from which the grid's tokens, not the class token alone, reach the classifier."""
    some = next(network.parameters())
    outputs: dict[int, torch.Tensor] = {}
    read: list[torch.Tensor] = []

    def hook_for(position: int) -> Any:  # noqa: ANN401
        def hook(_: nn.Module, args: tuple[Any, ...], output: Any) -> None:  # noqa: ANN401
            tensor = first_tensor(output, (2, 3, 4))  # the tensor that was traced, not a class token beside the grid
            if tensor is not None and tensor.ndim == 3:
                outputs[position] = tensor if tensor.requires_grad else tensor.requires_grad_(True)

        return hook

    def note_input(_: nn.Module, args: tuple[Any, ...]) -> None:
        read.extend(arg for arg in args if isinstance(arg, torch.Tensor))

    handles = [call.module.register_forward_hook(hook_for(position)) for position, call in enumerate(candidates)]
    handles += [module.register_forward_pre_hook(note_input) for module in classifier[:1]]
    try:
        with undisturbed(network), torch.enable_grad():
            noise = torch.randn(shape, generator=torch.Generator().manual_seed(0))
            logits = logits_of(network(noise.to(some.device, some.dtype)), 1)
        # The classifier's input is more reliable than a logit, which an untrained classifier may keep at zero.
        score = (read[0] if read else logits).float().square().sum()
        positions = sorted(outputs)
        gradients = torch.autograd.grad(score, [outputs[p] for p in positions], allow_unused=True)
    finally:
        for handle in handles:
            handle.remove()
    for position, gradient in reversed(list(zip(positions, gradients, strict=True))):
        call = candidates[position]
        if gradient is not None and call.layout is not None and bool(gradient[:, call.layout.prefix :].any()):
            call = _innermost(candidates, call)
            reason = f"the last layer from which the patches reach the score, {_size(call)}"
            return TargetLayer(call.name, call.module, reason)
    raise ModelError("no layer's patches reach the class score", "name a layer with {layer}")


def every_layer(trace: Trace) -> list[TargetLayer]:
    """Return every layer that has a grid, in order of completion, one for each distinct output.

    Of layers with the same output it is the innermost block, as in ``find_layer``. A layer that only reshapes its input
    does not count.

    Args:
        trace: the network's trace by ``trace_network``.

    Raises:
        ModelError: no layer has a grid.
    """
    named: dict[int, ModuleCall] = {}
    for call in trace.calls:
        if call.layout is None or not call.layout.has_grid or call.rearranged:
            continue
        known = named.get(id(call.output))
        if known is None or type(call.module) is not nn.Sequential:
            named[id(call.output)] = call
    last = {call.name: call for call in named.values()}  # a module that is called repeatedly counts at its last call
    if not last:
        raise ModelError("no layer of this network has a grid", "use a convolutional network")
    return [TargetLayer(call.name, call.module) for call in last.values()]


def blocks(trace: Trace) -> list[TargetLayer]:
    """Return a network's blocks that have a grid, in the order in which they run: a view of its depth.

    A block is a module of the top level or of a container that does not consist of repeated blocks itself: a residual
    block, a transformer's encoder layer, a convolution of VGG. Pooling, rearrangement and maps of class scores are left
    out.

    Args:
        trace: the network's trace by ``trace_network``.

    Raises:
        ModelError: no layer has a grid.
    """
    calls, classes = trace.calls, trace.classes
    taken: dict[str, ModuleCall] = {}
    for call in sorted(calls, key=lambda call: call.name.count(".")):  # outermost first
        inside = any(call.name.startswith(f"{name}.") for name in taken)
        if call.layout is None or not call.layout.has_grid or call.pooled or call.rearranged or inside:
            continue
        container = type(call.module) is nn.Sequential or _repeats(call.module)
        if not container and not _is_score_map(calls, call, classes):
            taken[call.name] = call
    if not taken:
        raise ModelError("no layer of this network has a grid", "use a convolutional network")
    order = {call.name: position for position, call in enumerate(calls)}
    return [TargetLayer(name, taken[name].module) for name in sorted(taken, key=order.__getitem__)]


def _repeats(module: nn.Module) -> bool:
    """Return whether a module consists of blocks: a container in it has several modules of one class, not leaves."""
    for part in module.modules():
        children = list(part.children()) if isinstance(part, (nn.Sequential, nn.ModuleList, nn.ModuleDict)) else []
        same_class = len(children) > 1 and len({type(child) for child in children}) == 1
        if same_class and any(True for _ in children[0].children()):
            return True
    return False


@dataclass(frozen=True, slots=True)
class Candidate:
    """A layer that can be named as the target.

    Attributes:
        name: dotted.
        kind: the module's class.
        maps: number of feature maps.
        grid: their size (h, w).
        parameters: number of parameters of the layer and all its children.
    """

    name: str
    kind: str
    maps: int
    grid: Size
    parameters: int


def candidates(network: nn.Module, trace: Trace) -> list[Candidate]:
    """Return every layer with a grid, as a tree: in the order of the network's modules, parents before children."""
    last = {call.name: call.layout for call in trace.calls}
    found = []
    for name, module in network.named_modules():
        layout = last.get(name)
        if layout is not None and layout.has_grid:
            parameters = sum(parameter.numel() for parameter in module.parameters())
            found.append(Candidate(name, type(module).__name__, layout.channels, layout.grid, parameters))
    return found


def layer_named(network: nn.Module, name: str) -> TargetLayer:
    """Look a layer up by its dotted name; numbers index into containers, also from the end (``features.-1``).

    Raises:
        ModelError: there is no such layer; close matches are suggested.
    """
    module, taken = network, []
    for part in name.replace("[", ".").replace("]", "").split("."):
        children = dict(module.named_children())
        index = whole_number(part)
        if part not in children and index is not None and -len(children) <= index < len(children):
            part = list(children)[index]
        if part not in children:
            names = [known for known, _ in network.named_modules() if known]
            close = difflib.get_close_matches(name, names, 3, 0.5) or [child for child, _ in network.named_children()]
            raise ModelError(f"the network has no layer '{name}'", f"did you mean {', '.join(close[:6])}?")
        module = children[part]
        taken.append(part)
    return TargetLayer(".".join(taken), module)
