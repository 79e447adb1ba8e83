"""Transactions in PostgreSQL: a step at a time, or as one message.

One message is one statement to the protocol: the server begins when it has all of it, so that a process that is paused at whatever
instruction leaves no transaction open. What is committed for every page is sent so. Its reads come first, outside of it: nobody
else may write between them, or the fence at the beginning of the message finds another token and all of it is refused.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import psycopg

from smartico_sync.state.postgresql import profiles
from smartico_sync.state.postgresql.dialect import translated
from smartico_sync.state.profile_tree import framed

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence

    import polars as pl

    from smartico_sync.errors import SyncError

__all__ = ["Message", "Steps", "required"]

REFUSED = "SY001"  # what the function `required` raises
ROWS = 20_000  # copied at a time
BREATH = 500  # statements sent as one


class Steps:
    """Runs each statement when it is asked for, and knows what it did."""

    def __init__(self, connection: psycopg.Connection[Any]) -> None:
        self._connection = connection
        self._cursor = psycopg.ClientCursor(connection)

    def run(self, message: str, lost: Callable[[], SyncError]) -> None:
        """Run statements of ours that hold all they need. Raises `lost` where one of them refuses."""
        try:
            self._cursor.execute(message.encode())
        except psycopg.Error as error:
            if error.sqlstate != REFUSED:
                raise
            raise lost() from None

    def execute(self, sql: str, parameters: Sequence[Any] | Mapping[str, Any] = ()) -> psycopg.Cursor[Any]:
        """Run a statement."""
        return psycopg.ClientCursor(self._connection).execute(translated(sql), clean(parameters))

    def executemany(self, sql: str, parameters: Iterable[Sequence[Any] | Mapping[str, Any]]) -> Changed:
        """Run a statement for each of the parameters, hundreds in a round trip."""
        changed, texts = 0, [self.bound(sql, each) for each in parameters]
        for start in range(0, len(texts), BREATH):
            cursor = psycopg.ClientCursor(self._connection)
            cursor.execute(";".join(texts[start : start + BREATH]).encode())
            changed += max(cursor.rowcount, 0)
            while cursor.nextset():
                changed += max(cursor.rowcount, 0)
        return Changed(changed)

    def expect(self, sql: str, parameters: Sequence[Any], otherwise: SyncError) -> None:
        """Run a statement that must change a row, or raise."""
        if not self.execute(sql, parameters).rowcount:
            raise otherwise

    def insert(self, sql: str, parameters: Sequence[Any], numbered: str) -> Numbered:
        """Insert a row."""
        (number,) = self.execute(f"{sql} RETURNING {numbered}", parameters).fetchone() or (0,)
        return Numbered(number)

    def remember_profiles(self, view_no: int, profiles_: pl.DataFrame) -> None:
        """Insert or replace profiles."""
        self._cursor.execute(profiles.upsert(view_no, profiles_).encode())

    def erase_profile(self, view_no: int, number: int) -> int:
        """Delete a profile by its id."""
        return self.execute("DELETE FROM profile WHERE view_no = ? AND id = ?", (view_no, number)).rowcount

    def settle_profiles(self, view_no: int) -> None:
        """They are there already."""

    def known_profiles(self, view_no: int, ids: pl.Series) -> pl.DataFrame:
        """Read profiles by their ids."""
        with self._connection.cursor(binary=True) as cursor:
            wanted = profiles.listed(ids.to_list())
            return framed(cursor.execute(profiles.KNOWN, (wanted, view_no), prepare=False).fetchall())

    def fill(self, table: str, columns: Sequence[str], rows: Sequence[Sequence[Any]]) -> None:
        """Add many rows."""
        with (
            self._connection.cursor() as cursor,
            cursor.copy(f"COPY {table} ({', '.join(columns)}) FROM STDIN".encode()) as copy,
        ):
            for row in rows:
                copy.write_row([shown(each) for each in row])

    def every_row(self, table: str, columns: Sequence[str]) -> Iterator[Sequence[Sequence[Any]]]:
        """Read a whole table."""
        self.execute(f"DECLARE every CURSOR FOR SELECT {', '.join(columns)} FROM {table}")  # noqa: S608 - names of ours
        while some := self.execute(f"FETCH {ROWS} FROM every").fetchall():
            yield some
        self.execute("CLOSE every")

    def last_number(self, table: str, column: str) -> int:
        """Return the highest number that was given."""
        sequence = f"pg_get_serial_sequence('{table}', '{column}')"
        found = self.execute(
            f"SELECT last_value FROM pg_sequences WHERE format('%%I.%%I', schemaname, sequencename) = {sequence}"  # noqa: S608 - names of ours
        ).fetchone()
        return int(found[0] or 0) if found else 0

    def go_on_after(self, table: str, column: str, number: int) -> None:
        """Go on with the next number."""
        if number:
            self.execute(f"SELECT setval(pg_get_serial_sequence('{table}', '{column}'), {number:d})")

    def bound(self, sql: str, parameters: Sequence[Any] | Mapping[str, Any]) -> str:
        """A statement with its parameters in it."""
        return self._cursor.mogrify(translated(sql), clean(parameters))


class Message(Steps):
    """Collects statements, and sends all of them at once; what they did is known afterwards. Rows are read at once."""

    def __init__(self, connection: psycopg.Connection[Any], fence: str) -> None:
        super().__init__(connection)
        self._texts = [fence]
        self._refusals: list[SyncError] = []
        self._numbered: list[tuple[int, Numbered]] = []

    def execute(self, sql: str, parameters: Sequence[Any] | Mapping[str, Any] = ()) -> Any:
        """Read at once, or write when the message is sent."""
        if sql.startswith("SELECT"):
            return super().execute(sql, parameters)
        self._texts.append(self.bound(sql, parameters))
        return LATER

    def executemany(self, sql: str, parameters: Iterable[Sequence[Any] | Mapping[str, Any]]) -> Any:
        """Write when the message is sent."""
        self._texts += [self.bound(sql, each) for each in parameters]
        return LATER

    def expect(self, sql: str, parameters: Sequence[Any], otherwise: SyncError) -> None:
        """Have the server refuse the message where a statement changes no row."""
        self._texts.append(required(self.bound(sql, parameters), str(len(self._refusals))))
        self._refusals.append(otherwise)

    def insert(self, sql: str, parameters: Sequence[Any], numbered: str) -> Numbered:
        """Insert a row; its number is known once the message is sent."""
        number = Numbered(None)
        self._numbered.append((len(self._texts), number))
        self._texts.append(self.bound(f"{sql} RETURNING {numbered}", parameters))
        return number

    def remember_profiles(self, view_no: int, profiles_: pl.DataFrame) -> None:
        """Insert or replace profiles when the message is sent."""
        self._texts.append(profiles.upsert(view_no, profiles_))

    def send(self, lost: Callable[[], SyncError]) -> None:
        """Send it: all of it is committed, or nothing. Raises `lost` where the fence refuses, and what was to be raised otherwise."""
        try:
            self._cursor.execute(";".join(self._texts).encode())
        except psycopg.Error as error:
            if error.sqlstate != REFUSED:
                raise
            what = error.diag.message_primary or ""
            raise (self._refusals[int(what)] if what.isdigit() else lost()) from None
        waiting = dict(self._numbered)
        for place in range(len(self._texts)):
            if place in waiting:
                (waiting[place].known,) = self._cursor.fetchone() or (None,)
            self._cursor.nextset()


class Numbered:
    """A row with its number."""

    def __init__(self, known: int | None) -> None:
        self.known = known

    @property
    def number(self) -> int:
        """The number."""
        if self.known is None:
            raise LookupError("the row is not written yet")
        return self.known


class Changed:
    """What several statements changed."""

    def __init__(self, rowcount: int) -> None:
        self.rowcount = rowcount

    def fetchone(self) -> None:
        """They return no rows."""

    def fetchall(self) -> list[Any]:
        """They return no rows."""
        return []

    def __iter__(self) -> Iterator[Any]:
        """They return no rows."""
        return iter(())


class Later:
    """What a statement did that is not sent yet: nobody may ask."""

    def __getattr__(self, name: str) -> Any:
        raise LookupError(f"the {name} of a statement that is not sent yet")


LATER = Later()


def required(changing: str, otherwise: str, rows: int = 1) -> str:
    """A statement that raises `otherwise`, a word of ours, where what it does changes fewer rows."""
    return f"WITH done AS ({changing} RETURNING 1) SELECT required(count(*) >= {rows:d}, '{otherwise}') FROM done"  # noqa: S608 - made here


def clean(parameters: Sequence[Any] | Mapping[str, Any]) -> Sequence[Any] | Mapping[str, Any]:
    """Parameters as PostgreSQL takes them: no text holds the character 0."""
    if not any(isinstance(each, str) and "\0" in each for each in values(parameters)):
        return parameters
    if isinstance(parameters, dict):
        return {name: shown(each) for name, each in parameters.items()}
    return [shown(each) for each in values(parameters)]


def values(parameters: Sequence[Any] | Mapping[str, Any]) -> Iterable[Any]:
    """The values of parameters."""
    return parameters.values() if isinstance(parameters, dict) else parameters


def shown(value: Any) -> Any:
    """The character 0 as the sign that stands for it."""
    return value.replace("\0", "\u2400") if isinstance(value, str) else value
