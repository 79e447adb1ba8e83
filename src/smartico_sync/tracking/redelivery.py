"""Rows that wait for another try: each is read from the source again, where it is now."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import polars as pl

from smartico_sync.core.cursor_time import DAY_MS
from smartico_sync.core.events import EID, POSITION
from smartico_sync.core.mapping import events
from smartico_sync.core.pipeline import PARK_PAUSES_MS, position_at
from smartico_sync.core.reason_codes import GONE, MUTATED, UNACKNOWLEDGED, UNKNOWN_USER
from smartico_sync.core.records import Commit, DeadLetter, ParkedRow
from smartico_sync.tracking.clocks import now_ms

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from smartico_sync.core.mapping import ViewMapping
    from smartico_sync.core.pipeline import PreparedBatch
    from smartico_sync.core.position import Position
    from smartico_sync.core.records import Receipt
    from smartico_sync.sources.protocol import Reading

__all__ = ["LETTERS_AT_ONCE", "Found", "find", "letters_for", "settled"]

LETTERS_AT_ONCE = 1_000  # the protocol's limit of rows by position


@dataclass(frozen=True, slots=True)
class Found:
    """Rows with the letter of each, in the order of the letters; letters whose row is `gone`; letters of `other` rows."""

    rows: pl.DataFrame
    letters: tuple[ParkedRow, ...]
    gone: tuple[ParkedRow, ...]

    @property
    def anew(self) -> pl.Series:
        """Which rows get event ids of their own: what was delivered before has changed."""
        return pl.Series([letter.code == MUTATED for letter in self.letters], dtype=pl.Boolean)


def letters_for(view: str, positions: Iterable[Position], code: int, reason: str) -> list[ParkedRow]:
    """A letter for each of these rows, due at once, given up after a day."""
    now = now_ms()
    return [
        ParkedRow(
            view, ",".join(position.key) or position.cursor, position, "", "", code, reason, "", now,
            next_try_ms=now, deadline_ms=now + DAY_MS,
        )
        for position in positions
    ]  # fmt: skip


def find(reading: Reading, mapping: ViewMapping, letters: Sequence[ParkedRow]) -> Found:
    """Read the letters' rows again, by position; rows of a keyless view are told apart by their event id."""
    positions = {letter.position for letter in letters if letter.position is not None}
    rows = reading.rows(position for position in positions if position.cursor)
    without = [position.key for position in positions if not position.cursor and position.key]
    if without:
        rows = pl.concat([rows, reading.by_key(without)], how="diagonal_relaxed")
    places = {position_at(rows, row): row for row in range(rows.height)}
    if not mapping.relation.key and rows.height:
        frame = events(mapping, rows).events.frame
        by_eid = dict(frame.select(EID, POSITION).iter_rows())
        at = [by_eid.get(letter.eid) for letter in letters]
    else:
        at = [places.get(letter.position) if letter.position else None for letter in letters]
    there = [(letter, row) for letter, row in zip(letters, at, strict=True) if row is not None]
    return Found(
        rows[[row for _, row in there]] if there else rows.clear(),
        tuple(letter for letter, _ in there),
        tuple(letter for letter, row in zip(letters, at, strict=True) if row is None),
    )


def settled(view: str, found: Found, work: PreparedBatch, receipt: Receipt, at_ms: int) -> Commit:
    """What the tries change in the state. Parked rows leave their stage, so the counts still add up."""
    refused = {refusal.row: refusal for refusal in receipt.refused}
    rejected = {row: reason for row, _, reason in work.rejects.iter_rows()}
    resolved: list[int] = []
    parked: list[ParkedRow] = []
    dead: list[DeadLetter] = []
    for row, letter in enumerate(found.letters):
        if row in rejected:
            dead.append(given_up(letter, 0, rejected[row], at_ms))
        elif row not in refused:
            resolved.append(letter.id)
        elif refused[row].code == UNKNOWN_USER and at_ms < letter.deadline_ms:
            pause = PARK_PAUSES_MS[min(letter.tries + 1, len(PARK_PAUSES_MS) - 1)]
            told = replace(letter, code=UNKNOWN_USER, reason=refused[row].reason)
            parked.append(replace(told, next_try_ms=at_ms + pause, tries=letter.tries + 1))
        else:
            dead.append(given_up(letter, refused[row].code, refused[row].reason, at_ms))
    superseded = 0
    for letter in found.gone:
        if work.profiles is not None:  # a profile moves up when it changes, and goes with its newer state
            resolved.append(letter.id)
            superseded += 1
        else:
            dead.append(given_up(letter, GONE, "the row is gone from the source", at_ms))
    profiles = work.profiles
    if profiles is not None:
        refused_eids = [refusal.eid for refusal in receipt.refused]
        profiles = profiles.filter(~pl.col("eid").is_in(refused_eids)).select("id", "whole", "parts")
    counts = {
        "unchanged": work.unchanged + superseded,
        "duplicate": receipt.duplicates,
        "delivered": receipt.delivered,
        "dead_lettered": len(dead),
        "parked": len(parked) - len(found.letters) - len(found.gone),
    }
    new = pl.Series([letter.code == UNACKNOWLEDGED for letter in found.letters], dtype=pl.Boolean)
    return Commit(
        view,
        at_ms,
        profiles=profiles,
        ledger=work.ledger.filter(new) if new.any() else None,
        dead_letters=tuple(dead),
        parked=tuple(parked),
        resolved=tuple(resolved),
        counts={name: count for name, count in counts.items() if count},
    )


def given_up(letter: ParkedRow, code: int, reason: str, at_ms: int) -> DeadLetter:
    """The letter, dead."""
    fields = {name: getattr(letter, name) for name in DeadLetter.__dataclass_fields__}
    return DeadLetter(**{**fields, "code": code, "reason": reason, "at_ms": at_ms})
