"""One connection to SQL Server that never waits longer than it was told to, and keeps nothing it might have written.

ODBC drivers wait for the rest of an answer without end: each of their calls can be abandoned, and hanging up ends it.
"""

from __future__ import annotations

import socket
from contextlib import suppress
from functools import partial
from math import ceil
from typing import TYPE_CHECKING, Any, Literal, TypeVar

import pyodbc
from msgspec import Struct

from smartico_sync.errors import RowsTooWide, SourceUnreachable, SyncError
from smartico_sync.sources.kit.abandonable import AbandonableCalls, UnattendedCalls
from smartico_sync.sources.kit.failures import StatementFailed
from smartico_sync.sources.kit.intake import fetched
from smartico_sync.sources.kit.network_failures import broken, first_that_answers, silent, unreachable
from smartico_sync.sources.kit.positions import no_text
from smartico_sync.sources.mssql.failures import NO_TIME_LEFT, connecting, diagnostic, failure
from smartico_sync.sources.mssql.line import opening

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from smartico_sync.sources.kit.intake import Intake
    from smartico_sync.sources.kit.line import Line
    from smartico_sync.sources.mssql.clock import Clock
    from smartico_sync.sources.mssql.login import Login

__all__ = ["Answer", "Session", "declared"]

T = TypeVar("T")
pyodbc.pooling = False  # the pool is ours

ROWS = 5_000  # taken from the driver by a call; the patience with each is the same
LONGEST = 4_000  # characters of a text that is no nvarchar(max)
TEXT = (pyodbc.SQL_WVARCHAR, LONGEST, 0)
LONG_TEXT = (pyodbc.SQL_WLONGVARCHAR, 2**30 - 1, 0)
AT_ONCE = 2**30  # bytes of a parameter: FreeTDS cannot be handed a long text in parts
WIDE = (pyodbc.SQL_WCHAR, pyodbc.SQL_WVARCHAR, pyodbc.SQL_WLONGVARCHAR)
# Whatever the server's or the login's defaults are: texts of times are read year first, nothing is cut, a reader gives way.
SETTINGS = """SET NOCOUNT ON; SET LANGUAGE us_english; SET DATEFORMAT ymd; SET TEXTSIZE 2147483647; SET ROWCOUNT 0;
SET QUOTED_IDENTIFIER ON; SET ANSI_NULLS ON; SET ANSI_WARNINGS ON; SET ANSI_PADDING ON; SET CONCAT_NULL_YIELDS_NULL ON;
SET ARITHABORT ON; SET IMPLICIT_TRANSACTIONS OFF; SET DEADLOCK_PRIORITY LOW; SET LOCK_TIMEOUT {milliseconds}"""


class Answer(Struct, frozen=True):
    """What one statement gave: its columns' names, and rows of Python's values."""

    names: Sequence[str]
    rows: Sequence[Sequence[Any]]


class Session:
    """A connection. Not thread-safe but for `abort`."""

    def __init__(
        self, login: Login, clock: Clock, old_views: set[str], unattended: UnattendedCalls, place: str
    ) -> None:
        self.clock = clock
        self.old_views = old_views  # for which SNAPSHOT is not to be had: they read a database that does not allow it
        self.encrypted = login.encrypted
        self._place = place
        self._silence_s = login.silence_s
        self._state: Literal["sound", "silent", "closed"] = "sound"
        self._intake: Intake | None = None  # of the question that is asked now
        self.in_transaction = False
        self.standing = "unknown"  # what `clock` has found out about this server
        self.isolation = ""  # what `reading` has found out about this database
        self._connection, self._line = first_that_answers(
            login.hosts(), partial(self._connect, login, unattended), place
        )
        self._calls = AbandonableCalls(unattended, place)
        try:
            self._connection.timeout = ceil(login.timeout_ms / 1000)
            self._connection.maxwrite = AT_ONCE
            self._cursor = self._connection.cursor()
            self.run(SETTINGS.format(milliseconds=login.timeout_ms), "connecting")
        except BaseException:
            self.close()
            raise

    def _connect(
        self, login: Login, unattended: UnattendedCalls, host: tuple[str, int]
    ) -> tuple[pyodbc.Connection, Line]:
        """A connection to one host, and its socket."""
        timeout_s = login.connect_timeout_s
        try:
            addresses = _reached(*host, timeout_s)
        except OSError as error:
            raise unreachable(error, self._place) from None
        open_connection = partial(pyodbc.connect, login.dial(*host), autocommit=True, timeout=timeout_s)
        try:
            with opening(addresses) as found:
                connection = unattended.run_once(
                    self._place, open_connection, timeout_s + self._silence_s, "connecting", pyodbc.Connection.close
                )
        except pyodbc.Error as error:
            raise connecting(*diagnostic(error.args), self._place) from None
        return connection, found[0]

    def run(
        self,
        statement: str,
        what: str,
        values: Mapping[str, str | int] | None = None,
        intake: Intake | None = None,
    ) -> Answer:
        """Run one batch and take its first result set whole. `what` names the view for messages.

        `values` are the statement's variables. SourceError when it fails; SourceUnreachable when the connection breaks or
        stays silent too long. RowsTooWide where it brings more than the `intake` takes: the connection is given up.
        """
        return self.attempt(statement, what, values, intake=intake)

    def attempt(
        self,
        statement: str,
        what: str,
        values: Mapping[str, str | int] | None = None,
        *,
        expected: Sequence[int] = (),
        intake: Intake | None = None,
    ) -> Answer:
        """As `run`, but StatementFailed for these numbers of the server, so that something else may be tried."""
        if self._state != "sound":
            raise self._lost(what)
        self._intake = intake
        try:
            try:
                return self._asked(statement, values)
            except UnicodeDecodeError:
                return self._tolerant(statement, values)
        except RowsTooWide:
            self.close()
            raise
        except pyodbc.Error as error:
            state, number, message = diagnostic(error.args)
            if number in expected:
                raise StatementFailed(number) from None
            told = self._told(state, number, message, what)
            if isinstance(told, SourceUnreachable) and self._state == "sound":
                self._state = "closed"
            raise told from None
        except SourceUnreachable as abandoned:
            if self._state == "sound":
                self._state = "silent"
                self._line.hang_up()
                raise self._lost(what) from None
            raise abandoned from None
        except UnicodeEncodeError:
            raise no_text(self._place, what) from None

    def _asked(self, statement: str, values: Mapping[str, str | int] | None) -> Answer:
        if self._intake is not None:
            self._intake.begin()
        names, rows = self._call(lambda: self._executed(statement, values))
        taken = len(rows)
        while taken == ROWS:
            more = self._call(self._taken)
            rows += more
            taken = len(more)
        if self._state != "sound":  # some driver takes its own cancelling for an end
            raise pyodbc.OperationalError("08S01", "")
        return Answer(names, rows)

    def _call(self, call: Callable[[], T]) -> T:
        return self._calls.run(call, self._silence_s, "a question")

    def _executed(self, statement: str, values: Mapping[str, str | int] | None) -> tuple[list[str], list[Any]]:
        """Names of the first result's columns, and its first rows."""
        cursor = self._cursor
        if values:
            # The statement itself is a parameter: no driver searches it, and what views and columns are called, for marks.
            cursor.setinputsizes([LONG_TEXT, LONG_TEXT, *(_size(value) for value in values.values())])
            marks = ", ".join("?" * (2 + len(values)))
            cursor.execute(f"{{CALL sp_executesql ({marks})}}", (statement, declared(values), *values.values()))
        else:
            cursor.execute(statement)
        while cursor.description is None and cursor.nextset():
            pass
        names = [column[0] for column in cursor.description or ()]
        return names, self._taken() if names else []

    def _taken(self) -> list[Any]:
        """Some more rows; as many as ROWS unless they are the last."""
        intake, cursor = self._intake, self._cursor
        rows: list[Any] = cursor.fetchmany(ROWS) if intake is None else fetched(cursor, intake, ROWS)
        while len(rows) < ROWS and self._cursor.nextset():  # a failure of a later statement of the batch shows here
            pass
        return rows

    def _tolerant(self, statement: str, values: Mapping[str, str | int] | None) -> Answer:
        """SQL Server stores halves of characters, which UTF-16 does not know: here they become a sign for what cannot be read."""
        for kind in WIDE:
            self._connection.add_output_converter(kind, lambda data: str(data, "utf-16le", "replace"))
        try:
            return self._asked(statement, values)
        finally:
            self._connection.clear_output_converters()

    def _told(self, state: str, number: int, message: str, what: str) -> SyncError:
        if self._state != "sound":
            return self._lost(what)
        told = failure(state, number, message, self._place, what)
        if state == NO_TIME_LEFT and not self._answers():
            self._state = "silent"
            return self._lost(what)
        return told

    def _answers(self) -> bool:
        """Whether the server has heard that its query was cancelled: a driver gives the connection up where it has not."""
        try:
            self._asked("SELECT 1 AS one", None)
        except pyodbc.Error as error:
            return diagnostic(error.args)[1] > 0
        except SourceUnreachable:
            return False
        return True

    def _lost(self, what: str) -> SourceUnreachable:
        return silent(self._place, what, self._silence_s) if self._state == "silent" else broken(self._place, what)

    def begin(self, what: str, opening: str = "BEGIN TRANSACTION") -> Answer:
        """Run a batch that opens a transaction."""
        self.in_transaction = True
        return self.run(opening, what)

    def end(self, what: str) -> None:
        """End the transaction if one was begun: whatever a view's functions wrote is undone."""
        if self.in_transaction and self._state == "sound":
            self.run("IF @@TRANCOUNT > 0 ROLLBACK", what)
            self.in_transaction = False

    def usable(self) -> bool:
        """Alive, outside a transaction, and with nothing to read: a server that went away left its farewell there."""
        return self._state == "sound" and not self.in_transaction and self._line.quiet()

    def abort(self) -> None:
        """From another thread: break the connection."""
        self._state = "closed"
        self._line.hang_up()
        self._calls.abandon()

    def close(self) -> None:
        """Close the connection; never raises, never waits. A call that still uses it ends first, as the line is down."""
        self._state = "closed"
        self._line.hang_up()
        self._calls.close(self._close_connection)
        self._line.close()

    def _close_connection(self) -> None:
        with suppress(pyodbc.Error):
            self._connection.close()


def declared(values: Mapping[str, str | int]) -> str:
    """The declaration of a statement's variables; one type for all short texts, so that the server keeps one plan."""
    return ", ".join(f"@{name} {'int' if isinstance(value, int) else _width(value)}" for name, value in values.items())


def _width(value: str) -> str:
    return f"nvarchar({LONGEST if len(value) <= LONGEST // 2 else 'max'})"  # a character may take two places


def _size(value: str | int) -> tuple[int, int, int] | None:
    if isinstance(value, int):
        return None
    return LONG_TEXT if "max" in _width(value) else TEXT


def _reached(host: str, port: int, patience_s: float) -> set[tuple[str, int]]:
    """Addresses of a host where somebody listens; raises OSError. A driver would not say why it reaches nobody."""
    known = {address[:2] for *_, address in socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)}
    socket.create_connection((host, port), patience_s).close()
    return {(str(name), int(number)) for name, number in known}
