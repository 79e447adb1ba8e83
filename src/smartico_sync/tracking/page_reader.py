"""The rows of one view that commit late: the mechanism that finds them, and what was delivered above the watermark."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Literal

import polars as pl

from smartico_sync.core.cursor_time import cursor_ms, latest_ms
from smartico_sync.core.late_commit.delivered_keys import DeliveredKeys
from smartico_sync.core.late_commit.fence import Fence
from smartico_sync.core.late_commit.gaps import Gaps
from smartico_sync.core.late_commit.lookback import Lookback
from smartico_sync.core.late_commit.mechanism import TIMES, KeyScan, Mark, Page, ReadTime
from smartico_sync.core.ledger_keys import ledger_keys
from smartico_sync.core.pipeline import position_at
from smartico_sync.core.position import Position
from smartico_sync.observe.view_status import LateStatus
from smartico_sync.tracking import late_scan
from smartico_sync.tracking.clocks import steady_ms

if TYPE_CHECKING:
    from smartico_sync.config.models import View
    from smartico_sync.core.late_commit.choice import Choice
    from smartico_sync.core.late_commit.mechanism import AskIds, Mechanism, Pace
    from smartico_sync.core.records import ViewRow
    from smartico_sync.sources.protocol import Reading
    from smartico_sync.state.store import Store
    from smartico_sync.tracking.prepared_view import PreparedView

__all__ = ["PageReader", "PageSize", "ReadResult", "start_mechanism"]


FIRST_PAGE = 1_000  # rows, before it is known how long they are
SMALLEST_PAGE = 100  # rows: what is left of a page after cancelled reads, or where rows are huge
GROWTH = 4  # from page to page, while they stay small
PAGE_BYTES = 32_000_000  # of a page in memory; three are in flight, and a request body is about as large
AHEAD_EVERY_MS = 5_000  # rows dated ahead of the clock are rare, and a few seconds are nothing to them


@dataclass(frozen=True, slots=True)
class ReadResult:
    """What one reading brought.

    `page`: rows in order; `late`: late rows that a rescan found below them; `extra`: rows out of the order, such as those
    dated ahead of the clock. `repeated` tells the rows of the page that were sent ahead of their time. `ahead` are the keys
    of such rows that `extra` holds. `after`: the position behind which the page begins.
    """

    read_time: ReadTime
    page: pl.DataFrame
    late: pl.DataFrame | None = None
    extra: pl.DataFrame | None = None
    repeated: pl.Series | None = None
    ahead: pl.Series | None = None
    scan: KeyScan | AskIds | None = None
    cost_ms: int = 0
    through: str | None = None
    after: Position | None = None

    @property
    def has_news(self) -> bool:
        """Whether there is anything to commit."""
        return self.page.height > 0 or any(part is not None for part in (self.late, self.extra, self.scan))


class PageSize:
    """How many rows the next page has: as many as memory and database take well."""

    def __init__(self, most: int) -> None:
        self._configured = self._most = most
        self.rows = min(FIRST_PAGE, most)

    def fit(self, page: pl.DataFrame, reading: Literal["level", "behind"]) -> None:
        """Choose by the page that was just read."""
        size = page.estimated_size()
        if size > PAGE_BYTES:
            self.rows = max(min(SMALLEST_PAGE, self._most), self.rows * PAGE_BYTES // int(size))
        elif page.height >= self.rows and size * GROWTH <= PAGE_BYTES:
            self.rows = min(self.rows * GROWTH, self._most)
        if reading == "level":
            self._most = self._configured

    def shrink(self) -> None:
        """The server ended a read: half as much may pass."""
        self.rows = self._most = max(min(SMALLEST_PAGE, self._most), self.rows // 2)


def start_mechanism(
    view: View,
    choice: Choice,
    read_time: ReadTime,
    watermark: Position | None,
    head: Position | None,
    memory: str,
    seq: int,
) -> Mechanism | None:
    """The mechanism that was chosen for a view, from what its state holds; None where nothing protects it."""
    match choice.mechanism:
        case "fence":
            terms = {"settle_ms": view.settle, "pin_cap_ms": view.pin_cap}
            return Fence.start(read_time, watermark, head, memory, seq, pin=view.on_pinned, **terms)
        case "gaps":
            return Gaps.start(read_time, watermark, head, memory, seq, wait_ms=view.gaps_wait)
        case "lookback":
            return Lookback.start(read_time, watermark, head, memory, seq, lookback_ms=view.lookback)
        case None:
            return None


class PageReader:
    """Reads on from a position that it keeps. Used by the view's own loop only, until something goes wrong."""

    def __init__(self, view: View, prepared: PreparedView, store: Store, row: ViewRow) -> None:
        self.view, self.choice, self.store, self.row = view, prepared.choice, store, row
        self.mapping = prepared.mapping
        self.cursor, self.timezone = prepared.relation.cursor_column, prepared.relation.timezone
        self.mechanism: Mechanism | None = None
        self.known = DeliveredKeys()
        self.seq = 0
        self.head: Position | None = row.head
        self.watermark: Position | None = row.watermark
        self.ahead = DeliveredKeys().hold(store.ahead(view.name))
        self.looked_ahead_ms: int | None = None
        self.late_rows = 0
        self.rescanned = 0

    def read(self, reading: Reading, limit: int, pace: Pace) -> ReadResult:
        """The next page, and what a rescan finds below it, from one snapshot. The head moves on in memory only."""
        read = self.brought(reading, limit, pace)
        if read.page.height:
            self.head = position_at(read.page, read.page.height - 1)
        if read.ahead is not None:
            self.ahead = self.ahead.hold(read.ahead)
        return read

    def brought(self, reading: Reading, limit: int, pace: Pace) -> ReadResult:
        """What one reading brings."""
        after = self.head
        read_time = ReadTime(reading.clock_ms, steady_ms(), reading.snapshot)
        bound = self.bound(reading, read_time)
        mechanism = self.mechanism or self.started(read_time)
        if mechanism is None:
            return ReadResult(read_time, reading.page(after, limit, bound), after=after)
        mechanism, scan = mechanism.rescan(read_time, pace)
        through = mechanism.safe_upper_bound
        page = reading.page(after, limit, through or bound)
        self.mechanism = self.with_target(mechanism, read_time, reading, page, limit, bound)
        late, began = None, steady_ms()
        if scan is not None:
            known = self.known.hold(ledger_keys(self.mapping, page)) if page.height else self.known
            late, looked = late_scan.find(reading, self.mapping, scan, known)
            self.rescanned += looked
        cost = steady_ms() - began
        repeated = self.repeated(page)
        extra = None
        if bound is not None and page.height < limit:
            extra = self.dated_ahead(reading, bound, read_time, [part for part in (page, late) if part is not None])
        ahead = ledger_keys(self.mapping, extra) if extra is not None else None
        return ReadResult(read_time, page, late, extra, repeated, ahead, scan, cost, through, after)

    def bound(self, reading: Reading, read_time: ReadTime) -> str | None:
        """How far the order reaches: the database's now and the tolerance. None where the cursor is no time.

        A row dated beyond it must not carry the head along: all that comes after it in time would be behind the head.
        """
        if self.cursor.family not in TIMES:
            return None
        return reading.moment(read_time.clock_ms + self.view.future_tolerance)

    def dated_ahead(
        self, reading: Reading, bound: str, read_time: ReadTime, others: list[pl.DataFrame]
    ) -> pl.DataFrame | None:
        """Rows beyond the bound that have not been sent yet, nor are among the others; looked for now and then."""
        if self.looked_ahead_ms is not None and read_time.steady_ms - self.looked_ahead_ms < AHEAD_EVERY_MS:
            return None
        self.looked_ahead_ms = read_time.steady_ms
        head = reading.head()
        if head is None or head == reading.head(bound):
            self.ahead = DeliveredKeys()
            return None
        # A clock that was set back makes rows of the order stand ahead of it again.
        known = self.known.hold(pl.concat([self.ahead.held, *(ledger_keys(self.mapping, rows) for rows in others)]))
        return late_scan.find(reading, self.mapping, KeyScan(Position(bound), head, "recent", 0), known)[0]

    def repeated(self, page: pl.DataFrame) -> pl.Series | None:
        """Which rows of the page were sent ahead of their time; None when there are none."""
        if not page.height or not len(self.ahead):
            return None
        seen = ~self.ahead.unseen(ledger_keys(self.mapping, page))
        return seen if seen.any() else None

    def started(self, read_time: ReadTime) -> Mechanism | None:
        """The mechanism, from what the state holds, with the keys delivered above the watermark."""
        self.seq = self.store.newest_seq(self.view.name)
        mechanism = start_mechanism(
            self.view, self.choice, read_time, self.row.watermark, self.row.head, self.row.late, self.seq
        )
        if mechanism is None:
            return None
        for seq, keys in self.store.ledger_since(self.view.name, mechanism.since):
            self.known, self.seq = self.known.append(seq, keys), seq
        return mechanism

    def with_target(
        self,
        mechanism: Mechanism,
        read_time: ReadTime,
        reading: Reading,
        page: pl.DataFrame,
        limit: int,
        bound: str | None,
    ) -> Mechanism:
        """While behind, aim at the source's head, so that a first load need not remember every row."""
        if page.height < limit:
            return mechanism.with_target(read_time, None)
        head = reading.head(bound) if mechanism.safe_upper_bound is None else None
        if head is None:
            return mechanism
        if not page.get_column(self.view.cursor).dtype.is_temporal():
            return mechanism.with_target(read_time, Mark(Position(head), self.seq))
        # The head's own time counts too.
        top = reading.by_cursor([head])
        if not top.height:
            return mechanism
        return mechanism.with_target(
            read_time,
            Mark(
                Position(head), self.seq, latest_ms(top.get_column(self.view.cursor), self.cursor.family, self.timezone)
            ),
        )

    def after(self, read: ReadResult, head: Position | None) -> Mechanism | None:
        """The mechanism as it is to be committed together with this acknowledged reading, whose last row is `head`."""
        return self.mechanism and self.mechanism.delivered(self.acknowledged(read, head))

    def acknowledged(self, read: ReadResult, head: Position | None) -> Page:
        """The reading in the mechanism's words."""
        cursors = read.page.get_column(self.view.cursor)
        late = read.late.get_column(self.view.cursor) if read.late is not None else None
        temporal = cursors.dtype.is_temporal()
        newest = (
            latest_ms(cursors.tail(1), self.cursor.family, self.timezone) if head is not None and temporal else None
        )
        return Page(
            read.read_time,
            Mark(head, self.seq, newest) if head is not None else None,
            ids=cursors if head is not None and not temporal else None,
            found=late,
            found_ms=cursor_ms(late) if late is not None and temporal else None,
            scan=read.scan,
            cost_ms=read.cost_ms,
            through=read.through,
        )

    def adopt(
        self, after: Mechanism | None, read: ReadResult, seq: int, keys: pl.Series, watermark: Position | None
    ) -> None:
        """Go on from a commit that succeeded: `seq` is its place in the ledger, 0 when it has none."""
        self.seq = max(self.seq, seq)
        self.late_rows += 0 if read.late is None else read.late.height
        self.watermark = watermark or self.watermark
        if after is not None:
            self.mechanism = after
            self.known = self.known.append(self.seq, keys).forget(after.since)

    def also(self, seq: int, keys: pl.Series) -> None:
        """Rows were delivered out of turn."""
        self.seq = max(self.seq, seq)
        self.known = self.known.append(self.seq, keys)

    def seen(self, read_time: ReadTime) -> LateStatus:
        """What the mechanism sees, for people and monitoring."""
        seen = LateStatus(self.late_rows, rescanned_keys=self.rescanned, window_keys=len(self.known) + len(self.ahead))
        match self.mechanism:
            case Fence() as fence:
                return replace(seen, pinned_ms=fence.pinned_ms(read_time))
            case Gaps() as gaps:
                return replace(seen, late_rows=gaps.found, missing_ids=gaps.waiting(), given_up_ids=gaps.given_up)
            case Lookback(lateness=late):
                return replace(
                    seen, late_rows=late.count, counts=late.counts, total_ms=late.total_ms, most_ms=late.most_ms,
                    advice_ms=late.advice_ms(),
                )  # fmt: skip
        return seen

    def warning(self, read_time: ReadTime) -> str:
        """What is about to go wrong with late rows; empty when nothing is."""
        match self.mechanism:
            case Fence() as fence if fence.pinned_ms(read_time) >= self.view.pin_cap:
                return (
                    f"a writer has kept the watermark for {fence.pinned_ms(read_time) // 1000} s, and memory grows until it ends: "
                    "pg_stat_activity on the primary, in order of xact_start, names it"
                )
            case Lookback() as lookback:
                return lookback.lateness.warning(lookback.lookback_ms)
            case Fence() as fence if fence.broken:
                return (
                    f"the watermark was let go {fence.broken} times because a writer stayed open longer than pin_cap: rows may be "
                    f"missing, run sync reconcile --view {self.view.name}"
                )
        return ""
