"""Rows that are read again, by a rewind or a backfill, though they wait or were given up: what becomes of them now is what counts."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING

from msgspec.structs import replace

from smartico_sync.core.outcome import contents
from smartico_sync.core.pipeline import positions_of
from smartico_sync.core.reason_codes import MUTATED
from smartico_sync.core.records import DeadLetter, ParkedRow

if TYPE_CHECKING:
    from collections.abc import Sequence

    import polars as pl

    from smartico_sync.core.position import Position
    from smartico_sync.core.records import Commit, UndeliveredRow

__all__ = ["settled_anew"]


def settled_anew(commit: Commit, places: pl.DataFrame, before: Sequence[DeadLetter | ParkedRow]) -> Commit:
    """The commit of rows at these `places`, of which `before` is what was given up or waits; each of them is counted once.

    A dead letter is resolved, unless the row is given up again. A row that waits goes on waiting as it did: with its clock and
    its reason, and before what follows it. What is to be sent as a new event is another matter than the row itself.
    """
    rows = set(zip(positions_of(places), contents(places), strict=True))
    waits = {mark(each.row) for each in before if isinstance(each, ParkedRow)}
    given_up = [
        each for each in before if isinstance(each, DeadLetter) and each.code != MUTATED and at(each.row) in rows
    ]
    parked = tuple(each for each in commit.parked if mark(each.row) not in waits)
    anew = {*(mark(each.row) for each in commit.dead_letters), *(mark(each.row) for each in parked)}
    counts = Counter(commit.counts)
    counts["dead_lettered"] -= len(given_up)
    counts["parked"] -= len(commit.parked) - len(parked)
    counts["read"] -= len(given_up) + len(commit.parked) - len(parked)
    return replace(
        commit,
        parked=parked,
        resolved=(*commit.resolved, *(each.id for each in given_up if mark(each.row) not in anew)),
        counts={name: count for name, count in counts.items() if count},
    )


def at(row: UndeliveredRow) -> tuple[Position | None, str]:
    """Where an undelivered row stands."""
    return row.position, row.content


def mark(row: UndeliveredRow) -> tuple[str, str, Position | None, str]:
    """What the state keeps one dead letter or parked row for."""
    return row.event_type, row.key, *at(row)
