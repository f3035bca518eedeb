"""What a figure shows: panels in rows, their texts, a colour bar."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

    Pixels = npt.NDArray[np.uint8]


@dataclass(frozen=True, slots=True)
class Panel:
    """A picture, its heading, and the captions below it.

    Attributes:
        pixels: uint8 RGB (h, w, 3); of one width throughout a figure, and of one height throughout a row.
        heading: text above it; may be empty.
        lines: captions, one below the other: ``("tabby · 61.0%",)``.
    """

    pixels: Pixels
    heading: str = ""
    lines: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Figure:
    """The content of a figure.

    Attributes:
        title: what all panels share; may be empty.
        rows: panels; the last row may be shorter.
        headings: one for each row, upright before it; may be empty.
        source: the picture that all panels show, where it stands above the rows; otherwise None.
        table: colormap of the colour bar, uint8 RGB (256, 3).
        scale: text beside the colour bar; may be empty.
    """

    title: str
    rows: tuple[tuple[Panel, ...], ...]
    headings: tuple[str, ...]
    table: Pixels
    source: Panel | None = None
    scale: str = ""

    def __post_init__(self) -> None:
        counts = [len(row) for row in self.rows]
        if not counts or not 0 < counts[-1] <= counts[0] or len(set(counts[:-1])) > 1:
            raise ValueError(f"panels in rows of {counts}")
        if len(self.headings) != len(counts):
            raise ValueError(f"{len(counts)} rows and {len(self.headings)} headings")
        if any(len({panel.pixels.shape for panel in row}) > 1 for row in self.rows):
            raise ValueError("panels of different sizes in a row")
        if len({row[0].pixels.shape[1] for row in self.rows}) > 1:
            raise ValueError("rows of panels of different widths")

    @property
    def texts(self) -> str:
        """All texts, joined."""
        panels = [panel for row in self.rows for panel in row] + ([self.source] if self.source else [])
        parts = [self.title, self.scale, *self.headings]
        return " ".join([*parts, *(part for panel in panels for part in (panel.heading, *panel.lines))])
