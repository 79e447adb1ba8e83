"""Keys, indexes and references of MySQL's tables."""

from __future__ import annotations

from typing import TYPE_CHECKING

from smartico_sync.sources.sql.names import dotted
from smartico_sync.sources.sql.structure import structures

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from smartico_sync.core.tables import Structure
    from smartico_sync.sources.mysql.session import Session
    from smartico_sync.sources.sql.structure import Fact

__all__ = ["ask_structures"]

# A prefix of a text (`SUB_PART`) gives no order. The server shows what the user has some right to.
VIEWS = "SELECT TABLE_SCHEMA, TABLE_NAME FROM information_schema.TABLES WHERE TABLE_TYPE = 'VIEW'"
INDEXES = """SELECT TABLE_SCHEMA, TABLE_NAME, INDEX_NAME, NON_UNIQUE, COLUMN_NAME FROM information_schema.STATISTICS
 WHERE SUB_PART IS NULL AND COLUMN_NAME IS NOT NULL ORDER BY 1, 2, 3, SEQ_IN_INDEX"""
REFERENCES = """SELECT TABLE_SCHEMA, TABLE_NAME, CONSTRAINT_NAME, COLUMN_NAME, REFERENCED_TABLE_SCHEMA, REFERENCED_TABLE_NAME,
 REFERENCED_COLUMN_NAME FROM information_schema.KEY_COLUMN_USAGE
 WHERE REFERENCED_TABLE_NAME IS NOT NULL ORDER BY 1, 2, 3, ORDINAL_POSITION"""


def ask_structures(session: Session) -> Mapping[str, Structure]:
    """What the catalogue says."""
    return structures(_facts(session))


def _facts(session: Session) -> Iterator[Fact]:
    for row in session.run(VIEWS, "the server").rows:
        yield dotted(row), "view", "", "", "", ""
    for schema, table, name, repeats, column in session.run(INDEXES, "the server").rows:
        what = "primary" if name == "PRIMARY" else "index" if repeats == "1" else "unique"
        yield dotted((schema, table)), what, name or "", column or "", "", ""
    for schema, table, name, column, to_schema, to, target in session.run(REFERENCES, "the server").rows:
        yield (
            dotted((schema, table)), "reference", name or "", column or "", dotted((to_schema, to)), target or "",
        )  # fmt: skip
