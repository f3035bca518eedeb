"""Writing of animated GIFs frame by frame: of each only what changes, with a few frames in memory."""

from __future__ import annotations

import io
import struct
from contextlib import ExitStack, suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, BinaryIO

import numpy as np
from PIL import Image

from gradcam_cli.errors import OutputError
from gradcam_cli.media.atomic import atomic_path, explained, keep_part
from gradcam_cli.media.gif.changes import Canvas, in_runs
from gradcam_cli.media.gif.palette import Quantizer
from gradcam_cli.text import printable

if TYPE_CHECKING:
    from collections.abc import Callable
    from fractions import Fraction
    from pathlib import Path
    from types import TracebackType

    import numpy.typing as npt

    from gradcam_cli.records import FileState, Size

    Pixels = npt.NDArray[np.uint8]

_MIN_DELAY = 2
"""Centiseconds: browsers show a frame with a shorter delay for ten centiseconds."""

MAX_LOOPS = 65_535
"""Largest repeat count that a GIF can store."""

_MAX_DELAY = 65_535
_LARGEST = 65_535
_HEADER = 13 + 768
"""Bytes of a file's header with a palette of 256 colours."""

_PLACE = 8 + 1
"""Offset, from a control block's start, of the picture's left and top."""

_FLAGS = 8 + 9
"""Offset, from a control block's start, of the picture block's flags, which state whether a palette follows."""


@dataclass(slots=True)
class _PendingFrame:
    """The changed part of a frame, which is written once its display time is known.

    Attributes:
        indices: uint8 (h, w).
        palette: uint8 RGB (256, 3).
        place: (top, left) of the part.
        unchanged: the index of pixels that stay as they are, or None.
        start: centiseconds.
    """

    indices: Pixels
    palette: Pixels
    place: tuple[int, int]
    unchanged: int | None
    start: int


class GifWriter:
    """Writes an animated GIF; a context manager: the complete file appears when its block ends, or none.

    Start times, not durations, are rounded to centiseconds, so that they never drift. A frame that would be shown for
    less than 20 ms is left out; a frame equal to the one before prolongs that one. Of every other frame, the rectangle
    is written that changes, and in it unchanged pixels are transparent where an index is free.

    Args:
        path: the file; its directory is made when missing.
        size: (height, width) of all frames.
        loop: None plays once, 0 for ever, n repeats n times after the first.
        palette: uint8 RGB (256, 3), the colours of the frames given to `write_indexed`.
        keep_partial: when the block ends with an exception, keep the frames written so far as a file: see
            `keep_part`.
        written: takes the file's state, see `atomic_path`.

    Raises:
        OutputError: the file cannot be written (any method raises this), or the size exceeds the format's limit.
    """

    def __init__(
        self,
        path: Path,
        size: Size,
        *,
        loop: int | None = 0,
        palette: Pixels | None = None,
        keep_partial: bool = False,
        written: dict[Path, FileState] | None = None,
    ) -> None:
        if not 1 <= min(size) <= max(size) <= _LARGEST:
            what = f"a GIF of {size[1]}×{size[0]} pixels cannot be (at most {_LARGEST} a side)"
            raise OutputError(f"{printable(path)}: {what}", "make it smaller with {gif_width}")
        if loop is not None and not 0 <= loop <= MAX_LOOPS:
            raise ValueError(f"loop count {loop} does not fit a GIF")
        self._path = path
        self._size = size
        self._loop = loop
        self._palette = palette
        self._keep_partial = keep_partial
        self._written = written
        self._quantizer = Quantizer()
        self._canvas = Canvas(size)
        self._first_time: Fraction | None = None
        self._waiting: list[_PendingFrame] = []
        self._end = 0
        self._common: Pixels | None = None
        self._whole = 0
        self._stack = ExitStack()

    def __enter__(self) -> GifWriter:
        with ExitStack() as stack:
            self._part = stack.enter_context(atomic_path(self._path, self._written))
            with explained(self._path):
                self._stream: BinaryIO = self._part.open("xb")
            self._stack = stack.pop_all()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if error is not None:
            self._give_up(error)
            return
        try:
            with explained(self._path), self._stream:
                self._finish()
            self._stack.close()
        except BaseException as failure:
            self._give_up(failure)
            raise

    def write_indexed(self, indices: Pixels, time: Fraction, duration: Fraction) -> None:
        """Add a frame whose pixels are indices of the palette; its colours are exact.

        Args:
            indices: uint8 (H, W).
            time: when the frame appears, in seconds; the first frame's time is the start of the animation.
            duration: display time in seconds; the last frame's is the one that matters.
        """
        if self._palette is None:
            raise ValueError("a GifWriter without a palette writes RGB frames only")
        start = self._start(time, duration)
        if start is not None:
            self._show(indices, self._palette, start, self._canvas.changes(indices, self._palette))

    def write(self, pixels: Pixels, time: Fraction, duration: Fraction) -> None:
        """Add a frame of any colours, which are reduced to 256: see `Quantizer`.

        Colours are kept along rows and over time while they are within `NEAR` levels: see `Canvas`.

        Args:
            pixels: uint8 RGB (H, W, 3).
            time: when the frame appears, in seconds; the first frame's time is the start of the animation.
            duration: display time in seconds; the last frame's is the one that matters.
        """
        start = self._start(time, duration)
        if start is not None:
            indices, palette = self._quantizer(pixels), self._quantizer.palette
            indices = in_runs(indices, palette, pixels)
            self._show(indices, palette, start, self._canvas.changes(indices, palette, pixels))

    def extend(self, until: Fraction) -> None:
        """Show the last frame until a later time, in seconds as in `write`: for a source frame that is left out."""
        if self._first_time is not None:
            self._end = max(self._end, round((until - self._first_time) * 100))

    def _start(self, time: Fraction, duration: Fraction) -> int | None:
        """Return a frame's start in centiseconds, or None when its display time would be too short."""
        if self._first_time is None:
            self._first_time = time
        since = time - self._first_time
        self._end = max(self._end, round((since + duration) * 100))
        if not self._waiting:
            return 0
        start, earliest = round(since * 100), self._waiting[-1].start + _MIN_DELAY
        if start >= earliest:
            return start
        return earliest if self._end - earliest >= _MIN_DELAY else None

    def _show(self, indices: Pixels, palette: Pixels, start: int, changed: npt.NDArray[np.bool_]) -> None:
        """Append the pixels (H, W) of a frame that ``changed``; it begins at ``start``."""
        rows, columns = np.flatnonzero(changed.any(1)), np.flatnonzero(changed.any(0))
        if not rows.size:
            return
        part = slice(rows[0], rows[-1] + 1), slice(columns[0], columns[-1] + 1)
        free = np.flatnonzero(np.bincount(indices[changed], minlength=256) == 0)
        unchanged = int(free[0]) if free.size else None
        whole = indices[part].copy()
        shown = whole if unchanged is None else np.where(changed[part], whole, np.uint8(unchanged))
        if palette is self._palette and _ends_of_runs(whole) <= _ends_of_runs(shown):  # exact: the rest is as it was
            shown, unchanged = whole, None
        if len(self._waiting) == 2:
            first = self._waiting.pop(0)
            self._emit(first, self._waiting[0].start)
        self._waiting.append(_PendingFrame(shown, palette, (rows[0], columns[0]), unchanged, start))

    def _emit(self, shown: _PendingFrame, end: int) -> None:
        """Write a frame that is shown until ``end``."""
        image = Image.fromarray(shown.indices)
        image.putpalette(shown.palette.tobytes())
        blocks: list[bytes] = []
        if not self._whole:
            self._common = shown.palette
            blocks.append(_encoded(image, _MIN_DELAY, shown)[:_HEADER])
            blocks.append(b"" if self._loop is None else _looping(self._loop))
        remaining = max(end - shown.start, _MIN_DELAY)
        while remaining:
            # A delay beyond the format's limit is split so that the remainder is not too short.
            delay = remaining if remaining <= _MAX_DELAY else min(_MAX_DELAY, remaining - _MIN_DELAY)
            remaining -= delay
            alone = _encoded(image, delay, shown)[_HEADER:-1]
            if shown.palette is not self._common:
                alone = alone[:_FLAGS] + b"\x87" + shown.palette.tobytes() + alone[_FLAGS + 1 :]
            blocks.append(alone)
            image = image.crop((0, 0, 1, 1))  # one pixel is enough to keep the rest on display
        with explained(self._path):
            self._stream.write(b"".join(blocks))
            self._stream.flush()
            self._whole = self._stream.tell()

    def _finish(self) -> None:
        """Write the pending frames and the end mark."""
        if len(self._waiting) == 2 and self._end - self._waiting[1].start < _MIN_DELAY:
            del self._waiting[1]  # there is no time left for it
        while self._waiting:
            shown = self._waiting.pop(0)
            self._emit(shown, self._waiting[0].start if self._waiting else self._end)
        self._end_here()

    def _end_here(self) -> None:
        """Write the end mark, unless there is no whole frame before it."""
        if not self._whole:
            raise OutputError(f"{printable(self._path)}: there was no frame to write")
        self._stream.write(b";")

    def _give_up(self, error: BaseException) -> None:
        """Keep the frames written so far if requested and possible; otherwise remove the file."""
        with suppress(OSError):
            self._stream.close()
        try:
            if self._keep_partial and self._salvaged():
                keep_part(self._part, self._path)
        finally:
            self._stack.__exit__(type(error), error, error.__traceback__)

    def _salvaged(self) -> bool:
        """Complete the file with the frames so far; on a full disk, without the frame that did not fit."""
        return self._closed_with(self._finish) or self._closed_with(self._end_here)

    def _closed_with(self, finish: Callable[[], None]) -> bool:
        """Cut the file after its last whole frame and finish it; return whether that worked."""
        try:
            with self._part.open("r+b") as stream:
                self._stream = stream
                stream.truncate(self._whole)
                stream.seek(self._whole)
                finish()
        except (OSError, OutputError):
            return False
        return True


def _encoded(image: Image.Image, delay: int, frame: _PendingFrame) -> bytes:
    """Return a GIF file of one frame: header and palette, control block, picture block at its place, end mark.

    Pillow's function for the blocks alone, `GifImagePlugin.getdata`, leaves every frame in memory until Python happens
    to collect garbage, and its writer of animations merges and alters frames on its own.
    """
    buffer = io.BytesIO()
    clear = {} if frame.unchanged is None else {"transparency": frame.unchanged}
    image.save(buffer, "GIF", duration=delay * 10, optimize=False, interlace=False, **clear)
    data = bytearray(buffer.getvalue())
    struct.pack_into("<HH", data, _HEADER + _PLACE, *reversed(frame.place))
    return bytes(data)


def _ends_of_runs(indices: Pixels) -> int:
    """Return how often the index changes along the rows, which is what a GIF's size depends on."""
    return int(np.count_nonzero(indices[:, 1:] != indices[:, :-1]))


def _looping(count: int) -> bytes:
    """Return the block that stores the repeat count."""
    return b"!\xff\x0bNETSCAPE2.0\x03\x01" + count.to_bytes(2, "little") + b"\0"
