"""An open state in PostgreSQL: one connection, one transaction at a time, each behind the fence of the lease."""

from __future__ import annotations

import threading
import uuid
from contextlib import closing, contextmanager, suppress
from typing import TYPE_CHECKING, Any, Literal, TypeVar

import psycopg
from msgspec.structs import replace

from smartico_sync.errors import StateError, StateLost, StateUnwritable
from smartico_sync.state import view_positions
from smartico_sync.state.copying import write_file
from smartico_sync.state.database import StateSizes
from smartico_sync.state.postgresql import first_start
from smartico_sync.state.postgresql.connection import abandon, connect, shown, told
from smartico_sync.state.postgresql.lease import Renewal, put_back, release
from smartico_sync.state.postgresql.statements import Message, Steps, required

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from smartico_sync.state.database import Access
    from smartico_sync.state.key_file import KeyFile, SecretPlace
    from smartico_sync.state.open_state import Care
    from smartico_sync.state.postgresql.connection import Answered
    from smartico_sync.state.postgresql.first_start import Wish
    from smartico_sync.state.postgresql.lease import Lease
    from smartico_sync.state.statements import Statements

__all__ = ["PostgresqlDatabase", "snapshot"]

T = TypeVar("T")

MARGIN = 0.1  # of the lease, before its end: no request starts any more
GENERATION = "INSERT INTO generation (identity, number) VALUES (?, ?) ON CONFLICT (identity) DO UPDATE SET number = excluded.number"
SNAPSHOT = "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY; SET LOCAL statement_timeout = 0; SET LOCAL idle_in_transaction_session_timeout = 0"
ALONE = "LOCK TABLE view IN SHARE ROW EXCLUSIVE MODE"  # other members write to the same views
FENCE = "UPDATE fence SET token = ? WHERE name = ANY(?::text[]) AND token = ANY(?::uuid[])"
SIZE = (
    "SELECT coalesce(sum(pg_total_relation_size(c.oid)), 0) FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace "
    "WHERE n.nspname = current_schema() AND c.relkind = 'r'"
)


class PostgresqlDatabase:
    """A state in PostgreSQL. Every method may be called from any thread.

    A connection that breaks is made anew by the next call. What the broken one had under way is then either seen or can never
    happen: the fence has another token.
    """

    def __init__(self, wish: Wish, path: Path, key: KeyFile, connection: Answered, lease: Lease | None) -> None:
        self.path, self.key = path, key
        self._wish = wish
        self._connection: Answered | None = connection
        self._lease = lease
        self._tokens = (
            {lease.token} if lease else set()
        )  # what the fence may hold: two, while it is not known what became of a commit
        self._turn = threading.RLock()
        self._closed = False
        self._owner = lease.holder if lease and any(group.shares for group in wish.groups) else None
        self.lost_because = ""
        self._told_of_loss: Callable[[], None] = lambda: None
        self.renewal = Renewal(wish.url, lease, wish.lease_s, self._lose) if lease else None

    @classmethod
    def open(cls, wish: Wish, path: Path, access: Access) -> PostgresqlDatabase:
        """Open the state, making its tables at the very first start, and take its lease. `path`: see `Database`.

        Raises StateLocked while another member holds a group of it, StateUnwritable, StateMissing, StateDamaged, and StateError for tables of a
        newer version.
        """
        with told(wish.url):
            connection = connect(wish.url, wish.lease_s)
            try:
                if access == "read":
                    key, lease = first_start.looked_at(connection, wish), None
                else:
                    key, lease = first_start.taken(connection, wish)
                try:
                    first_start.check_views(Steps(connection), wish, key)
                    if lease is not None:
                        doubt(Steps(connection), lease)
                except BaseException:
                    if lease is not None:
                        put_back(connection, lease)
                    raise
            except BaseException:
                connection.close()
                raise
        return cls(wish, path, key, connection, lease)

    @property
    def hint(self) -> str:
        """What an operator types when the state is gone or damaged."""
        return first_start.RESTORE

    @property
    def owner(self) -> uuid.UUID | None:
        """Whose lanes are those of this process, where it shares its views with other members."""
        return self._owner

    @property
    def before(self) -> Literal["well", "badly"]:
        """How whoever held it before ended; badly: requests of his may be under way."""
        return "badly" if self._lease is not None and "badly" in self._lease.ended.values() else "well"

    @property
    def holding(self) -> bool:
        """Whether the lease lasts for longer than it takes to begin a request."""
        return not self.lost_because and self.renewal is not None and self.renewal.left_s > MARGIN * self._wish.lease_s

    def when_lost(self, told: Callable[[], None]) -> None:
        """Have it told that another member may have the state."""
        self._told_of_loss = told
        if self.lost_because:
            told()

    def __str__(self) -> str:
        return shown(self._wish.url)

    @contextmanager
    def reading(self) -> Iterator[Steps]:
        """Lend the connection, to read what was committed; nobody else has it meanwhile."""
        with self._turn, self._told():
            yield Steps(self._live())

    @contextmanager
    def writing(self, care: Care = "usual") -> Iterator[Steps]:
        """Lend the connection for one transaction behind the fence: all of it is written, or nothing.

        Every commit is flushed. What is deleted the server overwrites in its own time.
        """
        with self._turn, self._told():
            connection, token = self._live(), uuid.uuid4()
            steps = Steps(connection)
            try:
                alone = "" if self._owner is None else f";{ALONE}"
                steps.run(f"BEGIN;{self._fence(steps, token)}{alone}", self._lost)
                if care == "patient":
                    connection.execute("SET LOCAL statement_timeout = 0")
                    with connection.unhurried():
                        yield steps
                else:
                    yield steps
                self._tokens.add(token)
                connection.execute("COMMIT")
            except BaseException:
                self._undo(connection)
                raise
            self._tokens = {token}

    def together(self, write: Callable[[Statements], T], care: Care = "usual") -> T:  # noqa: ARG002 - every commit is flushed
        """Collect a transaction that does not read what it wrote, and send it as one message behind the fence."""
        with self._turn, self._told():
            connection, token = self._live(), uuid.uuid4()
            message = Message(connection, self._fence(Steps(connection), token))
            result = write(message)
            self._tokens.add(token)
            try:
                message.send(self._lost)
            except BaseException:
                self._undo(connection)
                raise
            self._tokens = {token}
        return result

    @contextmanager
    def _told(self) -> Iterator[None]:
        """Turn psycopg's errors into ours; a connection that was given up with the lease tells of the lease."""
        try:
            with told(self._wish.url):
                yield
        except StateUnwritable:
            if self.lost_because:
                raise self._lost() from None
            raise

    def _fence(self, steps: Steps, to: uuid.UUID) -> str:
        if self._lease is None:
            raise StateError(f"the state {self} is open to be read only")
        names = list(self._lease.names)
        return required(steps.bound(FENCE, (to, names, list(self._tokens))), "lost", len(names))

    def _live(self) -> Answered:
        """The connection; a new one where the last one broke, after which nothing that was sent on it can happen any more."""
        if self.lost_because:
            raise self._lost()
        if self._connection is None or self._connection.closed:
            if self._closed:
                raise psycopg.InterfaceError("the state was closed")
            connection, token = connect(self._wish.url, self._wish.lease_s), uuid.uuid4()
            try:
                if self._lease is not None:
                    self._tokens.add(token)
                    steps = Steps(connection)
                    steps.run(self._fence(steps, token), self._lost)
                    self._tokens = {token}
            except BaseException:
                connection.close()
                raise
            self._connection = connection
        return self._connection

    def _undo(self, connection: psycopg.Connection[Any]) -> None:
        """Leave the connection without a transaction, or give it up."""
        with suppress(psycopg.Error):
            if not connection.closed and connection.info.transaction_status != psycopg.pq.TransactionStatus.IDLE:
                connection.execute("ROLLBACK")
        if connection.closed or connection.info.transaction_status != psycopg.pq.TransactionStatus.IDLE:
            connection.close()
            self._connection = None

    def _lost(self) -> StateLost:
        """What a call raises once the lease is another's."""
        self._lose(self.lost_because or "another member has taken it over")
        return StateLost(
            f"the state {self} is not held any more: {self.lost_because}",
            hint="nothing: this member stands by, and takes over when the other ends",
        )

    def _lose(self, why: str) -> None:
        first, self.lost_because = not self.lost_because, self.lost_because or why
        if first:
            if self._connection is not None:
                abandon(self._connection)  # whoever waits for an answer on it waits no longer
            self._told_of_loss()

    def tidy(self, view_no: int, added: int) -> None:
        """Leave it to the server."""

    def ensure_sound(self) -> None:
        """Leave it to the server."""

    def look_through(self) -> None:
        """Leave it to the server."""

    def note_generation(self, identity: str, generation: int) -> None:
        """Write a generation of event ids down; a new state takes it over."""
        with self.writing() as connection:
            connection.execute(GENERATION, (identity, generation))
        self.key = replace(self.key, generations={**self.key.generations, identity: generation})

    def sizes(self) -> StateSizes:
        """Return how large the tables are; what is free in them the server uses again by itself."""
        with self.reading() as connection:
            (size,) = connection.execute(SIZE).fetchone() or (0,)
        return StateSizes(int(size), 0)

    def give_back(self) -> int:
        """Nothing: the server's own vacuum does it."""
        return 0

    def backup(self, target: Path, place: SecretPlace) -> None:
        """Copy state and key file to the files `target` and `target.key`, as one snapshot."""
        with snapshot(self._wish) as reading:
            write_file(reading, replace(self.key, place=place), target)

    def close(self, end: Literal["well", "badly"] = "well") -> None:
        """Let another member have the state at once; after a bad end it waits until the lease is over. Idempotent."""
        if self.renewal is not None:
            self.renewal.close()
        with self._turn:
            if not self._closed and end == "well" and self._lease is not None and not self.lost_because:
                with suppress(StateError, psycopg.Error):
                    release(self._live(), self._lease)
            self._closed = True
            if self._connection is not None:
                self._connection.close()


@contextmanager
def snapshot(wish: Wish) -> Iterator[Steps]:
    """Lend a connection of its own, to read for as long as it takes what belongs together; commits do not wait."""
    with told(wish.url), closing(connect(wish.url, wish.lease_s, "copy")) as connection:
        connection.execute(SNAPSHOT)
        with connection.unhurried():
            yield Steps(connection)


def doubt(steps: Steps, lease: Lease) -> None:
    """Compare with nothing of the views whose holder ended badly: it may have sent more than it noted."""
    for name, number in view_positions.numbers(steps).items() if lease.doubted else ():
        if name in lease.doubted:
            view_positions.judge_fingerprints(steps, "doubted", number)
