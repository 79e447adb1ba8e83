"""One process per state: an advisory lock beside the file."""

from __future__ import annotations

import fcntl
import os
from typing import TYPE_CHECKING

from smartico_sync.errors import StateLocked, StateUnwritable
from smartico_sync.state.key_file import own_like

if TYPE_CHECKING:
    from pathlib import Path

__all__ = ["ProcessLock"]


class ProcessLock:
    """Holds `<state>.lock` from construction to `release`; the kernel releases it when the process dies.

    The file holds the process id and stays when the lock is released: removing it would let two processes lock two
    files of one name. Raises StateLocked, naming the holder, and StateUnwritable.
    """

    def __init__(self, state: Path) -> None:
        path = state.with_name(state.name + ".lock")
        new = not path.exists()
        try:
            self._file = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        except OSError as error:
            raise StateUnwritable(
                f"the lock {path} cannot be made: {error.strerror}",
                hint=f"let the daemon's user write into {path.parent}",
            ) from error
        if new:
            own_like(path, state)
        try:
            fcntl.flock(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            holder = os.read(self._file, 32).decode("ascii", "replace").strip() or "unknown"
            os.close(self._file)
            raise StateLocked(
                f"the state {state} is in use by process {holder}",
                hint=f"stop it first (kill {holder}), or give this configuration a state file of its own",
            ) from error
        os.ftruncate(self._file, 0)
        os.pwrite(self._file, f"{os.getpid()}\n".encode(), 0)

    def release(self) -> None:
        """Let the next process have the state; idempotent."""
        if self._file >= 0:
            os.close(self._file)
            self._file = -1
