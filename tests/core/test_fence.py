"""The delayed fence: when a head may become the watermark, and what a pinned window costs."""

from __future__ import annotations

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from smartico_sync.core.late_commit.fence import SETTLE_MS, Fence
from smartico_sync.core.late_commit.lookback import Lookback
from smartico_sync.core.late_commit.mechanism import KeyScan, Mark, Page, ReadTime
from smartico_sync.core.position import Position
from smartico_sync.core.relation import Snapshot
from smartico_sync.errors import StateDamaged

HOUR_S = 3_600


def at(ms, xmin=100, upcoming=100, clock=None):
    return ReadTime(ms if clock is None else clock, ms, Snapshot(xmin, upcoming))


def head(cursor, seq=0, ms=None):
    return Mark(Position(str(cursor), (str(cursor),)), seq, ms)


def seen(fence, read_time, mark, **more):
    fence, scan = fence.rescan(read_time, "caught_up")
    return fence.delivered(Page(read_time, mark, scan=scan, **more))


def begun(**options):
    return Fence.start(at(0), None, None, "", 0, **options)


def test_a_head_waits_settles_is_stamped_and_passed():
    """The watermark moves only after the settle time, and when every writer of that moment has ended."""
    fence = seen(begun(), at(0), head(7, seq=3))
    fence = seen(fence, at(SETTLE_MS - 1, 100, 101), None)
    fence = seen(fence, at(SETTLE_MS, 100, 105), None)
    assert fence.pinned_ms(at(SETTLE_MS + 500)) == 500
    fence = seen(fence, at(SETTLE_MS + 1, 104, 106), None)
    assert fence.watermark is None
    fence = seen(fence, at(SETTLE_MS + 2, 105, 106), None)
    assert fence.watermark == head(7, seq=3)
    assert fence.since == 3
    assert fence.rescan(at(SETTLE_MS + 3, 105, 106), "caught_up")[1] is None
    assert fence.pinned_ms(at(SETTLE_MS + 3)) == 0


def test_no_scan_no_watermark():
    """Without a full scan acknowledged together with it, the watermark stays."""
    fence = seen(begun(), at(0), head(7))
    fence, _ = fence.rescan(at(2_000), "caught_up")
    fence, scan = fence.rescan(at(2_001), "caught_up")
    assert scan == KeyScan(None, "7", "full", 1, ("7",))
    assert fence.delivered(Page(at(2_001))).watermark is None
    assert fence.delivered(Page(at(2_001), scan=scan)).watermark == head(7)
    assert fence.rescan(at(2_002), "busy")[1] is None


def test_a_head_committed_after_the_scan_is_not_covered_by_it():
    """Pages read ahead: a scan speaks only for the heads that were committed when it ran."""
    fence = seen(begun(), at(0), head(7))
    fence, _ = fence.rescan(at(5_000), "caught_up")
    fence, scan = fence.rescan(at(5_001), "caught_up")
    fence = fence.delivered(Page(at(1), head(9)))
    fence, _ = fence.rescan(at(9_000), "busy")
    assert fence.delivered(Page(at(9_001), scan=scan)).watermark == head(7)


def test_replay_that_stands_still_settles_nothing():
    """While the source's clock stands still, our own clock proves nothing about its writers."""
    fence = seen(begun(), at(0, clock=0), head(7))
    for ms in range(0, 60_000, 1_000):
        fence = seen(fence, at(ms, clock=0), None)
    assert fence.watermark is None


def test_a_clock_set_back_starts_the_wait_again():
    """A head does not wait for the hour to come round again; and it never settles early by a jump ahead."""
    fence = seen(begun(), at(0, clock=3_600_000), head(7))
    for ms in range(0, 4_000, 100):
        fence = seen(fence, at(ms, clock=ms), None)
    assert fence.watermark == head(7)
    fence = seen(fence, at(5_000, clock=5_000), head(8))
    fence = seen(fence, at(5_001, clock=3_600_000), None)
    assert fence.heads.waiting[0].stamps == ()


def test_a_head_ahead_of_the_clock_waits_for_its_time():
    """Until the clock has passed the head's own time, any writer may still take a lower one."""
    fence = seen(begun(), at(0), head(50_000, ms=50_000))
    for ms in range(0, 51_900, 100):
        fence = seen(fence, at(ms), None)
    assert fence.watermark is None
    for ms in range(52_000, 57_300, 100):
        fence = seen(fence, at(ms), None)
    assert fence.watermark is not None


def test_a_restart_begins_again_from_what_lies_between():
    """Stamps are gone after a restart: the last head waits anew, and the ledger is loaded from where it matters."""
    fence = begun()
    for second in range(10):
        fence = seen(fence, at(second * 1_000), head(second, seq=second))
    mark = fence.watermark
    again = Fence.start(at(99_000), mark.position, Position("9", ("9",)), fence.dump(), 12)
    assert again.since == mark.seq
    assert again.watermark.position == mark.position
    again, scan = again.rescan(at(99_000), "caught_up")
    assert (scan.after, scan.high) == (mark.position, "9")
    again = seen(again, at(101_000), None)
    again = seen(again, at(101_001), None)
    assert again.watermark.position == Position("9", ("9",))


def test_memory_that_cannot_be_read_stops():
    """A damaged memory is said, never taken for an empty one."""
    with pytest.raises(StateDamaged):
        Fence.start(at(0), None, None, "{", 0)
    with pytest.raises(StateDamaged):
        Fence.start(at(0), None, None, "[]", 0)


def test_an_hour_pinned_stays_small_and_cheap():
    """With a writer open for an hour: a bounded queue, full scans in a tenth of the time, fresh rows in every reading."""
    fence, scanning, recent = begun(), 0, 0
    for second in range(HOUR_S):
        read_time = at(second * 1_000, 100, 101 + second)
        fence, scan = fence.rescan(read_time, "caught_up")
        cost = second  # a million keys a second, a thousand rows a second
        if scan is not None and scan.extent == "recent":
            recent += 1
            cost = second - int(scan.after.cursor)
            assert cost < 15
        scanning += cost if scan is not None else 0
        fence = fence.delivered(Page(read_time, head(second, seq=second), scan=scan, cost_ms=cost))
    assert fence.watermark is None
    assert len(fence.heads.waiting) <= 64
    assert fence.heads.waiting[0].mark.position.cursor == "0"
    assert scanning < HOUR_S * 1_000 * 0.12
    assert recent > HOUR_S * 0.8
    for second in range(HOUR_S, HOUR_S + 60):
        fence = seen(fence, at(second * 1_000, 99_999, 99_999), None)
    assert fence.watermark == head(HOUR_S - 1, seq=HOUR_S - 1)


@given(
    st.lists(st.tuples(st.sampled_from([1, 700, 1_500, 4_000, 9_000]), st.booleans()), max_size=30),
    st.sampled_from([0, 400, 2_000]),
)
def test_until_a_reading_is_due_it_would_change_nothing(steps, cost_ms):
    """Between two rows: no head is stamped and no scan is due before that moment, and one that was due before is then."""
    fence, now = begun(lookback_ms=60_000), 0
    for number, (pause, row) in enumerate(steps):
        read_time = at(now, now, now)
        fence = seen(fence, read_time, head(number) if row else None, cost_ms=cost_ms)
        due, now = fence.due_ms(read_time), now + pause
        later, scan = fence.rescan(at(now, now, now), "caught_up")
        if now < due:
            assert scan is None
            assert later.heads == fence.heads
        elif due > read_time.steady_ms:
            assert scan is not None


PAUSES = st.lists(st.tuples(st.sampled_from([1, 900, 2_500, 7_000, 20_000]), st.booleans()), min_size=1, max_size=20)


@given(PAUSES, st.sampled_from(["fence", "lookback"]), st.sampled_from(["ids", "times"]), st.integers(0, 90_000))
def test_a_scan_that_is_repeated_changes_nothing_before_its_time(steps, mechanism, cursor, later_ms):
    """While no row comes it is the one that is asked for, as often as was said; and where it finds nothing nothing moves by it."""
    options = {"lookback_ms": 60_000}
    late = begun(**options) if mechanism == "fence" else Lookback.start(at(0), None, None, "", 0, **options)
    now = 0
    for number, (pause, row) in enumerate(steps):
        now += pause
        mark = head(now if cursor == "times" else number, ms=now if cursor == "times" else None) if row else None
        late = seen(late, at(now, now, now), mark)
    again, moment = late.repeated(at(now, now, now)), now + later_ms
    if again is None or moment >= again.until_ms:
        return
    assert again.due_ms == late.due_ms(at(now, now, now))
    read_time = at(moment, moment, moment)
    after, scan = late.rescan(read_time, "caught_up")
    assert (scan is None) == (moment < again.due_ms)
    assert scan in (None, again.scan)
    after = after.delivered(Page(read_time, scan=scan, cost_ms=again.cost_ms))
    assert after.watermark == late.watermark
    assert after.heads.waiting == late.heads.waiting
    if scan is not None:
        assert after.due_ms(read_time) == moment + again.every_ms


def test_scans_that_take_long_are_not_repeated_soon():
    """Of a replica's time they take a tenth at most, full and recent ones together; the watermark moves all the same."""
    fence, scanning, scans = begun(), 0, []
    for second in range(600):
        read_time = at(second * 1_000, second, second + 1)
        fence, scan = fence.rescan(read_time, "caught_up")
        if scan is not None:
            scanning += 2_000
            scans.append((second, scan.extent))
        fence = fence.delivered(Page(read_time, head(second, seq=second), scan=scan, cost_ms=2_000))
    assert scanning <= 600 * 1_000 * 0.11
    full = [second for second, extent in scans if extent == "full"]
    assert max(after - before for before, after in pairwise(full)) <= 40
    assert min(after - before for before, after in pairwise(full)) >= 20
    assert fence.watermark is not None
    assert fence.watermark.seq > 500


@pytest.mark.parametrize(("pin", "moves"), [("wait", 0), ("release", 1)])
def test_the_cap_is_a_policy(pin, moves):
    """By default a pinned watermark waits for ever; `release` moves it after the cap and counts a broken promise."""
    fence = seen(begun(pin=pin, pin_cap_ms=10_000), at(0, 5, 6), head(7))
    for ms in range(0, 20_000, 1_000):
        fence = seen(fence, at(ms, 5, 6), None)
    assert fence.broken == moves
    assert (fence.watermark is not None) == bool(moves)
    assert Fence.start(at(0), None, None, fence.dump(), 0).broken == moves


def test_below_a_ceiling_pages_need_no_scan():
    """Once the source's head of the beginning is passed, pages up to it move the watermark by themselves."""
    fence = begun().with_target(at(0), head(1_000))
    assert fence.safe_upper_bound is None
    fence, _ = fence.rescan(at(2_000), "behind")
    fence, _ = fence.rescan(at(2_001), "behind")
    assert fence.safe_upper_bound == "1000"
    fence = fence.delivered(Page(at(2_001), head(10, seq=4), through="1000"))
    assert fence.watermark == head(10, seq=4)
    # A replica of the pool that is further back cannot promise it.
    assert fence.rescan(at(2_002, 50, 60), "behind")[0].safe_upper_bound is None
    assert fence.with_target(at(2_003), None).rescan(at(9_000), "behind")[0].safe_upper_bound is None
