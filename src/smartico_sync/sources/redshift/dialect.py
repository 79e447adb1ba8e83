"""How Redshift's statements are written.

Casts name their length: without one, Redshift cuts text to 256 bytes and rounds numbers to whole ones.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import sqlalchemy as sa
from sqlalchemy.dialects.postgresql.base import PGDialect

from smartico_sync.sources.sql.compiler import DialectAdapter, Named

if TYPE_CHECKING:
    from smartico_sync.core.relation import Column
    from smartico_sync.sources.sql.compiler import Expression

__all__ = ["ADAPTER", "RedshiftAdapter"]


class RedshiftAdapter(DialectAdapter):
    """Every value travels as the text the server prints, so none needs a cast to leave.

    Redshift comes from a PostgreSQL that compared row values wrongly, so it gets the order of all others, which also lets
    blocks be skipped.
    """

    dialect: sa.Dialect = PGDialect(paramstyle="named")  # type: ignore[no-untyped-call]

    def bind(self, column: Column, name: str) -> Expression:
        """The parameter, cast to the column's type; bytes are written in hexadecimal digits."""
        text: Expression = sa.bindparam(name, type_=sa.String())
        if column.family == "binary":
            return sa.func.from_hex(text)
        return text if column.type.startswith("type ") else sa.cast(text, Named(column.type))


ADAPTER = RedshiftAdapter()
