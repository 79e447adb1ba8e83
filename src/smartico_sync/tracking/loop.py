"""One view's loop: read → map → diff → protect → deliver → commit, and between pages whatever others asked for.

The loop is one wait for whatever comes first: time to poll, a receipt, a turn, the end. It never waits for one receipt:
pages in flight are a bounded queue that is committed in order.
"""

from __future__ import annotations

import math
import time
from contextlib import suppress
from typing import TYPE_CHECKING, Literal
from zlib import crc32

import structlog
from msgspec.structs import replace

from smartico_sync.core.tracing import UNTRACED, within
from smartico_sync.errors import (
    RowsTooWide,
    SourceCancelled,
    StateError,
    SyncError,
    ViewAltered,
)
from smartico_sync.observe.finding import NEXT, gist
from smartico_sync.tracking.base_loop import GLANCE_S, GRACE_S, IDLE_S, BaseLoop, Standing
from smartico_sync.tracking.clocks import steady_ms
from smartico_sync.tracking.page_size import PageSize
from smartico_sync.tracking.quiet import Quiet, due_ms, foreseen, rescan
from smartico_sync.tracking.scan_pace import ScanPace
from smartico_sync.tracking.sender import Sender
from smartico_sync.tracking.session import open_session
from smartico_sync.tracking.source_checks import CheckMemory
from smartico_sync.tracking.workplace import Workplace

if TYPE_CHECKING:
    import threading
    from collections.abc import Sequence

    import polars as pl

    from smartico_sync.core.late_commit.mechanism import Pace, ReadTime
    from smartico_sync.delivery.protocol import Requests
    from smartico_sync.observe.polls import Instant
    from smartico_sync.tracking.session import Equipment, Session

__all__ = ["ViewLoop"]

QUIET_AFTER = 2  # polls that found nothing: where rows come all the time, whoever asks whether there are any asks twice
NARROWINGS = 40  # one after the other: each halves what some question asks for, so that more of them are trouble
ANY_TIME_MS = 2**62  # however late the next try is
QUIET_MS = 300_000  # the longest without a poll of its own: what nobody thought of is not put off for longer
SPREAD_MS = 60_000  # views that came to rest together do not poll together

log = structlog.get_logger()


class ViewLoop(BaseLoop["Equipment", Sender]):
    """Tracks one view of a database, see BaseLoop."""

    def __init__(self, equipment: Equipment) -> None:
        super().__init__(equipment, Sender(equipment))
        view, replica = equipment.view.name, equipment.replica
        self._width = equipment.memory.width(view)
        self._memory = CheckMemory(scans=ScanPace(view, replica), replica=replica, width=self._width)
        self._size = PageSize(equipment.view.page_rows, self._width)
        self._session: Session | None = None
        self._reading: Literal["level", "behind"] = "level"
        self._level: Instant | None = None
        self._described: Literal["once", "again"] = "once"
        self._narrowed = 0  # readings one after the other that were given up
        self._polls: Literal["by schedule", "never"] = "by schedule"
        self._told: frozenset[str] = frozenset()
        self._without_rows = 0  # readings of the session, one after the other
        self._quiet: Quiet | None = None

    @property
    def quiet(self) -> Quiet | None:
        """Why it need not poll by itself, from the end of a poll until it does anything else; None where it must."""
        return self._quiet

    def run(self, stopping: threading.Event, polls: Literal["by schedule", "never"] = "by schedule") -> None:
        """Work until the daemon ends; never raises for what an operator can mend. Without polls there are only turns."""
        self._polls = polls
        self._work(stopping)

    def poll(
        self, stopping: threading.Event, *, patience_s: float = math.inf, checks: Literal["due", "now"] = "due"
    ) -> None:
        """One poll in the caller's thread: read, deliver and commit until the view is level, the daemon ends or something fails.

        `patience_s`: how long an API that takes nothing is waited for. `checks` now: look at the source, whatever the time.
        """
        self._mailbox.ask_to_poll()
        if checks == "now":
            self._memory.next_ms, self._resume_at = 0, 0.0
        self._work_once(stopping, patience_s)

    def close(self, patience_s: float = 0.0) -> None:
        """As any loop, and others may have its part of the replica's time."""
        super().close(patience_s)
        self._equipment.replica.forget(self.name)

    def _step(self) -> None:
        """Do the next thing there is to do, or wait for one."""
        if self._mailbox.operator_waits():
            self._carry_out_turns()
            self._mailbox.ask_to_poll()
        elif pause := self.pause_s:
            self._mailbox.wait(pause)
        else:
            self._attempt(self._advance)

    def _advance(self) -> None:
        """With the view at work: commit what was acknowledged, else carry out a turn, else read, else wait."""
        # Delivery keeps each player's order: behind a request that takes long only its own players need to wait.
        if self._session is None and self._empty_outbox() == "on its way" and self._standing.waits == "no":
            return
        session = self._session or self._begin()
        if page := self._flight.take():
            self._quiet = None
            self._commit(page)
            self._settled(page.level)
        elif self._flight.overdue():
            self._drop_session()
        elif self._flight.full:
            self._wait()
        elif turn := self._mailbox.next_view():
            self._quiet = None
            turn.carry_out(session, Workplace(self._sender, self._flight))
        elif self._reading == "behind":
            self._read(session, "behind")
        elif self._polls == "by schedule" and self._mailbox.poll_due():
            self._poll(session)
        else:
            self._wait()

    def _describe_again(self, altered: ViewAltered) -> None:
        """Begin again with the view's columns as they are now, at once."""
        self._described = "again"
        with suppress(SyncError):
            self._settle_flight(GRACE_S)
        self._drop_session()
        log.info("view.described_again", view=self.name, reason=altered.message)

    def _read_narrower(self, error: RowsTooWide) -> None:
        """Read again at once, with fewer rows; of those that came nothing was taken, so nothing is lost."""
        self._narrowed += 1
        self._width.too_wide(error)
        self._mailbox.ask_to_poll()
        log.debug("view.wide_rows", view=self.name, rows=error.rows, bytes=error.size)

    def _begin(self) -> Session:
        """Take the view up where the state says."""
        if isinstance(self._standing.error, StateError):
            self._equipment.store.probe()  # what cannot be remembered is not sent
        self._doubt()
        self._equipment.recorder.opens()
        self._session = session = open_session(self._equipment, self._memory)
        self._equipment.recorder.opened(session.prepared, session.row, self._equipment.protection)
        self._sender.begin(session.row)
        return session

    def _poll(self, session: Session) -> None:
        """Look for something new: whether the source is the same, rows that wait for another try, and the next page."""
        if self._quiet is not None:
            session.checks.take_over(self._quiet)
        self._quiet = None
        self._mailbox.poll_begins()
        self._equipment.recorder.poll_began()
        if (replication := session.checks.replication(self._equipment.source)) is not None:
            self._equipment.recorder.replicates(replication)
        if session.checks.columns_are_due:
            self._equipment.source.verify(session.prepared.relation)
        if session.checks.due:
            session.checks.count_nulls(self._equipment.source)
            with self._equipment.source.reading(session.prepared.relation) as reading:
                seen = session.checks.look(reading, session.reader)
            self._equipment.recorder.inspected(
                null_cursors=seen.null_cursors, warnings=seen.warnings, advice=seen.advice
            )
            self._tell(seen.warnings)
            self._equipment.recorder.mutated(seen.mutated)
            if seen.without_cursor is not None:
                rows = seen.without_cursor
                self._flight.send(
                    lambda: self._sender.without_cursor(session, seen.read_time, rows), rows.estimated_size()
                )
        if parked := self._sender.due():
            self._flight.send(lambda: self._sender.retries(session, parked), len(parked) * self._width.bytes)
        self._read(session, "caught_up")

    def _tell(self, warnings: Sequence[str]) -> None:
        """Log what a person should know of the view, once for as long as it is so, whatever numbers it names."""
        told = {gist(warning): warning for warning in warnings}
        for about, warning in told.items():
            if about not in self._told:
                reason, _, hint = warning.partition(NEXT)
                log.warning("view.advice", view=self.name, reason=reason, hint=hint)
        self._told = frozenset(told)

    def _read(self, session: Session, pace: Pace) -> None:
        """One short transaction: the next page, and what a rescan finds below it; then send it on its way."""
        began, memory = self._equipment.recorder.reading_began(), self._equipment.memory
        limit = self._size.limit(self._reading, memory.page_bytes(self.name))
        if self._reading == "behind":
            memory.reserve(self.name, limit * self._width.bytes)
        span = self._equipment.tracer.begin("poll", view=self.name, source=self._equipment.view.source)
        at, source = time.monotonic(), self._equipment.source
        pace = "busy" if self._flight.scanning or session.reader.scans.waits else pace
        holds: Literal["rows", "nothing"] = "nothing" if self._without_rows else "rows"
        begun_ms = steady_ms()
        first = foreseen(session.reader, limit, pace, begun_ms, holds) if self._reading == "level" else None
        reader = session.reader
        before = reader.kept
        try:
            with within(span), source.reading(session.prepared.relation, first) as reading:
                session.checks.recognise(reading, reader)
                read = reader.read(reading, limit, pace, begun_ms)
                level = read.page.height < limit and read.through is None
                if level and read.page.height:
                    session.checks.delivering(reading, read.after, read.page)
        except RowsTooWide as error:
            if self._narrowed == NARROWINGS:
                raise
            reader.go_back(before)
            self._read_narrower(error)
            return
        requests: Requests = "spread" if level and self._reading == "level" else "full"
        self._reading = "level" if level else "behind"
        self._size.fit(read.page, self._reading)
        self._equipment.recorder.read(read, session.reader)
        self._level = began if level else None
        self._without_rows = 0 if read.has_rows else self._without_rows + 1
        if not read.has_rows and not len(self._flight) and self._sender.found_nothing(session, read) == "settled":
            self._settled(self._level)
            self._quiet = self._waits_for_rows(session, read.read_time)
        elif read.has_news:
            log.debug("page", view=self.name, page=read.number, rows=read.page.height, late=rows_of(read.late))
            span.past("read", time.monotonic() - at, rows=read.page.height, late=rows_of(read.late))
            self._flight.send(
                lambda: self._sender.page(session, read, span if read.size else UNTRACED, requests),
                read.size,
                where="here" if level else "worker",
                scan="part" if read.rescanned else "none",
                level=self._level,
            )
        elif not len(self._flight):
            self._settled(self._level)

    def _waits_for_rows(self, session: Session, read_time: ReadTime) -> Quiet | None:
        """What it waits for, after some polls that found nothing, where that is nothing but rows behind its head."""
        if self._without_rows < QUIET_AFTER or self._level is None or self._polls == "never":
            return None
        now, checks, reader = read_time.steady_ms, session.checks, session.reader
        scan_ms, scans = rescan(reader, read_time)
        look_ms, looks = checks.again(reader)
        until = min(due_ms(reader, read_time), scan_ms, look_ms, now + QUIET_MS + crc32(self.name.encode()) % SPREAD_MS)
        parked = self._equipment.store.parked(self.name, ANY_TIME_MS, 1)  # more than that only its own turns can add
        if until <= now or self._mailbox.poll_due() or parked or self._sender.retries_are != "none":
            return None
        return Quiet(
            session.prepared.relation,
            reader.head,
            read_time.server,
            until,
            (*scans, *looks),
            checks.nulls_are,
            checks.replication_ms,
        )

    def _settled(self, level: Instant | None) -> None:
        """Something was committed, or there was nothing to commit. `level`: when a reading began that left nothing behind."""
        self._narrowed = 0
        if not len(self._flight):
            level = self._level
            unfinished = self._session is not None and self._session.reader.unfinished
            if self._sender.retries_are == "to go on" or unfinished:
                self._mailbox.ask_to_poll()
                level = None
        self._well()
        if level is None:
            self._equipment.recorder.behind()
            return
        if not len(self._flight):
            self._sender.finish_first_load()
        self._failures, self._refused_since, self._described = 0, None, "once"
        self._standing = Standing("caught up", self._standing.tries + 1)
        self._equipment.recorder.caught_up(level)

    def _nothing_to_read(self) -> bool:
        return self._level is not None or super()._nothing_to_read()

    def _wait(self) -> None:
        """Wait for whatever comes first; while something is in flight, look whether the API takes anything."""
        if not len(self._flight):
            self._mailbox.wait(IDLE_S)
            return
        self._mailbox.wait(GLANCE_S)
        self._look_at_api()

    def _drop_session(self) -> None:
        """Begin again from what the state says: whatever was not committed is read again, and makes the same event ids."""
        super()._drop_session()
        self._session, self._reading, self._level = None, "level", None
        self._without_rows, self._quiet = 0, None
        self._standing = replace(self._standing, progress="behind")
        self._mailbox.ask_to_poll()

    def _trouble(self, error: SyncError) -> None:
        """As after any trouble; columns that changed are none at first, nor are wide rows. What the server ended asks for smaller pages."""
        if isinstance(error, ViewAltered) and self._described == "once":
            self._describe_again(error)
            return
        if isinstance(error, RowsTooWide) and self._narrowed < NARROWINGS:
            self._read_narrower(error)
            with suppress(SyncError):
                self._settle_flight(GRACE_S)
            self._drop_session()
            return
        super()._trouble(error)
        if isinstance(error, RowsTooWide):
            self._width.too_wide(error)
        if isinstance(error, SourceCancelled):
            self._size.shrink()


def rows_of(part: pl.DataFrame | None) -> int:
    """How many rows there are."""
    return 0 if part is None else part.height
