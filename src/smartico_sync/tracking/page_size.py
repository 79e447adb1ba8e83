"""How many rows a page has."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

from smartico_sync.tracking.memory_budget import PAGE_BYTES
from smartico_sync.tracking.row_width import RowWidth

if TYPE_CHECKING:
    import polars as pl

__all__ = ["PageSize"]

# Rows, before it is known how long they are; all pages of a backlog are 980 by a power of four: full requests.
FIRST_PAGE = 245
FULL_REQUEST = 980  # rows: of a page that memory cuts short as many as fill requests
SMALLEST_PAGE = 100  # rows: what is left of a page after cancelled reads
LEVEL_PAGE = 2_000  # rows of a page that is read to see what is new; behind a full one a backlog is read in larger ones
GROWTH = 4  # from page to page, while they stay small


class PageSize:
    """How many rows the next page has: as many as memory and database take well."""

    def __init__(self, most: int, width: RowWidth | None = None) -> None:
        self._configured = self._most = most
        self.rows = min(FIRST_PAGE, most)
        self.width = width or RowWidth()

    def limit(self, reading: Literal["level", "behind"], most_bytes: float = PAGE_BYTES) -> int:
        """How many rows the next page may have, if none is wider than the widest of late."""
        rows = min(self.rows, LEVEL_PAGE) if reading == "level" else self.rows
        fit = self.width.fitting(rows, most_bytes)
        return fit - fit % FULL_REQUEST if FULL_REQUEST < fit < rows else fit

    def fit(self, page: pl.DataFrame, reading: Literal["level", "behind"]) -> None:
        """Choose by the page that was just read."""
        if page.height:
            self.width.saw(page)
            if page.estimated_size() > PAGE_BYTES:
                self.rows = self.width.fitting(self._most, PAGE_BYTES)
            elif page.height >= self.rows:
                grown = min(self.rows * GROWTH, self._most)
                self.rows = grown if grown * self.width.bytes <= PAGE_BYTES else self.rows
        if reading == "level":
            self._most = self._configured

    def shrink(self) -> None:
        """The server ended a read: half as much may pass."""
        self.rows = self._most = max(min(SMALLEST_PAGE, self._most), self.rows // 2)
