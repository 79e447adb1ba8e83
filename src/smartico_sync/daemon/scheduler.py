"""The daemon: every view on its own schedule, profiles first, until somebody says stop."""

from __future__ import annotations

import threading
import time
from concurrent.futures import ThreadPoolExecutor, wait
from datetime import UTC, datetime
from typing import TYPE_CHECKING

import structlog
from apscheduler.events import EVENT_JOB_ERROR
from apscheduler.executors.pool import ThreadPoolExecutor as JobThreads
from apscheduler.schedulers.background import BackgroundScheduler
from apscheduler.triggers.interval import IntervalTrigger

from smartico_sync.errors import ExitCode, StateError, SyncError, Unexpected
from smartico_sync.tracking.backfill import Backfills
from smartico_sync.tracking.clocks import now_ms

if TYPE_CHECKING:
    from collections.abc import Sequence

    from apscheduler.events import JobExecutionEvent

    from smartico_sync.config.models import Reconcile
    from smartico_sync.state.store import Store
    from smartico_sync.tracking.loop import Tracker

__all__ = ["Service"]

POLLING_THREADS = 16  # views polled at one moment; a poll mostly waits for the database or the API
ONCE_PATIENCE_S = 30.0  # `--once` retries a source or an API that is unavailable for this long
PRUNE_EVERY_S = 600  # a retention of days need not be kept to the second
PRUNE_BREATH_S = 0.02  # between two transactions, so that commits go first
MISFIRE_GRACE_S = 60  # a poll that could not start in time still starts; late is better than never

log = structlog.get_logger()


class Service:
    """Runs trackers. Profiles go first: transactions wait until every profile view has caught up once or has failed."""

    def __init__(self, trackers: Sequence[Tracker], store: Store, reconcile: Reconcile) -> None:
        self.trackers = tuple(trackers)
        self.store, self.reconcile = store, reconcile
        self.profiles = tuple(tracker for tracker in self.trackers if tracker.role == "profile")
        self.stopping = threading.Event()
        self.backfills = Backfills(self.trackers, store)

    def forever(self) -> None:
        """Poll every view on its schedule until `stop`. Trouble of one view never touches another."""
        scheduler = BackgroundScheduler(
            executors={"default": JobThreads(min(POLLING_THREADS, len(self.trackers))), "beside": JobThreads(1)},
            job_defaults={"coalesce": True, "max_instances": 1, "misfire_grace_time": MISFIRE_GRACE_S},
            timezone="UTC",
        )
        for tracker in self.trackers:
            every = IntervalTrigger(seconds=tracker.every_ms / 1000)
            scheduler.add_job(self.turn, every, args=[tracker], id=tracker.name, next_run_time=datetime.now(UTC))
            if self.reconcile.every:
                apart = IntervalTrigger(seconds=self.reconcile.every / 1000)
                scheduler.add_job(tracker.compare, apart, id=f"compare {tracker.name}", executor="beside")
        scheduler.add_job(self.prune, IntervalTrigger(seconds=PRUNE_EVERY_S), id="prune", executor="beside")
        history = threading.Thread(target=self.backfills.work, args=(self.stopping,), name="backfill")
        scheduler.add_listener(mishap, EVENT_JOB_ERROR)
        scheduler.start()
        history.start()
        try:
            self.stopping.wait()
        finally:
            self.stop()
            scheduler.shutdown(wait=True)
            self.backfills.wake()
            history.join()

    def turn(self, tracker: Tracker) -> None:
        """One scheduled poll of one view."""
        if self.stopping.is_set() or not self.may_go(tracker):
            return
        tracker.poll(self.stopping)

    def prune(self) -> None:
        """Drop the keys of rows that were delivered longer ago than the ledger keeps them; a little at a time."""
        before = now_ms() - self.reconcile.ledger_retention
        try:
            for row in self.store.views():
                while self.store.prune_ledger(row.view, before) and not self.stopping.is_set():
                    self.stopping.wait(PRUNE_BREATH_S)
        except StateError as error:
            log.warning("state.prune", reason=error.message, hint=error.hint)

    def may_go(self, tracker: Tracker) -> bool:
        """Whether the view's turn has come: profiles at once, the others after them."""
        return tracker.role == "profile" or all(profile.settled for profile in self.profiles)

    def once(self) -> ExitCode:
        """Poll every view until it has caught up; the code of what remained after a bounded time of retries."""
        others = [tracker for tracker in self.trackers if tracker not in self.profiles]
        deadline = time.monotonic() + ONCE_PATIENCE_S
        for tracker in self.trackers:
            tracker.patience_s = ONCE_PATIENCE_S
        for group in (self.profiles, others):
            if not group:
                continue
            with ThreadPoolExecutor(min(POLLING_THREADS, len(group)), thread_name_prefix="once") as threads:
                wait([threads.submit(self.catch_up, tracker, deadline) for tracker in group])
        return self.verdict()

    def catch_up(self, tracker: Tracker, deadline: float) -> None:
        """Poll one view until it has caught up, is halted for good, or the patience is over."""
        while not self.stopping.is_set():
            tracker.poll(self.stopping)
            if tracker.caught_up or tracker.halted or time.monotonic() > deadline:
                return
            self.stopping.wait(min(tracker.pause_s, max(0.0, deadline - time.monotonic())) or 0.01)

    def verdict(self) -> ExitCode:
        """The exit code of what remained: the worst error of any view, else whether there are dead letters."""
        errors = [tracker.error for tracker in self.trackers if tracker.error is not None]
        for kind in (ExitCode.INTERNAL, ExitCode.STATE, ExitCode.CONFIGURATION, ExitCode.SOURCE, ExitCode.API):
            if any(code_of(error) == kind for error in errors):
                return kind
        return ExitCode.DEAD_LETTERS if any(tracker.dead_lettered for tracker in self.trackers) else ExitCode.FINE

    def stop(self) -> None:
        """Ask every poll to end after the page it is at; idempotent, callable from a signal handler."""
        self.stopping.set()


def mishap(event: JobExecutionEvent) -> None:
    """Say that a job ended in a way that nobody foresaw."""
    log.error("job", job=event.job_id, reason=Unexpected(event.exception).message)


def code_of(error: BaseException) -> ExitCode:
    """The exit code that an error stands for."""
    return error.exit_code if isinstance(error, SyncError) else ExitCode.INTERNAL
