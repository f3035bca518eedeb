"""Options in the sections of ``--help``, and values that the core checks."""

from __future__ import annotations

import math
import os
import re
from collections.abc import Callable, Iterable
from fractions import Fraction
from pathlib import Path
from typing import Any, TypeVar

import click

from gradcam_cli.errors import UsageError
from gradcam_cli.files import expanded
from gradcam_cli.records import MAX_INPUT, MAX_NUMBER, MIN_INPUT, RATES, RESULT_SIDES
from gradcam_cli.text import quoted

_COUNT = re.compile(r"([0-9]{1,13}(?:\.[0-9]{1,13})?(?:[eE]\+?[0-9]{1,2})?)([kKmMgG]?)")
_SHORT = re.compile(r"[^eE]{1,40}(?:[eE][+-]?[0-9])?")

Function = TypeVar("Function", bound=Callable[..., Any])


class SectionOption(click.Option):
    """An option with a section of the help; the environment may set its default."""

    def __init__(self, *args: Any, section: str, **kwargs: Any) -> None:  # noqa: ANN401
        super().__init__(*args, **kwargs)
        self.section = section
        if not self.multiple:  # one variable could not separate several values
            self.envvar = f"GRADCAM_{max(self.opts, key=len).strip('-').replace('-', '_').upper()}"


class SectionCommand(click.Command):
    """A command whose options are shown in sections."""

    def format_options(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write one list of options a section, in the order of declaration; the rest comes last."""
        sections: dict[str, list[tuple[str, str]]] = {}
        for parameter in self.get_params(ctx):
            record = parameter.get_help_record(ctx)
            if record is not None and isinstance(parameter, click.Option):
                sections.setdefault(getattr(parameter, "section", "Help"), []).append(record)
        for title, records in sections.items():
            with formatter.section(title):
                formatter.write_dl(records, col_max=28)


class Checked(click.ParamType):  # type: ignore[type-arg]  # only the later ones are generic
    """A value that a function of the core checks; its error becomes the usual message about an option.

    Args:
        name: name of the value in the help.
        check: text → value; raises GradcamError.
    """

    def __init__(self, name: str, check: Callable[[str], object]) -> None:
        self.name = name
        self._check = check

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:  # noqa: ANN401
        """Return the checked value, or fail with the core's message; values that are not text are already checked."""
        return self._check(value) if isinstance(value, str) else value


class Several(Checked):
    """A comma-separated choice of names.

    Args:
        choices: the possible names.
    """

    def __init__(self, choices: Iterable[str]) -> None:
        self._choices = tuple(choices)
        super().__init__("a,b,…", self._split)

    def _split(self, text: str) -> tuple[str, ...]:
        names = tuple(dict.fromkeys(part.strip().lower() for part in text.split(",") if part.strip()))
        unknown = [name for name in names if name not in self._choices]
        if unknown or not names:
            raise click.BadParameter(f"'{', '.join(unknown) or text}' is not among {', '.join(self._choices)}")
        return names


class Finite(click.FloatRange):
    """A number within a range: neither infinity nor NaN, which a range alone lets through."""

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:  # noqa: ANN401
        """Return the number, or fail with click's message."""
        number = super().convert(value, param, ctx)
        if not math.isfinite(number):
            self.fail(f"{value!r} is not a number to work with.", param, ctx)
        return number


def exact(text: str) -> Fraction:
    """Read a number from 0 to `MAX_NUMBER` without rounding it: ``29.97``, ``30000/1001``.

    Raises:
        UsageError: the text is no such number.
    """
    try:  # long exponents are not tried: powers of ten are computed exactly, whatever time that takes
        number = Fraction(text) if _SHORT.fullmatch(text.strip()) else Fraction(-1)
    except (ValueError, ZeroDivisionError):
        number = Fraction(-1)
    if not 0 <= number <= MAX_NUMBER:
        raise UsageError(f"{quoted(text)} is not a number of that kind", "give one such as 2.5 or 30000/1001")
    return number


def count(text: str) -> int:
    """Read a whole number from 1 to a million million: ``5000``, ``200M``, ``2e8``; k, M and G are powers of 1000.

    Raises:
        UsageError: the text is no such number.
    """
    found = _COUNT.fullmatch(text.strip())
    number = Fraction(found[1]) * 1000 ** " kmg".index(found[2].lower() or " ") if found else Fraction()
    if number.denominator != 1 or not 1 <= number <= MAX_NUMBER * 1000:
        raise UsageError(f"{quoted(text)} is not a number to count to", "give one such as 5000, 200M or 2e8")
    return int(number)


def path(text: str) -> Path:
    """Return the path that was typed, ``~`` expanded; a calling program may pass a name that no file system allows.

    Raises:
        UsageError: no file can have this name.
    """
    try:
        if b"\0" not in os.fsencode(text):
            return Path(expanded(text))
    except UnicodeEncodeError:  # half of a surrogate pair
        pass
    raise UsageError(f"{quoted(text)}: no file can have this name", "check the path for typing errors")


FILE = Checked("FILE", path)


def rate(text: str) -> Fraction:
    """Read a number of frames per second, as ``exact`` does, from one an hour to a thousand a second.

    Raises:
        UsageError: the text is no such number.
    """
    number = exact(text)
    slowest, fastest = RATES
    if not slowest <= number <= fastest:
        what = f"{quoted(text)} frames a second is no rate from {slowest} to {fastest}"
        raise UsageError(what, "give one such as 10 or 30000/1001")
    return number


def numbers(text: str) -> tuple[float, ...]:
    """Read one number or three, comma-separated: ``0.5``, ``0.485,0.456,0.406``.

    Raises:
        UsageError: the text is not one number or three.
    """
    try:
        found = tuple(float(part) for part in text.split(","))
    except ValueError:
        found = ()
    if len(found) not in (1, 3) or not all(map(math.isfinite, found)):
        raise UsageError(
            f"'{text}' is not one number or three", "give one for every channel, or three: 0.485,0.456,0.406"
        )
    return found


def named(text: str) -> tuple[str, str]:
    """Read ``THING=TEXT``: what is named, and its name.

    Raises:
        UsageError: there is no ``=`` in it, or nothing before it.
    """
    thing, equals, name = text.partition("=")
    if not equals or not thing.strip():
        raise UsageError(f"{quoted(text)} names nothing", "give what is named and its name: gradcam='Grad-CAM (ours)'")
    return thing.strip(), name.strip()


def levels(text: str) -> tuple[float, ...]:
    """Read numbers between 0 and 1, comma-separated, each once: ``0.5``, ``0.25,0.5,0.75``.

    Raises:
        UsageError: the text is something else.
    """
    try:
        found = tuple(sorted({float(part) for part in text.split(",")}))
    except ValueError:
        found = ()
    if not found or not all(0 < level < 1 for level in found):
        raise UsageError(f"{quoted(text)} is not a level between 0 and 1", "give one or several: 0.5 or 0.25,0.5,0.75")
    return found


def grid(text: str) -> tuple[int, int]:
    """Read a size: ``14x14``, height first.

    Raises:
        UsageError: the text is no such size.
    """
    height, _, width = text.lower().replace("×", "x").partition("x")
    if not (height.isdecimal() and width.isdecimal() and int(height) > 0 and int(width) > 0):
        raise UsageError(f"'{text}' is not a grid", "give its height and width, as in 14x14")
    return int(height), int(width)


def input_size(text: str) -> int | tuple[int, int]:
    """Read a side in pixels, or a size: ``224``, ``256x128``, height first.

    Raises:
        UsageError: the text is neither, or out of range.
    """
    parts = text.lower().replace("×", "x").split("x")
    if not (len(parts) <= 2 and all(part.isdecimal() and MIN_INPUT <= int(part[:9]) <= MAX_INPUT for part in parts)):
        raise UsageError(
            f"'{text}' is no size of an input", f"give a side from {MIN_INPUT} to {MAX_INPUT}, or HEIGHTxWIDTH"
        )
    return int(parts[0]) if len(parts) == 1 else (int(parts[0]), int(parts[1]))


def option_group(section: str, *declared: tuple[tuple[str, ...], dict[str, Any]]) -> Callable[[Function], Function]:
    """Return one decorator that adds all ``declared`` options to a command, under a heading."""

    def decorate(function: Function) -> Function:
        for names, attributes in reversed(declared):
            function = click.option(*names, cls=SectionOption, section=section, **attributes)(function)
        return function

    return decorate


def option(*names: str, **attributes: Any) -> tuple[tuple[str, ...], dict[str, Any]]:  # noqa: ANN401
    """Describe an option as ``click.option`` takes it."""
    return names, attributes


def longest_side(what: str) -> tuple[tuple[str, ...], dict[str, Any]]:
    """Describe the option for the greatest longest side of ``what``."""
    return option("--max-size", type=click.IntRange(16), metavar="PIXELS", help=f"Longest side of {what}.")


def exact_side() -> tuple[tuple[str, ...], dict[str, Any]]:
    """Describe the option for the longest side of results."""
    return option(
        "--size", type=click.IntRange(*RESULT_SIDES), metavar="PIXELS",
        help="Longest side of the results; smaller pictures are enlarged, for the results alone.",
    )  # fmt: skip
