"""The ``gradcam`` command: its subcommands, imported on use, and the one place that reports errors to the user."""

from __future__ import annotations

import os
import sys
from difflib import get_close_matches
from pkgutil import resolve_name
from typing import TYPE_CHECKING, cast

import click

from gradcam_cli._version import __version__
from gradcam_cli.cli.console import option_hint, print_error, print_interrupted
from gradcam_cli.errors import ExitCode, GradcamError, UsageError
from gradcam_cli.text import typed_line

if TYPE_CHECKING:
    from collections.abc import Sequence

COMMANDS = {
    "image": "gradcam_cli.cli.commands.image:image",
    "video": "gradcam_cli.cli.commands.clips:video",
    "gif": "gradcam_cli.cli.commands.clips:gif",
    "compare": "gradcam_cli.cli.commands.compare:compare",
    "records": "gradcam_cli.cli.commands.records:records",
    "models": "gradcam_cli.cli.commands.models:models",
    "layers": "gradcam_cli.cli.commands.layers:layers",
    "methods": "gradcam_cli.cli.commands.methods:methods",
    "demo": "gradcam_cli.cli.commands.demo:demo",
    "help": "gradcam_cli.cli.commands.help:show_help",
}
"""Subcommand → its module and function."""


class LazyGroup(click.Group):
    """A group that imports a subcommand when it is used."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """Return the names in the order of ``COMMANDS``."""
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """Import and return a subcommand."""
        if cmd_name not in COMMANDS:
            close = get_close_matches(cmd_name, COMMANDS, 1)
            if close and not cmd_name.startswith("-"):
                raise UsageError(f"no such command '{cmd_name}'", f"did you mean {close[0]}?")
            return None
        return cast("click.Command", resolve_name(COMMANDS[cmd_name]))


@click.group(
    cls=LazyGroup,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
    epilog="Start with:  gradcam demo  ·  read on with:  gradcam help",
)
@click.version_option(__version__, "-V", "--version", prog_name="gradcam", message="%(prog)s %(version)s")
def cli() -> None:
    """Show which parts of a picture made a neural network choose a class."""


def run(arguments: Sequence[str] | None = None) -> int:
    """Run the command line and return its exit code; every error is reported on stderr.

    Args:
        arguments: without the program's name; the process's own when None.

    With ``GRADCAM_DEBUG=1`` in the environment, errors other than click's are raised with their traceback.
    """
    debug = os.environ.get("GRADCAM_DEBUG") not in (None, "", "0")
    try:
        result = cli.main(arguments, prog_name="gradcam", standalone_mode=False)
        return int(result or ExitCode.OK)
    except click.exceptions.NoArgsIsHelpError as error:
        click.echo(error.format_message(), err=True)
        return ExitCode.USAGE
    except click.ClickException as error:
        context = getattr(error, "ctx", None)
        message = error.format_message().removesuffix(".")
        print_error(message[:1].lower() + message[1:], f"see {context.command_path if context else 'gradcam'} --help")
        return error.exit_code
    except GradcamError as error:
        if debug:
            raise
        print_error(error.message, option_hint(error), error.example)
        return error.exit_code
    except (KeyboardInterrupt, click.Abort):
        print_interrupted()
        return ExitCode.INTERRUPTED
    except BrokenPipeError:
        # The reader of our results has closed the pipe, as `head` does; no more output is expected.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return ExitCode.FAILED
    except Exception as error:
        if debug:
            raise
        print_error(typed_line(error), "set GRADCAM_DEBUG=1 to see where; this is a fault of gradcam")
        return ExitCode.FAILED
