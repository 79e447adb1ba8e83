"""How many rows a page has."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

from smartico_sync.tracking.memory_budget import PAGE_BYTES

if TYPE_CHECKING:
    import polars as pl

__all__ = ["PageSize"]

# Rows, before it is known how long they are; all pages of a backlog are 980 by a power of four: full requests.
FIRST_PAGE = 245
FULL_REQUEST = 980  # rows: of a page that memory cuts short as many as fill requests
SMALLEST_PAGE = 100  # rows: what is left of a page after cancelled reads
LEVEL_PAGE = 2_000  # rows of a page that is read to see what is new; behind a full one a backlog is read in larger ones
FEWEST = 10  # rows: what is left of a page where rows are larger than that
GROWTH = 4  # from page to page, while they stay small


class PageSize:
    """How many rows the next page has: as many as memory and database take well."""

    def __init__(self, most: int) -> None:
        self._configured = self._most = most
        self.rows = min(FIRST_PAGE, most)
        self.row_bytes = 0.0

    def limit(self, reading: Literal["level", "behind"], most_bytes: float = PAGE_BYTES) -> int:
        """How many rows the next page may have, if they are as long as those of the last."""
        rows = min(self.rows, LEVEL_PAGE) if reading == "level" else self.rows
        if rows * self.row_bytes <= most_bytes:
            return rows
        fit = max(min(FEWEST, rows), int(most_bytes / self.row_bytes))
        return fit - fit % FULL_REQUEST if fit > FULL_REQUEST else fit

    def fit(self, page: pl.DataFrame, reading: Literal["level", "behind"]) -> None:
        """Choose by the page that was just read."""
        if page.height:
            size = page.estimated_size()
            self.row_bytes = size / page.height
            if size > PAGE_BYTES:
                self.rows = max(min(FEWEST, self._most), int(PAGE_BYTES / self.row_bytes))
            elif page.height >= self.rows:
                grown = min(self.rows * GROWTH, self._most)
                self.rows = grown if grown * self.row_bytes <= PAGE_BYTES else self.rows
        if reading == "level":
            self._most = self._configured

    def shrink(self) -> None:
        """The server ended a read: half as much may pass."""
        self.rows = self._most = max(min(SMALLEST_PAGE, self._most), self.rows // 2)
