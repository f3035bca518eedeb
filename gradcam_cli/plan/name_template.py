"""The template of results' names: ``{stem}_{kind}_{part}`` and what users make of it."""

from __future__ import annotations

import string
from dataclasses import dataclass
from typing import TYPE_CHECKING

from gradcam_cli.errors import UsageError
from gradcam_cli.text import quoted

if TYPE_CHECKING:
    from collections.abc import Mapping

FIELDS = ("stem", "suffix", "kind", "part", "layer", "target", "method")
"""What a template may name; ``suffix`` and ``part`` may be empty."""

USUAL = "{stem}_{kind}_{part}"

_SEPARATORS = "_-. "


@dataclass(frozen=True, slots=True)
class NameTemplate:
    """A parsed template.

    A field without a value is left out, with the separators (``_``, ``-``, ``.``, space) before it, or those after it
    where it begins a name. A ``/`` makes a folder.

    Attributes:
        text: as it was given.
        pieces: (text, name of the field behind it, or an empty name at the end).
    """

    text: str
    pieces: tuple[tuple[str, str], ...]

    @property
    def fields(self) -> frozenset[str]:
        """The fields that it names."""
        return frozenset(field for _, field in self.pieces if field)

    def filled(self, values: Mapping[str, str]) -> str:
        """Return the name, relative to the output directory, without its suffix; ``values`` has all of the fields."""
        name, dropped = "", False
        for text, field in self.pieces:
            text = text.lstrip(_SEPARATORS) if dropped else text
            value = values[field] if field else ""
            if field and not value:
                text = text.rstrip(_SEPARATORS)
            name += text
            dropped = bool(field) and not value and (not name or name.endswith("/"))
            name += value
        return name


def parse_template(text: str) -> NameTemplate:
    """Parse a template.

    Raises:
        UsageError: it has an unknown field, or makes no name of a file in the output directory.
    """
    try:
        parsed = [(literal, name, spec, how) for literal, name, spec, how in string.Formatter().parse(text)]
    except ValueError as error:
        raise UsageError(f"the template {quoted(text)} has a brace without its partner", _KNOWN) from error
    for _, name, spec, how in parsed:
        if name is not None and name not in FIELDS:
            raise UsageError(f"the template {quoted(text)} has the unknown field {quoted(name)}", _KNOWN)
        if spec or how:
            raise UsageError(f"the template {quoted(text)} has more than a name in the braces", _KNOWN)
    template = NameTemplate(text, tuple((literal, name or "") for literal, name, _, _ in parsed))
    bare = template.filled({field: "" if field in ("suffix", "part") else "x" for field in FIELDS})
    parts = bare.split("/")
    if any(part.strip(". ") == "" or part.startswith(".gradcam") for part in parts) or not bare.isprintable():
        raise UsageError(
            f"the template {quoted(text)} does not give every result a name in the output directory",
            "give one such as {stem}_{kind}; a / in it makes folders",
        )
    if "\\" in bare or ":" in bare:
        raise UsageError(f"the template {quoted(text)} has a \\ or a :", "separate folders by /")
    return template


_KNOWN = f"a field is a name in braces, one of {', '.join(FIELDS)}"
