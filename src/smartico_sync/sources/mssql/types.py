"""SQL Server's types: which family each belongs to, what a page selects for it, and how a position's text becomes it again."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

import sqlalchemy as sa
from sqlalchemy.dialects.mssql.base import MSDialect, MSSQLCompiler

from smartico_sync.core.relation import Column
from smartico_sync.sources.sql.compiler import DialectAdapter, Named

if TYPE_CHECKING:
    from smartico_sync.core.relation import Family
    from smartico_sync.sources.sql.compiler import Expression

__all__ = ["MSSQL", "MssqlAdapter", "column_of", "truncated", "type_word"]

FAMILIES: dict[str, Family] = {
    "tinyint": "integer", "smallint": "integer", "int": "integer", "bigint": "integer",
    # The database's counter of writes: it grows like an id, and late ones are missing numbers like late ids.
    "timestamp": "integer", "rowversion": "integer",
    "bit": "boolean", "decimal": "decimal", "numeric": "decimal", "money": "decimal", "smallmoney": "decimal",
    "float": "float", "real": "float",
    "date": "date", "datetime": "timestamp", "datetime2": "timestamp", "smalldatetime": "timestamp", "datetimeoffset": "instant",
    "char": "text", "varchar": "text", "nchar": "text", "nvarchar": "text", "text": "text", "ntext": "text", "sysname": "text",
    "uniqueidentifier": "uuid", "json": "json", "vector": "array",
    "binary": "binary", "varbinary": "binary", "image": "binary",
}  # fmt: skip
NARROW = ("char", "varchar", "text")  # in the code page of their collation
COLLATE = " COLLATE "
# Styles of CONVERT: the ISO form with every digit, hexadecimal digits without 0x, money with all four decimals.
ODBC, HEX, FOUR_DECIMALS = "121", "2", "2"
COARSE = {"smalldatetime": len("2026-01-01 00:00"), "datetime": len("2026-01-01 00:00:00.00")}
DIGITS_FROM = len("2026-01-01 00:00:00.")


def column_of(name: str, system_type: str, user_type: str, collation: str) -> Column:
    """A column as sys.dm_exec_describe_first_result_set tells of it; types of the operator's own come as their base."""
    kind = system_type or user_type or "unknown"
    word = kind.partition("(")[0]
    told = f"{kind}{COLLATE}{collation}" if word in NARROW and collation else kind
    return Column(name, told, FAMILIES.get(word, "other"))


def type_word(column: Column) -> str:
    """The type's word alone: `datetime2` of `datetime2(7)`."""
    return re.split(r"[( ]", column.type, maxsplit=1)[0]


def truncated(column: Column, text: str) -> str:
    """A time cut to what the column keeps, so that the database does not round it up."""
    word = type_word(column)
    if word in COARSE:
        return text[: COARSE[word]]
    digits = re.search(r"\((\d)\)", column.type)
    return text[: DIGITS_FROM + int(digits.group(1))].rstrip(".") if digits else text


class _Compiler(MSSQLCompiler):
    """Parameters are variables; TOP takes one in parentheses, so that one statement serves pages of all sizes."""

    def bindparam_string(self, name: str, **_: Any) -> str:  # type: ignore[override]
        return f"@{name}"

    def _use_top(self, select: Any) -> bool:
        return bool(select._offset_clause is None)  # noqa: SLF001  - what SQLAlchemy's own compiler looks at

    def get_select_precolumns(self, select: Any, **kw: Any) -> str:
        limit = select._limit_clause  # noqa: SLF001
        return "" if limit is None else f"TOP ({self.process(limit, **kw)}) "

    def visit_count_func(self, function: Any, **kw: Any) -> str:
        return f"COUNT_BIG{self.function_argspec(function, **kw) or '(*)'}"


class _Dialect(MSDialect):
    statement_compiler = _Compiler
    supports_statement_cache = True


class MssqlAdapter(DialectAdapter):
    """Exact values travel as text, so that no driver rounds them: times with every digit, decimals, numbers of versions."""

    dialect: sa.Dialect = _Dialect(paramstyle="named")  # type: ignore[no-untyped-call]

    def bind(self, column: Column, name: str) -> Expression:
        """The parameter as a value of the column's own type: `datetime` is compared as `datetime`, and found by an index."""
        text: Expression = sa.bindparam(name, type_=sa.String())
        match type_word(column):
            case "tinyint" | "smallint" | "int" | "bigint":
                return sa.cast(text, sa.BIGINT())
            case "timestamp" | "rowversion":
                return sa.cast(sa.cast(text, sa.BIGINT()), Named("binary(8)"))
            case "datetime" | "smalldatetime" | "datetime2" | "datetimeoffset":
                return _converted(column.type, text, ODBC)
            case "binary" | "varbinary":
                return _converted(column.type, text, HEX)
            case word if word in NARROW:
                # The text must pass through the code page of the column, not through the database's.
                kind, _, collation = column.type.partition(COLLATE)
                return sa.cast(sa.collate(text, collation) if collation else text, Named(kind))
            case _:
                return text if column.family in ("other", "json", "array") else sa.cast(text, Named(column.type))

    def project(self, column: Column, expression: Expression) -> Expression:
        """What a driver carries whole: numbers, bits, bytes and texts; the rest as text."""
        match type_word(column):
            case "timestamp" | "rowversion":
                return sa.cast(expression, sa.BIGINT())
            case "decimal" | "numeric":
                return sa.cast(expression, Named("varchar(41)"))
            case "money" | "smallmoney":
                return _converted("varchar(41)", expression, FOUR_DECIMALS)
            case "datetime" | "smalldatetime" | "datetime2":
                return _converted("varchar(27)", expression, ODBC)
            case "datetimeoffset":
                utc = sa.cast(sa.func.switchoffset(expression, sa.literal_column("'+00:00'")), Named("datetime2(7)"))
                return _converted("varchar(27)", utc, ODBC)
            case "char" | "nchar":
                return sa.func.rtrim(expression)
            case "time":
                return sa.cast(expression, Named("varchar(16)"))
            case _:
                return sa.cast(expression, Named("nvarchar(max)")) if _strange(column) else expression


def _converted(kind: str, expression: Expression, style: str) -> Expression:
    return sa.func.convert(sa.literal_column(kind), expression, sa.literal_column(style))


def _strange(column: Column) -> bool:
    """Types that drivers know each in its own way: xml, sql_variant, json, geography, hierarchyid and what is to come."""
    return column.family in ("other", "json", "array")


MSSQL = MssqlAdapter()
