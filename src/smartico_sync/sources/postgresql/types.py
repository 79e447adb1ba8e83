"""PostgreSQL's types: which family each belongs to."""

from __future__ import annotations

from typing import TYPE_CHECKING

from smartico_sync.core.relation import Column
from smartico_sync.sources.sql.statements import LateAdapter

if TYPE_CHECKING:
    from smartico_sync.core.relation import Family

__all__ = ["POSTGRESQL", "described", "family"]

FAMILIES: dict[str, Family] = {
    "int2": "integer", "int4": "integer", "int8": "integer", "oid": "integer",
    "numeric": "decimal", "money": "decimal", "float4": "float", "float8": "float",
    "bool": "boolean", "timestamp": "timestamp", "timestamptz": "instant", "date": "date",
    "uuid": "uuid", "json": "json", "jsonb": "json", "bytea": "binary",
    "text": "text", "varchar": "text", "bpchar": "text", "name": "text", "citext": "text", "char": "text",
    "hstore": "json",
}  # fmt: skip


def described(type_name: str, own: Family) -> Column:
    """A column of that type, yet without a name. Decimals are printed in digits, or as what no reading calls a value."""
    return Column("", type_name, own, "JSON numbers" if own == "decimal" else "anything")


def family(name: str, kind: str, category: str) -> Family:
    """The family of a type by `typname`, `typtype` and `typcategory` of pg_type (of the base type for a domain)."""
    if category == "A":
        return "array"
    if kind == "e":
        return "text"
    return FAMILIES.get(name, "other") if kind == "b" else "other"  # a composite type may be called `money`, too


POSTGRESQL = LateAdapter("smartico_sync.sources.postgresql.dialect")
