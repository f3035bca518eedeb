"""Typesetting of lines: set smaller or broken where they are too long, all texts of a kind in a common size."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

from gradcam_cli.render.figure.fonts import CAPITALS, DESCENT, text_width
from gradcam_cli.render.text.shortening import cut
from gradcam_cli.text import printable

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

_LEADING = 1.25
"""Distance from one line to the next, as a share of the size."""

_STEP = 0.25
"""Sizes are tried in steps of this many points."""

_SPACES = re.compile(r"(?<= )(?![ %·])")
_ANYWHERE = re.compile(r"(?<=[ _/,:;])(?![ %·])|(?<=\w-)(?=\w)|(?<=\D\.)(?=\w)|(?<=\.)(?=[^\W\d])")
"""Where a text may be broken: after a space; or after punctuation as well, but not within a number."""

_ENDING = re.compile(r" · [^·]{1,16}$")
"""Ending that is kept when a text is cut: `` · 81.0%``."""


@dataclass(frozen=True, slots=True)
class Block:
    """Lines below each other; all lengths are in points.

    Attributes:
        lines: the texts; may be none.
        size: of the type.
        bold: whether the type is bold.
    """

    lines: tuple[str, ...]
    size: float
    bold: bool = False

    @property
    def height(self) -> float:
        """From the top of the first line's capitals to the last line's descenders; 0 without lines."""
        return depth(len(self.lines), self.size)

    @property
    def width(self) -> float:
        """Width of the longest line."""
        return max((text_width(line, self.size, bold=self.bold) for line in self.lines), default=0.0)

    def baselines(self) -> Iterator[tuple[str, float]]:
        """Yield each line and the distance of its baseline from the block's top."""
        for number, line in enumerate(self.lines):
            yield line, (CAPITALS + _LEADING * number) * self.size


def depth(lines: int, size: float) -> float:
    """Return the height of a block of ``lines`` lines."""
    return (CAPITALS + DESCENT + _LEADING * (lines - 1)) * size if lines else 0.0


def set_alike(
    texts: Sequence[Sequence[str]], largest: float, least: float, room: float, lines: int = 2, *, bold: bool = False
) -> list[Block]:
    """Set texts of one or more paragraphs in one size: the largest, not below the least, at which all of them fit.

    A smaller size is better than a broken line; only where the least size does not do, lines are broken.

    Args:
        texts: the paragraphs of each block; control characters appear escaped, and empty paragraphs are left out.
        largest: size in points.
        least: size at which a paragraph that is still too long is cut.
        room: width of each block in points.
        lines: most lines that a paragraph may be broken into.
        bold: whether the type is bold.
    """
    clean = [[printable(part.strip()) for part in parts if part.strip()] for parts in texts]
    every = [part for parts in clean for part in parts]
    size, most = common_size(every, largest, least, room, lines, bold=bold)
    broken = [[line for part in parts for line in wrapped(part, size, room, most, bold=bold)] for parts in clean]
    return [Block(tuple(found), size, bold) for found in broken]


def common_size(
    texts: Sequence[str], largest: float, least: float, room: float, lines: int = 1, *, bold: bool = False
) -> tuple[float, int]:
    """Return the size, and in how many lines, at which each text fits: fewest lines, then the largest; else the least.

    Args:
        texts: one line each.
        largest: size in points.
        least: size below which none is tried.
        room: width in points.
        lines: most lines.
        bold: whether the type is bold.
    """
    for count in range(1, lines + 1):
        size = largest
        while size >= least:
            if all(_broken(text, size, room, count, bold) is not None for text in texts):
                return size, count
            size -= _STEP
    return least, lines


def wrapped(text: str, size: float, room: float, lines: int = 2, *, bold: bool = False) -> tuple[str, ...]:
    """Break a text into at most ``lines`` lines of ``room`` points, of even length rather than the first one full.

    Lines end at spaces, or where that is not enough, after punctuation. The last line is cut where necessary.

    Returns:
        The lines; none for an empty text.
    """
    broken = _broken(text, size, room, lines, bold)
    if broken is not None:
        return broken
    filled = _filled(_ANYWHERE.split(text), size, room, bold)
    whole = 0
    while whole < lines - 1 and text_width(filled[whole].strip(), size, bold=bold) <= room:
        whole += 1
    last = shortened("".join(filled[whole:]).strip(), size, room, bold=bold)
    return (*map(_bare, filled[:whole]), *([last] if last else []))


def shortened(text: str, size: float, room: float, *, bold: bool = False) -> str:
    """Return the text, its end left out so that it is at most ``room`` points wide; a short ending after · is kept."""

    def fits(line: str) -> bool:
        return text_width(line, size, bold=bold) <= room

    if fits(text):
        return text
    line, ending = cut(text, _ENDING, fits)
    return line or ending.strip(" ·")


def _broken(text: str, size: float, room: float, lines: int, bold: bool) -> tuple[str, ...] | None:
    """Return the text in at most ``lines`` lines, or None if it does not fit."""
    if text_width(text, size, bold=bold) <= room:
        return (text,) if text else ()
    if lines == 1:
        return None
    for breaks in (_SPACES, _ANYWHERE):
        pieces = breaks.split(text)
        best, width = None, room
        while width > 0:  # narrower, as long as that needs no further line: this makes lines even
            filled = [_bare(line) for line in _filled(pieces, size, width, bold)]
            longest = max(text_width(line, size, bold=bold) for line in filled)
            if longest > width or len(filled) > (len(best) if best else lines):
                break
            best, width = tuple(filled), longest - 0.01
        if best is not None:
            return best
    return None


def _filled(pieces: list[str], size: float, room: float, bold: bool) -> list[str]:
    """Join pieces to lines, each as full as possible; a piece that is too wide becomes a line of its own."""
    filled = [pieces[0]]
    for piece in pieces[1:]:
        if text_width(_bare(filled[-1] + piece), size, bold=bold) <= room:
            filled[-1] += piece
        else:
            filled.append(piece)
    return filled


def _bare(line: str) -> str:
    """Return a line without the separator before the next one."""
    return line.strip().removesuffix(" ·")
