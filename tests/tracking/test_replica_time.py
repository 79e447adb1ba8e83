"""The time that looking again takes of a replica, whoever looks."""

from __future__ import annotations

from types import SimpleNamespace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from smartico_sync.errors import SourceCancelled, SourceUnreachable
from smartico_sync.tracking import null_counts, scan_pace
from smartico_sync.tracking.late_scan import SCAN_ROWS
from smartico_sync.tracking.null_counts import NullCounts
from smartico_sync.tracking.replica_time import PAUSES, WANTED_MS, ReplicaTime
from smartico_sync.tracking.scan_pace import FEWEST_ROWS, ScanPace

looks = st.sampled_from(sorted(PAUSES))


@given(looks, st.lists(st.integers(0, 600_000), min_size=1, max_size=60))
def test_all_views_of_a_source_together_take_no_more_than_one_may(look, took):
    """Whatever a look of each takes: with the pauses that follow, all of them have one part of the time."""
    replica = ReplicaTime()
    for _ in range(2):  # the first to look does not know of the others yet
        charged = [replica.charged(look, f"view {number}", each) for number, each in enumerate(took)]
    every = [max(WANTED_MS[look], each * PAUSES[look]) for each in charged]
    busy = sum(each / pause for each, pause in zip(took, every, strict=True))
    assert busy <= 1 / PAUSES[look] * (1 + 1e-9)
    assert all(each >= alone for each, alone in zip(charged, took, strict=True))


@given(looks, st.integers(0, 600_000))
def test_a_view_alone_is_charged_with_what_it_took(look, took):
    """Also again once the others are gone."""
    replica = ReplicaTime()
    assert replica.charged(look, "mine", took) == took
    for number in range(9):
        replica.charged(look, str(number), 10**6)
    for number in range(9):
        replica.forget(str(number))
    assert replica.charged(look, "mine", took) == took


def test_a_view_that_takes_little_does_not_wait_for_one_that_takes_much():
    """What the little ones leave of the time is the large one's."""
    replica = ReplicaTime()
    for _ in range(2):
        charged = [
            replica.charged("late rows", view, took) for view, took in (("large", 6_000), ("one", 5), ("two", 5))
        ]
    assert charged[1:] == [5, 5]
    assert 6_000 <= charged[0] <= 6_200


@pytest.fixture
def clock(monkeypatch):
    """A steady clock that stands until a test moves it."""
    clock = SimpleNamespace(now=1_000_000)
    for module in (scan_pace, null_counts):
        monkeypatch.setattr(module, "steady_ms", lambda: clock.now)
    return clock


@pytest.mark.parametrize(
    ("error", "rows", "told"), [(SourceCancelled, 2_500, True), (SourceUnreachable, SCAN_ROWS, False)]
)
def test_a_scan_that_failed_is_not_made_again_at_once(clock, error, rows, told):
    """It waits nine times what it took, whatever else happens to the view; what the server ended is asked for in parts then."""
    pace = ScanPace("bets")
    began, clock.now = clock.now, clock.now + 3_000
    pace.failed(error("ended", hint="raise it"), began, 20_000)
    assert pace.waits
    assert (pace.rows, bool(pace.trouble)) == (rows, told)
    clock.now += 3_000 * PAUSES["late rows"]
    assert not pace.waits
    pace.ended(clock.now, "full")
    assert not pace.trouble
    for _ in range(9):
        pace.failed(SourceCancelled("ended"), clock.now, 20_000)
    assert pace.rows == FEWEST_ROWS


@pytest.mark.parametrize(("took", "cheap"), [(3_000, False), (61, False), (60, True), (0, True)])
def test_a_count_that_takes_long_is_made_rarely_by_whoever_counts(clock, took, cheap):
    """A plan may promise an index, and the count take seconds all the same."""

    class Reading:
        def __enter__(self):
            return self

        def __exit__(self, *_):
            pass

        def null_scan(self):
            return "by index"

        def null_cursors(self, of, _patience_ms):
            clock.now += took if of == "cursor" else 0
            return 0

    counts = NullCounts()
    view = SimpleNamespace(name="bets", on_null_cursor="report", cursor="id")
    counts.count(SimpleNamespace(reading=lambda _: Reading()), None, view, ReplicaTime())
    assert counts.cheap is cheap
    assert counts.next_cursors_ms == 1_000_000 + max(60_000, took * 1_000)
