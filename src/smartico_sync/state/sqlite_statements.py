"""Statements as SQLite runs them."""

from __future__ import annotations

import sqlite3
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    import polars as pl

    from smartico_sync.errors import SyncError

__all__ = ["Row", "SqliteStatements"]


ROWS = 20_000  # copied at a time


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

    def fill(self, table: str, columns: Sequence[str], rows: Sequence[Sequence[Any]]) -> None:
        """Add many rows."""
        marks = ", ".join("?" for _ in columns)
        self.executemany(f"INSERT INTO {table} ({', '.join(columns)}) VALUES ({marks})", rows)  # noqa: S608 - names of ours

    def every_row(self, table: str, columns: Sequence[str]) -> Iterator[Sequence[Sequence[Any]]]:
        """Read a whole table."""
        cursor = self.execute(f"SELECT {', '.join(columns)} FROM {table}")  # noqa: S608 - names of ours
        while some := cursor.fetchmany(ROWS):
            yield some

    def last_number(self, table: str, column: str) -> int:  # noqa: ARG002 - here it is always the row's id
        """Return the highest number that was given."""
        found = self.execute("SELECT seq FROM sqlite_sequence WHERE name = ?", (table,)).fetchone()
        return int(found[0]) if found else 0

    def go_on_after(self, table: str, column: str, number: int) -> None:  # noqa: ARG002 - as above
        """Go on with the next number."""
        self.execute("DELETE FROM sqlite_sequence WHERE name = ?", (table,))
        self.execute("INSERT INTO sqlite_sequence (name, seq) VALUES (?, ?)", (table, number))

    def known_profiles(self, view_no: int, ids: Sequence[int]) -> list[tuple[int, bytes, bytes | None, int | None]]:
        """Read profiles by their ids."""
        numbers = ",".join(map(str, ids))
        return self.execute(
            "SELECT p.id, p.whole, p.parts, p.cursor_at FROM json_each(?) AS wanted "
            "CROSS JOIN profile AS p ON p.view_no = ? AND p.id = wanted.value",
            (f"[{numbers}]", view_no),
        ).fetchall()
