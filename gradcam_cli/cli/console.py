"""Messages on stderr: notes, tables, warnings, errors, progress. Results, and nothing else, go to stdout."""

from __future__ import annotations

import contextlib
import os
import sys
from typing import TYPE_CHECKING

from gradcam_cli.errors import OutputError
from gradcam_cli.text import explain_os_error, printable

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    import rich.console
    from rich.progress import Progress, TaskID
    from rich.text import Text

    from gradcam_cli.errors import GradcamError
    from gradcam_cli.pipeline.json_record import AnyExplanation
    from gradcam_cli.records import Prediction

BAR = 24
"""Width of the probabilities' bars, in characters."""


def print_error(message: str, hint: str, example: str = "") -> None:
    """Write an error as one line with the problem, one with the hint, and an example's lines."""
    with contextlib.suppress(OSError):  # stderr itself cannot be written: only the exit code is left
        sys.stderr.write(f"error: {printable(message)}\n")
        if hint:
            sys.stderr.write(f"  hint: {printable(hint)}\n")
        for line in example.splitlines():
            sys.stderr.write(f"    {printable(line)}\n")


def option_hint(error: GradcamError) -> str:
    """Return an error's hint with settings spelt as options: ``--input-size``."""
    return error.hint_with(lambda name: "-o" if name == "output_dir" else f"--{name.replace('_', '-')}")


def print_interrupted() -> None:
    """Report that Ctrl-C, or another signal, has ended the run."""
    if sys.stderr.isatty():  # the line begins with the terminal's ^C
        print(file=sys.stderr)
    print_error("interrupted", "run it again with --skip-existing to go on; what was finished is kept")


def print_result(line: str) -> None:
    """Write one line to stdout at once; undecodable bytes of file names are written unchanged.

    Raises:
        OutputError: stdout cannot be written, because its disk is full for instance.
        BrokenPipeError: its reader has closed it.
    """
    print_bytes(os.fsencode(line) + b"\n")


def print_bytes(content: bytes) -> None:
    """Write to stdout at once; raises as `print_result`."""
    try:
        sys.stdout.buffer.write(content)
        sys.stdout.buffer.flush()
    except BrokenPipeError:
        raise
    except OSError as error:
        what, hint = explain_os_error(error)
        raise OutputError(
            f"standard output: cannot be written: {what}", hint or "send the results elsewhere"
        ) from error


class Console:
    """Writes messages to stderr, as many as the user wants.

    Args:
        quiet: whether only errors are written.
        verbose: whether reasons are written too.
    """

    def __init__(self, *, quiet: bool, verbose: bool) -> None:
        self.quiet = quiet
        self.verbose = verbose and not quiet
        self._progress: Progress | None = None
        self._steps: TaskID | None = None

    @property
    def _rich(self) -> rich.console.Console:
        import rich.console

        if self._progress is not None:
            return self._progress.console
        return rich.console.Console(stderr=True, highlight=False, soft_wrap=True)

    def info(self, text: str, style: str | None = None) -> None:
        """Write a line, unless quiet."""
        if not self.quiet:
            self._rich.print(printable(text), style=style, markup=False)

    def debug(self, text: str) -> None:
        """Write a line with reasons, if verbose."""
        if self.verbose:
            self.info(text, "dim")

    def warning(self, text: str) -> None:
        """Write a warning, unless quiet."""
        self.info(f"warning: {text}", "yellow")

    def error(self, error: GradcamError) -> None:
        """Write an error, quiet or not."""
        if self._progress is None:
            print_error(error.message, option_hint(error), error.example)
            return
        self._rich.print(f"error: {printable(error.message)}", style="red", markup=False)
        if hint := option_hint(error):
            self._rich.print(f"  hint: {printable(hint)}", markup=False)
        for line in error.example.splitlines():
            self._rich.print(f"    {printable(line)}", markup=False)

    def result(self, line: str) -> None:
        """Write a line of results to stdout; where that is a terminal with a bar on it, above the bar."""
        if self._progress is not None and sys.stdout.isatty():
            self._rich.print(printable(line), markup=False)
        else:
            print_result(line)

    def table(self, explanations: Sequence[AnyExplanation]) -> None:
        """Show one picture's most probable classes and the explained ones, the latter marked."""
        if self.quiet:
            return
        from rich import box
        from rich.table import Table

        explained = _targets(explanations)
        shown = list(explanations[0].predictions)
        shown += [target for name, target in explained.items() if name not in map(_name, shown)]
        console = self._rich
        bar, mark = ("━", "◂ explained") if console.encoding.lower().startswith("utf") else ("-", "< explained")
        table = Table(box=box.SIMPLE_HEAD if bar == "━" else box.ASCII2, show_edge=False, pad_edge=False)
        table.add_column("class", max_width=48, overflow="ellipsis", no_wrap=True)
        table.add_column("score" if shown[0].probability is None else "probability", justify="right")
        table.add_column("", min_width=BAR)
        table.add_column("")
        for each in shown:
            style, note = ("bold", mark) if _name(each) in explained else (None, "")
            length = round((each.probability or 0) * BAR)
            table.add_row(_text(printable(each.label)), each.value(), bar * length, note, style=style)
        console.print(table)

    def lines(self, explanations: Sequence[AnyExplanation]) -> None:
        """Show each explained class in one line, for one picture of many."""
        for target in _targets(explanations).values():
            self.info(f"{explanations[0].input}: {target.label} {target.value()}")

    @contextlib.contextmanager
    def progress(self, total: int, what: str) -> Iterator[Callable[[], None]]:
        """Show a bar for ``total`` items, on a terminal only; yield a function to call after each.

        A single item has no bar, but ``steps`` may show one for its forward passes.
        """
        if self.quiet or not sys.stderr.isatty():
            yield lambda: None
            return
        from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

        columns = TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn()
        with Progress(*columns, console=self._rich, transient=True) as progress:
            task = progress.add_task(what, total=total, visible=total > 1)
            self._progress, self._steps = progress, progress.add_task("forward passes", total=None, visible=False)
            try:
                yield lambda: progress.advance(task)
            finally:
                self._progress = self._steps = None

    def steps(self, done: int, total: int) -> None:
        """Show how many of the forward passes for one batch are done; within ``progress`` only."""
        if self._progress is not None and self._steps is not None:
            self._progress.update(self._steps, completed=done, total=total, visible=done < total)

    @contextlib.contextmanager
    def frames(self) -> Iterator[Callable[[str, int, int | None], None]]:
        """Show a clip's progress, on a terminal only; yield a function of (name, frames done, total frames)."""
        if self.quiet or not sys.stderr.isatty():
            yield lambda name, done, total: None
            return
        from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

        speed = TextColumn("{task.fields[speed]}")
        columns = TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), speed, TimeRemainingColumn()
        with Progress(*columns, console=self._rich, transient=True) as progress:
            task = progress.add_task("", total=None, speed="")
            self._progress = progress

            def show(name: str, done: int, total: int | None) -> None:
                if progress.tasks[0].description != printable(name):
                    progress.reset(task, description=printable(name))
                rate = progress.tasks[0].speed
                progress.update(task, completed=done, total=total, speed=f"{rate:.1f} fps" if rate else "")

            try:
                yield show
            finally:
                self._progress = None

    @contextlib.contextmanager
    def download(self) -> Iterator[Callable[[int, int], None]]:
        """Yield a function of (bytes done, total bytes) for a download; a bar appears with its first call."""
        if self.quiet or not sys.stderr.isatty():
            yield lambda done, total: None
            return
        from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn, TransferSpeedColumn

        columns = TextColumn("{task.description}"), BarColumn(), DownloadColumn(), TransferSpeedColumn()
        progress = Progress(*columns, console=self._rich, transient=True)
        task = progress.add_task("downloading weights", total=None)

        def report(done: int, total: int) -> None:
            progress.start()
            progress.update(task, completed=done, total=total or None)

        try:
            yield report
        finally:
            progress.stop()


def _name(prediction: Prediction) -> tuple[int, str]:
    """Return what distinguishes a prediction: ``tabby``, ``not tabby`` and ``tabby vs lynx`` have one index."""
    return prediction.index, prediction.label


def _targets(explanations: Sequence[AnyExplanation]) -> dict[tuple[int, str], Prediction]:
    """Return the explained targets, each once."""
    return {_name(explanation.target): explanation.target for explanation in explanations}


def _text(text: str) -> Text:
    """Return text that rich prints literally, brackets included."""
    from rich.text import Text

    return Text(text)
