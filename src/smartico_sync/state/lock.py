"""One process per state: an advisory lock beside the file."""

from __future__ import annotations

import fcntl
import os
import socket
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import Self

from msgspec import Struct

from smartico_sync.errors import StateLocked, StateUnwritable
from smartico_sync.state.key_file import is_there, own_like

__all__ = ["ProcessLock"]

MOST_BYTES = 1_000  # of a lock file


class Holder(Struct, frozen=True):
    """Who holds a lock. `namespace` tells containers apart: in each of them process ids begin with 1."""

    process: str = ""
    host: str = ""
    namespace: str = ""
    since: str = ""

    @classmethod
    def this_process(cls) -> Self:
        """The one that asks."""
        since = datetime.now(UTC).isoformat(" ", "seconds")
        return cls(str(os.getpid()), socket.gethostname(), process_namespace(), since)

    @classmethod
    def read(cls, content: bytes) -> Self:
        """What a lock file says; also one that is damaged, or was written by an older version."""
        fields = content.decode("utf-8", "replace").split("\n")
        return cls(*("".join(filter(str.isprintable, field)) for field in fields[:4]))

    @property
    def text(self) -> str:
        """What the lock file holds."""
        return f"{self.process}\n{self.host}\n{self.namespace}\n{self.since}\n"

    @property
    def told(self) -> str:
        """The holder in words."""
        where = f" on {self.host}" if self.host else ""
        return f"process {self.process or 'unknown'}{where}" + (f" since {self.since}" if self.since else "")

    @property
    def how_to_stop(self) -> str:
        """What to type; a process id means something in its own container only."""
        mine = (self.host, self.namespace) == (socket.gethostname(), process_namespace())
        return f"stop it first (kill {self.process})" if mine else f"stop the daemon on {self.host or 'its host'} first"


def process_namespace() -> str:
    """What tells the process ids of this container from those of others."""
    try:
        return str(Path("/proc/self/ns/pid").readlink())
    except OSError:
        return ""


class ProcessLock:
    """Holds `<state>.lock` from construction to `release`; the kernel releases it when the process dies.

    The file holds process id, host, process namespace and start, and stays when the lock is released: removing it would let two processes lock two
    files of one name. Raises StateLocked, naming the holder, and StateUnwritable.
    """

    def __init__(self, state: Path) -> None:
        path = state.with_name(state.name + ".lock")
        new = not is_there(path)
        try:
            self._file = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        except OSError as error:
            raise StateUnwritable(
                f"the lock {path} cannot be made: {error.strerror}",
                hint=f"let the daemon's user write into {path.parent}"
                if path.parent.exists()
                else f"mkdir -p {path.parent}",
            ) from error
        if new:
            own_like(path, state)
        try:
            fcntl.flock(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            holder = Holder.read(os.pread(self._file, MOST_BYTES, 0))
            os.close(self._file)
            raise StateLocked(
                f"the state {state} is in use by {holder.told}",
                hint=f"{holder.how_to_stop}, or give this configuration a state file of its own",
            ) from error
        with suppress(OSError):  # on a full disk: the lock is held, and only its words are missing
            os.ftruncate(self._file, 0)
            os.pwrite(self._file, Holder.this_process().text.encode(), 0)

    def release(self) -> None:
        """Let the next process have the state; idempotent."""
        if self._file >= 0:
            os.close(self._file)
            self._file = -1
