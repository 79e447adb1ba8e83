"""How PostgreSQL's statements are written, and what a page selects for a type."""

from __future__ import annotations

from typing import TYPE_CHECKING

import sqlalchemy as sa
from sqlalchemy.dialects.postgresql.base import PGDialect

from smartico_sync.sources.sql.compiler import DialectAdapter, Named

if TYPE_CHECKING:
    from smartico_sync.core.relation import Column
    from smartico_sync.sources.sql.compiler import Expression

__all__ = ["ADAPTER", "PostgresAdapter"]


class PostgresAdapter(DialectAdapter):
    """Pages travel as CSV, so every type arrives as the text the server prints; only few need a cast."""

    dialect: sa.Dialect = PGDialect(paramstyle="pyformat")  # type: ignore[no-untyped-call]

    def bind(self, column: Column, name: str) -> Expression:
        """The text becomes a constant of the column's own type, which the planner can estimate and match to an index."""
        return sa.cast(sa.bindparam(name, type_=sa.String()), Named(column.type))

    def project(self, column: Column, expression: Expression) -> Expression:
        """Arrays and key-value pairs become JSON, money loses its currency sign, char(n) its padding."""
        # As `format_type` writes it: behind its schema, where that is not searched, and maybe in quotes.
        match column.family, column.type.rpartition(".")[2].strip('"'):
            case "array", _:
                return sa.func.to_json(expression)
            case "json", "hstore":
                return sa.cast(expression, Named("json"))
            case "decimal", "money":
                return sa.cast(expression, sa.Numeric())
            case "text", "bpchar":
                return sa.cast(expression, sa.Text())
            case _:
                return expression

    def position(self, column: Column, expression: Expression) -> Expression | None:
        """A projected column still is itself in a position."""
        return None if self.project(column, expression) is expression else sa.cast(expression, sa.Text())

    def order(self, above: tuple[Expression, ...], binds: tuple[Expression, ...]) -> Expression:
        """Row values: an index on the cursor alone serves them, one on cursor and key serves them fully."""
        return sa.tuple_(*above) > sa.tuple_(*binds)


ADAPTER = PostgresAdapter()
