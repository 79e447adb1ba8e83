"""BigQuery's types: which family each belongs to, and how names, values and parameters are written."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import sqlalchemy as sa
from google.cloud.bigquery import ScalarQueryParameter
from sqlalchemy.engine.default import DefaultDialect
from sqlalchemy.sql.compiler import SQLCompiler

from smartico_sync.core.relation import Column
from smartico_sync.sources.sql.compiler import Backticks, DialectAdapter, Named

if TYPE_CHECKING:
    from google.cloud.bigquery import SchemaField

    from smartico_sync.core.relation import Family
    from smartico_sync.sources.sql.compiler import Expression

__all__ = ["BIGQUERY", "BigQueryAdapter", "column_of", "parameter"]

# Answers call types by their older names.
NAMES = {"INTEGER": "INT64", "FLOAT": "FLOAT64", "BOOLEAN": "BOOL", "RECORD": "STRUCT"}
FAMILIES: dict[str, Family] = {
    "INT64": "integer", "FLOAT64": "float", "BOOL": "boolean", "NUMERIC": "decimal", "BIGNUMERIC": "decimal",
    "STRING": "text", "BYTES": "binary", "DATE": "date", "DATETIME": "timestamp", "TIMESTAMP": "instant",
    "JSON": "json", "STRUCT": "json", "RANGE": "json", "ARRAY": "array",
}  # fmt: skip
# Wider than what travels, or written in a way of its own in Arrow and another in JSON: the server's text is one for both.
AS_STRING = ("BIGNUMERIC", "TIME", "INTERVAL")
AS_JSON = ("ARRAY", "STRUCT", "RANGE")
PARAMETERS = (
    "INT64", "FLOAT64", "BOOL", "NUMERIC", "BIGNUMERIC", "BYTES", "DATE", "DATETIME", "TIME", "TIMESTAMP",
)  # fmt: skip


def column_of(field: SchemaField) -> Column:
    """The column that a field of a result's schema tells of."""
    word = "ARRAY" if field.mode == "REPEATED" else NAMES.get(field.field_type, field.field_type)
    return Column(field.name, word, FAMILIES.get(word, "other"))


def parameter(name: str, column: Column | None, value: str | int) -> ScalarQueryParameter:
    """A parameter of its column's own type, by which partitions can be pruned; without a column, a number of rows.

    ValueError when a position's text is no value of the type.
    """
    if column is None or isinstance(value, int):
        return ScalarQueryParameter(name, "INT64", value)
    kind = column.type if column.type in PARAMETERS else "STRING"
    # The client takes bytes, though its signature does not say so.
    return ScalarQueryParameter(name, kind, bytes.fromhex(value) if kind == "BYTES" else value)  # type: ignore[arg-type]


class _Compiler(SQLCompiler):
    """Parameters are written `@name`; a column is found by its table's name alone, without project and dataset."""

    def bindparam_string(self, name: str, *_: Any, **__: Any) -> str:
        """The parameter of that name."""
        return f"@{name}"

    def visit_column(self, column: Any, *arguments: Any, **options: Any) -> str:
        """`table`.`column`."""
        table = column.table
        if getattr(table, "schema", None) is None:
            return super().visit_column(column, *arguments, **options)
        return f"{self.preparer.quote(table.name)}.{self.preparer.quote(column.name)}"


class _Dialect(DefaultDialect):
    statement_compiler = _Compiler
    preparer = Backticks  # type: ignore[assignment]  # a class is what it takes


class BigQueryAdapter(DialectAdapter):
    """Parameters are typed by the API, so none needs a cast. The first term of the order prunes partitions."""

    dialect: sa.Dialect = _Dialect(paramstyle="named")

    def bind(self, column: Column, name: str) -> Expression:  # noqa: ARG002  - see `parameter`
        """The parameter as it is."""
        return sa.bindparam(name)

    def project(self, column: Column, expression: Expression) -> Expression:
        """Itself, or the server's own text."""
        if column.type in AS_STRING:
            return sa.cast(expression, Named("STRING"))
        if column.type in AS_JSON:
            # A NULL would become the word.
            return sa.case((expression.is_not(None), sa.func.to_json_string(expression)))
        return sa.func.st_astext(expression) if column.type == "GEOGRAPHY" else expression


BIGQUERY = BigQueryAdapter()
