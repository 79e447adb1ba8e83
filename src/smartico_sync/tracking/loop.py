"""One view's loop: read → map → diff → protect → deliver → commit, and between pages whatever others asked for.

The loop is one wait for whatever comes first: time to poll, a receipt, a turn, the end. It never waits for one receipt:
pages in flight are a bounded queue that is committed in order.
"""

from __future__ import annotations

import math
import os
import re
import time
import traceback
from contextlib import suppress
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Literal

import structlog

from smartico_sync.core.backoff import Backoff
from smartico_sync.errors import (
    ConfigError,
    DeliveryError,
    DeliveryHalted,
    DeliveryStopped,
    SourceCancelled,
    SourceError,
    StateError,
    SyncError,
    Unexpected,
    ViewAltered,
    ViewHalted,
    ViewRegressed,
)
from smartico_sync.tracking.mailbox import Mailbox
from smartico_sync.tracking.page_reader import PageSize
from smartico_sync.tracking.pages_in_flight import PagesInFlight
from smartico_sync.tracking.sender import Sender
from smartico_sync.tracking.session import open_session
from smartico_sync.tracking.source_checks import CheckMemory
from smartico_sync.tracking.workplace import Workplace

if TYPE_CHECKING:
    import threading
    from collections.abc import Callable, Sequence

    from smartico_sync.core.late_commit.mechanism import Pace
    from smartico_sync.observe.polls import Instant
    from smartico_sync.observe.view_status import State
    from smartico_sync.tracking.pages_in_flight import InFlight
    from smartico_sync.tracking.session import Equipment, Session

__all__ = ["BACKOFF", "Standing", "ViewLoop"]

BACKOFF = Backoff((1.0, 2.0, 4.0, 8.0, 16.0, 32.0, 60.0))  # after trouble; a database that is down is not hammered
GLANCE_S = 0.5  # how often a loop with pages in flight looks whether the API takes anything at all
IDLE_S = 60.0  # an idle loop is woken by whoever has something for it; this is only for safety
GRACE_S = 1.0  # what is in flight may still be acknowledged when a person waits, or something went wrong
FAREWELL_S = 3.0  # the same when the daemon ends

DIGITS = re.compile(r"[0-9]+")

log = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class Standing:
    """How a view stands, for whoever schedules it. `tries`: how many polls have ended, well or not.

    `unregistered`: events that wait because nobody registered their brand.
    """

    progress: Literal["behind", "caught up"] = "behind"
    tries: int = 0
    error: SyncError | None = None
    dead_lettered: int = 0
    unregistered: int = 0

    @property
    def settled(self) -> bool:
        """Whether others need not wait for this view any longer."""
        return self.progress == "caught up" or (self.tries > 0 and self.error is not None)

    @property
    def halted(self) -> bool:
        """Whether only a change by the operator helps."""
        return isinstance(self.error, ViewHalted | ConfigError | DeliveryHalted)


class ViewLoop:
    """Tracks one view. One thread at a time is in `run` or `poll`; all others use `mailbox` and `standing`."""

    def __init__(self, equipment: Equipment) -> None:
        view = equipment.view
        self._equipment = equipment
        self._mailbox = Mailbox()
        self._flight = PagesInFlight(view.name, self._mailbox.wake)
        self._sender = Sender(equipment)
        self._memory = CheckMemory()
        self._size = PageSize(view.page_rows)
        self._session: Session | None = None
        self._standing = Standing()
        self._reading: Literal["level", "behind"] = "level"
        self._level: Instant | None = None
        self._committed: Literal["all", "less than was sent"] = "all"
        self._failures = 0
        self._described: Literal["once", "again"] = "once"
        self._resume_at = 0.0
        self._polls: Literal["by schedule", "never"] = "by schedule"
        self._patience_s = math.inf
        self._refused_since: float | None = None
        self._told: frozenset[str] = frozenset()

    @property
    def name(self) -> str:
        """The view's name."""
        return self._equipment.view.name

    @property
    def role(self) -> Literal["profile", "transaction"]:
        """What its rows are: profiles go before transactions."""
        return "profile" if self._equipment.view.kind == "users" else "transaction"

    @property
    def equipment(self) -> Equipment:
        """What it works with."""
        return self._equipment

    @property
    def mailbox(self) -> Mailbox:
        """The way to ask it for something."""
        return self._mailbox

    @property
    def standing(self) -> Standing:
        """How it stands now."""
        return replace(self._standing, dead_lettered=self._sender.dead_lettered, unregistered=self._sender.unregistered)

    @property
    def pause_s(self) -> float:
        """Seconds until it does something again after trouble."""
        return max(0.0, self._resume_at - time.monotonic())

    def run(self, stopping: threading.Event, polls: Literal["by schedule", "never"] = "by schedule") -> None:
        """Work until the daemon ends; never raises for what an operator can mend. Without polls there are only turns."""
        self._polls = polls
        while not stopping.is_set():
            self._step()
        self.close(FAREWELL_S)

    def poll(
        self, stopping: threading.Event, *, patience_s: float = math.inf, checks: Literal["due", "now"] = "due"
    ) -> None:
        """One poll in the caller's thread: read, deliver and commit until the view is level, the daemon ends or something fails.

        `patience_s`: how long an API that takes nothing is waited for. `checks` now: look at the source, whatever the time.
        """
        self._patience_s, tries = patience_s, self._standing.tries
        self._mailbox.ask_to_poll()
        if checks == "now":
            self._memory.next_ms, self._resume_at = 0, 0.0
        while not stopping.is_set() and (self._standing.tries == tries or len(self._flight)) and not self.pause_s:
            self._step()

    def close(self, patience_s: float = 0.0) -> None:
        """Commit what is acknowledged within some seconds, and let go of the rest."""
        self._attempt(lambda: self._settle_flight(patience_s))
        self._drop_session()
        self._attempt(self._doubt)
        self._flight.close()

    def _step(self) -> None:
        """Do the next thing there is to do, or wait for one."""
        if self._mailbox.operator_waits():
            self._attempt(lambda: self._settle_flight(GRACE_S))
            self._drop_session()
            while turn := self._mailbox.next_operator():
                turn.carry_out()
            self._resume_at = 0.0
            self._mailbox.ask_to_poll()
        elif pause := self.pause_s:
            self._mailbox.wait(pause)
        else:
            self._attempt(self._advance)

    def _attempt(self, action: Callable[[], None]) -> None:
        """Do something; whatever goes wrong is remembered and told."""
        try:
            action()
        except DeliveryStopped:
            self._drop_session()
        except ViewAltered as altered:
            self._describe_again(altered)
        except SyncError as error:
            self._trouble(error)
        except Exception as error:  # noqa: BLE001 - a view that stands still must say so, whatever the reason
            if os.environ.get("SYNC_DEBUG"):
                traceback.print_exception(error)
            self._trouble(Unexpected(error))

    def _advance(self) -> None:
        """With the view at work: commit what was acknowledged, else carry out a turn, else read, else wait."""
        session = self._session or self._begin()
        if page := self._flight.take():
            self._commit(page)
            self._settled(page.level)
        elif self._flight.overdue():
            self._drop_session()
        elif self._flight.full:
            self._wait()
        elif turn := self._mailbox.next_view():
            turn.carry_out(session, Workplace(self._sender, self._flight))
        elif self._reading == "behind":
            self._read(session, "behind")
        elif self._polls == "by schedule" and self._mailbox.poll_due():
            self._poll(session)
        else:
            self._wait()

    def _describe_again(self, altered: ViewAltered) -> None:
        """Begin again with the view's columns as they are now, at once; where that does not help, as after any trouble."""
        if self._described == "again":
            self._trouble(altered)
            return
        self._described = "again"
        with suppress(SyncError):
            self._settle_flight(GRACE_S)
        self._drop_session()
        log.info("view.described_again", view=self.name, reason=altered.message)

    def _begin(self) -> Session:
        """Take the view up where the state says."""
        if isinstance(self._standing.error, StateError):
            self._equipment.store.probe()  # what cannot be remembered is not sent
        self._doubt()
        self._equipment.recorder.opens()
        self._session = session = open_session(self._equipment, self._memory)
        self._equipment.recorder.opened(session.prepared, session.row)
        self._sender.begin(session.row)
        return session

    def _poll(self, session: Session) -> None:
        """Look for something new: whether the source is the same, rows that wait for another try, and the next page."""
        self._mailbox.poll_begins()
        self._equipment.recorder.poll_began()
        if session.checks.minute_is_over:
            self._equipment.source.verify(session.prepared.relation)
        if session.checks.due:
            with self._equipment.source.reading(session.prepared.relation) as reading:
                seen = session.checks.look(reading, session.reader)
            self._equipment.recorder.inspected(null_cursors=seen.null_cursors, warnings=seen.warnings)
            self._tell(seen.warnings)
            self._equipment.recorder.mutated(seen.mutated)
            if seen.without_cursor is not None:
                rows = seen.without_cursor
                self._flight.send(
                    lambda: self._sender.without_cursor(session, seen.read_time, rows), rows.estimated_size()
                )
        if parked := self._sender.due():
            self._flight.send(lambda: self._sender.retries(session, parked), 0)
        self._read(session, "caught_up")

    def _tell(self, warnings: Sequence[str]) -> None:
        """Log what a person should know of the view, once for as long as it is so, whatever numbers it names."""
        told = {DIGITS.sub("", warning): warning for warning in warnings}
        for gist, warning in told.items():
            if gist not in self._told:
                log.warning("view.advice", view=self.name, reason=warning)
        self._told = frozenset(told)

    def _read(self, session: Session, pace: Pace) -> None:
        """One short transaction: the next page, and what a rescan finds below it; then send it on its way."""
        began, limit = self._equipment.recorder.reading_began(), self._size.rows
        with self._equipment.source.reading(session.prepared.relation) as reading:
            session.checks.recognise(reading, session.reader)
            read = session.reader.read(reading, limit, "busy" if self._flight.scanning else pace)
        level = read.page.height < limit and read.through is None
        self._reading = "level" if level else "behind"
        self._size.fit(read.page, self._reading)
        if level and read.page.height:
            session.checks.delivering(read.after, read.page)
        self._equipment.recorder.read(read, session.reader)
        self._level = began if level else None
        if read.has_news:
            self._flight.send(
                lambda: self._sender.page(session, read),
                read.page.estimated_size(),
                where="here" if level else "worker",
                scan="part" if read.rescanned else "none",
                level=self._level,
            )
        elif not len(self._flight):
            self._settled(self._level)

    def _settled(self, level: Instant | None) -> None:
        """Something was committed, or there was nothing to commit. `level`: when a reading began that left nothing behind."""
        if not len(self._flight):
            level = self._level
            if self._sender.retries_are == "to go on":
                self._mailbox.ask_to_poll()
                level = None
        if level is None:
            self._equipment.recorder.behind()
            return
        if not len(self._flight):
            self._sender.finish_first_load()
        self._failures, self._refused_since, self._described = 0, None, "once"
        self._standing = Standing("caught up", self._standing.tries + 1)
        self._equipment.recorder.caught_up(level)

    def _commit(self, page: InFlight) -> None:
        """Commit a page, or know that what it held may have arrived all the same."""
        try:
            page.settle()
        except BaseException:
            self._committed = "less than was sent"
            raise

    def _doubt(self) -> None:
        """Let the state know that profiles may have arrived which were never committed."""
        if self._committed == "less than was sent" and self.role == "profile":
            self._equipment.store.judge_fingerprints(self.name, "doubted")
        self._committed = "all"

    def _wait(self) -> None:
        """Wait for whatever comes first; while something is in flight, look whether the API takes anything."""
        if not len(self._flight):
            self._mailbox.wait(IDLE_S)
            return
        self._mailbox.wait(GLANCE_S)
        problem = self._equipment.delivery.problem()
        self._equipment.recorder.waits_for_api(problem, self._flight.oldest_s())
        if problem is None:
            self._refused_since = None
            if isinstance(self._standing.error, DeliveryError):
                self._standing = replace(self._standing, error=None)
            return
        self._standing = replace(self._standing, progress="behind", error=problem)
        self._refused_since = self._refused_since or time.monotonic()
        if time.monotonic() - self._refused_since > self._patience_s:
            raise problem

    def _settle_flight(self, patience_s: float) -> None:
        """Commit what is acknowledged within some seconds."""
        until = time.monotonic() + patience_s
        while len(self._flight):
            if page := self._flight.take():
                self._commit(page)
            elif time.monotonic() < until:
                self._mailbox.wait(until - time.monotonic())
            else:
                return

    def _drop_session(self) -> None:
        """Begin again from what the state says: whatever was not committed is read again, and makes the same event ids."""
        if len(self._flight):
            self._committed = "less than was sent"
        self._flight.withdraw()
        self._session, self._reading, self._level = None, "level", None
        self._standing = replace(self._standing, progress="behind")
        self._mailbox.ask_to_poll()

    def _trouble(self, error: SyncError) -> None:
        """Remember what happened, and pause longer each time."""
        pause = BACKOFF.pause(self._failures)
        self._failures += 1
        if isinstance(error, SourceError):
            with suppress(SyncError):  # what the API has is not touched by it
                self._settle_flight(GRACE_S)
        self._drop_session()
        self._resume_at = time.monotonic() + pause
        if isinstance(error, SourceCancelled):
            self._size.shrink()
        before, self._standing = self._standing.error, Standing("behind", self._standing.tries + 1, error)
        if before is None or before.message != error.message:
            log.error("view.trouble", view=self.name, reason=error.message, hint=error.hint, pause_s=pause)
        state: State = "halted" if self._standing.halted else "degraded"
        self._equipment.recorder.failed(error, "regressed" if isinstance(error, ViewRegressed) else state)
