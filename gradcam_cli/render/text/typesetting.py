"""Typesetting of lines: broken where they are too long, in a common size, centred, upright."""

from __future__ import annotations

import math
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from gradcam_cli.render.text.lettering import CAPITALS, DESCENT, REGULAR, shortened, text_width, write
from gradcam_cli.text import printable

if TYPE_CHECKING:
    from collections.abc import Sequence

    import numpy.typing as npt

    Pixels = npt.NDArray[np.uint8]

_LEADING = 1.3
"""Distance from one line to the next, as a share of the size."""

_SPACES = re.compile(r"(?<= )(?![ %·])")
_ANYWHERE = re.compile(r"(?<=[ _/,:;])(?![ %·])|(?<=\w-)(?=\w)|(?<=\D\.)(?=\w)|(?<=\.)(?=[^\W\d])")
"""Where a text may be broken: after a space; or after punctuation as well, but not within ``42.1 %``."""


@dataclass(frozen=True, slots=True)
class Block:
    """Lines that are drawn below each other, in black.

    Attributes:
        lines: the texts; may be none.
        size: of the type, in pixels.
        weight: of the strokes.
    """

    lines: tuple[str, ...]
    size: int
    weight: int = REGULAR

    @property
    def height(self) -> int:
        """Pixels from the top of the first line's capitals to the last line's descenders; 0 without lines."""
        return depth(len(self.lines), self.size)

    @property
    def width(self) -> int:
        """Width of the longest line in pixels."""
        return max((text_width(line, self.size, self.weight) for line in self.lines), default=0)

    def draw(self, pixels: Pixels, left: int, top: int, room: int | None = None) -> None:
        """Write the lines onto uint8 RGB (H, W, 3), in place.

        Args:
            pixels: the picture.
            left: x of the lines' left end, in pixels.
            top: y of the first line's capitals.
            room: the lines are centred in this many pixels from ``left`` on; without it, they start there.
        """
        for number, line in enumerate(self.lines):
            slack = 0 if room is None else (room - text_width(line, self.size, self.weight)) // 2
            base = top + round((CAPITALS + _LEADING * number) * self.size)
            write(pixels, line, (left + slack, base), self.size, weight=self.weight)

    def draw_upright(self, pixels: Pixels, left: int, top: int, room: int) -> None:
        """Write the lines from bottom to top, the first one leftmost, centred in ``room`` pixels below ``top``."""
        # Accents reach above capitals, and some letters beyond their width.
        pad = min(math.ceil(self.size / 4), left, top, len(pixels) - top - room)
        place = pixels[top - pad : top + room + pad, left - pad : left + self.height + pad]
        turned = np.ascontiguousarray(np.rot90(place, -1))
        self.draw(turned, pad, pad, room)
        place[:] = np.rot90(turned)


def depth(lines: int, size: int) -> int:
    """Return the height in pixels of a block of ``lines`` lines."""
    return math.ceil((CAPITALS + DESCENT + _LEADING * (lines - 1)) * size) if lines else 0


def set_alike(
    texts: Sequence[Sequence[str]], largest: int, least: int, room: int, lines: int = 2, weight: int = REGULAR
) -> list[Block]:
    """Set texts of one or more paragraphs in one size: the largest, not below the least, at which all of them fit.

    Args:
        texts: the paragraphs of each block; control characters appear escaped, and empty paragraphs are left out.
        largest: size in pixels.
        least: size at which a paragraph that is still too long is cut.
        room: width of each block in pixels.
        lines: most lines that a paragraph may be broken into.
        weight: of the strokes.
    """
    clean = [[printable(part.strip()) for part in parts if part.strip()] for parts in texts]
    size = common_size([part for parts in clean for part in parts], largest, least, room, lines, weight)
    broken = [[line for part in parts for line in wrapped(part, size, room, lines, weight)] for parts in clean]
    return [Block(tuple(found), size, weight) for found in broken]


def common_size(
    texts: Sequence[str], largest: int, least: int, room: int, lines: int = 1, weight: int = REGULAR
) -> int:
    """Return the largest size at which each text fits into ``lines`` lines of ``room`` pixels; else the least."""
    for size in range(largest, least, -1):
        if all(_broken(text, size, room, lines, weight) is not None for text in texts):
            return size
    return least


def wrapped(text: str, size: int, room: int, lines: int = 2, weight: int = REGULAR) -> tuple[str, ...]:
    """Break a text into at most ``lines`` lines of ``room`` pixels, of even length rather than the first one full.

    Lines end at spaces, or where that is not enough, after punctuation. The last line is cut where necessary.

    Returns:
        The lines; none for an empty text.
    """
    broken = _broken(text, size, room, lines, weight)
    if broken is not None:
        return broken
    filled = _filled(_ANYWHERE.split(text), size, room, weight)
    whole = 0
    while whole < lines - 1 and text_width(filled[whole].strip(), size, weight) <= room:
        whole += 1
    last = shortened("".join(filled[whole:]).strip(), size, room, weight)
    return (*map(_bare, filled[:whole]), *([last] if last else []))


def _broken(text: str, size: int, room: int, lines: int, weight: int) -> tuple[str, ...] | None:
    """Return the text in at most ``lines`` lines, or None if it does not fit."""
    for breaks in (_SPACES, _ANYWHERE):
        pieces = breaks.split(text)
        best, width = None, room + 1
        while width:  # narrower, as long as that needs no further line: this makes lines even
            filled = [_bare(line) for line in _filled(pieces, size, width - 1, weight)]
            longest = max(text_width(line, size, weight) for line in filled)
            if longest >= width or len(filled) > (len(best) if best else lines):
                break
            best, width = tuple(filled), longest
        if best is not None:
            return best if best != ("",) else ()
    return None


def _filled(pieces: list[str], size: int, room: int, weight: int) -> list[str]:
    """Join pieces to lines, each as full as possible; a piece that is too wide becomes a line of its own."""
    filled = [pieces[0]]
    for piece in pieces[1:]:
        if text_width(_bare(filled[-1] + piece), size, weight) <= room:
            filled[-1] += piece
        else:
            filled.append(piece)
    return filled


def _bare(line: str) -> str:
    """Return a line without the separator before the next one."""
    return line.strip().removesuffix(" ·")
