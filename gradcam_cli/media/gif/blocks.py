"""Parsing of GIF files, and composition of their frames as browsers show them.

Pillow only decodes the pixels, because it composes frames differently from browsers: it paints the background colour
where a frame is removed (disposal 2), and the palette's first colour where the first frame leaves the canvas free.
"""

from __future__ import annotations

import io
import struct
from dataclasses import dataclass
from typing import TYPE_CHECKING, BinaryIO

import numpy as np
from PIL import Image

if TYPE_CHECKING:
    from collections.abc import Iterator

    import numpy.typing as npt

    from gradcam_cli.records import Size

SIGNATURES = (b"GIF87a", b"GIF89a")

_EXTENSION, _IMAGE, _END = b"!", b",", b";"
_CONTROL, _APPLICATION = 0xF9, 0xFF
_LOOPING = (b"NETSCAPE2.0", b"ANIMEXTS1.0")
_HAS_PALETTE, _INTERLACED = 0x80, 0x40


class DamagedGifError(ValueError):
    """The file is cut off or violates the format's rules."""


@dataclass(frozen=True, slots=True)
class StoredFrame:
    """One frame as it is stored: a picture that covers a part of the canvas.

    Attributes:
        left, top, height, width: position and size in pixels; the frame may reach beyond the canvas.
        delay: display time in centiseconds.
        disposal: treatment of the frame after its display: 0 and 1 keep it, 2 clears its area, 3 and 4 restore the
            canvas below it.
        transparent: palette index of the transparent colour, or None.
        palette: uint8 RGB (n, 3).
        interlaced: whether its rows are stored in four passes.
        data: its compressed pixels.
    """

    left: int
    top: int
    height: int
    width: int
    delay: int
    disposal: int
    transparent: int | None
    palette: npt.NDArray[np.uint8]
    interlaced: bool
    data: bytes

    def indices(self) -> npt.NDArray[np.uint8]:
        """Decode the palette indices: uint8 (height, width). Pillow's errors pass unchanged."""
        size = struct.pack("<HH", self.width, self.height)
        flags = bytes([_INTERLACED * self.interlaced])
        alone = b"GIF89a" + size + bytes(3) + _IMAGE + bytes(4) + size + flags + self.data + _END
        # Without a palette, Pillow gives the indices themselves, as gray.
        with Image.open(io.BytesIO(alone), formats=("GIF",)) as image:
            return np.asarray(image, np.uint8)


class GifFile:
    """The blocks of a GIF file, read one after another.

    Args:
        stream: the file, open and seekable; it is not closed.

    Attributes:
        size: (height, width) of the canvas.
        loop: None plays once, 0 for ever, n repeats n times; known after the frames have been read.

    Raises:
        DamagedGifError: the header is cut off, or the canvas is empty.
    """

    def __init__(self, stream: BinaryIO) -> None:
        self._stream = stream
        self.loop: int | None = None
        header = self._take(13)
        width, height, flags = struct.unpack("<6xHHB2x", header)
        self.size: Size = (height, width)
        if not width or not height:
            raise DamagedGifError("its canvas is empty")
        self._palette = self._read_palette(flags) if flags & _HAS_PALETTE else None
        self._start = stream.tell()

    def frames(self) -> Iterator[StoredFrame]:
        """Yield the frames from the first on; a missing end mark after a whole frame is no damage.

        Raises:
            DamagedGifError: the file is cut off within a frame, or there is no block where one must begin.
        """
        self._stream.seek(self._start)
        delay, disposal, transparent = 0, 0, None
        while (mark := self._stream.read(1)) not in (b"", _END):
            if mark == _EXTENSION:
                label, blocks = self._take(1)[0], self._sub_blocks()
                if label == _CONTROL and blocks and len(blocks[0]) >= 4:
                    flags, delay, colour = struct.unpack_from("<BHB", blocks[0])
                    disposal, transparent = flags >> 2 & 7, colour if flags & 1 else None
                elif label == _APPLICATION:
                    self._read_loop(blocks)
            elif mark == _IMAGE:
                yield self._read_frame(delay, disposal, transparent)
                delay, disposal, transparent = 0, 0, None
            elif mark != b"\0":  # a superfluous block end, which some programs write
                raise DamagedGifError("no block begins where one must")

    def _read_frame(self, delay: int, disposal: int, transparent: int | None) -> StoredFrame:
        left, top, width, height, flags = struct.unpack("<HHHHB", self._take(9))
        palette = self._read_palette(flags) if flags & _HAS_PALETTE else self._palette
        if palette is None:
            palette = np.repeat(np.arange(256, dtype=np.uint8)[:, None], 3, axis=1)
        code_size = self._take(1)
        data = code_size + b"".join(bytes([len(block)]) + block for block in self._sub_blocks()) + b"\0"
        interlaced = bool(flags & _INTERLACED)
        return StoredFrame(left, top, height, width, delay, disposal, transparent, palette, interlaced, data)

    def _read_palette(self, flags: int) -> npt.NDArray[np.uint8]:
        return np.frombuffer(self._take(3 * (2 << (flags & 7))), np.uint8).reshape(-1, 3)

    def _read_loop(self, blocks: list[bytes]) -> None:
        if len(blocks) >= 2 and blocks[0] in _LOOPING and len(blocks[1]) >= 3 and blocks[1][0] == 1:
            self.loop = struct.unpack_from("<H", blocks[1], 1)[0]

    def _sub_blocks(self) -> list[bytes]:
        """Read the following sub-blocks, up to the empty one that ends them."""
        blocks = []
        while length := self._take(1)[0]:
            blocks.append(self._take(length))
        return blocks

    def _take(self, count: int) -> bytes:
        data = self._stream.read(count)
        if len(data) < count:
            raise DamagedGifError("it breaks off")
        return data


class Canvas:
    """The picture that a viewer shows: each frame is drawn over the result of the frames before it.

    Attributes:
        rgba: uint8 (H, W, 4); alpha is 0 or 255, and where it is 0 the colour is black.
    """

    def __init__(self, size: Size) -> None:
        self.rgba: npt.NDArray[np.uint8] = np.zeros((*size, 4), np.uint8)
        self._below: npt.NDArray[np.uint8] | int | None = None
        self._place = (slice(0), slice(0))

    def draw(self, frame: StoredFrame) -> None:
        """Apply the previous frame's disposal, and draw this frame. Pillow's errors pass unchanged."""
        if self._below is not None:
            self.rgba[self._place] = self._below
        self._place = slice(frame.top, frame.top + frame.height), slice(frame.left, frame.left + frame.width)
        part = self.rgba[self._place]
        self._below = 0 if frame.disposal == 2 else part.copy() if frame.disposal in (3, 4) else None
        if part.size:
            indices = frame.indices()[: part.shape[0], : part.shape[1]]
            colours = np.zeros((256, 4), np.uint8)
            colours[: len(frame.palette), :3] = frame.palette
            colours[: len(frame.palette), 3] = 255
            if frame.transparent is not None:
                colours[frame.transparent] = 0
            drawn = colours[indices]
            np.copyto(part, drawn, where=drawn[..., 3:] > 0)
