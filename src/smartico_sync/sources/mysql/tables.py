"""Keys, indexes and references of MySQL's tables."""

from __future__ import annotations

from typing import TYPE_CHECKING

from smartico_sync.sources.mysql.session import literal
from smartico_sync.sources.sql.names import dotted
from smartico_sync.sources.sql.structure import structures

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from smartico_sync.core.tables import Structure
    from smartico_sync.sources.mysql.session import Session
    from smartico_sync.sources.sql.structure import Fact

__all__ = ["ask_structures", "unindexed"]

# A prefix of a text (`SUB_PART`) gives no order. The server shows what the user has some right to.
VIEWS = "SELECT TABLE_SCHEMA, TABLE_NAME FROM information_schema.TABLES WHERE TABLE_TYPE = 'VIEW'"
INDEXES = """SELECT TABLE_SCHEMA, TABLE_NAME, INDEX_NAME, NON_UNIQUE, COLUMN_NAME FROM information_schema.STATISTICS
 WHERE SUB_PART IS NULL AND COLUMN_NAME IS NOT NULL ORDER BY 1, 2, 3, SEQ_IN_INDEX"""
REFERENCES = """SELECT TABLE_SCHEMA, TABLE_NAME, CONSTRAINT_NAME, COLUMN_NAME, REFERENCED_TABLE_SCHEMA, REFERENCED_TABLE_NAME,
 REFERENCED_COLUMN_NAME FROM information_schema.KEY_COLUMN_USAGE
 WHERE REFERENCED_TABLE_NAME IS NOT NULL ORDER BY 1, 2, 3, ORDINAL_POSITION"""

# Columns that no index holds whole: InnoDB takes 767 bytes of one, in its newer row formats 3072 where a server before 5.7 has
# `innodb_large_prefix` on; MyISAM takes 1000 of all.
UNINDEXED = """SELECT c.TABLE_SCHEMA, c.TABLE_NAME, c.COLUMN_NAME FROM information_schema.COLUMNS c
 JOIN information_schema.TABLES t ON t.TABLE_SCHEMA = c.TABLE_SCHEMA AND t.TABLE_NAME = c.TABLE_NAME
 WHERE t.TABLE_TYPE = 'BASE TABLE' AND c.CHARACTER_OCTET_LENGTH >
 CASE WHEN t.ENGINE <> 'InnoDB' THEN 1000 WHEN t.ROW_FORMAT IN ('Dynamic', 'Compressed') THEN {longest} ELSE 767 END"""
PREFIX = "SHOW VARIABLES LIKE 'innodb_large_prefix'"
SHORT, LONG = 767, 3072


def ask_structures(session: Session) -> Mapping[str, Structure]:
    """What the catalogue says."""
    return structures(_facts(session))


def unindexed(session: Session, schema: str = "", table: str = "") -> list[tuple[str, str, str]]:
    """Columns that no index holds whole, each with the schema and the table; of one table where it is given."""
    # Without the variable the server is one that always does.
    longest = SHORT if any(row[1] == "OFF" for row in session.run(PREFIX, "the server").rows) else LONG
    query = UNINDEXED.format(longest=longest)
    if table:
        query += f" AND c.TABLE_SCHEMA = {literal(schema)} AND c.TABLE_NAME = {literal(table)}"
    return [(row[0] or "", row[1] or "", row[2] or "") for row in session.run(query, "the server").rows]


def _facts(session: Session) -> Iterator[Fact]:
    for row in session.run(VIEWS, "the server").rows:
        yield dotted(row), "view", "", "", "", ""
    for schema, table, name, repeats, column in session.run(INDEXES, "the server").rows:
        what = "primary" if name == "PRIMARY" else "index" if repeats == "1" else "unique"
        yield dotted((schema, table)), what, name or "", column or "", "", ""
    for schema, table, column in unindexed(session):
        yield dotted((schema, table)), "unindexed", "", column, "", ""
    for schema, table, name, column, to_schema, to, target in session.run(REFERENCES, "the server").rows:
        yield (
            dotted((schema, table)), "reference", name or "", column or "", dotted((to_schema, to)), target or "",
        )  # fmt: skip
