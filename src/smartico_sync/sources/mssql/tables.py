"""Keys, indexes and references of SQL Server's tables."""

from __future__ import annotations

from typing import TYPE_CHECKING

from smartico_sync.sources.sql.names import dotted
from smartico_sync.sources.sql.structure import structures

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from smartico_sync.core.tables import Structure
    from smartico_sync.sources.mssql.session import Session
    from smartico_sync.sources.sql.structure import Fact

__all__ = ["ask_structures"]

VIEWS = """SELECT s.name AS place, o.name AS called FROM sys.objects AS o JOIN sys.schemas AS s ON s.schema_id = o.schema_id
 WHERE o.type = 'V' AND o.is_ms_shipped = 0"""
# Filtered indexes serve some rows only; included columns, and those of a columnstore, have no place in an order.
INDEXES = """SELECT s.name AS place, o.name AS called, i.name AS told,
 CASE WHEN i.is_primary_key = 1 THEN 'primary' WHEN i.is_unique = 1 THEN 'unique' ELSE 'index' END AS what, c.name AS part
 FROM sys.indexes AS i JOIN sys.objects AS o ON o.object_id = i.object_id JOIN sys.schemas AS s ON s.schema_id = o.schema_id
 JOIN sys.index_columns AS k ON k.object_id = i.object_id AND k.index_id = i.index_id
 JOIN sys.columns AS c ON c.object_id = k.object_id AND c.column_id = k.column_id
 WHERE o.type = 'U' AND o.is_ms_shipped = 0 AND i.is_disabled = 0 AND i.has_filter = 0 AND k.key_ordinal > 0
 ORDER BY s.name, o.name, i.name, k.key_ordinal"""
REFERENCES = """SELECT s.name AS place, o.name AS called, f.name AS told, c.name AS part, s2.name AS place2, o2.name AS called2, c2.name AS part2
 FROM sys.foreign_keys AS f JOIN sys.foreign_key_columns AS k ON k.constraint_object_id = f.object_id
 JOIN sys.objects AS o ON o.object_id = f.parent_object_id JOIN sys.schemas AS s ON s.schema_id = o.schema_id
 JOIN sys.objects AS o2 ON o2.object_id = f.referenced_object_id JOIN sys.schemas AS s2 ON s2.schema_id = o2.schema_id
 JOIN sys.columns AS c ON c.object_id = k.parent_object_id AND c.column_id = k.parent_column_id
 JOIN sys.columns AS c2 ON c2.object_id = k.referenced_object_id AND c2.column_id = k.referenced_column_id
 ORDER BY s.name, o.name, f.name, k.constraint_column_id"""


def ask_structures(session: Session) -> Mapping[str, Structure]:
    """What the catalogue says of what the user may see."""
    return structures(_facts(session))


def _facts(session: Session) -> Iterator[Fact]:
    for row in session.run(VIEWS, "the server").rows:
        yield dotted(row), "view", "", "", "", ""
    for schema, table, name, what, column in session.run(INDEXES, "the server").rows:
        yield dotted((schema, table)), what or "", name or "", column or "", "", ""
    for schema, table, name, column, *to, target in session.run(REFERENCES, "the server").rows:
        yield dotted((schema, table)), "reference", name or "", column or "", dotted(to), target or ""
