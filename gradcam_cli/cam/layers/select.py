"""Selection of the target layer: by name, or by one rule for every network from a trace of its run."""

from __future__ import annotations

import difflib
from dataclasses import dataclass
from typing import TYPE_CHECKING

from torch import nn

from gradcam_cli.cam.capture import Place
from gradcam_cli.errors import ModelError
from gradcam_cli.text import whole_number

if TYPE_CHECKING:
    from gradcam_cli.cam.layers.layout import Layout
    from gradcam_cli.cam.layers.trace import ModuleCall, Trace
    from gradcam_cli.records import Size


@dataclass(frozen=True, slots=True)
class TargetLayer:
    """A layer to explain.

    Attributes:
        name: its dotted name in the network, with the number of the call where there are several: ``relu#2``.
        module: the module.
        layout: of its grid.
        reason: why it was chosen, for ``-v``.
        note: what the user should know of the choice, or empty.
    """

    name: str
    module: nn.Module
    layout: Layout
    reason: str = "asked for"
    note: str = ""

    @property
    def path(self) -> str:
        """The module's dotted name in the network."""
        return self.name.partition("#")[0]

    def place(self, network: nn.Module) -> Place:
        """Return where it is in a copy of its network."""
        return Place(network.get_submodule(self.path), self.layout, int(self.name.partition("#")[2] or 1))


def _target(call: ModuleCall, reason: str = "asked for", note: str = "") -> TargetLayer:
    assert call.layout is not None
    alone = "; its grid is read off its shape alone, since the network takes one size" if call.layout.guessed else ""
    return TargetLayer(call.place, call.module, call.layout, f"{reason}{alone}", note)


def _is_score_map(calls: list[ModuleCall], call: ModuleCall, classes: int) -> bool:
    """Return whether a layer's feature maps are class scores: as many as classes, no parameters behind the layer."""
    return call.layout is not None and call.layout.channels == classes and not _learned_behind(calls, call)


def _learned_behind(calls: list[ModuleCall], call: ModuleCall) -> list[nn.Module]:
    """Return the modules with parameters of their own that ran after ``call`` and return no grid: the classifier."""
    behind = calls[calls.index(call) + 1 :]
    flat = [later.module for later in behind if later.layout is None or not later.layout.has_grid]
    return [module for module in flat if any(True for _ in module.parameters(recurse=False))]


def find_layer(trace: Trace) -> TargetLayer:
    """Find the last layer with a grid that the score depends on: the feature maps that the classifier sees.

    Layers that compute no features (pooling, dropout, rearrangement) and maps of class scores are skipped, and those
    that the score's gradient does not reach. Where the classifier reads only a class token, that are all behind the
    last attention; projections inside attention are skipped, too. Of modules that return the same tensor, a block is
    named, not the ``nn.Sequential`` or the backbone around it.

    Args:
        trace: a network's trace by ``trace_network``, with its gradients.

    Raises:
        NeedsValuesError: only gradients can tell, and the trace has none.
        ModelError: no layer has a grid, or none that the score depends on.
    """
    calls, classes = trace.calls, trace.classes
    features = [call for call in calls if call.is_feature]
    while len(features) > 1 and _is_score_map(calls, features[-1], classes):
        features.pop()
    if not features:
        raise ModelError(
            "no layer of this network has a grid: there is nothing to map back to the picture",
            "use a convolutional network or a transformer with image patches",
        )
    last = features[-1]
    assert last.layout is not None
    walk = features
    if last.layout.prefix or _class_token_behind(calls, last):
        # Queries, keys and values are inputs of attention, not the tokens' features.
        walk = [call for call in features if call.is_block] or features
        if not trace.gradients:
            raise NeedsValuesError("whether tokens reach the score cannot be seen without values")
    known = [call for call in walk if trace.reaches(call) is not None]
    if not known:  # of a network on the meta device, or on which noise gives a score without any gradient
        chosen = _block(walk, walk[-1], trace)
        return _target(chosen, f"the last layer with a grid, {_size(chosen)}; its gradient was not seen")
    reached = [call for call in known if trace.reaches(call)] or [call for call in features if trace.reaches(call)]
    if not reached:
        names = ", ".join(call.place for call in features[-_MAX_NAMES:])
        raise ModelError(
            "the score does not depend on any layer with a grid: no gradient reaches them",
            f"see whether the network detaches or rounds on the way; layers with a grid are {names}",
        )
    chosen = _block(walk, reached[-1], trace)
    what = (
        "the last layer with a grid" if reached[-1] is features[-1] else "the last layer whose grid reaches the score"
    )
    return _target(chosen, f"{what}, {_size(chosen)}")


class NeedsValuesError(RuntimeError):
    """A choice of the layer needs gradients, which the meta device does not have."""


BACKBONE = 0.8
"""Share of all layers above which a module with repeated blocks is a backbone."""

_MAX_NAMES = 6
"""Most layers that an error names."""


def _block(features: list[ModuleCall], call: ModuleCall, trace: Trace) -> ModuleCall:
    """Return the outermost block among the layers that return the same tensor as ``call``.

    A container is no block, nor is a module that has the network's first layer in it, or nearly all layers in repeated
    blocks: a backbone, an encoder.
    """
    same = [each for each in features if each.output is call.output and trace.reaches(each) is trace.reaches(call)]
    whole = BACKBONE * len(features)

    def is_block(each: ModuleCall) -> bool:
        inside = [other for other in features if other.name.startswith(f"{each.name}.")]
        backbone = features[0] in inside or (len(inside) > whole and _repeats(each.module))
        return type(each.module) is not nn.Sequential and not backbone

    return next((each for each in reversed(same) if is_block(each)), call)


def _class_token_behind(calls: list[ModuleCall], call: ModuleCall) -> bool:
    """Return whether a single token runs after ``call``: then the classifier may not read the grid."""
    behind = calls[calls.index(call) + 1 :]
    return any(each.layout is not None and each.layout.is_tokens and not each.layout.has_grid for each in behind)


def _size(call: ModuleCall) -> str:
    assert call.layout is not None
    height, width = call.layout.grid
    return f"{call.layout.channels} feature maps of {height}×{width}"


def every_layer(trace: Trace) -> list[TargetLayer]:
    """Return every layer that has a grid, in order of completion, one for each distinct output.

    Of layers with the same output it is the block, as in ``find_layer``. A layer that only reshapes its input
    does not count.

    Args:
        trace: the network's trace by ``trace_network``.

    Raises:
        ModelError: no layer has a grid.
    """
    named: dict[int, ModuleCall] = {}
    for call in trace.calls:
        if not call.has_grid or call.rearranged:
            continue
        known = named.get(id(call.output))
        if known is None or type(call.module) is not nn.Sequential:
            named[id(call.output)] = call
    if not named:
        raise ModelError("no layer of this network has a grid", "use a convolutional network")
    return [_target(call) for call in named.values()]


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
        if not call.is_feature or inside:
            continue
        container = type(call.module) is nn.Sequential or _repeats(call.module)
        if not container and not _is_score_map(calls, call, classes):
            taken[call.name] = call  # the last of several calls
    if not taken:
        raise ModelError("no layer of this network has a grid", "use a convolutional network")
    order = {call.name: position for position, call in enumerate(calls)}
    return [_target(taken[name]) for name in sorted(taken, key=order.__getitem__)]


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
    """Return every layer with a grid, as a tree: in the order of the network's modules, parents before children.

    A module that is called several times is there once for each call.
    """
    called: dict[str, list[ModuleCall]] = {}
    for call in trace.calls:
        called.setdefault(call.name, []).append(call)
    found = []
    for name, module in network.named_modules():
        for call in called.get(name, ()):
            if call.has_grid and call.layout is not None:
                layout = call.layout
                parameters = sum(parameter.numel() for parameter in module.parameters())
                found.append(Candidate(call.place, type(module).__name__, layout.channels, layout.grid, parameters))
    return found


def layer_named(network: nn.Module, name: str, trace: Trace) -> TargetLayer:
    """Look a layer up by its dotted name; numbers index into containers, also from the end (``features.-1``).

    ``relu#2`` is the second call of a module that is called several times; without a number it is the last call that
    depends on the picture.

    Raises:
        ModelError: there is no such layer or call, with close matches; or it has no grid.
    """
    path, _, number = name.partition("#")
    module = _module_named(network, path)
    dotted = next(known for known, each in network.named_modules() if each is module)  # the first of several names
    calls = [call for call in trace.calls if call.name == dotted]
    if not calls:
        raise ModelError(
            f"the target layer '{dotted}' ({type(module).__name__}) was not used by the forward pass, or has no grid",
            "leave {layer} out to have one found",
        )
    if number:
        position = whole_number(number)
        if position is None or not 1 <= position <= len(calls):
            raise ModelError(
                f"the layer '{dotted}' is called {len(calls)} times, so that there is no '{name}'",
                f"give a number from 1 to {len(calls)}",
            )
        call = calls[position - 1]
    else:
        call = next((each for each in reversed(calls) if each.depends), calls[-1])
    return _gridded(call, calls, asked=bool(number))


def _gridded(call: ModuleCall, calls: list[ModuleCall], *, asked: bool) -> TargetLayer:
    """Return a call as the target layer, or raise where it cannot be."""
    kind = type(call.module).__name__
    if call.layout is None:
        raise ModelError(
            f"the target layer '{call.place}' ({kind}) has no grid in its output, of shape {tuple(call.output.shape)}",
            "leave {layer} out to have one found, or give the grid of its tokens with {reshape}",
        )
    if not call.depends:
        raise ModelError(
            f"the target layer '{call.place}' ({kind}) does not depend on the picture", "name another {layer}"
        )
    note = ""
    if call.number and not asked:
        note = f"{call.name} is called {len(calls)} times: {call.place} is explained, the last that sees the picture"
    return _target(call, note=note)


def _module_named(network: nn.Module, name: str) -> nn.Module:
    """Return the module that a user's name means."""
    module = network
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
    return module
