"""Whether blocks can be skipped in the poll: Redshift has no indexes, but keeps the least and greatest value of each block.

Where the cursor leads a table's sort key, the rows behind a position are in the last blocks, and only these are read.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from msgspec import Struct

from smartico_sync.sources.kit.positions import at_head
from smartico_sync.sources.protocol import Plan
from smartico_sync.sources.sql.advice import listed
from smartico_sync.sources.sql.names import quoted_if_needed

if TYPE_CHECKING:
    from smartico_sync.core.position import Position
    from smartico_sync.sources.redshift.reading import RedshiftReading

__all__ = ["Scan", "explain", "scans", "sorted_by"]

# What the user sees of these tables; `sortkey` counts from 1, downwards where the key is interleaved.
SORT_KEYS = """SELECT schema_name, column_name, sortkey FROM svv_redshift_columns
 WHERE database_name = current_database() AND table_name = :table"""
NAME = r'"(?:[^"]|"")+"|[\w$]+'


class Scan(Struct, frozen=True):
    """A table that is read, and what the plan calls it; `kind` tells a table from files outside."""

    kind: str
    table: str
    alias: str


def explain(reading: RedshiftReading, after: Position | None, limit: int) -> Plan:
    """Explain the page after this position, or, from the start, the page that a running poll reads at the head."""
    relation = reading.relation
    statement, values = reading.poll_statement(at_head(reading, after), limit)
    text = "\n".join(row[0] or "" for row in reading.ask(f"EXPLAIN {statement.text}", values).texts)
    found, order = scans(text), sorted_by(text)
    if not found or any(scan.kind != "Seq Scan" for scan in found):
        names = ", ".join(sorted({scan.table for scan in found})) or "the base table"
        return Plan(
            uses_index=None,
            text=text,
            advice=f"let {names} be partitioned by {relation.cursor}, or load it into a table sorted by {listed(relation)}",
        )
    if not order:
        return Plan(
            uses_index=False, text=text,
            advice=f"the view computes {relation.cursor}: select a stored column instead, by which its table is sorted",
        )  # fmt: skip
    alias, cursor = order[0]
    scan = next((each for each in found if each.alias == alias), found[0])
    schema, keys = _sort_key(reading, scan.table, cursor)
    if keys.get(cursor) in (1, -1):
        return Plan(uses_index=True, text=text)
    same = [column for owner, column in order if owner == alias]
    place = f"{quoted_if_needed(schema)}.{quoted_if_needed(scan.table)}" if schema else quoted_if_needed(scan.table)
    return Plan(
        uses_index=False if keys else None, text=text,
        advice=f"ALTER TABLE {place} ALTER COMPOUND SORTKEY ({', '.join(map(quoted_if_needed, same))});",
    )  # fmt: skip


def scans(plan: str) -> list[Scan]:
    """The tables that a plan reads."""
    lines = re.findall(rf"(Seq Scan|S3 Query Scan|S3 Seq Scan|Subquery Scan) (?:on )?({NAME})(?: ({NAME}))?  \(", plan)
    return [
        Scan(kind, _plain(table), _plain(alias or table)) for kind, table, alias in lines if kind != "Subquery Scan"
    ]


def sorted_by(plan: str) -> list[tuple[str, str]]:
    """Alias and name of the columns by which a plan sorts, up to the first that is computed; no alias where it needs none."""
    found = re.findall(r"(?:Sort|Merge) Key: (.*)", plan)
    order: list[tuple[str, str]] = []
    for term in re.split(r", (?![^(]*\))", found[-1].strip()) if found else ():
        parts = re.fullmatch(rf"\(?(?:({NAME})\.)?({NAME})\)?", term)
        if parts is None:
            break
        order.append((_plain(parts.group(1) or ""), _plain(parts.group(2))))
    return order


def _sort_key(reading: RedshiftReading, table: str, cursor: str) -> tuple[str, dict[str, int]]:
    """The schema of the table that has this column, and the places of its columns in the sort key."""
    rows = [row for row in reading.ask(SORT_KEYS, {"table": table}).texts if row[0] and row[1] and row[2]]
    schema = next((row[0] for row in rows if row[1] == cursor), "") or ""
    return schema, {row[1] or "": int(row[2] or 0) for row in rows if row[0] == schema}


def _plain(name: str) -> str:
    return name[1:-1].replace('""', '"') if name.startswith('"') else name
