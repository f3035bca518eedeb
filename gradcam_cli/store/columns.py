"""A record as one row of a table."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping

COLUMNS = (
    "input",
    "model",
    "layer",
    "method",
    "target",
    "target_index",
    "probability",
    "score",
    "predicted",
    "predicted_probability",
    "blank",
    "complete",
    "settings_hash",
    "files",
)
"""The columns of ``gradcam records --csv``, in their order; new ones come at the end."""

_FORMULA = ("=", "+", "-", "@", "\t", "\r")
"""Beginnings of cells that spreadsheets take for formulas."""


def row(record: Mapping[str, Any]) -> dict[str, Any]:
    """Return the cells of a record by their columns; None where there is nothing, several files joined by a space."""
    target = record["target"] or {}
    predicted = (record["predictions"] or [{}])[0]
    return {
        "input": record["input"],
        "model": record["model"],
        "layer": record["layer"],
        "method": record["method"],
        "target": target.get("label"),
        "target_index": target.get("index"),
        "probability": target.get("probability"),
        "score": target.get("score"),
        "predicted": predicted.get("label"),
        "predicted_probability": predicted.get("probability"),
        "blank": record["map"]["blank"],
        "complete": record["complete"],
        "settings_hash": record["settings_hash"],
        "files": " ".join(file["path"] for file in record["files"].values()),
    }


def spelt(cell: object) -> str:
    """Return a cell as text: nothing for None, ``true`` and ``false`` as JSON has them."""
    return "" if cell is None else str(cell).lower() if isinstance(cell, bool) else str(cell)


def guarded(cell: object) -> str:
    """Return a cell for a spreadsheet: a text that it would take for a formula has ``'`` in front."""
    return f"'{cell}" if isinstance(cell, str) and cell.startswith(_FORMULA) else spelt(cell)
