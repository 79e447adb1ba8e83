"""What is said of a view follows from the facts and from when somebody looks."""

from __future__ import annotations

import threading

from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from observe.conftest import BEGAN, EVERY_MS, at, ended, facts, histories, jumps
from smartico_sync.observe.polls import Polls
from smartico_sync.observe.status_board import StatusBoard
from smartico_sync.observe.view_status import derived, patience_ms

PATIENCE = patience_ms(EVERY_MS)
later = st.integers(0, 10_000_000)


def caught_up(polls, begin, end):
    """A poll that began to read, found nothing newer and ended."""
    polls = polls.poll_began(at(begin)).reading_began(at(begin)).got_on(at(end))
    return ended(polls, 0, at(end))


@given(histories(), later, later, jumps)
def test_nothing_that_stands_still_looks_fresh(history, first, more, jumped):
    """While nothing happens every age grows by exactly the time that passes, whatever the wall clock does meanwhile."""
    polls, end = history
    one = derived(facts(polls), at(end + first))
    two = derived(facts(polls), at(end + first + more, jumped))
    assert two.lag_ms - one.lag_ms == two.still_ms - one.still_ms == two.silent_ms - one.silent_ms == more
    assert two.poll_ms - one.poll_ms == (more if polls.under_way else 0)
    assert two.per_second <= one.per_second


@given(histories(), later, jumps)
def test_live_means_that_a_poll_caught_up_lately(history, wait, jumped):
    """`live` is never said of a view in trouble, nor when the last poll that found nothing newer is longer ago than the patience."""
    polls, end = history
    view = derived(facts(polls), at(end + wait, jumped))
    if view.state == "live":
        assert not view.error
        assert polls.caught_up is not None
        assert view.lag_ms <= PATIENCE
        assert view.lag_ms >= wait
    if wait > PATIENCE:
        assert view.state != "live"


@given(histories(), later)
def test_a_view_that_stands_still_says_why(history, wait):
    """Beyond the patience a view that was polled tells an error, that its poll hangs, or that none begins; before, it does not stand still."""
    polls, end = history
    view = derived(facts(polls), at(end + wait))
    if view.still_ms <= PATIENCE:
        assert view.standstill == "no"
    elif polls.under_way or polls.ended:
        assert view.error or view.standstill == ("hanging" if polls.under_way else "waiting")
    else:
        assert view.state in ("starting", "behind", "degraded")


@given(st.integers(0, 20_000), st.integers(0, 20_000), st.integers(0, 50_000))
def test_the_lag_counts_from_when_the_reading_began(began, took, wait):
    """Rows that came while the poll was reading and sending may not be delivered yet, so that time is part of the lag."""
    view = derived(facts(caught_up(Polls.since_now(BEGAN), began, began + took)), at(began + took + wait))
    assert view.lag_ms == took + wait
    assert view.state == ("live" if took + wait <= PATIENCE else "behind")


def test_of_a_long_backlog_the_last_reading_counts():
    """An hour of page after page ends `live`: the reading that found nothing newer is young, though the poll is old."""
    polls = Polls.since_now(BEGAN).poll_began(BEGAN)
    hour = 3_600_000
    for page in range(0, hour, 10_000):
        polls = polls.reading_began(at(page)).got_on(at(page + 5_000)).behind(page, at(page + 9_000))
        assert derived(facts(polls), at(page + 9_500)).state == "behind"
    polls = ended(polls.reading_began(at(hour)).got_on(at(hour + 100)), hour, at(hour + 300))
    view = derived(facts(polls), at(hour + 300))
    assert (view.state, view.lag_ms, view.standstill) == ("live", 300, "no")


def test_a_receipt_that_comes_late_tells_of_its_own_reading():
    """Polls go on while a receipt is out: the lag counts from the reading whose rows are committed, not from a later one."""
    polls = caught_up(Polls.since_now(BEGAN), 0, 100).poll_began(at(1_000)).reading_began(at(1_000)).got_on(at(1_010))
    polls = polls.poll_began(at(2_000)).reading_began(at(2_000)).got_on(at(2_010))
    assert derived(facts(polls), at(9_000)).lag_ms == 9_000
    polls = polls.caught_up_at(at(1_000), 1, at(9_000))
    assert derived(facts(polls), at(9_000)).lag_ms == 8_000
    polls = polls.caught_up_at(at(2_000), 1, at(9_500))
    assert derived(facts(polls), at(9_500)).lag_ms == 7_500
    assert derived(facts(polls), at(9_500)).poll_ms == 0


@given(st.integers(0, PATIENCE), later)
def test_a_poll_that_hangs_after_a_good_one_is_told(pause, wait):
    """After a poll that caught up the next one hangs: `live` at first, then `behind` and hanging, for as long as it does."""
    polls = caught_up(Polls.since_now(BEGAN), 0, 50).poll_began(at(50 + pause))
    view = derived(facts(polls), at(50 + pause + wait))
    assert view.lag_ms == 50 + pause + wait
    assert view.poll_ms == view.still_ms == wait
    assert view.standstill == ("hanging" if wait > PATIENCE else "no")
    assert view.waits_for == "source"


def test_what_takes_long_and_gets_on_does_not_hang():
    """A poll of an hour that commits a page now and then is no news; it is one as soon as pages stop."""
    polls = Polls.since_now(BEGAN).poll_began(BEGAN)
    for ms in range(0, 3_600_000, 20_000):
        polls = polls.got_on(at(ms))
        assert derived(facts(polls), at(ms + 20_000)).standstill == "no"
    view = derived(facts(polls), at(ms + PATIENCE + 1))
    assert (view.standstill, view.poll_ms, view.still_ms) == ("hanging", ms + PATIENCE + 1, PATIENCE + 1)


def test_a_view_that_waits_for_its_first_poll_is_starting():
    """Profiles go first, which may take hours: the others start, have a lag, and do not stand still."""
    view = derived(facts(), at(7_200_000))
    assert (view.state, view.standstill, view.lag_ms, view.last_poll_ms) == ("starting", "no", 7_200_000, 0)


def test_trouble_is_told_since_it_began():
    """The newest message counts from the first failure; the API's is over once it takes events, a poll's once one succeeds."""
    polls = Polls.since_now(BEGAN).poll_began(at(10)).failed("degraded", "connection lost", "hint", at(20))
    polls = polls.poll_began(at(30)).waits_for_api(("the API is unavailable", "smartico-sync check"), at(40))
    view = derived(facts(polls), at(50))
    assert (view.state, view.error, view.hint) == ("degraded", "the API is unavailable", "smartico-sync check")
    assert view.error_ms == at(20).wall_ms
    assert derived(facts(polls.waits_for_api(None, at(60))), at(60)).error == ""
    polls = polls.failed("halted", "refused", "hint", at(70))
    assert derived(facts(polls.poll_began(at(80)).waits_for_api(None, at(90))), at(90)).state == "halted"
    polls = ended(polls.poll_began(at(80)), 0, at(100))
    assert derived(facts(polls), at(100)).error_ms == 0


def test_a_rate_fades():
    """A thousand rows in a second are a rate of a thousand; ten seconds later, without more, of a hundred."""
    polls = ended(Polls.since_now(BEGAN).poll_began(BEGAN), 1_000, at(1_000))
    assert derived(facts(polls), at(1_000)).per_second == 1_000
    assert derived(facts(polls), at(11_000)).per_second == 100


def test_a_view_that_is_done_is_shown_as_it_was():
    """After `--once` each view is shown as it was when it ended, however long the others took."""
    board = StatusBoard(lambda: at(3_600_000))
    board.put(facts(caught_up(Polls.since_now(BEGAN), 0, 100)))
    assert [view.state for view in board.views()] == ["behind"]
    assert [(view.state, view.lag_ms) for view in board.last_seen()] == [("live", 100)]


def test_no_change_is_lost_between_threads():
    """Changes from several threads at once all count."""
    board = StatusBoard()
    board.put(facts())

    def many():
        for _ in range(500):
            board.change("deposits", lambda known: facts(mutated=known.mutated + 1))

    threads = [threading.Thread(target=many) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert board.facts("deposits").mutated == 2_000


def test_rows_that_were_given_up_and_delivered_later_are_no_trouble():
    """Of the last rows those count that are still given up, or are being tried again; not what was delivered since, or dropped."""
    polls = Polls.since_now(BEGAN)

    def refused(**left):
        return derived(replace(facts(polls), recent_rows=100, recent_refused=72, **left), BEGAN).recent_refused

    assert refused(dead={2: 72}) == refused(dead={2: 10}, parked={2: 62}) == refused(dead={2: 500}) == 72
    assert refused(dead={2: 3}, parked={0: 4}) == 7
    assert refused() == 0
