"""What is done beside the work, on one thread, which is there only while there is something to do.

A large file is looked through after its start, through a connection of its own that only reads. The log of writes is
brought into the file, and the log of profiles into their tree, both a little at a time through the one connection that
writes: commits do not pay for it, and wait for no more than a part.
"""

from __future__ import annotations

import threading
from contextlib import suppress
from functools import partial
from typing import TYPE_CHECKING, Literal

from smartico_sync.errors import StateDamaged, StateMissing, StateUnwritable
from smartico_sync.state.database import look_through, translated

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Callable
    from pathlib import Path

__all__ = ["AT_ONCE_BYTES", "CHECKPOINT_BYTES", "Upkeep"]

Duty = Literal["look", "checkpoint", "move"]

AT_ONCE_BYTES = 16 * 1024 * 1024  # a file up to this size is looked through before anything else: it takes no time
CHECKPOINT_BYTES = 4 * 1024 * 1024  # of log: some tens of milliseconds, and a log that is read quickly after a crash
BREATH_S = 0.001  # between two slices, so that whoever waits for the state goes first
INTERRUPT_S = 0.05  # between two attempts to end what is under way: one that comes between two statements has no effect
ORDER: tuple[Duty, ...] = ("look", "checkpoint", "move")


class Upkeep:
    """Beside one open state. `reader`: a connection to look for damage with, None where that is done."""

    def __init__(self, path: Path, reader: sqlite3.Connection | None) -> None:
        self._path, self._reader = path, reader
        self._damage: StateDamaged | None = None
        self._looked = threading.Event()
        self._lock = threading.Lock()  # around the two below; nobody waits while he holds it
        self._due: dict[Duty, Callable[[], None]] = {}
        self._thread: threading.Thread | None = None
        self._closing = threading.Event()
        if reader is None:
            self._looked.set()
        else:
            self._ask("look", partial(self._look, reader))

    def ensure_sound(self) -> None:
        """Raise StateDamaged, if damage was found so far."""
        if self._damage is not None:
            raise StateDamaged(self._damage.message, hint=self._damage.hint)

    def wait_for_look(self) -> None:
        """Wait until the file is looked through."""
        self._looked.wait()

    def checkpoint(self, action: Callable[[], None]) -> None:
        """Call this once: it brings the log of writes into the file."""
        self._ask("checkpoint", action)

    def move(self, one_slice: Callable[[], Literal["more", "nothing"]]) -> None:
        """Call this until there is nothing more, with pauses in which others write."""

        def action() -> None:
            if one_slice() == "more" and not self._closing.wait(BREATH_S):
                self._ask("move", action)

        self._ask("move", action)

    def close(self) -> None:
        """End what is under way; idempotent."""
        self._closing.set()
        self._looked.set()
        while (thread := self._thread) is not None and thread.is_alive():
            if self._reader is not None:
                self._reader.interrupt()
            thread.join(INTERRUPT_S)
        if self._reader is not None:
            self._reader.close()

    def _ask(self, duty: Duty, action: Callable[[], None]) -> None:
        with self._lock:
            self._due[duty] = action
            if not (self._thread and self._thread.is_alive()) and not self._closing.is_set():
                self._thread = threading.Thread(target=self._work, name="state-upkeep", daemon=True)
                self._thread.start()

    def _work(self) -> None:
        while (due := self._next()) is not None:
            duty, action = due
            try:
                with suppress(StateUnwritable, StateMissing):  # the next commit tells
                    action()
            except StateDamaged as error:
                if not self._closing.is_set():  # to be interrupted looks like damage
                    self._damage = error
            finally:
                if duty == "look":
                    self._looked.set()

    def _next(self) -> tuple[Duty, Callable[[], None]] | None:
        """What to do now; None ends the thread."""
        with self._lock:
            duty = next((duty for duty in ORDER if duty in self._due), None)
            if duty is None or self._closing.is_set():
                self._thread = None
                return None
            return duty, self._due.pop(duty)

    def _look(self, reader: sqlite3.Connection) -> None:
        with translated(self._path):
            look_through(reader, self._path)
