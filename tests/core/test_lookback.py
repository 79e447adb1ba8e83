"""The lookback: what is released when, and how late rows really come."""

from __future__ import annotations

from collections import Counter

import polars as pl
import pytest

from smartico_sync.core.late_commit.lookback import BUCKETS_MS, Lateness, Lookback
from smartico_sync.core.late_commit.mechanism import Mark, Page, ReadTime
from smartico_sync.core.position import Position

TEN_MINUTES = 600_000


def at(ms, steady=None):
    return ReadTime(ms, ms if steady is None else steady)


def head(ms, seq=0):
    return Mark(Position(str(ms), ("k",)), seq, ms)


def begun(read_time):
    return Lookback.start(read_time, None, None, "", 0, lookback_ms=TEN_MINUTES)


def test_old_rows_are_released_with_their_page():
    """Rows of a first load that lie further back than the lookback need no rescan."""
    back = begun(at(10_000_000)).delivered(Page(at(10_000_000), head(5_000, seq=2)))
    assert back.watermark == head(5_000, seq=2)
    assert back.rescan(at(10_000_001), "caught_up")[1] is None


def test_fresh_rows_wait_for_the_lookback():
    """A fresh head becomes the watermark after the lookback, with a full scan, by the source's clock."""
    back = begun(at(1_000_000)).delivered(Page(at(1_000_000), head(1_000_000)))
    for ms in (1_000_000, 1_300_000, 1_600_000):
        read_time = at(ms)
        back, scan = back.rescan(read_time, "caught_up")
        assert scan.extent == "full"
        back = back.delivered(Page(read_time, scan=scan))
        assert back.watermark is None
    back, scan = back.rescan(at(1_605_000), "caught_up")
    assert back.delivered(Page(at(1_605_000), scan=scan)).watermark == head(1_000_000)


def test_a_long_window_is_scanned_every_few_seconds_and_what_is_fresh_in_every_reading():
    """Views polled each second scan the whole lookback every five seconds, and only while rows come also their newest in between."""
    back, scans = begun(at(0)), {"rows come": [], "quiet": []}
    for second in range(60):
        read_time, what = at(second * 1000), "rows come" if second < 30 else "quiet"
        back, scan = back.rescan(read_time, "caught_up")
        scans[what].append(scan.extent if scan else None)
        fresh = head(second * 1000) if second < 30 else None
        back = back.delivered(Page(read_time, fresh, scan=scan))
    assert Counter(scans["rows come"][10:20]) == {"full": 2, "recent": 8}
    assert Counter(scans["quiet"][10:20]) == {"full": 2, None: 8}


def test_a_clock_that_jumps_ahead_releases_nothing():
    """A head's age must also have passed on our own clock."""
    back = begun(at(1_000_000)).delivered(Page(at(1_000_000), head(999_000)))
    read_time = at(9_000_000, steady=1_000_500)
    back, scan = back.rescan(read_time, "caught_up")
    assert back.delivered(Page(read_time, scan=scan)).watermark is None


def test_the_watermark_follows_steadily():
    """With a page a second the watermark stays about one lookback behind, though few heads are kept."""
    back = begun(at(0))
    for second in range(3_600):
        read_time = at(second * 1_000)
        back, scan = back.rescan(read_time, "caught_up")
        back = back.delivered(Page(read_time, head(second * 1_000, seq=second), scan=scan, cost_ms=2))
        if second > 900:
            assert TEN_MINUTES <= second * 1_000 - back.watermark.cursor_ms < 1.25 * TEN_MINUTES
    assert len(back.heads.waiting) <= 64


def test_a_restart_knows_the_time_of_its_head():
    """The head's time and the histogram survive a restart."""
    back = begun(at(1_000_000)).delivered(Page(at(1_000_000), head(1_000_000), found_ms=pl.Series([400_000])))
    again = Lookback.start(at(1_700_000), None, Position("1000000", ("k",)), back.dump(), 5, lookback_ms=TEN_MINUTES)
    assert again.lateness == back.lateness
    again, scan = again.rescan(at(1_700_000), "caught_up")
    assert again.delivered(Page(at(1_700_000), scan=scan)).watermark.position == Position("1000000", ("k",))


def test_lateness_counts_late_rows():
    """Each late row counts in one bucket; maximum and sum are exact."""
    late = Lateness().observed(pl.Series([0, 200, 201, 90_000_000, None, -5], dtype=pl.Int64))
    assert late.count == 5
    assert late.counts[:2] == (3, 1)
    assert late.counts[-1] == 1
    assert (late.most_ms, late.total_ms) == (90_000_000, 90_000_401)
    assert Lateness().observed(pl.Series([], dtype=pl.Int64)) == Lateness()


@pytest.mark.parametrize(
    ("most", "advice"), [(10, 60_000), (40_000, 120_000), (200_000, 600_000), (90_000_000, 180_000_000)]
)
def test_the_advice_has_a_margin(most, advice):
    """The advised lookback is at least twice the latest row seen, and round."""
    assert Lateness().observed(pl.Series([most])).advice_ms() == advice
    assert advice in BUCKETS_MS or advice > BUCKETS_MS[-1]
    assert Lateness().advice_ms() is None


def test_a_lookback_that_becomes_short_is_said_before_it_is():
    """Beyond half of the lookback there is a warning with a better one."""
    assert Lateness().warning(TEN_MINUTES) == ""
    assert Lateness().observed(pl.Series([300_000])).warning(TEN_MINUTES) == ""
    warning = Lateness().observed(pl.Series([301_000])).warning(TEN_MINUTES)
    assert "lookback: 30m" in warning
    assert "smartico-sync reconcile" in warning
