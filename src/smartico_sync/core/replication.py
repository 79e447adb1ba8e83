"""How a server stands in its replication: what it does not have yet, nobody can read from it."""

from __future__ import annotations

from typing import Literal

from msgspec import Struct

__all__ = ["UNKNOWN", "Replication"]


class Replication(Struct, frozen=True):
    """What a server says of itself at one moment.

    `stopped`: a replica that takes up nothing more until somebody acts, as `hint` says. `unknown`: the engine does not tell, or the
    user may not ask. `lag_ms`: how far it is behind its primary, 0 where that is unknown. `now_ms`: its own clock, epoch ms; 0 where
    it was not asked.
    """

    state: Literal["primary", "replica", "stopped", "unknown"]
    now_ms: int = 0
    lag_ms: int = 0
    hint: str = ""


UNKNOWN = Replication("unknown")
