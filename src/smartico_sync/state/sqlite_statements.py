"""Statements as SQLite runs them."""

from __future__ import annotations

import sqlite3
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Sequence

    import polars as pl

    from smartico_sync.errors import SyncError

__all__ = ["Row", "SqliteStatements"]


class Row:
    """A row that was inserted, and its number."""

    def __init__(self, number: int) -> None:
        self.number = number


class SqliteStatements(sqlite3.Connection):
    """A connection that does what the tables' files ask for; see `Statements`."""

    def expect(self, sql: str, parameters: Sequence[Any], otherwise: SyncError) -> None:
        """Run a statement that must change a row, or raise."""
        if not self.execute(sql, parameters).rowcount:
            raise otherwise

    def insert(self, sql: str, parameters: Sequence[Any], numbered: str) -> Row:  # noqa: ARG002 - here it is always the row's id
        """Insert a row."""
        return Row(self.execute(sql, parameters).lastrowid or 0)

    def remember_profiles(self, view_no: int, profiles: pl.DataFrame) -> None:
        """Insert or replace profiles, in the order of their ids: neighbours share a page."""
        # The number of a view is a constant of the statement: binding it for every row costs a tenth of the speed.
        self.executemany(
            f"INSERT INTO profile (view_no, id, whole, parts, cursor_at) VALUES ({view_no:d}, ?, ?, ?, ?) "  # noqa: S608 - an integer
            "ON CONFLICT (view_no, id) DO UPDATE SET whole = excluded.whole, parts = excluded.parts, cursor_at = excluded.cursor_at",
            profiles.iter_rows(),
        )

    def known_profiles(self, view_no: int, ids: Sequence[int]) -> list[tuple[int, bytes, bytes | None, int | None]]:
        """Read profiles by their ids."""
        numbers = ",".join(map(str, ids))
        return self.execute(
            "SELECT p.id, p.whole, p.parts, p.cursor_at FROM json_each(?) AS wanted "
            "CROSS JOIN profile AS p ON p.view_no = ? AND p.id = wanted.value",
            (f"[{numbers}]", view_no),
        ).fetchall()
