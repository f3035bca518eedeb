"""The outcome of an input, and the run that takes inputs one after the other."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from gradcam_cli.errors import GradcamError
from gradcam_cli.files import size_of

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
    from pathlib import Path

    from gradcam_cli.pipeline.json_record import AnyExplanation
    from gradcam_cli.records import FileState, Job


@dataclass(slots=True)
class Outcome:
    """The outcome of one input: its explanations, one for each layer, target and method, or an error.

    Attributes:
        job: the input and its outputs.
        explanations: in the order of the job's parts; empty after an error.
        error: why there is no result, or None.
        notes: notes for the user, one line each.
        written: states of the written files.
        input_size: bytes of the input's file when it was opened; None where it is none.
    """

    job: Job
    explanations: Sequence[AnyExplanation] = field(default_factory=list)
    error: GradcamError | None = None
    notes: tuple[str, ...] = ()
    written: Mapping[Path, FileState] = field(default_factory=dict)
    input_size: int | None = None


def one_by_one(jobs: Iterable[Job], explain: Callable[[Job], Outcome], *, fail_fast: bool) -> Iterator[Outcome]:
    """Yield one outcome an input, in order; after the first error none with ``fail_fast``.

    Args:
        jobs: the inputs.
        explain: does the work; an error that it raises becomes the input's outcome.
        fail_fast: whether the first input that fails ends the run.
    """
    for job in jobs:
        size = size_of(job.input)  # before it is read, which may take long
        try:
            outcome = explain(job)
        except GradcamError as error:
            outcome = Outcome(job, error=error)
        outcome.input_size = size
        yield outcome
        if outcome.error is not None and fail_fast:
            return
