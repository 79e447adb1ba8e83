"""Gaps: which ids are missing, how often they are asked for, and when they are given up."""

from __future__ import annotations

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from smartico_sync.core.late_commit.gaps import FAR_IDS, WAIT_MS, Gaps
from smartico_sync.core.late_commit.mechanism import Mark, Page, ReadTime
from smartico_sync.core.late_commit.missing_ids import (
    ASK_IDS,
    ASK_RANGES,
    RANGES,
    bounded,
    missed,
    missing,
    size,
    split,
)
from smartico_sync.core.position import Position
from smartico_sync.errors import ConfigError


def at(ms, clock=None):
    return ReadTime(ms if clock is None else clock, ms)


def begun(head=0):
    position = Position(str(head))
    return Gaps.start(at(0), position, position, "", 0)


def page(ids, ms=0, dtype=None, **more):
    return Page(at(ms), Mark(Position(str(ids[-1])), 1), ids=pl.Series(ids, dtype=dtype), **more)


def ranges(gaps):
    return spans(gaps.open)


def spans(holes):
    return [(hole.low, hole.high) for hole in holes]


def asked(gaps, ms, pace="caught_up"):
    gaps, scan = gaps.rescan(at(ms), pace)
    return gaps.delivered(Page(at(ms), scan=scan)), scan


def test_what_is_missing_is_recorded():
    """Ids missing after the head and between the ids of a page become ranges; a jump is one range."""
    gaps = begun(2).delivered(page([3, 5, 9, 9, 2**40]))
    assert ranges(gaps) == [(4, 4), (6, 8), (10, 2**40 - 1)]
    assert gaps.waiting() == 1 + 3 + 2**40 - 10
    gaps, scan = asked(gaps, 1)
    assert scan.ids == (4, 6, 7, 8)
    assert scan.ranges == ((10, 2**40 - 1),)


def test_below_the_very_first_id_writers_may_be_at_work():
    """Without a head a stretch below the first id is asked for; never a negative id where ids are not negative."""
    first = Gaps.start(at(0), None, None, "", 0)
    assert ranges(first.delivered(page([3]))) == [(0, 2)]
    assert ranges(first.delivered(page([-5]))) == []
    low, high = ranges(first.delivered(page([2**50])))[0]
    assert high == 2**50 - 1
    assert low > 2**49


@pytest.mark.parametrize(
    ("ids", "dtype"),
    [
        ([2**64 - 4, 2**64 - 1], pl.UInt64),
        (["1" + "0" * 36, "1" + "0" * 35 + "3"], pl.String),
        (["7", "10.00"], pl.String),
    ],
)
def test_wide_ids_are_exact(ids, dtype):
    """Unsigned 64-bit ids and decimals of 38 digits arrive without loss, and survive a restart."""
    first, last = int(ids[0]), int(str(ids[-1]).removesuffix(".00"))
    gaps = begun(first - 1).delivered(page(ids, dtype=dtype))
    assert ranges(gaps) == [(first + 1, last - 1)]
    again = Gaps.start(at(0), None, Position(str(ids[-1])), gaps.dump(), 1)
    assert ranges(again) == ranges(gaps)


def test_what_is_not_whole_is_refused():
    """A fractional cursor is a configuration error with a way out, and no value in its text."""
    with pytest.raises(ConfigError) as caught:
        begun().delivered(page(["1.5"]))
    assert caught.value.hint
    assert "1.5" not in str(caught.value)


def test_found_ids_split_their_range():
    """A found id leaves its range; what lies above it begins its wait anew."""
    gaps = begun().delivered(page([10]))
    read_time = at(100_000)
    gaps = gaps.delivered(Page(read_time, found=pl.Series(["4", "5", "99"])))
    assert [(hole.low, hole.high, hole.steady) for hole in gaps.open] == [(1, 3, 0), (6, 9, 100_000)]
    assert gaps.found == 2


def test_the_watermark_stays_below_the_lowest_missing_id():
    """The watermark follows the head only where nothing is missing below it."""
    gaps = begun().delivered(page([1, 2])).delivered(page([4])).delivered(page([5]))
    assert gaps.watermark.position.cursor == "2"
    gaps = gaps.delivered(Page(at(5), found=pl.Series([3])))
    assert gaps.watermark.position.cursor == "5"


def test_the_cadence_grows_and_ends():
    """Asked in every reading at first, then ever more seldom, a last time when the wait is over, then never again."""
    gaps, times = begun().delivered(page([5])), []
    for ms in range(0, WAIT_MS + 20_000, 200):
        gaps, scan = asked(gaps, ms)
        times += [ms] if scan else []
    assert len([ms for ms in times if ms < 2_000]) == 10
    assert 6 <= len([ms for ms in times if 2_000 <= ms < 10_000]) <= 9
    assert len(times) < 110
    assert WAIT_MS <= times[-1] < WAIT_MS + 6_000
    assert gaps.open == ()
    assert gaps.given_up == 4
    assert gaps.watermark.position.cursor == "5"


@given(
    st.lists(st.tuples(st.sampled_from([1, 700, 1_900, 6_000, 40_000, 200_000]), st.booleans()), max_size=25),
    st.sampled_from([0, 300, 900, 1_500, 4_000, 6_000]),
)
def test_until_a_reading_is_due_nothing_is_asked_for(steps, later):
    """A moment is named for as long as ids are missing, and only then."""
    gaps, now, last = begun(), 0, 0
    for pause, row in steps:
        now += pause
        gaps, scan = gaps.rescan(at(now), "caught_up")
        last += 3 * row
        gaps = gaps.delivered(page([last], now, scan=scan) if row else Page(at(now), scan=scan))
    due = gaps.due_ms(at(now))
    assert due >= now
    assert (due < float("inf")) == bool(gaps.open)
    if now + later < due:
        assert gaps.rescan(at(now + later), "caught_up")[1] is None


def test_a_replica_that_stands_still_gives_nothing_up():
    """Ages are counted by the source's clock too: while replay stands still nobody could have appeared."""
    gaps = begun().delivered(page([5]))
    for ms in range(0, 2 * WAIT_MS, 5_000):
        read_time = at(ms, clock=0)
        gaps, scan = gaps.rescan(read_time, "caught_up")
        gaps = gaps.delivered(Page(read_time, scan=scan))
    assert gaps.waiting() == 4


def test_nothing_is_given_up_unasked_or_undelivered():
    """An answer that was not acknowledged ends no wait."""
    gaps = begun().delivered(page([5]))
    gaps, scan = gaps.rescan(at(WAIT_MS), "caught_up")
    assert scan is not None
    assert gaps.delivered(Page(at(WAIT_MS))).waiting() == 4
    assert gaps.delivered(Page(at(WAIT_MS), scan=scan)).waiting() == 0


def test_ages_survive_a_restart():
    """A restart goes on with the age reached; the time without us does not count."""
    gaps, _ = asked(begun().delivered(page([5])), 200_000)
    again = Gaps.start(ReadTime(9_000_000, 50), None, Position("5"), gaps.dump(), 1)
    for ms in range(0, 99_000, 1_000):
        read_time = ReadTime(9_000_000 + ms, 50 + ms)
        again, scan = again.rescan(read_time, "caught_up")
        again = again.delivered(Page(read_time, scan=scan))
    assert again.waiting() == 4
    read_time = ReadTime(9_105_000, 105_050)
    again, scan = again.rescan(read_time, "caught_up")
    assert again.delivered(Page(read_time, scan=scan)).given_up == 4


def test_after_another_mechanism_its_window_is_one_range():
    """Changing the mechanism loses nothing of what lies between watermark and head."""
    gaps = Gaps.start(at(0), Position("10"), Position("20"), '{"since": 3, "head_ms": null}', 9)
    assert ranges(gaps) == [(11, 19)]
    assert gaps.since == 3


def test_a_stride_is_learned_and_unlearned():
    """With auto_increment_increment = 2 half of the ids never come; one odd id ends that belief for good."""
    gaps = begun(2).delivered(page([i for i in range(4, 400, 2) if i != 100]))
    assert ranges(gaps) == [(100, 100)]
    gaps = Gaps.start(at(0), None, Position("398"), gaps.dump(), 1).delivered(page([402]))
    assert ranges(gaps) == [(100, 100), (400, 400)]
    gaps = gaps.delivered(page([405]))
    assert ranges(gaps)[-1] == (403, 404)
    assert len(gaps.delivered(page(list(range(407, 900, 2)))).open) > 200


def test_millions_rolled_back_cost_little():
    """However many ids are missing: bounded ranges, bounded questions, a bounded dump."""
    gaps = begun()
    for number in range(20):
        start = number * 30_000 + 1
        gaps = gaps.delivered(page(range(start, start + 30_000, 3), ms=number)).delivered(Page(at(number)))
        gaps, scan = asked(gaps, number)
        assert len(gaps.open) <= RANGES
        assert len(scan.ids) <= ASK_IDS
        assert len(scan.ranges) <= ASK_RANGES
    assert len(gaps.dump()) < 250_000


def test_a_backlog_does_not_ask_for_the_distant_past():
    """In a first load, holes far below the source's head are given up at once; those near it wait as always."""
    far = 10 * FAR_IDS
    gaps = begun().with_target(at(0), Mark(Position(str(far)), 0))
    gaps = gaps.delivered(page([1, 1_000, far - 10, far - 8]))
    assert ranges(gaps) == [(1_001, far - 11), (far - 9, far - 9)]
    assert gaps.given_up == 998
    late = gaps.delivered(page([far - 6, far + 2], ms=WAIT_MS))
    assert ranges(late)[-1] == (far - 5, far + 1)
    assert late.given_up == 999
    assert gaps.with_target(at(1), None).aim is None


def test_a_backlog_asks_seldom():
    """While behind, questions leave the room to the pages; while a rescan is under way there are none."""
    gaps = begun().delivered(page([5]))
    gaps, first = asked(gaps, 0, "behind")
    assert first is not None
    assert asked(gaps, 5_000, "behind")[1] is None
    assert asked(gaps, 10_000, "busy")[1] is None
    assert asked(gaps, 10_000, "behind")[1] is not None


@given(st.sets(st.integers(-(2**63), 2**63 - 1), min_size=1, max_size=60), st.data())
def test_ranges_are_exactly_what_is_missing(ids, data):
    """Between the first and the last id: seen, or in exactly one range; splitting takes out exactly what was found."""
    ordered = sorted(ids)
    holes = missing(pl.Series(ordered, dtype=pl.Int128), ordered[0] - 1, 1, at(0))
    total = sum(high - low + 1 for low, high in spans(holes))
    assert total + len(ordered) == ordered[-1] - ordered[0] + 1
    assert not any(low <= i <= high for low, high in spans(holes) for i in ordered)
    if holes:
        low, high = data.draw(st.sampled_from(spans(holes)))
        found = data.draw(st.sets(st.integers(low, high), max_size=5))
        rest, hits = split(holes, sorted(found), at(1))
        left = spans(rest)
        assert hits == len(found)
        assert sum(high - low + 1 for low, high in left) == total - hits
        assert not any(low <= i <= high for low, high in left for i in found)


@given(st.sets(st.integers(0, 400), min_size=1, max_size=60), st.integers(1, 9), st.integers(1, 3))
def test_ids_that_nobody_waits_for_are_counted_as_they_would_be_waited_for(ids, below, step):
    """A backlog far below the source's head is counted without a range for each hole."""
    ordered = sorted(ids)
    before = ordered[0] - below
    there = pl.Series(ordered, dtype=pl.Int64)
    assert missed(there, before, step) == size(missing(there, before, step, at(0)))


def test_merging_keeps_every_missing_id():
    """Merged ranges cover all that their parts did, with the youngest age, and stay in order."""
    ids = pl.Series(range(0, 40_000, 4), dtype=pl.Int128)
    holes = missing(ids, -4, 1, at(3))
    merged = bounded(holes)
    assert len(merged) <= RANGES // 2
    assert spans(merged) == sorted(spans(merged))
    assert (merged[0].low, merged[-1].high) == (holes[0].low, holes[-1].high)
    within = iter(merged)
    covering = next(within)
    for hole in holes:
        covering = covering if hole.high <= covering.high else next(within)
        assert covering.low <= hole.low
        assert hole.high <= covering.high
        assert covering.steady == 3
