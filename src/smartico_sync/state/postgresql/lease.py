"""The leases of a state: who works with which group of views, by the clock of the database, for as long as it is renewed.

`holder` is a fresh id for each time one is taken, or several together. The fence, a token that every transaction replaces, is taken over in the same
statement: it waits for the transaction that is under way, and refuses every later one of the member before.
"""

from __future__ import annotations

import socket
import threading
import time
import uuid
from contextlib import suppress
from typing import TYPE_CHECKING, Any, Literal

import psycopg
from msgspec import Struct, field

from smartico_sync.state.postgresql.connection import abandon, connect

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Mapping

__all__ = ["LIVE", "REFUSED", "Holder", "Lease", "Renewal", "Who", "look", "release", "take", "theirs"]

REFUSED = "SY001"  # what the function `required` raises
RENEWALS = 3  # in the time of a lease
AGAIN = 0.05  # of a lease: how soon one that failed is tried again, so that it outlives the promotion of a standby

LIVE = "holder IS NOT NULL AND expires > clock_timestamp()"
# All of them or none, and none of tables that are of another version than the one who takes them knows.
# A command (it has no id) works with a group alone, and while it does nobody begins to share it.
APART = (
    "CASE WHEN %(member_id)s::uuid IS NULL THEN shares = ANY(%(names)s::text[]) "
    "ELSE member_id IS NULL AND name = %(shares)s END"
)
TAKE = f"""WITH taken AS (
    INSERT INTO lease AS l (name, holder, member, member_id, since, expires, configuration, ended, shares)
    SELECT wanted.name, %(holder)s, %(member)s, %(member_id)s, clock_timestamp(), clock_timestamp() + %(lease)s * interval '1 s',
        wanted.configuration, 'well', %(shares)s
    FROM unnest(%(names)s::text[], %(configurations)s::text[]) AS wanted(name, configuration) ORDER BY wanted.name
    ON CONFLICT (name) DO UPDATE SET holder = excluded.holder, member = excluded.member, member_id = excluded.member_id,
        since = excluded.since, expires = excluded.expires, configuration = excluded.configuration, shares = excluded.shares,
        ended = CASE WHEN l.holder IS NULL THEN 'well' ELSE 'badly' END
    WHERE NOT (l.{LIVE.replace("expires", "l.expires")})
    RETURNING name, ended)
, fenced AS (
    INSERT INTO fence (name, token) SELECT name, %(token)s FROM taken
    ON CONFLICT (name) DO UPDATE SET token = excluded.token)
SELECT name, ended, required((SELECT count(*) FROM taken) = %(many)s AND (SELECT number FROM version) = %(version)s
    AND NOT EXISTS (SELECT FROM lease WHERE {LIVE} AND {APART}), 'held')::text
FROM taken"""  # noqa: S608 - constants
RENEW = "UPDATE lease SET expires = clock_timestamp() + %s * interval '1 s' WHERE holder = %s"
RELEASE = "UPDATE lease SET holder = NULL, expires = clock_timestamp() WHERE holder = %s"
LOOK = (
    f"SELECT name, member, to_char(since AT TIME ZONE 'UTC', 'YYYY-MM-DD HH24:MI:SS+00:00'), {LIVE}, configuration, "  # noqa: S608 - constants
    "greatest(0, extract(epoch FROM expires - clock_timestamp()))::float, member_id, "
    "greatest(0, extract(epoch FROM clock_timestamp() - expires))::float, wanted, shares FROM lease ORDER BY name"
)


class Who(Struct, frozen=True):
    """A member. `id`: of the daemon; a command has none."""

    name: str = field(default_factory=socket.gethostname)
    id: uuid.UUID | None = None


class Holder(Struct, frozen=True):
    """Who holds a lease, or held it last. `left_s`: until it may be taken, unless it is renewed; `free_s`: since when it may be.

    `wanted`: the member that is to hold it, where an operator said so. `shares`: the group whose topics it reads with others, else empty.
    """

    name: str
    member: str
    since: str
    live: bool
    configuration: str
    left_s: float
    member_id: uuid.UUID | None
    free_s: float
    wanted: str
    shares: str = ""


class Lease(Struct, frozen=True):
    """Leases of groups that were taken together. `ended`: how the holder of each before it ended; badly: it may have sent what the state does not know."""

    holder: uuid.UUID
    token: uuid.UUID
    ended: Mapping[str, Literal["well", "badly"]]
    deadline_s: float

    @property
    def names(self) -> tuple[str, ...]:
        """The groups."""
        return tuple(self.ended)


def steady_s() -> float:
    """Seconds of a clock that nobody sets and that goes on while the machine sleeps."""
    return time.clock_gettime(time.CLOCK_BOOTTIME)


def take(
    connection: psycopg.Connection[Any],
    groups: Mapping[str, str],
    lease_s: float,
    *,
    version: int,
    who: Who | None = None,
    shares: str = "",
) -> Lease | None:
    """Take the leases of groups, each with a hash of its configuration, that nobody holds; None where somebody does. Raises psycopg.Error."""
    holder, token, asked_s, who = uuid.uuid4(), uuid.uuid4(), steady_s(), who or Who()
    given = {
        "names": list(groups), "configurations": list(groups.values()), "many": len(groups), "version": version,
        "holder": holder, "token": token, "member": who.name, "member_id": who.id, "lease": lease_s,
        "shares": shares,
    }  # fmt: skip
    try:
        found = psycopg.ClientCursor(connection).execute(TAKE, given).fetchall()
    except psycopg.Error as error:
        if error.sqlstate != REFUSED:
            raise
        return None
    return Lease(holder, token, {name: ended for name, ended, _ in found}, asked_s + lease_s) if found else None


def look(connection: psycopg.Connection[Any]) -> list[Holder]:
    """Return every lease there is. Raises psycopg.Error."""
    return [Holder(*row) for row in psycopg.ClientCursor(connection).execute(LOOK).fetchall()]


def theirs(connection: psycopg.Connection[Any], names: Collection[str], who: Who | None = None) -> Holder | None:
    """Return who holds one of these leases, or for a command shares one; None where nobody does. Raises psycopg.Error."""
    live = [each for each in look(connection) if each.live]
    alone = who is not None and who.id is None
    return next((each for each in live if each.name in names or (alone and each.shares in names)), None)


def release(connection: psycopg.Connection[Any], lease: Lease) -> None:
    """Let other members have them at once. Raises psycopg.Error."""
    psycopg.ClientCursor(connection).execute(RELEASE, (lease.holder,))


class Renewal:
    """Renews a lease from a thread and a connection of its own, until `close`, or until it is lost.

    `lost` is called once, from that thread: another member has the lease, or may have it by now.
    """

    def __init__(self, url: str, lease: Lease, lease_s: float, lost: Callable[[str], None]) -> None:
        self._url, self._lease, self._lease_s, self._lost = url, lease, lease_s, lost
        self._ending = threading.Event()
        self._connection: psycopg.Connection[Any] | None = None
        self.deadline_s = lease.deadline_s
        self._thread = threading.Thread(target=self._work, name=f"lease-{lease.names[0]}", daemon=True)
        self._watch = threading.Thread(target=self._watch_deadline, name=f"deadline-{lease.names[0]}", daemon=True)
        self._thread.start()
        self._watch.start()

    @property
    def left_s(self) -> float:
        """How long this member may go on, if nothing renews the lease."""
        return self.deadline_s - steady_s()

    def close(self) -> None:
        """Stop renewing; idempotent."""
        self._ending.set()
        if (connection := self._connection) is not None:
            abandon(connection)  # it may wait for an answer that does not come
        for thread in (self._thread, self._watch):
            if thread is not threading.current_thread():
                thread.join(self._lease_s)

    def _work(self) -> None:
        try:
            with suppress(psycopg.Error, OSError):
                self._connection = connect(self._url, self._lease_s, "lease")  # before it is needed
            pause_s = self._lease_s / RENEWALS
            while not self._ending.wait(pause_s):
                try:
                    held = self._renew()
                except (psycopg.Error, OSError):
                    self._drop()  # the next one connects anew; the deadline stays where it was
                    pause_s = self._lease_s * AGAIN
                    continue
                pause_s = self._lease_s / RENEWALS
                if not held:
                    self._end("another member has taken it over")
                    return
        finally:
            self._drop()

    def _drop(self) -> None:
        connection, self._connection = self._connection, None
        if connection is not None:
            connection.close()

    def _renew(self) -> bool:
        if self._connection is None:
            self._connection = connect(self._url, self._lease_s, "lease")
        asked_s = steady_s()
        cursor = psycopg.ClientCursor(self._connection)
        cursor.execute(RENEW, (self._lease_s, self._lease.holder))
        held = cursor.rowcount == len(self._lease.names)
        if held:
            self.deadline_s = asked_s + self._lease_s
        return held

    def _watch_deadline(self) -> None:
        """A thread of its own: the one that renews may wait for an answer that does not come."""
        while not self._ending.wait(max(0.05, min(self.left_s, self._lease_s / RENEWALS))):
            if self.left_s <= 0:
                self._end(f"it could not be renewed for {self._lease_s:g} s")
                return

    def _end(self, why: str) -> None:
        if not self._ending.is_set():
            self._ending.set()
            self._lost(why)
