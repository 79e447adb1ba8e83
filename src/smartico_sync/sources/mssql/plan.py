"""Whether an index can serve the poll, judged from SQL Server's own plan, or from its list of indexes."""

from __future__ import annotations

import xml.etree.ElementTree as ET
from contextlib import suppress
from typing import TYPE_CHECKING

from smartico_sync.errors import SourceError
from smartico_sync.sources.kit.failures import StatementFailed
from smartico_sync.sources.kit.positions import at_head
from smartico_sync.sources.mssql.failures import NOT_ALLOWED
from smartico_sync.sources.mssql.reading import FRESH
from smartico_sync.sources.mssql.session import declared
from smartico_sync.sources.mssql.types import MSSQL
from smartico_sync.sources.protocol import Plan
from smartico_sync.sources.sql import statements
from smartico_sync.sources.sql.advice import computed, index_unseen, unordered
from smartico_sync.sources.sql.ddl import index_name
from smartico_sync.sources.sql.names import quoted

if TYPE_CHECKING:
    from collections.abc import Iterator

    from smartico_sync.core.position import Position
    from smartico_sync.core.relation import Column, Relation
    from smartico_sync.sources.mssql.reading import MssqlReading
    from smartico_sync.sources.mssql.session import Session

__all__ = ["advice", "explain", "plan_text", "serves"]

SPACE = "{http://schemas.microsoft.com/sqlserver/2004/07/showplan}"
SEEKS = ("Index Seek", "Clustered Index Seek")
SCANS = ("Index Scan", "Clustered Index Scan")
# A small table is read whole, index or not. This asks what the optimizer could do, not what it would do today.
WILLING = " OPTION (FAST 1)"
BASE = """SELECT source_schema, source_table, source_column FROM sys.dm_exec_describe_first_result_set(@statement, NULL, 1)
 WHERE name = @column AND source_table IS NOT NULL"""
INDEXED = """SELECT i.name AS called, c.name AS first_column FROM sys.indexes AS i
 LEFT JOIN sys.index_columns AS k ON k.object_id = i.object_id AND k.index_id = i.index_id AND k.key_ordinal = 1
 LEFT JOIN sys.columns AS c ON c.object_id = k.object_id AND c.column_id = k.column_id
 WHERE i.object_id = OBJECT_ID(@table) AND i.is_disabled = 0 AND i.has_filter = 0"""
NO_SHOWPLAN = "the user may not see plans (GRANT SHOWPLAN TO the user)"


def explain(reading: MssqlReading, after: Position | None, limit: int) -> Plan:
    """Explain the page after this position, or, from the start, the page that a running poll reads at the head.

    A user who may not see plans may see indexes, at least of tables it has rights on.
    """
    session, relation, after = reading.session, reading.relation, at_head(reading, after)
    reading.end()
    statement, values = reading.poll_statement(after, limit)
    query = f"DECLARE {declared(values)}; {statement.text}"
    place = str(session.run("SELECT DB_NAME() AS place", "the plan").rows[0][0])
    try:
        today = _plan(session, query + FRESH)
        if serves(today, after):
            return Plan(uses_index=True, text=plan_text(today))
        willing = _plan(session, query + WILLING)
    except StatementFailed:
        return _listed(session, relation)
    if serves(willing, after):
        return Plan(uses_index=True, text=plan_text(today))
    return Plan(uses_index=False, text=plan_text(today), advice=advice(willing, relation, place))


def _plan(session: Session, query: str) -> ET.Element:
    """The topmost operator of a plan; StatementFailed where the user may not see it."""
    try:
        session.attempt("SET SHOWPLAN_XML ON", "the plan", expected=NOT_ALLOWED)
        rows = session.attempt(query, "the plan", expected=NOT_ALLOWED).rows
    finally:
        with suppress(SourceError):
            session.run("SET SHOWPLAN_XML OFF", "the plan")
    document = ET.fromstring(str(rows[0][0]))  # noqa: S314  - written by the database we read from
    root = document.find(f".//{SPACE}QueryPlan/{SPACE}RelOp")
    return document if root is None else root


def _children(operator: ET.Element) -> Iterator[ET.Element]:
    """The operators right below one."""
    for child in operator:
        if child.tag == f"{SPACE}RelOp":
            yield child
        else:
            yield from _children(child)


def _spine(operator: ET.Element) -> Iterator[ET.Element]:
    """From the top down to where the order comes from: an operator's first input, but for ranges that drive a seek."""
    yield operator
    below = [child for child in _children(operator) if not _is_range(child)]
    if below:
        yield from _spine(below[0])


def _is_range(operator: ET.Element) -> bool:
    kind = operator.get("PhysicalOp")
    if kind in ("Merge Interval", "Constant Scan"):
        return True
    below = list(_children(operator))
    return bool(below) and kind in ("Concatenation", "Compute Scalar", "Sort") and all(map(_is_range, below))


def serves(root: ET.Element, after: Position | None) -> bool:
    """Ordered by an index all the way: no sort above, and the position found inside the index."""
    spine = list(_spine(root))
    if any(operator.get("PhysicalOp") in ("Sort", "Hash Match") for operator in spine):
        return False
    return spine[-1].get("PhysicalOp") in (SEEKS if after is not None else SEEKS + SCANS)


def plan_text(root: ET.Element, depth: int = 0) -> str:
    """One line an operator, with what it reads."""
    read = [
        f"{each.get('Schema', '')}.{each.get('Table', '')} {each.get('Index', '')}".rstrip()
        for each in root.findall(f"{SPACE}*/{SPACE}Object")
    ]
    line = (
        f"{'  ' * depth}{root.get('LogicalOp') or root.get('PhysicalOp') or 'nothing to do'} {', '.join(read)}".rstrip()
    )
    return "\n".join([line, *(plan_text(child, depth + 1) for child in _children(root))])


def advice(root: ET.Element, relation: Relation, place: str) -> str:
    """CREATE INDEX on the base table, from the columns that the plan has to sort by."""
    sort = next((each for each in _spine(root) if each.get("PhysicalOp") == "Sort"), None)
    terms = [] if sort is None else list(sort.iterfind(f"*/{SPACE}OrderBy/{SPACE}OrderByColumn/{SPACE}ColumnReference"))
    if not terms:
        return unordered(relation, "any table")
    first = terms[0]
    if first.get("Table") is None:
        return computed(relation)
    names = [str(term.get("Column")) for term in terms if term.get("Table") == first.get("Table")]
    elsewhere = f"{first.get('Database')}." if first.get("Database") != _quoted(place) else ""
    return _create(f"{elsewhere}{first.get('Schema')}.{first.get('Table')}", names, relation)


def _listed(session: Session, relation: Relation) -> Plan:
    """Without the right to see plans: whether an index begins with the column behind the cursor."""
    unknown = Plan(
        uses_index=None,
        text=NO_SHOWPLAN,
        advice=index_unseen(relation),
    )
    with suppress(SourceError):
        base = session.run(
            BASE, "the plan", {"statement": statements.star(MSSQL, relation), "column": relation.cursor}
        ).rows
        if not base:
            return unknown
        schema, table, column = (str(part) for part in base[0])
        name = f"{_quoted(schema)}.{_quoted(table)}"
        indexes = session.run(INDEXED, "the plan", {"table": name}).rows
        if not indexes:
            return unknown
        leading = [called for called, first in indexes if first == column]
        if leading:
            return Plan(uses_index=True, text=f"{NO_SHOWPLAN}; index {leading[0]} of {name} begins with {column}")
        text = f"{NO_SHOWPLAN}; no index of {name} begins with {column}"
        return Plan(uses_index=False, text=text, advice=_create(name, [column, *relation.key], relation))
    return unknown


def _create(table: str, names: list[str], relation: Relation) -> str:
    columns = [name for name in dict.fromkeys(names) if not _long(relation, name)]
    called = index_name(table.rpartition(".[")[2].rstrip("]"), columns)
    return f"CREATE INDEX {_quoted(called)} ON {table} ({', '.join(map(_quoted, columns))});"


def _quoted(name: str) -> str:
    return quoted(name, "]", "[")


def _long(relation: Relation, name: str) -> bool:
    """No index takes a text of any length as its key."""
    column = relation.column(name)
    return column is not None and unindexed(column)


def unindexed(column: Column) -> bool:
    """Whether no index takes the column as its key."""
    return "(max)" in column.type or column.type in ("xml", "text", "ntext", "image")
