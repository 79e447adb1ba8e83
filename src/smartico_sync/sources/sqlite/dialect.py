"""How SQLite's statements are written."""

from __future__ import annotations

from typing import TYPE_CHECKING

import sqlalchemy as sa
from sqlalchemy.dialects.sqlite.base import SQLiteDialect

from smartico_sync.sources.sql.compiler import DialectAdapter

if TYPE_CHECKING:
    from smartico_sync.core.relation import Column
    from smartico_sync.sources.sql.compiler import Expression

__all__ = ["ADAPTER", "SqliteAdapter"]


class SqliteAdapter(DialectAdapter):
    """SQLite compares by the column's affinity; parameters arrive as Python values of the column's family."""

    dialect: sa.Dialect = SQLiteDialect(paramstyle="named")

    def bind(self, column: Column, name: str) -> Expression:  # noqa: ARG002  - see `types.stored`
        """The parameter as it is."""
        return sa.bindparam(name)


ADAPTER = SqliteAdapter()
