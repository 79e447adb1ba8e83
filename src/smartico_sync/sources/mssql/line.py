"""The socket under an ODBC connection, which a driver keeps to itself, but which the process can see."""

from __future__ import annotations

import os
import socket
import stat
import threading
from collections import defaultdict
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING

from smartico_sync.sources.kit.line import Line

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = ["opening"]

DESCRIPTORS = Path("/dev/fd")
# One connection to an address at a time, so that a new socket to it is this connection's.
OPENING: defaultdict[tuple[str, int], threading.Lock] = defaultdict(threading.Lock)


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
