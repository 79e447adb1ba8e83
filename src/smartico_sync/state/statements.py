"""What the tables' files need of a database: statements, and the few things that SQLite and PostgreSQL do in ways of their own."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

    import polars as pl

    from smartico_sync.errors import SyncError

__all__ = ["Found", "Inserted", "Statements"]


class Found(Protocol):
    """Rows of a statement."""

    @property
    def rowcount(self) -> int:
        """How many rows were changed."""
        ...

    def fetchone(self) -> Any:
        """The next row, None after the last."""
        ...

    def fetchall(self) -> list[Any]:
        """All rows that are left."""
        ...

    def __iter__(self) -> Iterator[Any]:
        """All rows that are left, one by one."""
        ...


class Inserted(Protocol):
    """A row that the database numbers."""

    @property
    def number(self) -> int:
        """Its number; to be asked for after the transaction."""
        ...


class Statements(Protocol):
    """A transaction, or what reads outside of one. Placeholders are `?` and `:name`, words those of both databases."""

    def execute(self, sql: str, parameters: Sequence[Any] | Mapping[str, Any] = ..., /) -> Found:
        """Run a statement."""
        ...

    def executemany(self, sql: str, parameters: Iterable[Sequence[Any] | Mapping[str, Any]], /) -> Found:
        """Run a statement for each of the parameters."""
        ...

    def expect(self, sql: str, parameters: Sequence[Any], otherwise: SyncError) -> None:
        """Run a statement that must change a row. Where it does not, the transaction raises, and nothing of it is written."""
        ...

    def insert(self, sql: str, parameters: Sequence[Any], numbered: str) -> Inserted:
        """Insert a row; the database numbers it in the column `numbered`."""
        ...

    def remember_profiles(self, view_no: int, profiles: pl.DataFrame) -> None:
        """Insert or replace profiles [id Int64, whole, parts, cursor_at], ascending by id; of equal ids the last one stays."""
        ...

    def erase_profile(self, view_no: int, number: int) -> int:
        """Delete the profile with this id, signed; how many there were."""
        ...

    def settle_profiles(self, view_no: int) -> None:
        """Have all profiles of a view in the table `profile`, as they came last, so that statements about it see all of them."""
        ...

    def fill(self, table: str, columns: Sequence[str], rows: Sequence[Sequence[Any]]) -> None:
        """Add many rows of another state as they are, with their numbers."""
        ...

    def every_row(self, table: str, columns: Sequence[str]) -> Iterator[Sequence[Sequence[Any]]]:
        """Read a whole table, thousands of rows at a time, inside a transaction."""
        ...

    def last_number(self, table: str, column: str) -> int:
        """Return the highest number that was ever given to a row of this table."""
        ...

    def go_on_after(self, table: str, column: str, number: int) -> None:
        """Let the rows of a table be numbered from the next number on."""
        ...

    def known_profiles(self, view_no: int, ids: pl.Series) -> pl.DataFrame:
        """Read the profiles with these ids (Int64, ascending) as [id Int64, whole, parts, cursor_at], in no order."""
        ...
