"""What ends a wait that lasts too long: ODBC drivers wait for the rest of an answer without end.

A driver keeps its socket to itself, but the process can see it. A copy of the descriptor is enough to hang up, which makes
the driver's call return, and to hear that the server has hung up.
"""

from __future__ import annotations

import os
import select
import socket
import stat
import threading
import time
from collections import defaultdict
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

__all__ = ["WATCH", "Line", "Watch", "opening"]

DESCRIPTORS = Path("/dev/fd")
# One connection to an address at a time, so that a new socket to it is this connection's.
OPENING: defaultdict[tuple[str, int], threading.Lock] = defaultdict(threading.Lock)


class Line:
    """The socket under a connection, as far as it could be found; all methods may be called by any thread."""

    def __init__(self, descriptor: int | None) -> None:
        self._socket = None if descriptor is None else socket.socket(fileno=os.dup(descriptor))
        self._poll = select.poll()
        if self._socket is not None:
            self._poll.register(self._socket, select.POLLIN)

    def quiet(self) -> bool:
        """Whether there is nothing to read: between two questions a server only says farewell."""
        return not self._poll.poll(0)

    def hang_up(self) -> None:
        """Break the connection; a driver that waits for it notices at once."""
        if self._socket is not None:
            with suppress(OSError):
                self._socket.shutdown(socket.SHUT_RDWR)

    def close(self) -> None:
        """Give the copy back."""
        if self._socket is not None:
            self._poll = select.poll()
            self._socket.close()


@contextmanager
def opening(addresses: set[tuple[str, int]]) -> Iterator[list[Line]]:
    """Around a connection attempt to one of these addresses; the list then holds its line."""
    found: list[Line] = []
    with OPENING[min(addresses, default=("", 0))]:
        before = _sockets()
        yield found
        new = {number: peer for number, (key, peer) in _sockets().items() if before.get(number, ("", ""))[0] != key}
        ours = [number for number, peer in new.items() if peer in addresses]
        if not ours and len(new) == 1:  # the server has sent the driver on to another one
            ours = list(new)
        found.append(Line(ours[-1] if ours else None))


def _sockets() -> dict[int, tuple[str, tuple[str, int]]]:
    """Connected TCP sockets of this process by descriptor: what tells one from another, and the peer."""
    known = {}
    for name in os.listdir(DESCRIPTORS) if DESCRIPTORS.exists() else ():  # noqa: PTH208  - names, not paths
        with suppress(OSError):
            status = os.fstat(int(name))
            if stat.S_ISSOCK(status.st_mode):
                with socket.socket(fileno=os.dup(int(name))) as copy:
                    if copy.family in (socket.AF_INET, socket.AF_INET6):
                        known[int(name)] = (f"{status.st_ino}", copy.getpeername()[:2])
    return known


class Watch:
    """One thread for all that may last too long; it starts with the first and sleeps while nothing is due."""

    def __init__(self) -> None:
        self._changed = threading.Condition()
        self._due: dict[object, tuple[float, Callable[[], None]]] = {}
        self._wakes = float("inf")
        self._thread: threading.Thread | None = None

    def over(self, who: object, seconds: float, end: Callable[[], None]) -> None:
        """Call `end` once, unless `done` comes, or `over` again, within that time."""
        with self._changed:
            if self._thread is None or not self._thread.is_alive():
                self._thread = threading.Thread(target=self._run, name="mssql-watch", daemon=True)
                self._thread.start()
            due = time.monotonic() + seconds
            self._due[who] = (due, end)
            if due < self._wakes:
                self._changed.notify()

    def done(self, who: object) -> None:
        """It has ended by itself."""
        with self._changed:
            self._due.pop(who, None)

    def _run(self) -> None:
        while True:
            with self._changed:
                now = time.monotonic()
                late = [(who, end) for who, (due, end) in self._due.items() if due <= now]
                for who, _ in late:
                    del self._due[who]
                if not late:
                    self._wakes = min((due for due, _ in self._due.values()), default=float("inf"))
                    self._changed.wait(None if self._wakes == float("inf") else self._wakes - now)
                    continue
            for _, end in late:
                end()


WATCH = Watch()
