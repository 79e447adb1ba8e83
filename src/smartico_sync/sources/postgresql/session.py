"""One connection to PostgreSQL that never waits longer than it was told to.

It speaks the simple query protocol over psycopg's libpq: several statements travel in one round trip, `COPY … TO STDOUT`
among them, and every wait for the socket has a limit, so that a silent network is noticed (`statement_timeout` cannot).
"""

from __future__ import annotations

import os
import select
import socket
import time
from contextlib import suppress
from io import BytesIO
from typing import TYPE_CHECKING, Any, Literal

import psycopg
from msgspec import Struct
from psycopg.pq import ConnStatus, DiagnosticField, ExecStatus, TransactionStatus

from smartico_sync.errors import RowsTooWide, SourceCancelled, SourceError, SourceUnreachable
from smartico_sync.sources.kit.network_failures import broken, silent
from smartico_sync.sources.kit.positions import no_text
from smartico_sync.sources.postgresql.failures import connecting, failure
from smartico_sync.sources.postgresql.identity import identity
from smartico_sync.sources.postgresql.operators import hidden_schemas, search_path
from smartico_sync.sources.postgresql.transaction import BEGIN, RAW, settings, standing_of

if TYPE_CHECKING:
    from smartico_sync.sources.kit.intake import Intake
    from smartico_sync.sources.postgresql.login import Login

__all__ = ["Answer", "Session", "literal"]

# The server sends 8 KB at a time. To be woken for each costs more than to copy it, and with it the interpreter's lock is taken.
GATHER_S = 0.001
READS = 8  # of the socket after that: each makes libpq's buffer twice as large, until one holds all that is there
CANCEL_TIMEOUT_S = 1.0  # asking the server to stop is a courtesy; closing the socket works anyway
PORTION = 32  # rows that libpq hands out at once: of rows of 2 MB that is 64 MB
NARROW = 2_000  # bytes of a row: behind such rows portions are larger, since each costs 15 us
NARROW_PORTION = 96  # of rows that are 200 kB all of a sudden that is 20 MB
FIRST_WITH_PORTIONS = 170_000  # of libpq; older ones hand out portions of one row
Row = tuple[str | None, ...]
Values = list[bytes | None]


class Answer(Struct, frozen=True):
    """What one statement gave: rows as text, or the bytes of a COPY. `taken`: columns of rows that came in portions."""

    result: Any = None
    data: bytes = b""
    taken: list[Values] | None = None

    @property
    def height(self) -> int:
        """How many rows."""
        return len(self.taken[0]) if self.taken else int(self.result.ntuples)

    @property
    def rows(self) -> tuple[Row, ...]:
        """The rows, for answers of a few."""
        texts = [
            [None if each is None else each.decode(errors="replace") for each in values] for values in self.columns
        ]
        return tuple(zip(*texts, strict=True))

    @property
    def columns(self) -> list[Values]:
        """The values column by column, as bytes."""
        return columns_of(self.result) if self.taken is None else self.taken

    @property
    def texts(self) -> list[list[str | None]]:
        """The same as text. UnicodeDecodeError where some value is none."""
        return [[None if each is None else each.decode() for each in values] for values in self.columns]

    @property
    def names(self) -> tuple[str, ...]:
        """The columns' names."""
        return tuple(
            (self.result.fname(column) or b"").decode(errors="replace") for column in range(self.result.nfields)
        )

    @property
    def types(self) -> tuple[int, ...]:
        """The columns' types, by oid."""
        return tuple(self.result.ftype(column) for column in range(self.result.nfields))


class Session:
    """A connection. Not thread-safe but for `abort`."""

    def __init__(self, login: Login, place: str) -> None:
        self._place = place
        self._what = "connecting"  # the view that is waited for, or whatever else
        self._silence_ms = int(login.silence_s * 1000)
        self._end: Literal["answered", "sent", "on its way"] = "answered"
        self._portion = PORTION
        try:
            self._connection = psycopg.connect(login.conninfo(), autocommit=True)
        except psycopg.Error as error:
            raise connecting(error, error.sqlstate, str(error), self._place) from None
        self._pg = self._connection.pgconn
        self._pg.nonblocking = 1
        self._poll = select.poll()
        self.version = self._pg.server_version
        own = {"statement_timeout": str(login.timeout_ms), **(RAW if self.raw else {})}
        self.hidden_schemas = hidden_schemas(self)
        self._settings = settings(own, search_path(self.hidden_schemas) if self.hidden_schemas else "")
        self._begin = f"{BEGIN}SELECT {standing_of(self.version, identity(self))}, {self._settings};"

    @property
    def encoding(self) -> str:
        """The database's own."""
        return (self._pg.parameter_status(b"server_encoding") or b"unknown").decode()

    @property
    def raw(self) -> bool:
        """Whether texts are bytes of any encoding: what is sent in one go with the settings is read before they hold."""
        return self.encoding == "SQL_ASCII"

    @property
    def encrypted(self) -> Literal["yes", "no", "none"]:
        """Whether others can read along."""
        if self._pg.host.startswith(b"/"):  # a socket of this machine
            return "none"
        return "yes" if self._pg.ssl_in_use else "no"

    def begin(self, what: str) -> None:
        """Open a read-only transaction. `what` names the view for messages, here and below."""
        self.run(f"{BEGIN}SELECT {self._settings}", what)

    def begin_reading(self, what: str, queries: str = "", intake: Intake | None = None) -> tuple[Row, list[Answer]]:
        """As `begin`, in the same round trip with epoch ms of the clock, xmin and xmax where they can be a fence, and the server.

        And with the answers to queries; none where one of them fails: that is told when it is asked again. A server that
        refuses may be another one than was connected to, behind a pooler: the connection is closed, and the next one asks anew
        what it answers.
        """
        try:
            begun, *answers = self.run(self._begin + queries, what, intake)
        except SourceError as error:
            if queries and not isinstance(error, SourceUnreachable | SourceCancelled):
                self.end(what)
                return self.begin_reading(what)
            self.close()
            raise
        return begun.rows[0][:4], answers

    def end(self, what: str) -> None:
        """End the transaction if one was begun, failed or not. Its answer is not waited for: whoever comes next takes it."""
        pg = self._pg
        if pg.status != ConnStatus.OK or pg.transaction_status == TransactionStatus.IDLE or self._end != "answered":
            return
        self._what = what
        try:
            pg.send_query(b"ROLLBACK")
            pg.flush()
        except psycopg.Error:
            raise self._broken(what) from None
        self._end = "sent"

    def run(self, script: str, what: str, intake: Intake | None = None) -> list[Answer]:
        """Run statements in one round trip; the answers in order. `what` names the view for messages.

        SourceError for the first that failed; SourceUnreachable when the connection breaks or stays silent too long. RowsTooWide
        where there is an `intake` and one brings more than that takes: the connection is closed, whose server would go on.
        """
        self._what = what
        try:
            if self._end != "answered":
                self._collect()
                self._end = "answered"
            self._pg.send_query(script.encode())
            if intake is not None:
                self._ask_for_portions()
            answers, fault = self._collect(intake)
        except psycopg.Error:
            raise self._broken(what) from None
        except RowsTooWide:
            self.close()
            raise
        except UnicodeEncodeError:
            raise no_text(self._place, what) from None
        if fault is not None:
            raise failure(*fault, self._place, what)
        return answers

    def _ask_for_portions(self) -> None:
        """Have libpq hand out rows as they come, and not only all of them."""
        if psycopg.pq.version() >= FIRST_WITH_PORTIONS:
            self._pg.set_chunked_rows_mode(self._portion)
        else:
            self._pg.set_single_row_mode()

    def _collect(self, intake: Intake | None = None) -> tuple[list[Answer], tuple[str, str] | None]:
        answers: list[Answer] = []
        fault: tuple[str, str] | None = None
        taken: list[Values] | None = None
        while True:
            self._wait_for_result()
            result = self._pg.get_result()
            if result is None:
                break
            match result.status:
                case ExecStatus.TUPLES_CHUNK | ExecStatus.SINGLE_TUPLE:
                    taken = self._taken(result, taken, intake)
                case ExecStatus.TUPLES_OK:
                    answers.append(Answer(result, taken=taken))
                    taken = None
                case ExecStatus.COPY_OUT:
                    answers.append(Answer(data=self._copied(intake)))
                case ExecStatus.FATAL_ERROR if fault is None:
                    fault = (
                        (result.error_field(DiagnosticField.SQLSTATE) or b"08006").decode(),
                        (result.error_field(DiagnosticField.MESSAGE_PRIMARY) or b"").decode(errors="replace"),
                    )
                case _:
                    pass
        return answers, fault

    def _taken(self, result: Any, taken: list[Values] | None, intake: Intake | None) -> list[Values]:
        """What was taken of an answer, with some more rows."""
        portion = columns_of(result)
        if intake is not None:
            if taken is None:
                intake.begin()
            size = sum(sum(map(len, filter(None, values))) for values in portion)
            if size > NARROW * result.ntuples:
                self._portion = PORTION
            elif result.ntuples >= PORTION:
                self._portion = NARROW_PORTION
            intake.take(result.ntuples, size)
        if taken is None:
            return portion
        for values, more in zip(taken, portion, strict=True):
            values.extend(more)
        return taken

    def _wait_for_result(self) -> None:
        pg = self._pg
        while pg.flush():
            self._wait(select.POLLIN | select.POLLOUT)
            pg.consume_input()
        while pg.is_busy():
            self._wait(select.POLLIN)
            pg.consume_input()

    def _copied(self, intake: Intake | None) -> bytes:
        rows = BytesIO()
        take, add = self._pg.get_copy_data, rows.write
        came, before = 0, 0
        if intake is not None:
            intake.begin()
        while True:
            size, data = take(1)
            if size > 0:
                add(data)
                came += 1
            elif size == 0:
                if intake is not None:
                    intake.take(came, rows.tell() - before)
                    came, before = 0, rows.tell()
                self._wait(select.POLLIN)
                time.sleep(GATHER_S)
                for _ in range(READS):
                    self._pg.consume_input()
            else:
                return rows.getvalue()

    def _wait(self, events: int) -> None:
        self._poll.register(self._pg.socket, events)
        if not self._poll.poll(self._silence_ms):
            self.close()
            raise silent(self._place, self._what, self._silence_ms / 1000)

    def _broken(self, what: str) -> SourceError:
        """Why the connection broke: the server's last words, if there are any."""
        words = None
        with suppress(psycopg.Error):
            words = self._pg.get_result()
        code = words.error_field(DiagnosticField.SQLSTATE) if words is not None else None
        self.close()
        if code:
            return failure(code.decode(), "", self._place, what)
        return broken(self._place, what)

    def usable(self) -> bool:
        """Alive, outside a transaction, and with nothing to read: a server that went away left its farewell there."""
        pg = self._pg
        if pg.status == ConnStatus.OK and self._end == "sent":  # just now: whoever takes it next looks for the answer
            self._end = "on its way"
            return True
        if pg.status == ConnStatus.OK and self._end == "on its way" and self._end_answered() == "not yet":
            return True
        if pg.status != ConnStatus.OK or pg.transaction_status != TransactionStatus.IDLE:
            return False
        if not self._readable():
            return True
        try:
            pg.consume_input()  # a notice or a changed parameter may also arrive unasked
        except psycopg.Error:
            return False
        return pg.status == ConnStatus.OK and not self._readable()

    def _readable(self) -> bool:
        """Whether the server has sent something, or has gone."""
        self._poll.register(self._pg.socket, select.POLLIN)
        return bool(self._poll.poll(0))

    def _end_answered(self) -> Literal["yes", "not yet", "never"]:
        """Take the answer to the end of the last transaction, if it has come."""
        pg = self._pg
        try:
            while pg.is_busy():
                if not self._readable():
                    return "not yet"
                pg.consume_input()
            while pg.get_result() is not None:
                pass
        except psycopg.Error:
            return "never"
        self._end = "answered"
        return "yes"

    def abort(self) -> None:
        """From another thread: ask the server to stop, and break the connection whatever it says."""
        with suppress(psycopg.Error, OSError):
            self._connection.cancel_safe(timeout=CANCEL_TIMEOUT_S)
        with suppress(psycopg.Error, OSError), socket.socket(fileno=os.dup(self._pg.socket)) as wire:
            wire.shutdown(socket.SHUT_RDWR)

    def close(self) -> None:
        """Close the connection; never raises, never waits."""
        with suppress(psycopg.Error):
            self._connection.close()


def columns_of(result: Any) -> list[Values]:
    """A result's values column by column."""
    value, rows = result.get_value, range(result.ntuples)
    return [[value(row, column) for row in rows] for column in range(result.nfields)]


def literal(value: str | int) -> str:
    """A value as an SQL constant, whatever standard_conforming_strings says. NUL bytes do not exist in PostgreSQL."""
    if isinstance(value, int):
        return str(value)
    quoted = value.replace("\0", "").replace("'", "''")
    return "E'" + quoted.replace("\\", "\\\\") + "'" if "\\" in quoted else f"'{quoted}'"
