"""Oracle's types: which family each belongs to, and how its values travel without losing a digit.

The driver's Arrow path makes a Python datetime of each time: digits behind the sixth are lost, a year before 1 ends the
whole page, and a zone by name is refused. A NUMBER without declared digits becomes a float there. So these travel as the
text that the server prints, and everything else as the driver has it.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import oracledb
import sqlalchemy as sa
from sqlalchemy.dialects.oracle.base import OracleDialect

from smartico_sync.core.relation import Column
from smartico_sync.sources.sql.compiler import DialectAdapter, Named
from smartico_sync.sources.sql.names import CapitalNames

if TYPE_CHECKING:
    from collections.abc import Callable

    from smartico_sync.core.relation import Family
    from smartico_sync.sources.sql.compiler import Expression

__all__ = ["NATIONAL", "OBJECT", "ORACLE", "OracleAdapter", "column_of", "stamp", "word"]

MOST_DIGITS = 38  # of a NUMBER that has declared digits
SHORT_FRACTION, LONG_FRACTION = 6, 9
NATIONAL = ("NCHAR", "NVARCHAR2")  # in a character set of their own, which may hold more than the database's
OBJECT = "OBJECT"  # the type of what is no value, whatever its own is called
TYPES: dict[str, tuple[str, Family]] = {
    "DB_TYPE_BINARY_DOUBLE": ("BINARY_DOUBLE", "float"), "DB_TYPE_BINARY_FLOAT": ("BINARY_FLOAT", "float"),
    "DB_TYPE_BLOB": ("BLOB", "binary"), "DB_TYPE_BOOLEAN": ("BOOLEAN", "boolean"), "DB_TYPE_CHAR": ("CHAR", "text"),
    "DB_TYPE_CLOB": ("CLOB", "text"), "DB_TYPE_DATE": ("DATE", "timestamp"),
    "DB_TYPE_INTERVAL_DS": ("INTERVAL DAY TO SECOND", "other"), "DB_TYPE_INTERVAL_YM": ("INTERVAL YEAR TO MONTH", "other"),
    "DB_TYPE_JSON": ("JSON", "json"), "DB_TYPE_LONG": ("LONG", "text"), "DB_TYPE_LONG_NVARCHAR": ("LONG", "text"),
    "DB_TYPE_LONG_RAW": ("LONG RAW", "binary"), "DB_TYPE_NCHAR": ("NCHAR", "text"), "DB_TYPE_NCLOB": ("NCLOB", "text"),
    "DB_TYPE_NVARCHAR": ("NVARCHAR2", "text"), "DB_TYPE_RAW": ("RAW", "binary"), "DB_TYPE_ROWID": ("ROWID", "other"),
    "DB_TYPE_UROWID": ("ROWID", "other"), "DB_TYPE_VARCHAR": ("VARCHAR2", "text"), "DB_TYPE_VECTOR": ("VECTOR", "array"),
    "DB_TYPE_XMLTYPE": ("XMLTYPE", "other"),
}  # fmt: skip
ZONED = {"DB_TYPE_TIMESTAMP_TZ": " WITH TIME ZONE", "DB_TYPE_TIMESTAMP_LTZ": " WITH LOCAL TIME ZONE"}


def column_of(field: oracledb.FetchInfo) -> Column:
    """The column a field of a result set describes; works through views, and for expressions."""
    name, kind = ORACLE.dialect.normalize_name(field.name), field.type_code.name
    if field.type_code is oracledb.DB_TYPE_NUMBER:
        digits, scale = field.precision or 0, field.scale or 0
        if 0 < digits <= MOST_DIGITS and 0 <= scale <= digits:
            return Column(name, f"NUMBER({digits},{scale})", "decimal" if scale else "integer")
        return Column(name, "NUMBER", "decimal")  # FLOAT, too, is stored in decimal digits
    if kind == "DB_TYPE_TIMESTAMP":
        return Column(name, f"TIMESTAMP({field.scale or 0})", "timestamp")
    if kind in ZONED:
        return Column(name, f"TIMESTAMP({field.scale or 0}){ZONED[kind]}", "instant")
    if kind not in TYPES:
        return Column(name, OBJECT, "other")
    own, family = TYPES[kind]
    if field.is_json:
        return Column(name, "JSON" if own in ("JSON", "BLOB") else own, "json")
    return Column(name, own, family)


def word(column: Column) -> str:
    """The type without its digits: `TIMESTAMP WITH TIME ZONE` of `TIMESTAMP(9) WITH TIME ZONE`."""
    return re.sub(r"\(.*?\)", "", column.type)


def stamp(column: Column, text: str) -> str:
    """A position's text in the form that `bind` parses: a time with a sign's place and all digits that its format asks for."""
    if column.family not in ("timestamp", "instant"):
        return text
    whole, _, fraction = (text if " " in text else f"{text} 00:00:00").partition(".")
    signed = whole if whole.startswith("-") else f" {whole}"
    return signed if column.type == "DATE" else f"{signed}.{fraction:0<{LONG_FRACTION}}"


class _Dialect(CapitalNames, OracleDialect):
    """Oracle 12.1 and later, with names that all follow one rule, keywords too: `date` is the column DATE."""

    plain = re.compile(r"[a-z][a-z0-9_$#]*")
    supports_statement_cache = True


class OracleAdapter(DialectAdapter):
    """Positions travel as text, and the server makes a value of the column's own type of it.

    A datetime that the driver binds becomes a DATE and loses its fraction.
    """

    # ROWNUM around the ordered rows lets the optimizer plan for the first few; FETCH FIRST numbers all of them.
    dialect: sa.Dialect = _Dialect(enable_offset_fetch=False)

    def bind(self, column: Column, name: str) -> Expression:
        """The parameter, cast to the column's type: an index on the column serves."""
        text: Expression = sa.bindparam(name, type_=sa.String())
        cast = CASTS.get(word(column))
        return text if cast is None else cast(text)

    def project(self, column: Column, expression: Expression) -> Expression:
        """Text for what the driver would cut or refuse, at the server's full precision."""
        match word(column):
            case "NUMBER":
                return expression if "(" in column.type else sa.func.to_char(expression, _literal("TM9"))
            case "BINARY_FLOAT" | "BINARY_DOUBLE" | "INTERVAL DAY TO SECOND" | "INTERVAL YEAR TO MONTH":
                return sa.func.to_char(expression)
            case "DATE":
                return _time(expression, "")
            case "TIMESTAMP" | "TIMESTAMP WITH LOCAL TIME ZONE":  # the session's zone is UTC
                return _time(expression, _fraction(column))
            case "TIMESTAMP WITH TIME ZONE":
                return _time(sa.func.sys_extract_utc(expression), _fraction(column))
            case "ROWID":
                return sa.func.rowidtochar(expression)
            case "JSON":
                return sa.func.json_serialize(_returning(expression))
            case "VECTOR":
                return sa.func.from_vector(_returning(expression))
            case "XMLTYPE":
                return sa.func.xmltype.getclobval(expression)
            case _:
                return expression

    def position(self, column: Column, expression: Expression) -> Expression | None:
        """Bytes as hexadecimal digits; every other projection is exact."""
        return sa.func.rawtohex(expression) if column.type == "RAW" else None


def _literal(text: str) -> Expression:
    return sa.literal_column(f"'{text}'")


def _format(fraction: str) -> Expression:
    return _literal(f"SYYYY-MM-DD HH24:MI:SS{fraction}")


def _time(expression: Expression, fraction: str) -> Expression:
    """Years before 1 have a sign, and all others a blank in its place."""
    return sa.func.ltrim(sa.func.to_char(expression, _format(fraction)))


def _fraction(column: Column) -> str:
    found = re.search(r"\d+", column.type)
    return f".FF{SHORT_FRACTION if found and int(found.group()) <= SHORT_FRACTION else LONG_FRACTION}"


def _instant(text: Expression) -> Expression:
    return sa.func.from_tz(sa.func.to_timestamp(text, _format(f".FF{LONG_FRACTION}")), _literal("+00:00"))


def _returning(expression: Expression) -> Expression:
    return expression.op("RETURNING")(sa.literal_column("CLOB"))


CASTS: dict[str, Callable[[Expression], Expression]] = {
    "NUMBER": sa.func.to_number,
    "DATE": lambda text: sa.func.to_date(text, _format("")),
    "TIMESTAMP": lambda text: sa.func.to_timestamp(text, _format(f".FF{LONG_FRACTION}")),
    "TIMESTAMP WITH TIME ZONE": _instant,
    "TIMESTAMP WITH LOCAL TIME ZONE": lambda text: sa.cast(_instant(text), Named("TIMESTAMP(9) WITH LOCAL TIME ZONE")),
    "BINARY_FLOAT": sa.func.to_binary_float,
    "BINARY_DOUBLE": sa.func.to_binary_double,
    # Padded with blanks against padded with blanks: as text it would never equal the column.
    "CHAR": lambda text: sa.cast(text, Named("CHAR(2000)")),
    "NCHAR": lambda text: sa.cast(text, Named("NCHAR(1000)")),
    "RAW": sa.func.hextoraw,
    "ROWID": sa.func.chartorowid,
    "BOOLEAN": lambda text: sa.cast(text, Named("BOOLEAN")),
    "INTERVAL DAY TO SECOND": sa.func.to_dsinterval,
    "INTERVAL YEAR TO MONTH": sa.func.to_yminterval,
}
ORACLE = OracleAdapter()
