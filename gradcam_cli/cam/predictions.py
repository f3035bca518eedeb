"""Conversion of logits to probabilities and predictions, and of targets, as typed, to class indices."""

from __future__ import annotations

import difflib
import math
from collections.abc import Iterable, Sequence
from dataclasses import replace
from functools import cached_property
from typing import TYPE_CHECKING, overload

from gradcam_cli.cam.targets import Target, TargetSpec
from gradcam_cli.errors import ModelError
from gradcam_cli.records import Activation, Prediction

if TYPE_CHECKING:
    from gradcam_cli.cam.targets import Logits


def check_named(targets: Iterable[TargetSpec], labels: Sequence[str] | None) -> None:
    """Raise ModelError unless each class that targets name by its label is among the labels."""
    for target in targets:
        for side in (target, target.against):
            if side is not None and side.label is not None:
                class_named(side.label, labels)


def class_named(label: str, labels: Sequence[str] | None) -> int:
    """Return the index of the class whose label is ``label``, case-insensitively, or contains it where only one does.

    Raises:
        ModelError: the network has no labels, or no class or more than one matches.
    """
    if labels is None:
        raise ModelError(
            f"this network has no labels to look '{label}' up in", "give a class index, or add {labels} FILE"
        )
    wanted = label.casefold()
    folded = [known.casefold() for known in labels]
    # "tench, Tinca tinca" matches either of its names.
    named = [i for i, known in enumerate(folded) if known == wanted or wanted in known.split(", ")]
    found = named or [i for i, known in enumerate(folded) if wanted in known]
    if len(found) == 1:
        return found[0]
    if found:
        candidates = ", ".join(f"{labels[i]} ({i})" for i in found[:6]) + (", …" if len(found) > 6 else "")
        raise ModelError(
            f"the label '{label}' fits {len(found)} classes", f"give one of them by its index: {candidates}"
        )
    close = difflib.get_close_matches(wanted, folded, 3, 0.6)
    near = ", ".join(labels[folded.index(match)] for match in close)
    raise ModelError(f"no class is called '{label}'", f"did you mean {near}?" if near else "give a class index instead")


def activation_for(count: int, wanted: Activation) -> Activation:
    """Return the function that makes ``count`` logits probabilities, ``softmax`` or ``sigmoid``; the latter for one.

    It is ``none`` where the scores are taken as they are.
    """
    if wanted == "none":
        return "none"
    return "sigmoid" if count == 1 or wanted == "sigmoid" else "softmax"


def probabilities(logits: Logits | Sequence[float], activation: Activation = "auto") -> list[float]:
    """Return the classes' probabilities.

    Args:
        logits: of one picture.
        activation: ``sigmoid`` gives each class its own, independent of the others; otherwise they sum to one. For a
            single logit they are (1 − sigmoid, sigmoid) in any case.
    """
    import numpy as np  # by now it is loaded; parsing a target does not need it

    scores = np.asarray([0.0, *logits] if len(logits) == 1 else logits, np.float64)
    with np.errstate(invalid="ignore"):  # scores that are not finite give such chances; the caller reports it
        if activation == "sigmoid" and len(logits) > 1:
            powers = np.exp(-np.abs(scores))
            chances = np.where(scores >= 0, 1, powers) / (1 + powers)
        else:
            powers = np.exp(scores - scores.max())
            chances = powers / powers.sum()
    found: list[float] = chances.tolist()
    return found


def label_of(index: int, labels: Sequence[str] | None) -> str:
    """Return the class's label, or ``class 3`` where there are none."""
    return labels[index] if labels is not None else f"class {index}"


class Ranking(Sequence[Prediction]):
    """Every class of one picture, the most probable first; ties go to the lower index.

    Sorted only when a rank is first requested: a frame of a clip, whose class is known, needs none.

    Args:
        chances: the probability of each class, or the plain score.
        labels: the network's class names, or None.
        scores: the logit of each class, two for a network with one; None where only the probabilities are known.
        frames: of a clip, whose mean probabilities ``chances`` are; empty for a picture.
        plain: whether the network's scores are no logits, so that there are no probabilities.
        two_sides: whether the scores are the two sides, -y and y, of one logit.
    """

    def __init__(
        self,
        chances: Sequence[float],
        labels: Sequence[str] | None,
        scores: Sequence[float] | None = None,
        frames: Sequence[Ranking] = (),
        *,
        plain: bool = False,
        two_sides: bool = False,
    ) -> None:
        self.plain = plain
        self._two_sides = two_sides
        self.chances = chances
        self.labels = labels
        self._scores = scores
        self._frames = frames

    @cached_property
    def _order(self) -> list[int]:
        return sorted(range(len(self.chances)), key=self.chances.__getitem__, reverse=True)

    def __len__(self) -> int:
        """Return the number of classes."""
        return len(self.chances)

    @overload
    def __getitem__(self, rank: int) -> Prediction: ...
    @overload
    def __getitem__(self, rank: slice) -> list[Prediction]: ...
    def __getitem__(self, rank: int | slice) -> Prediction | list[Prediction]:
        """Return the prediction at ``rank``, counted from 0."""
        if isinstance(rank, slice):
            return [self.of(index) for index in self._order[rank]]
        return self.of(self._order[rank])

    def of(self, index: int) -> Prediction:
        """Return the prediction for the class ``index``."""
        if self.plain:
            label = "score" if len(self.chances) == 1 and self.labels is None else label_of(index, self.labels)
            return Prediction(index, label, None, self.chances[index])
        score = None if self._scores is None else self._scores[index]
        return Prediction(index, label_of(index, self.labels), self.chances[index], score)

    def for_target(self, target: Target) -> Prediction:
        """Return the prediction for a target: its label names the comparison or negation, and so does its probability.

        Of ``A vs B`` that is the probability of A among the two, the softmax over their logits; of ``not A`` it is
        1 - p(A). The score is what is explained: the difference of the two logits, or the negative logit.
        """
        own = self.of(target.index)
        if target.against is not None:
            other = self.of(target.against)
            score = None if own.score is None or other.score is None else own.score - other.score
            probability = None if self.plain else self._among_two(target.index, target.against)
            return replace(own, label=f"{own.label} vs {other.label}", probability=probability, score=score)
        if target.negated:
            score = None if own.score is None else -own.score
            probability = None if own.probability is None else 1 - own.probability
            return replace(own, label=f"not {own.label}", probability=probability, score=score)
        return own

    def _among_two(self, first: int, second: int) -> float:
        """Return the probability of the first of two classes if there were no others; of a clip the frames' mean."""
        if self._frames:
            return math.fsum(frame._among_two(first, second) for frame in self._frames) / len(self._frames)
        if self._scores is None:
            return self.chances[first] / (self.chances[first] + self.chances[second])
        lead = self._scores[first] - self._scores[second]
        lead /= 2 if self._two_sides else 1
        power = math.exp(-abs(lead))
        return (1 if lead >= 0 else power) / (1 + power)


def predictions(
    logits: Logits | Sequence[float], labels: Sequence[str] | None, activation: Activation = "auto"
) -> Ranking:
    """Return the predictions for all classes; ``activation`` is that of ``probabilities``, or ``none``."""
    if activation == "none":
        return Ranking([float(score) for score in logits], labels, plain=True)
    scores = [-float(logits[0]), float(logits[0])] if len(logits) == 1 else [float(score) for score in logits]
    return Ranking(probabilities(logits, activation), labels, scores, two_sides=len(logits) == 1)


def resolve(specs: Sequence[TargetSpec], ranked: Ranking, labels: Sequence[str] | None) -> list[Target]:
    """Resolve each of ``specs`` to class indices.

    Args:
        specs: the requested classes.
        ranked: the picture's classes, the most probable first.
        labels: the network's class names.

    Raises:
        ModelError: a label, an index or a rank that the network does not have.
    """
    targets = []
    for spec in specs:
        against = None if spec.against is None else _index_of(spec.against, ranked, labels)
        index = _index_of(spec, ranked, labels)
        if index == against:
            raise ModelError(f"'{spec.name}' compares a class with itself", "name two different classes")
        targets.append(Target(index, against, spec.negated))
    return targets


def _index_of(spec: TargetSpec, ranked: Ranking, labels: Sequence[str] | None) -> int:
    if spec.label is not None:
        return class_named(spec.label, labels)
    if max(spec.index or 0, (spec.rank or 1) - 1) >= len(ranked):
        raise ModelError(
            f"there is no class '{replace(spec, against=None, negated=False).name}': the network has {len(ranked)}",
            f"give an index up to {len(ranked) - 1}, or top:{len(ranked)} at most",
        )
    return ranked[spec.rank - 1].index if spec.rank else spec.index or 0
