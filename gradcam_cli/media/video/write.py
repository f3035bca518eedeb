"""Writing of MP4 files that browsers play, with exact frame times and the source's sound, complete or not at all."""

from __future__ import annotations

import os
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from fractions import Fraction
from typing import TYPE_CHECKING, cast

import av

from gradcam_cli.errors import OutputError
from gradcam_cli.machine import cores
from gradcam_cli.media.atomic import atomic_path, explained, keep_part
from gradcam_cli.media.video.audio import AudioTrack
from gradcam_cli.media.video.frames import scale
from gradcam_cli.media.video.open import reason
from gradcam_cli.records import VIDEO_QUALITY
from gradcam_cli.text import printable

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path
    from types import TracebackType

    import numpy as np
    import numpy.typing as npt
    from typing_extensions import Self

    from gradcam_cli.media.video.audio import AudioSource
    from gradcam_cli.media.video.frames.scale import Planes
    from gradcam_cli.records import Codec, FileState, Size

_BT709 = 1
_LIMITED = 1
_FINEST = 1_000_000  # ticks a second; MP4 counts them in 32 bits, and some Matroska files in nanoseconds
_ROUND_TICK = Fraction(1, 90_000)
_MAX_THREADS = 4


@dataclass(frozen=True, slots=True)
class _Encoder:
    """An encoder's name and settings; its constant rate factor is ``worst - quality * slope``.

    It has as many threads as ``share`` of the cores: more would compete with the network's threads.
    """

    name: str
    share: float
    worst: float
    slope: float
    options: dict[str, str]


# No B-frames: a frame's time in the file is then its own time, without reordering and edit lists, which players treat
# differently. It costs 7 % of size and no time. x264's superfast with veryfast's rate control: at the same PSNR a third
# less time than veryfast and 6 % more bytes; without it superfast's files would be half as large again.
_ENCODERS: dict[Codec, _Encoder] = {
    "h264": _Encoder(
        "libx264", 0.5, 50, 0.4, {"preset": "superfast", "bf": "0", "x264-params": "mbtree=1:rc-lookahead=10"}
    ),
    "vp9": _Encoder(
        "libvpx-vp9", 1, 63, 0.43, {"deadline": "realtime", "cpu-used": "6", "row-mt": "1", "lag-in-frames": "0"}
    ),
    "av1": _Encoder("libsvtav1", 1, 63, 0.4, {"preset": "10"}),
}


class VideoWriter:
    """Writes an MP4 file, index first; a context manager.

    The file is written under a temporary name and renamed at the end. When the block raises, nothing remains of it;
    with ``keep_partial``, the part written so far remains as a playable file: see `keep_part`. No frame, no file.

    Args:
        path: the file.
        size: (height, width) of the frames; odd sides are padded by one.
        tick: seconds; frames' times are kept exactly where they are multiples of it (`VideoInfo.tick`).
        rate: mean frames per second, as a hint for the encoder.
        codec: H.264 plays everywhere; VP9 and AV1 are smaller and slower.
        quality: 1 to 100; 75 is hard to distinguish from the source. H.264's constant rate factor is 50 − 0.4 × quality
            (75: 20), VP9's 63 − 0.43 × quality, AV1's 63 − 0.4 × quality.
        audio: the sound to add.
        threads: of the encoder; None is a number that suits the cores.
        keep_partial: keep the part written so far when the block raises.
        written: takes the file's state, see `atomic_path`.

    Attributes:
        notes: facts on the result that a user should know.

    Raises:
        OutputError: the file cannot be written, or this FFmpeg lacks the encoder.
        InputError: the sound's source can no longer be opened.
    """

    def __init__(
        self,
        path: Path,
        size: Size,
        *,
        tick: Fraction,
        rate: Fraction,
        codec: Codec = "h264",
        quality: int = VIDEO_QUALITY,
        audio: AudioSource | None = None,
        threads: int | None = None,
        keep_partial: bool = False,
        written: dict[Path, FileState] | None = None,
    ) -> None:
        self._path, self._keep_partial = path, keep_partial
        self._tick = tick if tick.denominator <= _FINEST else _ROUND_TICK
        self._last = -1
        self._flushed = self._finished = False
        self._end = Fraction(0)
        self._durations: dict[int, int] = {}
        self._size = scale.even(size)
        self.notes: tuple[str, ...] = ()
        with ExitStack() as stack:
            self._part = stack.enter_context(atomic_path(path, written))
            with self._explained():
                options = {"movflags": "+faststart", "movie_timescale": str(max(1000, self._tick.denominator))}
                self._output = av.open(f"file:{self._part}", "w", format="mp4", options=options)
                stack.callback(self._abandon)
                self._stream = self._add_stream(_ENCODERS[codec], quality, rate, threads)
                self._audio = self._add_audio(audio, stack)
            self._stack = stack.pop_all()

    def _add_stream(self, encoder: _Encoder, quality: int, rate: Fraction, threads: int | None) -> av.VideoStream:
        os.environ.setdefault("SVT_LOG", "1")  # errors only: the AV1 encoder prints a greeting on stderr
        height, width = self._size
        options = {**encoder.options, "crf": str(round(encoder.worst - encoder.slope * quality))}
        rate = rate.limit_denominator(1001)
        try:
            stream = cast(
                "av.VideoStream", self._output.add_stream(encoder.name, rate, options, width=width, height=height)
            )
        except (ValueError, av.error.FFmpegError) as error:
            raise OutputError(f"this FFmpeg has no {encoder.name}", "use {codec} h264") from error
        context = stream.codec_context
        context.pix_fmt = "yuv420p"
        context.time_base = stream.time_base = self._tick
        context.color_primaries = context.color_trc = context.colorspace = _BT709
        context.color_range = _LIMITED
        context.thread_count = threads or max(1, min(_MAX_THREADS, int(cores() * encoder.share)))
        context.thread_type = "FRAME"  # slices, PyAV's choice, make threads wait at every frame's end, and files larger
        return stream

    def _add_audio(self, source: AudioSource | None, stack: ExitStack) -> AudioTrack | None:
        if source is None:
            return None
        track = AudioTrack(source, self._output)
        stack.callback(track.close)
        self.notes = (*self.notes, *track.notes)
        return track

    def write(self, planes: Planes, time: Fraction, duration: Fraction) -> None:
        """Add a frame.

        Args:
            planes: y (H, W), u and v (H/2, W/2): uint8, BT.709, limited range, even sides.
            time: seconds since the first frame, later than the last one's.
            duration: seconds it is shown.
        """
        self._encode(scale.to_frame(planes, self._size), time, duration)

    def write_rgb(self, pixels: npt.NDArray[np.uint8], time: Fraction, duration: Fraction) -> None:
        """Add a frame given as uint8 RGB (H, W, 3); an odd side is padded by repeating the edge."""
        self._encode(scale.from_rgb(pixels), time, duration)

    def flush(self) -> None:
        """Write the frames buffered in the encoder, which is slow; no frame may follow. The block's end does it too."""
        if not self._flushed and self._last >= 0:
            self._flushed = True
            with self._explained():
                self._mux(None)

    def _encode(self, frame: av.VideoFrame, time: Fraction, duration: Fraction) -> None:
        self._last = frame.pts = max(self._last + 1, round(time / self._tick))
        self._durations[frame.pts] = max(1, round(duration / self._tick))
        frame.time_base = self._tick
        self._end = time + duration
        with self._explained():
            self._mux(frame)
            if self._audio:
                self._audio.advance(time)

    def _mux(self, frame: av.VideoFrame | None) -> None:
        """Encode a frame, or None for the end; durations are set here, as not every encoder passes them on."""
        for packet in self._stream.encode(frame):
            packet.duration = self._durations.pop(packet.pts or 0, 0)
            self._output.mux(packet)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if error is None:
            with self._stack:
                if self._last < 0:
                    raise OutputError(f"{printable(self._path)}: there is no frame to write", "check the input")
                self._finish(whole=True)
            return
        try:
            if self._keep_partial and self._last >= 0:
                self._finish(whole=False)
                keep_part(self._part, self._path)
        finally:
            self._stack.__exit__(kind, error, trace)

    def _finish(self, *, whole: bool) -> None:
        """Write the frames buffered in the encoder, the rest of the sound and the index."""
        self.flush()
        with self._explained():
            if self._audio:
                self._audio.advance(None if whole else self._end)
            self._output.close()
        self._finished = True

    def _abandon(self) -> None:
        """Close without leaving a file, unless it was finished."""
        if self._finished:
            return
        with suppress(OSError):
            self._part.unlink()  # first: closing writes an index, and moves it to the front of the file
        with suppress(Exception):
            self._output.close()

    @contextmanager
    def _explained(self) -> Iterator[None]:
        """Turn errors of the system and of FFmpeg into an `OutputError` that names the file."""
        with explained(self._path):
            try:
                yield
            except OSError:
                raise
            except av.error.FFmpegError as error:
                what = f"{printable(self._path)}: cannot be encoded: {reason(error)}"
                raise OutputError(what, "try another {codec}") from error
