"""A HEIC file, made of one HEVC picture: no package at hand writes one."""

from __future__ import annotations

import io
import struct
from fractions import Fraction
from typing import TYPE_CHECKING

import av

if TYPE_CHECKING:
    import numpy as np


def _box(name: bytes, *content: bytes, version: int | None = None, flags: int = 0) -> bytes:
    head = b"" if version is None else struct.pack(">I", version << 24 | flags)
    body = head + b"".join(content)
    return struct.pack(">I", 8 + len(body)) + name + body


def _hevc(pixels: np.ndarray) -> tuple[bytes, bytes]:
    """Return the decoder's configuration (hvcC) and the coded picture."""
    buffer = io.BytesIO()
    with av.open(buffer, "w", "matroska") as output:
        options = {"x265-params": "log-level=none:crf=4", "preset": "ultrafast"}
        stream = output.add_stream("libx265", 1, options=options, width=pixels.shape[1], height=pixels.shape[0])
        stream.pix_fmt, stream.codec_context.time_base = "yuv420p", Fraction(1)
        frame = av.VideoFrame.from_ndarray(pixels, "rgb24").reformat(
            format="yuv420p", dst_colorspace="ITU709", dst_color_range="MPEG"
        )
        frame.pts, frame.time_base = 0, Fraction(1)
        for packet in [*stream.encode(frame), *stream.encode(None)]:
            packet.dts = packet.pts  # x265 leaves it open for a single picture
            output.mux(packet)
    with av.open(io.BytesIO(buffer.getvalue())) as container:
        stream = container.streams.video[0]
        coded = next(bytes(packet) for packet in container.demux(stream) if packet.size)
        return _box(b"hvcC", bytes(stream.codec_context.extradata)), coded


def heic(
    pixels: np.ndarray,
    quarter_turns: int = 0,
    points: tuple[int, int] = (1, 13),
    foreign: tuple[int, int] | None = None,
) -> bytes:
    """Return a HEIC file.

    Args:
        pixels: uint8 RGB (H, W, 3), even sides, as coded.
        quarter_turns: counterclockwise, that a viewer makes.
        points: code points of primaries and transfer function.
        foreign: code points in the file that are not the picture's.
    """
    config, coded = _hevc(pixels)
    height, width = pixels.shape[:2]
    colour = _box(b"colr", b"nclx", struct.pack(">HHHB", *points, 1, 0))
    properties = [config, _box(b"ispe", struct.pack(">II", width, height), version=0), colour]
    if quarter_turns:
        properties.append(_box(b"irot", bytes([quarter_turns])))
    first = 1
    if foreign:
        properties.insert(0, _box(b"colr", b"nclx", struct.pack(">HHHB", *foreign, 9, 0)))
        first = 2
    places = range(first, len(properties) + 1)
    used = b"".join(bytes([(0x80 if place == first else 0) | place]) for place in places)
    associated = struct.pack(">IHB", 1, 1, len(places)) + used

    def meta(offset: int) -> bytes:
        place = struct.pack(">BBHHHHII", 0x44, 0, 1, 1, 0, 1, offset, len(coded))
        item = _box(b"infe", struct.pack(">HH", 1, 0), b"hvc1\0", version=2)
        return _box(
            b"meta",
            _box(b"hdlr", bytes(4), b"pict", bytes(13), version=0),
            _box(b"pitm", struct.pack(">H", 1), version=0),
            _box(b"iloc", place, version=0),
            _box(b"iinf", struct.pack(">H", 1), item, version=0),
            _box(b"iprp", _box(b"ipco", *properties), _box(b"ipma", associated, version=0)),
            version=0,
        )

    head = _box(b"ftyp", b"heic", bytes(4), b"mif1heic")
    return head + meta(len(head) + len(meta(0)) + 8) + _box(b"mdat", coded)
