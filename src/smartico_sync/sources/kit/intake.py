"""What one question may bring, in bytes: an answer whose rows are wider than whoever asked thought is given up while it is read."""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeVar

from smartico_sync.errors import RowsTooWide

if TYPE_CHECKING:
    from collections.abc import Iterable

    import pyarrow as pa

__all__ = ["MOST_BYTES", "PORTION", "Intake", "counted", "held_by"]

T = TypeVar("T", "pa.Table", "pa.RecordBatch")

MOST_BYTES = 24_000_000  # twice what the rows of a page should be: who knows how wide rows are does not ask for more
# Rows taken at once where a driver hands out portions, and those that a question may always bring: of 2 MB each not much more.
PORTION = 16


class Intake:
    """Counts what comes for one question; an answer at a time.

    A question about no more than a PORTION has no intake and brings what there is, or rows that are too wide were never read.
    """

    def __init__(self, what: str) -> None:
        self.what = what
        self.begin()

    def begin(self) -> None:
        """An answer begins."""
        self.rows = self.size = 0
        self.row_bytes = 0.0

    def take(self, rows: int, size: int) -> None:
        """So many rows came, of so many bytes. RowsTooWide when that is more than may be read at once."""
        self.rows += rows
        self.size += size
        if rows:
            self.row_bytes = max(self.row_bytes, size / rows)
        if self.size > MOST_BYTES:
            raise RowsTooWide(self.what, self.rows, self.size, max(self.row_bytes, self.size / max(1, self.rows)))


def counted(tables: Iterable[T], intake: Intake | None) -> list[T]:
    """Arrow tables or batches, those without a row left out, counted as they come."""
    if intake is not None:
        intake.begin()
    kept = []
    for table in tables:
        if table.num_rows:
            kept.append(table)
            if intake is not None:
                intake.take(table.num_rows, table.nbytes)
    return kept


def held_by(values: object) -> int:
    """Bytes of a text or of bytes; other values count as nothing: they are short."""
    return len(values) if isinstance(values, str | bytes) else 0
