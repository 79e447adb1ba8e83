"""A clock of a server that is far away, and asked seldom."""

from __future__ import annotations

import time

__all__ = ["FRESH_S", "ServerClock"]

FRESH_S = 600.0  # clocks of two machines drift apart by some ten milliseconds in that time


class ServerClock:
    """A server's now. Between two answers our steady clock carries it on.

    It is never ahead of the server: the way that an answer travelled is not added.
    """

    def __init__(self) -> None:
        self._told: tuple[int, float] | None = None

    def tell(self, server_ms: int) -> None:
        """The server's epoch ms, from an answer that has just arrived."""
        self._told = (server_ms, time.monotonic())

    def now_ms(self) -> int | None:
        """The server's epoch ms; None when it must be asked."""
        told = self._told
        if told is None:
            return None
        passed = time.monotonic() - told[1]
        return told[0] + int(passed * 1000) if passed < FRESH_S else None
