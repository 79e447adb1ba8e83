"""Rows that commit late: the words the three mechanisms share.

How a reading uses a mechanism (every value is frozen; each step returns the next one):

    mechanism, scan = mechanism.rescan(read_time, pace)       inside each reading, before its rows are sent
        KeyScan: scan.covered(keys(scan.low, scan.high, after=scan.after)) in the same snapshot → late rows
        AskIds: by_cursor(ids) and the keys of each range in the same snapshot → late rows
        from late rows and page alike: subtract what is known, and what is on its way
    … page and late rows are delivered and acknowledged …
    after = mechanism.delivered(Page(…))                   right before the commit, in page order
    commit(watermark=after.watermark, late=after.dump())   only when it succeeded `after` replaces `mechanism`

A mechanism never learns of rows that were not acknowledged, so a failed delivery or commit needs no undoing.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal, Protocol, Self

import polars as pl
from msgspec import Struct

from smartico_sync.core.few_texts import FEW

if TYPE_CHECKING:
    from smartico_sync.core.position import Position
    from smartico_sync.core.relation import Snapshot

__all__ = [
    "AskIds",
    "KeyScan",
    "Mark",
    "Mechanism",
    "Name",
    "Pace",
    "Page",
    "ReadTime",
    "Rescan",
]

Name = Literal["fence", "fence + lookback", "gaps", "lookback"]
Pace = Literal[
    "caught_up",  # the last page was not full: late rows are wanted at once
    "behind",  # a backlog is being read: late rows can wait a little
    "busy",  # rows of an earlier rescan are not committed yet: ask for nothing
]


class ReadTime(Struct, frozen=True):
    """When a reading took place.

    `clock_ms`: the source's clock, read no later than its snapshot was taken. On a replica it is the commit time of the
    last replayed transaction, never a wall clock: while replay stands still it must stand still. `steady_ms`: a
    monotonic clock of ours. `snapshot`: None where the engine has none; its xmax must be the next id to be given out
    (PostgreSQL's own snapshot xmax is only one past the last that *ended*). `server`: which of several servers behind one
    address answered, empty where that cannot be known. Transaction ids mean something among those of one server only.
    `begun_ms`: when it was begun, by the same clock as `steady_ms`, which is read once the snapshot is there: what is to be
    scanned is decided as of then. None where nothing was decided before.
    """

    clock_ms: int
    steady_ms: int
    snapshot: Snapshot | None = None
    server: str = ""
    begun_ms: int | None = None

    @property
    def scan_ms(self) -> int:
        """Return the moment (steady) as of which a scan is due."""
        return self.steady_ms if self.begun_ms is None else self.begun_ms


class Mark(Struct, frozen=True):
    """The head as one page left it.

    `seq`: the newest ledger sequence *before* that page's commit (its own keys stay known a little longer, which is
    harmless). `cursor_ms`: for a time the last epoch ms its value may stand for (the end of the day for a date), else None.
    """

    position: Position
    seq: int
    cursor_ms: int | None = None


class KeyScan(Struct, frozen=True):
    """Read all keys after the position `after` (from the start for None) with cursor <= `high`.

    `extent`: only a full scan lets the watermark move; a recent one finds fresh late rows cheaply. `number`: of the
    head it reaches, whose cursor is `high` and whose key is `key`.
    """

    after: Position | None
    high: str
    extent: Literal["full", "recent"]
    number: int
    key: tuple[str, ...] = ()

    @property
    def low(self) -> str | None:
        """Return the inclusive lower cursor bound, for an index; None from the start."""
        return None if self.after is None else self.after.cursor

    def covered(self, keys: pl.DataFrame) -> pl.DataFrame:
        """Cut off what shares the head's cursor and lies beyond it: it comes in order, and sent now it would go twice.

        `keys`: the whole answer, in the database's order, with `@cursor` and `@key.*` as text. Where the head's own row
        is gone nothing is cut: sent twice is better than never.
        """
        if not self.key:
            return keys
        wanted = {"@cursor": self.high, **{f"@key.{i}": value for i, value in enumerate(self.key)}}
        if keys.height <= FEW:
            rows = keys.rows() if keys.columns == list(wanted) else keys.select(*wanted).rows()
            last = next((place for place in reversed(range(len(rows))) if rows[place] == (self.high, *self.key)), None)
            return keys if last is None or last + 1 == keys.height else keys.head(last + 1)
        here = keys.select(pl.all_horizontal(pl.col(name) == value for name, value in wanted.items())).to_series()
        return keys.head(int(here.arg_true()[-1]) + 1) if here.any() else keys


class AskIds(Struct, frozen=True):
    """Ask for these ids, and for all ids inside these inclusive ranges, again.

    Ranges may hold delivered rows: subtract the known ones. `number` tells one ask from another.
    """

    ids: tuple[int, ...]
    ranges: tuple[tuple[int, int], ...]
    number: int


class Rescan(Struct, frozen=True):
    """A scan that is asked for from `due_ms` on, every `every_ms`, for as long as no row comes (steady ms).

    Before `until_ms` nothing follows from one that finds nothing. `cost_ms`: what one took.
    """

    scan: KeyScan
    due_ms: int
    every_ms: int
    until_ms: float
    cost_ms: int


class Page(Struct, frozen=True):
    """What one commit adds, all of it delivered.

    `read_time`: of the reading the rows come from. `head`: the last in-order row, None when there was none. `ids`: cursors
    of the in-order rows, ascending, integers or their text (only gaps needs it). `found`: cursors of the late rows,
    likewise. `found_ms`: their cursor_ms (only lookback needs it). `scan`: the rescan of that reading, if it ran to its
    end; all it found is part of this commit. `cost_ms`: how long it took. `through`: the mechanism's safe_upper_bound if the
    page was read with it as bound. `left`: ranges of ids that are watched elsewhere, and must not hold the watermark.
    """

    read_time: ReadTime
    head: Mark | None = None
    ids: pl.Series | None = None
    found: pl.Series | None = None
    found_ms: pl.Series | None = None
    scan: KeyScan | AskIds | None = None
    cost_ms: int = 0
    through: str | None = None
    left: tuple[tuple[int, int], ...] = ()


class Mechanism(Protocol):
    """A way to find late rows; made at the first reading by the class method `start` that each mechanism has."""

    @property
    def name(self) -> Name:
        """Return the word of the configuration."""

    @property
    def watermark(self) -> Mark | None:
        """Return the mark at and below which nothing can still appear; None: nowhere yet. It never moves backwards."""

    @property
    def since(self) -> int:
        """Return the ledger sequence up to which keys need not be known any more: forget it, and load what is newer."""

    @property
    def safe_upper_bound(self) -> str | None:
        """Return the cursor at and below which nothing can still appear, while behind; None when there is none.

        Pages read with `through=safe_upper_bound` need no rescan. One that comes back short means that the safe_upper_bound is reached:
        call `with_target(read_time, None)` and read on without it.
        """

    def wants_target(self, cursor: Literal["time", "id"]) -> bool:
        """Return whether `with_target` has any use for the source's head while a backlog is read: asking for it costs a query."""

    def with_target(self, read_time: ReadTime, source_head: Mark | None) -> Self:
        """Say how high the source reaches when a page came back full; None when level, or when the safe_upper_bound is reached.

        Until cleared, the first aim stays. This keeps a first load from remembering every row and every hole in the ids.
        """

    def rescan(self, read_time: ReadTime, pace: Pace) -> tuple[Self, KeyScan | AskIds | None]:
        """Decide what to look at again in this reading. Call it in every reading; adopt the returned mechanism at once."""

    def expected(self, steady_ms: int, pace: Pace) -> KeyScan | None:
        """Return the scan of keys that `rescan` asks for in a reading that is begun then; None where none is foreseen."""

    def due_ms(self, read_time: ReadTime) -> float:
        """Return when (steady) a reading is wanted next, if no row comes until then: not in the future where the next is."""

    def repeated(self, read_time: ReadTime) -> Rescan | None:
        """Return the one scan that is asked for until then, at `due_ms` and again and again; None where there is more to a reading."""

    def delivered(self, page: Page) -> Self:
        """Return the mechanism as it is to be committed with the page; adopt it when the commit has succeeded."""

    def memory(self) -> dict[str, Any]:
        """Return what `dump` writes."""

    def dump(self) -> str:
        """Return what must survive a restart, as JSON text. It holds no value of a row but ids and times."""
