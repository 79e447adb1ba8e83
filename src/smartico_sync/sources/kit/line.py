"""The socket under a driver's connection: to hear that the server has hung up, and to hang up while the driver waits."""

from __future__ import annotations

import os
import select
import socket
from contextlib import suppress

__all__ = ["Line"]


class Line:
    """A copy of a connection's socket, as far as that could be found; all methods may be called by any thread."""

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
