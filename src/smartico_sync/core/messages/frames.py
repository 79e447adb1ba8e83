"""Messages that were read become a frame of rows."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import polars as pl

from smartico_sync.catalogue.events import EARLIEST_MS
from smartico_sync.core.messages.exact import ABSENT, Absent, Number, as_json, as_text
from smartico_sync.core.messages.message import Messages
from smartico_sync.core.messages.rows import DATED, LANE, OFFSET, TIME, bounded

if TYPE_CHECKING:
    from smartico_sync.core.messages.rows import Table
    from smartico_sync.core.relation import Family, Relation

__all__ = ["frame_of"]


def frame_of(
    table: Table, relation: Relation, absence: frozenset[str] = frozenset(), now_ms: int | None = None
) -> pl.DataFrame:
    """The rows of a relation, as the poll's sources hand them over: its columns, `@cursor` (the place), `@key.N`, `@unreadable`.

    `now_ms` (epoch ms) dates messages of which nobody says when they were written: in `@dated`, where there are any.
    `absence`: columns of which `@absent.NAME` (Boolean) says where a message says nothing of it; only where one does not.
    """
    messages = Messages.of(table.messages)
    lanes = pl.Series(LANE, messages.lanes, dtype=pl.String)
    offsets = pl.Series(OFFSET, messages.offsets, dtype=pl.Int64)
    times = pl.Series(TIME, messages.times_ms, dtype=pl.Int64).cast(pl.Datetime("ms"))
    own = {
        LANE: lanes, OFFSET: offsets.cast(pl.String), TIME: times.cast(pl.Datetime("us")).dt.replace_time_zone("UTC"),
    }  # fmt: skip
    reasons = dict(table.reasons)
    frame = pl.DataFrame(
        [
            own[each.name] if each.name in own else of_cells(table, each.name, each.family, reasons)
            for each in relation.columns
        ]
    )
    frame = frame.with_columns(pl.Series("@cursor", lanes + "@" + own[OFFSET]))
    if now_ms is not None and min(messages.times_ms, default=EARLIEST_MS) < EARLIEST_MS:
        dated = [now_ms if at < EARLIEST_MS else at for at in messages.times_ms]
        frame = frame.with_columns(
            pl.from_epoch(pl.Series(DATED, dated), "ms").dt.cast_time_unit("us").dt.replace_time_zone("UTC")
        )
    keys = [frame.get_column(name).cast(pl.String) for name in relation.key]
    for name, key in zip(relation.key, keys, strict=True):
        if key.null_count():
            for row in key.is_null().arg_true().to_list():
                reasons.setdefault(row, f"the message: {name} is missing, and it is its key")
    frame = frame.with_columns(key.fill_null("").alias(f"@key.{n}") for n, key in enumerate(keys))
    if reasons:
        told = pl.Series("@unreadable", [reasons.get(row) for row in range(table.rows)], dtype=pl.String)
        frame = frame.with_columns(told)
    said = {name for name in absence if Absent not in table.types.get(name, {Absent})}
    absent = {name: [value is ABSENT for value in table.cells.get(name, [])] for name in absence - said}
    return frame.with_columns(
        pl.Series(f"@absent.{name}", mask or [True] * table.rows, dtype=pl.Boolean) for name, mask in absent.items()
    )


def of_cells(table: Table, name: str, family: Family, reasons: dict[int, str]) -> pl.Series:
    """One column by its family. Adds to `reasons` the rows whose whole number no program could hold."""
    values = table.cells.get(name)
    dtype = pl.Boolean() if family == "boolean" else pl.String()
    if values is None:
        return pl.Series(name, [None], dtype=dtype).new_from_index(0, table.rows)
    types = table.types[name]
    if Absent in types:
        values = without_absent(values)
        types = (types - {Absent}) | {type(None)}
    if family == "boolean" and types <= {bool, type(None)}:
        return pl.Series(name, values, dtype=dtype)
    if types <= {str, Number, type(None)}:
        return pl.Series(name, values, dtype=pl.String)
    if types <= {int, type(None)}:
        try:
            return pl.Series(name, values, dtype=pl.Int64).cast(pl.String)
        except (OverflowError, TypeError):
            values = without_absent(bounded(name, values, reasons))
            return pl.Series(name, [None if value is None else str(value) for value in values], dtype=pl.String)
    if family == "json":
        return pl.Series(name, [None if value is None else as_json(value) for value in values], dtype=pl.String)
    return pl.Series(name, [as_text(value) for value in bounded(name, values, reasons)], dtype=pl.String)


def without_absent(values: list[Any]) -> list[Any]:
    """The cells with None where a message says nothing."""
    return [None if value is ABSENT else value for value in values]
