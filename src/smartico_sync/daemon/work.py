"""A page on its way from the source to the state."""

from __future__ import annotations

import hashlib
import hmac
from dataclasses import dataclass
from typing import TYPE_CHECKING

import polars as pl

from smartico_sync.core.diff import NOTHING_KNOWN, diff
from smartico_sync.core.events import EID, KEY, POSITION, TYPE, Events
from smartico_sync.core.identity import ledger_keys
from smartico_sync.core.mapping import INVALID_ROW, events
from smartico_sync.core.position import Position
from smartico_sync.daemon.clocks import cursor_ms
from smartico_sync.state.protocol import Commit, DeadLetter

if TYPE_CHECKING:
    from collections.abc import Callable

    from smartico_sync.core.mapping import Mapping
    from smartico_sync.delivery.protocol import Receipt

__all__ = ["Work", "commit_of", "position_at", "work_of"]


@dataclass(frozen=True, slots=True)
class Work:
    """Rows that were read, and what became of them so far. `places` holds `@cursor` and `@key.*` of every row."""

    places: pl.DataFrame
    ledger: pl.DataFrame
    send: Events
    rejects: pl.DataFrame
    unchanged: int
    profiles: pl.DataFrame | None

    @property
    def rows(self) -> int:
        """How many rows were read."""
        return self.places.height


def work_of(
    rows: pl.DataFrame,
    mapping: Mapping,
    secret: bytes,
    payload: str,
    known: Callable[[pl.Series], pl.DataFrame],
) -> Work:
    """Map the rows, and for profiles leave out those that did not change. `known` returns fingerprints by player id."""
    mapped = events(mapping, rows)
    places = rows.select(name for name in rows.columns if name == "@cursor" or name.startswith("@key."))
    ledger = pl.DataFrame({"key": ledger_keys(rows), "cursor_ms": cursor_ms(rows.get_column(mapping.relation.cursor))})
    if mapping.kind.role != "profile":
        return Work(places, ledger, mapped.events, mapped.rejects, 0, None)
    ids = mapped.events.frame.get_column("@player").unique()
    before = known(ids) if ids.len() else NOTHING_KNOWN
    diffed = diff(mapped.events, before, secret, "changed" if payload == "changed" else "full")
    return Work(places, ledger, diffed.events, mapped.rejects, diffed.unchanged, diffed.upserts)


def position_at(rows: pl.DataFrame, row: int) -> Position:
    """The position of one row of a page, or of its `places`."""
    place = rows.row(row, named=True)
    return Position(place["@cursor"], tuple(value for name, value in place.items() if name.startswith("@key.")))


def commit_of(view: str, work: Work, receipt: Receipt, secret: bytes, at_ms: int) -> Commit:
    """What acknowledged rows change in the state: read = unchanged + duplicate + delivered + dead_lettered."""
    letters = [
        DeadLetter(
            view, key, position_at(work.places, row), "", "", INVALID_ROW, reason, trace(secret, key, reason), at_ms
        )
        for row, key, reason in work.rejects.iter_rows()
    ]
    profiles = work.profiles
    if receipt.refused:
        sent = work.send.frame.select(POSITION, KEY, TYPE)
        named = {row: (key, kind) for row, key, kind in sent.join(
            pl.DataFrame({POSITION: [refusal.row for refusal in receipt.refused]}, schema={POSITION: sent.schema[POSITION]}),
            on=POSITION, how="semi",
        ).iter_rows()}  # fmt: skip
        for refusal in receipt.refused:
            key, kind = named[refusal.row]
            letters.append(
                DeadLetter(
                    view, key, position_at(work.places, refusal.row), refusal.eid, kind, refusal.code, refusal.reason,
                    trace(secret, key, refusal.eid), at_ms,
                )
            )  # fmt: skip
        if profiles is not None:
            # A refused profile was not delivered: its next change must go out in full.
            profiles = profiles.filter(~pl.col(EID[1:]).is_in([refusal.eid for refusal in receipt.refused]))
    dead = work.rejects.height + len(receipt.refused)
    counts = {
        "read": work.rows,
        "unchanged": work.unchanged,
        "duplicate": receipt.duplicates,
        "delivered": receipt.delivered,
        "dead_lettered": dead,
    }
    assert work.rows == work.unchanged + receipt.duplicates + receipt.delivered + dead, "a row is unaccounted for"
    return Commit(
        view,
        at_ms,
        profiles=profiles.select("id", "whole", "parts") if profiles is not None else None,
        ledger=work.ledger,
        dead_letters=tuple(letters),
        counts={name: count for name, count in counts.items() if count},
    )


def trace(secret: bytes, *parts: str) -> str:
    """A keyed hash that tells one letter from another and says nothing about the row."""
    return hmac.new(secret, "\n".join(parts).encode(), hashlib.sha256).hexdigest()[:16]
