"""The rows of one view that commit late: the mechanism that finds them, and what was delivered above the watermark."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

import polars as pl
from msgspec.structs import replace

from smartico_sync.core.cursor_time import Grain, cursor_ms, latest_ms, now_ms
from smartico_sync.core.late_commit.delivered_keys import DeliveredKeys
from smartico_sync.core.late_commit.mechanism import KeyScan, Mark, Page, ReadTime
from smartico_sync.core.late_commit.missing_ids import number
from smartico_sync.core.late_commit.open_values import OVER_MS, OpenValues
from smartico_sync.core.ledger_keys import ledger_keys
from smartico_sync.core.pipeline import position_at
from smartico_sync.core.position import Position
from smartico_sync.errors import RowsTooWide, SourceError
from smartico_sync.observe.view_status import LateStatus
from smartico_sync.tracking import late_rows, late_scan
from smartico_sync.tracking.clocks import steady_ms
from smartico_sync.tracking.late_rows import LateRows, whole_numbers
from smartico_sync.tracking.late_scan import find_again
from smartico_sync.tracking.memory_budget import PAGE_BYTES
from smartico_sync.tracking.next_page import next_page
from smartico_sync.tracking.read_result import ReadResult
from smartico_sync.tracking.row_width import ROWS_AT_ONCE, RowWidth

if TYPE_CHECKING:
    from collections.abc import Mapping

    from smartico_sync.config.models import View
    from smartico_sync.core.late_commit.mechanism import AskIds, Mechanism, Pace
    from smartico_sync.core.records import ViewRow
    from smartico_sync.sources.protocol import Reading
    from smartico_sync.state.store import Store
    from smartico_sync.tracking.late_scan import FoundNothing
    from smartico_sync.tracking.prepared_view import PreparedView
    from smartico_sync.tracking.scan_pace import ScanPace

__all__ = ["PageReader"]

MOST_WATCHED = 10_000  # rows of another range in one reading; the rest comes with the next
AHEAD_EVERY_MS = 5_000  # rows dated ahead of the clock are rare, and a few seconds are nothing to them


class PageReader:
    """Reads on from a position that it keeps. Used by the view's own loop only, until something goes wrong."""

    def __init__(
        self, view: View, prepared: PreparedView, store: Store, row: ViewRow, scans: ScanPace, width: RowWidth
    ) -> None:
        self.view, self.choice, self.store, self.row = view, prepared.choice, store, row
        self.mapping, self.relation = prepared.mapping, prepared.relation
        self.scans, self.width = scans, width
        self.grain = Grain()
        self.late: LateRows | None = None
        self.known = DeliveredKeys()
        self.seq = 0
        self.head: Position | None = row.head
        self.watermark: Position | None = row.watermark
        self.ahead = DeliveredKeys().hold(store.ahead(view.name))
        self.open = OpenValues()
        self.again_after: Position | None = None
        self.reopened = row.head is not None and row.head != row.start_head  # what was there at the start was not sent
        self.looked_ahead_ms: int | None = None
        self.ahead_after: Position | None = None  # behind which a look ahead goes on that was cut short
        self.scanned: Literal["whole", "in part"] = "whole"  # by the last rescan
        self.dated: Literal["in order", "ahead"] = "in order"  # whether the last page without a bound went beyond it
        self.found_nothing: FoundNothing | None = None  # the mechanism's last scan, where it did not
        self.late_rows = 0
        self.rescanned = 0
        self.reopened_low: str | None = None  # from which value on those rows are read
        self.reopened_after: Position | None = None  # behind which the rest of them is read

    @property
    def unfinished(self) -> bool:
        """Whether rows out of the order are known to be left for the next reading."""
        return self.ahead_after is not None or self.scanned == "in part"

    @property
    def reads_again(self) -> bool:
        """Whether rows may change once more under the cursor value with which they were read."""
        return self.mapping.kind.role == "profile" and self.relation.dated and self.grain.ms != 1

    @property
    def kept(self) -> Mapping[str, object]:
        """What it knows, as no reading changes it: all values are frozen."""
        return dict(vars(self))

    def go_back(self, before: Mapping[str, object]) -> None:
        """Know what it knew before a reading of which nothing was taken."""
        vars(self).update(before)

    def read(self, reading: Reading, limit: int, pace: Pace, begun_ms: int | None = None) -> ReadResult:
        """The next page, and what a rescan finds below it, from one snapshot. The head moves on in memory only.

        `begun_ms`: see ReadTime.
        """
        read = self.brought(reading, limit, pace, begun_ms)
        if read.page.height:
            self.head = position_at(read.page, read.page.height - 1)
        if read.ahead is not None:
            self.ahead = self.ahead.hold(read.ahead)
        return read

    def brought(self, reading: Reading, limit: int, pace: Pace, begun_ms: int | None) -> ReadResult:
        """What one reading brings."""
        after = self.head
        read_time = ReadTime(reading.clock_ms, steady_ms(), reading.snapshot, reading.server, begun_ms)
        bound = self.bound(reading, read_time)
        late = self.late or self.started(read_time)
        if late is None:
            return ReadResult(read_time, self.next_page(reading, after, limit, bound), after=after)
        if pace != "busy":
            self.scanned = "whole"
        mechanism, scan = late.mechanism.rescan(read_time, pace)
        watch, watched = late.watch.rescan(read_time, pace) if late.watch else (None, None)
        through = mechanism.safe_upper_bound
        page = reading.page(after, limit, through) if through else self.next_page(reading, after, limit, bound)
        self.learn_grain(page)
        again = self.read_again(reading, page, limit, read_time)
        self.late = LateRows(self.with_target(mechanism, read_time, reading, page, limit, bound), watch)
        found, cost = self.rescans(reading, page, scan, watched)
        repeated = self.repeated(page)
        extra = None
        if bound is not None and page.height < limit:
            extra = self.dated_ahead(reading, bound, read_time, [part for part in (page, found) if part is not None])
        ahead = ledger_keys(self.mapping, extra) if extra is not None else None
        return ReadResult(
            read_time, page, found, extra, again, repeated, ahead, scan, watched, cost, through, after, self.scanned
        )

    def next_page(self, reading: Reading, after: Position | None, limit: int, bound: str | None) -> pl.DataFrame:
        """The rows behind what was read before."""
        page, beyond = next_page(reading, self.view, self.relation, after, limit, bound)
        self.dated = "ahead" if beyond == "ahead" else self.dated
        return page

    def rescans(
        self, reading: Reading, page: pl.DataFrame, scan: KeyScan | AskIds | None, watched: AskIds | None
    ) -> tuple[pl.DataFrame | None, int]:
        """The rows that rescans find below the page, and how many ms the mechanism's own took."""
        if scan is None and watched is None:
            return None, 0
        known, read = self.known, [page] if page.height else []
        cost, of_page = 0, len(read)
        for each, most in ((scan, None), (watched, MOST_WATCHED)):
            if each is None:
                continue
            began = steady_ms()
            if each is scan and isinstance(scan, KeyScan):
                late, cost = self.scanned_again(reading, scan, read)
            else:
                late = late_scan.find(reading, self.mapping, each, known, most, read, width=self.width)
            self.rescanned += late.looked
            if each is scan:
                cost = cost or steady_ms() - began
                self.scanned = "whole" if late.behind is None else "in part"
            if late.rows is not None:
                read.append(late.rows)
        found = read[of_page:]
        return (pl.concat(found, how="diagonal_relaxed") if found else None), cost

    def scanned_again(self, reading: Reading, scan: KeyScan, read: list[pl.DataFrame]) -> tuple[late_scan.Found, int]:
        """What a scan finds, and what it is charged with. One that fails is not made again soon, whatever else the error ends."""
        began, pace = steady_ms(), self.scans
        try:
            found, self.found_nothing = find_again(
                reading, self.mapping, scan, self.known, self.found_nothing, read, pace.rows, self.width
            )
        except RowsTooWide:  # it is read again at once, as it fits
            raise
        except SourceError as error:
            pace.failed(error, began, len(self.known))
            raise
        return found, pace.ended(began, scan.extent)

    def read_again(self, reading: Reading, page: pl.DataFrame, limit: int, read_time: ReadTime) -> pl.DataFrame | None:
        """Profiles under coarse cursor values that are over since they were read: a second change may hide there."""
        if not self.reads_again:
            return None
        now = now_ms(self.relation, read_time.clock_ms)
        over, rest = self.open.over(self.grain.ms, now)
        again: pl.DataFrame | None = None
        if self.reopened and self.row.head:  # what was open when this view was last left
            again = self.reopened_rows(reading, self.row.head.cursor)
        elif over:
            after = self.again_after or Position(reading.moment(over.low_ms - 1))
            again = reading.page(after, limit, over.through)
            more = again.height >= limit
            self.again_after = position_at(again, again.height - 1) if more else None
            self.open = self.open if more else rest
        for part in (again, page):
            if part is not None and part.height:
                moments = self.moments(part.get_column(self.view.cursor))
                self.open = self.open.read(part.get_column("@cursor"), moments, self.grain.ms, now)
        return again if again is not None and again.height else None

    def reopened_rows(self, reading: Reading, cursor: str) -> pl.DataFrame:
        """The rows of values that were open when the one of `cursor` was, as many as fit; the rest comes with the next reading."""
        if self.reopened_low is None:
            self.reopened_low = self.lowest_open(reading, cursor)
        most = self.width.fitting(ROWS_AT_ONCE, PAGE_BYTES)
        keys = reading.keys(self.reopened_low, cursor, most, self.reopened_after)
        more = keys.height >= most
        self.reopened, self.reopened_after = more, position_at(keys, keys.height - 1) if more else None
        return late_scan.rows_at(reading, keys, self.width)

    def lowest_open(self, reading: Reading, cursor: str) -> str:
        """The lowest value that may have been open when rows of this one were delivered; itself where nobody knows its time."""
        anchors = self.store.anchors(self.view.name)
        at_ms = next((anchor.cursor_ms for anchor in reversed(anchors) if anchor.position.cursor == cursor), None)
        grain = self.grain.narrowed(pl.Series([anchor.cursor_ms for anchor in anchors], dtype=pl.Int64))
        return cursor if at_ms is None or grain.ms == 1 else reading.moment(at_ms - grain.ms - OVER_MS)

    def learn_grain(self, page: pl.DataFrame) -> None:
        """Times count as coarse as all those seen are: the window of late rows must be wider then."""
        if self.relation.dated and self.grain.ms > 1 and page.height:
            self.grain = self.grain.narrowed(self.moments(page.get_column(self.view.cursor)))

    def moments(self, cursors: pl.Series) -> pl.Series:
        """Cursors as epoch ms."""
        return cursor_ms(cursors, self.relation.cursor_is)

    def bound(self, reading: Reading, read_time: ReadTime) -> str | None:
        """How far the order reaches: the database's now and the tolerance. None where the cursor is no time.

        A row dated beyond it must not carry the head along: all that comes after it in time would be behind the head.
        """
        if not self.relation.dated:
            return None
        return reading.moment(now_ms(self.relation, read_time.clock_ms) + self.view.future_tolerance)

    def dated_ahead(
        self, reading: Reading, bound: str, read_time: ReadTime, others: list[pl.DataFrame]
    ) -> pl.DataFrame | None:
        """Rows beyond the bound that have not been sent yet, nor are among the others; looked for now and then, in parts."""
        after = self.ahead_after
        if after is None:
            if self.looked_ahead_ms is not None and read_time.steady_ms - self.looked_ahead_ms < AHEAD_EVERY_MS:
                return None
            self.looked_ahead_ms = read_time.steady_ms
            after = Position(bound)
            if not reading.page(after, 1).height:
                self.ahead, self.dated = DeliveredKeys(), "in order"
                return None
        head = reading.head()
        if head is None:
            self.ahead_after = None
            return None
        # A clock that was set back makes rows of the order stand ahead of it again.
        known = self.known.hold(pl.concat([*self.ahead.held, *(ledger_keys(self.mapping, rows) for rows in others)]))
        found = late_scan.find(
            reading, self.mapping, KeyScan(after, head, "recent", 0), known, page=others, width=self.width
        )
        self.ahead_after = found.behind
        return found.rows

    def repeated(self, page: pl.DataFrame) -> pl.Series | None:
        """Which rows of the page were sent ahead of their time; None when there are none."""
        if not page.height or not len(self.ahead):
            return None
        seen = ~self.ahead.unseen(ledger_keys(self.mapping, page))
        return seen if seen.any() else None

    def started(self, read_time: ReadTime) -> LateRows | None:
        """How late rows are found, from what the state holds, with the keys delivered above the watermark."""
        self.seq = self.store.newest_seq(self.view.name)
        late = late_rows.start_late_rows(self.view, self.choice, self.relation, self.row, read_time, self.seq)
        if late is not None:
            for seq, keys in self.store.ledger_since(self.view.name, late.mechanism.since):
                self.known, self.seq = self.known.append(seq, keys), seq
        return late

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
        dated = self.relation.dated
        if mechanism.safe_upper_bound is not None or not mechanism.wants_target("time" if dated else "id"):
            return mechanism
        head = reading.head(bound)
        if head is None:
            return mechanism
        if not dated:
            return mechanism.with_target(read_time, Mark(Position(head), self.seq))
        # The head's own time counts too.
        top = late_scan.rows_at(reading, reading.keys(head, head, 1), self.width)  # its rows may be many
        if not top.height:
            return mechanism
        latest = latest_ms(top.get_column(self.view.cursor), self.relation, self.grain.ms)
        return mechanism.with_target(read_time, Mark(Position(head), self.seq, latest))

    def after(self, read: ReadResult, head: Position | None) -> LateRows | None:
        """How late rows are found once this acknowledged reading, whose last row is `head`, is committed."""
        if self.late is None:
            return None
        page = self.acknowledged(read, head)
        return self.late.delivered(page, page.ids, read.after, read.watched)

    def acknowledged(self, read: ReadResult, head: Position | None) -> Page:
        """The reading in the mechanism's words."""
        cursors = read.page.get_column(self.view.cursor)
        late = read.late.get_column(self.view.cursor) if read.late is not None else None
        dated = self.relation.dated
        newest = latest_ms(cursors.tail(1), self.relation, self.grain.ms) if head is not None and dated else None
        return Page(
            read.read_time,
            Mark(head, self.seq, newest) if head is not None else None,
            ids=cursors if head is not None and not dated else None,
            found=late,
            # Lateness counts from the end of what a coarse value stands for.
            found_ms=self.moments(late) + self.grain.ms - 1 if late is not None and dated else None,
            scan=read.scan if read.scanned == "whole" else None,  # the rest is found before the watermark moves
            cost_ms=read.cost_ms,
            through=read.through,
        )

    def adopt(
        self, after: LateRows | None, read: ReadResult, seq: int, keys: pl.Series, watermark: Position | None
    ) -> None:
        """Go on from a commit that succeeded: `seq` is its place in the ledger, 0 when it has none."""
        self.seq = max(self.seq, seq)
        self.late_rows += 0 if read.late is None else read.late.height
        self.watermark = watermark or self.watermark
        if after is not None:
            self.late = after
            self.known = self.known.append(self.seq, keys).forget(after.mechanism.since)

    def also(self, seq: int, keys: pl.Series) -> None:
        """Rows were delivered out of turn."""
        self.seq = max(self.seq, seq)
        self.known = self.known.append(self.seq, keys)

    def seen(self, read_time: ReadTime) -> LateStatus:
        """What is seen of late rows, for people and monitoring."""
        known = len(self.known) + len(self.ahead)
        status = LateStatus(self.late_rows, rescanned_keys=self.rescanned, window_keys=known)
        return late_rows.seen(self.late, read_time, status)

    def warning(self, read_time: ReadTime, reading: Reading) -> str:
        """What is about to go wrong with late rows; empty when nothing is."""
        return self.scans.trouble or late_rows.warning(self.late, read_time, self.view, reading.pinned_by)

    def look_below(self, reading: Reading) -> None:
        """Look at the source's lowest id, beside the anchors: where it went down, ids have begun again."""
        if self.late is None or self.late.watch is None or self.head is None:
            return
        first = reading.keys(None, self.head.cursor, 1)
        if first.height and whole_numbers(first.get_column("@cursor")):
            lowest = number(first.get_column("@cursor")[0])
            self.late = replace(self.late, watch=self.late.watch.floored(lowest, steady_ms()))
