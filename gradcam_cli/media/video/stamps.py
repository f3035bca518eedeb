"""Time stamps of packets and frames: which of the two that a file may give is to be believed."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import av
    from av.container import InputContainer
    from av.packet import Packet

_DECODING_TIMES_ONLY = frozenset({"avi"})
"""Containers without presentation times: those that FFmpeg reports of them are guesses, wrong where frames lack."""
_RAW = frozenset({"h264", "hevc", "mpegvideo", "m4v", "vc1", "av1", "obu"})
"""Streams without a container: the mean rate that FFmpeg reports of them is its own, not the stream's."""


def is_raw(container: InputContainer) -> bool:
    """Whether a file is a stream without a container, whose frames' own lengths give its rate."""
    return container.format.name in _RAW


def has_presentation_times(container: InputContainer) -> bool:
    """Whether a file's presentation times are its own."""
    return container.format.name not in _DECODING_TIMES_ONLY


def of_packet(packet: Packet[Any], container: InputContainer) -> int | None:
    """Return a packet's time in ticks of its stream, or None where the file states none."""
    if packet.pts is not None and (packet.dts is None or has_presentation_times(container)):
        return packet.pts
    return packet.dts


@dataclass(slots=True)
class BestEffort:
    """The choice between a frame's presentation time and its decoding time, by the rule of FFmpeg's best effort.

    The kind of stamp that has gone backward less often is believed.

    Attributes:
        trusted: whether presentation times are the file's own; otherwise decoding times are taken where there are any.
    """

    trusted: bool
    _faults: int = 0  # of presentation times, less those of decoding times
    _presentation: int | None = None
    _decoding: int | None = None

    def of_frame(self, frame: av.VideoFrame) -> int | None:
        """Return a frame's time in ticks, or None where it has none. Frames must come in the order of decoding."""
        presentation = frame.pts if self.trusted or frame.dts is None else None
        decoding = frame.dts
        if decoding is not None:
            self._faults -= self._decoding is not None and decoding <= self._decoding
        if presentation is not None:
            self._faults += self._presentation is not None and presentation <= self._presentation
        self._decoding = presentation if decoding is None else decoding
        self._presentation = decoding if presentation is None else presentation
        believed = presentation is not None and (decoding is None or self._faults <= 0)
        return presentation if believed else decoding
