"""What one reading of a view brought."""

from __future__ import annotations

from functools import partial
from itertools import count
from typing import TYPE_CHECKING, Literal

from msgspec import Struct, field
from msgspec.structs import replace

from smartico_sync.core.few_texts import FEW
from smartico_sync.core.ledger_keys import key_columns
from smartico_sync.core.picked import picked

if TYPE_CHECKING:
    import polars as pl

    from smartico_sync.core.late_commit.mechanism import AskIds, KeyScan, ReadTime
    from smartico_sync.core.position import Position

__all__ = ["READINGS", "ReadResult"]

READINGS = count(1)  # of this process


class ReadResult(Struct, frozen=True, eq=False):
    """What one reading brought.

    `page`: rows in order; `late`: late rows that a rescan found below them; `extra`: rows out of the order, such as those
    dated ahead of the clock; `again`: rows that may have changed since they were read, and stand where they stood.
    `repeated` tells the rows of the page that were sent ahead of their time. `ahead` are the keys of such rows that `extra` holds. `after`: the position behind which the page begins. `watched`: the ids that were asked
    for beside the mechanism's rescan. `number` grows with each, for the log, and to tell what was read before.
    `scanned`: in part when that found more than one reading brings.
    """

    read_time: ReadTime
    page: pl.DataFrame
    late: pl.DataFrame | None = None
    extra: pl.DataFrame | None = None
    again: pl.DataFrame | None = None
    repeated: pl.Series | None = None
    ahead: pl.Series | None = None
    scan: KeyScan | AskIds | None = None
    watched: AskIds | None = None
    cost_ms: int = 0
    through: str | None = None
    after: Position | None = None
    scanned: Literal["whole", "in part"] = "whole"
    number: int = field(default_factory=partial(next, READINGS))

    @property
    def size(self) -> float:
        """Bytes of its rows in memory."""
        parts = (self.page, self.late, self.extra, self.again)
        return float(sum(part.estimated_size() for part in parts if part is not None))

    def without_payload(self, cursor: str) -> ReadResult:
        """What a commit needs of it, once its events are queued: where the rows of the page stand. The rest would take up memory."""
        if self.page.height <= FEW:
            return self
        kept = {cursor, *key_columns(self.page)}
        return replace(self, page=picked(self.page, (name for name in self.page.columns if name in kept)))

    @property
    def has_rows(self) -> bool:
        """Whether it brought any row."""
        return self.page.height > 0 or any(part is not None for part in (self.late, self.extra, self.again))

    @property
    def has_news(self) -> bool:
        """Whether there is anything to commit."""
        return self.has_rows or self.rescanned

    @property
    def rescanned(self) -> bool:
        """Whether something was read again: the next such reading waits until this one is committed."""
        return self.scan is not None or self.watched is not None
