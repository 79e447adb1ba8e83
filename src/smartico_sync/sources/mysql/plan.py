"""Whether an index can serve the poll, judged from the server's own plan."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from smartico_sync.sources.kit.failures import StatementFailed
from smartico_sync.sources.kit.positions import at_head
from smartico_sync.sources.mysql.explained import FOUND, MANY, explained
from smartico_sync.sources.mysql.failures import NOT_ALLOWED
from smartico_sync.sources.mysql.session import literal
from smartico_sync.sources.protocol import Plan

if TYPE_CHECKING:
    from collections.abc import Sequence

    from smartico_sync.core.position import Position
    from smartico_sync.core.relation import Relation
    from smartico_sync.sources.mysql.reading import MySQLReading
    from smartico_sync.sources.mysql.session import Session

__all__ = ["UNINDEXED", "explain"]

SORTS = ("Using filesort", "Using temporary")
NAME = r"`((?:[^`]|``)+)`"
UNINDEXED = ("text", "blob", "json", "geometry")  # MySQL indexes only prefixes of these
BUILT_FIRST = (
    "the server computes the whole query for each page: write it without GROUP BY, DISTINCT, UNION and LIMIT; "
    "MySQL before 5.7 does so with every `query:`, so make it a view there, and name that as the `relation:`"
)
LONG = (
    "{columns} is a long text, which no index holds whole, so each page sorts all rows after the cursor: store it as VARCHAR, or "
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
        return Plan(uses_index=False, text=text, advice=BUILT_FIRST)
    long = _long(session, rewritten, relation)
    if _there(session, rewritten, long):
        if max(int(step.get("rows") or MANY) for step in steps) < MANY:
            return Plan(uses_index=None, text=text)  # a few rows are read through and sorted, index or not
        if long:
            return Plan(uses_index=False, text=text, advice=LONG.format(columns=", ".join(sorted(long))))
    return Plan(uses_index=False, text=text, advice=_advice(rewritten, relation, first.get("key"), long))


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
    return Plan(uses_index=False if max(scanned, sort) > MANY else None, text=text, advice=_plainly(relation))


def _plainly(relation: Relation) -> str:
    listed = ", ".join((relation.cursor, *relation.key))
    return f"if no index on ({listed}) exists, make one on the table that stores them"


def _advice(rewritten: str, relation: Relation, index: str | None, long: frozenset[str]) -> str:
    """CREATE INDEX on the base table, from the ORDER BY of the rewritten statement, without its `long` columns.

    `index`: the one that is used already.
    """
    bare = ", ".join((relation.cursor, *relation.key))
    terms = _order(rewritten)
    if not terms or terms[0] is None:
        return f"the view computes {relation.cursor}: select a stored column instead, and index it with {bare}"
    (alias, cursor), same = terms[0], _own(terms)
    table = _table(rewritten, alias)
    if table is None:
        return f"no index gives the order of {bare}: the view must pass an indexed column of one table through as its cursor"
    if index and len(same) < len(terms) and all(term is not None and term[0] == alias for term in terms):
        return (
            f"{bare} are one column of {table[1]}, which this server sorts once more for every page: let the view show it "
            f"once, or write `key: {relation.cursor}` before the view is tracked"
        )
    listed = ", ".join(f"`{name}`" for name in same if name not in long)
    name = f"{table[1]}_{cursor}".replace("`", "")
    return f"CREATE INDEX `{name}` ON `{table[0]}`.`{table[1]}` ({listed});"


def _order(rewritten: str) -> list[tuple[str, str] | None]:
    """(alias, column) of each term that the rewritten statement sorts by; None for what is no column."""
    order = rewritten.rpartition(" order by ")[2].partition(" limit ")[0]
    found = [re.fullmatch(rf"(?:{NAME}\.)?{NAME}\.{NAME}", term.strip()) for term in order.split(",") if order]
    return [None if term is None else (term.group(2), term.group(3)) for term in found]


def _own(terms: Sequence[tuple[str, str] | None]) -> list[str]:
    """The columns among them of the table that the first is of, which an index of it can put in order; each once."""
    first = terms[0]
    return list(
        dict.fromkeys(term[1] for term in terms if first is not None and term is not None and term[0] == first[0])
    )


def _there(session: Session, rewritten: str, long: frozenset[str]) -> bool:
    """Whether the index that would be advised is there already."""
    found: dict[str, list[str]] = {}
    for row in _asked(session, rewritten, "SHOW INDEX FROM"):
        found.setdefault(row["Key_name"] or "", []).append(row["Column_name"] or "")
    wanted = [name for name in _own(_order(rewritten)) if name not in long]
    return bool(wanted) and any(columns[: len(wanted)] == wanted for columns in found.values())


def _long(session: Session, rewritten: str, relation: Relation) -> frozenset[str]:
    """Columns that the rewritten statement sorts by and no index holds whole, as their table calls them."""
    told = {row["Field"] or "": row["Type"] or "" for row in _asked(session, rewritten, "SHOW COLUMNS FROM")}
    told = told or {column.name: column.type for column in relation.columns}
    return frozenset(name for name in _own(_order(rewritten)) if told.get(name, "").endswith(UNINDEXED))


def _asked(session: Session, rewritten: str, what: str) -> list[dict[str, str | None]]:
    """What the server says of the table whose column comes first in the order; nothing where the user may not ask."""
    terms = _order(rewritten)
    table = _table(rewritten, terms[0][0]) if terms and terms[0] else None
    if table is None:
        return []
    try:
        answer = session.attempt(f"{what} `{table[0]}`.`{table[1]}`", "the plan", expected=NOT_ALLOWED)
    except StatementFailed:
        return []
    return [dict(zip(answer.names, row, strict=True)) for row in answer.rows]


def _table(rewritten: str, alias: str) -> tuple[str, str] | None:
    """`database`.`table` behind an alias of the FROM clause."""
    source = rewritten.rpartition(" from ")[2]
    for found in re.finditer(rf"{NAME}\.{NAME}(?: {NAME})?", source):
        database, table, called = found.groups()
        if (called or table) == alias:
            return database, table
    return None
