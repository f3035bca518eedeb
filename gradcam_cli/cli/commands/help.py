"""``gradcam help``: the guide's topics, and the commands' own help."""

from __future__ import annotations

import difflib
import sys
from importlib.resources import files

import click

from gradcam_cli.cli.console import print_result
from gradcam_cli.errors import UsageError
from gradcam_cli.text import quoted

ORDER = ("networks", "layers", "methods", "results", "records", "moving", "reliability", "speed", "python", "scripting")


def topics() -> dict[str, str]:
    """Return the text of each topic, Markdown, in the order in which they are listed."""
    folder = files("gradcam_cli.guide")
    found = {each.name.removesuffix(".md"): each for each in folder.iterdir() if each.name.endswith(".md")}
    return {name: found[name].read_text(encoding="utf-8") for name in (*ORDER, *sorted(set(found) - set(ORDER)))}


def summary(text: str) -> str:
    """Return a topic's first line after its title, which summarises it."""
    return next(line for line in text.splitlines()[1:] if line.strip())


@click.command("help", short_help="Show a topic of the guide: networks, layers, methods, …")
@click.argument("topic", required=False)
@click.pass_context
def show_help(ctx: click.Context, topic: str | None) -> None:
    """Show a TOPIC of the guide, or a command's options; without TOPIC list the topics.

    On a terminal, the topic is shown a page at a time; on a pipe, it is Markdown.
    """
    known = topics()
    name = (topic or "").lower()
    parent = ctx.parent
    assert parent is not None
    assert isinstance(parent.command, click.Group)
    commands = parent.command.list_commands(parent)
    if not name:
        _list(known)
    elif name in known:
        _show(known[name])
    elif name in commands:
        command = parent.command.get_command(parent, name)
        assert command is not None
        click.echo(command.get_help(click.Context(command, info_name=name, parent=parent)))
    else:
        close = difflib.get_close_matches(name, {*known, *commands}, 3, 0.5)
        hint = f"did you mean {' or '.join(close)}?" if close else f"choose one of {', '.join(known)}"
        raise UsageError(f"the guide has no topic {quoted(topic)}", hint)


def _list(known: dict[str, str]) -> None:
    for name, text in known.items():
        if sys.stdout.isatty():
            click.echo(f"  {click.style(name, bold=True):<24}  {summary(text)}")
        else:
            print_result(f"{name}\t{summary(text)}")
    click.echo("gradcam help TOPIC shows one; gradcam COMMAND --help a command's options", err=True)


def _show(text: str) -> None:
    if not sys.stdout.isatty():
        print_result(text.rstrip("\n"))
        return
    from rich.console import Console
    from rich.markdown import Markdown

    console = Console()
    with console.capture() as capture:
        console.print(Markdown(text), width=min(console.width, 110))
    click.echo_via_pager(capture.get())
