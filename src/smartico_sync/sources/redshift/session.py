"""One connection to Redshift that never waits longer than it was told to, and never writes.

The driver makes a Python object of every value; here each one stays the bytes of the text that the server sent, which polars
parses a column at a time. That is twice as fast, and exact for every type.
"""

from __future__ import annotations

import ssl
import struct
from collections import defaultdict
from contextlib import suppress
from functools import partial
from typing import TYPE_CHECKING, Any, Literal

import redshift_connector
from msgspec import Struct
from redshift_connector.core import Connection
from redshift_connector.error import Error

from smartico_sync.errors import RowsTooWide, SourceRefused, ViewAltered
from smartico_sync.sources.kit.line import Line
from smartico_sync.sources.kit.network_failures import broken, first_that_answers, silent
from smartico_sync.sources.kit.positions import no_text
from smartico_sync.sources.redshift.failures import failure, told, unreached
from smartico_sync.sources.sql.names import constant

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from smartico_sync.errors import SourceUnreachable
    from smartico_sync.sources.kit.intake import Intake
    from smartico_sync.sources.redshift.login import Login

__all__ = ["Answer", "Session"]

BEGIN = "BEGIN ISOLATION LEVEL SERIALIZABLE READ ONLY"  # the snapshot is taken by the first query in it
# The driver throws away all that it has prepared, one round trip each, when it hears ROLLBACK: right after a failure only.
END, UNDO = "COMMIT", "ROLLBACK"
SETTINGS = (
    "SET timezone TO 'UTC'", "SET datestyle TO 'ISO, YMD'", "SET extra_float_digits TO 2", "SET statement_timeout TO {timeout}",
)  # fmt: skip
TEXT_ONLY = 0  # the protocol's version in which numbers come as text, too
AS_TEXT = 0  # how the server is asked to send a value
ASKS_FOR_PASSWORD = struct.pack("!i", 3)
STATEMENTS = 50  # prepared ones that a session keeps; each view needs a handful


class Answer(Struct, frozen=True):
    """What one statement gave: `fields` of the driver's row description, and rows of bytes."""

    fields: Sequence[dict[str, Any]]
    rows: Sequence[Sequence[bytes | None]]

    @property
    def texts(self) -> list[tuple[str | None, ...]]:
        """Rows of text, for answers of a few."""
        return [tuple(None if value is None else value.decode(errors="replace") for value in row) for row in self.rows]


class Guarded(Connection):
    """A connection of the driver's that gives the password itself over TLS only, which is always verified.

    It counts what comes for an `intake`: the driver has an answer whole before it hands out a row.
    """

    intake: Intake | None = None

    def handle_AUTHENTICATION_REQUEST(self, data: bytes, cursor: Any) -> None:  # noqa: N802  - the driver's name
        """Answer what the server asks for at login."""
        if data[:4] == ASKS_FOR_PASSWORD and not isinstance(self._usock, ssl.SSLSocket):
            raise SourceRefused(
                "the server asks for the password, and the connection is in the clear: whoever answers there would have it",
                hint="use TLS; Redshift itself asks for a proof only",
            )
        super().handle_AUTHENTICATION_REQUEST(data, cursor)

    def handle_DATA_ROW(self, data: bytes, cursor: Any) -> None:  # noqa: N802  - likewise
        """Take one row."""
        if self.intake is not None:
            self.intake.take(1, len(data))
        super().handle_DATA_ROW(data, cursor)


redshift_connector.Connection = Guarded  # type: ignore[attr-defined]  # what its `connect` makes


class Session:
    """A connection. Not thread-safe but for `abort`."""

    def __init__(self, login: Login, place: str) -> None:
        self._place = place
        self._silence_s = login.silence_s
        self._state: Literal["outside", "inside", "failed", "closed"] = "outside"  # of a transaction
        self._connection = first_that_answers(login.hosts(), partial(self._connect, login), place)
        self._line = Line(self._connection._usock.fileno())  # noqa: SLF001  - it has no other way to be woken
        try:
            for setting in SETTINGS:
                self.run(setting.format(timeout=login.timeout_ms), "connecting")
            parameters = login.typed
            if "query_group" in parameters:
                self.run(f"SET query_group TO {constant(parameters['query_group'])}", "connecting")
            if parameters.get("case_sensitive"):
                self.run("SET enable_case_sensitive_identifier TO true", "connecting")
        except BaseException:
            self.close()
            raise

    def _connect(self, login: Login, host: tuple[str, int]) -> Guarded:
        arguments = login.arguments(host)
        try:
            connection: Guarded = redshift_connector.connect(  # type: ignore[assignment]  # see above
                **arguments, client_protocol_version=TEXT_ONLY, max_prepared_statements=STATEMENTS
            )
        except SourceRefused as refused:
            _close_half(refused)
            raise SourceRefused(f"{self._place}: {refused.message}", hint=refused.hint) from None
        except Exception as error:  # noqa: BLE001  - AWS's own failures share no class with the driver's
            _close_half(error)
            fields = told(error)
            raise (failure(fields, self._place, "connecting") if fields else unreached(error, self._place)) from None
        connection._usock.settimeout(self._silence_s)  # noqa: SLF001  - the limit of the connecting was another
        connection.autocommit = True
        connection.redshift_types = defaultdict(lambda: (AS_TEXT, _as_sent))
        return connection

    @property
    def encrypted(self) -> Literal["yes", "no"]:
        """Whether others can read along."""
        return "yes" if isinstance(self._connection._usock, ssl.SSLSocket) else "no"  # noqa: SLF001  - likewise

    def begin(self, what: str) -> None:
        """Open a read-only transaction: what follows sees one snapshot."""
        self.run(BEGIN, what)
        self._state = "inside"

    def end(self, what: str) -> None:
        """End the transaction if one was begun."""
        if self._state in ("inside", "failed"):
            word, self._state = END if self._state == "inside" else UNDO, "outside"
            self.run(word, what)

    def run(
        self, statement: str, what: str, values: Mapping[str, str | int] | None = None, intake: Intake | None = None
    ) -> Answer:
        """Run one statement and take its whole answer. `what` names the view for messages.

        SourceError when it fails; SourceUnreachable when the connection breaks or stays silent too long. RowsTooWide where it
        brings more than the `intake` takes: the connection is closed, whose server would go on.
        """
        cursor = self._connection.cursor()
        cursor.paramstyle = "named"
        self._connection.intake = intake
        if intake is not None:
            intake.begin()
        try:
            # The faster way to read loses its place when the driver throws away what it has prepared.
            cursor.execute(statement, dict(values) if values else None, merge_socket_read=statement != UNDO)
            rows = cursor.fetchall() if cursor.description else ()
        except RowsTooWide:
            self.close()
            raise
        except UnicodeEncodeError:
            raise no_text(self._place, what) from None
        except Error as error:
            if fields := told(error):
                self._state = "failed" if self._state == "inside" else self._state
                failed = failure(fields, self._place, what)
                if isinstance(failed, ViewAltered):
                    self.close()
                raise failed from None
            raise self._broken(what) from None
        except TimeoutError:
            self.close()
            raise silent(self._place, what, self._silence_s) from None
        except (OSError, AttributeError, ValueError, KeyError, IndexError, TypeError, struct.error):
            # Broken by `abort` from another thread, or by something that does not speak Redshift.
            raise self._broken(what) from None
        return Answer(cursor.ps["row_desc"] if cursor.ps else (), rows)

    def _broken(self, what: str) -> SourceUnreachable:
        self.close()
        return broken(self._place, what)

    def usable(self) -> bool:
        """Outside a transaction, alive, and with nothing to read: a server that went away left its farewell there."""
        return self._state == "outside" and self._line.quiet()

    def abort(self) -> None:
        """From another thread: break the connection."""
        self._line.hang_up()

    def close(self) -> None:
        """Close the connection; never raises, never waits."""
        self._state = "closed"
        with suppress(Error, OSError, ValueError):
            self._connection.close()
        self._line.close()


def _close_half(error: BaseException) -> None:
    """Close what the driver leaves open when a login fails: the connection that it was about to give us."""
    step = error.__traceback__
    while step is not None:
        half = step.tb_frame.f_locals.get("self")
        if isinstance(half, Connection):
            with suppress(Error, OSError, ValueError, AttributeError):
                half.close()
        step = step.tb_next


def _as_sent(data: bytes, at: int, length: int) -> bytes:
    return data[at : at + length]
