"""The members of a cluster: each says now and then that it is there, and sees who else is, and who holds what."""

from __future__ import annotations

import json
import time
from contextlib import suppress
from typing import TYPE_CHECKING, Any

import psycopg
from msgspec import Struct
from msgspec.structs import replace

from smartico_sync.errors import ConfigError
from smartico_sync.state.fair_share import Member, Seat
from smartico_sync.state.group import LaneHolder
from smartico_sync.state.postgresql import first_start
from smartico_sync.state.postgresql.connection import connect, told
from smartico_sync.state.postgresql.lease import LIVE, look

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping

    from smartico_sync.state.postgresql.connection import Answered
    from smartico_sync.state.postgresql.first_start import Wish
    from smartico_sync.state.postgresql.lease import Holder

__all__ = ["Membership", "Seen", "look_around", "present", "want"]

RESTS = "rests "  # before the hash of a group that its member leaves to others
BEAT = 1  # leases: a member that hears nothing for longer is gone for the others
FORGOTTEN_S = 3600  # who was gone for longer is no news
HERE = """INSERT INTO member (id, name, since, expires, groups, views)
VALUES (%s, %s, clock_timestamp(), clock_timestamp() + %s * interval '1 s', %s, %s)
ON CONFLICT (id) DO UPDATE SET expires = excluded.expires, groups = excluded.groups, views = excluded.views"""
FORGET = f"DELETE FROM member WHERE expires < clock_timestamp() - interval '{FORGOTTEN_S} s'"  # noqa: S608 - a number
FORGET_SHARES = (
    f"WITH gone AS (DELETE FROM lease WHERE shares <> '' AND expires < clock_timestamp() - interval '{FORGOTTEN_S} s' RETURNING name) "  # noqa: S608 - a number
    "DELETE FROM fence USING gone WHERE fence.name = gone.name"
)
MEMBERS = "SELECT id::text, name, extract(epoch FROM now() - since)::float, groups, views FROM member WHERE expires > clock_timestamp() ORDER BY since, id"
LANES = (
    f"SELECT v.name, n.name, CASE WHEN {LIVE} THEN e.member ELSE '' END FROM lane AS n JOIN view AS v ON v.no = n.view_no "  # noqa: S608 - a constant
    "LEFT JOIN lease AS e ON e.holder = n.owner AND e.shares <> '' "
    "WHERE v.no IN (SELECT view_no FROM lane WHERE owner IS NOT NULL) ORDER BY v.name, n.name"
)
GLANCE = f"SELECT name, {LIVE}, wanted FROM lease ORDER BY name"  # noqa: S608 - a constant
NOW = "SELECT extract(epoch FROM clock_timestamp())::float"
WANT = "UPDATE lease SET wanted = %s WHERE name = %s"


class Seen(Struct, frozen=True):
    """What a member, or a command, sees at one moment. `skew_s`: this clock minus that of the database; `lanes`: who reads what of topics that are shared."""

    members: tuple[Member, ...]
    holders: tuple[Holder, ...]
    skew_s: float
    lanes: tuple[LaneHolder, ...] = ()

    def seats(self) -> tuple[Seat, ...]:
        """Who holds which group, by the ids of members."""
        return tuple(
            Seat(
                each.name, str(each.member_id) if each.live else "", each.free_s, each.wanted, str(each.member_id),
                frozenset(each.views),
            )
            for each in self.holders
            if not each.shares
        )  # fmt: skip


class Membership:
    """A member that is there until `leave`, or until it says nothing for the time of a lease. For one thread."""

    def __init__(self, wish: Wish, connection: Answered) -> None:
        self._wish = wish
        self._connection: Answered | None = connection

    @classmethod
    def join(cls, wish: Wish) -> Membership:
        """Make the tables where they are not there, or are older. Raises StateError."""
        with told(wish.url):
            connection = connect(wish.url, wish.lease_s, "member", BEAT)
            try:
                first_start.ready(connection, wish)
                connection.execute(FORGET.encode())
                connection.execute(FORGET_SHARES.encode())
            except BaseException:
                connection.close()
                raise
        return cls(replace(wish, first="was there"), connection)

    def beat(self, groups: Mapping[str, str], resting: Collection[str] = ()) -> Seen:
        """Say that this member is there and can work with these groups, each with a hash of its configuration; see the others. Raises StateError.

        `resting`: groups that it leaves to others for now.
        """
        with told(self._wish.url):
            if self._connection is None or self._connection.closed:
                self._connection = connect(self._wish.url, self._wish.lease_s, "member", BEAT)
                first_start.ready(self._connection, self._wish)
            who, cursor = self._wish.who, psycopg.ClientCursor(self._connection)
            told_groups = {name: RESTS * (name in resting) + digest for name, digest in groups.items()}
            views = {group.name: group.views for group in self._wish.groups if group.name in groups}
            given = (who.id, who.name, self._wish.lease_s, json.dumps(told_groups), json.dumps(views))
            try:
                cursor.execute(HERE, given)
                return look_around(self._connection)
            except psycopg.Error:
                self._connection.close()
                raise

    def moved(self, seen: Seen, groups: Collection[str]) -> bool:
        """Whether one of these groups was let go, taken or promised since that was seen, or is free; one short statement. Raises StateError."""
        if self._connection is None or self._connection.closed:
            return True
        with told(self._wish.url):
            rows = psycopg.ClientCursor(self._connection).execute(GLANCE).fetchall()
        found = {name: (live, wanted) for name, live, wanted in rows if name in groups}
        before = {each.name: (each.live, each.wanted) for each in seen.holders if each.name in groups}
        return found != before or not all(live for live, _ in found.values())

    def leave(self) -> None:
        """Have the others know at once that this member is gone; idempotent."""
        connection, self._connection = self._connection, None
        if connection is not None:
            with suppress(psycopg.Error):
                psycopg.ClientCursor(connection).execute("DELETE FROM member WHERE id = %s", (self._wish.who.id,))
            connection.close()


def present(connection: psycopg.Connection[Any]) -> list[Member]:
    """Who is there. Raises psycopg.Error."""
    return [
        Member(
            number, name, here_s,
            {group: digest.removeprefix(RESTS) for group, digest in groups.items()},
            frozenset(group for group, digest in groups.items() if digest.startswith(RESTS)),
            {group: frozenset(names) for group, names in views.items()},
        )
        for number, name, here_s, groups, views in psycopg.ClientCursor(connection).execute(MEMBERS).fetchall()
    ]  # fmt: skip


def look_around(connection: psycopg.Connection[Any]) -> Seen:
    """What there is to be seen now. Raises psycopg.Error."""
    members, before = tuple(present(connection)), time.time()
    (now,) = psycopg.ClientCursor(connection).execute(NOW).fetchone() or (before,)
    skew = (before + time.time()) / 2 - now
    holders = tuple(look(connection))
    shared = any(each.shares for each in holders)
    return Seen(members, holders, skew, tuple(lane_holders(connection)) if shared else ())


def lane_holders(connection: psycopg.Connection[Any]) -> list[LaneHolder]:
    """Who reads which lane of the views that are shared. Raises psycopg.Error."""
    return [LaneHolder(*row) for row in psycopg.ClientCursor(connection).execute(LANES).fetchall()]


def want(connection: psycopg.Connection[Any], group: str, member: str) -> None:
    """Have a member hold a group; "": whoever comes. Raises ConfigError where there is no such group or no such member, and psycopg.Error."""
    cursor = psycopg.ClientCursor(connection)
    members = present(connection)
    if member and member not in [each.name for each in members]:
        names = ", ".join(sorted({each.name for each in members})) or "none"
        raise ConfigError(f"no member {member} is there", hint=f"those that are: {names}")
    if not cursor.execute(WANT, (member, group)).rowcount:
        names = ", ".join(each.name for each in look(connection)) or "none"
        raise ConfigError(f"nobody ever held a group {group}", hint=f"use one of: {names}")
