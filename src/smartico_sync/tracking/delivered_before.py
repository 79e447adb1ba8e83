"""Which rows of a view's history this state delivered under a former name and key: a backfill leaves them out."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING

import polars as pl
from msgspec.structs import replace

from smartico_sync.core.ledger_keys import ledger_keys
from smartico_sync.core.pipeline import ledger_of, position_at, positions_of
from smartico_sync.tracking.row_width import portions
from smartico_sync.tracking.view_identity import definition_of, recorded

if TYPE_CHECKING:
    from collections.abc import Iterator

    from smartico_sync.core.position import Position
    from smartico_sync.core.records import ViewRow
    from smartico_sync.core.view_mapping import ViewMapping
    from smartico_sync.sources.protocol import Reading
    from smartico_sync.tracking.session import Session

__all__ = ["delivered_before"]

EVER_MS, EVERY_ROW = 2**62, 2**31 - 1  # whatever is parked, whenever it is due
KEYS_AT_ONCE = 1_000  # of the rows between the ends of a page, which are those of the page but for rows at its ends


def delivered_before(session: Session, rows: pl.DataFrame) -> pl.Series | None:
    """Which of these rows [Boolean], in order of the cursor, views delivered that are configured no more; None for none of them.

    Such a view read the same relation in the same order, under another key. A row that it never sent, that waits there, or that
    cannot be told apart under its key is not among them. Raises what source and state raise.
    """
    mapping, equipment = session.prepared.mapping, session.equipment
    if mapping.kind.role == "profile" or not mapping.relation.key or equipment.view.on_known_relation == "send":
        return None
    found = None
    for former in former_views(session):
        relation = replace(mapping.relation, key=recorded(former).key)
        with equipment.source.reading(relation) as reading:
            there = delivered_rows(session, former, mapping.with_relation(relation), reading, rows)
        if there is not None:
            some = is_among(mapping, rows, there)
            found = some if found is None else found | some
    return found


def former_views(session: Session) -> Iterator[ViewRow]:
    """Views of the state that are configured no more, and read what this one reads under another key."""
    equipment, relation = session.equipment, session.prepared.relation
    configured = {each.name for each in equipment.configuration.views}
    now = definition_of(equipment.configuration, equipment.view, session.prepared.mapping)
    for row in equipment.store.views():
        if row.blank or row.view in configured:
            continue
        before = recorded(row)
        same = all(
            getattr(before, name) == getattr(now, name) for name in ("place", "relation", "query", "brand", "cursor")
        )
        known = before.key and all(relation.column(name) is not None for name in before.key)
        if same and known and before.key != now.key and set(before.event_types) & set(now.event_types):
            yield row


def delivered_rows(
    session: Session, former: ViewRow, mapping: ViewMapping, reading: Reading, rows: pl.DataFrame
) -> pl.DataFrame | None:
    """The rows between the ends of these that a former view delivered, read in its order; `mapping` has its key."""
    equipment = session.equipment
    store, width, low = equipment.store, equipment.memory.width(equipment.view.name), position_at(rows, 0).cursor
    high = position_at(rows, rows.height - 1).cursor
    moments: list[int] = ledger_of(rows, session.prepared.mapping).get_column("cursor_ms").drop_nulls().to_list()
    kept = store.ledger_between(former.view, min(moments), max(moments) + 1) if moments else None
    if kept is None or not kept.height:
        return None
    undelivered = [each.row for each in store.parked(former.view, EVER_MS, EVERY_ROW)]
    undelivered += [each.row for each in store.all_dead_letters() if each.row.view == former.view]
    waits = {each.position for each in undelivered}
    parts: list[pl.DataFrame] = []
    after: Position | None = None
    while (keys := reading.keys(low, high, KEYS_AT_ONCE, after)).height:
        positions = positions_of(keys)
        after = positions[-1]
        told = ledger_keys(mapping, keys).is_in(kept.get_column("key").implode())
        sent = [each for each, so in zip(positions, told, strict=True) if so and each not in waits]
        times = Counter(positions)
        one = [each for each in sent if times[each] == 1]
        parts += [reading.rows(some) for some in portions(one, width)]
    return pl.concat(parts, how="diagonal_relaxed") if parts else None


def is_among(mapping: ViewMapping, rows: pl.DataFrame, there: pl.DataFrame) -> pl.Series:
    """Which rows stand among the others, told by the cursor and the columns of the view's key."""
    names = ["@cursor", *mapping.relation.key]
    held = set(there.select(names).iter_rows())
    return pl.Series([row in held for row in rows.select(names).iter_rows()], dtype=pl.Boolean)
