"""A view that is mistaken stops, however small its pages are, and whatever the API calls it."""

from __future__ import annotations

import time

import pytest

from daemon.deposits import insert
from smartico_sync.daemon.operations import Operations
from smartico_sync.observe.health import assess
from waiting import until


@pytest.mark.slow
def test_small_pages_that_are_refused_add_up(tracked, postgresql, operator):
    """Ten rows at a time: the view stops at the hundredth, and does not turn all that comes into dead letters."""
    operator.sandbox.set_faults(["refuse=1"])
    view = tracked()
    for page in range(15):
        insert(postgresql, *range(10 * page, 10 * page + 10))
        status = view.poll()
    assert status.state == "halted"
    assert "of the last 150 rows are refused" in status.error
    assert sum(status.dead.values()) == 90
    operator.sandbox.set_faults([])
    until(lambda: view.poll().state == "live", 0.01)
    assert len(view.sent()) == 60


def test_trouble_is_over_once_nothing_is_given_up(tracked, postgresql, operator):
    """A quiet view is well again as soon as its dead letters were delivered: no row that comes later is needed for it."""
    operator.sandbox.set_faults(["refuse=1"])
    view = tracked()
    insert(postgresql, *range(20))
    (refused, *_) = assess([view.poll()], ()).findings
    assert (refused.code, refused.severity) == ("refused", "critical")
    operator.sandbox.set_faults([])
    store = view.parts.store
    Operations(store).retry([letter.id for letter in store.all_dead_letters()])
    assert assess([view.poll()], ()).findings == ()
    assert len(view.sent()) == 20


def test_a_view_of_players_whom_nobody_knows_stops(tracked, postgresql, operator):
    """When all that it sent is answered 10001 and the time of waiting is over, nothing is given up: it stops, and goes on once they are known."""
    operator.sandbox.set_faults(["unknown-users"])
    view = tracked(park="100ms")
    insert(postgresql, *range(120))
    assert view.poll().parked
    time.sleep(0.15)
    until(lambda: view.poll().state == "halted", 0.05)
    status = view.status
    assert "knows the players of none of the last 120 rows" in status.error
    assert status.dead == {}
    operator.sandbox.set_faults([])
    until(lambda: view.poll().parked == {}, 0.05)
    assert len(view.sent()) == 120


@pytest.mark.slow
def test_rows_behind_an_unknown_player_say_nothing_of_anybody(tracked, postgresql, operator):
    """A page of rows that only wait behind others of their player does not pass for one of players who are known."""
    operator.sandbox.set_faults(["unknown-users"])
    view = tracked(park="300ms")
    insert(postgresql, *range(120))
    until(lambda: sum(view.poll().parked.values()) == 120, 0.01)
    insert(postgresql, *range(120, 130))
    until(lambda: sum(view.poll().parked.values()) == 130, 0.01)
    until(lambda: view.poll().state == "halted", 0.05)
    assert view.status.dead == {}
