"""Whether an index can serve the poll, judged from Oracle's own plan, or from its catalogue where plans are not shown."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Literal

from msgspec import Struct

from smartico_sync.errors import SourceCancelled, SourceError, SourceUnreachable
from smartico_sync.sources.kit.positions import at_head
from smartico_sync.sources.oracle.reading import filled
from smartico_sync.sources.oracle.types import ORACLE
from smartico_sync.sources.protocol import Plan
from smartico_sync.sources.sql.advice import unordered
from smartico_sync.sources.sql.ddl import index_name
from smartico_sync.sources.sql.names import constant, names_of, quoted_if_needed

if TYPE_CHECKING:
    from smartico_sync.core.position import Position
    from smartico_sync.core.relation import Relation
    from smartico_sync.sources.oracle.reading import OracleReading
    from smartico_sync.sources.oracle.session import Session

__all__ = ["NAME_LENGTH", "UNINDEXED", "Step", "advice", "explain", "serves"]

# A small table is read whole, index or not. The hints ask what the optimizer could do, not what it would do today.
PLAIN = "*/ SELECT "  # behind the comment that names the view
WILLING = "*/ SELECT /*+ FIRST_ROWS(1) OPT_PARAM('optimizer_index_cost_adj' 1) */ "
EXPLAIN = "EXPLAIN PLAN SET STATEMENT_ID = 'smartico-sync' FOR "
SHOWN = "SELECT PLAN_TABLE_OUTPUT FROM TABLE(DBMS_XPLAN.DISPLAY('PLAN_TABLE', 'smartico-sync', 'BASIC +PREDICATE'))"
STEPS = """SELECT OPERATION, OPTIONS, OBJECT_OWNER, OBJECT_NAME, OBJECT_ALIAS, PROJECTION
 FROM PLAN_TABLE WHERE STATEMENT_ID = 'smartico-sync' ORDER BY ID"""
TABLE = "SELECT TABLE_NAME FROM ALL_TABLES WHERE OWNER = {owner} AND TABLE_NAME = {table}"
INDEXES = """SELECT INDEX_NAME FROM ALL_IND_COLUMNS
 WHERE TABLE_OWNER = {owner} AND TABLE_NAME = {table} AND COLUMN_NAME = {column} AND COLUMN_POSITION = 1"""
SORTING = re.compile(r"(SORT (ORDER|GROUP|UNIQUE)|HASH (GROUP|UNIQUE)|WINDOW (SORT|BUFFER))(?!.*NOSORT)")
# `"U"."DT"[TIMESTAMP,11]`, or `INTERNAL_FUNCTION("U"."DT")[7]`
TERM = re.compile(r'(?:^|, )(?:INTERNAL_FUNCTION\()?((?:"[^"]+"\.)*"[^"]+")\)?\[')
NAME_LENGTH = 30  # before 12.2
UNINDEXED = frozenset({"CLOB", "NCLOB", "LONG", "JSON", "XMLTYPE"})
CAPITALS = re.compile(r"[A-Z][A-Z0-9_$#]*")


class Step(Struct, frozen=True):
    """One line of PLAN_TABLE."""

    operation: str
    options: str = ""
    owner: str = ""
    name: str = ""
    alias: str = ""
    projection: str = ""

    @property
    def place(self) -> str:
        """The table or index, as a statement names it."""
        return ".".join(_named(name) for name in (self.owner, self.name) if name)


def explain(reading: OracleReading, after: Position | None, limit: int) -> Plan:
    """Explain the page after this position, or, from the start, the page that a running poll reads at the head.

    A user who may read a view and not its tables may not see its plan, nor may anybody on some standbys; then the catalogue
    is asked for an index that begins with the cursor.
    """
    session, relation, after = reading.session, reading.relation, at_head(reading, after)
    query = filled(relation, *reading.poll_statement(after, limit))
    reading.end()  # a plan is written into a table of the session's own, which a read-only transaction may not
    try:
        text = "\n".join(row[0] or "" for row in _explained(session, query, reading.what, SHOWN))
        rows = _explained(session, query.replace(PLAIN, WILLING, 1), reading.what, STEPS)
    except (SourceUnreachable, SourceCancelled):
        raise
    except SourceError as refused:
        return _listed(session, relation, reading.what, refused)
    steps = [Step(*(value or "" for value in row)) for row in rows]
    if serves(steps, "start" if after is None else "position"):
        return Plan(uses_index=True, text=text)
    return Plan(uses_index=False, text=text, advice=advice(steps, relation))


def _explained(session: Session, query: str, what: str, question: str) -> list[tuple[str | None, ...]]:
    """One answer about the plan of a query; nothing of it stays."""
    try:
        session.execute(EXPLAIN + query, what)
        return session.execute(question, what)[1]
    finally:
        session.rollback(what)


def serves(steps: list[Step], begin: Literal["start", "position"]) -> bool:
    """Ordered by an index all the way: no sort, no table read whole, and the position found inside the index."""
    if any(SORTING.match(f"{step.operation} {step.options}") for step in steps):
        return False
    if any("ACCESS" in step.operation and "FULL" in step.options for step in steps):
        return False
    scans = [step.options for step in steps if step.operation == "INDEX"]
    wanted = ("RANGE SCAN", "UNIQUE SCAN", "FULL SCAN") if begin == "start" else ("RANGE SCAN", "UNIQUE SCAN")
    return bool(scans) and scans[0].startswith(wanted)


def advice(steps: list[Step], relation: Relation) -> str:
    """CREATE INDEX on the base table, found through the names in the sort's projection."""
    tables = {step.alias.partition("@")[0].strip('"'): step for step in steps if "ACCESS" in step.operation}
    terms = _sorted(steps)
    table = tables.get(terms[0][0]) if terms else None
    if table is not None:
        same = [column for alias, column in terms if alias == terms[0][0]]
        return _index(table.place, table.name, same)
    names = ", ".join(sorted({step.place for step in tables.values()})) or "the base table"
    return unordered(relation, names)


def _sorted(steps: list[Step]) -> list[tuple[str, str]]:
    """Alias and name of the columns by which a plan sorts; none where they are computed."""
    projection = next(
        (step.projection for step in steps if step.operation == "SORT" and "ORDER BY" in step.options), ""
    )
    keys = re.match(r"\(#keys=(\d+)\) ", projection)
    if keys is None:
        return []
    names = [re.findall(r'"([^"]+)"', term) for term in TERM.findall(projection[keys.end() :])]
    return [(parts[-2], parts[-1]) for parts in names[: int(keys.group(1))] if len(parts) > 1]


def _listed(session: Session, relation: Relation, what: str, refused: SourceError) -> Plan:
    """Without a plan: whether the relation is a table that the user sees, with an index that begins with the cursor."""
    text = f"the plan is not shown: {refused.message.rpartition(': ')[2]}"
    stored = ORACLE.dialect.denormalize_name
    columns = [stored(name) for name in (relation.cursor, *relation.key)]
    parts = [stored(part) for part in names_of(relation.relation or "")]
    owner = constant(parts[-2]) if len(parts) > 1 else "USER"
    asked = {"owner": owner, "table": constant(parts[-1] if parts else ""), "column": constant(columns[0])}
    if not session.execute(TABLE.format(**asked), what)[1]:
        plainly = f"if no index on ({', '.join(columns)}) exists, make one on the table that stores them"
        return Plan(uses_index=None, text=text, advice=plainly)
    if found := session.execute(INDEXES.format(**asked), what)[1]:
        return Plan(uses_index=True, text=f"{text}; the index {found[0][0]} begins with {columns[0]}")
    place = ".".join(map(_named, parts))
    return Plan(
        uses_index=False, text=f"{text}; no index begins with {columns[0]}", advice=_index(place, parts[-1], columns)
    )


def _index(place: str, table: str, columns: list[str]) -> str:
    name = index_name(table.replace('"', ""), (column.replace('"', "") for column in columns), NAME_LENGTH)
    return f"CREATE INDEX {_named(name)} ON {place} ({', '.join(map(_named, dict.fromkeys(columns)))});"


def _named(name: str) -> str:
    return quoted_if_needed(name, CAPITALS)
