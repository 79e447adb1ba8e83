"""The leases of a state: who works with which group of views, by the clock of the database, for as long as it is renewed.

`holder` is a fresh id for each time one is taken, or several together. The fence, a token that every transaction replaces, is taken over in the same
statement: it waits for the transaction that is under way, and refuses every later one of the member before.

A view is held once, whatever its group is called: a lease of another name that has a view of the group keeps it from being taken, and
loses the view, and its token, where it is over.
"""

from __future__ import annotations

import json
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
    from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
    from collections.abc import Set as AbstractSet

    from smartico_sync.state.group import Group

__all__ = [
    "LIVE",
    "REFUSED",
    "Holder",
    "Lease",
    "Renewal",
    "Who",
    "look",
    "overlaps",
    "put_back",
    "release",
    "take",
    "theirs",
]

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
# Of another name, with views of those that are wanted; who reads topics together has them beside the others.
OTHERWISE = "name <> ALL(%(names)s::text[]) AND views && %(views)s::text[] AND (shares = '' OR shares <> %(shares)s)"
# In this order: whoever waits for a transaction of the member before keeps nobody else waiting; then one takes at a time.
BEFORE = f"""SELECT FROM fence WHERE name = ANY(%(names)s::text[]) OR name IN (SELECT name FROM lease WHERE {OTHERWISE}) ORDER BY name FOR UPDATE;
SELECT FROM version FOR UPDATE;
SELECT name, holder IS NOT NULL, views, shares FROM lease WHERE name = ANY(%(names)s::text[]) OR ({OTHERWISE}) ORDER BY name FOR UPDATE;"""  # noqa: S608 - constants
TAKE = f"""WITH gone AS (
    DELETE FROM lease WHERE {OTHERWISE} AND NOT ({LIVE}) AND views <@ %(views)s::text[] RETURNING name)
, cut AS (
    UPDATE lease SET holder = CASE WHEN holder IS NULL THEN NULL ELSE %(nobody)s::uuid END,
        views = ARRAY(SELECT unnest(views) EXCEPT SELECT unnest(%(views)s::text[]))
    WHERE {OTHERWISE} AND NOT ({LIVE}) AND NOT views <@ %(views)s::text[] RETURNING name)
, unfenced AS (DELETE FROM fence WHERE name IN (SELECT name FROM gone UNION ALL SELECT name FROM cut))
, taken AS (
    INSERT INTO lease AS l (name, holder, member, member_id, since, expires, configuration, ended, shares, views)
    SELECT wanted.name, %(holder)s, %(member)s, %(member_id)s, clock_timestamp(), clock_timestamp() + %(lease)s * interval '1 s',
        wanted.configuration, 'well', %(shares)s, wanted.views
    FROM jsonb_to_recordset(%(groups)s::jsonb) AS wanted(name text, configuration text, views text[]) ORDER BY wanted.name
    ON CONFLICT (name) DO UPDATE SET holder = excluded.holder, member = excluded.member, member_id = excluded.member_id,
        since = excluded.since, expires = excluded.expires, configuration = excluded.configuration, shares = excluded.shares,
        views = excluded.views, ended = CASE WHEN l.holder IS NULL THEN 'well' ELSE 'badly' END
    WHERE NOT (l.{LIVE.replace("expires", "l.expires")})
    RETURNING name)
, fenced AS (
    INSERT INTO fence (name, token) SELECT name, %(token)s FROM taken
    ON CONFLICT (name) DO UPDATE SET token = excluded.token)
SELECT required((SELECT count(*) FROM taken) = %(many)s AND (SELECT number FROM version) = %(version)s
    AND NOT EXISTS (SELECT FROM lease WHERE {LIVE} AND ({APART} OR {OTHERWISE})), 'held')"""  # noqa: S608 - constants
RENEW = "UPDATE lease SET expires = clock_timestamp() + %s * interval '1 s' WHERE holder = %s"
RELEASE = "UPDATE lease SET holder = CASE WHEN name = ANY(%s::text[]) THEN holder END, expires = clock_timestamp() WHERE holder = %s"
LOOK = (
    f"SELECT name, member, to_char(since AT TIME ZONE 'UTC', 'YYYY-MM-DD HH24:MI:SS+00:00'), {LIVE}, configuration, "  # noqa: S608 - constants
    "greatest(0, extract(epoch FROM expires - clock_timestamp()))::float, member_id, "
    "greatest(0, extract(epoch FROM clock_timestamp() - expires))::float, wanted, shares, views FROM lease ORDER BY name"
)


class Who(Struct, frozen=True):
    """A member. `id`: of the daemon; a command has none."""

    name: str = field(default_factory=socket.gethostname)
    id: uuid.UUID | None = None


class Holder(Struct, frozen=True):
    """Who holds a lease, or held it last. `left_s`: until it may be taken, unless it is renewed; `free_s`: since when it may be.

    `wanted`: the member that is to hold it, where an operator said so. `shares`: the group whose topics it reads with others, else empty.
    `views`: what is held under it.
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
    views: Sequence[str] = ()

    def otherwise(self, names: Collection[str], views: Iterable[str]) -> bool:
        """Whether some of these views are held here, under another name than these."""
        return self.name not in names and not set(views).isdisjoint(self.views)


class Lease(Struct, frozen=True):
    """Leases of groups that were taken together. `ended`: how the holder of each before it ended; badly: it may have sent what the state does not know.

    `doubted`: the views of which that is so.
    """

    holder: uuid.UUID
    token: uuid.UUID
    ended: Mapping[str, Literal["well", "badly"]]
    deadline_s: float
    doubted: AbstractSet[str] = frozenset()

    @property
    def names(self) -> tuple[str, ...]:
        """The groups."""
        return tuple(self.ended)


def steady_s() -> float:
    """Seconds of a clock that nobody sets and that goes on while the machine sleeps."""
    return time.clock_gettime(time.CLOCK_BOOTTIME)


def take(
    connection: psycopg.Connection[Any],
    groups: Sequence[Group],
    lease_s: float,
    *,
    version: int,
    who: Who | None = None,
) -> Lease | None:
    """Take the leases of groups; None where somebody holds one of them, or a view of theirs. Raises psycopg.Error."""
    shares = next((group.shares for group in groups), "")
    wanted = [{"name": each.name, "configuration": each.digest, "views": each.views} for each in groups]
    holder, token, asked_s, who = uuid.uuid4(), uuid.uuid4(), steady_s(), who or Who()
    given = {
        "names": [each.name for each in groups], "groups": json.dumps(wanted), "many": len(groups), "version": version,
        "views": [view for each in groups for view in each.views], "nobody": uuid.uuid4(),
        "holder": holder, "token": token, "member": who.name, "member_id": who.id, "lease": lease_s,
        "shares": shares,
    }  # fmt: skip
    cursor = psycopg.ClientCursor(connection)
    try:
        cursor.execute(BEFORE + TAKE, given)
    except psycopg.Error as error:
        if error.sqlstate != REFUSED:
            raise
        return None
    cursor.nextset()
    cursor.nextset()
    badly = [(name, views, of) for name, held, views, of in cursor.fetchall() if held]
    ended: dict[str, Literal["well", "badly"]] = {
        each.name: "badly" if any(each.name == name or {*each.views} & {*views} for name, views, _ in badly) else "well"
        for each in groups
    }
    # Of topics that members read together each lane tells whose it was.
    alone = [] if shares else [views for _, views, of in badly if not of]
    alone += [each.views for each in groups if ended[each.name] == "badly" and not shares]
    return Lease(holder, token, ended, asked_s + lease_s, frozenset(view for views in alone for view in views))


def look(connection: psycopg.Connection[Any]) -> list[Holder]:
    """Return every lease there is. Raises psycopg.Error."""
    return [Holder(*row) for row in psycopg.ClientCursor(connection).execute(LOOK).fetchall()]


def overlaps(holder: Holder, groups: Sequence[Group]) -> bool:
    """Whether a lease of another name has views of these groups; who reads topics together has them beside the others."""
    together = any(each.shares and each.shares == holder.shares for each in groups)
    views = (view for each in groups for view in each.views)
    return not together and holder.otherwise([each.name for each in groups], views)


def theirs(connection: psycopg.Connection[Any], groups: Sequence[Group], who: Who | None = None) -> Holder | None:
    """Return who holds one of these groups or views of theirs, or for a command shares one; None where nobody does. Raises psycopg.Error."""
    live, names = [each for each in look(connection) if each.live], [each.name for each in groups]
    alone = who is not None and who.id is None
    found = (each for each in live if each.name in names or (alone and each.shares in names) or overlaps(each, groups))
    return next(found, None)


def release(connection: psycopg.Connection[Any], lease: Lease) -> None:
    """Let other members have them at once. Raises psycopg.Error."""
    psycopg.ClientCursor(connection).execute(RELEASE, ([], lease.holder))


def put_back(connection: psycopg.Connection[Any], lease: Lease) -> None:
    """Let other members have leases with which nothing was begun, as they were found: what ended badly is still to be seen to. Raises psycopg.Error."""
    badly = [name for name, ended in lease.ended.items() if ended == "badly"]
    psycopg.ClientCursor(connection).execute(RELEASE, (badly, lease.holder))


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
