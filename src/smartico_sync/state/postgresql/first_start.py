"""Opening a state in PostgreSQL: its tables, whose they are, and who holds it."""

from __future__ import annotations

import hmac
import uuid
from typing import TYPE_CHECKING, Any

import psycopg
from msgspec import field

from smartico_sync.core.discreet import Discreet
from smartico_sync.errors import (
    ConfigError,
    StateDamaged,
    StateError,
    StateHeld,
    StateLocked,
    StateMissing,
    StateUnwritable,
)
from smartico_sync.state import view_positions
from smartico_sync.state.key_file import BEGIN_STATE, KeyFile
from smartico_sync.state.postgresql import lease
from smartico_sync.state.postgresql.connection import UTF8, shown
from smartico_sync.state.postgresql.tables import MIGRATIONS, SCHEMA, VERSION

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from smartico_sync.state.group import First, Group
    from smartico_sync.state.postgresql.connection import Answered
    from smartico_sync.state.postgresql.lease import Lease, Who
    from smartico_sync.state.postgresql.statements import Steps

__all__ = ["ALONE", "RESTORE", "Wish", "check_views", "looked_at", "mark_of", "ready", "taken"]

RESTORE = "bring the database back from its own backup; without one, `smartico-sync state new` starts again at the configured `start_from`"
THERE = f"SELECT to_regclass('{SCHEMA}.version') IS NOT NULL, pg_is_in_recovery() OR current_setting('transaction_read_only') = 'on'"
ALONE = (  # nobody holds anything, and nobody takes anything before the end of the transaction
    f"SET LOCAL search_path = {SCHEMA}",
    "SELECT FROM version FOR UPDATE",  # first, as whoever takes a lease
    "LOCK TABLE lease IN ACCESS EXCLUSIVE MODE",
    f"SELECT required(NOT EXISTS (SELECT FROM lease WHERE {lease.LIVE}), 'busy')",  # noqa: S608 - constants
)
WHOLE = ("UTF8", "SQL_ASCII")  # encodings of databases that hold every text; the latter keeps bytes as they are
TWICE = ("23505", "42P06", "42P07")  # two members made it at the same moment


class Wish(Discreet, frozen=True):
    """What state a member wants: where it is, the secret it is kept under, and which groups of views it works with.

    `lease_s`: how long they are held without being renewed.
    """

    unprinted = frozenset({"url", "secret"})

    url: str
    secret: bytes
    lease_s: float
    groups: tuple[Group, ...]
    who: Who = field(default_factory=lease.Who)
    first: First = "may begin"


def mark_of(secret: bytes) -> bytes:
    """What the database keeps of the secret: enough to tell whether a member has the same, and nothing else."""
    return hmac.digest(secret, b"smartico-sync state", "sha256")


def looked_at(connection: psycopg.Connection[Any], wish: Wish) -> KeyFile:
    """The identity of a state that is only read. Raises StateMissing, StateDamaged, StateError."""
    there, _ = connection.execute(THERE).fetchone() or (False, False)
    if not there:
        raise StateMissing(f"there is no state in {shown(wish.url)}", hint=BEGIN_STATE)
    version = known_version(connection, wish)
    if version < VERSION:
        raise StateError(
            f"the state {shown(wish.url)} was written by an older smartico-sync",
            hint="start the daemon once, which brings it up to date",
        )
    return identity(connection, wish)


def taken(connection: Answered, wish: Wish) -> tuple[KeyFile, Lease]:
    """The identity of a state that this member holds from now on. Raises StateLocked and what `ready` raises."""
    key = ready(connection, wish)
    held = lease.take(connection, wish.groups, wish.lease_s, version=VERSION, who=wish.who)
    if held is None:
        raise locked(connection, wish)
    return key, held


def ready(connection: Answered, wish: Wish) -> KeyFile:
    """The identity of a state whose tables are there, and are those of this version. Raises what `looked_at` raises, and StateLocked."""
    there, read_only = connection.execute(THERE).fetchone() or (False, False)
    if read_only:
        raise StateUnwritable(
            f"the state {shown(wish.url)} is read-only: this server is a standby, or lets nobody write",
            hint="name the primary in `state:`, or all hosts and ?target_session_attrs=read-write",
        )
    if not there and wish.first == "was there":
        raise StateMissing(
            f"the state {shown(wish.url)} is gone: it was there when this member started, and a new one would begin at `start_from`",
            hint=RESTORE,
        )
    if not there:
        make(connection, wish)
    version = known_version(connection, wish)
    key = identity(connection, wish)
    if version < VERSION:
        migrate(connection, version, wish)
    return key


def locked(connection: psycopg.Connection[Any], wish: Wish) -> StateHeld:
    """Why the state cannot be had now."""
    other = lease.theirs(connection, wish.groups, wish.who)
    who = f"{other.member} since {other.since}" if other else "another member"
    mine = {group.name: group.digest for group in wish.groups}
    part = f"group {other.name} of " if other is not None and len(mine) > 1 else ""
    if other is not None and any(group.shares and group.name == other.name for group in wish.groups):
        return StateHeld(
            f"a member of this name works with {other.shares} already: {who}",
            hint="give each member a name of its own: `cluster: {member: …}`",
        )
    if other is not None and (
        other.configuration != mine.get(other.name, other.configuration) or lease.overlaps(other, wish.groups)
    ):
        return StateHeld(
            f"{part}the state {shown(wish.url)} is held by {who}, with other views than this configuration has, or another `sources:` or `pii:` for them",
            hint="give all members the same `views:`, `sources:` and `pii:`; this one stands by until the other ends, and then goes by its own",
        )
    return StateHeld(
        f"{part}the state {shown(wish.url)} is held by {who}",
        hint="this member stands by, and takes over when that one ends; run commands that change something there",
    )


def known_version(connection: psycopg.Connection[Any], wish: Wish) -> int:
    """The version of the tables. Raises StateError for one that is newer."""
    (version,) = connection.execute(f"SELECT number FROM {SCHEMA}.version").fetchone() or (0,)  # noqa: S608 - a constant
    if version > VERSION:
        raise StateError(
            f"the state {shown(wish.url)} was written by a newer smartico-sync (its version is {version}, this one knows {VERSION})",
            hint="install the newer smartico-sync on this machine, too",
        )
    return int(version)


def identity(connection: psycopg.Connection[Any], wish: Wish) -> KeyFile:
    """Whose state it is. Raises StateDamaged where it is kept under another secret than this member's."""
    row = connection.execute("SELECT state_id, mark, moved FROM identity").fetchone()
    if row is None:
        raise StateDamaged(f"the state {shown(wish.url)} has no identity", hint=RESTORE)
    if not hmac.compare_digest(bytes(row[1]), mark_of(wish.secret)):
        raise StateDamaged(
            f"the state {shown(wish.url)} is kept under another secret than this member's: it is another installation's, or the file is wrong",
            hint="give every member the same file as `cluster.key_file`, or name another database in `state:`",
        )
    if row[2]:
        raise StateMissing(
            f"the state {shown(wish.url)} was moved to {row[2]}",
            hint="name that one in `state:`; `smartico-sync state move` brings it back here",
        )
    generations = dict(connection.execute("SELECT identity, number FROM generation").fetchall())
    return KeyFile(str(row[0]), wish.secret, generations, "apart")


def make(
    connection: psycopg.Connection[Any],
    wish: Wish,
    starts: Mapping[str, str] | None = None,
    before: Sequence[str] = (),
) -> None:
    """Make the tables, all of them or none, in one message with what comes `before`. Another member may be the first.

    Raises ConfigError where the database cannot hold every text.
    """
    (encoding,) = connection.execute("SHOW server_encoding").fetchone() or ("",)
    if encoding not in WHOLE:
        raise ConfigError(
            f"the database of the state {shown(wish.url)} is in {encoding}, which has not every character", hint=UTF8
        )
    known = not before and connection.execute(f"SELECT to_regnamespace('{SCHEMA}') IS NOT NULL").fetchone() == (True,)
    statements = [*before, *(() if known else (f"CREATE SCHEMA {SCHEMA}",)), *steps(0, MIGRATIONS)]
    bound = psycopg.ClientCursor(connection).mogrify
    marked = (str(uuid.uuid4()), mark_of(wish.secret))
    statements.append(bound("INSERT INTO identity (state_id, mark) VALUES (%s, %s)", marked))
    statements += [
        bound("INSERT INTO start (name, start_from) VALUES (%s, %s)", each) for each in (starts or {}).items()
    ]
    try:
        psycopg.ClientCursor(connection).execute(";".join(statements).encode())
    except psycopg.Error as error:
        if error.sqlstate not in TWICE:
            raise


def steps(version: int, migrations: Sequence[Sequence[str]]) -> list[str]:
    """The statements from a version to the newest."""
    missing = [statement for statements in migrations[version:] for statement in statements]
    return [*missing, f"UPDATE version SET number = {len(migrations)}"]  # noqa: S608 - a number


def migrate(
    connection: Answered,
    version: int,
    wish: Wish,
    migrations: Sequence[Sequence[str]] = MIGRATIONS,
) -> None:
    """Bring older tables to the newest version, in one transaction, while no member works with them. Raises StateLocked.

    Whoever takes a lease meanwhile waits for it, and then finds that the version is another.
    """
    as_read = f"SELECT required((SELECT number FROM version) = {version}, 'moved')"  # noqa: S608 - a number
    message = [*ALONE, as_read, *steps(version, migrations)]
    try:
        with connection.unhurried():
            psycopg.ClientCursor(connection).execute(";".join(message).encode())
    except psycopg.Error as error:
        if error.sqlstate != lease.REFUSED:
            raise
        raise StateLocked(
            f"the state {shown(wish.url)} is to be brought to a newer version, and members of the older one work with it",
            hint="end them; this member goes on by itself",
        ) from None


def check_views(connection: Steps, wish: Wish, key: KeyFile) -> None:
    """Make sure that what is known of every view matches its seal. Raises StateDamaged."""
    try:
        view_positions.read(connection, key.secret)
    except StateDamaged as error:
        raise StateDamaged(f"{error.message} ({shown(wish.url)})", hint=RESTORE) from None
