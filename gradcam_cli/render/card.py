"""A picture with facts beneath it, as HTML for notebooks."""

from __future__ import annotations

import html
from typing import TYPE_CHECKING

from gradcam_cli.text import printable

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence


def card(picture: str, facts: Mapping[str, str], remarks: Sequence[str] = ()) -> str:
    """Return a fragment of HTML; all texts are escaped.

    Args:
        picture: its address, a data URI.
        facts: name → value; the first is the title.
        remarks: further lines.
    """
    (first, title), *rest = facts.items()
    described = " · ".join(f"{_text(name)} <code>{_text(value)}</code>" for name, value in rest)
    lines = "".join(f'<div style="opacity:0.7">{_text(each)}</div>' for each in remarks)
    return (
        f'<div><div><b title="{_text(first)}">{_text(title)}</b></div>'
        f'<img alt="{_text(title)}" style="max-width:100%" src="{_text(picture)}"><div>{described}</div>{lines}</div>'
    )


def _text(text: str) -> str:
    return html.escape(printable(text))
