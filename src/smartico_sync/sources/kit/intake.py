"""What one question may bring, in bytes: an answer whose rows are wider than whoever asked thought is given up while it is read."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any, Protocol, TypeVar

from smartico_sync.errors import RowsTooWide
from smartico_sync.sources.protocol import HANDFUL

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    import pyarrow as pa

__all__ = ["MOST_BYTES", "PORTION", "Intake", "counted", "counted_tables", "fetched"]

T = TypeVar("T")
A = TypeVar("A", "pa.Table", "pa.RecordBatch")

MOST_BYTES = 24_000_000  # twice what the rows of a page should be: who knows how wide rows are does not ask for more
PORTION = HANDFUL  # rows taken at once where a driver hands out portions


class Intake:
    """Counts what comes for one question; an answer at a time.

    A question about no more than a HANDFUL has no intake and brings what there is, or rows that are too wide were never read.
    """

    def __init__(self, what: str, asked: int) -> None:
        self.what, self.asked = what, asked
        self.begin()

    @property
    def most_bytes(self) -> int:
        """Of an answer."""
        return MOST_BYTES

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

    def unsent(self) -> RowsTooWide:
        """The failure where the server itself refused to send more bytes, and does not say how many rows they are.

        They are taken for twice as wide as they are at least, so that few questions find out.
        """
        return RowsTooWide(self.what, self.asked, MOST_BYTES, 2 * MOST_BYTES / self.asked)


class Cursor(Protocol):
    """What is asked of a driver's cursor."""

    def fetchmany(self, size: int, /) -> Sequence[Any]:
        """Some more rows; none behind the last."""


def counted(parts: Iterable[T], intake: Intake | None, measured: Callable[[T], tuple[int, int]]) -> list[T]:
    """All parts of an answer, counted as they come. `measured`: the rows and the bytes of one."""
    if intake is None:
        return list(parts)
    intake.begin()
    kept = []
    for part in parts:
        kept.append(part)
        intake.take(*measured(part))
    return kept


def counted_tables(tables: Iterable[A], intake: Intake | None) -> list[A]:
    """Arrow tables or batches likewise, those without a row left out."""
    filled = (table for table in tables if table.num_rows)
    return counted(filled, intake, lambda table: (table.num_rows, table.nbytes))


def fetched(cursor: Cursor, intake: Intake, most: int = sys.maxsize) -> list[Any]:
    """Some more rows, tuples of values, up to so many unless they are the last, counted as they come. The caller begins."""
    rows: list[Any] = []
    while len(rows) < most and (portion := cursor.fetchmany(min(PORTION, most - len(rows)))):
        intake.take(len(portion), sum(held_by(value) for row in portion for value in row))
        rows += portion
    return rows


def held_by(value: object) -> int:
    """Bytes of a text or of bytes; other values count as nothing: they are short."""
    return len(value) if isinstance(value, str | bytes) else 0
