"""The open state file: one process, one connection, one transaction at a time, and that it is still where it was."""

from __future__ import annotations

import os
import sqlite3
import threading
from contextlib import contextmanager, nullcontext, suppress
from typing import TYPE_CHECKING, Any, Literal, TypeVar, cast

from msgspec.structs import replace

from smartico_sync.core.few_texts import FEW
from smartico_sync.errors import StateError, StateMissing, StateUnwritable
from smartico_sync.state import opening, recovery
from smartico_sync.state.database import (
    INCREMENTAL,
    StateSizes,
    connect,
    look_through,
    recognise,
    restore_hint,
    transaction,
    translated,
)
from smartico_sync.state.key_file import is_there, key_path, read_key_file, write_key_file
from smartico_sync.state.lock import ProcessLock
from smartico_sync.state.migrations import migrate
from smartico_sync.state.profile_log import SLICE
from smartico_sync.state.together import Outcome, Together
from smartico_sync.state.upkeep import AT_ONCE_BYTES, CHECKPOINT_BYTES, Upkeep

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from pathlib import Path

    from smartico_sync.state.database import Access
    from smartico_sync.state.key_file import KeyFile, SecretPlace
    from smartico_sync.state.open_state import Care
    from smartico_sync.state.sqlite_statements import SqliteStatements
    from smartico_sync.state.statements import Statements

__all__ = ["StateFile"]

T = TypeVar("T")

TUNED = {  # what the connection is set to for a transaction, and afterwards
    "flushed": ("synchronous = FULL", "synchronous = NORMAL"),
    "overwritten": ("secure_delete = ON", "secure_delete = FAST"),
}
PAGES_AT_ONCE = 256  # a megabyte given back to the disk at a time: commits wait for it


class StateFile:
    """A state in SQLite. Every method may be called from any thread."""

    def __init__(
        self,
        path: Path,
        key: KeyFile,
        connection: SqliteStatements,
        lock: ProcessLock | None,
        upkeep: Upkeep | None,
    ) -> None:
        self.path = path
        self.key = key
        self.connection = connection
        self._process = lock
        self._upkeep = upkeep
        self._turn = threading.RLock()
        self._own_files = path, path.with_name(path.name + "-wal")
        self._files = {file: inode(file.stat()) for file in self._own_files if file.exists()}
        self._log_bytes = 0
        # The log's descriptor: to be closed whenever, since SQLite's own locks are on other files.
        self._log: int | None = None
        self._commits: Together[Callable[[Statements], object]] = Together(self._turn, self._write)
        self._flushing = threading.Lock()
        self._flushes: Together[None] = Together(self._flushing, self._flush)

    @classmethod
    def open(cls, path: Path, access: Access, apart: bytes | None) -> StateFile:
        """Open the state at `path`, making it (and its directory) at the very first start. See `Store.open`."""
        if access == "read":
            if not is_there(path):
                if key_path(path).exists():
                    raise opening.gone(path)
                raise opening.never_was(path)
            return cls._opened(path, read_key_file(key_path(path), apart), access, None)
        try:
            path.parent.mkdir(exist_ok=True)
        except OSError as error:
            raise StateUnwritable(
                f"the directory {path.parent} cannot be made: {error.strerror}", hint=f"mkdir -p {path.parent}"
            ) from error
        lock = ProcessLock(path)
        try:
            return cls._opened(path, opening.found_or_first(path, apart), access, lock)
        except BaseException:
            lock.release()
            raise

    @classmethod
    def _opened(cls, path: Path, key: KeyFile, access: Access, lock: ProcessLock | None) -> StateFile:
        with translated(path):
            connection = connect(path, access)
            try:
                recognise(connection, path, access)
                small = path.stat().st_size <= AT_ONCE_BYTES
                if access == "write" and small:
                    look_through(connection, path)  # a reader does not: the daemon has
                if access == "write":
                    migrate(connection)
                opening.check_identity(connection, path, key)
                opening.check_views(connection, path, key)
                upkeep = None
                if access == "write":
                    key = opening.mark_opened(connection, key)
                    with suppress(OSError):  # what cannot be noted there is no reason not to begin
                        write_key_file(key_path(path), key)
                    upkeep = Upkeep(path, None if small else connect(path, "read"))
            except BaseException:
                connection.close()
                raise
            return cls(path, key, connection, lock, upkeep)

    @property
    def hint(self) -> str:
        """What an operator types when the state is gone or damaged."""
        return restore_hint(self.path)

    @property
    def holding(self) -> bool:
        """Always: the kernel keeps the lock while the process lives."""
        return True

    @property
    def owner(self) -> None:
        """One process works with a file."""
        return

    @property
    def before(self) -> Literal["well", "badly"]:
        """Well: nobody else has it; what this machine's daemon left is judged at the opening."""
        return "well"

    def when_lost(self, told: Callable[[], None]) -> None:
        """Never: see `holding`."""

    def __str__(self) -> str:
        return str(self.path)

    def close(self, end: Literal["well", "badly"] = "well") -> None:
        """Close the file and let the next process have it; idempotent. After a bad end it is treated as after a power cut."""
        if self._upkeep:
            self._upkeep.close()
        with self._turn:
            if self._process and end == "well":
                with suppress(StateError, sqlite3.Error):
                    self.ensure_sound()
                    self._check_files()
                    opening.mark_closed(self.connection)
            self.connection.close()
            if self._process:
                self._process.release()
        with self._flushing:
            if self._log is not None:
                os.close(self._log)
                self._log = None

    def ensure_sound(self) -> None:
        """Raise StateDamaged, if damage was found so far; a large file is looked through while the work goes on."""
        if self._upkeep:
            self._upkeep.ensure_sound()

    def look_through(self) -> None:
        """Wait until the file is looked through. Raises StateDamaged."""
        if self._upkeep:
            self._upkeep.wait_for_look()
        self.ensure_sound()

    def tidy(self, view_no: int, added: int) -> None:
        """Have moved what the log of profiles holds too much of: beside the work, and where that is too slow, here.

        What fails here does not concern the commit before it, and is tried again after the next one.
        """
        # A large page is taken into memory here, while it is there; a handful whenever somebody asks for one of them.
        if added <= FEW and self.connection.profile_log.has_room:
            return
        with suppress(StateError):
            with self.reading() as connection:
                fill = connection.profile_log.fill(connection, view_no)
            if fill != "little" and self._upkeep:
                self._upkeep.move(self._move_slice)
            if fill == "too much":
                for _ in range(1 + added // SLICE):
                    self._move_slice()

    def _move_slice(self) -> Literal["more", "nothing"]:
        """Move a slice of what the log of profiles holds too much of."""
        try:
            with self.writing() as connection:
                return connection.profile_log.move(connection)
        except BaseException:
            self.connection.profile_log.drop()
            raise

    def _checkpoint(self) -> None:
        """Bring the log of writes into the file; through this connection only, because SQLite is not safe with two that do it."""
        with self._turn, translated(self.path):
            self.connection.execute("PRAGMA wal_checkpoint(PASSIVE)").fetchall()

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
        files = [file.stat().st_size for file in self._own_files if file.exists()]
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
            self.ensure_sound()
            yield self.connection

    @contextmanager
    def writing(self, care: Care = "usual") -> Iterator[SqliteStatements]:
        """Lend the connection for one transaction: all of it is written, or nothing."""
        if care == "overwritten" and self._upkeep:
            self._upkeep.wait_for_look()  # the log could not be emptied meanwhile
        with self._turn:
            self.ensure_sound()
            self._check_files()
            tuned = taking_care(self.connection, care) if care in TUNED else nullcontext()
            with translated(self.path), tuned, transaction(self.connection):
                yield self.connection
            self._remember_files()

    def together(self, write: Callable[[Statements], T], care: Care = "usual") -> T:
        """Have `write` called for a transaction, with what others want to write at the same moment: all of each is written, or nothing.

        What is to be flushed is flushed once it is committed, so that nobody waits for the disk who need not.
        """
        written = cast("T", self._commits.do(write))
        if care == "flushed":
            self._flushes.do(None)
        return written

    def _write(self, wishes: Sequence[Callable[[Statements], object]]) -> Sequence[Outcome[Any]]:
        """Write what several want in one transaction; where it comes to nothing, each in its own, so that each learns what became of it."""
        if len(wishes) > 1:
            with suppress(Exception):
                return self._written(wishes)
        outcomes: list[Outcome[Any]] = []
        for write in wishes:
            try:
                outcomes += self._written([write])
            except BaseException as error:  # noqa: BLE001 - it is raised where somebody waits
                outcomes.append(Outcome(error=error))
        return outcomes

    def _written(self, wishes: Sequence[Callable[[Statements], object]]) -> Sequence[Outcome[Any]]:
        self.ensure_sound()
        self._check_files()
        with translated(self.path), transaction(self.connection):
            outcomes = [Outcome(write(self.connection)) for write in wishes]
        self._remember_files()
        return outcomes

    def _flush(self, wishes: Sequence[None]) -> Sequence[Outcome[Any]]:
        """Have all that is committed survive a power cut, as `synchronous=FULL` does with each commit: by flushing the log.

        What was brought into the file meanwhile was flushed before it left the log.
        """
        try:
            if self._log is None:
                self._log = os.open(self._own_files[-1], os.O_RDONLY | os.O_CLOEXEC)
            os.fdatasync(self._log)
        except OSError as error:
            raise StateUnwritable(
                f"the state {self.path} cannot be used: {error.strerror}",
                hint=f"check free space and permissions of {self.path.parent}; a running daemon goes on by itself",
            ) from error
        return [Outcome() for _ in wishes]

    def _remember_files(self) -> None:
        """Note files that are new, and have the log brought into the file when it is long."""
        if len(self._files) < len(self._own_files):
            for file in self._own_files:
                with suppress(OSError):
                    self._files.setdefault(file, inode(file.stat()))
        # As long as it was before this transaction, which may have begun it anew.
        if self._upkeep and self._log_bytes >= CHECKPOINT_BYTES:
            with suppress(OSError):
                if self._own_files[-1].stat().st_size >= CHECKPOINT_BYTES:
                    self._upkeep.checkpoint(self._checkpoint)

    def _check_files(self) -> None:
        """Notice that the file, or its log, was removed or replaced: what is written then goes nowhere."""
        for file, known in self._files.items():
            try:
                status = os.stat(file)  # noqa: PTH116 - before each commit: a Path's takes three times as long
                there = inode(status)
                self._log_bytes = status.st_size  # the log is the last of them
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
