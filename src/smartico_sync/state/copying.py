"""A whole state, copied between SQLite and PostgreSQL as it is: seals and what is encrypted stay valid under the same secret."""

from __future__ import annotations

from contextlib import closing
from typing import TYPE_CHECKING

from smartico_sync.errors import StateDamaged, StateUnwritable
from smartico_sync.state.database import connect, create, transaction, translated
from smartico_sync.state.key_file import key_path, write_key_file

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from smartico_sync.state.key_file import KeyFile
    from smartico_sync.state.sqlite_statements import SqliteStatements
    from smartico_sync.state.statements import Statements

__all__ = ["copied", "tables_of", "write_file"]

NUMBERED = {
    "letter": "id",
    "ledger": "seq",
    "anchor": "seq",
    "backfill": "id",
    "outbox": "id",
}  # by the database, never twice
TABLES = (
    "SELECT name FROM sqlite_schema WHERE type = 'table' AND name NOT LIKE 'sqlite_%' "
    "AND name NOT IN ('identity', 'profile_log') ORDER BY name"
)


def tables_of(connection: SqliteStatements) -> dict[str, tuple[str, ...]]:
    """The columns of every table that both databases have."""
    names = [name for (name,) in connection.execute(TABLES)]
    return {name: tuple(row[1] for row in connection.execute(f"PRAGMA table_info({name})")) for name in names}


def copied(source: Statements, target: Statements, tables: Mapping[str, tuple[str, ...]]) -> dict[str, int]:
    """Copy every table inside the callers' transactions; the rows of each. Raises StateDamaged where fewer arrived than left."""
    counts: dict[str, int] = {}
    for table, columns in tables.items():
        counts[table] = 0
        for some in source.every_row(table, columns):
            target.fill(table, columns, some)
            counts[table] += len(some)
        (arrived,) = target.execute(f"SELECT count(*) FROM {table}").fetchone()  # noqa: S608 - names of ours
        if arrived != counts[table]:
            raise StateDamaged(
                f"{counts[table]} rows of {table} were read and {arrived} are there: nothing is copied",
                hint="try again",
            )
    for table, column in NUMBERED.items():
        target.go_on_after(table, column, source.last_number(table, column))
    highest = source.execute("SELECT coalesce(max(no), 0) FROM view").fetchone()[0]
    target.go_on_after("view", "no", highest)
    return counts


def write_file(reading: Statements, key: KeyFile, target: Path) -> dict[str, int]:
    """Copy a state into a new file `target`, and `key` to its key file; both complete or not there. Raises StateUnwritable."""
    draft = target.with_name(target.name + ".new")
    try:
        with translated(target):
            create(draft, key.state_id, {})
            with closing(connect(draft, "write")) as file:
                with transaction(file):
                    counts = copied(reading, file, tables_of(file))
                file.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchall()
        write_key_file(key_path(target), key)
        draft.replace(target)
    except OSError as error:
        raise StateUnwritable(
            f"the copy {target} cannot be written: {error.strerror}",
            hint=f"check free space and permissions of {target.parent}",
        ) from error
    finally:
        for ending in ("", "-wal", "-shm"):
            draft.with_name(draft.name + ending).unlink(missing_ok=True)
    return counts
