"""How MySQL's statements are written, and how a position's text becomes a value of its type again."""

from __future__ import annotations

from typing import TYPE_CHECKING

import sqlalchemy as sa
from sqlalchemy.dialects.mysql import BIGINT, DATETIME
from sqlalchemy.dialects.mysql.base import MySQLDialect

from smartico_sync.sources.sql.compiler import DialectAdapter

if TYPE_CHECKING:
    from smartico_sync.core.relation import Column
    from smartico_sync.sources.sql.compiler import Expression

__all__ = ["ADAPTER", "MySQLAdapter"]

MOST_DIGITS = 65  # of a DECIMAL
MOST_DECIMALS = 30


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
            case _ if column.collation:
                # In the characters of that collation, which is of one set of characters only.
                letters: Expression = sa.literal_column(column.collation.partition("_")[0])
                return sa.collate(sa.func.convert(text.op("USING")(letters)), column.collation)
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


ADAPTER = MySQLAdapter()
