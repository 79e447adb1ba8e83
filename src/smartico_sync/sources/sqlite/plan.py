"""Whether an index can serve the poll, judged from SQLite's own plan."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from smartico_sync.core.position import Position
from smartico_sync.sources.protocol import Plan
from smartico_sync.sources.sql.ddl import index_name
from smartico_sync.sources.sql.names import quoted

if TYPE_CHECKING:
    from smartico_sync.core.relation import Relation
    from smartico_sync.sources.sqlite.reading import SqliteReading

__all__ = ["explain"]

WALKED = re.compile(r"SCAN (?:\w+$|.* USING )")


def explain(reading: SqliteReading, after: Position | None, limit: int) -> Plan:
    """Explain the page after this position, or, from the start, the page that a running poll reads at the head."""
    head = reading.head()  # also makes SQLite notice an index that has just been created
    after = Position(head) if after is None and head is not None else after
    lines = reading.steps(after, limit)
    loops = [line for line in lines if line.startswith(("SCAN", "SEARCH"))]
    sorts = any(line.startswith("USE TEMP B-TREE FOR ORDER BY") for line in lines)
    # From the start an index is walked through, or the table itself where the cursor is its row id.
    walked = (
        after is None and bool(loops) and WALKED.match(loops[0]) and not any("TEMP B-TREE" in line for line in lines)
    )
    searched = walked or (bool(loops) and loops[0].startswith("SEARCH"))
    if searched and not sorts:
        return Plan(uses_index=True, text="\n".join(lines))
    return Plan(uses_index=False, text="\n".join(lines), advice=_advice(reading, reading.relation, loops))


def _advice(reading: SqliteReading, relation: Relation, loops: list[str]) -> str:
    """CREATE INDEX on the table that the first loop walks through, when it stores the cursor itself."""
    found = re.match(r"(?:SCAN|SEARCH) (\w+)", loops[0]) if loops else None
    wanted = (relation.cursor, *relation.key)
    candidates = [found.group(1)] if found else []
    candidates += [row[0] for row in reading.ask("SELECT name FROM sqlite_master WHERE type = 'table'", {})]
    for table in dict.fromkeys(candidates):
        names = {row[0] for row in reading.ask("SELECT name FROM pragma_table_info(:table)", {"table": table})}
        if relation.cursor in names:
            columns = [name for name in dict.fromkeys(wanted) if name in names]
            return f"CREATE INDEX {quoted(index_name(table, columns))} ON {quoted(table)} ({', '.join(map(quoted, columns))});"
    return f"no table has a column {relation.cursor}: the view must pass one column through as its cursor; index that"
