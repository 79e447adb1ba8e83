"""Rows that wait for another try: each is read from the source again, where it is now."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import polars as pl

from smartico_sync.core.ledger_keys import ledger_keys
from smartico_sync.core.outcome import Retried, due_at_once
from smartico_sync.core.pipeline import contents_of, positions_of
from smartico_sync.core.reason_codes import MUTATED
from smartico_sync.core.records import ParkedRow, UndeliveredRow
from smartico_sync.tracking.clocks import now_ms

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from smartico_sync.core.mapping import ViewMapping
    from smartico_sync.core.position import Position
    from smartico_sync.sources.protocol import Reading

__all__ = ["ROWS_AT_ONCE", "Found", "find", "requested"]

ROWS_AT_ONCE = 1_000  # the protocol's limit of rows by position


@dataclass(frozen=True, slots=True)
class Found:
    """The rows of parked rows as the source has them now: `rows[n]` is that of `retried.found[n]`."""

    rows: pl.DataFrame
    retried: Retried

    @property
    def anew(self) -> pl.Series:
        """Which rows get event ids of their own [Boolean]: what was delivered before has changed."""
        return pl.Series([parked.code == MUTATED for parked in self.retried.found], dtype=pl.Boolean)


def requested(view: str, positions: Iterable[Position], code: int, reason: str) -> list[ParkedRow]:
    """The rows at these positions, to be read and sent at the next poll."""
    now = now_ms()
    return [
        due_at_once(
            UndeliveredRow(view, ",".join(position.key) or position.cursor, position, "", "", ""), code, reason, now
        )
        for position in positions
    ]


def find(reading: Reading, mapping: ViewMapping, parked: Sequence[ParkedRow]) -> Found:
    """Read parked rows again, by position; rows of a keyless view are told apart by what they hold."""
    positions = {each.row.position for each in parked if each.row.position is not None}
    rows = reading.rows(position for position in positions if position.cursor)
    without = [position.key for position in positions if not position.cursor and position.key]
    if without:
        rows = pl.concat([rows, reading.by_key(without)], how="diagonal_relaxed")
    if not mapping.relation.key and rows.height:
        held = contents_of(ledger_keys(mapping, rows).to_frame())
        by_content = {content: place for place, content in enumerate(held.to_list())}
        places = [by_content.get(each.row.content) for each in parked]
    else:
        at = {position: place for place, position in enumerate(positions_of(rows))}
        places = [at.get(each.row.position) if each.row.position else None for each in parked]
    there = [place for place in places if place is not None]
    return Found(
        rows[there] if there else rows.clear(),
        Retried(
            tuple(each for each, place in zip(parked, places, strict=True) if place is not None),
            tuple(each for each, place in zip(parked, places, strict=True) if place is None),
        ),
    )
