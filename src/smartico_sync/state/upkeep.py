"""What is done beside the work, on one thread, which is there only while there is something to do.

A large file is looked through after its start, the log of writes is brought into the file, and the log of profiles into
their tree. All of it reads or writes much and waits for the disk: a commit neither waits for it nor pays for it.
"""

from __future__ import annotations

import threading
from contextlib import contextmanager
from typing import TYPE_CHECKING, Literal

from smartico_sync.errors import StateDamaged, StateError
from smartico_sync.state.database import look_through, translated

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Callable, Iterator
    from pathlib import Path

__all__ = ["AT_ONCE_BYTES", "CHECKPOINT_BYTES", "Upkeep"]

Duty = Literal["look", "checkpoint", "move"]

AT_ONCE_BYTES = 16 * 1024 * 1024  # a file up to this size is looked through before anything else: it takes no time
CHECKPOINT_BYTES = 16 * 1024 * 1024  # of log: few flushes, and a log that is read quickly after a crash
BREATH_S = 0.001  # between two slices, so that whoever waits for the state goes first
INTERRUPT_S = (
    0.05  # between two attempts to end what is under way: an interrupt that comes between two statements has no effect
)
ORDER: tuple[Duty, ...] = ("look", "checkpoint", "move")


class Upkeep:
    """Beside one open state. `connection` is its own; where `looks` is later, it begins by looking for damage."""

    def __init__(self, connection: sqlite3.Connection, path: Path, looks: Literal["before", "later"]) -> None:
        self._connection, self._path = connection, path
        self._damage: StateDamaged | None = None
        self._looked = threading.Event()
        self._reading = threading.Lock()  # while the file is read through its own connection
        self._lock = threading.Lock()  # around the two below; nobody waits while he holds it
        self._due: dict[Duty, Callable[[], None]] = {}
        self._thread: threading.Thread | None = None
        self._closing = threading.Event()
        if looks == "later":
            self._ask("look", self._look)
        else:
            self._looked.set()

    def ensure_sound(self) -> None:
        """Raise StateDamaged, if damage was found so far."""
        if self._damage is not None:
            raise StateDamaged(self._damage.message, hint=self._damage.hint)

    def wait_for_look(self) -> None:
        """Wait until the file is looked through."""
        self._looked.wait()

    def written(self, log_bytes: int) -> None:
        """Something was committed, and the log of writes is so long."""
        if log_bytes >= CHECKPOINT_BYTES:
            self._ask("checkpoint", self._checkpoint)

    def move(self, one_slice: Callable[[], Literal["more", "nothing"]]) -> None:
        """Call this until there is nothing more, with pauses in which others write."""

        def action() -> None:
            if one_slice() == "more" and not self._closing.wait(BREATH_S):
                self._ask("move", action)

        self._ask("move", action)

    @contextmanager
    def at_rest(self) -> Iterator[None]:
        """Nobody reads the file through the connection that is here for it; may wait for long."""
        with self._reading:
            yield

    def close(self) -> None:
        """End what is under way; idempotent."""
        self._closing.set()
        self._looked.set()
        while (thread := self._thread) is not None and thread.is_alive():
            self._connection.interrupt()
            thread.join(INTERRUPT_S)
        self._connection.close()

    def _ask(self, duty: Duty, action: Callable[[], None]) -> None:
        with self._lock:
            self._due[duty] = action
            if self._thread is None and not self._closing.is_set():
                self._thread = threading.Thread(target=self._work, name="state-upkeep", daemon=True)
                self._thread.start()

    def _work(self) -> None:
        while (action := self._next()) is not None:
            try:
                with translated(self._path):
                    action()
            except StateDamaged as error:
                if not self._closing.is_set():  # what is interrupted says so by an error
                    self._damage = error
            except StateError:
                pass  # a full or failing disk, or a file that is gone: the next commit tells

    def _next(self) -> Callable[[], None] | None:
        """What to do now; None ends the thread."""
        with self._lock:
            duty = next((duty for duty in ORDER if duty in self._due), None)
            if duty is None or self._closing.is_set():
                self._thread = None
                return None
            return self._due.pop(duty)

    def _look(self) -> None:
        try:
            with self._reading:
                look_through(self._connection, self._path)
        finally:
            self._looked.set()

    def _checkpoint(self) -> None:
        with self._reading:
            self._connection.execute("PRAGMA wal_checkpoint(PASSIVE)").fetchall()
