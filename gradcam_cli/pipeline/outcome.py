"""What became of an input, and the run that takes inputs one after the other."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Protocol, TypeVar

from gradcam_cli.errors import GradcamError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from gradcam_cli.pipeline.explanation import Explanation
    from gradcam_cli.records import Job


@dataclass(slots=True)
class Outcome:
    """What became of one input: its explanations, one for each layer and target, or an error."""

    job: Job
    explanations: list[Explanation] = field(default_factory=list)
    error: GradcamError | None = None
    notes: tuple[str, ...] = ()


AnyOutcome = TypeVar("AnyOutcome", bound="_MayFail")


class _MayFail(Protocol):
    @property
    def error(self) -> GradcamError | None:
        """Why there is no result."""


def one_by_one(
    jobs: Iterable[Job],
    explain: Callable[[Job], AnyOutcome],
    failed: Callable[[Job, GradcamError], AnyOutcome],
    *,
    fail_fast: bool,
) -> Iterator[AnyOutcome]:
    """Yield one outcome an input, in order; after the first error none with ``fail_fast``.

    Args:
        jobs: the inputs.
        explain: does the work; what it raises becomes what ``failed`` makes of it.
        failed: the outcome of an input that could not be explained.
        fail_fast: whether the first input that fails ends the run.
    """
    for job in jobs:
        try:
            outcome = explain(job)
        except GradcamError as error:
            outcome = failed(job, error)
        yield outcome
        if outcome.error is not None and fail_fast:
            return
