"""A few connections, opened when needed and kept while they work."""

from __future__ import annotations

import time
from contextlib import contextmanager
from threading import Condition
from typing import TYPE_CHECKING, Generic, Protocol, TypeVar

from smartico_sync.errors import SourceCancelled, SourceFull, SourceUnreachable

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

__all__ = ["Link", "Pool"]

FULL_S = 60.0  # for so long no more links are asked for than the server granted


class Link(Protocol):
    """One connection as the pool sees it."""

    def usable(self) -> bool:
        """Whether it may serve again; asked before each use, must not wait."""

    def abort(self) -> None:
        """End what another thread is doing with it, now."""

    def close(self) -> None:
        """Close it; never raises."""


L = TypeVar("L", bound=Link)


class Pool(Generic[L]):
    """At most `size` links, each used by one thread at a time; the most recently used one is taken first.

    `open_link` may raise any SourceError. A server that grants fewer (SourceFull) is shared as it is, as long as it grants one.
    Waiting for a free link longer than `patience_s` raises SourceCancelled.
    """

    def __init__(self, open_link: Callable[[], L], size: int, patience_s: float) -> None:
        self._open = open_link
        self._size = size
        self._patience_s = patience_s
        self._idle: list[L] = []
        self._busy: set[L] = set()
        self._opening = 0
        self._granted, self._granted_until = size, 0.0
        self._state = "open"
        self._changed = Condition()

    @contextmanager
    def link(self) -> Iterator[L]:
        """Lend a link; one that is not usable afterwards is closed."""
        taken = self._take()
        try:
            yield taken
        finally:
            self._give_back(taken)

    def _take(self) -> L:
        end = time.monotonic() + self._patience_s
        while True:
            link = self._idle_link(end)
            if link is not None:
                return link
            try:
                link = self._open()
            except BaseException as failure:
                with self._changed:
                    self._opening -= 1
                    self._changed.notify()
                    if not isinstance(failure, SourceFull) or not self._fewer():
                        raise
            else:
                with self._changed:
                    self._opening -= 1
                    self._busy.add(link)
                return link

    def _idle_link(self, end: float) -> L | None:
        """A link that is there, once it is this thread's turn; None where one is to be opened. SourceCancelled at the end (steady)."""
        with self._changed:
            self._changed.wait_for(self._free, max(0.0, end - time.monotonic()))
            if self._state == "closed":
                raise SourceUnreachable("the source has been closed")
            if not self._free():
                raise SourceCancelled(f"all {self._most()} connections are busy", hint=self._advice())
            while self._idle:
                link = self._idle.pop()
                if link.usable():
                    self._busy.add(link)
                    return link
                link.close()
            self._opening += 1
            return None

    def _fewer(self) -> bool:
        """Be content with the links that there are. False where there is none."""
        there = len(self._busy) + self._opening + len(self._idle)
        if there and self._state == "open":
            self._granted, self._granted_until = there, time.monotonic() + FULL_S
        return there > 0

    def _most(self) -> int:
        """How many links there may be now."""
        return min(self._size, self._granted) if time.monotonic() < self._granted_until else self._size

    def _advice(self) -> str:
        if self._most() < self._size:
            return "the server grants the user no more: raise that limit, or poll less often"
        return "raise `pool:` of the source, or poll less often"

    def _free(self) -> bool:
        return self._state == "closed" or len(self._busy) + self._opening < self._most()

    def _give_back(self, link: L) -> None:
        with self._changed:
            self._busy.discard(link)
            if self._state == "open" and link.usable():
                self._idle.append(link)
            else:
                link.close()
            self._changed.notify()

    def close(self) -> None:
        """Close idle links, abort the busy ones; later use raises SourceUnreachable."""
        with self._changed:
            self._state = "closed"
            idle, self._idle = self._idle, []
            busy = list(self._busy)
            self._changed.notify_all()
        for link in idle:
            link.close()
        for link in busy:
            link.abort()
