"""Connections to a state in PostgreSQL: how they are set, and what their errors mean."""

from __future__ import annotations

import os
import socket
from contextlib import contextmanager, suppress
from time import monotonic
from typing import TYPE_CHECKING, Any

from smartico_sync.errors import ConfigError, DriverMissing, StateDamaged, StateError, StateUnwritable

try:
    import psycopg
    from psycopg.conninfo import conninfo_to_dict, make_conninfo
except ModuleNotFoundError as missing:
    raise DriverMissing(
        f"`state:` names a PostgreSQL, whose driver is not installed ({missing.name})",
        hint="pip install 'smartico-sync[postgresql]'",
    ) from None

from smartico_sync.state.postgresql.tables import SCHEMA

if TYPE_CHECKING:
    from collections.abc import Generator, Iterator

__all__ = ["UTF8", "Answered", "abandon", "connect", "shown", "told"]

CONNECT_S = 3  # a host that does not answer: the next of the list is tried
SHARE = 0.4  # of the lease: what a pause may hold up; below half, so that two of them still end before it
PATIENCE = 2  # leases: the server gives a statement up after one, so what takes longer has lost its answer

# What passes by itself, or once a person has mended the server; anything else of the server is a mistake or damage.
# 25P03, 25P04: a process that was paused within a transaction finds that the server has ended it.
PASSING = ("08", "25006", "25P03", "25P04", "28", "3D", "40", "42501", "53", "55", "57", "58030")


# As its administrator; a text that a database cannot hold would keep a view where it is.
UTF8 = "make a database in UTF8: CREATE DATABASE … OWNER … ENCODING 'UTF8' TEMPLATE template0"


def shown(url: str) -> str:
    """A URL without its password and parameters."""
    scheme, _, rest = url.partition("://")
    place, _, _ = rest.rpartition("@")[2].partition("?")
    return f"{scheme}://{place}"


class Answered(psycopg.Connection[Any]):
    """A connection whose answers come within `patience_s` seconds, or it is closed; None: whenever they come.

    A server that hangs, or what stands before it, still acknowledges what it is sent: TCP's own limits notice nothing.
    """

    patience_s: float | None = None

    def wait(self, gen: Generator[Any, Any, Any], *more: Any, **named: Any) -> Any:
        """Wait for what psycopg waits for. Raises psycopg.OperationalError where it does not come."""
        if self.patience_s is None:
            return super().wait(gen, *more, **named)
        try:
            return super().wait(within(self.patience_s, gen), *more, **named)
        except NoAnswer:
            self.close()  # what comes after all would be taken for the answer to something else
            raise

    @contextmanager
    def unhurried(self) -> Iterator[None]:
        """Wait for as long as it takes, meanwhile."""
        usual, self.patience_s = self.patience_s, None
        try:
            yield
        finally:
            self.patience_s = usual


class NoAnswer(psycopg.OperationalError):
    """Nobody answered in time."""


def within(seconds: float, steps: Generator[Any, Any, Any]) -> Generator[Any, Any, Any]:
    """The steps of psycopg, as long as they may take. It has itself woken ten times a second, with a 0 where nothing came."""
    end = monotonic() + seconds
    try:
        wanted = next(steps)
        while True:
            ready = yield wanted
            if not ready and monotonic() > end:
                raise NoAnswer(f"no answer within {seconds:g} s")
            wanted = steps.send(ready)
    except StopIteration as done:
        return done.value


def connect(url: str, lease_s: float, name: str = "state", patience: float = PATIENCE) -> Answered:
    """Connect, in autocommit, with the tables' schema first. Raises ConfigError for a URL that is none, and psycopg's errors.

    No wait is longer than a part of the lease: that of a statement, of a transaction in which nothing happens; `patience`: after how
    many leases an answer that does not come is not waited for any longer.
    """
    try:
        given = conninfo_to_dict(url)
    except psycopg.ProgrammingError:
        raise ConfigError(
            f"`state:` {shown(url)} cannot be read as a URL",
            hint="write it as postgresql://user:${STATE_PASSWORD}@host:5432/database; characters like @ and / in a password as %40 and %2F",
        ) from None
    ms = int(lease_s * 1000)
    usual: dict[str, Any] = {
        "connect_timeout": CONNECT_S,
        "tcp_user_timeout": int(ms * SHARE),
        "keepalives_idle": max(1, int(lease_s * SHARE)),
        "keepalives_interval": 1,
        "keepalives_count": 3,
        "target_session_attrs": "any",
        "application_name": f"smartico-sync {name}",
        "client_encoding": "utf8",  # else that of the database, and texts of one in SQL_ASCII come as bytes
    }
    connection = Answered.connect(make_conninfo("", **(usual | given)), autocommit=True, prepare_threshold=None)
    connection.patience_s = lease_s * patience
    try:
        connection.execute(
            f"SET search_path = {SCHEMA}; SET statement_timeout = {ms}; SET lock_timeout = {ms}; "
            f"SET idle_in_transaction_session_timeout = {int(ms * SHARE)}; SET synchronous_commit = on; SET default_transaction_isolation = 'read committed'; "
            f"SET jit = off; SET client_min_messages = warning".encode()
        )
    except BaseException:
        connection.close()
        raise
    return connection


def abandon(connection: psycopg.Connection[Any]) -> None:
    """Let whoever waits for an answer on this connection have an error at once."""
    with suppress(OSError, psycopg.Error), socket.socket(fileno=os.dup(connection.pgconn.socket)) as wire:
        wire.shutdown(socket.SHUT_RDWR)


@contextmanager
def told(url: str) -> Iterator[None]:
    """Turn psycopg's errors into StateUnwritable (it may pass) and StateDamaged (it will not)."""
    try:
        yield
    except psycopg.Error as error:
        raise meaning(url, error) from error


def meaning(url: str, error: psycopg.Error) -> StateError:
    """What an error of the driver or the server means for the state."""
    place, code = shown(url), error.sqlstate or ""
    words = (error.diag.message_primary or str(error)).strip().splitlines()
    reason = words[0] if words else type(error).__name__
    if code == "25006":
        return StateUnwritable(
            f"the state {place} is read-only: {reason}",
            hint="it is a standby: name the primary in `state:`, or all hosts and ?target_session_attrs=read-write",
        )
    if code in ("3F000", "42P01", "42883"):  # what a pooler of transactions makes of the schema that is set once
        return StateDamaged(
            f"the state {place} is damaged: {reason}",
            hint="where `state:` names a pooler nothing may be lost: let it pool sessions (pool_mode = session), or name the server itself; "
            "else bring the database back from its backup; without one, `smartico-sync state new` starts again at the configured `start_from`",
        )
    if code == "42501":
        hint = (
            "as its administrator: GRANT CREATE ON DATABASE … TO …, the database and the user of `state:`"
            if "for database" in reason
            else "its tables are another role's: name that one in `state:`, which \\dn smartico_sync shows, or as an administrator: GRANT … TO …, that role and the user of `state:`"
        )
        return StateUnwritable(f"the state {place} cannot be used: {reason}", hint=hint)
    if code == "22P05":
        return StateUnwritable(
            f"the state {place} cannot be used: {reason}",
            hint=f"{UTF8}; `smartico-sync state move` to a file, and from there into it",
        )
    if not code or code.startswith(PASSING):
        return StateUnwritable(
            f"the state {place} cannot be used: {reason}",
            hint="check that the server runs and that user, password and database of `state:` are right; a running daemon goes on by itself",
        )
    return StateDamaged(f"the state {place} cannot be used: {reason}", hint="look at the log of that server")
