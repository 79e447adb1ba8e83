"""History on request: rows below the watermark, sent beside what is live and slower than it, and never moving the watermark."""

from __future__ import annotations

import threading
import time
from concurrent.futures import CancelledError, Future
from concurrent.futures import TimeoutError as NotYet
from typing import TYPE_CHECKING

import polars as pl
import structlog
from msgspec import Struct
from msgspec.structs import replace

from smartico_sync.core.batches import weight
from smartico_sync.core.pipeline import ledger_of, position_at
from smartico_sync.core.records import Step
from smartico_sync.errors import (
    ConfigError,
    DeliveryStopped,
    RowsTooWide,
    StateError,
    SyncError,
    Unexpected,
    ViewHalted,
)
from smartico_sync.observe.view_status import BackfillStatus, FailedBackfill
from smartico_sync.state.ledger import BUCKET_MS
from smartico_sync.tracking.base_loop import BACKOFF
from smartico_sync.tracking.clocks import now_ms
from smartico_sync.tracking.delivered_before import delivered_before
from smartico_sync.tracking.mailbox import TurnWithdrawn, ViewTurn
from smartico_sync.tracking.pages_in_flight import Sent
from smartico_sync.tracking.reconciliation import units
from smartico_sync.tracking.written_cursors import cursor_at, written

if TYPE_CHECKING:
    from collections.abc import Sequence

    from smartico_sync.core.pipeline import PreparedBatch
    from smartico_sync.core.position import Position
    from smartico_sync.core.records import Backfill, Receipt, ViewRow
    from smartico_sync.sources.protocol import Reading
    from smartico_sync.state.store import Store
    from smartico_sync.tracking.loop import ViewLoop
    from smartico_sync.tracking.prepared_view import PreparedView
    from smartico_sync.tracking.session import Session
    from smartico_sync.tracking.workplace import Workplace

__all__ = ["RATE", "Backfills", "Stretch", "stretch"]

RATE = 1_000  # events a second unless asked otherwise: a tenth of what a token is allowed, so live events never wait for it
PAGE_MS = 500  # a page holds what the rate allows in this time, so that the rate is even
LEAST_ROWS, MOST_ROWS = 100, 5_000  # a page
TURN_S = 1.0  # how long a page waits for the view's own ones
PAGE_PATIENCE_S = 30.0  # a page of profiles that is not answered by then is withdrawn: the view's own go on
GLANCE_S = 0.2  # how often a wait looks whether the daemon is ending

log = structlog.get_logger()


class Stretch(Struct, frozen=True):
    """The part of a view's history that can be sent, both ends included, and how many rows it holds (0: not counted)."""

    low: str
    high: str
    rows: int


def stretch(reading: Reading, prepared: PreparedView, row: ViewRow, low: str, high: str | None) -> Stretch | None:
    """What lies between two cursors as a person writes them; None when there is nothing.

    `low` may be `first`. It ends at the watermark: what is above is the tracker's, but for what was there when the view
    began, which it does not send. Raises ConfigError for what is no cursor, and what the source raises.
    """
    begin = None if low == "first" else cursor_at(reading, prepared, low)
    last = None if high is None else written(prepared, high)
    top = end_of_history(prepared, row)
    if top is None:
        return None
    end = top.cursor
    if last is not None and last < units(prepared, end):
        end = cursor_at(reading, prepared, high or "")
    there = reading.keys(begin, end, 1)
    if not there.height:
        return None
    return Stretch(begin or str(there.get_column("@cursor")[0]), end, reading.count(begin, end))


def end_of_history(prepared: PreparedView, row: ViewRow) -> Position | None:
    """The watermark, or where the view began while that is higher; None where neither is known."""
    ends = [end for end in (row.watermark, row.start_head) if end is not None]
    return max(ends, key=lambda end: units(prepared, end.cursor), default=None)


class Backfills:
    """Works off the backfills that the state holds open, a page of each in turn, each at its own rate.

    A page is read and queued by the view's own loop, between two of its own pages, and never keeps it waiting for the API.
    Profiles are committed in their place among the view's pages: what is older can never arrive after what is newer.
    Transactions never change, and are committed as they are acknowledged.
    """

    def __init__(self, loops: Sequence[ViewLoop], store: Store) -> None:
        self.loops = {loop.name: loop for loop in loops}
        self.store = store
        self.asked = threading.Event()
        self.due: dict[int, float] = {}
        self.failures: dict[int, int] = {}
        self.pruned: dict[tuple[str, int], bool] = {}
        self.told: set[str] = set()
        self.gave_up: dict[int, SyncError] = {}
        self.failed: dict[str, FailedBackfill] = {}

    def wake(self) -> None:
        """Look again at what is open; from any thread."""
        self.asked.set()

    def work(self, stopping: threading.Event) -> None:
        """Until the daemon ends, send what is open."""
        while not stopping.is_set():
            self.asked.clear()
            try:
                pause = self.round(stopping)
            except StateError as error:
                log.warning("backfill.state", reason=error.message, hint=error.hint)
                pause = BACKOFF.longest
            self.asked.wait(pause)

    def open(self) -> list[Backfill]:
        """What is to be done, as the state has it now."""
        return self.open_of(self.store.backfills())

    def open_of(self, every: Sequence[Backfill]) -> list[Backfill]:
        """Those of them that are to be done."""
        return [each for each in every if each.state == "open" and each.view in self.loops]

    def round(self, stopping: threading.Event) -> float | None:
        """Send a page of each backfill that is due; seconds until the next is, None when nothing is open."""
        for backfill in self.open():
            if not stopping.is_set() and self.due.get(backfill.id, 0.0) <= time.monotonic():
                self.attempt(backfill, stopping)
        every = self.store.backfills()
        still = self.open_of(every)
        for name in self.told | {each.view for each in still}:
            self.tell(name, still)
        self.told = {each.view for each in still}
        self.tell_failed(every)
        if not still:
            return None
        return max(0.0, min(self.due.get(each.id, 0.0) for each in still) - time.monotonic())

    def attempt(self, backfill: Backfill, stopping: threading.Event) -> None:
        """One page, whatever comes of it."""
        began = time.monotonic()
        try:
            rows = self.page(self.loops[backfill.view], backfill, stopping)
        except DeliveryStopped:
            return
        except RowsTooWide as error:  # the next page is smaller
            self.loops[backfill.view].equipment.memory.width(backfill.view).too_wide(error)
        except SyncError as error:
            self.trouble(backfill, error)
        except Exception as error:  # noqa: BLE001 - as in the loop
            self.trouble(backfill, Unexpected(error))
        else:
            self.failures.pop(backfill.id, None)
            self.due[backfill.id] = max(began, self.due.get(backfill.id, 0.0)) + rows / backfill.rate
            if time.monotonic() - self.due[backfill.id] > PAGE_MS / 1000:
                self.due[backfill.id] = time.monotonic()  # what was too slow is not made up for in a burst

    def page(self, loop: ViewLoop, backfill: Backfill, stopping: threading.Event) -> int:
        """Have the next rows read, sent and committed; how many there were. Raises what source, API and state raise."""
        if loop.standing.error is not None:
            raise ViewBusy(f"view {loop.name} does not do well itself, and goes first", hint="smartico-sync status")
        turn: ViewTurn[Future[int]] = ViewTurn(
            "a page of history", lambda session, workplace: self.begin_page(session, workplace, backfill), TURN_S
        )
        loop.mailbox.post(turn)
        try:
            done = turn.result(loop.name, lambda: not stopping.is_set())
        except TurnWithdrawn:
            raise ViewBusy(f"view {loop.name} is behind, and goes first") from None
        rows = acknowledged(done, loop.name, stopping)
        if not rows:
            self.store.tell_backfill(backfill.id, "done", "", now_ms())
            log.info("backfill.done", view=loop.name, backfill=backfill.id, rows=backfill.done)
        return rows

    def begin_page(self, session: Session, workplace: Workplace, backfill: Backfill) -> Future[int]:
        """Read the next rows and send them on their way; resolves to how many there were once they are committed."""
        equipment, done = session.equipment, Future[int]()
        limit = max(LEAST_ROWS, min(MOST_ROWS, equipment.view.page_rows, backfill.rate * PAGE_MS // 1000))
        limit = equipment.memory.rows_at_once(backfill.view, limit)
        with equipment.source.reading(session.prepared.relation) as reading:
            rows, clock_ms = next_rows(reading, backfill, limit), reading.clock_ms
        if not rows.height:
            done.set_result(0)
            return done
        equipment.memory.width(backfill.view).saw(rows)
        before = delivered_before(session, rows)

        def work() -> Sent:
            batch = workplace.sender.prepare(session, rows, clock_ms, backfill.profiles)
            some, ledger = rows, batch.ledger
            try:
                looked = session.keys.look(rows, ledger.get_column("key"))
            except BaseException:
                workplace.sender.release(batch)
                raise
            if looked or before is not None:
                left_out = (
                    looked.left_out if looked else pl.repeat(value=False, n=rows.height, dtype=pl.Boolean, eager=True)
                )
                some = rows.filter(~left_out if before is None else ~(left_out | before))
                batch = workplace.sender.prepare(session, some, clock_ms, backfill.profiles, instead_of=batch)
                batch = replace(batch, ledger=ledger, repeated=rows.height - some.height)

            def settle(receipt: Receipt) -> None:
                try:
                    self.compare(session, some, receipt)
                    self.commit(session, workplace, backfill, batch, rows, receipt)
                except ViewHalted as halted:  # it ends the backfill, and not the view
                    workplace.sender.forget(session, batch)
                    fail(done, halted)
                else:
                    done.set_result(rows.height)

            return Sent(workplace.sender.queue(session, batch, "backfill"), settle, weight(batch.send), batch.rows)

        workplace.flight.send_history(
            work,
            rows.estimated_size(),
            order="kept" if session.prepared.mapping.kind.role == "profile" else "any",
            patience_s=PAGE_PATIENCE_S,
            failed=lambda error: fail(done, error),
        )
        return done

    def compare(self, session: Session, rows: pl.DataFrame, receipt: Receipt) -> None:
        """Make sure that duplicates the ledger knows nothing of are no other rows. Raises ViewMisconfigured."""
        if not receipt.known_before:
            return
        places = sorted(receipt.known_before)
        ledger = ledger_of(rows[places], session.prepared.mapping)
        new = ledger.get_column("key").is_in(
            self.uncounted(session.equipment.view.name, ledger).get_column("key").implode()
        )
        session.keys.compare(rows, [place for place, unknown in zip(places, new, strict=True) if unknown])

    def commit(
        self,
        session: Session,
        workplace: Workplace,
        backfill: Backfill,
        batch: PreparedBatch,
        rows: pl.DataFrame,
        receipt: Receipt,
    ) -> None:
        """Commit an acknowledged page. Raises RowsRefused when it is refused as a whole."""
        commit = workplace.sender.outcome(session, batch, receipt, "again")
        step = Step(backfill.id, position_at(rows, rows.height - 1), rows.height)
        # The anchors are the live rows, and what the ledger counted once it does not count again.
        commit = replace(commit, ledger=self.uncounted(backfill.view, batch.ledger), anchors=(), step=step)
        self.store.commit(commit)
        workplace.sender.committed(session, batch, commit)

    def uncounted(self, view: str, rows: pl.DataFrame) -> pl.DataFrame:
        """Those that the ledger does not hold yet. Where its keys are pruned that cannot be told: none."""
        there = rows.filter(pl.all_horizontal(pl.all().is_not_null()))
        if not there.height:
            return there
        hours = there.get_column("cursor_ms") // BUCKET_MS
        known = [hour for hour in hours.unique() if not self.keys_pruned(view, hour)]
        there = there.filter(hours.is_in(known))
        if not there.height:
            return there
        moments = there.select(low=pl.col("cursor_ms").min(), high=pl.col("cursor_ms").max() + 1)
        held = self.store.ledger_between(view, *moments.row(0)).get_column("key")
        return there.filter(~there.get_column("key").is_in(held.unique().implode()))

    def keys_pruned(self, view: str, hour: int) -> bool:
        """Whether the ledger only has a count for a part of that hour."""
        if (view, hour) not in self.pruned:
            span = hour * BUCKET_MS, (hour + 1) * BUCKET_MS
            counted = int(self.store.ledger_counts(view, *span).get_column("n").sum())
            self.pruned[view, hour] = counted > 0 and counted > self.store.ledger_between(view, *span).height
        return self.pruned[view, hour]

    def trouble(self, backfill: Backfill, error: SyncError) -> None:
        """Try again later, or give up where only a change by the operator helps."""
        if isinstance(error, ViewHalted | ConfigError):
            self.gave_up[backfill.id] = error
            self.store.tell_backfill(backfill.id, "failed", error.message, now_ms())
            log.error("backfill.failed", view=backfill.view, reason=error.message, hint=error.hint)
            return
        failures = self.failures.get(backfill.id, 0)
        pause = BACKOFF.pause(failures)
        self.failures[backfill.id], self.due[backfill.id] = failures + 1, time.monotonic() + pause
        if backfill.reason != error.message:
            log.warning("backfill.waits", view=backfill.view, reason=error.message, hint=error.hint, pause_s=pause)
            self.store.tell_backfill(backfill.id, "open", error.message, now_ms())

    def tell(self, name: str, still: Sequence[Backfill]) -> None:
        """Say on the board how the view's backfills stand."""
        mine = [each for each in still if each.view == name]
        done, total = sum(each.done for each in mine), sum(each.total for each in mine)
        status = BackfillStatus(done, total, sum(each.rate for each in mine), mine[0].reason) if mine else None
        self.loops[name].equipment.recorder.backfilled(status)

    def tell_failed(self, every: Sequence[Backfill]) -> None:
        """Say on the board which views' newest backfills were given up."""
        newest = {each.view: each for each in every if each.view in self.loops}
        failed = {
            name: FailedBackfill(each.id, each.reason, each.updated_ms)
            for name, each in newest.items()
            if each.state == "failed"
        }
        for name in failed.keys() | self.failed.keys():
            if failed.get(name) != self.failed.get(name):
                self.loops[name].equipment.recorder.backfill_failed(failed.get(name))
        self.failed = failed


class ViewBusy(SyncError):
    """The view's own rows go first."""


def next_rows(reading: Reading, backfill: Backfill, limit: int) -> pl.DataFrame:
    """The rows behind the position; the very first are those of the lowest cursor."""
    if backfill.position is not None:
        return reading.page(backfill.position, limit, backfill.high)
    first = reading.keys(backfill.low, backfill.high, 1)
    if not first.height:
        return first
    return reading.rows([position_at(first, 0)])


def acknowledged(done: Future[int], view: str, stopping: threading.Event) -> int:
    """How many rows were committed. ViewBusy when they were given up; DeliveryStopped when the daemon ends before."""
    while True:
        try:
            return done.result(GLANCE_S)
        except NotYet:
            if stopping.is_set():
                raise DeliveryStopped("the daemon is ending") from None
        except CancelledError:
            raise ViewBusy(
                f"view {view}: a page of history was not acknowledged in {PAGE_PATIENCE_S:g} s, or the view began anew; "
                "it goes again"
            ) from None


def fail(done: Future[int], error: BaseException | None) -> None:
    """Tell whoever waits for a page that it failed (None: that it was withdrawn)."""
    if done.done():
        return
    if error is None:
        done.cancel()
    else:
        done.set_exception(error)
