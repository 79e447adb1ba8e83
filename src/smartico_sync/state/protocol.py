"""What the daemon keeps, and the one way it changes: a commit per acknowledged page."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import polars as pl

from smartico_sync.core.position import Position

__all__ = ["Commit", "DeadLetter", "ViewRow"]


@dataclass(frozen=True, slots=True)
class DeadLetter:
    """A row that will not be sent: where to find it again, and why. No value of the row but its key and cursor.

    `key` as operators know it; `position` to read the source row again; `fingerprint` a keyed hash (hex) of its content.
    """

    view: str
    key: str
    position: Position | None
    eid: str
    event_type: str
    code: int
    reason: str
    fingerprint: str
    at_ms: int
    id: int = 0


@dataclass(frozen=True, slots=True)
class ViewRow:
    """What is known of one view. `head`: the position of the last delivered row in order (pages go on from here).
    `watermark`: at and below it nothing can still appear. `late`: the late-commit mechanism's memory, as JSON text.
    `definition`: fingerprint of what decides eids (kind, key, cursor); `counts`: totals since the first start."""

    view: str
    head: Position | None
    watermark: Position | None
    late: str
    definition: str
    counts: Mapping[str, int]
    started_from: str
    updated_ms: int


@dataclass(frozen=True, slots=True)
class Commit:
    """All that one acknowledged page changes; written in one transaction or not at all.

    `profiles`: frame [id UInt64, whole Binary(8), parts Binary|null], upserted. `ledger`: frame [key UInt64, cursor_ms
    Int64] of delivered rows (cursor_ms: a timestamp's epoch ms, or the id itself), packed by the store. `counts` are
    added to the totals. None for head, watermark and late leaves them as they are.
    """

    view: str
    at_ms: int
    head: Position | None = None
    watermark: Position | None = None
    late: str | None = None
    profiles: pl.DataFrame | None = None
    ledger: pl.DataFrame | None = None
    dead_letters: tuple[DeadLetter, ...] = ()
    counts: Mapping[str, int] = field(default_factory=dict)
