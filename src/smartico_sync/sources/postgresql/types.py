"""PostgreSQL's types: which family each belongs to, and what a page selects for it."""

from __future__ import annotations

from typing import TYPE_CHECKING

import sqlalchemy as sa
from sqlalchemy.dialects.postgresql.base import PGDialect

from smartico_sync.sources.sql.statements import DialectAdapter, Named

if TYPE_CHECKING:
    from smartico_sync.core.relation import Column, Family
    from smartico_sync.sources.sql.statements import Expression

__all__ = ["POSTGRESQL", "PostgresAdapter", "family"]

FAMILIES: dict[str, Family] = {
    "int2": "integer", "int4": "integer", "int8": "integer", "oid": "integer",
    "numeric": "decimal", "money": "decimal", "float4": "float", "float8": "float",
    "bool": "boolean", "timestamp": "timestamp", "timestamptz": "instant", "date": "date",
    "uuid": "uuid", "json": "json", "jsonb": "json", "bytea": "binary",
    "text": "text", "varchar": "text", "bpchar": "text", "name": "text", "citext": "text", "char": "text",
    "hstore": "json",
}  # fmt: skip


def family(name: str, kind: str, category: str) -> Family:
    """The family of a type by `typname`, `typtype` and `typcategory` of pg_type (of the base type for a domain)."""
    if category == "A":
        return "array"
    if kind == "e":
        return "text"
    return FAMILIES.get(name, "other")


class PostgresAdapter(DialectAdapter):
    """Pages travel as CSV, so every type arrives as the text the server prints; only few need a cast."""

    dialect: sa.Dialect = PGDialect(paramstyle="pyformat")  # type: ignore[no-untyped-call]

    def bind(self, column: Column, name: str) -> Expression:
        """The text becomes a constant of the column's own type, which the planner can estimate and match to an index."""
        return sa.cast(sa.bindparam(name, type_=sa.String()), Named(column.type))

    def project(self, column: Column, expression: Expression) -> Expression:
        """Arrays and key-value pairs become JSON, money loses its currency sign, char(n) its padding."""
        match column.family, column.type:
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


POSTGRESQL = PostgresAdapter()
