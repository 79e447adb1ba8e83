"""A new beginning in PostgreSQL, and a copy brought back: what was there stays, in a schema under another name."""

from __future__ import annotations

import time
from contextlib import closing, suppress
from typing import TYPE_CHECKING, Any

import psycopg

from smartico_sync.errors import StateError, StateMissing
from smartico_sync.state import outbox, view_positions
from smartico_sync.state.copying import copied, tables_of
from smartico_sync.state.database import connect as connect_file
from smartico_sync.state.database import translated
from smartico_sync.state.key_file import higher
from smartico_sync.state.postgresql import first_start, lease
from smartico_sync.state.postgresql.connection import connect, told
from smartico_sync.state.postgresql.database import PostgresqlDatabase
from smartico_sync.state.postgresql.tables import SCHEMA
from smartico_sync.state.recovery import Restored, ViewRestored, sound

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from smartico_sync.core.position import Position
    from smartico_sync.state.postgresql.first_start import Wish
    from smartico_sync.state.postgresql.statements import Steps

__all__ = ["renew", "restore"]

GENERATIONS = (
    "INSERT INTO generation SELECT identity, max(number) FROM (SELECT identity, number FROM {old}.generation "
    "UNION ALL SELECT identity, generation FROM {old}.view WHERE generation > 0) AS known GROUP BY identity"
)
NAMES = "INSERT INTO told_name SELECT * FROM {old}.told_name"


def renew(wish: Wish, starts: Mapping[str, str] | None = None) -> str | None:
    """Begin a new, empty state; what was there stays in a schema of another name, which is returned.

    `starts`: where views begin in it, by name. Generations are kept, and the names that were told by difference where they can
    still be read. Raises StateLocked while a member works with the state.
    """
    with told(wish.url), closing(connect(wish.url, wish.lease_s)) as connection:
        there, _ = connection.execute(first_start.THERE).fetchone() or (False, False)
        if not there:
            first_start.make(connection, wish, starts)
            return None
        same = readable(connection, wish)
        old = f"{SCHEMA}_replaced_{time.time_ns() // 1_000_000}"
        rename = f"ALTER SCHEMA {SCHEMA} RENAME TO {old}"
        try:
            first_start.make(connection, wish, starts, before=(*first_start.ALONE, rename))
        except (psycopg.errors.UndefinedTable, psycopg.errors.UndefinedColumn, psycopg.errors.UndefinedFunction):
            first_start.make(connection, wish, starts, before=(rename,))  # damaged: nobody works with it
        except psycopg.Error as error:
            if error.sqlstate != lease.REFUSED:
                raise
            raise first_start.locked(connection, wish) from None
        for statement in (GENERATIONS, NAMES) if same else (GENERATIONS,):
            with suppress(psycopg.errors.UndefinedTable, psycopg.errors.UndefinedColumn):
                connection.execute(statement.format(old=old).encode())
        return old


def readable(connection: psycopg.Connection[Any], wish: Wish) -> bool:
    """Whether what the state hides is hidden under this member's secret."""
    try:
        first_start.identity(connection, wish)
    except StateMissing:  # it was moved, and is what it was
        return True
    except (StateError, psycopg.Error):
        return False
    return True


def restore(wish: Wish, backup: Path, path: Path) -> Restored:
    """Put a copy that `state backup` made in place of the state; what is there stays in a schema of another name.

    Safe however old the copy is, as for files: see `recovery.restore`, which says what is raised.
    """
    key = sound(backup, wish.secret, wish.secret)
    heads: dict[str, Position | None] = {}
    with (
        suppress(StateError),
        closing(PostgresqlDatabase.open(wish, path, "read")) as before,
        before.reading() as reading,
    ):
        heads.update({row.view: row.head for row in view_positions.read(reading, key.secret)})
    aside = renew(wish)
    with closing(PostgresqlDatabase.open(wish, path, "write")) as database:
        generations = higher(database.key.generations, key.generations)
        with translated(backup), closing(connect_file(backup, "read")) as file, database.writing("patient") as target:
            target.execute("DELETE FROM told_name")  # those of the copy and those since come back below
            since = [] if aside is None else told_names(target, aside)
            copied(file, target, tables_of(file))
            target.executemany(
                "INSERT INTO told_name (identity, property, name) VALUES (?, ?, ?) ON CONFLICT DO NOTHING", since
            )
            target.execute("UPDATE identity SET state_id = ?", (key.state_id,))
            target.execute("DELETE FROM generation")
            target.fill("generation", ("identity", "number"), list(generations.items()))
            views = behind(target, key.secret, generations, heads)
    return Restored(aside and f"the schema {aside} of {database}", views, "compared" if heads else "unknown")


def told_names(target: Steps, schema: str) -> list[Any]:
    """The names that were told by difference in the state before."""
    return target.execute(f"SELECT identity, property, name FROM {schema}.told_name").fetchall()  # noqa: S608 - a name of ours


def behind(
    target: Steps, secret: bytes, generations: Mapping[str, int], heads: Mapping[str, Position | None]
) -> tuple[ViewRestored, ...]:
    """Let the copy know that it is behind what was sent. What was on its way when it was made has arrived long ago."""
    outbox.drop(target)
    view_positions.judge_fingerprints(target, "doubted")
    numbers = view_positions.numbers(target)
    rows = view_positions.read(target, secret)
    for row in rows:
        view_positions.raise_generation(target, secret, numbers[row.view], generations.get(row.identity, 0))
    return tuple(
        ViewRestored(row.view, row.head, heads.get(row.view), kept if kept > row.generation else 0)
        for row in rows
        for kept in (generations.get(row.identity, 0),)
    )
