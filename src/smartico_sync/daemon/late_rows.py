"""The rows of one view that commit late: the mechanism that finds them, and what was delivered above the watermark."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from smartico_sync.core.fence import Fence
from smartico_sync.core.gaps import Gaps
from smartico_sync.core.identity import ledger_keys
from smartico_sync.core.late import Mark, Moment, Page
from smartico_sync.core.lookback import Lookback
from smartico_sync.core.position import Position
from smartico_sync.core.window import Known
from smartico_sync.daemon import stragglers
from smartico_sync.daemon.clocks import cursor_ms, latest_ms, steady_ms

if TYPE_CHECKING:
    import polars as pl

    from smartico_sync.config.models import View
    from smartico_sync.core.late import AskIds, Choice, KeyScan, Mechanism, Pace
    from smartico_sync.sources.protocol import Reading
    from smartico_sync.state.protocol import ViewRow
    from smartico_sync.state.store import Store

__all__ = ["LateRows", "Read"]


@dataclass(frozen=True, slots=True)
class Read:
    """What one reading brought: the page in order, and the stragglers that a rescan found below it."""

    moment: Moment
    page: pl.DataFrame
    late: pl.DataFrame | None
    scan: KeyScan | AskIds | None
    cost_ms: int
    through: str | None

    @property
    def speaks(self) -> bool:
        """Whether there is anything to commit."""
        return self.page.height > 0 or self.late is not None or self.scan is not None


class LateRows:
    """Used by the tracker's own thread only; begins with the first reading after `begin`."""

    def __init__(self, view: View, choice: Choice, store: Store, row: ViewRow) -> None:
        self.view, self.choice, self.store, self.row = view, choice, store, row
        self.mechanism: Mechanism | None = None
        self.known = Known()
        self.seq = 0
        self.watermark: Position | None = row.watermark

    def read(self, reading: Reading, after: Position | None, limit: int, pace: Pace) -> Read:
        """The next page, and what a rescan finds below it, from one snapshot."""
        moment = Moment(reading.clock_ms, steady_ms(), reading.snapshot)
        mechanism = self.mechanism or self.started(moment)
        if mechanism is None:
            return Read(moment, reading.page(after, limit), None, None, 0, None)
        mechanism, scan = mechanism.rescan(moment, pace)
        through = mechanism.ceiling
        page = reading.page(after, limit, through)
        self.mechanism = self.aimed(mechanism, moment, reading, page, limit)
        late, began = None, steady_ms()
        if scan is not None:
            known = self.known.hold(ledger_keys(page)) if page.height else self.known
            late = stragglers.find(reading, scan, known)
        return Read(moment, page, late, scan, steady_ms() - began, through)

    def started(self, moment: Moment) -> Mechanism | None:
        """The mechanism, from what the state holds, with the keys delivered above the watermark."""
        self.seq = self.store.newest_seq(self.view.name)
        common: tuple[Any, ...] = (moment, self.row.watermark, self.row.head, self.row.late, self.seq)
        mechanism: Mechanism
        match self.choice.mechanism:
            case "fence":
                mechanism = Fence.start(*common)
            case "gaps":
                mechanism = Gaps.start(*common, wait_ms=self.view.gaps_wait)
            case "lookback":
                mechanism = Lookback.start(*common, lookback_ms=self.view.lookback)
            case None:
                return None
        for seq, keys in self.store.ledger_since(self.view.name, mechanism.since):
            self.known, self.seq = self.known.append(seq, keys), seq
        return mechanism

    def aimed(
        self, mechanism: Mechanism, moment: Moment, reading: Reading, page: pl.DataFrame, limit: int
    ) -> Mechanism:
        """While behind, aim at the source's head, so that a first load need not remember every row."""
        if page.height < limit:
            return mechanism.aimed(moment, None)
        head = reading.head() if mechanism.ceiling is None else None
        if head is None:
            return mechanism
        if not page.get_column(self.view.cursor).dtype.is_temporal():
            return mechanism.aimed(moment, Mark(Position(head), self.seq))
        # The head's own time counts too: one dated far ahead must not become the ceiling.
        top = reading.by_cursor([head])
        if not top.height:
            return mechanism
        return mechanism.aimed(moment, Mark(Position(head), self.seq, latest_ms(top.get_column(self.view.cursor))))

    def after(self, read: Read, head: Position | None) -> Mechanism | None:
        """The mechanism as it is to be committed together with this acknowledged reading, whose last row is `head`."""
        return self.mechanism and self.mechanism.delivered(self.acknowledged(read, head))

    def acknowledged(self, read: Read, head: Position | None) -> Page:
        """The reading in the mechanism's words."""
        cursors = read.page.get_column(self.view.cursor)
        late = read.late.get_column(self.view.cursor) if read.late is not None else None
        temporal = cursors.dtype.is_temporal()
        newest = latest_ms(cursors.tail(1)) if head is not None and temporal else None
        return Page(
            read.moment,
            Mark(head, self.seq, newest) if head is not None else None,
            ids=cursors if head is not None and not temporal else None,
            found=late,
            found_ms=cursor_ms(late) if late is not None and temporal else None,
            scan=read.scan,
            cost_ms=read.cost_ms,
            through=read.through,
        )

    def adopt(self, after: Mechanism | None, seq: int, keys: pl.Series, watermark: Position | None) -> None:
        """Go on from a commit that succeeded: `seq` is its place in the ledger, 0 when it has none."""
        self.seq = max(self.seq, seq)
        self.watermark = watermark or self.watermark
        if after is not None:
            self.mechanism = after
            self.known = self.known.append(self.seq, keys).forget(after.since)
