"""Clocks of servers: of one that is far away, and asked seldom, and of one that may be a replica."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any, Literal, Protocol

from msgspec import Struct

from smartico_sync.core.replication import Replication

if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = ["FRESH_S", "Asked", "Replay", "ReplicaClock", "ServerClock", "State"]

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


State = Literal["primary", "replica", "stopped", "hidden"]


class Replay(Struct, frozen=True):
    """How a server stands; `lag_ms`: how far a replica is behind, where that is known.

    `stopped`: a replica that tells no lag. `hidden`: it may be a replica, and nothing tells how far it is behind. `server`:
    its name, where several may answer behind one address.
    """

    state: State
    now_ms: int
    lag_ms: int | None = None
    server: str = ""


class Asked(Protocol):
    """What a replica's clock needs of a session. `standing` is what it has found out about the server, by a word of its own."""

    standing: str

    def run(self, statement: str, what: str) -> Any:
        """One statement's answer."""

    def attempt(self, statement: str, what: str, *, expected: Sequence[int] = ()) -> Any:
        """As `run`, but StatementFailed for these numbers of the server."""


class ReplicaClock:
    """Up to when a source's server is complete, whichever of its connections asks: its own now, or what it has replayed.

    Stands still while replay does. `tick_ms` is what the lag is rounded to: the replica may be that much further behind.
    """

    def __init__(self, tick_ms: int) -> None:
        self._tick_ms = tick_ms
        self._replayed_ms: dict[str, int] = {}

    def replayed_ms(self, replay: Replay) -> int:
        """What a server had replayed when it last told a lag; 0 before."""
        return self._replayed_ms.get(replay.server, 0)

    def stopped_at(self, replay: Replay, at_ms: int) -> None:
        """Say what a server has replayed that tells no lag."""
        self._replayed_ms[replay.server] = at_ms

    def replication(self, replay: Replay, stopped: str) -> Replication:
        """The same for people. `stopped`: what to do about a replica that tells no lag."""
        match replay.state:
            case "primary":
                return Replication("primary", replay.now_ms)
            case "hidden":
                return Replication("unknown", replay.now_ms)
            case "replica":
                return Replication("replica", replay.now_ms, replay.lag_ms or 0)
            case "stopped":
                known = self.replayed_ms(replay)
                return Replication("stopped", replay.now_ms, max(0, replay.now_ms - known) if known else 0, stopped)

    def complete_ms(self, replay: Replay) -> int:
        """Epoch ms up to which the server knew everything when it told how it stands."""
        if replay.state in ("primary", "hidden"):
            return replay.now_ms
        if replay.lag_ms is not None:
            self._replayed_ms[replay.server] = replay.now_ms - replay.lag_ms - self._tick_ms
        return self.replayed_ms(replay)
