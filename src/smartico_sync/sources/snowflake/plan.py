"""How much of a table one poll reads, judged from Snowflake's own plan. Asking costs nothing: no warehouse wakes up."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from smartico_sync.core.position import Position
from smartico_sync.sources.protocol import Plan

if TYPE_CHECKING:
    from smartico_sync.core.relation import Relation
    from smartico_sync.sources.snowflake.reading import SnowflakeReading

__all__ = ["explain", "judge"]

FEW = 10  # micro-partitions: so small a table is read whole in the time a question takes anyway
LAST_MS = 3_600_000  # what polls at the head look at, late rows included
SHARE = 0.1  # of a table: a poll at the head that reads more finds its rows by looking everywhere


def explain(reading: SnowflakeReading, after: Position | None, limit: int) -> Plan:
    """Explain the page that a running poll reads at the head; what comes after an older position reads more, but once."""
    poll = reading.poll_statement(_head(reading, reading.relation) or after, limit)
    return judge(reading.explain(*poll), reading.relation)


def _head(reading: SnowflakeReading, relation: Relation) -> Position | None:
    """An hour ago: at the very head even a table without any order would be pruned to one partition."""
    column = relation.column(relation.cursor)
    if column is not None and column.family in ("timestamp", "instant", "date"):
        return Position(reading.moment(reading.clock_ms - LAST_MS))
    head = reading.head()
    return None if head is None else Position(head)


def judge(document: str, relation: Relation) -> Plan:
    """Judge what EXPLAIN USING JSON answers."""
    explained = json.loads(document)
    total, assigned, size = (
        int(explained["GlobalStats"].get(name) or 0)
        for name in ("partitionsTotal", "partitionsAssigned", "bytesAssigned")
    )
    steps = [step for stage in explained["Operations"] for step in stage]
    summary = f"one poll reads {assigned} of {total} micro-partitions, {size / 1e6:,.1f} MB"
    text = "\n".join([summary, *(_line(step) for step in steps)])
    if total <= FEW:
        return Plan(uses_index=None, text=text, summary=summary)
    if assigned <= SHARE * total:
        return Plan(uses_index=True, text=text, summary=summary)
    return Plan(uses_index=False, text=text, advice=_advice(steps, relation), summary=summary)


def _line(step: dict[str, Any]) -> str:
    told = [step.get("operation", ""), ", ".join(step.get("objects") or ())]
    if step.get("partitionsTotal"):
        told.append(f"partitions {step.get('partitionsAssigned')}/{step['partitionsTotal']}")
    return "  ".join(filter(None, told))


def _advice(steps: list[dict[str, Any]], relation: Relation) -> str:
    """CLUSTER BY on the table of which most is read, when the cursor is a column of its own."""
    scans = [step for step in steps if step.get("objects") and step.get("partitionsTotal")]
    if not scans:
        return f"the view must pass a stored column through as {relation.cursor}, and its table be clustered by it"
    scan = max(scans, key=lambda step: int(step["partitionsAssigned"] or 0))
    table, cursor = scan["objects"][0], relation.cursor.upper()
    column = relation.column(relation.cursor)
    coarse = f"TO_DATE({cursor})" if column is not None and column.family in ("timestamp", "instant") else cursor
    if column is not None and column.family == "integer":
        coarse = f"TRUNC({cursor}, -5)"
    stored = any(str(told).rpartition(".")[2].strip('"').upper() == cursor for told in scan.get("expressions") or ())
    remark = "" if stored else f" -- or whatever column of it becomes {relation.cursor} in the view"
    return f"ALTER TABLE {table} CLUSTER BY ({coarse});{remark}"
