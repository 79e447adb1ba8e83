"""The SQLite connection: how it is tuned, checked, and what its errors mean.

WAL with synchronous=NORMAL: a commit is appended to the log and not flushed, so it costs no disk wait; the log is flushed
before its pages enter the file. After a power cut the file holds an exact prefix of the commits. Losing the last ones is
safe, because their rows are read and sent again under the same event ids; a page out of order would not be.
"""

from __future__ import annotations

import os
import sqlite3
from contextlib import closing, contextmanager
from typing import TYPE_CHECKING, Literal

from msgspec import Struct

from smartico_sync.errors import StateDamaged, StateError, StateUnwritable
from smartico_sync.state.migrations import APPLICATION_ID, FIRST_VERSION, VERSION, migrate
from smartico_sync.state.sqlite_statements import SqliteStatements

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

__all__ = [
    "INCREMENTAL",
    "Access",
    "StateSizes",
    "compacted",
    "connect",
    "create",
    "examine",
    "look_through",
    "recognise",
    "restore_hint",
    "transaction",
    "translated",
]

Access = Literal["write", "read"]

BUSY_S = 5.0  # an operator's sqlite3 shell may hold the file for a moment
CACHE_KIB = 32_768  # holds the fingerprints of half a million profiles
CHECKPOINT_PAGES = 4_000  # 16 MB of log: if nobody has brought it into the file by then, a commit does

INCREMENTAL = 2  # SQLite's number of the way to give free pages back a few at a time

WRITING = {
    sqlite3.SQLITE_FULL: "the disk is full",
    sqlite3.SQLITE_READONLY: "it is read-only",
    sqlite3.SQLITE_IOERR: "the disk reports an error",
    sqlite3.SQLITE_CANTOPEN: "it cannot be opened",
    sqlite3.SQLITE_PERM: "permission is missing",
    sqlite3.SQLITE_AUTH: "permission is missing",
    sqlite3.SQLITE_BUSY: "another program holds it",
    sqlite3.SQLITE_LOCKED: "another program holds it",
    sqlite3.SQLITE_NOMEM: "memory is short",
}


class StateSizes(Struct, frozen=True):
    """Bytes on the disk, log included, and of them those that hold nothing any more."""

    bytes: int
    free_bytes: int


def restore_hint(path: Path) -> str:
    """Return what an operator types when a state is gone or damaged."""
    return (
        f"restore a backup: `smartico-sync state restore BACKUP` brings {path} back; without one, `smartico-sync state new` starts again "
        "at the configured `start_from`"
    )


@contextmanager
def translated(path: Path) -> Iterator[None]:
    """Turn SQLite's errors into StateUnwritable (it may pass) and StateDamaged (it will not)."""
    try:
        yield
    except sqlite3.ProgrammingError:
        raise
    except UnicodeDecodeError as error:  # a table's definition that is no text any more; its bytes are not quoted
        raise StateDamaged(f"the state {path} is damaged: unreadable text", hint=restore_hint(path)) from error
    except sqlite3.Error as error:
        code = getattr(error, "sqlite_errorcode", sqlite3.SQLITE_CORRUPT)
        reason = WRITING.get(code & 0xFF)
        if reason is None or code == sqlite3.SQLITE_IOERR_SHORT_READ:
            raise StateDamaged(f"the state {path} is damaged: {error}", hint=restore_hint(path)) from error
        raise StateUnwritable(
            f"the state {path} cannot be used: {reason}",
            hint=f"check free space and permissions of {path.parent}; a running daemon goes on by itself",
        ) from error


def connect(path: Path, access: Access) -> SqliteStatements:
    """Open an existing file; `read` never changes it. Raises sqlite3.Error."""
    mode = "ro" if access == "read" else "rw"
    connection = sqlite3.connect(
        f"{path.resolve().as_uri()}?mode={mode}",
        uri=True,
        timeout=BUSY_S,
        isolation_level=None,  # transactions are begun and ended in words
        check_same_thread=False,  # the store's lock lets one thread in at a time
        factory=SqliteStatements,
    )
    try:
        connection.execute(f"PRAGMA cache_size = -{CACHE_KIB}")
        connection.execute("PRAGMA temp_store = MEMORY")
        if access == "write":
            connection.execute("PRAGMA journal_mode = WAL")
            connection.execute("PRAGMA synchronous = NORMAL")
            connection.execute(f"PRAGMA wal_autocheckpoint = {CHECKPOINT_PAGES}")
            connection.execute("PRAGMA journal_size_limit = 0")  # so that its length says how much is in it
            connection.execute("PRAGMA secure_delete = FAST")  # no key is secret: pruned pages need no overwriting
    except BaseException:
        connection.close()
        raise
    return connection


def create(path: Path, state_id: str, starts: Mapping[str, str]) -> None:
    """Make a file with no view in it, complete on disk when this returns. Raises sqlite3.Error and OSError."""
    path.unlink(missing_ok=True)
    os.close(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600))
    with closing(sqlite3.connect(path, isolation_level=None)) as connection:
        connection.execute(f"PRAGMA auto_vacuum = {INCREMENTAL}")  # before the first table
        migrate(connection)
        connection.executemany("INSERT INTO start (name, start_from) VALUES (?, ?)", list(starts.items()))
        connection.execute("INSERT INTO identity (state_id) VALUES (?)", (state_id,))


def compacted(path: Path) -> None:
    """Write a file anew without its free pages; from then on it gives them back by itself. Raises sqlite3.Error."""
    with closing(connect(path, "write")) as connection:
        connection.execute(f"PRAGMA auto_vacuum = {INCREMENTAL}")
        connection.execute("VACUUM")
        connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")


def examine(connection: sqlite3.Connection, path: Path) -> None:
    """Make sure that the file is ours, sound and of a version that can be used. Raises StateError, StateDamaged, sqlite3.Error."""
    recognise(connection, path)
    look_through(connection, path)


def recognise(connection: sqlite3.Connection, path: Path, access: Access = "write") -> None:
    """Make sure that the file is ours and of a version that can be used. Raises StateError, StateDamaged, sqlite3.Error."""
    (application,) = connection.execute("PRAGMA application_id").fetchone()
    (version,) = connection.execute("PRAGMA user_version").fetchone()
    if application != APPLICATION_ID:
        raise StateDamaged(f"{path} is not a state of smartico-sync", hint=restore_hint(path))
    if version > VERSION:
        raise StateError(
            f"the state {path} was written by a newer smartico-sync (its version is {version}, this one knows {VERSION})",
            hint="install the newer smartico-sync again, or restore the backup made before the upgrade",
        )
    if version < FIRST_VERSION:
        raise StateError(
            f"the state {path} was written by smartico-sync 0.1.0, whose event ids are made another way: gone on from, it would "
            "send everything twice",
            hint="`smartico-sync state new --start-from now` moves it aside and begins anew without sending history",
        )
    if access == "read" and version < VERSION:
        raise StateError(
            f"the state {path} was written by an older smartico-sync",
            hint="start the daemon once, which brings it up to date",
        )


def look_through(connection: sqlite3.Connection, path: Path) -> None:
    """Read every page of the file. Raises StateDamaged, and sqlite3.Error."""
    for (finding,) in connection.execute("PRAGMA quick_check(1)"):
        if finding != "ok":
            raise StateDamaged(f"the state {path} is damaged: {finding}", hint=restore_hint(path))


@contextmanager
def transaction(connection: sqlite3.Connection) -> Iterator[None]:
    """All of it or nothing. Raises what its body raises, rolled back."""
    connection.execute("BEGIN IMMEDIATE")
    try:
        yield
        connection.execute("COMMIT")
    except BaseException:
        if connection.in_transaction:  # SQLite rolls back by itself when the disk is full
            connection.execute("ROLLBACK")
        raise
