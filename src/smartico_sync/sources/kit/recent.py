"""An answer of a server that many views ask for at once, when they are opened together."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Generic, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["Recent"]

KEPT_S = 1.0  # all views of a start are opened within it; another server after a failover is not taken for the one before for long

T = TypeVar("T")


class Recent(Generic[T]):
    """The last answer, for as long as it is recent. Thread-safe without a lock: who finds none asks, also where others do."""

    def __init__(self) -> None:
        self._kept: tuple[T, float] | None = None

    def get(self, ask: Callable[[], T]) -> tuple[T, float]:
        """The answer, and how many seconds ago it was asked for."""
        kept, now = self._kept, time.monotonic()
        if kept is not None and now - kept[1] < KEPT_S:
            return kept[0], now - kept[1]
        answer = ask()
        self._kept = answer, now
        return answer, 0.0

    def forget(self) -> None:
        """Something went wrong with the server: it may be another one that answers next."""
        self._kept = None
