"""ClickHouse's types: which family each belongs to, and how names, values and parameters are written."""

from __future__ import annotations

import re
from functools import lru_cache
from typing import TYPE_CHECKING, Any

import sqlalchemy as sa
from sqlalchemy.engine.default import DefaultDialect
from sqlalchemy.sql.compiler import SQLCompiler
from sqlalchemy.sql.elements import _anonymous_label

from smartico_sync.core.relation import Column
from smartico_sync.sources.sql.compiler import Backticks, DialectAdapter, Named

if TYPE_CHECKING:
    from smartico_sync.core.relation import Family
    from smartico_sync.sources.sql.compiler import Expression

__all__ = ["CLICKHOUSE", "WIDE", "ClickHouseAdapter", "column_of", "literal"]

WIDE = ("Int128", "Int256", "UInt128", "UInt256")
FAMILIES: dict[str, Family] = {
    **dict.fromkeys(("Int8", "Int16", "Int32", "Int64", "UInt8", "UInt16", "UInt32", "UInt64", *WIDE), "integer"),
    **dict.fromkeys(("Float32", "Float64", "BFloat16"), "float"),
    **dict.fromkeys(("String", "FixedString", "Enum8", "Enum16", "Enum"), "text"),
    **dict.fromkeys(("JSON", "Object", "Map", "Tuple", "Nested", "Variant", "Dynamic", "Point"), "json"),
    **dict.fromkeys(("Array", "Ring", "LineString", "MultiLineString", "Polygon", "MultiPolygon", "QBit"), "array"),
    "Decimal": "decimal", "Bool": "boolean", "Date": "date", "Date32": "date", "UUID": "uuid",
}  # fmt: skip
WRAPPED = re.compile(r"(?:Nullable|LowCardinality|SimpleAggregateFunction)\((.*)\)", re.DOTALL)
SMALL = ("Int8", "Int16", "Int32", "UInt8", "UInt16", "UInt32")
AS_NUMBERS = ("Int64", "UInt64", "Float32", "Float64", "Bool", "Date32", "String", *SMALL)  # what travels as it is
MOST_DIGITS = 38  # of a decimal that Arrow and polars carry
LISTED = re.compile(r"c\d+|k\d+_\d+")  # parameters that stand in a list, beside values of rows that were read
UTC: Expression = sa.literal_column("'UTC'")


def column_of(name: str, kind: str) -> Column:
    """The column that a result's name and type tell of; `type` is without what only says how values are stored."""
    while wrapped := WRAPPED.fullmatch(kind):
        kind = wrapped[1]
        # The aggregate function of `max, DateTime`; its own arguments are rare, and hold no comma outside brackets.
        if re.match(r"\w+(\([^()]*\))?, ", kind):
            kind = kind.partition(", ")[2]
    word = _word(kind)
    if word in ("DateTime", "DateTime64"):
        return Column(name, kind, "instant" if "'" in kind else "timestamp")
    return Column(name, kind, FAMILIES.get(word, "other"))


def _word(kind: str) -> str:
    return kind.partition("(")[0]


@lru_cache(maxsize=1024)
def _digits(kind: str) -> int:
    """The first number in a type's brackets: digits of a fraction or of a decimal, bytes of a text."""
    found = re.search(r"\((\d+)", kind)
    return int(found[1]) if found else 0


class _Compiler(SQLCompiler):
    """Parameters are written `{name:Type}`.

    An alias hides a column of the same name everywhere in a query of ClickHouse, conditions and order included, so no
    alias is called like a column.
    """

    def bindparam_string(self, name: str, *_: Any, **named: Any) -> str:
        """The parameter of that name and type."""
        kind = named.get("bindparam_type")
        return f"{{{name}:{kind.name if isinstance(kind, Named) else 'UInt64'}}}"

    def visit_label(self, label: Any, *arguments: Any, **named: Any) -> str:
        """`expression` AS `@name`; what nobody named has no alias at all."""
        if isinstance(label.name, _anonymous_label):
            return str(label.element._compiler_dispatch(self, **named))  # noqa: SLF001  - how compilers are extended
        other = label.element.label(f"@{label.name}")
        return str(super().visit_label(other, *arguments, **named))  # type: ignore[no-untyped-call]


class _Preparer(Backticks):
    """Names in backticks, where a backslash escapes."""

    def _escape_identifier(self, value: str) -> str:
        return literal(value, "`")[1:-1]


class _Dialect(DefaultDialect):
    statement_compiler = _Compiler
    preparer = _Preparer  # type: ignore[assignment]  # a class is what it takes


class ClickHouseAdapter(DialectAdapter):
    """Parameters are typed and sent beside the query; the column is compared as it is, so that its index serves.

    The first term of the order finds the granules, and is read before the others (PREWHERE).
    Nothing here depends on a setting: a user whose settings are locked reads the same.
    """

    dialect: sa.Dialect = _Dialect(paramstyle="named")

    def bind(self, column: Column, name: str) -> Expression:
        """A parameter of the column's own type, or of one that holds more than the column can."""
        word, kind = _word(column.type), column.type
        if word in ("DateTime", "DateTime64"):
            if word == "DateTime" and LISTED.fullmatch(name):
                return _parameter(name, "DateTime('UTC')")
            # A moment has milliseconds, whatever the column has.
            return _parameter(name, f"DateTime64({max(3, _digits(kind))}, 'UTC')")
        if word in ("Enum8", "Enum16"):  # their names may hold what ends a parameter
            return sa.cast(_parameter(name, "String"), Named(kind))
        if word == "FixedString":
            return sa.func.toFixedString(
                sa.func.unhex(_parameter(name, "String")), sa.literal_column(str(_digits(kind)))
            )
        if word in SMALL:  # a number that does not fit would come round at the other end
            return _parameter(name, "Int64")
        if column.family in ("json", "array"):
            return _parameter(name, "String")
        return _parameter(name, kind)

    def project(self, column: Column, expression: Expression) -> Expression:
        """Itself where Arrow carries it the same from every version of the server, else what it does carry."""
        word = _word(column.type)
        match word, column.family:
            case "DateTime", _:
                return sa.func.toDateTime64(expression, sa.literal_column("0"), UTC)
            case "DateTime64", _:
                return sa.func.toTimeZone(expression, UTC)
            case "Date", _:
                return sa.func.toDate32(expression)
            case "BFloat16", _:
                return sa.func.toFloat32(expression)
            case "FixedString", _:
                return sa.func.toStringCutToZero(expression)
            case "AggregateFunction", _:
                return sa.func.toString(sa.func.finalizeAggregation(expression))
            case _, "json" | "array":
                return sa.case((expression.is_not(None), sa.func.toJSONString(expression)))
            case _ if word in AS_NUMBERS or (word == "Decimal" and _digits(column.type) <= MOST_DIGITS):
                return expression
        return sa.func.toString(expression)

    def position(self, column: Column, expression: Expression) -> Expression | None:
        """Times with every digit, in UTC; texts of a fixed length as all of their bytes."""
        match _word(column.type):
            case "DateTime" | "DateTime64":
                return sa.func.toString(sa.func.toTimeZone(expression, UTC))
            case "FixedString":
                return sa.func.hex(expression)
            case _:
                return None


def literal(text: str, mark: str = "'") -> str:
    """A text, or in backticks a name, as ClickHouse escapes it."""
    return mark + text.replace("\\", "\\\\").replace(mark, f"\\{mark}") + mark


def _parameter(name: str, kind: str) -> Expression:
    return sa.bindparam(name, type_=Named(kind))


CLICKHOUSE = ClickHouseAdapter()
