"""Snowflake's types: which family each belongs to, and how names and values are written."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

import sqlalchemy as sa
from snowflake.connector.constants import FIELD_ID_TO_NAME  # type: ignore[attr-defined]  # documented, not listed
from sqlalchemy.engine.default import DefaultDialect

from smartico_sync.core.relation import Column
from smartico_sync.sources.sql.compiler import DialectAdapter, Named
from smartico_sync.sources.sql.names import CapitalNames

if TYPE_CHECKING:
    from smartico_sync.core.relation import Family
    from smartico_sync.sources.sql.compiler import Expression

__all__ = ["SNOWFLAKE", "SnowflakeAdapter", "column_of"]

FAMILIES: dict[str, Family] = {
    "REAL": "float", "TEXT": "text", "BOOLEAN": "boolean", "DATE": "date", "BINARY": "binary",
    "TIMESTAMP_NTZ": "timestamp", "TIMESTAMP_LTZ": "instant", "TIMESTAMP_TZ": "instant",
    "VARIANT": "json", "OBJECT": "json", "MAP": "json", "GEOGRAPHY": "json", "GEOMETRY": "json",
    "ARRAY": "array", "VECTOR": "array",
}  # fmt: skip
MOST_DIGITS = 38  # of a NUMBER
AS_TEXT = ("TIME", "DECFLOAT", "FILE", "INTERVAL_YEAR_MONTH", "INTERVAL_DAY_TIME")  # the driver would cut their digits
EVERY_DIGIT: Expression = sa.literal_column("'YYYY-MM-DD HH24:MI:SS.FF9'")


def column_of(described: Any) -> Column:
    """The column that an entry of a cursor's description tells of."""
    name = SNOWFLAKE.dialect.normalize_name(described.name)
    word = FIELD_ID_TO_NAME.get(described.type_code, "TEXT")
    if word != "FIXED":
        return Column(name, word, FAMILIES.get(word, "other"))
    if described.scale is None:
        return Column(name, "DECFLOAT", "decimal")
    return Column(name, f"NUMBER({MOST_DIGITS},{described.scale})", "decimal" if described.scale else "integer")


class _Dialect(CapitalNames, DefaultDialect):
    plain = re.compile(r"[a-z_][a-z0-9_$]*")


class SnowflakeAdapter(DialectAdapter):
    """Parameters become constants in the text: an idle poll repeats itself to the letter, and is answered from the result cache."""

    dialect: sa.Dialect = _Dialect(paramstyle="pyformat")

    def bind(self, column: Column, name: str) -> Expression:
        """A constant of the column's own type, which partitions can be pruned by."""
        text: Expression = sa.bindparam(name, type_=sa.String())
        match column.family, column.type:
            case "timestamp" | "instant", _:
                return sa.cast(text, Named(f"{column.type}(9)"))
            case "binary", _:
                return sa.func.to_binary(text, sa.literal_column("'HEX'"))
            case "json" | "array", _:
                return sa.func.parse_json(text)
            case "text", _:
                return text
            case _:
                return sa.cast(text, Named(column.type))

    def project(self, column: Column, expression: Expression) -> Expression:
        """Itself, but for what the driver cannot carry with all its digits."""
        return sa.cast(expression, sa.String()) if column.type in AS_TEXT else expression

    def position(self, column: Column, expression: Expression) -> Expression | None:
        """Times as text of nine digits: the driver hands over six."""
        match column.family:
            case "timestamp":
                return sa.func.to_varchar(expression, EVERY_DIGIT)
            case "instant":
                utc = sa.func.to_varchar(sa.func.convert_timezone(sa.literal_column("'UTC'"), expression), EVERY_DIGIT)
                return utc.op("||")(sa.literal_column("'+00:00'"))
            case _:
                return None


SNOWFLAKE = SnowflakeAdapter()
