"""Bytes of rows, events and request bodies on their way, over all views of the process."""

from __future__ import annotations

import threading

from smartico_sync.tracking.row_width import RowWidth

__all__ = ["PAGE_BYTES", "MemoryBudget"]

MOST_BYTES = 60_000_000  # with an idle process, and copies that work makes in passing, below 400 MB
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
        self._names: dict[str, float] = {}
        self._widths: dict[str, RowWidth] = {}

    def width(self, view: str) -> RowWidth:
        """How wide the rows of a view are; the same for all who read it."""
        return self._widths.setdefault(view, RowWidth())

    def rows_at_once(self, view: str, most: int) -> int:
        """How many of so many rows of a view one question may ask for."""
        return self.width(view).fitting(most, self.page_bytes(view))

    def hold(self, view: str, size: float) -> None:
        """A view has so many bytes in flight now."""
        with self._lock:
            self._held[view] = size

    def became(self, view: str, rows: float, made: float, count: int = 0) -> None:
        """So many bytes of rows, of so many rows if that is known, became so many: the view's next pages will do alike.

        What goes beyond COPIES is the names of properties, as many bytes for a wide row as for a short one.
        """
        with self._lock:
            self._copies[view] = max(COPIES, made / rows)
            self._names[view] = max(0.0, made - COPIES * rows) / count if count else 0.0

    def expected(self, view: str, rows: float) -> float:
        """What so many bytes of rows will become, if they are as wide as the widest of late."""
        width, names = self.width(view).bytes, self._names.get(view, 0.0)
        return rows * (COPIES + names / width if width and names else self._copies.get(view, COPIES))

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
