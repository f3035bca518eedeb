"""Time stamps: repaired, cut, thinned, resampled; pure arithmetic, no file."""

from __future__ import annotations

from fractions import Fraction
from itertools import pairwise

import pytest

from gradcam_cli.media.timing import TimedFrame, at_rate, every, shown, within

TENTH = Fraction(1, 10)


def times(stamps, lengths=None, tick=TENTH, gap=1):
    lengths = lengths or [0] * len(stamps)
    found = list(shown(zip(stamps, lengths, range(len(stamps)), strict=True), tick, gap))
    for one, two in pairwise(found):
        assert one.end == two.time
        assert one.duration > 0
    return [f.time / tick for f in found], found


def steady(count, step=TENTH, start=Fraction(0)):
    return [TimedFrame(start + i * step, step, i) for i in range(count)]


def picked(frames):
    return [f.what for f in frames]


@pytest.mark.parametrize(
    ("stamps", "expected"),
    [
        ([], []),
        ([5, 6, 9, 10], [5, 6, 9, 10]),  # good ones stay, a late start as well
        ([-3, 0, 3], [-3, 0, 3]),
        ([None, None, None], [0, 1, 2]),
        ([4, None, 6], [4, 5, 6]),
        ([0, 8, 8, 16], [0, 8, 9, 16]),  # equal: a little later, and right again after it
        ([0, 8, 16, 15, 24], [0, 8, 16, 17, 24]),  # a slip
        ([100, 101, 102, 10, 11, 12], [100, 101, 102, 103, 104, 105]),  # a splice backward is carried on from
        ([0, 1, 10**7, 10**7 + 1], [0, 1, 2, 3]),  # and one that is months ahead
    ],
)
def test_stamps_grow(stamps, expected):
    assert times(stamps)[0] == expected


def test_missing_stamps_follow_the_frames_own_lengths():
    assert times([None, None, None, 9], [2, 3, 4, 5])[0] == [0, 2, 5, 9]
    assert times([1, None, None], [0, 10**9, 2])[0] == [1, 2, 3]  # none, and one that cannot be


def test_a_first_stamp_that_is_missing_is_known_from_elsewhere():
    found = shown([(None, 5, "a"), (None, 5, "b"), (2, 5, "c")], TENTH, 1, begin=-8)
    assert [f.time / TENTH for f in found] == [-8, -3, 2]


def test_the_last_keeps_its_length_if_it_has_a_plausible_one():
    assert times([0, 1, 2], [1, 1, 7])[1][-1].duration == 7 * TENTH
    assert times([0, 1, 2], [1, 1, 0], gap=3)[1][-1].duration == 3 * TENTH
    assert times([0], [10**9])[1][-1].duration == TENTH


def test_cut():
    frames = steady(10)
    assert picked(within(frames, None, None)) == list(range(10))
    cut = list(within(frames, Fraction(15, 100), Fraction(45, 100)))
    assert picked(cut) == [2, 3, 4]
    assert [f.duration for f in cut] == [TENTH, TENTH, TENTH / 2]
    assert picked(within(frames, None, Fraction(3, 10))) == [0, 1, 2]
    assert picked(within(frames, Fraction(2), None)) == []


def test_an_endless_stream_is_bounded_by_its_end():
    def endless():
        for i in range(10**12):
            yield TimedFrame(i * TENTH, TENTH, i)

    assert len(list(within(endless(), None, Fraction(1)))) == 10


def test_stride_keeps_the_total():
    for count, stride in ((10, 3), (9, 3), (1, 5), (10, 1)):
        kept = list(every(steady(count), stride))
        assert picked(kept) == list(range(0, count, stride))
        assert sum(f.duration for f in kept) == count * TENTH
    assert list(every([], 3)) == []


@pytest.mark.parametrize(
    ("rate", "expected"),
    [(10, [0, 1, 2, 3]), (5, [0, 2]), (20, [0, 0, 1, 1, 2, 2, 3, 3]), (15, [0, 0, 1, 2, 2, 3]), (1, [0])],
)
def test_resampled(rate, expected):
    frames = list(at_rate(steady(4, start=Fraction(7)), Fraction(rate)))
    assert picked(frames) == expected
    assert [f.time for f in frames] == [7 + Fraction(i, rate) for i in range(len(expected))]
    assert {f.duration for f in frames} == {Fraction(1, rate)}
