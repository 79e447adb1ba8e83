"""The open state file: one process, one connection, one transaction at a time, and that it is still where it was."""

from __future__ import annotations

import sqlite3
import threading
from contextlib import contextmanager, nullcontext, suppress
from dataclasses import replace
from typing import TYPE_CHECKING, Literal

from smartico_sync.errors import StateError, StateMissing, StateUnwritable
from smartico_sync.state import recovery
from smartico_sync.state.database import (
    INCREMENTAL,
    StateSizes,
    connect,
    examine,
    restore_hint,
    transaction,
    translated,
)
from smartico_sync.state.key_file import key_path, read_key_file, write_key_file
from smartico_sync.state.lock import ProcessLock
from smartico_sync.state.migrations import migrate

if TYPE_CHECKING:
    import os
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from smartico_sync.state.database import Access
    from smartico_sync.state.key_file import KeyFile, SecretPlace
    from smartico_sync.state.open_state import Care
    from smartico_sync.state.sqlite_statements import SqliteStatements

__all__ = ["StateFile"]

TUNED = {  # what the connection is set to for a transaction, and afterwards
    "flushed": ("synchronous = FULL", "synchronous = NORMAL"),
    "overwritten": ("secure_delete = ON", "secure_delete = FAST"),
}
PAGES_AT_ONCE = 256  # a megabyte given back to the disk at a time: commits wait for it


class StateFile:
    """A state in SQLite. Every method may be called from any thread."""

    def __init__(self, path: Path, key: KeyFile, connection: SqliteStatements, lock: ProcessLock | None) -> None:
        self.path = path
        self.key = key
        self.connection = connection
        self._process = lock
        self._turn = threading.RLock()
        self._files = {file: inode(file.stat()) for file in self._own_files() if file.exists()}

    @classmethod
    def open(cls, path: Path, access: Access, apart: bytes | None) -> StateFile:
        """Open the state at `path`, making it (and its directory) at the very first start. See `Store.open`."""
        if access == "read":
            if not path.exists():
                if key_path(path).exists():
                    raise recovery.gone(path)
                raise recovery.never_was(path)
            return cls._opened(path, read_key_file(key_path(path), apart), access, None)
        try:
            path.parent.mkdir(exist_ok=True)
        except OSError as error:
            raise StateUnwritable(
                f"the directory {path.parent} cannot be made: {error.strerror}", hint=f"mkdir -p {path.parent}"
            ) from error
        lock = ProcessLock(path)
        try:
            return cls._opened(path, recovery.found_or_first(path, apart), access, lock)
        except BaseException:
            lock.release()
            raise

    @classmethod
    def _opened(cls, path: Path, key: KeyFile, access: Access, lock: ProcessLock | None) -> StateFile:
        with translated(path):
            connection = connect(path, access)
            try:
                examine(connection, path, access)
                if access == "write":
                    migrate(connection)
                recovery.check_identity(connection, path, key)
                recovery.check_views(connection, path, key)
                if access == "write":
                    recovery.mark_opened(connection)
            except BaseException:
                connection.close()
                raise
            return cls(path, key, connection, lock)

    @property
    def hint(self) -> str:
        """What an operator types when the state is gone or damaged."""
        return restore_hint(self.path)

    @property
    def holding(self) -> bool:
        """Always: the kernel keeps the lock while the process lives."""
        return True

    def when_lost(self, told: Callable[[], None]) -> None:
        """Never: see `holding`."""

    def __str__(self) -> str:
        return str(self.path)

    def close(self, end: Literal["well", "badly"] = "well") -> None:
        """Close the file and let the next process have it; idempotent. After a bad end it is treated as after a power cut."""
        with self._turn:
            if self._process and end == "well":
                with suppress(StateError, sqlite3.Error):
                    self._check_files()
                    recovery.mark_closed(self.connection)
            self.connection.close()
            if self._process:
                self._process.release()

    def note_generation(self, identity: str, generation: int) -> None:
        """Write a generation of event ids into the key file."""
        self.key = replace(self.key, generations={**self.key.generations, identity: generation})
        try:
            write_key_file(key_path(self.path), self.key)
        except OSError as error:
            raise StateUnwritable(
                f"the key file {key_path(self.path)} cannot be written: {error.strerror}",
                hint=f"check free space and permissions of {self.path.parent}",
            ) from error

    def sizes(self) -> StateSizes:
        """Return how large the state is on disk."""
        with self.reading() as connection:
            (free,) = connection.execute("PRAGMA freelist_count").fetchone()
            (page,) = connection.execute("PRAGMA page_size").fetchone()
        files = [file.stat().st_size for file in self._own_files() if file.exists()]
        return StateSizes(sum(files), free * page)

    def give_back(self) -> int:
        """Give a little of what is free inside the file back to the disk; how many bytes are left to give.

        0 for a file made before 0.2.0, until `smartico-sync state compact`. Call it again while it returns more than 0.
        """
        with self._turn, translated(self.path):
            connection = self.connection
            if connection.execute("PRAGMA auto_vacuum").fetchone() != (INCREMENTAL,):
                return 0
            connection.execute(f"PRAGMA incremental_vacuum({PAGES_AT_ONCE})").fetchall()
        return self.sizes().free_bytes

    def backup(self, target: Path, place: SecretPlace = "apart") -> None:
        """Copy state and key file to `target` and `target.key` while the daemon works; commits do not wait.

        Without the secret a copy tells nobody who is in it; to restore it the secret has to be there some other way.
        """
        self._check_files()
        recovery.write_backup(self.path, replace(self.key, place=place), target)

    @contextmanager
    def reading(self) -> Iterator[SqliteStatements]:
        """Lend the connection, to read what was committed; nobody else has it meanwhile."""
        with self._turn, translated(self.path):
            yield self.connection

    @contextmanager
    def writing(self, care: Care = "usual") -> Iterator[SqliteStatements]:
        """Lend the connection for one transaction: all of it is written, or nothing."""
        with self._turn:
            self._check_files()
            tuned = taking_care(self.connection, care) if care in TUNED else nullcontext()
            with translated(self.path), tuned, transaction(self.connection):
                yield self.connection
            self._remember_files()

    committing = writing

    def _own_files(self) -> tuple[Path, Path]:
        return self.path, self.path.with_name(self.path.name + "-wal")

    def _remember_files(self) -> None:
        for file in self._own_files():
            if file not in self._files:
                with suppress(OSError):
                    self._files[file] = inode(file.stat())

    def _check_files(self) -> None:
        """Notice that the file, or its log, was removed or replaced: what is written then goes nowhere."""
        for file, known in self._files.items():
            try:
                there = inode(file.stat())
            except OSError:
                there = None
            if there != known:
                raise StateMissing(
                    f"{file} was {'removed' if there is None else 'replaced'} while it was in use",
                    hint=f"put it back, or stop the daemon and {restore_hint(self.path)}",
                )


@contextmanager
def taking_care(connection: sqlite3.Connection, care: Care) -> Iterator[None]:
    """Let the transactions of the body be committed with that care."""
    setting, usual = TUNED[care]
    connection.execute(f"PRAGMA {setting}")
    try:
        yield
        if care == "overwritten":
            connection.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchall()  # the log holds what was deleted
    finally:
        connection.execute(f"PRAGMA {usual}")


def inode(status: os.stat_result) -> tuple[int, int]:
    """Return what makes a file the same file, whatever its name."""
    return status.st_dev, status.st_ino
