"""How wide the rows of a view are, so that no question brings more of them than memory takes well."""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeVar

from smartico_sync.errors import RowsTooWide
from smartico_sync.sources.protocol import HANDFUL

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    import polars as pl

__all__ = ["PART_BYTES", "ROWS_AT_ONCE", "RowWidth", "portions", "until_it_fits"]

T = TypeVar("T")
ROWS_AT_ONCE = 1_000  # the protocol's limit of rows by position, by cursor or by key
PART_BYTES = 3_000_000  # of rows by position, of which several portions may make a page

FADES = 0.5  # from question to question: it takes some short rows to forget wide ones, and not a backlog in small pages


class RowWidth:
    """Bytes of a row, as the widest rows had that came lately; 0 before any. Any thread may ask."""

    def __init__(self) -> None:
        self.bytes = 0.0

    def saw(self, rows: pl.DataFrame) -> None:
        """Rows were read."""
        if rows.height:
            self.bytes = max(rows.estimated_size() / rows.height, self.bytes * FADES)

    def too_wide(self, error: RowsTooWide) -> None:
        """A reading was given up: the next one asks for half of what came, or less."""
        self.bytes = max(self.bytes, error.row_bytes)

    def fitting(self, rows: int, most_bytes: float) -> int:
        """How many of so many rows fit into so many bytes; one in any case."""
        return rows if rows * self.bytes <= most_bytes else max(1, int(most_bytes / self.bytes))


def portions(asked: Sequence[T], width: RowWidth | None, most: int = ROWS_AT_ONCE) -> Iterator[Sequence[T]]:
    """What is asked for, in portions of as many as rows fit that are as wide as those before; for no `width` by the handful."""
    start = 0
    while start < len(asked):
        size = min(most, HANDFUL) if width is None else width.fitting(most, PART_BYTES)
        yield asked[start : start + size]
        start += size


def until_it_fits(width: RowWidth, ask: Callable[[], T]) -> T:
    """What a reading brings that asks for as many rows as fit; read again, with fewer, where they are wider than was known."""
    while True:
        try:
            return ask()
        except RowsTooWide as error:
            width.too_wide(error)
