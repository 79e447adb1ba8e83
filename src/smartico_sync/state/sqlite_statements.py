"""Statements as SQLite runs them."""

from __future__ import annotations

import sqlite3
from typing import TYPE_CHECKING, Any

from smartico_sync.state import profile_log

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
    """A connection that does what the tables' files ask for; see `Statements`. Profiles go through the log before their table."""

    def __init__(self, *arguments: Any, **named: Any) -> None:
        super().__init__(*arguments, **named)
        self.profile_log = profile_log.ProfileLog()

    def expect(self, sql: str, parameters: Sequence[Any], otherwise: SyncError) -> None:
        """Run a statement that must change a row, or raise."""
        if not self.execute(sql, parameters).rowcount:
            raise otherwise

    def insert(self, sql: str, parameters: Sequence[Any], numbered: str) -> Row:  # noqa: ARG002 - here it is always the row's id
        """Insert a row."""
        return Row(self.execute(sql, parameters).lastrowid or 0)

    def remember_profiles(self, view_no: int, profiles: pl.DataFrame) -> None:
        """Insert or replace profiles."""
        self.profile_log.append(self, view_no, profiles)

    def erase_profile(self, view_no: int, number: int) -> int:
        """Delete a profile by its id."""
        moved = self.execute("DELETE FROM profile WHERE view_no = ? AND id = ?", (view_no, number)).rowcount
        return max(moved, int(self.profile_log.erase(self, view_no, number)))

    def settle_profiles(self, view_no: int) -> None:
        """Bring all there are of a view into the table."""
        self.profile_log.empty(self, view_no)

    def fill(self, table: str, columns: Sequence[str], rows: Sequence[Sequence[Any]]) -> None:
        """Add many rows."""
        marks = ", ".join("?" for _ in columns)
        self.executemany(f"INSERT INTO {table} ({', '.join(columns)}) VALUES ({marks})", rows)  # noqa: S608 - names of ours

    def every_row(self, table: str, columns: Sequence[str]) -> Iterator[Sequence[Sequence[Any]]]:
        """Read a whole table."""
        if table == "profile":
            yield from self.profile_log.every(self, ROWS)
            return
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

    def known_profiles(self, view_no: int, ids: pl.Series) -> pl.DataFrame:
        """Read profiles by their ids."""
        return self.profile_log.known(self, view_no, ids)
