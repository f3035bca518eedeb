"""What a network's output in a trial run says: where its class scores are, and whether they are probabilities."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

import torch

from gradcam_cli.cam.outputs.readout import Readout
from gradcam_cli.cam.outputs.scores import Candidate, candidates, choose, listed
from gradcam_cli.errors import ModelError

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

SUM_TOLERANCE = 1e-3
"""Deviation of a sum from 1 up to which scores are probabilities, and that of a length from 1."""

LEAST_EMBEDDING = 32
"""Fewest numbers that are taken for an embedding when a normalisation is a network's last layer."""

LEAST_UNIT = 8
"""Fewest numbers that are taken for an embedding when their vector has the length 1."""


@dataclass(frozen=True, slots=True)
class ActivationCall:
    """A call of a final activation: its name, its input, its result and the dimension that it runs over, if any."""

    name: str
    given: torch.Tensor
    result: torch.Tensor
    dim: int | None


@dataclass(frozen=True, slots=True)
class Reading:
    """How a network's output is read.

    Attributes:
        readout: the way to the logits.
        classes: K.
        notes: for the user.
    """

    readout: Readout
    classes: int
    notes: tuple[str, ...]


def read_output(
    output: Any,  # noqa: ANN401
    count: int,
    activations: Sequence[ActivationCall] = (),
    *,
    wanted: str | None = None,
    fits: Callable[[int], bool] = lambda classes: False,
    plain: bool = False,
    ends_normalised: bool = False,
) -> Reading:
    """Find the class scores in a network's output, and what turned logits into them.

    Args:
        output: of a run on noise, preferably with its graph.
        count: number of pictures.
        activations: the calls of final activations in that run, in order.
        wanted: name or position of the output that has the scores; None finds it.
        fits: whether the class labels are for that number of scores.
        plain: whether the scores are taken as they are.
        ends_normalised: whether the network ends in a normalisation.

    Raises:
        ModelError: it has no class scores, or an embedding in their place, or several outputs that may be scores.
    """
    found = candidates(output, count)

    def derived(one: Candidate, other: Candidate) -> bool:
        if _is_activation_of(one, other, activations):
            return True
        if _is_activation_of(other, one, activations):
            return False
        return _is_made_of(other.tensor, one.tensor) or (_unit(one.scores) and not _unit(other.scores))

    chosen = choose(found, wanted, fits, derived)
    classes = chosen.scores.shape[1]
    if wanted is None and not fits(classes):
        _refuse_embedding(chosen.scores, ends_normalised=ends_normalised)
    notes = [] if len(found) == 1 else [f"the network returns {listed(found)}: {chosen.name} is explained"]
    path = chosen.path
    if plain:
        return Reading(Readout(path, plain=True), classes, tuple(notes))
    position = _made_by(chosen.tensor, activations)
    name = None if position is None else activations[position].name
    undone = position if position is not None and _over_classes(activations[position], chosen) else None
    activation: Literal["softmax", "log_softmax", "sigmoid"] | None = None
    if undone is not None and name in ("softmax", "log_softmax", "sigmoid"):
        activation = name  # type: ignore[assignment]
        notes.append(f"the network ends in a {name}: its logits are explained, and its probabilities shown as they are")
    elif name == "softmax":
        activation = "sigmoid"  # each probability for itself
        notes.append(
            "the network returns a part of a softmax: the log-odds of its probabilities are explained, and they are "
            "shown as they are"
        )
    elif classes > 1 and _sums_to_one(chosen.scores):
        activation = "softmax"
        notes.append(
            "the network returns probabilities: their logarithms are explained, and they are shown as they are"
        )
    elif _in_unit_range(chosen.scores):
        notes.append(
            "the network's scores lie between 0 and 1 on noise, and are taken for logits all the same; if they are "
            "probabilities, let it return what stands in front of them"
        )
    return Reading(Readout(path, activation, undone if activation else None), classes, tuple(notes))


def _base(tensor: torch.Tensor) -> torch.Tensor:
    return tensor._base if tensor._base is not None else tensor


_PASSING = (
    "Alias", "AsStrided", "Clone", "Expand", "Permute", "ReshapeAlias", "Select", "Slice", "Squeeze", "ToCopy", "T",
    "Transpose", "UnsafeView", "Unsqueeze", "View",
)  # fmt: skip
_PASSING_NODES = {f"{name}Backward{digit}" for name in _PASSING for digit in range(4)}
"""Nodes of a graph that only copy, cast, select or rearrange."""


def _made_by(scores: torch.Tensor, activations: Sequence[ActivationCall]) -> int | None:
    """Return the position of the final activation whose result the scores are, or are a part or a view of."""
    node = scores.grad_fn
    while node is not None and node.name() in _PASSING_NODES and len(node.next_functions) == 1:
        if any(each.result.grad_fn is node for each in activations):
            break
        node = node.next_functions[0][0]
    for position in reversed(range(len(activations))):
        result = activations[position].result
        if _base(result) is _base(scores) or (node is not None and result.grad_fn is node):
            return position
    return None


def _over_classes(call: ActivationCall, chosen: Candidate) -> bool:
    """Return whether an activation ran over the classes of these scores, so that it can be left out."""
    if call.name == "sigmoid":
        return True
    whole = call.result.numel() == chosen.tensor.numel()
    return whole and call.dim is not None and call.result.shape[call.dim] == chosen.scores.shape[1]


def _is_activation_of(one: Candidate, other: Candidate, activations: Sequence[ActivationCall]) -> bool:
    """Return whether the first has the probabilities of the second's logits."""
    if one.scores.shape != other.scores.shape:
        return False
    position = _made_by(one.tensor, activations)
    if position is not None and _base(activations[position].given) is _base(other.tensor):
        return True
    if one.scores.is_meta:
        return False
    logits = other.scores.detach().double()
    made = (logits.softmax(1), logits.sigmoid(), logits.log_softmax(1))
    return any(torch.allclose(one.scores.detach().double(), each, atol=1e-5) for each in made)


def _is_made_of(tensor: torch.Tensor, part: torch.Tensor) -> bool:
    """Return whether a tensor is computed from another, by their graph."""
    sought, left, seen = part.grad_fn, [tensor.grad_fn], set()
    if sought is None or tensor.grad_fn is sought:
        return False
    while left:
        node = left.pop()
        if node is sought:
            return True
        if node is not None and node not in seen:
            seen.add(node)
            left.extend(following for following, _ in node.next_functions)
    return False


def _unit(scores: torch.Tensor) -> bool:
    """Return whether rows have the length 1, as embeddings do."""
    if scores.is_meta or scores.shape[1] < LEAST_UNIT:
        return False
    lengths = scores.detach().double().norm(dim=1)
    return bool((lengths - 1).abs().max() < SUM_TOLERANCE) and not _sums_to_one(scores)


def _sums_to_one(scores: torch.Tensor) -> bool:
    if scores.is_meta:
        return False
    values = scores.detach().double()
    return bool(((values.sum(1) - 1).abs() < SUM_TOLERANCE).all()) and bool((values >= 0).all())


def _in_unit_range(scores: torch.Tensor) -> bool:
    """Return whether all scores lie between 0 and 1, and are not all the same, as those of an untrained network."""
    if scores.is_meta:
        return False
    values = scores.detach().double()
    inside = bool((values >= 0).all()) and bool((values <= 1).all())
    return inside and (scores.numel() == 1 or bool(values.max() > values.min()))


def _refuse_embedding(scores: torch.Tensor, *, ends_normalised: bool) -> None:
    classes = scores.shape[1]
    if _unit(scores):
        what = "its numbers form a vector of length 1"
    elif ends_normalised and classes >= LEAST_EMBEDDING:
        what = "a normalisation is its last layer"
    else:
        return
    raise ModelError(
        f"the network returns an embedding of {classes} numbers, not class scores: {what}",
        "put a classifier on top; or, if these are scores of classes, say so with {output} 0",
    )
