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

from smartico_sync.core.late_commit.pending_heads import recall
from smartico_sync.errors import ExitCode, SourceRefused, StateError, SyncError, Unexpected, ViewBroken
from smartico_sync.tracking.backfill import Backfills
from smartico_sync.tracking.clocks import now_ms
from smartico_sync.tracking.profile_sweeps import ProfileSweeps
from smartico_sync.tracking.reconciliation_rounds import ReconciliationRounds

if TYPE_CHECKING:
    from collections.abc import Sequence

    from apscheduler.events import JobExecutionEvent

    from smartico_sync.config.models import Configuration
    from smartico_sync.state.store import Store
    from smartico_sync.tracking.loop import ViewLoop

__all__ = ["Scheduler"]

POLLING_THREADS = 16  # views polled at one moment; a poll mostly waits for the database or the API
ONCE_PATIENCE_S = 30.0  # `--once` retries a source or an API that is unavailable for this long
LASTING = (SourceRefused, ViewBroken)  # a person must mend it: `--once` does not wait for him
PRUNE_EVERY_S = 600  # a retention of days need not be kept to the second
PRUNE_BREATH_S = 0.02  # between two transactions, so that commits go first
MISFIRE_GRACE_S = 60  # a poll that could not start in time still starts; late is better than never

log = structlog.get_logger()


class Scheduler:
    """Runs the views' loops, a thread each, and tells them when it is time to poll.

    Profiles go first: transactions wait until every profile view has caught up once or has failed.
    """

    def __init__(self, loops: Sequence[ViewLoop], store: Store, configuration: Configuration) -> None:
        self.loops = tuple(loops)
        self.store, self.reconcile = store, configuration.reconcile
        self.profiles = tuple(loop for loop in self.loops if loop.role == "profile")
        self.stopping = threading.Event()
        self.backfills = Backfills(self.loops, store)
        self.sweeps = ProfileSweeps(self.loops, store, self.backfills.wake)
        self.comparisons = ReconciliationRounds(self.loops, configuration.reconcile)

    def forever(self) -> None:
        """Poll every view on its schedule until `stop`. Trouble of one view never touches another."""
        scheduler = BackgroundScheduler(
            executors={"default": JobThreads(1), "beside": JobThreads(1)},
            job_defaults={"coalesce": True, "max_instances": 1, "misfire_grace_time": MISFIRE_GRACE_S},
            timezone="UTC",
        )
        for loop in self.loops:
            every = IntervalTrigger(seconds=loop.equipment.view.every / 1000)
            scheduler.add_job(self.ask, every, args=[loop], id=loop.name, next_run_time=datetime.now(UTC))
        scheduler.add_job(self.prune, IntervalTrigger(seconds=PRUNE_EVERY_S), id="prune", executor="beside")
        threads = [
            threading.Thread(target=self.backfills.work, args=(self.stopping,), name="backfill"),
            threading.Thread(target=self.sweeps.work, args=(self.stopping,), name="sweep"),
            threading.Thread(target=self.comparisons.work, args=(self.stopping,), name="reconcile"),
        ]
        threads += [
            threading.Thread(target=loop.run, args=(self.stopping,), name=f"view-{loop.name}") for loop in self.loops
        ]
        scheduler.add_listener(mishap, EVENT_JOB_ERROR)
        for thread in threads:
            thread.start()
        scheduler.start()
        try:
            self.stopping.wait()
        finally:
            self.stop()
            scheduler.shutdown(wait=True)
            self.backfills.wake()
            for loop in self.loops:
                loop.mailbox.wake()
            for thread in threads:
                thread.join()

    def ask(self, loop: ViewLoop) -> None:
        """It is time for a view to poll, if its turn has come: profiles at once, the others after them."""
        if loop.role == "profile" or all(profile.standing.settled for profile in self.profiles):
            loop.mailbox.ask_to_poll()

    def prune(self) -> None:
        """Drop the keys of rows that were delivered longer ago than the ledger keeps them; a little at a time."""
        before = now_ms() - self.reconcile.ledger_retention
        try:
            for row in self.store.views():
                known_from = recall(row.late).get("since")
                while self.store.prune_ledger(row.view, before, known_from) and not self.stopping.is_set():
                    self.stopping.wait(PRUNE_BREATH_S)
        except StateError as error:
            log.warning("state.prune", reason=error.message, hint=error.hint)

    def once(self) -> ExitCode:
        """Poll every view until it has caught up; the code of what remained after a bounded time of retries."""
        others = [loop for loop in self.loops if loop not in self.profiles]
        deadline = time.monotonic() + ONCE_PATIENCE_S
        for group in (self.profiles, others):
            if not group:
                continue
            with ThreadPoolExecutor(min(POLLING_THREADS, len(group)), thread_name_prefix="once") as threads:
                wait([threads.submit(self.catch_up, loop, deadline) for loop in group])
        return self.verdict()

    def catch_up(self, loop: ViewLoop, deadline: float) -> None:
        """Poll one view until it has caught up, cannot without a person, or the patience is over."""
        while not self.stopping.is_set():
            loop.poll(self.stopping, patience_s=ONCE_PATIENCE_S)
            standing = loop.standing
            lasting = standing.halted or isinstance(standing.error, LASTING)
            if standing.progress == "caught up" or lasting or time.monotonic() > deadline:
                break
            self.stopping.wait(min(loop.pause_s, max(0.0, deadline - time.monotonic())) or 0.01)
        loop.close()

    def verdict(self) -> ExitCode:
        """The exit code of what remained: the worst error of any view, else a brand that nobody knows, else dead letters."""
        errors = [loop.standing.error for loop in self.loops if loop.standing.error is not None]
        for kind in (ExitCode.INTERNAL, ExitCode.STATE, ExitCode.CONFIGURATION, ExitCode.SOURCE, ExitCode.API):
            if any(code_of(error) == kind for error in errors):
                return kind
        if any(loop.standing.unregistered for loop in self.loops):
            return ExitCode.API
        return ExitCode.DEAD_LETTERS if any(loop.standing.dead_lettered for loop in self.loops) else ExitCode.FINE

    def stop(self) -> None:
        """Ask every loop to end after the page it is at; idempotent, callable from a signal handler."""
        self.stopping.set()


def mishap(event: JobExecutionEvent) -> None:
    """Say that a job ended in a way that nobody foresaw."""
    log.error("job", job=event.job_id, reason=Unexpected(event.exception).message)


def code_of(error: BaseException) -> ExitCode:
    """The exit code that an error stands for."""
    return error.exit_code if isinstance(error, SyncError) else ExitCode.INTERNAL
