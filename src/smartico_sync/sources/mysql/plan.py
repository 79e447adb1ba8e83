"""Whether an index can serve the poll, judged from the server's own plan."""

from __future__ import annotations

from typing import TYPE_CHECKING

from smartico_sync.sources.kit.failures import StatementFailed
from smartico_sync.sources.kit.positions import at_head
from smartico_sync.sources.mysql.explained import FOUND, MANY, explained
from smartico_sync.sources.mysql.failures import NOT_ALLOWED
from smartico_sync.sources.mysql.rewritten import order_of
from smartico_sync.sources.mysql.session import literal
from smartico_sync.sources.mysql.tables import unindexed
from smartico_sync.sources.protocol import Plan
from smartico_sync.sources.sql import advice
from smartico_sync.sources.sql.ddl import index_name
from smartico_sync.sources.sql.names import quoted

if TYPE_CHECKING:
    from collections.abc import Sequence

    from smartico_sync.core.position import Position
    from smartico_sync.core.relation import Relation
    from smartico_sync.sources.mysql.reading import MySQLReading
    from smartico_sync.sources.mysql.rewritten import Column
    from smartico_sync.sources.mysql.session import Session

__all__ = ["UNINDEXED", "explain"]

SORTS = ("Using filesort", "Using temporary")
UNINDEXED = ("text", "blob", "json", "geometry")  # MySQL indexes only prefixes of these
EVERY_QUERY = (
    "; MySQL before 5.7 does so with every `query:`, so make it a view there, and name that as the `relation:`"
)
SUBQUERIES = "; MySQL before 5.7 does so for a subquery among the columns, too"
KIND = "SELECT table_type FROM information_schema.tables WHERE table_schema = {} AND table_name = {}"
LONG = (
    "{columns} is a long text, which no index holds whole, so each page sorts all rows after the cursor: store it as a shorter VARCHAR, or "
    "leave it out of `key:` where a row is told apart without it"
)
WORDS = {"id", "select_type", "table", "type", "possible_keys", "key", "rows", "Extra"}


def explain(reading: MySQLReading, after: Position | None, limit: int) -> Plan:
    """Explain the page after this position, or, from the start, the page that a running poll reads at the head.

    A user who may read a view and not its tables may not see its plan; then the work that one page makes is counted.
    """
    session, relation, after = reading.session, reading.relation, at_head(reading, after)
    statement, values = reading.poll_statement(after, limit)
    query = statement.filled(literal, values)
    try:
        steps, rewritten = explained(session, query)
    except StatementFailed:
        return _counted(session, relation, query)
    text = "\n".join(_line(step) for step in steps)
    first, sorts = steps[0], any(word in (step.get("Extra") or "") for step in steps for word in SORTS)
    kind = first.get("type") or ""
    found = kind in FOUND or (kind == "index" and after is None) or "Impossible" in (first.get("Extra") or "")
    if found and not sorts and not (first.get("table") or "").startswith("<"):
        return Plan(uses_index=True, text=text)
    if relation.query is not None and (first.get("table") or "").startswith("<derived"):
        return Plan(uses_index=False, text=text, advice=advice.computed_first(relation, EVERY_QUERY))
    order = order_of(rewritten)
    if not order or not order[0].name:
        return Plan(uses_index=False, text=text, advice=advice.computed(relation))
    long = _long(session, order, relation)
    if _there(session, order, long):
        if max(int(step.get("rows") or MANY) for step in steps) < MANY:
            return Plan(uses_index=None, text=text)  # a few rows are read through and sorted, index or not
        if long:
            return Plan(uses_index=False, text=text, advice=LONG.format(columns=", ".join(sorted(long))))
    return Plan(uses_index=False, text=text, advice=_advice(session, order, relation, first.get("key"), long))


def _line(step: dict[str, str | None]) -> str:
    return "  ".join(f"{name}={value}" for name, value in step.items() if name in WORDS and value is not None)


def _counted(session: Session, relation: Relation, query: str) -> Plan:
    """Read the page, and tell from the session's own counters how many rows the server touched for it."""
    counters = "SHOW SESSION STATUS WHERE Variable_name IN ('Handler_read_rnd_next', 'Sort_rows')"
    session.run(counters, "the plan")
    idle = session.run(counters, "the plan").pairs
    before = session.run(counters, "the plan").pairs
    given = len(session.run(query, "the plan").rows)
    after = session.run(counters, "the plan").pairs
    # The counters count the reading of themselves as well.
    scanned, sort = (after[name] - 2 * before[name] + idle[name] for name in ("Handler_read_rnd_next", "Sort_rows"))
    text = (
        f"the user may not EXPLAIN the view (that takes SHOW VIEW, and SELECT on its tables); one page of {given} rows made the "
        f"server scan {scanned} rows without an index and sort {sort}"
    )
    if not sort and not scanned:
        return Plan(uses_index=True, text=text)
    # A few rows are scanned, index or not.
    return Plan(
        uses_index=False if max(scanned, sort) > MANY else None, text=text, advice=advice.index_unseen(relation)
    )


def _advice(
    session: Session, order: Sequence[Column], relation: Relation, index: str | None, long: frozenset[str]
) -> str:
    """CREATE INDEX on the base table, from the columns that the rewritten statement sorts by, without the `long` ones.

    `index`: the one that is used already.
    """
    cursor = order[0]
    if session.run(KIND.format(literal(cursor.database), literal(cursor.table)), "the plan").rows != [("BASE TABLE",)]:
        return advice.computed_first(relation, SUBQUERIES)
    if any(column.alias != cursor.alias for column in order):
        return advice.elsewhere(relation, _table(cursor))
    same = _own(order)
    if index and len(same) < len(order):
        return (
            f"{advice.listed(relation)} are one column of {cursor.table}, which this server sorts once more for every page: let "
            f"the view show it once, or write `key: {relation.cursor}` before the view is tracked"
        )
    columns = [name for name in same if name not in long]
    name = index_name(cursor.table, columns).replace("`", "")
    return f"CREATE INDEX {_quoted(name)} ON {_table(cursor)} ({', '.join(map(_quoted, columns))});"


def _own(order: Sequence[Column]) -> list[str]:
    """The columns among them of the table that the first is of, which an index of it can put in order; each once."""
    return list(dict.fromkeys(column.name for column in order if column.alias == order[0].alias))


def _there(session: Session, order: Sequence[Column], long: frozenset[str]) -> bool:
    """Whether the index that would be advised is there already."""
    found: dict[str, list[str]] = {}
    for row in _asked(session, order, "SHOW INDEX FROM"):
        found.setdefault(row["Key_name"] or "", []).append(row["Column_name"] or "")
    wanted = [name for name in _own(order) if name not in long]
    return bool(wanted) and any(columns[: len(wanted)] == wanted for columns in found.values())


def _long(session: Session, order: Sequence[Column], relation: Relation) -> frozenset[str]:
    """Columns among them that no index holds whole, as their table calls them."""
    told = {row["Field"] or "": row["Type"] or "" for row in _asked(session, order, "SHOW COLUMNS FROM")}
    told = told or {column.name: column.type for column in relation.columns}
    known = {name for *_, name in unindexed(session, order[0].database, order[0].table)}
    return frozenset(name for name in _own(order) if name in known or told.get(name, "").endswith(UNINDEXED))


def _asked(session: Session, order: Sequence[Column], what: str) -> list[dict[str, str | None]]:
    """What the server says of the table whose column comes first in the order, which is a stored one; nothing where the user may not ask."""
    try:
        answer = session.attempt(f"{what} {_table(order[0])}", "the plan", expected=NOT_ALLOWED)
    except StatementFailed:
        return []
    return [dict(zip(answer.names, row, strict=True)) for row in answer.rows]


def _table(column: Column) -> str:
    return f"{_quoted(column.database)}.{_quoted(column.table)}"


def _quoted(name: str) -> str:
    return quoted(name, "`")
