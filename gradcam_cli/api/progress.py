"""The bar that shows how far a call has come."""

from __future__ import annotations

import sys
from contextlib import contextmanager
from importlib.util import find_spec
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    Show = Callable[[int, int | None], None]
    """Called with what is done, and how much there is; None where that is not known."""


@contextmanager
def bar(what: str, *, wanted: bool) -> Iterator[Show]:
    """Show a bar on stderr, where that is a terminal, or in a notebook; rich needs ipywidgets there.

    Args:
        what: its text.
        wanted: whether it is shown at all.
    """
    if not (wanted and sys.stderr is not None and _can_show()):
        yield lambda done, total: None
        return
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    columns = TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn()
    # The caller's own lines go above the bar where both are on the terminal, and to stdout everywhere else.
    redirected = sys.stdout is not None and sys.stdout.isatty()
    with Progress(*columns, console=Console(stderr=True), transient=True, redirect_stdout=redirected) as progress:
        task = progress.add_task(what, total=None)
        yield lambda done, total: progress.update(task, completed=done, total=total)


def _can_show() -> bool:
    from rich.console import Console

    return find_spec("ipywidgets") is not None if Console().is_jupyter else sys.stderr.isatty()
