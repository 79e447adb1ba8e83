"""The open state file: one process, one connection, one transaction at a time, and that it is still where it was."""

from __future__ import annotations

import sqlite3
import threading
from contextlib import contextmanager, nullcontext, suppress
from dataclasses import replace
from typing import TYPE_CHECKING, Literal, Self

from smartico_sync.errors import StateError, StateMissing
from smartico_sync.state import opening, recovery, told_sets, view_positions
from smartico_sync.state.database import INCREMENTAL, StateSizes, restore_hint, transaction, translated
from smartico_sync.state.profile_log import ProfileLog
from smartico_sync.state.upkeep import CHECKPOINT_BYTES, Upkeep

if TYPE_CHECKING:
    import os
    from collections.abc import Iterator
    from pathlib import Path
    from types import TracebackType

    from smartico_sync.state.key_file import KeyFile, SecretPlace
    from smartico_sync.state.lock import ProcessLock

__all__ = ["Care", "StateFile"]

# Flushed: what is written survives a power cut, too. Overwritten: what is deleted leaves no bytes.
Care = Literal["usual", "flushed", "overwritten"]

TUNED = {  # what the connection is set to for a transaction, and afterwards
    "flushed": ("synchronous = FULL", "synchronous = NORMAL"),
    "overwritten": ("secure_delete = ON", "secure_delete = FAST"),
}
PAGES_AT_ONCE = 256  # a megabyte given back to the disk at a time: commits wait for it


class StateFile:
    """What every part of the store works on. Every method may be called from any thread."""

    def __init__(
        self,
        path: Path,
        key: KeyFile,
        connection: sqlite3.Connection,
        lock: ProcessLock | None,
        upkeep: Upkeep | None,
    ) -> None:
        self.path = path
        self.key = key
        self.cipher = told_sets.Cipher(key.secret)
        self.profile_log = ProfileLog()
        self._connection = connection
        self._process = lock
        self._upkeep = upkeep
        self._turn = threading.RLock()
        self._files = {file: inode(file.stat()) for file in self._own_files() if file.exists()}
        self.numbers = view_positions.numbers(connection)
        self.begun_before = frozenset(self.numbers)  # views that an earlier process began

    @property
    def secret(self) -> bytes:
        """What events are named and values are hidden under."""
        return self.key.secret

    @property
    def state_id(self) -> str:
        """What tells this state from any other."""
        return self.key.state_id

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close("well" if kind is None else "badly")

    def __repr__(self) -> str:
        return f"Store({str(self.path)!r})"

    def close(self, end: Literal["well", "badly"] = "well") -> None:
        """Close the file and let the next process have it; idempotent. After a bad end it is treated as after a power cut."""
        if self._upkeep:
            self._upkeep.close()
        with self._turn:
            if self._process and end == "well":
                with suppress(StateError, sqlite3.Error):
                    self.ensure_sound()
                    self._check_files()
                    opening.mark_closed(self._connection)
            self._connection.close()
            if self._process:
                self._process.release()

    def probe(self) -> None:
        """Make sure that the state can be written to, before anything is delivered that could not be remembered."""
        with self.writing() as connection:
            connection.execute("UPDATE identity SET state_id = state_id")

    def ensure_sound(self) -> None:
        """Raise StateDamaged, if damage was found so far; a large file is looked through while the work goes on."""
        if self._upkeep:
            self._upkeep.ensure_sound()

    def look_through(self) -> None:
        """Wait until the file is looked through. Raises StateDamaged."""
        if self._upkeep:
            self._upkeep.wait_for_look()
        self.ensure_sound()

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
            connection = self._connection
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

    def number(self, view: str) -> int:
        """Return the number of a view in the tables. Raises LookupError for one that was never begun."""
        try:
            return self.numbers[view]
        except KeyError:
            raise LookupError(f"the view {view!r} was never begun in {self.path}") from None

    @contextmanager
    def reading(self) -> Iterator[sqlite3.Connection]:
        """Lend the connection, to read what was committed; nobody else has it meanwhile."""
        with self._turn, translated(self.path):
            self.ensure_sound()
            yield self._connection

    @contextmanager
    def writing(self, care: Care = "usual") -> Iterator[sqlite3.Connection]:
        """Lend the connection for one transaction: all of it is written, or nothing."""
        if care == "overwritten" and self._upkeep:
            self._upkeep.wait_for_look()  # the log could not be emptied meanwhile
        with self._turn:
            self.ensure_sound()
            self._check_files()
            tuned = nullcontext() if care == "usual" else taking_care(self._connection, care)
            with translated(self.path), tuned, transaction(self._connection):
                yield self._connection
            self._remember_files()

    def _own_files(self) -> tuple[Path, Path]:
        return self.path, self.path.with_name(self.path.name + "-wal")

    def _remember_files(self) -> None:
        """Note files that are new, and have the log brought into the file when it is long."""
        log_bytes = 0
        for file in self._own_files():
            with suppress(OSError):
                status = file.stat()
                self._files.setdefault(file, inode(status))
                log_bytes = status.st_size
        if self._upkeep and log_bytes >= CHECKPOINT_BYTES:
            self._upkeep.checkpoint(self._checkpoint)

    def _checkpoint(self) -> None:
        """Bring the log of writes into the file; through this connection only, because SQLite is not safe with two that do it."""
        with self._turn, translated(self.path):
            self._connection.execute("PRAGMA wal_checkpoint(PASSIVE)").fetchall()

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
def taking_care(connection: sqlite3.Connection, care: Literal["flushed", "overwritten"]) -> Iterator[None]:
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
