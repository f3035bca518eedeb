"""Times of frames: stamps are repaired, cut, thinned out and resampled, in exact fractions of a second."""

from __future__ import annotations

from dataclasses import dataclass, replace
from fractions import Fraction
from typing import TYPE_CHECKING, Generic, TypeVar

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

T = TypeVar("T")

_SPLICE_BACK = Fraction(1, 4)
"""Seconds. A stamp further back is a splice, from which time continues; one less far back is a single error."""

_MAX_GAP = 3600
"""Seconds. No frame is shown longer than this: a stamp further ahead is a splice as well."""


@dataclass(frozen=True, slots=True)
class TimedFrame(Generic[T]):
    """A frame ``what``, shown from ``time`` for ``duration``, both in seconds."""

    time: Fraction
    duration: Fraction
    what: T

    @property
    def end(self) -> Fraction:
        """The time when it is no longer shown."""
        return self.time + self.duration


class Clock:
    """Makes a stream's time stamps increase: missing, equal, backward and far-off ones are replaced by estimates.

    Args:
        tick: length of the stamps' unit in seconds.
        gap: the usual distance of two stamps, used until two have been seen.
        begin: the first stamp where it is missing.
    """

    def __init__(self, tick: Fraction, gap: int, begin: int = 0) -> None:
        self.gap = max(1, gap)
        self._usual, self._begin = self.gap, begin
        self._back = int(_SPLICE_BACK / tick)
        self._ahead = int(_MAX_GAP / tick)
        self._last: int | None = None
        self._shift = 0

    def place(self, stamp: int | None, length: int = 0) -> int:
        """Return the stamp to use instead of this one, in ticks; a valid one is returned unchanged.

        Args:
            stamp: as the file states it, or None.
            length: for how long what came before it is shown, or 0 where that is unknown.
        """
        last = self._last
        if last is None:
            now = self._begin if stamp is None else stamp
        elif stamp is None:
            now = last + (length if 0 < length <= self._ahead else self.gap)
        else:
            now = self._after(last, stamp + self._shift)
        self._last = now
        return now

    def _after(self, last: int, now: int) -> int:
        if now < last - self._back or now > last + self._ahead:
            self._shift += last + self.gap - now
            return last + self.gap
        if now <= last:  # a part of the gap, so that the stamps after a single error are right again
            return last + max(1, min(self.gap, self._usual) // 4)
        self.gap = now - last
        return now


def shown(
    stamped: Iterable[tuple[int | None, int, T]], tick: Fraction, gap: int, begin: int = 0
) -> Iterator[TimedFrame[T]]:
    """Yield each frame with the time until the next one; the last one keeps its own length, or gets the usual one.

    Args:
        stamped: (time stamp or None, length or 0, frame), the numbers in ticks.
        tick: length of their unit in seconds.
        gap: the usual distance of two stamps.
        begin: the first frame's stamp where it is missing.
    """
    clock = Clock(tick, gap, begin)
    held: tuple[int, int, T] | None = None
    for stamp, length, what in stamped:
        now = clock.place(stamp, held[1] if held else 0)
        if held:
            yield TimedFrame(held[0] * tick, (now - held[0]) * tick, held[2])
        held = now, length, what
    if held:
        ticks = held[1] if 0 < held[1] * tick <= _MAX_GAP else max(1, gap)
        yield TimedFrame(held[0] * tick, ticks * tick, held[2])


def within(frames: Iterable[TimedFrame[T]], start: Fraction | None, end: Fraction | None) -> Iterator[TimedFrame[T]]:
    """Keep frames that begin at ``start`` or later and before ``end``; the last one is cut at ``end``."""
    for frame in frames:
        if end is not None and frame.time >= end:
            return
        if start is None or frame.time >= start:
            yield frame if end is None or frame.end <= end else replace(frame, duration=end - frame.time)


def every(frames: Iterable[TimedFrame[T]], stride: int) -> Iterator[TimedFrame[T]]:
    """Keep the first of every ``stride`` frames, shown for the time of all of them."""
    held: TimedFrame[T] | None = None
    end = Fraction(0)
    for index, frame in enumerate(frames):
        if index % stride == 0:
            if held:
                yield replace(held, duration=frame.time - held.time)
            held = frame
        end = frame.end
    if held:
        yield replace(held, duration=end - held.time)


def at_rate(frames: Iterable[TimedFrame[T]], rate: Fraction) -> Iterator[TimedFrame[T]]:
    """Yield the frame shown at each ``1 / rate`` from the first one's time on: some are dropped, some repeated."""
    step = 1 / rate
    time: Fraction | None = None
    for frame in frames:
        time = frame.time if time is None else time
        while time < frame.end:
            yield TimedFrame(time, step, frame.what)
            time += step
