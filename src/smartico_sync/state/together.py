"""What several threads want at the same moment, done by one of them for all: a transaction costs little more than one page of it.

Who comes while others are at it joins those who wait; the first of these does what all of them want as soon as it is their turn.
Nobody waits for others to come: alone, each is at it at once.
"""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING, Generic, TypeVar

from msgspec import Struct

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from contextlib import AbstractContextManager

__all__ = ["Outcome", "Together"]

W = TypeVar("W")
R = TypeVar("R")


class Outcome(Struct, Generic[R]):
    """What became of a wish: its result, or the error that whoever wished it is to see."""

    result: R | None = None
    error: BaseException | None = None


class Waiting(Generic[W]):
    """A wish, and what became of it once `settled` can be taken; the one that came first settles it by itself."""

    __slots__ = ("outcome", "settled", "wish")

    def __init__(self, wish: W) -> None:
        self.wish = wish
        self.outcome: Outcome[object] = Outcome(error=RuntimeError("nobody did it"))
        self.settled: threading.Lock | None = None

    def wait(self) -> None:
        """Have it told when it is settled."""
        self.settled = threading.Lock()
        self.settled.acquire()


class Together(Generic[W]):
    """Thread-safe. `act` is called with the wishes in the order in which they came, by a thread that holds `turn`.

    It returns what became of each.
    """

    def __init__(
        self, turn: AbstractContextManager[object], act: Callable[[Sequence[W]], Sequence[Outcome[object]]]
    ) -> None:
        self._turn, self._act = turn, act
        self._lock = threading.Lock()
        self._next: list[Waiting[W]] = []

    def do(self, wish: W) -> object:
        """Have it done, by this thread or another one; its result, or raises its error. Not to be called while holding `turn`."""
        mine = Waiting(wish)
        with self._lock:
            if self._next:
                mine.wait()
            self._next.append(mine)
        if mine.settled is None:
            self._lead()
        else:
            mine.settled.acquire()
        if mine.outcome.error is not None:
            raise mine.outcome.error
        return mine.outcome.result

    def _lead(self) -> None:
        """Do what all want who have come until it is their turn."""
        those: list[Waiting[W]] = []
        try:
            with self._turn:
                those = self._take()
                for each, outcome in zip(those, self._act([each.wish for each in those]), strict=True):
                    each.outcome = outcome
        except BaseException as error:  # whatever ends this thread's work, nobody else would take them
            those = those or self._take()
            for each in those:
                each.outcome = Outcome(error=error)
            raise
        finally:
            for each in those:
                if each.settled is not None:
                    each.settled.release()

    def _take(self) -> list[Waiting[W]]:
        with self._lock:
            those, self._next = self._next, []
        return those
