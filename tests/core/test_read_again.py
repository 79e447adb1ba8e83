"""Rows that are read again though they wait or were given up: each is counted once, with what becomes of it now."""

from __future__ import annotations

import polars as pl

from smartico_sync.core.position import Position
from smartico_sync.core.read_again import settled_anew
from smartico_sync.core.reason_codes import INVALID_ROW, MUTATED, UNKNOWN_USER, WAITS_BEHIND
from smartico_sync.core.records import Commit, DeadLetter, ParkedRow, UndeliveredRow

PLACES = pl.DataFrame({"@cursor": ["1", "2", "3"], "@key.0": ["a", "b", "c"]})


def row(number, event_type="bet"):
    """The row at the place of that number."""
    cursor, key = PLACES.row(number)
    return UndeliveredRow("bets", key, Position(cursor, (key,)), "", event_type, "", 7)


def dead(number, id_=0, code=2, event_type="bet"):
    return DeadLetter(row(number, event_type), code, "", 0, id_)


def parked(number, id_=0, code=UNKNOWN_USER):
    return ParkedRow(row(number), code, "", 0, 0, 0, 0, id_)


def test_what_is_accepted_now_was_not_given_up():
    commit = Commit("bets", 0, counts={"read": 3, "delivered": 3})
    again = settled_anew(commit, PLACES, [dead(1, 11, INVALID_ROW, "")])
    assert again.resolved == (11,)
    assert again.counts == {"read": 2, "delivered": 3, "dead_lettered": -1}


def test_what_is_given_up_again_keeps_its_place_among_the_dead_letters():
    commit = Commit("bets", 0, counts={"read": 3, "delivered": 2, "dead_lettered": 1}, dead_letters=(dead(1),))
    again = settled_anew(commit, PLACES, [dead(1, 11)])
    assert (again.resolved, again.dead_letters) == ((), commit.dead_letters)
    assert again.counts == {"read": 2, "delivered": 2}


def test_what_is_given_up_for_another_reason_is_one_dead_letter():
    """The one of before was kept under no event type, because the row could not be an event."""
    commit = Commit("bets", 0, counts={"read": 3, "delivered": 2, "dead_lettered": 1}, dead_letters=(dead(1),))
    assert settled_anew(commit, PLACES, [dead(1, 11, INVALID_ROW, "")]).resolved == (11,)


def test_what_waits_goes_on_waiting_as_it_did():
    """With its clock and reason; what waits behind it for the first time is parked."""
    behind = (parked(0, code=WAITS_BEHIND), parked(2, code=WAITS_BEHIND))
    commit = Commit("bets", 0, counts={"read": 3, "delivered": 1, "parked": 2}, parked=behind)
    again = settled_anew(commit, PLACES, [parked(0, 11)])
    assert (again.resolved, again.parked) == ((), behind[1:])
    assert again.counts == {"read": 2, "delivered": 1, "parked": 1}


def test_what_is_another_matter_than_the_row_stays():
    """A change that was to be sent as a new event, and another row of the same cursor of a view without a key."""
    commit = Commit("bets", 0, counts={"read": 3, "delivered": 3})
    assert settled_anew(commit, PLACES, [dead(1, 11, MUTATED, "")]) == commit
    keyless = PLACES.select("@cursor", pl.Series("@content", ["x", "y", "z"]))
    other = UndeliveredRow("bets", "", Position("2"), "", "bet", "", 7, content="q")
    assert settled_anew(commit, keyless, [DeadLetter(other, 2, "", 0, 11)]) == commit
