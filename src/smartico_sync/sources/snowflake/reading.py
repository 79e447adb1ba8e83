"""One reading over one view: questions that are each answered from a snapshot of their own."""

from __future__ import annotations

from typing import TYPE_CHECKING

from smartico_sync.sources.snowflake.session import Session
from smartico_sync.sources.snowflake.types import SNOWFLAKE
from smartico_sync.sources.sql.warehouse import WarehouseReading

if TYPE_CHECKING:
    from collections.abc import Mapping

    import pyarrow as pa

    from smartico_sync.sources.sql.statements import Statement

__all__ = ["SnowflakeReading"]


class SnowflakeReading(WarehouseReading[Session]):
    """Snowflake's transactions, too, show each statement what is committed before it begins."""

    adapter = SNOWFLAKE

    def ask(self, statement: str, values: Mapping[str, str | int] | None = None) -> list[pa.Table]:
        """One question; its answer as tables of some rows."""
        return self.session.tables(statement, values or {}, self.what, self.intake)

    def explain(self, statement: Statement, values: Mapping[str, str | int]) -> str:
        """The server's plan for a statement, as JSON."""
        return str(self.session.rows(f"EXPLAIN USING JSON {statement.text}", self.what, values)[1][0][0])
