"""One connection to MySQL or MariaDB that never waits longer than it was told to, and never writes."""

from __future__ import annotations

from contextlib import suppress
from functools import partial
from math import ceil
from typing import TYPE_CHECKING, Any, Literal

import pymysql
from msgspec import Struct
from pymysql.constants import SERVER_STATUS

from smartico_sync.errors import RowsTooWide, SourceError, SourceRefused, SourceUnreachable
from smartico_sync.sources.kit.failures import StatementFailed
from smartico_sync.sources.kit.line import Line
from smartico_sync.sources.kit.network_failures import (
    LESS,
    Hints,
    broken,
    fault_of,
    first_that_answers,
    silent,
    unreachable,
)
from smartico_sync.sources.kit.positions import no_text
from smartico_sync.sources.mysql.failures import NO_VARIABLE, failure
from smartico_sync.sources.mysql.wire import Wire

if TYPE_CHECKING:
    from collections.abc import Sequence

    from smartico_sync.core.relation import Relation
    from smartico_sync.sources.kit.intake import Intake
    from smartico_sync.sources.mysql.clock import Clock
    from smartico_sync.sources.mysql.login import Login

__all__ = ["Answer", "Row", "Session", "literal"]

HINTS = Hints(
    tls=f"`ssl_ca` names the authority of the server's certificate; MySQL's own pass ssl_mode=VERIFY_CA, not VERIFY_IDENTITY{LESS}",
    refused="is the server running? check host and port, or the socket's path, in the url",
)
Row = tuple[str | None, ...]
Flavour = Literal["mysql", "mariadb", "neither"]
BEGIN = "START TRANSACTION WITH CONSISTENT SNAPSHOT, READ ONLY"
ALL = 2**64 - 1
# An empty sql_mode: zero dates compare, backslashes escape, CHAR comes without padding, whatever the server's default is. Rows that
# are asked for by their keys have no LIMIT: the server's default would cut them, and what was left out would be taken for deleted.
SETTINGS = (
    "SET SESSION autocommit=1, time_zone='+00:00', sql_mode='', sql_auto_is_null=0, sql_select_limit={all}",
    "SET SESSION lock_wait_timeout={seconds}, net_write_timeout={silence}",
    "SET SESSION TRANSACTION ISOLATION LEVEL REPEATABLE READ, READ ONLY",
)
TIMEOUTS: tuple[tuple[Flavour, str], ...] = (
    ("mysql", "SET SESSION max_execution_time={milliseconds}"),
    ("mariadb", "SET SESSION max_statement_time={exact}"),
)
ESCAPES = str.maketrans({"\\": "\\\\", "'": "''", "\0": "\\0"})


class Answer(Struct, frozen=True):
    """What one statement gave: `fields` of the result set, and its values as bytes, row behind row."""

    fields: Sequence[Any]
    values: Sequence[bytes | None]

    @property
    def rows(self) -> list[Row]:
        """Rows of text, for answers of a few."""
        texts = [None if value is None else value.decode(errors="replace") for value in self.values]
        width = len(self.fields) or 1
        return [tuple(texts[at : at + width]) for at in range(0, len(texts), width)]

    @property
    def pairs(self) -> dict[str, int]:
        """Rows of a name and a number, as SHOW STATUS gives them; words count as 0."""
        return {name or "": int(value) if value and value.isdigit() else 0 for name, value in self.rows}

    @property
    def names(self) -> list[str]:
        """The columns' names."""
        return [field.name for field in self.fields]


class Session:
    """A connection. Not thread-safe but for `abort`."""

    def __init__(self, login: Login, clock: Clock, place: str) -> None:
        self.engine = login.engine.scheme
        self.clock = clock
        self._place = place
        self._silence_s = login.silence_s
        self.flavour: Flavour = "neither"
        self.standing = "unknown"  # what `clock` has found out about this server
        self.collations: dict[Relation, float] = {}  # see `collated`
        connect = partial(self._connect, login, login.arguments())
        self._connection, self._line = first_that_answers(login.hosts() or (("", 0),), connect, place)
        try:
            self._prepare(login.timeout_ms)
        except BaseException:
            self.close()
            raise

    def _connect(self, login: Login, arguments: dict[str, Any], host: tuple[str, int]) -> tuple[Wire, Line]:
        """A connection to one host, or to the socket's path for none, and the line under it, which TLS takes over."""
        try:
            dialled = login.dial(*host)
        except OSError as error:
            raise unreachable(error, self._place, HINTS) from None
        line = Line(dialled.fileno())
        connection = Wire(
            secrecy=login.secrecy, place=self._place, host=host[0], port=host[1], defer_connect=True, **arguments
        )
        try:
            connection.connect(dialled)
        except BaseException as error:
            line.close()
            dialled.close()
            if isinstance(error, SourceError | KeyboardInterrupt):
                raise
            raise self._refused(error) from None
        return connection, line

    def _refused(self, error: BaseException) -> SourceError:
        code = _code(error)
        if code == pymysql.constants.CR.CR_SSL_CONNECTION_ERROR:
            return SourceUnreachable(
                f"{self._place}: the server offers no TLS",
                hint="give it a certificate, or say in words that the connection may be in the clear: `encryption: off` of the source",
            )
        if fault_of(error) in ("tls", "late"):
            return unreachable(error, self._place, HINTS)
        if isinstance(error, pymysql.err.MySQLError):
            return failure(code, self._place, "connecting")
        return SourceRefused(
            f"{self._place}: the server asks for a login that this client cannot give ({type(error).__name__})",
            hint="use caching_sha2_password, ed25519 (needs pip install pynacl) or mysql_native_password",
        )

    def _prepare(self, timeout_ms: int) -> None:
        exact, silence = timeout_ms / 1000, ceil(self._silence_s)
        told = {"seconds": ceil(exact), "silence": silence, "milliseconds": timeout_ms, "exact": exact, "all": ALL}
        for setting in SETTINGS:
            self.run(setting.format(**told), "connecting")
        for flavour, setting in TIMEOUTS:
            with suppress(StatementFailed):
                self.attempt(setting.format(**told), "connecting", expected=(NO_VARIABLE,))
                self.flavour = flavour
                return

    def begin(self, what: str) -> None:
        """Open a read-only transaction: what follows sees one snapshot."""
        self.run(BEGIN, what)

    def end(self, what: str) -> None:
        """End the transaction if one was begun."""
        if self.in_transaction:
            self.run("ROLLBACK", what)

    def run(self, statement: str, what: str, intake: Intake | None = None) -> Answer:
        """Run one statement and take its whole answer. `what` names the view for messages.

        SourceError when it fails; SourceUnreachable when the connection breaks or stays silent too long. RowsTooWide where it
        brings more than the `intake` takes: the connection is closed, whose server would go on.
        """
        return self.attempt(statement, what, intake=intake)

    def attempt(
        self, statement: str, what: str, *, expected: Sequence[int] = (), intake: Intake | None = None
    ) -> Answer:
        """As `run`, but StatementFailed for these numbers of the server, so that something else may be tried."""
        try:
            result = self._connection.ask(statement, intake)
        except RowsTooWide:
            self.close()
            raise
        except UnicodeEncodeError:
            raise no_text(self._place, what) from None
        except pymysql.err.MySQLError as error:
            code = _code(error)
            if code in expected:
                raise StatementFailed(code) from None
            if "timed out" in str(error):
                raise silent(self._place, what, self._silence_s) from None
            raise failure(code, self._place, what, str(error)) from None
        except (OSError, AttributeError, ValueError, TypeError, IndexError, AssertionError):
            # Broken by `abort` from another thread, or by something that does not speak MySQL.
            self.close()
            raise broken(self._place, what) from None
        return Answer(result.fields, result.values)

    @property
    def in_transaction(self) -> bool:
        """Whether the connection lives and a transaction is open on it."""
        connection = self._connection
        return connection.open and bool(connection.server_status & SERVER_STATUS.SERVER_STATUS_IN_TRANS)

    def usable(self) -> bool:
        """Alive, outside a transaction, and with nothing to read: a server that went away left its farewell there."""
        return self._connection.open and not self.in_transaction and self._line.quiet()

    def abort(self) -> None:
        """From another thread: break the connection."""
        self._line.hang_up()

    def close(self) -> None:
        """Close the connection; never raises, never waits."""
        with suppress(pymysql.err.MySQLError, OSError):
            self._connection.close()
        self._line.close()


def literal(value: str | int) -> str:
    """A value as an SQL constant under the session's sql_mode."""
    return str(value) if isinstance(value, int) else f"'{value.translate(ESCAPES)}'"


def _code(error: BaseException) -> int:
    return error.args[0] if error.args and isinstance(error.args[0], int) else 0
