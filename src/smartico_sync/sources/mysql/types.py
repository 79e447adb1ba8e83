"""MySQL's types: which family each belongs to, and how a position's text becomes a value of it again."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import sqlalchemy as sa
from pymysql.constants import FIELD_TYPE as TYPE
from pymysql.constants import FLAG
from sqlalchemy.dialects.mysql import BIGINT, DATETIME
from sqlalchemy.dialects.mysql.base import MySQLDialect

from smartico_sync.core.relation import Column
from smartico_sync.sources.sql.compiler import DialectAdapter

if TYPE_CHECKING:
    from smartico_sync.core.relation import Family
    from smartico_sync.sources.sql.compiler import Expression

__all__ = ["MYSQL", "MySQLAdapter", "column_of"]

BINARY = 63  # the character set of bytes, and of numbers and times
INTEGERS = {
    TYPE.TINY: "tinyint", TYPE.SHORT: "smallint", TYPE.INT24: "mediumint", TYPE.LONG: "int", TYPE.LONGLONG: "bigint",
}  # fmt: skip
TEXTS = {TYPE.STRING: "char", TYPE.VARCHAR: "varchar", TYPE.VAR_STRING: "varchar"}
BLOBS = (TYPE.TINY_BLOB, TYPE.MEDIUM_BLOB, TYPE.LONG_BLOB, TYPE.BLOB)
OTHERS: dict[int, tuple[str, Family]] = {
    TYPE.YEAR: ("year", "integer"), TYPE.FLOAT: ("float", "float"), TYPE.DOUBLE: ("double", "float"),
    TYPE.DATE: ("date", "date"), TYPE.NEWDATE: ("date", "date"), TYPE.TIME: ("time", "other"),
    TYPE.DATETIME: ("datetime", "timestamp"), TYPE.TIMESTAMP: ("timestamp", "instant"),
    TYPE.JSON: ("json", "json"), TYPE.GEOMETRY: ("geometry", "other"),
}  # fmt: skip
MOST_DIGITS = 65  # of a DECIMAL
MOST_DECIMALS = 30


def column_of(field: Any) -> Column:
    """The column a field of a result set describes; works through views, and for expressions."""
    name, code, flags = field.name, field.type_code, field.flags
    if flags & (FLAG.ENUM | FLAG.SET):
        return Column(name, "enum" if flags & FLAG.ENUM else "set", "text")
    if code in INTEGERS:
        if code == TYPE.TINY and field.length == 1:
            return Column(name, "tinyint(1)", "boolean")  # what BOOLEAN is short for
        return Column(name, INTEGERS[code] + (" unsigned" if flags & FLAG.UNSIGNED else ""), "integer")
    if code == TYPE.BIT:
        return Column(name, f"bit({field.length})", "boolean" if field.length == 1 else "integer")
    if code in (TYPE.DECIMAL, TYPE.NEWDECIMAL):
        return Column(name, f"decimal({field.scale})", "decimal")
    if code in TEXTS:
        return Column(name, "binary", "binary") if field.charsetnr == BINARY else Column(name, TEXTS[code], "text")
    if code in BLOBS:
        return Column(name, "blob", "binary") if field.charsetnr == BINARY else Column(name, "text", "text")
    word, family = OTHERS.get(code, ("unknown", "other"))
    return Column(name, word, family)


class MySQLAdapter(DialectAdapter):
    """Values travel as the text the server prints; few need a cast to have one.

    Row values would be compared row by row; the order of all engines is a range of the index.
    """

    dialect: sa.Dialect = MySQLDialect(paramstyle="pyformat")

    def bind(self, column: Column, name: str) -> Expression:
        """A constant of the column's own type: compared exactly, and found by an index."""
        text: Expression = sa.bindparam(name, type_=sa.String())
        match column.family, column.type.partition("(")[0]:
            case _, "enum" | "set":
                return sa.cast(text, BIGINT(unsigned=True))
            case "integer" | "boolean", word:
                return sa.cast(text, BIGINT(unsigned="unsigned" in word or word in ("bit", "year")))
            case "decimal", _:
                return sa.cast(text, sa.DECIMAL(MOST_DIGITS, _scale(column)))
            case "float", _:
                return text.op("+")(sa.literal_column("0e0"))
            case "timestamp" | "instant" | "date", _:
                # Six digits whatever the column keeps: a finer moment is not rounded into the future.
                return sa.cast(text, DATETIME(fsp=6))
            case "binary", _:
                return sa.func.unhex(text)
            case _:
                return text

    def project(self, column: Column, expression: Expression) -> Expression:
        """Bytes travel as hexadecimal digits, bits as a number; a float as the double that it is."""
        match column.type.partition("(")[0]:
            case "bit":
                return expression.op("+")(sa.literal_column("0"))
            case "float":
                return expression.op("+")(sa.literal_column("0e0"))
            case "binary" | "blob":
                return sa.func.hex(expression)
            case "geometry":
                return sa.func.st_astext(expression)
            case _:
                return expression

    def position(self, column: Column, expression: Expression) -> Expression | None:
        """ENUM and SET are ordered by number, so their number is what a position holds."""
        return expression.op("+")(sa.literal_column("0")) if column.type in ("enum", "set") else None


def _scale(column: Column) -> int:
    return min(int(column.type.partition("(")[2].rstrip(")") or 0), MOST_DECIMALS)


MYSQL = MySQLAdapter()
