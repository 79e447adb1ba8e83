"""One view, tracked: read → map → diff → protect → deliver → commit."""

from __future__ import annotations

import math
import os
import threading
import time
import traceback
from collections import deque
from concurrent.futures import Future, ThreadPoolExecutor, wait
from concurrent.futures import TimeoutError as NotYet
from dataclasses import dataclass, replace
from queue import SimpleQueue
from typing import TYPE_CHECKING

import polars as pl
import structlog

from smartico_sync.core.pipeline import (
    PipelineOptions,
    PreparedBatch,
    build_commit,
    ledger_of,
    position_at,
    prepare,
    without_automation,
)
from smartico_sync.core.reason_codes import UNACKNOWLEDGED
from smartico_sync.errors import (
    ConfigError,
    DeliveryHalted,
    DeliveryStopped,
    SourceCancelled,
    StateError,
    SyncError,
    Unexpected,
    ViewHalted,
    ViewRegressed,
)
from smartico_sync.tracking import redelivery
from smartico_sync.tracking.clocks import now_ms
from smartico_sync.tracking.fingerprints import Fingerprints
from smartico_sync.tracking.page_reader import PageReader, Read
from smartico_sync.tracking.prepared_view import PreparedView, open_view
from smartico_sync.tracking.reconciliation import compare, span
from smartico_sync.tracking.source_checks import SourceChecks
from smartico_sync.tracking.status_recorder import StatusRecorder

if TYPE_CHECKING:
    from collections.abc import Callable

    from smartico_sync.config.models import Configuration, View
    from smartico_sync.core.late_commit.mechanism import Pace
    from smartico_sync.core.position import Position
    from smartico_sync.core.records import Commit, Receipt
    from smartico_sync.delivery.protocol import Priority
    from smartico_sync.delivery.router import Router
    from smartico_sync.observe.view_status import State, StatusBoard
    from smartico_sync.pii.protection import Protection
    from smartico_sync.sources.protocol import Source
    from smartico_sync.state.store import Store

__all__ = ["GLANCE_S", "PAUSES_S", "Tracker"]

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
    work: PreparedBatch
    receipt: Future[Receipt]


class Tracker:
    """Polls one view. `poll` is called by one thread at a time and never raises for what an operator can mend."""

    def __init__(
        self,
        configuration: Configuration,
        view: View,
        source: Source,
        store: Store,
        delivery: Router,
        protection: Protection,
        board: StatusBoard,
    ) -> None:
        self.configuration, self.view, self.source = configuration, view, source
        self.store, self.delivery, self.protection = store, delivery, protection
        self.name, self.every_ms = view.name, view.every
        self.role = "profile" if view.kind == "users" else "transaction"
        self.report = StatusRecorder(view, board)
        self.inspection = SourceChecks(view, store)
        self.fingerprints = Fingerprints(store, view.name)
        self.prepared: PreparedView | None = None
        self.terms: PipelineOptions
        self.late: PageReader | None = None
        self.head: Position | None = None
        self.first_load = True
        self.waiting: frozenset[int] = frozenset()
        self.asked: SimpleQueue[tuple[Callable[[], object], Future[object]]] = SimpleQueue()
        self.most = view.page_rows
        self.limit = min(FIRST_PAGE, self.most)
        self.error: SyncError | None = None
        self.caught_up = False
        self.tried = False
        self.dead_lettered = 0
        self.failures = 0
        self.resume_at = 0.0
        self.turn = threading.Lock()  # held by whoever sends pages of this view
        self.patience_s = math.inf  # how long a page waits for an API that is unavailable before the poll gives up

    @property
    def settled(self) -> bool:
        """Whether transactions need not wait for this view any longer."""
        return self.caught_up or (self.tried and self.error is not None)

    @property
    def halted(self) -> bool:
        """Whether only a change by the operator helps."""
        return isinstance(self.error, ViewHalted | ConfigError | DeliveryHalted)

    @property
    def pause_s(self) -> float:
        """Seconds until a poll does something again."""
        return max(0.0, self.resume_at - time.monotonic())

    def ask(self, action: Callable[[], object]) -> Future[object]:
        """Have something done between two pages, and the view taken up again from the state; from any thread."""
        future: Future[object] = Future()
        self.asked.put((action, future))
        self.resume_at = 0.0
        return future

    def answer(self) -> None:
        """Do what was asked for."""
        while not self.asked.empty():
            action, future = self.asked.get()
            try:
                future.set_result(action())
            except SyncError as error:
                future.set_exception(error)
            self.prepared, self.caught_up = None, False

    def poll(self, stopping: threading.Event) -> None:
        """Read, deliver and commit until the view is level, the daemon ends or something fails."""
        with self.turn:
            self.advance(stopping)

    def advance(self, stopping: threading.Event) -> None:
        """A poll, by whoever has the turn."""
        self.answer()
        if self.pause_s:
            return
        try:
            if isinstance(self.error, StateError):
                self.store.probe()  # what cannot be remembered is not sent
            if self.prepared is None:
                self.begin()
            self.check_source(stopping)
            self.redeliver(stopping)
            self.catch_up(stopping)
            self.loaded()
        except DeliveryStopped:
            self.prepared = None
        except SyncError as error:
            self.trouble(error)
        except Exception as error:  # noqa: BLE001 - a view that stands still must say so, whatever the reason
            if os.environ.get("SYNC_DEBUG"):
                traceback.print_exception(error)
            self.trouble(Unexpected(error))
        else:
            self.failures, self.error = 0, None
            self.report.state("live" if self.caught_up else "behind")
        finally:
            self.tried = True

    def begin(self) -> None:
        """Describe the view, take up where the state says, and make sure that the source is still the same."""
        self.prepared = None
        prepared, row = open_view(self.configuration, self.view, self.source, self.store)
        self.head = row.head
        self.report.opened(prepared, row)
        self.report.letters(*self.letters())
        self.fingerprints = Fingerprints(self.store, self.name)
        self.terms = PipelineOptions(prepared.mapping, self.store.secret, self.view.payload, self.view.on_invalid)
        self.late = PageReader(self.view, prepared, self.store, row)
        self.first_load = row.level_ms == 0
        self.inspection.begin(prepared)
        with self.source.reading(prepared.relation) as reading:
            self.inspection.anchored(reading, row.head, row.watermark)
        self.prepared = prepared

    def redeliver(self, stopping: threading.Event) -> None:
        """Try parked rows again whose time has come."""
        assert self.prepared is not None
        letters = self.store.parked(self.name, now_ms(), redelivery.LETTERS_AT_ONCE)
        if not letters:
            return
        with self.source.reading(self.prepared.relation) as reading:
            found, now = redelivery.find(reading, self.prepared.mapping, letters), reading.clock_ms
        work = prepare(found.rows, self.terms, self.fingerprints.known, now, anew=found.anew)
        receipt = self.receipt(self.send(work), stopping)
        commit = redelivery.settled(self.name, found, work, receipt, now_ms())
        seq = self.store.commit(commit)
        if seq and self.late is not None and commit.ledger is not None:
            self.late.also(seq, commit.ledger.get_column("key"))
        self.count(commit)

    def catch_up(self, stopping: threading.Event) -> None:
        """Page after page until the view is level, or the daemon ends."""
        try:
            read = self.read("caught_up")
            if self.caught_up:
                if read.speaks:
                    self.commit(self.deliver(read), stopping)
            else:
                self.drain_backlog(read, stopping)
        except BaseException:
            # Whatever was not committed is read again, and makes the same event ids.
            self.prepared, self.caught_up = None, False
            raise

    def loaded(self) -> None:
        """The first load is over once everything that was there is committed; later pages would be marked no more."""
        if self.first_load and self.caught_up:
            self.store.reached(self.name, now_ms())
            self.first_load = False

    def drain_backlog(self, read: Read, stopping: threading.Event) -> None:
        """A backlog: the next page is read while the one before is worked on and others are sent; committed in order."""
        flying: deque[tuple[Read, Future[Sent]]] = deque()
        with ThreadPoolExecutor(1, thread_name_prefix=f"work-{self.name}") as worker:
            try:
                while True:
                    if read.speaks:
                        flying.append((read, worker.submit(self.deliver, read)))
                    last = self.caught_up or stopping.is_set() or not self.asked.empty()
                    while flying and (last or len(flying) >= PAGES_IN_FLIGHT):
                        self.commit(flying.popleft()[1].result(), stopping)
                    if last:
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
        assert self.prepared is not None
        assert self.late is not None
        with self.source.reading(self.prepared.relation) as reading:
            read = self.late.read(reading, self.head, self.limit, pace)
        self.caught_up = read.page.height < self.limit and read.through is None
        self.resize(read.page)
        if read.page.height:
            last = position_at(read.page, read.page.height - 1)
            if self.caught_up:
                self.inspection.delivering(self.head, last, read.page)
            self.head = last
        self.report.read(read, self.late)
        return read

    def resize(self, page: pl.DataFrame) -> None:
        """Choose how many rows the next page has: as many as memory and database take well."""
        size = page.estimated_size()
        if size > PAGE_BYTES:
            self.limit = max(min(SMALLEST_PAGE, self.most), self.limit * PAGE_BYTES // int(size))
        elif page.height >= self.limit and size * GROWTH <= PAGE_BYTES:
            self.limit = min(self.limit * GROWTH, self.most)
        if self.caught_up:
            self.most = self.view.page_rows

    def deliver(self, read: Read) -> Sent:
        """Map, diff, protect and queue the rows."""
        assert self.prepared is not None
        page = read.page if read.repeated is None else read.page.filter(~read.repeated)
        parts = [part for part in (read.late, read.extra, page) if part is not None]
        rows = parts[0] if len(parts) == 1 else pl.concat(parts, how="diagonal_relaxed")
        work = prepare(rows, self.terms, self.fingerprints.known, read.read_time.clock_ms, self.waiting)
        if work.profiles is not None:
            self.fingerprints.sent(work.profiles)
        if read.extra is not None or read.repeated is not None:
            # Rows out of the order enter the ledger when their time comes.
            ordered = [ledger_of(part, self.prepared.mapping) for part in (read.late, read.page) if part is not None]
            work = replace(work, ledger=pl.concat(ordered), repeated=read.page.height - page.height)
        return Sent(read, work, self.send(work))

    def send(self, work: PreparedBatch, priority: Priority = "live") -> Future[Receipt]:
        """Protect the events and queue them; profiles of a first load, or of history, may say that they start no automation."""
        events = self.protection.apply(work.send)
        history = self.first_load or priority == "backfill"
        if self.view.skip_cjm == "always" or (self.view.skip_cjm == "first_load" and history):
            events = without_automation(events)
        return self.delivery.send(self.name, events, priority=priority)

    def commit(self, sent: Sent, stopping: threading.Event) -> None:
        """Wait for the receipt, then write all that the page changes in one transaction."""
        assert self.late is not None
        receipt = self.receipt(sent.receipt, stopping)
        work, read = sent.work, sent.read
        park_ms = self.configuration.smartico.park
        commit = build_commit(self.name, work, receipt, self.store.secret, now_ms(), park_ms)
        self.guard(work, commit)
        head = position_at(read.page, read.page.height - 1) if read.page.height else None
        after = self.late.after(read, head)
        watermark = after.watermark.position if after and after.watermark else (None if after else head)
        commit = replace(commit, head=head, watermark=watermark, late=after.dump() if after else None)
        seq = self.store.commit(commit) if work.rows or head or watermark != self.late.watermark else 0
        self.late.adopt(after, read, seq, work.ledger.get_column("key"), watermark)
        self.report.read(read, self.late)
        if work.profiles is not None:
            self.fingerprints.settled()
        self.report.broken(work.invalid)
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
                    self.report.state("degraded", problem)

    def guard(self, work: PreparedBatch, commit: Commit) -> None:
        """Stop a view that is misconfigured rather than poisoned: most of its rows are refused."""
        safe_upper_bound = self.view.max_refused
        dead = len(commit.dead_letters)
        if dead >= safe_upper_bound.count and dead >= safe_upper_bound.share * work.rows:
            reasons = [letter.reason for letter in commit.dead_letters]
            raise ViewHalted(
                f"view {self.name}: {dead} of {work.rows} rows are refused, most often: {max(set(reasons), key=reasons.count)}",
                hint=f"mend the view or its columns:, try with: sync preview {self.name}; or raise max_refused",
            )

    def count(self, commit: Commit) -> None:
        """Add a commit of the view's own to what is told."""
        self.counted(commit)
        if not self.caught_up:
            self.report.state("behind")

    def counted(self, commit: Commit) -> None:
        """Add a commit to what is told."""
        self.dead_lettered += commit.counts.get("dead_lettered", 0)
        self.report.committed(commit)
        if commit.parked or commit.dead_letters or commit.resolved:
            self.waiting = self.store.waiting_players(self.name)
            self.report.letters(*self.letters())

    def letters(self) -> tuple[dict[int, int], dict[int, int]]:
        """How many rows wait and were given up, by reason code."""
        self.waiting = self.store.waiting_players(self.name)
        counts = self.store.parked_counts(), self.store.dead_letter_counts()
        return counts[0].get(self.name, {}), counts[1].get(self.name, {})

    def compare(self) -> None:
        """Compare the source with the ledger, beside the polls and from another thread; what is missing is told, or sent."""
        prepared = self.prepared
        if prepared is None:
            return
        row = self.store.view(self.name)
        over = span(prepared, self.store, row, None, None) if row else None
        if over is None:
            return
        try:
            found = compare(prepared, self.source, self.store, self.name, over)
        except SyncError as error:
            log.warning("view.comparison", view=self.name, reason=error.message, hint=error.hint)
            return
        send = self.configuration.reconcile.send == "send"
        if found.missing and send:
            letters = redelivery.letters_for(self.name, found.missing, UNACKNOWLEDGED, "found by a comparison")
            self.store.enqueue(self.name, letters)
        log.info("view.compared", view=self.name, source=found.source, ledger=found.ledger, missing=found.missing_rows)
        self.report.compared(0 if send else found.missing_rows)

    def check_source(self, stopping: threading.Event) -> None:
        """Beside the polls: whether the source is the same, rows lack a place in the order, or delivered ones changed."""
        assert self.prepared is not None
        assert self.late is not None
        if not self.inspection.due:
            return
        with self.source.reading(self.prepared.relation) as reading:
            seen = self.inspection.look(reading, self.head, self.late)
        self.report.inspected(null_cursors=seen.null_cursors, warnings=seen.warnings)
        self.report.mutated(seen.mutated)
        if seen.extra is not None:
            self.commit(self.deliver(Read(seen.read_time, seen.extra.clear(), extra=seen.extra)), stopping)
            self.inspection.sent(seen.extra)

    def trouble(self, error: SyncError) -> None:
        """Remember what happened, and pause longer each time."""
        pause = PAUSES_S[min(self.failures, len(PAUSES_S) - 1)]
        self.failures += 1
        self.resume_at = time.monotonic() + pause
        self.prepared, self.caught_up = None, False
        if isinstance(error, SourceCancelled):
            self.limit = self.most = max(min(SMALLEST_PAGE, self.most), self.limit // 2)
        told = self.error is None or self.error.message != error.message
        self.error = error
        if told:
            log.error("view.trouble", view=self.name, reason=error.message, hint=error.hint, pause_s=pause)
        state: State = "halted" if self.halted else "degraded"
        self.report.state("regressed" if isinstance(error, ViewRegressed) else state, error)
