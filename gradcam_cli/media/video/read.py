"""Reading of videos: any file that FFmpeg decodes → upright frames with exact times, in one pass, constant memory."""

from __future__ import annotations

from collections import deque
from contextlib import ExitStack
from fractions import Fraction
from itertools import chain
from typing import TYPE_CHECKING

import av

from gradcam_cli.errors import InputError
from gradcam_cli.media import timing
from gradcam_cli.media.limits import FRAME_PIXELS, check_frames
from gradcam_cli.media.video import info as video_info
from gradcam_cli.media.video.audio import AudioSource
from gradcam_cli.media.video.decode import Decoder
from gradcam_cli.media.video.frames import planes as video_planes
from gradcam_cli.media.video.frames.colours import treatment_of
from gradcam_cli.media.video.frames.planes import DecodedFrame, VideoFrame
from gradcam_cli.media.video.frames.scale import even
from gradcam_cli.media.video.info import Selection, VideoInfo
from gradcam_cli.media.video.measure import Measured, measure
from gradcam_cli.media.video.open import check_size, opened, video_stream
from gradcam_cli.media.video.stamps import BestEffort, has_presentation_times
from gradcam_cli.text import printable

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path
    from types import TracebackType

    from typing_extensions import Self

    from gradcam_cli.media.timing import TimedFrame

__all__ = ["VideoInfo", "VideoReader"]

AHEAD_BYTES = 256 << 20
"""Memory for frames that `VideoReader.sample` keeps for the iteration: a short clip is then decoded only once."""


class VideoReader:
    """Iterates over a video's frames; a context manager.

    The constructor decodes the first frame, so that a file without one fails early. Rotation is applied, pixels are
    made square, frames deinterlaced and resized to the first one's size. Damaged packets are skipped.

    Args:
        path: the file.
        start: seconds from the video's beginning; earlier frames are left out.
        end: seconds from the video's beginning; frames from there on are left out, the last one's duration is cut.
        stride: keep the first of every ``stride`` frames.
        fps: resample to this constant rate, before ``stride``; None keeps the source's times.
        max_size: longest side in pixels; larger frames are made smaller.
        name: the video's name in error messages.
        max_pixels: most pixels of a frame; None is `limits.FRAME_PIXELS`.
        max_frames: most frames to deliver, checked by the file's packets and by counting; None is no limit.
        alone: whether no other work runs while frames are read: see `Decoder`.
        measured: what the file's packets show, where that is known.

    Attributes:
        info: properties known before decoding.

    Raises:
        InputError: the file does not exist, is no video, is larger or longer than allowed, no frame of it can be
            decoded, or none is between ``start`` and ``end``.
    """

    def __init__(
        self,
        path: Path,
        *,
        start: Fraction | None = None,
        end: Fraction | None = None,
        stride: int = 1,
        fps: Fraction | None = None,
        max_size: int | None = None,
        name: str | None = None,
        max_pixels: int | None = None,
        max_frames: int | None = None,
        alone: bool = False,
        measured: Measured | None = None,
    ) -> None:
        self._path, self._name = path, printable(name or path)
        self._start, self._end, self._max_size = start, end, max_size
        self._max_pixels, self._max_frames, self._count = max_pixels or FRAME_PIXELS, max_frames, 0
        self._wrong = 0
        with ExitStack() as stack:
            self._file, self._alone = stack.enter_context(ExitStack()), alone
            self._open()
            self._tick = Fraction(self._stream.time_base or Fraction(1, 90_000))
            self._measured = measured or measure(path, self._name, self._max_pixels, start, end)
            self._base = self._measured.begin
            self._rate = video_info.mean_rate(self._container, self._stream, self._measured)
            frames = self._selected(stride, fps)
            self._first = self._require(next(frames, None))
            self._next: TimedFrame[av.VideoFrame] | None = self._first
            self._frames = frames
            turn = self._decoder.turn(self._first.what)
            self._shape = video_planes.shape(self._first.what, self._stream.sample_aspect_ratio, max_size, turn)
            treatment = treatment_of(self._container, self._stream, self._first.what, self._measured.peak)
            self._converter = video_planes.Converter(self._shape, treatment)
            self._picture: tuple[av.VideoFrame, DecodedFrame] | None = None
            self._ahead: deque[VideoFrame] = deque()
            self._damage: InputError | None = None
            notes = video_info.changes(self._stream, self._first.what, self._shape, treatment, self._decoder)
            wanted = Selection(start, end, stride, fps)
            self.info = video_info.described(
                self._container, self._stream, self._shape.size, self._measured, wanted, notes
            )
            self._check_frames(self.info.frames)
            self._stack = stack.pop_all()

    def _open(self) -> None:
        """Open the file, or open it again: then it is read from its beginning."""
        self._file.close()
        self._container = self._file.enter_context(opened(self._path, self._name))
        self._stream = video_stream(self._container, self._name, self._max_pixels)
        self._decoder = Decoder(self._container, self._stream, self._path, self._name, alone=self._alone)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Close the file; iteration ends."""
        self._next = self._damage = None
        self._frames = iter(())
        self._ahead.clear()
        self._stack.close()

    def __iter__(self) -> Self:
        return self

    def __next__(self) -> VideoFrame:
        if self._ahead:
            return self._ahead.popleft()
        if self._damage is not None:
            raise self._damage
        return self._read()

    def _read(self) -> VideoFrame:
        frame = self._next
        if frame is None:
            raise StopIteration
        self._next = next(self._frames, None)
        self._count += 1
        self._wrong += frame.what.is_corrupt
        self._check_frames(self._count)
        return self._delivered(frame)

    def _check_frames(self, count: int) -> None:
        check_frames(count, self._max_frames, self._name, "take a part with {start} and {end}, or fewer with {fps}")

    @property
    def skipped(self) -> int:
        """Number of damaged packets skipped so far; after 300 in a row the video counts as ended."""
        return self._decoder.skipped

    @property
    def damaged(self) -> int:
        """Number of places so far where something could be decoded although a part of it is lost or damaged."""
        return self._decoder.incomplete + self._wrong

    @property
    def audio(self) -> AudioSource | None:
        """The sound that belongs to these frames, for a writer; None where there is none."""
        if not self.info.has_audio:
            return None
        end = None if self._end is None else self._base + self._end
        return AudioSource(self._path, self._name, self._first.time, end, from_first=not self._start)

    def sample(self, count: int) -> Iterator[tuple[VideoFrame, bool]]:
        """Yield up to ``count`` frames spread evenly along the clip with True, without affecting the iteration.

        At least one. Where the clip ``is_held``, the frames in between are also yielded, as they are read, with False.
        """
        return self._sample_ahead(count) if self.is_held else ((frame, True) for frame in self._sample_apart(count))

    @property
    def is_held(self) -> bool:
        """Whether the clip fits into `AHEAD_BYTES`: `sample` then reads it all, and the iteration reuses its frames."""
        return self.info.frames <= self._most_ahead

    @property
    def _most_ahead(self) -> int:
        """Number of frames that fit: as decoded, or as planes, which replace it."""
        height, width = even(self._shape.size)
        return AHEAD_BYTES // max(sum(plane.buffer_size for plane in self._first.what.planes), height * width * 3 // 2)

    def _spread(self, count: int) -> list[Fraction]:
        """Return times spread evenly along the clip, in seconds from its start."""
        return [self.info.duration * (2 * index + 1) / (2 * count) for index in range(count)]

    def _sample_ahead(self, count: int) -> Iterator[tuple[VideoFrame, bool]]:
        times = deque(self._spread(count))
        for frame in chain(tuple(self._ahead), self._reading_ahead(self._most_ahead)):
            moments = 0
            while times and times[0] < frame.time + frame.duration:
                times.popleft()
                moments += 1
            yield from [(frame, True)] * moments or [(frame, False)]
        if len(times) == count and self._ahead:
            yield self._ahead[0], True

    def _reading_ahead(self, most: int) -> Iterator[VideoFrame]:
        """Read and keep up to ``most`` frames: a file may be longer than it states."""
        try:
            while len(self._ahead) < most:
                self._ahead.append(self._read())
                yield self._ahead[-1]
        except StopIteration:
            pass
        except InputError as error:
            self._damage = error  # raised when the iteration gets there

    def _sample_apart(self, count: int) -> Iterator[VideoFrame]:
        begin = self._start or Fraction(0)
        reader: VideoReader | None = None
        found = False
        try:
            with opened(self._path, self._name) as index:
                stream = video_stream(index, self._name, self._max_pixels)
                for since in self._spread(count):
                    time = begin + since
                    key = video_info.key_frame(index, stream, self._base + time)
                    if reader is None or reader._is_before(key):
                        if reader:
                            reader.close()
                        reader = VideoReader(
                            self._path, start=None if key is None else max(Fraction(0), key - self._base),
                            max_size=self._max_size, name=self._name, max_pixels=self._max_pixels, alone=True,
                            measured=self._measured,
                        )  # fmt: skip
                    frame = reader._at(time)
                    if frame:
                        frame.time += reader._first.time - self._first.time
                        found = True
                        yield frame
        except InputError:  # the file is shorter than it states: the frames found so far are enough
            pass
        finally:
            if reader:
                reader.close()
        if not found:
            yield self._delivered(self._first)

    def _is_before(self, time: Fraction | None) -> bool:
        """Return whether the next frame ends by ``time``, in the stream's own seconds, or there is no next frame."""
        return time is not None and (self._next is None or self._next.end <= time)

    def _at(self, time: Fraction) -> VideoFrame | None:
        """Read on to the frame shown at ``time``, in seconds from the video's beginning, or the next one after it."""
        while self._next and self._next.end - self._base <= time:
            self._next = next(self._frames, None)
        return self._delivered(self._next) if self._next else None

    def _selected(self, stride: int, fps: Fraction | None) -> Iterator[TimedFrame[av.VideoFrame]]:
        """Decode and select, with times in the stream's own seconds."""
        start = None if self._start is None else self._base + self._start
        end = None if self._end is None else self._base + self._end
        frames = timing.within(self._from(start), start, end)
        if fps:
            frames = timing.at_rate(frames, fps)
        return timing.every(frames, stride) if stride > 1 else frames

    def _from(self, start: Fraction | None) -> Iterator[TimedFrame[av.VideoFrame]]:
        """Decode from the last key frame before ``start``, or from the beginning where that is not found."""
        if start is not None and start > self._base:
            for back in video_info.BACK:
                if not self._seek(start - back):
                    break
                frames = self._timed()
                first = next(frames, None)
                if first and first.time <= start:
                    yield first
                    yield from frames
                    return
            self._open()  # not every container can go back to the very first frame
        yield from self._timed()

    def _seek(self, time: Fraction) -> bool:
        try:
            self._container.seek(int(time / self._tick), stream=self._stream, backward=True)
        except (av.error.FFmpegError, OverflowError):  # the container has no index, or no such time
            return False
        return True

    def _timed(self) -> Iterator[TimedFrame[av.VideoFrame]]:
        usual, begin = round(1 / self._rate / self._tick), round(self._base / self._tick)
        return timing.shown(self._stamped(), self._tick, usual, begin)

    def _stamped(self) -> Iterator[tuple[int | None, int, av.VideoFrame]]:
        stamps = BestEffort(has_presentation_times(self._container))
        for frame in self._decoder.frames():
            check_size(frame.width, frame.height, self._max_pixels, self._name)
            yield stamps.of_frame(frame), frame.duration or 0, frame

    def _require(self, first: TimedFrame[av.VideoFrame] | None) -> TimedFrame[av.VideoFrame]:
        if first is None:
            wants_part = bool(self._start) or self._end is not None
            known = self._measured.end
            length = video_info.length(self._container, self._stream) if known is None else known - self._base
            raise video_info.without_frames(self._name, length, damaged=self._decoder.skipped > 0, part=wants_part)
        return first

    def _delivered(self, frame: TimedFrame[av.VideoFrame]) -> VideoFrame:
        if self._picture is None or self._picture[0] is not frame.what:
            self._picture = frame.what, DecodedFrame(frame.what, self._converter, self._name)
        return VideoFrame(self._picture[1], frame.time - self._first.time, frame.duration)
