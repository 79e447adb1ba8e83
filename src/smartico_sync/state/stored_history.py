"""The store's part about history: which rows were delivered, and the backfills that send a part of them again."""

from __future__ import annotations

from typing import TYPE_CHECKING

import polars as pl

from smartico_sync.state import backfills, ledger
from smartico_sync.state.stored_views import StoredViews

if TYPE_CHECKING:
    from collections.abc import Iterator

    from smartico_sync.core.records import Backfill, BackfillState, Profiles

__all__ = ["StoredHistory"]


class StoredHistory(StoredViews):
    """The delivered rows of a state's views."""

    def ledger_since(self, view: str, seq: int = 0) -> Iterator[tuple[int, pl.Series]]:
        """Yield the pages after `seq` in order of delivery, each as its sequence number and its keys (UInt64, ascending)."""
        number = self.number(view)
        last = seq
        while True:
            with self.reading() as connection:
                pages = ledger.since(connection, number, last)
            if not pages:
                return
            for last, page in pages:
                yield last, ledger.keys_of([page])

    def ledger_keys(self, view: str) -> Iterator[pl.Series]:
        """Yield all keys (UInt64) that are kept, those of many pages at a time, in no order."""
        number = self.number(view)
        last = 0
        while True:
            with self.reading() as connection:
                pages = ledger.since(connection, number, last)
            if not pages:
                return
            last = pages[-1][0]
            yield ledger.keys_of([page for _, page in pages])

    def there_at_start(self, view: str) -> pl.Series:
        """Return the keys (UInt64) of rows that were there when the view began, and that it therefore did not send."""
        row = self.view(view)
        pages = self.ledger_since(view) if row is not None and row.start_seq else ()
        found = [keys for seq, keys in pages if row is not None and seq <= row.start_seq]
        return pl.concat(found) if found else pl.Series(dtype=pl.UInt64)

    def newest_seq(self, view: str) -> int:
        """Return the sequence number of the view's newest ledger page; 0 when there is none."""
        number = self.number(view)
        with self.reading() as connection:
            return ledger.newest(connection, number)

    def ledger_between(self, view: str, low_ms: int, high_ms: int) -> pl.DataFrame:
        """Return the delivered rows with low_ms <= cursor_ms < high_ms that are still kept: [key UInt64, cursor_ms Int64]."""
        number = self.number(view)
        with self.reading() as connection:
            pages = list(ledger.between(connection, number, low_ms, high_ms))
        return pl.concat(pages) if pages else pl.DataFrame(schema=ledger.schema())

    def ledger_holds(self, view: str, cursor_ms: int) -> bool:
        """Tell whether a delivered row of that cursor is still kept."""
        number = self.number(view)
        with self.reading() as connection:
            return ledger.holds(connection, number, cursor_ms)

    def acknowledged_at(self, view: str, cursor_ms: int, key: int) -> int | None:
        """Return when (epoch ms) the row of that ledger key and cursor was acknowledged; None when it was not, or its key is pruned."""
        number = self.number(view)
        with self.reading() as connection:
            return ledger.acknowledged_at(connection, number, cursor_ms, key)

    def ledger_counts(self, view: str, low_ms: int, high_ms: int, bucket_ms: int = ledger.BUCKET_MS) -> pl.DataFrame:
        """Count delivered rows with low_ms <= cursor_ms < high_ms: [bucket Int64, n Int64], ascending, no empty buckets.

        A bucket is named by its lowest cursor, a multiple of `bucket_ms`. Exact for ever where all three arguments are
        multiples of an hour (BUCKET_MS; 3.6 million for id cursors), else exact as far back as keys are kept.
        """
        number = self.number(view)
        with self.reading() as connection:
            return ledger.count_keys(connection, number, low_ms, high_ms, bucket_ms)

    def ledger_low(self, view: str, at_ms: int) -> int | None:
        """Return the lowest cursor among the pages kept that were delivered since; None without any."""
        number = self.number(view)
        with self.reading() as connection:
            return ledger.lowest(connection, number, at_ms)

    def prune_ledger(self, view: str, before_ms: int, through_seq: int | None = None) -> int:
        """Drop the keys of pages delivered before that time; their counts stay. Return how many pages were dropped.

        Pages with a higher sequence number than `through_seq` stay: what was delivered above the watermark must be known as
        long as it is scanned again. Bounded work: call it again while it returns more than 0.
        """
        number = self.number(view)
        with self.writing() as connection:
            return ledger.prune(connection, number, before_ms, through_seq)

    def backfills(self) -> tuple[Backfill, ...]:
        """Return every backfill that was ever asked for, oldest first."""
        with self.reading() as connection:
            return tuple(backfills.read(connection))

    def add_backfill(
        self, view: str, *, low: str, high: str, rate: int, profiles: Profiles, total: int, at_ms: int
    ) -> int:
        """Note that a part of a view's history is to be sent; the backfill's id."""
        number = self.number(view)
        with self.writing() as connection:
            return backfills.add(
                connection, number, low=low, high=high, rate=rate, profiles=profiles, total=total, at_ms=at_ms
            )

    def tell_backfill(self, number: int, state: BackfillState, reason: str, at_ms: int) -> bool:
        """Say how an open backfill stands; whether there is an open one of that id, or a failed one to be cancelled."""
        with self.writing() as connection:
            return backfills.tell(connection, number, state, reason, at_ms)
