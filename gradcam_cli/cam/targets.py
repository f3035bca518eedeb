"""Targets: the classes to explain, parsed from ``--target``.

Plain Python, so that an invalid target is refused before torch is loaded.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from gradcam_cli.errors import ModelError, UsageError
from gradcam_cli.text import quoted, whole_number

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from typing import TypeAlias

    import numpy as np
    import numpy.typing as npt

    Logits: TypeAlias = npt.NDArray[np.float64]
    """Of one picture, (K,)."""

    TargetLike: TypeAlias = "int | Target"
    """A class index, or a `Target`."""

    Choose: TypeAlias = Callable[[Logits], Sequence[TargetLike]]
    """A picture's logits (K,) → the targets to explain."""

    Targets: TypeAlias = Choose | Sequence[TargetLike] | TargetLike | None


@dataclass(frozen=True, slots=True)
class TargetSpec:
    """One requested class: by ``rank`` (1 is the most probable), by ``index``, or by ``label``.

    Attributes:
        against: another class whose logit is subtracted.
        negated: whether the evidence against the class is requested.
    """

    rank: int | None = None
    index: int | None = None
    label: str | None = None
    against: TargetSpec | None = None
    negated: bool = False

    @property
    def name(self) -> str:
        """Name in files and messages: ``top1``, ``281``, ``golden retriever``; known before the class is resolved."""
        own = f"top{self.rank}" if self.rank else self.label if self.label is not None else str(self.index)
        if self.against is not None:
            return f"{own} vs {self.against.name}"
        return f"not {own}" if self.negated else own


@dataclass(frozen=True, slots=True)
class Target:
    """The score to explain: the logit of class ``index``, less that of ``against``; its negative where ``negated``.

    A network with one logit y has the classes 0 and 1, with the logits -y and y.
    """

    index: int
    against: int | None = None
    negated: bool = False

    def __str__(self) -> str:
        own = str(self.index) if self.against is None else f"{self.index} vs {self.against}"
        return f"not {own}" if self.negated else own


TOP = TargetSpec(rank=1)

MAX_RANKS = 10_000
"""Largest N of ``top:N``."""


def parse_target(text: str) -> list[TargetSpec]:
    """Parse ``top``, ``top:3`` (three targets), a class index, a label, ``A vs B`` or ``not:A`` of these.

    Raises:
        UsageError: ``text`` is none of them.
    """
    sides = re.split(r"\s+vs\.?\s+", text.strip(), flags=re.IGNORECASE)
    if len(sides) == 2:
        first, second = (_single(side) for side in sides)
        return [replace(first, against=second)]
    if text.strip().lower().startswith("not:"):
        return [replace(_single(text.strip()[4:]), negated=True)]
    return _plain(text)


def _single(text: str) -> TargetSpec:
    targets = _plain(text)
    if len(targets) > 1:
        raise UsageError(f"'{text.strip()}' is more than one class", "give one class on each side of vs, or after not:")
    return targets[0]


def _plain(text: str) -> list[TargetSpec]:
    stripped = text.strip()
    head, _, count = stripped.partition(":")
    ranks, index = whole_number(count or "1"), whole_number(stripped)
    if head.lower() == "top" and ranks is not None and 0 < ranks <= MAX_RANKS:
        return [TargetSpec(rank=rank) for rank in range(1, ranks + 1)]
    if index is not None and index >= 0:
        return [TargetSpec(index=index)]
    if not stripped or head.lower() == "top" or stripped.lstrip("-").isdecimal():
        raise UsageError(
            f"{quoted(text)} is not a target", "give top, top:3, an index from 0, a label, 'A vs B' or not:A"
        )
    return [TargetSpec(label=stripped)]


def targets_for(targets: Targets, first: int, count: int) -> Targets:
    """Return the targets of ``count`` pictures of a batch, from the ``first`` on."""
    if targets is None or isinstance(targets, (int, Target)) or callable(targets):
        return targets
    return targets[first : first + count]


def targets_of(targets: Targets, position: int, logits: Logits, *, plain: bool = False) -> list[Target]:
    """Return one picture's targets.

    Args:
        targets: of the batch; None stands for the top class.
        position: of the picture in the batch.
        logits: of the picture.
        plain: whether a single score has one side only.

    Raises:
        ModelError: there are none, or there is no such class.
    """
    wanted: Sequence[TargetLike]
    if targets is None:
        single = len(logits) == 1
        wanted = [(0 if plain else int(logits[0] > 0)) if single else int(logits.argmax())]
    elif isinstance(targets, (int, Target)):
        wanted = [targets]
    else:
        wanted = list(targets(logits)) if callable(targets) else [targets[position]]
    found = [each if isinstance(each, Target) else Target(int(each)) for each in wanted]
    count = len(logits) if plain else max(len(logits), 2)  # one logit has two sides
    named = [index for each in found for index in (each.index, each.against) if index is not None]
    if not found or not all(0 <= index < count for index in named):
        raise ModelError(f"the classes {named} are not the network's", f"give indices from 0 to {count - 1}")
    return found
