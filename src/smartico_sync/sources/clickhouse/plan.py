"""How many granules one poll reads, judged from ClickHouse's own plan. Nothing is read for it."""

from __future__ import annotations

import json
from contextlib import suppress
from typing import TYPE_CHECKING, Any

from smartico_sync.core.position import Position
from smartico_sync.errors import SourceError
from smartico_sync.sources.protocol import Plan

if TYPE_CHECKING:
    from collections.abc import Iterator

    from smartico_sync.core.relation import Relation
    from smartico_sync.sources.clickhouse.reading import ClickHouseReading

__all__ = ["explain", "serves"]

Node = dict[str, Any]
FEW = 16  # granules, of some 8,000 rows: so few are read in the time that a question takes anyway
SHARE = 0.1  # of a table: a poll at the head that reads more finds its rows by looking everywhere
TABLE = "SELECT engine FROM system.tables WHERE database = {d:String} AND name = {t:String}"
COLUMNS = "SELECT name FROM system.columns WHERE database = {d:String} AND table = {t:String}"
NOTHING = ("ReadNothing", "ReadFromPreparedSource")  # an index has left no granule to read


def explain(reading: ClickHouseReading, relation: Relation, after: Position | None, limit: int) -> Plan:
    """Explain the page that a running poll reads at the head; what comes after an older position reads more, but once."""
    head = reading.head()
    poll, values = reading.explained(after if head is None else Position(head), limit)
    text = "\n".join(str(row[0]) for row in reading.rows_of(f"EXPLAIN indexes = 1 {poll.text}", values))
    document = "\n".join(str(row[0]) for row in reading.rows_of(f"EXPLAIN json = 1, indexes = 1 {poll.text}", values))
    scans = list(_scans(json.loads(document)[0]["Plan"]))
    estimated = [
        (str(row[0]), str(row[1]), int(str(row[3])), int(str(row[4])))
        for row in reading.rows_of(f"EXPLAIN ESTIMATE {poll.text}", values)
    ]
    rows, granules = sum(row[2] for row in estimated), sum(row[3] for row in estimated)
    summary = f"one poll reads {granules:,} granules, {rows:,} rows"
    uses = serves(scans) if head is not None else None
    if uses is False:
        return Plan(uses_index=False, text=text, advice=_advice(reading, relation, scans, estimated), summary=summary)
    return Plan(uses_index=uses, text=text, summary=summary if uses else "")


def _scans(node: Node) -> Iterator[Node]:
    """The reads that the order comes from: of a join only its left side, of a union every part."""
    below = node.get("Plans", [])
    if not below:
        yield node
    for child in below if "Union" in node["Node Type"] else below[:1]:
        yield from _scans(child)


def serves(scans: list[Node]) -> bool | None:
    """Whether an index finds the poll's rows; None where there is nothing to tell it by."""
    kinds = [scan["Node Type"] for scan in scans]
    if not all(kind in NOTHING or kind.startswith("ReadFromMergeTree") for kind in kinds):
        return None
    return all(kind in NOTHING or _found(scan.get("Indexes", [])) for kind, scan in zip(kinds, scans, strict=True))


def _found(indexes: list[Node]) -> bool:
    """Few granules are left of many; or, of a few, an index was asked at all."""
    asked = [index for index in indexes if index.get("Condition", "true") != "true"]
    if not asked:
        return False
    total, left = int(indexes[0].get("Initial Granules", 0)), int(indexes[-1].get("Selected Granules", 0))
    return left <= FEW if total <= FEW else left <= max(1, SHARE * total)


def _advice(
    reading: ClickHouseReading, relation: Relation, scans: list[Node], estimated: list[tuple[str, str, int, int]]
) -> str:
    """A projection in the order of the view; where the table's engine bars one, a table of changes of its own."""
    cursor, ties = relation.cursor, [name for name in relation.key if name != relation.cursor]
    read = {f"{database}.{table}": (database, table) for database, table, _, _ in estimated}
    at = next((read[name] for scan in scans if (name := scan.get("Description", "")) in read), None)
    if at is None:
        return f"the table behind the view must be sorted by the column that becomes {cursor}: ORDER BY ({cursor}, …)"
    names: set[str] = set()
    engine = ""
    with suppress(SourceError):
        asked: dict[str, str | int] = {"d": at[0], "t": at[1]}
        names = {str(row[0]) for row in reading.rows_of(COLUMNS, asked)}
        engine = next((str(row[0]) for row in reading.rows_of(TABLE, asked)), "")
    table = ".".join(map(_quoted, at))
    if cursor not in names:
        return (
            f"the view must pass a stored column of {table} through as {cursor}, and the table be sorted by it: "
            f"ALTER TABLE {table} ADD PROJECTION by_cursor (SELECT * ORDER BY that column)"
        )
    order = ", ".join(_quoted(name) for name in (cursor, *ties) if name in names)
    if engine.removeprefix("Replicated").removeprefix("Shared") == "MergeTree":
        return f"ALTER TABLE {table} ADD PROJECTION by_cursor (SELECT * ORDER BY {order}), MATERIALIZE PROJECTION by_cursor;"
    feed = f"{_quoted(at[0])}.{_quoted(at[1] + '_feed')}"
    return (
        f"CREATE MATERIALIZED VIEW {feed} ENGINE = MergeTree ORDER BY ({order}) AS SELECT * FROM {table}; "  # noqa: S608  - to be pasted
        f"-- then INSERT INTO {feed} SELECT * FROM {table}, and let the view read {feed}"
    )


def _quoted(name: str) -> str:
    return "`" + name.replace("\\", "\\\\").replace("`", "\\`") + "`"
