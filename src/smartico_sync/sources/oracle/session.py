"""One connection to Oracle that never waits longer than it was told to, and never writes."""

from __future__ import annotations

from contextlib import suppress
from traceback import clear_frames
from typing import TYPE_CHECKING, Any, Literal, TypeVar

import oracledb
import polars as pl

from smartico_sync.errors import RowsTooWide, SourceUnreachable
from smartico_sync.sources.kit.failures import StatementFailed
from smartico_sync.sources.kit.intake import counted
from smartico_sync.sources.kit.network_failures import first_that_answers
from smartico_sync.sources.kit.positions import no_text
from smartico_sync.sources.oracle.failures import failure, number

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from smartico_sync.sources.kit.abandonable import UnattendedCalls
    from smartico_sync.sources.kit.intake import Intake
    from smartico_sync.sources.oracle.clock import Clock
    from smartico_sync.sources.oracle.login import Login

__all__ = ["Session"]

T = TypeVar("T")
Answer = tuple["Sequence[oracledb.FetchInfo]", list[tuple[Any, ...]]]
READ_ONLY = "SET TRANSACTION READ ONLY"  # one snapshot for all its statements
BATCH = 10_000  # rows of a round trip: a page is one, as long as it is not larger
# Where wide rows are to be noticed: of 20 kB each these are 10 MB, and a page of narrow ones is 20 round trips.
COUNTED_BATCH = 500
NAME_BYTES = 48  # what V$SESSION keeps of a module
FAREWELL_MS = 1_000  # logging off is a courtesy
# Whatever the server's default or a logon trigger says. Texts compare by their bytes, which is what indexes hold.
SETTINGS = """ALTER SESSION SET TIME_ZONE='+00:00' NLS_CALENDAR='GREGORIAN' NLS_NUMERIC_CHARACTERS='.,'
 NLS_COMP='BINARY' NLS_SORT='BINARY' NLS_DATE_FORMAT='YYYY-MM-DD HH24:MI:SS'
 NLS_TIMESTAMP_FORMAT='YYYY-MM-DD HH24:MI:SS.FF9' NLS_TIMESTAMP_TZ_FORMAT='YYYY-MM-DD HH24:MI:SS.FF9 TZH:TZM'"""


class Session:
    """A connection. Not thread-safe but for `abort`."""

    def __init__(self, login: Login, clock: Clock, unattended: UnattendedCalls, place: str) -> None:
        self.clock = clock
        self._login, self._unattended = login, unattended
        self._place = place
        self._state: Literal["outside", "inside", "closed"] = "outside"  # of a transaction
        self._since: Literal["rest", "work"] = "work"
        self._connection = self._connect()

    @property
    def encrypted(self) -> Literal["yes", "no"]:
        """Whether others can read along."""
        return "yes" if "tcps" in self._connection.dsn.lower() else "no"

    def _connect(self) -> oracledb.Connection:
        return first_that_answers(self._login.addresses(), self._connect_to, self._place)

    def _connect_to(self, address: oracledb.ConnectParams) -> oracledb.Connection:
        """A session at that address.

        The driver limits how long TCP may take, and how long a call of a session may; between the two, while listener and
        server greet it, it would wait for ever.
        """
        try:
            connection = self._unattended.run_once(
                self._place,
                lambda: oracledb.connect(params=address),
                self._login.connect_timeout_s,
                "connecting",
                _close,
            )
        except (oracledb.Error, OSError) as error:
            raise failure(error, self._place, "connecting") from None
        self._prepare(connection)
        return connection

    def _prepare(self, connection: oracledb.Connection) -> None:
        try:
            connection.call_timeout = self._login.timeout_ms
            # What V$SESSION and the AWR reports show; both travel with the next statement.
            connection.module = connection.client_identifier = "smartico-sync"
            with connection.cursor() as cursor:
                cursor.execute(SETTINGS)
        except (oracledb.Error, OSError) as error:
            _close(connection)
            raise failure(error, self._place, "connecting") from None

    def name(self, view: str) -> None:
        """What the statements to come are for, as V$SESSION shows it."""
        with suppress(oracledb.Error):
            self._connection.action = view.encode()[:NAME_BYTES].decode(errors="ignore")

    def begin(self, what: str) -> None:
        """Open a read-only transaction: what follows sees one snapshot."""
        self.execute(READ_ONLY, what)
        self._state = "inside"

    def end(self, what: str) -> None:
        """End the transaction if one was begun."""
        if self._state == "inside":
            self.rollback(what)

    def rollback(self, what: str) -> None:
        """End whatever a statement may have begun."""
        self._state = "outside"
        self._call(lambda connection: connection.rollback(), what)

    def execute(self, statement: str, what: str, *expected: int) -> Answer:
        """Run one statement, with the columns and rows it gives; for answers of a few. `what` names the view for messages.

        SourceError when it fails, but StatementFailed for `expected` numbers of the server, so that something else may be tried.
        """

        def run(connection: oracledb.Connection) -> Answer:
            with connection.cursor() as cursor:
                cursor.execute(statement)
                return (cursor.description, cursor.fetchall()) if cursor.description else ((), [])

        return self._call(run, what, expected)

    def frames(
        self,
        statement: str,
        binds: Mapping[str, str | int],
        national: Sequence[str],
        what: str,
        intake: Intake | None = None,
    ) -> pl.DataFrame:
        """Run a query; its columns as the driver's Arrow path hands them over, decimals exact.

        The parameters named in `national` travel in the national character set. RowsTooWide where it brings more than the
        `intake` takes.
        """
        most = BATCH if intake is None else COUNTED_BATCH

        def run(connection: oracledb.Connection) -> pl.DataFrame:
            values = {
                name: _national(connection, value) if name in national else value for name, value in binds.items()
            }
            size = min(int(binds.get("n", most)), most)
            batches = connection.fetch_df_batches(statement, values, size, fetch_decimals=True)
            return pl.concat(counted(map(pl.DataFrame, batches), intake, _size))

        return self._call(run, what)

    def _call(self, run: Callable[[oracledb.Connection], T], what: str, expected: Sequence[int] = ()) -> T:
        while True:
            try:
                answer = run(self._connection)
            except (oracledb.Error, OSError, UnicodeEncodeError, RowsTooWide) as error:
                # A cursor of the driver's own would be left in them until Python's garbage collector comes by, in the midst of
                # anything: the driver then waits for ever for a lock that this very thread may hold.
                clear_frames(error.__traceback__)
                if isinstance(error, RowsTooWide):
                    raise
                if isinstance(error, UnicodeEncodeError):
                    raise no_text(self._place, what) from None
                if number(error) in expected:
                    raise StatementFailed(number(error)) from None
                told = failure(error, self._place, what)
                if isinstance(told, SourceUnreachable):
                    self.close()
                # A server that went away while nobody asked is noticed only now, when nothing can be lost by it.
                if self._since == "work" or not isinstance(told, SourceUnreachable):
                    raise told from None
            else:
                self._since = "work"
                return answer
            self._since, self._state = "work", "outside"
            self._connection = self._connect()

    def usable(self) -> bool:
        """Outside a transaction, and not known to be broken."""
        self._since = "rest"
        return self._state == "outside" and self._connection.is_healthy()

    def abort(self) -> None:
        """From another thread: ask the server to stop. A server that does not hear it is given up after the timeout."""
        with suppress(oracledb.Error, OSError):
            if self._connection.is_healthy():
                self._connection.cancel()

    def close(self) -> None:
        """Close the connection; never raises, never waits long."""
        self._state = "closed"
        _close(self._connection)


def _close(connection: oracledb.Connection) -> None:
    with suppress(oracledb.Error, OSError):
        if connection.is_healthy():  # on a broken one the driver would end the process
            connection.call_timeout = FAREWELL_MS
        connection.close()


def _size(batch: pl.DataFrame) -> tuple[int, int]:
    """Its rows and bytes."""
    return batch.height, int(batch.estimated_size())


def _national(connection: oracledb.Connection, value: str | int) -> Any:
    if isinstance(value, int):
        return value
    with connection.cursor() as cursor:
        variable = cursor.var(oracledb.DB_TYPE_NVARCHAR, len(value) or 1)
    variable.setvalue(0, value)
    return variable
