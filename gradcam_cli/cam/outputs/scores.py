"""Class scores among all that a network returns: which tensors can be scores, and which of several are."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from gradcam_cli.cam.outputs.nested import named_tensors_in
from gradcam_cli.errors import ModelError
from gradcam_cli.text import whole_number

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    import torch

    from gradcam_cli.cam.outputs.nested import Path

FEATURE_NAMES = frozenset(
    {
        "attentions", "embed", "embedding", "embeddings", "embeds", "feat", "feats", "feature", "features",
        "hidden_states", "image_embeds", "last_hidden_state", "pooled", "pooler_output", "projection", "representation",
    }
)  # fmt: skip
"""Names under which networks return features, never class scores."""

_MAX_SHAPES = 6
"""Most tensors of an output that an error lists."""


@dataclass(frozen=True, slots=True)
class Candidate:
    """A tensor that may hold the class scores.

    Attributes:
        path: the way to it in the network's output.
        tensor: as the network has returned it.
        scores: the same as (N, K).
    """

    path: Path
    tensor: torch.Tensor
    scores: torch.Tensor

    @property
    def name(self) -> str:
        """Its path as users write it: ``logits``, ``1``, ``heads.age``."""
        return ".".join(self.path)

    @property
    def names_features(self) -> bool:
        """Whether its name says that it holds features."""
        return any(part in FEATURE_NAMES for part in self.path)


def as_scores(tensor: torch.Tensor, count: int) -> torch.Tensor | None:
    """Return a tensor as class scores (N, K), or None where it cannot hold any.

    Dimensions may be missing or too many: (K,), (), (N,), (N, 1, K), (N, K, 1, 1) and the like are told apart by the
    number of pictures.

    Args:
        tensor: of floats.
        count: N, the number of pictures that the network was given.
    """
    if tensor.ndim == 2 and len(tensor) == count:
        return tensor
    rest = [side for side in tensor.shape if side != 1]
    if count > 1 and tensor.ndim and len(tensor) == count:
        rest = rest[1:]
    elif count > 1:
        return None
    return tensor.reshape(count, -1) if len(rest) <= 1 and tensor.numel() else None


def candidates(output: Any, count: int) -> list[Candidate]:  # noqa: ANN401
    """Return the tensors in a network's output that may hold the class scores; those of shape (N, K), if there are any.

    Raises:
        ModelError: there are none.
    """
    if _is_detections(output):
        raise _without_scores(output, count)
    found = [(path, tensor, as_scores(tensor, count)) for path, tensor in named_tensors_in(output)]
    fitting = [Candidate(path, tensor, scores) for path, tensor, scores in found if scores is not None]
    if not fitting:
        raise _without_scores(output, count)
    return [each for each in fitting if each.tensor.ndim == 2] or fitting


def at_path(output: Any, path: Path, count: int) -> torch.Tensor:  # noqa: ANN401
    """Return the class scores (N, K) at a place of a network's output.

    Raises:
        ModelError: there is no such place, or it holds no scores.
    """
    for place, tensor in named_tensors_in(output):
        if place == path:
            scores = as_scores(tensor, count)
            if scores is not None:
                return scores
    raise _without_scores(output, count)


def choose(
    found: Sequence[Candidate],
    wanted: str | None = None,
    fits: Callable[[int], bool] = lambda count: False,
    derived: Callable[[Candidate, Candidate], bool] = lambda one, other: False,
) -> Candidate:
    """Return the candidate that holds the class scores.

    Without a wish these rules decide, as long as several are left: ``logits`` by name; no features by name; nothing
    that another is computed from, or that is another's probabilities; one with as many scores as there are labels.

    Args:
        found: at least one candidate.
        wanted: its name, or its position in ``found``; None leaves the choice to the rules.
        fits: whether the class labels are for that number of scores.
        derived: whether the first holds nothing of its own: the second is computed from it, or is its logits.

    Raises:
        ModelError: there is none of that name, none that can be scores, or the rules do not decide.
    """
    if wanted is not None:
        return _named(found, wanted)
    if all(each.names_features for each in found):
        shapes = _listed((each.name, each.tensor) for each in found)
        raise ModelError(
            f"the network returns features, not class scores: {shapes}",
            "give a network with a classifier on top, or say with {output} which of them are scores",
        )
    left = [each for each in found if each.path[-1:] == ("logits",)]
    left = left if len(left) == 1 else [each for each in found if not each.names_features]
    if len(left) > 1:
        own = [each for each in left if not any(derived(each, other) for other in left if other is not each)]
        left = own or left
    if len(left) > 1:
        labelled = [each for each in left if fits(each.scores.shape[1])]
        left = labelled if len(labelled) == 1 else left
    if len(left) > 1:
        raise ModelError(
            f"the network returns {len(left)} outputs that may be class scores: "
            f"{_listed((each.name, each.tensor) for each in left)}",
            f"choose one with {{output}}, for example {left[-1].name}",
        )
    return left[0]


def listed(found: Sequence[Candidate]) -> str:
    """Return the candidates' names and shapes in one line."""
    return _listed((each.name, each.tensor) for each in found)


def _named(found: Sequence[Candidate], wanted: str) -> Candidate:
    same = [each for each in found if each.name == wanted] or [each for each in found if wanted in each.path]
    position = whole_number(wanted)
    if not same and position is not None and -len(found) <= position < len(found):
        same = [found[position]]
    if len(same) == 1:
        return same[0]
    raise ModelError(
        f"the network returns no single output '{wanted}'",
        f"choose from {_listed((each.name, each.tensor) for each in found)}",
    )


def _listed(tensors: Iterator[tuple[str, torch.Tensor]]) -> str:
    shapes = [f"{name} {tuple(tensor.shape)}".lstrip() for name, tensor in tensors]
    more = [f"and {len(shapes) - _MAX_SHAPES} more"] if len(shapes) > _MAX_SHAPES else []
    return ", ".join(shapes[:_MAX_SHAPES] + more)


def _is_detections(output: Any) -> bool:  # noqa: ANN401
    """Return whether a network has returned boxes for each picture."""
    each = output if isinstance(output, (list, tuple)) else [output]
    return any(isinstance(found, dict) and {"boxes", "pred_boxes"} & set(found) for found in each)


def _without_scores(output: Any, count: int) -> ModelError:  # noqa: ANN401
    """Return the error for an output without class scores, each kind with its own way out."""
    if _is_detections(output):
        return ModelError(
            "the network is a detector: it returns boxes with their scores, no score for the whole picture",
            "wrap it in a module whose forward returns one score a class, for example the best box's",
        )
    found = [(".".join(path), tensor) for path, tensor in named_tensors_in(output)]
    if any(tensor.ndim == 4 and min(tensor.shape[2:]) > 1 for _, tensor in found):
        return ModelError(
            f"the network returns maps of scores, as segmentation networks do, not one score a class: "
            f"{_listed(iter(found))}",
            "wrap it in a module whose forward returns their mean over the picture, scores.mean((2, 3))",
        )
    shapes = _listed(iter(found)) or "no tensor of floats"
    return ModelError(
        f"the network returns no class scores of shape (batch, classes), but {shapes} for {count} "
        f"picture{'s' if count > 1 else ''}",
        "give a classifier: a network with one score a class",
    )
