"""How many bytes one poll is billed for, judged from dry runs, which cost nothing."""

from __future__ import annotations

from contextlib import suppress
from typing import TYPE_CHECKING, Any

from smartico_sync.core.position import Position
from smartico_sync.errors import SourceError
from smartico_sync.sources.bigquery.session import NEVER
from smartico_sync.sources.kit.positions import described
from smartico_sync.sources.protocol import Plan

if TYPE_CHECKING:
    from collections.abc import Sequence

    from google.cloud.bigquery import Table, TableReference

    from smartico_sync.core.relation import Relation
    from smartico_sync.sources.bigquery.reading import BigQueryReading
    from smartico_sync.sources.bigquery.session import Session

__all__ = ["explain", "judge"]

LEAST = 10_000_000  # bytes: what BigQuery bills for any table, so less cannot be saved
SHARE = 0.2  # of what a read from the start costs: a poll at the head that reads more is not pruned
LAST_ID = str(2**63 - 2)  # no id is above it: the last range of a table that is partitioned by ids
LAST_MS = 3_600_000  # what polls at the head look at, late rows included
POLLS = 288  # a day, one every five minutes


def explain(reading: BigQueryReading, after: Position | None, limit: int) -> Plan:
    """Estimate the page that a running poll reads at the head; what comes after an older position costs more, but once."""
    relation = reading.relation
    whole = reading.estimate(*reading.poll_statement(None, limit))
    poll = reading.estimate(*reading.poll_statement(_head(reading, relation) or after, limit))
    tables = [table for reference in poll.tables for table in _seen(reading.session, reference)]
    return judge(relation, poll.size, whole.size, tables)


def _seen(session: Session, reference: TableReference) -> list[Table]:
    """A base table, unless it is not for our eyes, as behind an authorised view."""
    with suppress(SourceError):
        return [session.call(lambda client, s: client.get_table(reference, timeout=s, retry=NEVER), "the plan")]
    return []


def judge(relation: Relation, poll: int, whole: int, tables: Sequence[Table]) -> Plan:
    """Judge a poll by its bytes, beside those of a read from the start."""
    billed = max(poll, LEAST)
    day = f"{billed * POLLS / 1e9:,.0f} GB a day at `every: 5m`, where tables change all the time"
    summary = f"one poll is billed for {billed / 1e6:,.0f} MB, {day}"
    text = "\n".join([summary, f"from the start it would read {whole / 1e6:,.0f} MB", *map(_layout, tables)])
    if poll <= LEAST or poll <= SHARE * whole:
        return Plan(uses_index=True, text=text, summary=summary)
    clustered = any(table.clustering_fields for table in tables)
    if clustered and all(table.time_partitioning or table.range_partitioning for table in tables):
        # Clusters are pruned while the query runs, and a dry run knows nothing of it.
        return Plan(uses_index=None, text=text, summary=summary)
    return Plan(uses_index=False, text=text, advice=_advice(relation, tables), summary=summary)


def _head(reading: BigQueryReading, relation: Relation) -> Position | None:
    """A position at the head without a query for it, which would be billed: an hour ago, or an id above all."""
    family = described(relation, relation.cursor).family
    if family in ("timestamp", "instant", "date"):
        return Position(reading.moment(reading.clock_ms - LAST_MS))
    return Position(LAST_ID) if family == "integer" else None


def _layout(table: Table) -> str:
    return f"{table.dataset_id}.{table.table_id}: {_partitions(table) or 'not partitioned'}, clustered by " + (
        ", ".join(table.clustering_fields or ()) or "nothing"
    )


def _partitions(table: Any) -> str:
    if table.time_partitioning:
        return f"partitioned by {table.time_partitioning.type_} of {table.time_partitioning.field or '_PARTITIONTIME'}"
    return f"partitioned by ranges of {table.range_partitioning.field}" if table.range_partitioning else ""


def _advice(relation: Relation, tables: Sequence[Table]) -> str:
    """A partitioned copy of the largest table that is not partitioned, when it stores the cursor itself."""
    cursor, key = relation.cursor, [name for name in relation.key if name != relation.cursor]
    column = relation.column(cursor)
    bare = [table for table in tables if not _partitions(table)]
    stored = [table for table in bare if any(field.name == cursor for field in table.schema)]
    if not stored:
        what = ", ".join(f"{table.dataset_id}.{table.table_id}" for table in bare or tables) or "the base table"
        return (
            f"partition {what} by the column that becomes {cursor}, and let the view pass that column through as it is"
        )
    table = max(stored, key=lambda each: each.num_bytes or 0)
    by = {
        "date": f"`{cursor}`",
        "timestamp": f"DATETIME_TRUNC(`{cursor}`, DAY)",
        "instant": f"TIMESTAMP_TRUNC(`{cursor}`, DAY)",
        "integer": f"RANGE_BUCKET(`{cursor}`, GENERATE_ARRAY(0, 4000000000, 1000000))",
    }.get(column.family if column else "")
    partitioned = f" PARTITION BY {by}" if by else ""
    names = {field.name for field in table.schema}
    clusters = ", ".join(f"`{name}`" for name in [cursor, *key] if name in names)
    name = f"`{table.project}.{table.dataset_id}.{table.table_id}"
    return f"CREATE TABLE {name}_partitioned`{partitioned} CLUSTER BY {clusters} AS SELECT * FROM {name}`;"  # noqa: S608  - to be pasted
