"""How many granules one poll reads, judged from ClickHouse's own plan. Nothing is read for it."""

from __future__ import annotations

import json
import re
from contextlib import suppress
from typing import TYPE_CHECKING, Any

from msgspec import Struct

from smartico_sync.core.position import Position
from smartico_sync.core.zones import time_zone
from smartico_sync.errors import SourceError
from smartico_sync.sources.clickhouse.types import literal
from smartico_sync.sources.kit.positions import described
from smartico_sync.sources.kit.values import epoch_ms
from smartico_sync.sources.protocol import Plan

if TYPE_CHECKING:
    from smartico_sync.core.relation import Relation
    from smartico_sync.sources.clickhouse.reading import ClickHouseReading

__all__ = ["explain", "serves"]

Node = dict[str, Any]
FEW = 16  # granules, of some 8,000 rows, that an index leaves: one or two for each part that was written lately
SHARE = 0.1  # of a table: a poll at the head that reads more finds its rows by looking everywhere
TABLE = "SELECT engine FROM system.tables WHERE database = {d:String} AND name = {t:String}"
COLUMNS = "SELECT name FROM system.columns WHERE database = {d:String} AND table = {t:String}"
NOTHING = ("ReadNothing", "ReadFromPreparedSource")  # an index has left no granule to read


def explain(reading: ClickHouseReading, after: Position | None, limit: int) -> Plan:
    """Explain the page that a running poll reads at the head; what comes after an older position reads more, but once."""
    head, relation = reading.head(), reading.relation
    poll, values = reading.poll_statement(after if head is None else _before(reading, relation, head), limit)
    text = "\n".join(str(row[0]) for row in reading.rows_of(f"EXPLAIN indexes = 1 {poll.text}", values))
    document = "\n".join(str(row[0]) for row in reading.rows_of(f"EXPLAIN json = 1, indexes = 1 {poll.text}", values))
    root = json.loads(document)[0]["Plan"]
    estimated = [
        (str(row[0]), str(row[1]), int(str(row[3])), int(str(row[4])))
        for row in reading.rows_of(f"EXPLAIN ESTIMATE {poll.text}", values)
    ]
    rows, granules = sum(row[2] for row in estimated), sum(row[3] for row in estimated)
    summary = f"one poll reads {granules:,} granules, {rows:,} rows"
    uses = serves(root) if head is not None else None
    if uses is False:
        return Plan(uses_index=False, text=text, advice=_advice(reading, relation, estimated, text), summary=summary)
    return Plan(uses_index=uses, text=text, summary=summary if uses else "")


def _before(reading: ClickHouseReading, relation: Relation, head: str) -> Position:
    """Right before the highest cursor, where a poll has one row to read: behind it, none is left in any order."""
    column = described(relation, relation.cursor)
    if column.family in ("timestamp", "instant", "date"):
        zone = time_zone(relation.timezone if column.family == "timestamp" else "UTC")
        return Position(reading.moment(epoch_ms(head, zone) - 1))
    return Position(str(int(head) - 1) if column.family == "integer" and head != "0" else head)


def serves(root: Node) -> bool | None:
    """Whether an index finds the poll's rows; None where the plan does not tell."""
    verdict = _verdict(root)
    return verdict == "found" if verdict in ("found", "searched") else {"nothing": True}.get(verdict)


def _verdict(node: Node) -> str:
    """`found` by an index, `searched` for everywhere, `nothing` left to read, or `unknown`."""
    kind, below = node["Node Type"], [_verdict(child) for child in node.get("Plans", [])]
    if not below:
        if kind in NOTHING:
            return "nothing"
        if kind.startswith("ReadFromMergeTree"):
            return "found" if _found(node.get("Indexes", [])) else "searched"
        return "unknown"
    if "Union" in kind:  # parts that have a projection, and those that have not
        return next((word for word in ("searched", "unknown", "found") if word in below), "nothing")
    if "Join" in kind:  # either side may be the table of the cursor; what is joined to it is read whole
        return next((word for word in ("found", "searched", "unknown") if word in below), "nothing")
    return below[0]


def _found(indexes: list[Node]) -> bool:
    """Few granules are left, or a small share by the order of the table; not by what is known of whole parts alone."""
    asked = [index for index in indexes if index.get("Condition", "true") != "true" and index["Type"] != "Statistics"]
    if not asked:
        return False
    total, left = int(asked[0].get("Initial Granules", 0)), int(asked[-1].get("Selected Granules", 0))
    return left <= FEW or (left <= SHARE * total and any(index["Type"] == "PrimaryKey" for index in asked))


def _advice(
    reading: ClickHouseReading, relation: Relation, estimated: list[tuple[str, str, int, int]], text: str
) -> str:
    """A projection in the order of the view; where the table's engine bars one, a table of changes of its own."""
    cursor = relation.cursor
    wanted = _sorted_by(text) or [cursor, *(name for name in relation.key if name != cursor)]
    tables = [_table(reading, *row[:2]) for row in sorted(estimated, key=lambda row: -row[2])]
    if not tables:
        return f"the table behind the view must be sorted by the column that becomes {cursor}: ORDER BY ({cursor}, …)"
    found = next((each for each in tables if wanted[0] in each.columns), tables[0])
    if wanted[0] not in found.columns:
        return (
            f"the view must pass a stored column of {found.name} through as {cursor}, and the table be sorted by it: "
            f"ALTER TABLE {found.name} ADD PROJECTION by_cursor (SELECT * ORDER BY that column)"
        )
    order = ", ".join(_quoted(name) for name in dict.fromkeys(wanted) if name in found.columns)
    if found.engine.removeprefix("Replicated").removeprefix("Shared") == "MergeTree":
        add = f"ADD PROJECTION by_cursor (SELECT * ORDER BY {order})"
        return f"ALTER TABLE {found.name} {add}, MATERIALIZE PROJECTION by_cursor;"
    feed = f"{found.name[:-1]}_feed`"
    return (
        f"CREATE MATERIALIZED VIEW {feed} ENGINE = MergeTree ORDER BY ({order}) AS SELECT * FROM {found.name}; "  # noqa: S608  - to be pasted
        f"-- then INSERT INTO {feed} SELECT * FROM {found.name}, and let the view read {feed}"
    )


def _sorted_by(text: str) -> list[str]:
    """What the plan sorts by, in the names of the tables behind the view; nothing from a server that does not tell."""
    told = max(re.findall(r"ort description: (.+)", text), key=len, default="")
    return [term.removesuffix(" ASC") for term in told.split(", ")] if told else []


class _Table(Struct, frozen=True):
    """What the user may know of a table."""

    name: str
    engine: str = ""
    columns: frozenset[str] = frozenset()


def _table(reading: ClickHouseReading, database: str, table: str) -> _Table:
    name = f"{_quoted(database)}.{_quoted(table)}"
    asked: dict[str, str | int] = {"d": database, "t": table}
    with suppress(SourceError):
        columns = frozenset(str(row[0]) for row in reading.rows_of(COLUMNS, asked))
        return _Table(name, next((str(row[0]) for row in reading.rows_of(TABLE, asked)), ""), columns)
    return _Table(name)


def _quoted(name: str) -> str:
    return literal(name, "`")
