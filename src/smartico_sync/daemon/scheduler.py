"""The daemon: every view on its own schedule, profiles first, until somebody says stop."""

from __future__ import annotations

import threading
import time
from concurrent.futures import ThreadPoolExecutor, wait
from typing import TYPE_CHECKING

import structlog

from smartico_sync.core.late_commit.pending_heads import recall
from smartico_sync.daemon.ending import all_at_once
from smartico_sync.daemon.start import ONCE_PATIENCE_S
from smartico_sync.errors import ExitCode, SourceRefused, StateDamaged, StateError, SyncError, ViewBroken
from smartico_sync.tracking.backfill import Backfills
from smartico_sync.tracking.clocks import agreed_ms
from smartico_sync.tracking.loop import ViewLoop
from smartico_sync.tracking.profile_sweeps import ProfileSweeps
from smartico_sync.tracking.quiet_polls import QuietPolls
from smartico_sync.tracking.reconciliation_rounds import ReconciliationRounds

if TYPE_CHECKING:
    from collections.abc import Collection, Sequence

    from smartico_sync.config.models import Configuration
    from smartico_sync.daemon.wiring import Loop
    from smartico_sync.state.store import Store

__all__ = ["Scheduler"]

POLLING_THREADS = 16  # views polled at one moment; a poll mostly waits for the database or the API
LASTING = (SourceRefused, StateDamaged, ViewBroken)  # a person must mend it: `--once` does not wait for him
PRUNE_EVERY_S = 600  # a retention of days need not be kept to the second
PRUNE_BREATH_S = 0.02  # between two transactions, so that commits go first
ABORT_AFTER_S = 4.0  # the loops' own farewell is over by then: whoever still waits waits for a database
ABORTED_S = 1.5  # for those to end whose connections are gone
WATCH_S = 1.0  # how often the wall clock is looked at: what it was set back by delays a poll no longer than this

log = structlog.get_logger()


class Scheduler:
    """Runs the views' loops, a thread each, and tells them when it is time to poll.

    `elsewhere`: views of other groups, which are not looked after here. Profiles go first: transactions wait until every profile view has caught up once or has failed.
    """

    def __init__(
        self,
        loops: Sequence[Loop],
        store: Store,
        configuration: Configuration,
        stopping: threading.Event | None = None,
        elsewhere: Collection[str] = (),
    ) -> None:
        self.loops = tuple(loops)
        self.elsewhere = elsewhere
        self.store, self.reconcile = store, configuration.reconcile
        self.dead_letters = configuration.dead_letters
        self.profiles = tuple(loop for loop in self.loops if loop.role == "profile")
        self.unsettled = {*self.profiles}  # have neither caught up once nor failed
        self.stopping = stopping or threading.Event()
        polled = [loop for loop in self.loops if isinstance(loop, ViewLoop)]
        self.backfills = Backfills(polled, store)
        self.sweeps = ProfileSweeps(polled, store, self.backfills.wake)
        self.comparisons = ReconciliationRounds(polled, configuration.reconcile)
        self.quiet = QuietPolls()

    def forever(self) -> None:
        """Poll every view on its schedule until `stop`. Trouble of one view never touches another.

        Raises StateDamaged, with everything ended, when the state is found to be: nothing of it can be relied on.
        """
        from smartico_sync.daemon.timetable import Timetable  # noqa: PLC0415 - what runs once needs no schedule

        timetable = Timetable()
        # One job an interval: what APScheduler does for a job costs as much as a poll that finds nothing.
        for every_ms in dict.fromkeys(loop.equipment.view.every for loop in self.loops):
            due = tuple(loop for loop in self.loops if loop.equipment.view.every == every_ms)
            timetable.every(every_ms / 1000, f"every {every_ms} ms", self.ask, *due)
        timetable.beside(PRUNE_EVERY_S, "prune", self.prune)
        threads = [
            threading.Thread(target=work, args=(self.stopping,), name=name, daemon=True)
            for name, work in (
                ("backfill", self.backfills.work),
                ("sweep", self.sweeps.work),
                ("reconcile", self.comparisons.work),
                *((f"view-{loop.name}", loop.run) for loop in self.loops),
            )
        ]
        for thread in threads:
            thread.start()
        timetable.start()
        try:
            while not self.stopping.wait(WATCH_S):
                agreed_ms(0)  # it notes how far the wall clock is ahead
                timetable.correct()
                self.store.ensure_sound()
        finally:
            self.stop()
            timetable.stop()
            self.quiet.close()
            self.backfills.wake()
            for loop in self.loops:
                loop.mailbox.wake()
            self.end(threads)

    def end(self, threads: Sequence[threading.Thread]) -> None:
        """Wait for the threads. Those that still wait for a database after a while have their connections taken away."""
        if left_after(threads, ABORT_AFTER_S):
            polled = [loop for loop in self.loops if isinstance(loop, ViewLoop)]
            sources = {id(loop.equipment.source): loop.equipment.source for loop in polled}
            all_at_once([source.close for source in sources.values()], ABORTED_S)
            if left := left_after(threads, ABORTED_S):
                log.warning("ending", reason="left behind", threads=[thread.name for thread in left])

    def ask(self, *loops: Loop) -> None:
        """It is time for views to poll, if their turn has come: profiles at once, the others after the first of them.

        Later profiles hold up nobody but their own players, which is what delivery sees to.
        """
        self.unsettled = {profile for profile in self.unsettled if not profile.standing.settled}
        due = [loop for loop in loops if loop.role == "profile" or not self.unsettled]
        left: list[Loop] = [loop for loop in due if not isinstance(loop, ViewLoop)]
        left += self.quiet.take(loop for loop in due if isinstance(loop, ViewLoop))
        for loop in left:
            loop.mailbox.ask_to_poll()

    def prune(self) -> None:
        """Drop what is kept no longer, and give the space back; a little at a time.

        The keys of rows that were delivered longer ago than the ledger keeps them, and dead letters that are too old or too many.
        """
        kept_ms = self.reconcile.ledger_retention
        before = agreed_ms(kept_ms) - kept_ms
        try:
            for row in self.store.views():
                if row.view in self.elsewhere:
                    continue
                known_from = recall(row.late).get("since")
                while self.store.prune_ledger(row.view, before, known_from) and not self.stopping.is_set():
                    self.stopping.wait(PRUNE_BREATH_S)
                self.prune_dead_letters(row.view)
            while self.store.give_back() and not self.stopping.is_set():
                self.stopping.wait(PRUNE_BREATH_S)
        except StateError as error:
            log.warning("state.prune", reason=error.message, hint=error.hint)

    def prune_dead_letters(self, view: str) -> None:
        """Drop dead letters of a view that are too old or too many, and tell how many."""
        keep, dropped = self.dead_letters.keep, 0
        before = 0 if keep is None else agreed_ms(keep) - keep
        while (
            some := self.store.prune_dead_letters(view, before, self.dead_letters.most)
        ) and not self.stopping.is_set():
            dropped += some
            self.stopping.wait(PRUNE_BREATH_S)
        if dropped:
            log.warning("dead_letters.dropped", view=view, count=dropped, hint="see `dead_letters:` in views.yaml")

    def once(self) -> ExitCode:
        """Poll every view until it has caught up; the code of what remained after a bounded time of retries.

        Raises StateDamaged when the state is found to be; it is looked through to its end.
        """
        others = [loop for loop in self.loops if loop not in self.profiles]
        deadline = time.monotonic() + ONCE_PATIENCE_S
        for group in (self.profiles, others):
            if not group:
                continue
            with ThreadPoolExecutor(min(POLLING_THREADS, len(group)), thread_name_prefix="once") as threads:
                wait([threads.submit(self.catch_up, loop, deadline) for loop in group])
        self.store.look_through()
        return self.verdict()

    def catch_up(self, loop: Loop, deadline: float) -> None:
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
        """Ask every loop to end after the page it is at; idempotent. A signal handler must not call it: see `Ending`."""
        self.stopping.set()


def left_after(threads: Sequence[threading.Thread], seconds: float) -> list[threading.Thread]:
    """Those that have not ended after so many seconds."""
    until = time.monotonic() + seconds
    for thread in threads:
        thread.join(max(0.0, until - time.monotonic()))
    return [thread for thread in threads if thread.is_alive()]


def code_of(error: BaseException) -> ExitCode:
    """The exit code that an error stands for."""
    return error.exit_code if isinstance(error, SyncError) else ExitCode.INTERNAL
