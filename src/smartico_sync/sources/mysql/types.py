"""MySQL's types: which family each belongs to."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from pymysql.constants import FIELD_TYPE as TYPE
from pymysql.constants import FLAG

from smartico_sync.core.relation import Column
from smartico_sync.sources.sql.statements import LateAdapter

if TYPE_CHECKING:
    from smartico_sync.core.relation import Family

__all__ = ["MYSQL", "column_of"]

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


MYSQL = LateAdapter("smartico_sync.sources.mysql.dialect")
