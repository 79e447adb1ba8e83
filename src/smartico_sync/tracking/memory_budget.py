"""Bytes of rows, events and request bodies on their way, over all views of the process."""

from __future__ import annotations

import threading

__all__ = ["PAGE_BYTES", "MemoryBudget"]

MOST_BYTES = 100_000_000  # with an idle process, and copies that work makes in passing, below 400 MB
PAGE_BYTES = 12_000_000  # of a page's rows: its events and their bodies take about three times as much
# Times its rows, what a page becomes at least: rows, events in the order of requests, and bodies. Bodies name each property, so
# it is ten times and more where values are short.
COPIES = 4
PAGES = 3  # of a view, so that reading, working and sending overlap
LEAST_BYTES = 1_000_000  # of a page, however many views share the budget


class MemoryBudget:
    """What views hold, and what they may read. Thread-safe. Whatever others hold, each view may have one page in flight."""

    def __init__(self, most: float = MOST_BYTES) -> None:
        self._most = most
        self._lock = threading.Lock()
        self._held: dict[str, float] = {}
        self._copies: dict[str, float] = {}

    def hold(self, view: str, size: float) -> None:
        """A view has so many bytes in flight now."""
        with self._lock:
            self._held[view] = size

    def became(self, view: str, rows: float, made: float) -> None:
        """So many bytes of rows became so many: the view's next pages will do alike."""
        with self._lock:
            self._copies[view] = max(COPIES, made / rows)

    def expected(self, view: str, rows: float) -> float:
        """What so many bytes of rows will become."""
        return rows * self._copies.get(view, COPIES)

    def reserve(self, view: str, rows: float) -> None:
        """A view is about to read so many bytes of rows: until it holds them it holds what will be made of them."""
        with self._lock:
            self._held[view] = self._held.get(view, 0) + self.expected(view, rows)

    @property
    def spent(self) -> bool:
        """Whether no view should have more than one page in flight."""
        with self._lock:
            return sum(self._held.values()) >= self._most

    def page_bytes(self, view: str) -> float:
        """How large the next page of a view may be: a part of what others leave."""
        with self._lock:
            others = sum(size for name, size in self._held.items() if name != view)
        return min(PAGE_BYTES, max(LEAST_BYTES, (self._most - others) / (PAGES * self.expected(view, 1))))
