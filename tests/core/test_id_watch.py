"""Holes in the ids that no mechanism waits for: blocks, other ranges, a sequence that begins again."""

from __future__ import annotations

import json
from itertools import pairwise
from statistics import median

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from parts import parts
from smartico_sync.core.late_commit.id_watch import BLOCK_WAIT_MS, FAR, RANGES, UNUSUAL, IdWatch
from smartico_sync.core.late_commit.mechanism import ReadTime

DAY_MS = 86_400_000


def at(ms):
    return ReadTime(ms, ms)


def page(watch, ms, ids, before=None):
    return watch.delivered(at(ms), pl.Series(ids), before, None, None)


def asked(scan):
    """The ids that a question is about."""
    ranged = [number for low, high in scan.ranges for number in range(low, min(high, low + 1_000) + 1)]
    return {*scan.ids, *ranged}


def test_a_wide_hole_is_another_range_for_good():
    """Below an id typed by hand rows are asked for in every reading while they come, and never given up."""
    watch = page(IdWatch(), 0, [*range(1, 20), 999_999_999])
    (rest,) = watch.ranges
    assert (rest.low, rest.high) == (20, 999_999_998)
    watch, scan = watch.rescan(at(10 * DAY_MS), "caught_up")
    assert scan.ranges == ((20, 999_999_998),)
    watch = watch.delivered(at(10 * DAY_MS), None, None, pl.Series([20, 22]), scan)
    assert (watch.ranges[0].low, watch.found) == (23, 2)
    watch, scan = watch.rescan(at(10 * DAY_MS + 1), "caught_up")
    assert asked(scan) >= {21, 23}
    assert "another range" in watch.warning() or "range far below" in watch.warning()


@pytest.mark.parametrize("pace", ["behind", "busy"])
def test_nothing_is_asked_for_while_others_wait(pace):
    """A backlog and rows on their way go first."""
    assert page(IdWatch(), 0, [1, 2, 3, 10 * FAR]).rescan(at(1), pace)[1] is None


@given(
    st.lists(st.sampled_from([1, 1, 2, 9, FAR - 1, FAR, FAR + 1, FAR + 2, 30 * FAR, 10**30]), min_size=1, max_size=8),
    st.none() | st.integers(-9, 9),
    st.sampled_from([1.0, 99.0, 101.0, 5_000.0]),
    st.sampled_from(["numbers", "texts", "decimals"]),
)
def test_only_holes_far_wider_than_usual_lead_to_another_range(steps, before, usual, written):
    """Whatever the ids of a page, as the database counts or prints them."""
    start = -10 if before is None else before
    ids = [start + sum(steps[: place + 1]) for place in range(len(steps))]
    edges = ids if before is None else [before, *ids]
    gaps = [float(high - low) for low, high in pairwise(edges)]
    often = max(usual, median(gaps)) if len(gaps) > 1 else usual
    wide = [(low + 1, high - 1) for low, high in pairwise(edges) if high - low > FAR and high - low > often * UNUSUAL]
    texts = pl.Series([f"{number}.00" if written == "decimals" else f"{number}" for number in ids])
    found = IdWatch(usual=usual).left(pl.Series(ids, dtype=pl.Int128) if written == "numbers" else texts, before)
    assert list(found) == wide[-RANGES:]


def test_rows_in_order_leave_nothing_behind():
    """Small holes are the mechanism's, where ids do not come in blocks; ids made of the time are one range."""
    assert page(IdWatch(), 0, [1, 2, 4, 900]).rescan(at(DAY_MS), "caught_up")[1] is None
    watch = page(IdWatch(), 0, [(1 << 40) + step * 9_000_000 for step in range(8)])
    last = (1 << 40) + 7 * 9_000_000
    for step in range(1, 20):
        watch, last = page(watch, step, [last + 50_000_000], last), last + 50_000_000
    assert not watch.ranges


def test_holes_of_blocks_are_given_up_after_a_day():
    """Until then they are asked for, once the mechanism has let go of them."""
    watch = page(IdWatch(delay_ms=600_000, blocks=True), 0, [1, 51])
    assert watch.rescan(at(500_000), "caught_up")[1] is None
    watch, scan = watch.rescan(at(700_000), "caught_up")
    assert asked(scan) == set(range(2, 51))
    watch = watch.delivered(at(700_000), None, None, None, scan)
    assert len(watch.holes) == 1
    watch, scan = watch.rescan(at(BLOCK_WAIT_MS + 1), "caught_up")
    assert watch.delivered(at(BLOCK_WAIT_MS + 1), None, None, None, scan).holes == ()


def test_blocks_are_learnt_from_rows_that_come_late():
    """Three rows that came later than transactions take: every hole counts from then on."""
    watch = IdWatch().delivered(at(0), None, None, None, None, slow=3)
    assert watch.blocks
    assert len(page(watch, 0, [1, 9]).holes) == 1


def test_a_lowest_id_that_goes_down_begins_a_range():
    """Purged rows move it up; when it goes down, ids have begun again."""
    watch = IdWatch().floored(500, 0).floored(700, 0)
    assert watch.ranges == ()
    (begun,) = watch.floored(3, 9).ranges
    assert (begun.low, begun.high) == (3, 699)


def test_the_first_page_of_all_knows_the_lowest_id():
    """Ids that begin again before anybody looked at the lowest one are noticed, also by the next process."""
    watch = page(IdWatch(), 0, [*range(1_000, 1_020)])
    watch = IdWatch.start(at(1), json.loads(json.dumps(watch.memory(at(1)))), 0, blocks=False)
    (begun,) = watch.floored(1, 2).ranges
    assert (begun.low, begun.high) == (1, 999)
    assert page(watch, 3, [2_000], 1_019).floor == 1_000


def test_what_was_found_below_the_lowest_id_is_not_asked_for_again():
    """A row that commits late may stand below all that were there; the ids around it are asked for, and those below once they are seen."""
    watch = page(IdWatch(), 0, [51, 52, 53]).delivered(at(5), None, None, pl.Series([3, 9]), None)
    watch, scan = watch.floored(3, 60_000).rescan(at(60_000), "caught_up")
    assert asked(scan) == {*range(4, 51)} - {9}
    watch, scan = watch.floored(1, 120_000).rescan(at(120_000), "caught_up")
    assert asked(scan) >= {1, 2}
    assert not asked(scan) & {3, 9}


@parts(5)
@settings(max_examples=10)
@given(
    first=st.lists(st.integers(1, 400), min_size=1, max_size=60, unique=True),
    later=st.lists(st.integers(1, 400), max_size=60, unique=True),
    restarted=st.booleans(),
)
def test_every_id_that_appears_below_is_asked_for(part, first, later, restarted):
    """Whatever ids were there, each that appears among them within a day is in some question; also after a restart."""
    there = sorted(first)
    watch = page(IdWatch(blocks=True), 0, there, 0)
    if restarted:
        kept = json.loads(json.dumps(watch.memory(at(1))))
        watch = IdWatch.start(at(2), kept, 0, blocks=True)
    missing = {number for number in later if number < there[-1]} - set(there)
    found = set()
    for ms in range(10_000, 400_000, 6_000):
        watch, scan = watch.rescan(at(ms), "caught_up")
        new = missing & asked(scan) if scan else set()
        assert not new & found
        found |= new
        watch = watch.delivered(at(ms), None, None, pl.Series(sorted(new), dtype=pl.Int64), scan)
    assert found == missing
