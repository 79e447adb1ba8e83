"""How the time that looking again takes of one source is shared by its views."""

from __future__ import annotations

import math
from threading import Lock
from typing import Literal

__all__ = ["PAUSES", "Look", "ReplicaTime"]

Look = Literal["late rows", "delivered rows", "digests", "nulls"]

# How many times what a look took nobody of the source looks again: its other readers come first.
PAUSES: dict[Look, int] = {"late rows": 10, "delivered rows": 20, "digests": 20, "nulls": 1_000}
# How often a view would look, in ms, if looking took no time.
WANTED_MS: dict[Look, int] = {"late rows": 5_000, "delivered rows": 1_000, "digests": 1_000, "nulls": 60_000}


class ReplicaTime:
    """What the views of one source spend on it in looking again, whatever they look for. Any thread may use it.

    Each view pauses between two looks for PAUSES times what one is charged with. Alone it is charged with what it took. Of
    several, those that ask for less than an even part of the time have what they ask for, and the others divide the rest.
    """

    def __init__(self) -> None:
        self._lock = Lock()
        self._wanted: dict[Look, dict[str, float]] = {}

    def charged(self, look: Look, view: str, took_ms: int, of_it: Literal["all", "a part"] = "all") -> int:
        """What a look of the view is charged with, in ms: what it took, or more. `a part`: the whole would take longer."""
        with self._lock:
            wanted = self._wanted.setdefault(look, {})
            mine = min(1.0, took_ms * PAUSES[look] / WANTED_MS[look])
            wanted[view] = mine if of_it == "all" else max(mine, wanted.get(view, 0.0))
            part = even_part(sorted(wanted.values()))
            return math.ceil(took_ms / part) if wanted[view] > part else took_ms

    def forget(self, view: str) -> None:
        """The view looks no more."""
        with self._lock:
            for wanted in self._wanted.values():
                wanted.pop(view, None)


def even_part(wanted: list[float]) -> float:
    """The largest part of one that each may have, of those that want so much each, least first, so that all have one together."""
    left = 1.0
    for place, each in enumerate(wanted):
        part = left / (len(wanted) - place)
        if each > part:
            return part
        left -= each
    return 1.0
