"""Whether the source is still the one whose rows were delivered."""

from __future__ import annotations

import math
from functools import partial
from itertools import takewhile
from typing import TYPE_CHECKING, Literal

import structlog
from msgspec import Struct, field

from smartico_sync.core.late_commit.delivered_keys import DeliveredKeys
from smartico_sync.core.late_commit.mechanism import ReadTime
from smartico_sync.core.ledger_keys import ledger_keys
from smartico_sync.core.pipeline import position_at
from smartico_sync.core.reason_codes import MUTATED
from smartico_sync.core.replication import UNKNOWN
from smartico_sync.core.restore_detection import Facts, judge, reconcile, still_gone
from smartico_sync.errors import RowsUnusable, SourceError, ViewMisconfigured, ViewRegressed
from smartico_sync.observe.finding import NEXT
from smartico_sync.sources.protocol import Landmarks, Scan
from smartico_sync.tracking.anchor_lookup import highest, look_up
from smartico_sync.tracking.clocks import steady_ms
from smartico_sync.tracking.memory_budget import PAGE_BYTES
from smartico_sync.tracking.mutation_scan import MutationScan
from smartico_sync.tracking.null_counts import NullCounts
from smartico_sync.tracking.quiet import Again
from smartico_sync.tracking.redelivery import requested
from smartico_sync.tracking.replica_time import PAUSES, ReplicaTime
from smartico_sync.tracking.row_width import ROWS_AT_ONCE, RowWidth
from smartico_sync.tracking.scan_pace import ScanPace

if TYPE_CHECKING:
    from collections.abc import Sequence

    import polars as pl

    from smartico_sync.config.models import View
    from smartico_sync.core.definition import Change
    from smartico_sync.core.position import Position
    from smartico_sync.core.records import Anchor
    from smartico_sync.core.replication import Replication
    from smartico_sync.core.restore_detection import Standing
    from smartico_sync.sources.protocol import Digest, Reading, Source
    from smartico_sync.state.store import Store
    from smartico_sync.tracking.page_reader import PageReader
    from smartico_sync.tracking.prepared_view import PreparedView
    from smartico_sync.tracking.quiet import Quiet

__all__ = ["CheckMemory", "CheckResult", "SourceChecks"]

EVERY_MS = 60_000  # a restore is not noticed sooner by polls of an idle source, nor need it be
SOON_MS = 5_000  # after something suspicious
REPLICATION_MS = 15_000  # a replica that stops is told within half a minute
RARELY_MS = 3_600_000  # where it does not tell
STEADY_MS = 600_000  # what a look tells besides, of a writer that stays open, is about hours
ENOUGH_TO_SUM_UP = 100  # rows of a page: fewer are read again for less than it costs to ask for their digest
FRESH_MS = 1_000  # what was found when the view was opened need not be asked again by the poll that follows at once
BACK_MS = 10_000  # clocks of one server are set back by less; further back it is another one

log = structlog.get_logger()


class CheckMemory(Struct):
    """What a view's checks remember for as long as the process lives. Used by the view's own loop only.

    `next_ms`, `next_replication_ms`: when the source is looked at, and asked how it follows its primary, again (steady clock).
    `next_digest_ms`: when it may be asked for the digest of a page.
    `nulls`: rows without a place in the order.
    `sent_without`: keys of rows without a cursor that were delivered. `changed`: what the view reads now that it did not
    read before. `columns`: what changed in those that are sent, and `hint` what to do about it. `servers`: those whose rows were found to be the ones delivered, each with the clock at which it was last
    read. `gone`: rows delivered last whose absence stopped the view. `scans`: how late rows are looked for. `replica`: the time
    that looking takes, which the views of a source share. `width`: of the view's rows, the same for all who read them.
    """

    next_ms: int = 0
    next_replication_ms: int = 0
    next_digest_ms: int = 0
    nulls: NullCounts = field(default_factory=NullCounts)
    sent_without: DeliveredKeys = field(default_factory=DeliveredKeys)
    changed: str = ""
    columns: str = ""
    hint: str = ""
    servers: dict[str, int] = field(default_factory=dict)
    gone: frozenset[Anchor] = frozenset()
    scans: ScanPace = field(default_factory=ScanPace)
    replica: ReplicaTime = field(default_factory=ReplicaTime)
    width: RowWidth = field(default_factory=RowWidth)


class Steady(Struct, frozen=True):
    """What a look saw that left no doubt: landmarks with their digest, at that time (steady), of a view that had come so far."""

    landmarks: Landmarks
    digest: Digest
    at_ms: int
    place: tuple[object, ...]


class CheckResult(Struct, frozen=True):
    """What one look brought: rows `without_cursor` that are to be sent; `mutated` delivered ones have changed; of `warnings` some are `advice`."""

    read_time: ReadTime
    null_cursors: int = 0
    mutated: int = 0
    warnings: tuple[str, ...] = ()
    advice: tuple[str, ...] = ()
    without_cursor: pl.DataFrame | None = None


class SourceChecks:
    """Looks at one view beside its polls. Used by the view's own loop only."""

    def __init__(self, view: View, store: Store, prepared: PreparedView, memory: CheckMemory) -> None:
        self.view, self.store, self.prepared, self.memory = view, store, prepared, memory
        watched = prepared.mapping.kind.role != "profile" and prepared.relation.key and view.on_mutated != "ignore"
        charged = partial(memory.replica.charged, "delivered rows", view.name)
        self.mutations = MutationScan(prepared.mapping, view.lookback, charged) if watched else None
        self.without: Literal["none", "in flight"] = "none"
        if view.on_null_cursor == "send":
            memory.sent_without = memory.sent_without.hold(store.sent_without(view.name))
        self.doubts = ""
        self.described: Literal["just now", "before"] = "just now"
        self.steady: Steady | None = None
        self.compared_at: tuple[str, int] | None = None  # the server, and when (steady)

    @property
    def due(self) -> bool:
        """Whether there is something to look at now."""
        return self.minute_is_over or (self.mutations is not None and self.mutations.due)

    def again(self, reader: PageReader) -> tuple[float, list[Again]]:
        """When (steady) there is something to look at in a reading, and until then what digests can stand for."""
        until, again = self.mutations.again() if self.mutations is not None else (math.inf, [])
        if self.steady is None or self.steady.place != place(reader):
            return min(until, self.memory.next_ms), again
        cost = 1 + (self.memory.nulls.cost_ms if self.nulls_are == "asked" else 0)
        look = Again(self.steady.landmarks, self.steady.digest, self.memory.next_ms, EVERY_MS, cost)
        return min(until, self.steady_until), [*again, look]

    @property
    def nulls_are(self) -> Literal["not asked", "asked"]:
        """Whether rows without a cursor can be looked for with landmarks."""
        return "asked" if self.memory.nulls.scan == "by index" and self.memory.nulls.cheap else "not asked"

    @property
    def steady_until(self) -> float:
        """When (steady) landmarks are to be looked at in a reading again, as they are."""
        nulls = self.memory.nulls
        counts = nulls.next_keys_ms if self.nulls_are == "asked" else min(nulls.next_keys_ms, nulls.next_cursors_ms)
        return 0 if self.steady is None else min(self.steady.at_ms + STEADY_MS, counts)

    @property
    def replication_ms(self) -> int:
        """When (steady) the source is asked how it stands in its replication."""
        return self.memory.next_replication_ms

    def take_over(self, quiet: Quiet) -> None:
        """What was looked at for the view while it was quiet is not due again before its time."""
        if quiet.replication_ms < math.inf:
            self.memory.next_replication_ms = int(quiet.replication_ms)
        for each in quiet.again:
            if isinstance(each.what, Landmarks) and steady_ms() < self.steady_until:
                self.memory.next_ms = each.due_ms
        slices = [each.due_ms for each in quiet.again if isinstance(each.what, Scan) and each.what.of == "rows"]
        if self.mutations is not None and slices:
            self.mutations.next_ms = min(slices)

    @property
    def minute_is_over(self) -> bool:
        """Whether the source itself is to be looked at."""
        return steady_ms() >= self.memory.next_ms

    @property
    def columns_are_due(self) -> bool:
        """Whether the view's columns are to be asked for again, which were asked for when the session was opened."""
        return self.described == "before" and self.minute_is_over

    def replication(self, source: Source) -> Replication | None:
        """How the server stands in its replication, in a reading of its own; None when it is not time to ask.

        One that cannot answer is asked rarely, and the poll goes on: if there is trouble, it meets it.
        """
        if steady_ms() < self.memory.next_replication_ms:
            return None
        self.memory.next_replication_ms = steady_ms() + REPLICATION_MS
        try:
            found = source.recent_replication(self.prepared.relation)
        except SourceError:
            self.memory.next_replication_ms = steady_ms() + EVERY_MS
            return UNKNOWN
        self.memory.next_replication_ms = steady_ms() + next_ms(found)
        return found

    def delivering(self, reading: Reading, after: Position | None, page: pl.DataFrame) -> None:
        """A page of a level view goes on its way, from the reading that returned it; what it holds is remembered for a while."""
        if self.mutations is not None:
            last = position_at(page, page.height - 1)
            digest = self.digest(reading, after, last) if page.height >= ENOUGH_TO_SUM_UP else None
            self.mutations.remember(after, last, page, digest)

    def digest(self, reading: Reading, after: Position | None, last: Position) -> Digest | None:
        """What the source says of a page that it just returned, so that it need not be read again to be found unchanged.

        None where it would take too much of the time; where it failed, and the page with it, it is not asked soon again.
        """
        began = steady_ms()
        if began < self.memory.next_digest_ms:
            return None
        self.memory.next_digest_ms = began + RARELY_MS
        digest = reading.digest("rows", after, last.cursor)
        took = self.memory.replica.charged("digests", self.view.name, steady_ms() - began)
        self.memory.next_digest_ms = steady_ms() + took * PAUSES["digests"]
        return digest

    def compare_anchors(self, reading: Reading, head: Position | None, watermark: Position | None) -> Landmarks | None:
        """Compare the rows delivered last with the source. ViewRegressed when it went back in time, by the view's policy.

        What was looked at; None where nothing was.
        """
        anchors = self.store.anchors(self.view.name)
        self.doubts, self.compared_at = "", (reading.server, steady_ms())
        if not anchors or head is None:
            return None
        found = look_up(reading, self.prepared, anchors, self.memory.width)
        gone = found.gone
        newest = len(list(takewhile(lambda anchor: anchor in gone, reversed(anchors))))
        facts = Facts(len(anchors), len(anchors) - len(gone), highest(reading, head, watermark), newest)
        judged = judge(self.view.name, facts)
        if self.view.on_regressed == "stop":
            judged = self.held(judged, gone)
            if judged.state == "regressed":
                raise ViewRegressed(f"view {self.view.name}: {judged.reason}", hint=judged.hint)
        if judged.state != "steady":
            self.doubts = f"{judged.reason}{NEXT}{judged.hint}"
        return Landmarks(tuple(anchor.position for anchor in anchors), found.keys, head.cursor)

    def held(self, judged: Standing, gone: Sequence[Anchor]) -> Standing:
        """A view that stopped goes on when the rows are back, and not because others came since: their ids may be taken again."""
        still = self.memory.gone.intersection(gone)
        if judged.state == "regressed":
            self.memory.gone = frozenset(gone)
        elif len(still) > 1:
            return still_gone(self.view.name, len(still))
        else:
            self.memory.gone = frozenset()
        return judged

    def recognise(self, reading: Reading, reader: PageReader) -> None:
        """Make sure, before anything is read from it, that a server that was not asked before is the same source.

        Behind one address or a pooler there may be several, one of them further back. Raises ViewRegressed.
        """
        server, clock_ms = reading.server, reading.clock_ms
        known, before = self.memory.servers, self.memory.servers.get(server)
        back = before is not None and not server and clock_ms < before - BACK_MS
        if (known and before is None) or back:
            self.compare_anchors(reading, reader.head, reader.watermark)
            behind_ms = max(known.values()) - clock_ms
            holds = "lacks some of" if self.doubts else "holds"
            log.warning(
                "view.server_changed",
                view=self.view.name,
                reason=f"another server answers, and it {holds} the rows that were delivered last"
                + (f"; it is {behind_ms / 1000:.0f} s further back" if behind_ms > BACK_MS else ""),
                hint="",
            )
        known[server] = clock_ms

    def verify(self, reading: Reading, changes: Sequence[Change]) -> str:
        """Say what a view reads now that it did not read before, and how it proved to hold the rows that were delivered last.

        Raises ViewMisconfigured when none of them is there.
        """
        anchors = self.store.anchors(self.view.name)
        found = len(anchors) - len(look_up(reading, self.prepared, anchors, self.memory.width).gone) if anchors else 0
        what = ", ".join(f"{change.option} is {change.now} and was {change.before}" for change in changes)
        if anchors and not found:
            raise ViewMisconfigured(
                f"view {self.view.name}: {what}, and none of the {len(anchors)} rows delivered last is there: {changes[0].consequence}",
                hint=f"set {changes[0].option} again as it was; or {changes[0].way_out.format(view=self.view.name)}",
            )
        proof = (
            f"{found} of the {len(anchors)} rows delivered last are there"
            if anchors
            else "no delivered row could prove it"
        )
        self.memory.changed = f"{what}; {proof}, so the view goes on; to compare all: {reconcile(self.view.name)}"
        return self.memory.changed

    def look(self, reading: Reading, reader: PageReader) -> CheckResult:
        """Look at what is due. Raises ViewRegressed, and by the policy for NULL cursors ViewMisconfigured."""
        read_time = ReadTime(reading.clock_ms, steady_ms(), reading.snapshot, reading.server)
        opened, just_compared = self.described == "just now", self.compared_at
        self.described = "before"
        rows, seen, over = None, None, read_time.steady_ms >= self.memory.next_ms
        if over:
            server, at_ms = just_compared or ("", -math.inf)
            if not opened or server != reading.server or read_time.steady_ms - at_ms > FRESH_MS:
                seen = self.compare_anchors(reading, reader.head, reader.watermark)
            reader.look_below(reading)
            self.memory.next_ms = read_time.steady_ms + (SOON_MS if self.doubts else EVERY_MS)
            if self.memory.nulls.cursors and self.view.on_null_cursor == "send" and self.without == "none":
                rows = self.without_cursor(reading)
                self.without = "none" if rows is None else "in flight"
        mutated = self.mutated(reading)
        columns = f"{self.memory.columns}{NEXT}{self.memory.hint}" if self.memory.columns else ""
        late, nulls = reader.warning(read_time, reading), self.memory.nulls.warning(self.view)
        if over:
            in_doubt = self.doubts or self.memory.gone or late or nulls or self.memory.nulls.rows
            digest = reading.landmarks(seen) if seen is not None and not in_doubt else None
            self.steady = Steady(seen, digest, read_time.steady_ms, place(reader)) if seen and digest else None
        warnings = tuple(filter(None, (columns, self.doubts, late, nulls)))
        better = (f"{advice.what}{NEXT}{advice.hint}" for advice in self.prepared.advice)
        advice = tuple(filter(None, (self.memory.changed, *better)))
        return CheckResult(read_time, self.memory.nulls.rows, mutated, (*warnings, *advice), advice, rows)

    def count_nulls(self, source: Source) -> None:
        """Count the rows that have no place in the order, where that is due. By the view's policy RowsUnusable."""
        if not self.minute_is_over:
            return
        nulls = self.memory.nulls
        nulls.count(source, self.prepared.relation, self.view, self.memory.replica)
        if nulls.rows and self.view.on_null_cursor == "stop":
            nulls.next_cursors_ms = nulls.next_keys_ms = 0  # the next try may find them filled
            raise RowsUnusable(
                f"view {self.view.name}: {nulls.rows} rows have a NULL {self.view.cursor} or key",
                hint="fill the cursor, or set `on_null_cursor: report`",
            )

    def without_cursor(self, reading: Reading) -> pl.DataFrame | None:
        """Rows without a cursor that were not sent yet, some at a time."""
        if not self.prepared.relation.key:
            raise ViewMisconfigured(
                f"view {self.view.name}: rows with a NULL {self.view.cursor} cannot be told apart without a key",
                hint="name the columns that make a row unique with `key:`, or set `on_null_cursor: report`",
            )
        after: tuple[str, ...] = ()
        while True:
            rows = reading.without_cursor(self.memory.width.fitting(ROWS_AT_ONCE, PAGE_BYTES), after)
            if not rows.height:
                return None
            keys = ledger_keys(self.prepared.mapping, rows)
            new = self.memory.sent_without.unseen(keys)
            if new.any():
                return rows.filter(new)
            after = position_at(rows, rows.height - 1).key

    def sent(self, rows: pl.DataFrame) -> None:
        """Rows without a cursor were delivered; there may be more."""
        self.without = "none"
        self.memory.sent_without = self.memory.sent_without.hold(ledger_keys(self.prepared.mapping, rows))
        self.memory.next_ms = 0

    def mutated(self, reading: Reading) -> int:
        """How many delivered rows of the next slice have changed; by the view's policy they are sent again, as new events."""
        rows = (
            self.mutations.changed(reading, self.memory.width)
            if self.mutations is not None and self.mutations.due
            else None
        )
        if rows is None:
            return 0
        if self.view.on_mutated == "resend":
            positions = [position_at(rows, row) for row in range(rows.height)]
            reason = "it changed after it was sent"
            self.store.enqueue(self.view.name, requested(self.view.name, positions, MUTATED, reason))
        return rows.height


def next_ms(found: Replication) -> int:
    """After how long a server is asked again how it stands in its replication."""
    return RARELY_MS if found.state == "unknown" else REPLICATION_MS


def place(reader: PageReader) -> tuple[object, ...]:
    """How far a view has come: rows were delivered in between where it differs."""
    return reader.head, reader.watermark, reader.seq
