"""One view, tracked: read → map → diff → protect → deliver → commit."""

from __future__ import annotations

import math
import time
from collections import deque
from concurrent.futures import TimeoutError as NotYet
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import polars as pl
import structlog

from smartico_sync.core.fence import Fence
from smartico_sync.core.gaps import Gaps
from smartico_sync.core.identity import ledger_keys
from smartico_sync.core.late import KeyScan, Mark, Moment, Page
from smartico_sync.core.lookback import Lookback
from smartico_sync.core.position import Position
from smartico_sync.core.window import Known
from smartico_sync.daemon import stragglers
from smartico_sync.daemon.setup import Setup, definition, prepare
from smartico_sync.daemon.vitals import Board, State, Vitals
from smartico_sync.daemon.work import Work, commit_of, cursor_ms, position_at, work_of
from smartico_sync.errors import (
    ConfigError,
    DeliveryHalted,
    DeliveryStopped,
    SourceCancelled,
    SyncError,
    ViewHalted,
    ViewRegressed,
)
from smartico_sync.state.protocol import Commit

if TYPE_CHECKING:
    import threading
    from concurrent.futures import Future

    from smartico_sync.config.models import Configuration, View
    from smartico_sync.core.late import AskIds, Mechanism, Pace
    from smartico_sync.daemon.protection import Protection
    from smartico_sync.delivery.ingest import Ingest
    from smartico_sync.delivery.protocol import Receipt
    from smartico_sync.sources.protocol import Reading, Source
    from smartico_sync.state.store import Store

__all__ = ["Tracker"]

PAGES_IN_FLIGHT = 3  # reading, working and sending overlap; more only costs memory
SMALLEST_PAGE = 100  # rows: what is left of a page after cancelled reads
PAUSES_S = (1.0, 2.0, 4.0, 8.0, 16.0, 32.0, 60.0)  # after trouble; a database that is down is not hammered
DAY_MS = 86_400_000
GLANCE_S = 0.2  # how often a wait for the API looks whether the daemon is ending

log = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class Read:
    """What one reading brought: the page in order, and the stragglers a rescan found below it."""

    moment: Moment
    page: pl.DataFrame
    late: pl.DataFrame | None
    scan: KeyScan | AskIds | None
    cost_ms: int
    through: str | None


@dataclass(frozen=True, slots=True)
class Sent:
    """A page that is on its way to the API."""

    read: Read
    work: Work
    future: Future[Receipt]


class Tracker:
    """Polls one view. `poll` is called by one thread at a time and never raises for what an operator can mend."""

    def __init__(
        self,
        configuration: Configuration,
        view: View,
        source: Source,
        store: Store,
        delivery: Ingest,
        protection: Protection,
        board: Board,
    ) -> None:
        self.configuration, self.view, self.source = configuration, view, source
        self.store, self.delivery, self.protection, self.board = store, delivery, protection, board
        self.name, self.every_ms = view.name, view.every
        self.role = "profile" if view.kind == "users" else "transaction"
        self.setup: Setup | None = None
        self.head: Position | None = None
        self.mechanism: Mechanism | None = None
        self.known = Known()
        self.seq = 0
        self.overlay: deque[pl.DataFrame] = deque()
        self.limit = view.page_rows
        self.error: SyncError | None = None
        self.caught_up = False
        self.tried = False
        self.dead_lettered = 0
        self.failures = 0
        self.resume_at = 0.0
        self.patience_s = math.inf  # how long a page waits for an API that is away before the poll gives up
        self.vitals = Vitals(view.name, view.kind, view.source, view.cursor, view.every)
        board.publish(self.vitals)

    @property
    def settled(self) -> bool:
        """Whether transactions need not wait for this view any longer."""
        return self.caught_up or (self.tried and self.error is not None)

    @property
    def halted(self) -> bool:
        """Whether only a change by the operator helps."""
        return isinstance(self.error, ViewHalted | ConfigError)

    @property
    def pause_s(self) -> float:
        """Seconds until a poll does something again."""
        return max(0.0, self.resume_at - time.monotonic())

    def poll(self, stopping: threading.Event) -> None:
        """Read, deliver and commit until the view is level, the daemon ends or something fails."""
        if self.pause_s:
            return
        try:
            if self.setup is None:
                self.begin()
            self.catch_up(stopping)
        except DeliveryStopped:
            self.setup = None
        except SyncError as error:
            self.trouble(error)
        else:
            self.failures, self.error = 0, None
            self.publish("live" if self.caught_up else "behind")
        finally:
            self.tried = True

    def begin(self) -> None:
        """Describe the view and take up where the state says."""
        setup = prepare(self.configuration, self.view, self.source)
        self.limit = self.limit or self.view.page_rows
        row = self.store.view(self.name)
        if row is None:
            row = self.store.begin(self.name, definition(setup), self.view.start_from, now_ms())
            start = self.first_position(setup)
            if start is not None:
                self.store.commit(Commit(self.name, now_ms(), head=start, watermark=start))
                row = replace(row, head=start, watermark=start)
        elif row.definition != definition(setup):
            raise ViewHalted(
                f"view {self.name} was tracked as {row.definition} and is now {definition(setup)}: its watermark means nothing",
                hint="give the view a new name, or set the old cursor and key again",
            )
        self.head = row.head
        self.vitals = replace(
            self.vitals,
            head=row.head.cursor if row.head else "",
            watermark=row.watermark.cursor if row.watermark else "",
            counts=dict(row.counts),
            late_commit=f"{setup.choice.mechanism or 'none'}: {setup.choice.why}",
            warnings=(setup.choice.problem,) if setup.choice.problem else (),
        )
        self.mechanism = None
        self.overlay.clear()
        self.known, self.seq = Known(), 0
        self.stored = row
        self.setup = setup

    def first_position(self, setup: Setup) -> Position | None:
        """Where the first start begins."""
        if self.view.start_from == "first":
            return None
        if self.view.start_from != "now":
            return Position(self.view.start_from)
        with self.source.reading(setup.relation) as reading:
            head = reading.head()
        return Position(head) if head is not None else None

    def catch_up(self, stopping: threading.Event) -> None:
        """Page after page, a few of them on their way at once; committed in order."""
        flying: deque[Sent] = deque()
        pace: Pace = "level"
        try:
            while True:
                read = self.read("busy" if any(sent.read.scan is not None for sent in flying) else pace)
                full = read.page.height >= self.limit
                self.caught_up = not full and read.through is None
                pace = "behind" if full else "level"
                if read.page.height or read.late is not None or read.scan is not None:
                    flying.append(self.deliver(read))
                while flying and (len(flying) >= PAGES_IN_FLIGHT or not full):
                    self.commit(flying.popleft(), stopping)
                if stopping.is_set() or self.caught_up:
                    break
            while flying:
                self.commit(flying.popleft(), stopping)
        except BaseException:
            # Whatever was not committed is read again, and makes the same event ids.
            self.setup, self.caught_up = None, False
            raise

    def read(self, pace: Pace) -> Read:
        """One short transaction: the next page, and what a rescan finds below it."""
        assert self.setup is not None
        relation = self.setup.relation
        with self.source.reading(relation) as reading:
            moment = Moment(reading.clock_ms, steady_ms(), reading.snapshot)
            mechanism = self.mechanism or self.started(moment)
            scan = None
            if mechanism is not None:
                mechanism, scan = mechanism.rescan(moment, pace)
                self.mechanism = mechanism
            through = mechanism.ceiling if mechanism else None
            page = reading.page(self.head, self.limit, through)
            if mechanism is not None:
                self.mechanism = self.aimed(mechanism, moment, reading, page, through)
            late, cost = None, 0
            if scan is not None:
                began = steady_ms()
                known = self.known.hold(ledger_keys(page)) if page.height else self.known
                late = stragglers.find(reading, scan, known)
                cost = steady_ms() - began
        return Read(moment, page, late, scan, cost, through)

    def started(self, moment: Moment) -> Mechanism | None:
        """The late-commit mechanism, from what the state holds, with the keys delivered above the watermark."""
        assert self.setup is not None
        row = self.stored
        self.seq = self.store.newest_seq(self.name)
        common: tuple[Any, ...] = (moment, row.watermark, row.head, row.late, self.seq)
        mechanism: Mechanism | None = None
        match self.setup.choice.mechanism:
            case "fence":
                mechanism = Fence.start(*common)
            case "gaps":
                mechanism = Gaps.start(*common)
            case "lookback":
                mechanism = Lookback.start(*common, lookback_ms=self.view.lookback)
        if mechanism is not None:
            for seq, keys in self.store.ledger_since(self.name, mechanism.since):
                self.known, self.seq = self.known.append(seq, keys), seq
        return mechanism

    def aimed(
        self, mechanism: Mechanism, moment: Moment, reading: Reading, page: pl.DataFrame, through: str | None
    ) -> Mechanism:
        """While behind, aim at the source's head, so that a first load need not remember every row."""
        if page.height < self.limit:
            return mechanism.aimed(moment, None)
        head = reading.head() if through is None else None
        if head is None:
            return mechanism
        cursor = page.get_column(self.view.cursor)
        if not cursor.dtype.is_temporal():
            return mechanism.aimed(moment, Mark(Position(head), self.seq))
        # The head's own time counts too: one dated far ahead must not become the ceiling.
        top = reading.by_cursor([head])
        if not top.height:
            return mechanism
        return mechanism.aimed(moment, Mark(Position(head), self.seq, latest_ms(top.get_column(self.view.cursor))))

    def deliver(self, read: Read) -> Sent:
        """Map, diff, protect and queue the rows; the head moves on in memory only."""
        assert self.setup is not None
        rows = read.page if read.late is None else pl.concat([read.late, read.page], how="diagonal_relaxed")
        work = work_of(rows, self.setup.mapping, self.store.secret, self.view.payload, self.fingerprints)
        if work.profiles is not None:
            self.overlay.append(work.profiles.select("id", "whole", "parts"))
        if read.page.height:
            self.head = position_at(work.places, work.rows - 1)
        return Sent(read, work, self.delivery.send(self.name, self.protection.apply(work.send)))

    def fingerprints(self, ids: pl.Series) -> pl.DataFrame:
        """What was delivered of these players, pages that are still on their way included."""
        frames = [self.store.profiles(self.name, ids), *(frame for frame in self.overlay)]
        return pl.concat(frames, how="vertical_relaxed").unique("id", keep="last") if self.overlay else frames[0]

    def commit(self, sent: Sent, stopping: threading.Event) -> None:
        """Wait for the receipt, then write all that the page changes in one transaction."""
        receipt = self.receipt(sent.future, stopping)
        work, read = sent.work, sent.read
        commit = commit_of(self.name, work, receipt, self.store.secret, now_ms())
        self.guard(work, commit)
        head = position_at(work.places, work.rows - 1) if read.page.height else None
        after = self.mechanism and self.mechanism.delivered(self.page_of(sent, head))
        watermark = after.watermark.position if after and after.watermark else (None if after else head)
        commit = replace(commit, head=head, watermark=watermark, late=after.dump() if after else None)
        if work.rows or commit.watermark != self.stored.watermark:
            self.seq = max(self.seq, self.store.commit(commit))
            self.stored = replace(self.stored, watermark=commit.watermark or self.stored.watermark)
        if after is not None:
            self.mechanism = after
            self.known = self.known.append(self.seq, work.ledger.get_column("key")).forget(after.since)
        if work.profiles is not None:
            self.overlay.popleft()
        self.count(commit)

    def page_of(self, sent: Sent, head: Position | None) -> Page:
        """The acknowledged page in the words of the late-commit mechanism."""
        read, relation = sent.read, sent.read.page.get_column(self.view.cursor)
        late = read.late.get_column(self.view.cursor) if read.late is not None else None
        temporal = relation.dtype.is_temporal()
        newest = latest_ms(relation.tail(1)) if head is not None and temporal else None
        return Page(
            read.moment,
            Mark(head, self.seq, newest) if head is not None else None,
            ids=relation if head is not None and not temporal else None,
            found=late,
            found_ms=cursor_ms(late) if late is not None and temporal else None,
            scan=read.scan,
            cost_ms=read.cost_ms,
            through=read.through,
        )

    def receipt(self, future: Future[Receipt], stopping: threading.Event) -> Receipt:
        """The receipt, however long it takes; DeliveryStopped when the daemon ends before."""
        since: float | None = None
        while True:
            try:
                return future.result(GLANCE_S)
            except NotYet:
                if stopping.is_set():
                    raise DeliveryStopped("the daemon is ending") from None
                problem = self.delivery.problem()
                if problem is None:
                    since = None
                else:
                    since = since or time.monotonic()
                    if time.monotonic() - since > self.patience_s:
                        raise problem from None
                    self.error = problem
                    self.publish("degraded")

    def guard(self, work: Work, commit: Commit) -> None:
        """Stop a view that is misconfigured rather than poisoned: most of its rows are refused."""
        ceiling = self.view.max_refused
        dead = len(commit.dead_letters)
        if dead >= ceiling.count and dead >= ceiling.share * work.rows:
            reasons = [letter.reason for letter in commit.dead_letters]
            raise ViewHalted(
                f"view {self.name}: {dead} of {work.rows} rows are refused, most often: {max(set(reasons), key=reasons.count)}",
                hint=f"mend the view or its columns:, try with: sync preview {self.name}; or raise max_refused",
            )

    def count(self, commit: Commit) -> None:
        """Add a commit to the vitals."""
        counts = dict(self.vitals.counts)
        for name, count in commit.counts.items():
            counts[name] = counts.get(name, 0) + count
        self.dead_lettered += commit.counts.get("dead_lettered", 0)
        self.vitals = replace(
            self.vitals,
            counts=counts,
            head=commit.head.cursor if commit.head else self.vitals.head,
            watermark=commit.watermark.cursor if commit.watermark else self.vitals.watermark,
        )
        if not self.caught_up:
            self.publish("behind")

    def trouble(self, error: SyncError) -> None:
        """Remember what happened, and pause longer each time."""
        pause = PAUSES_S[min(self.failures, len(PAUSES_S) - 1)]
        self.failures += 1
        self.resume_at = time.monotonic() + pause
        self.setup, self.caught_up = None, False
        if isinstance(error, SourceCancelled):
            self.limit = max(SMALLEST_PAGE, self.limit // 2)
        told = self.error is None or self.error.message != error.message
        self.error = error
        if told:
            log.error("view.trouble", view=self.name, reason=error.message, hint=error.hint, pause_s=pause)
        state: State = "regressed" if isinstance(error, ViewRegressed) else "degraded"
        if isinstance(error, ViewHalted | ConfigError | DeliveryHalted):
            state = "halted"
        self.publish(state)

    def publish(self, state: State) -> None:
        """Tell the board."""
        now = now_ms()
        before, seconds = self.vitals, max(0.001, (now - self.vitals.last_poll_ms) / 1000)
        done = self.vitals.counts.get("read", 0)
        rate = (done - getattr(self, "read_before", done)) / seconds if before.last_poll_ms else 0.0
        self.read_before = done
        error = self.error if state != "live" else None
        self.vitals = replace(
            before,
            state=state,
            last_poll_ms=now,
            last_success_ms=now if state in ("live", "behind") else before.last_success_ms,
            per_second=rate,
            lag_ms=0 if state == "live" else now - (before.last_success_ms or now),
            error=error.message if error else "",
            hint=error.hint if error else "",
            error_ms=now if error else 0,
        )
        self.board.publish(self.vitals)


def now_ms() -> int:
    """Wall clock, epoch ms: for records only, never for decisions."""
    return time.time_ns() // 1_000_000


def latest_ms(cursor: pl.Series) -> int:
    """The last epoch ms that the first of these cursors may stand for: the end of the day for a date."""
    day = DAY_MS - 1 if cursor.dtype == pl.Date else 0
    return int(cursor_ms(cursor)[0]) + day


def steady_ms() -> int:
    """A clock that never jumps, ms."""
    return time.monotonic_ns() // 1_000_000
