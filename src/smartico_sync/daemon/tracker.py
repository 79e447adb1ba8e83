"""One view, tracked: read → map → diff → protect → deliver → commit."""

from __future__ import annotations

import math
import time
from collections import deque
from concurrent.futures import Future, ThreadPoolExecutor, wait
from concurrent.futures import TimeoutError as NotYet
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import polars as pl
import structlog

from smartico_sync.core.position import Position
from smartico_sync.daemon.clocks import now_ms
from smartico_sync.daemon.fingerprints import Fingerprints
from smartico_sync.daemon.late_rows import LateRows, Read
from smartico_sync.daemon.setup import Setup, definition, prepare
from smartico_sync.daemon.vitals import Board, State, Vitals
from smartico_sync.daemon.work import Work, commit_of, position_at, work_of
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

    from smartico_sync.config.models import Configuration, View
    from smartico_sync.core.late import Pace
    from smartico_sync.daemon.protection import Protection
    from smartico_sync.delivery.ingest import Ingest
    from smartico_sync.delivery.protocol import Receipt
    from smartico_sync.sources.protocol import Source
    from smartico_sync.state.store import Store

__all__ = ["Tracker"]

PAGES_IN_FLIGHT = 3  # reading, working and sending overlap; more only costs memory
FIRST_PAGE = 1_000  # rows, before it is known how long they are
SMALLEST_PAGE = 100  # rows: what is left of a page after cancelled reads, or where rows are huge
GROWTH = 4  # from page to page, while they stay small
PAGE_BYTES = 32_000_000  # of a page in memory; three are in flight, and a request body is about as large
PAUSES_S = (1.0, 2.0, 4.0, 8.0, 16.0, 32.0, 60.0)  # after trouble; a database that is down is not hammered
GLANCE_S = 0.2  # how often a wait for the API looks whether the daemon is ending

log = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class Sent:
    """A page that is on its way to the API."""

    read: Read
    work: Work
    receipt: Future[Receipt]


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
        self.late: LateRows | None = None
        self.head: Position | None = None
        self.fingerprints = Fingerprints(store, view.name)
        self.most = view.page_rows
        self.limit = min(FIRST_PAGE, self.most)
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
        self.fingerprints = Fingerprints(self.store, self.name)
        self.late = LateRows(self.view, setup.choice, self.store, row)
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
        """Page after page until the view is level, or the daemon ends."""
        try:
            read = self.read("level")
            if self.caught_up:
                if read.speaks:
                    self.commit(self.deliver(read), stopping)
            else:
                self.hurry(read, stopping)
        except BaseException:
            # Whatever was not committed is read again, and makes the same event ids.
            self.setup, self.caught_up = None, False
            raise

    def hurry(self, read: Read, stopping: threading.Event) -> None:
        """A backlog: the next page is read while the one before is worked on and others are sent; committed in order."""
        flying: deque[tuple[Read, Future[Sent]]] = deque()
        with ThreadPoolExecutor(1, thread_name_prefix=f"work-{self.name}") as worker:
            try:
                while True:
                    if read.speaks:
                        flying.append((read, worker.submit(self.deliver, read)))
                    while flying and (len(flying) >= PAGES_IN_FLIGHT or self.caught_up or stopping.is_set()):
                        self.commit(flying.popleft()[1].result(), stopping)
                    if self.caught_up or stopping.is_set():
                        return
                    scanning = any(earlier.scan is not None for earlier, _ in flying)
                    read = self.read("busy" if scanning else "behind")
            except BaseException:
                for _, sent in flying:
                    sent.cancel()
                wait([sent for _, sent in flying if not sent.cancelled()])
                raise

    def read(self, pace: Pace) -> Read:
        """One short transaction: the next page, and what a rescan finds below it. The head moves on in memory only."""
        assert self.setup is not None
        assert self.late is not None
        with self.source.reading(self.setup.relation) as reading:
            read = self.late.read(reading, self.head, self.limit, pace)
        self.caught_up = read.page.height < self.limit and read.through is None
        self.resize(read.page)
        if read.page.height:
            self.head = position_at(read.page, read.page.height - 1)
        return read

    def resize(self, page: pl.DataFrame) -> None:
        """Choose how many rows the next page has: as many as memory and database take well."""
        size = page.estimated_size()
        if size > PAGE_BYTES:
            self.limit = max(SMALLEST_PAGE, self.limit * PAGE_BYTES // int(size))
        elif page.height >= self.limit and size * GROWTH <= PAGE_BYTES:
            self.limit = min(self.limit * GROWTH, self.most)
        if self.caught_up:
            self.most = self.view.page_rows

    def deliver(self, read: Read) -> Sent:
        """Map, diff, protect and queue the rows."""
        assert self.setup is not None
        rows = read.page if read.late is None else pl.concat([read.late, read.page], how="diagonal_relaxed")
        work = work_of(rows, self.setup.mapping, self.store.secret, self.view.payload, self.fingerprints.known)
        if work.profiles is not None:
            self.fingerprints.sent(work.profiles)
        return Sent(read, work, self.delivery.send(self.name, self.protection.apply(work.send)))

    def commit(self, sent: Sent, stopping: threading.Event) -> None:
        """Wait for the receipt, then write all that the page changes in one transaction."""
        assert self.late is not None
        receipt = self.receipt(sent.receipt, stopping)
        work, read = sent.work, sent.read
        commit = commit_of(self.name, work, receipt, self.store.secret, now_ms())
        self.guard(work, commit)
        head = position_at(work.places, work.rows - 1) if read.page.height else None
        after = self.late.after(read, head)
        watermark = after.watermark.position if after and after.watermark else (None if after else head)
        commit = replace(commit, head=head, watermark=watermark, late=after.dump() if after else None)
        seq = self.store.commit(commit) if work.rows or watermark != self.late.watermark else 0
        self.late.adopt(after, seq, work.ledger.get_column("key"), watermark)
        if work.profiles is not None:
            self.fingerprints.settled()
        self.count(commit)

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
            self.limit = self.most = max(min(SMALLEST_PAGE, self.most), self.limit // 2)
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
