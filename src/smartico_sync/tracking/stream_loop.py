"""The loop of a view of messages: take → read → map → diff → protect → deliver → commit, in a thread of its own.

A subscription never ends, and has to be called again and again for as long as it is wanted: it keeps no thread that others
need. What is in flight is bounded; while the API takes nothing the broker is told to pause, and goes on being asked.
"""

from __future__ import annotations

import gc
import math
import os
import time
import traceback
from contextlib import contextmanager, suppress
from dataclasses import replace
from typing import TYPE_CHECKING, Literal

import structlog

from smartico_sync.catalogue.kinds import kind
from smartico_sync.core.messages.rows import read
from smartico_sync.core.records import Commit
from smartico_sync.errors import (
    DeliveryError,
    DeliveryStopped,
    PositionMoved,
    SourceError,
    StateError,
    SyncError,
    Unexpected,
    ViewRegressed,
)
from smartico_sync.observe.view_status import LaneStatus, StreamStatus
from smartico_sync.tracking.clocks import now_ms
from smartico_sync.tracking.loop import BACKOFF, FAREWELL_S, GLANCE_S, GRACE_S, IDLE_S, Standing
from smartico_sync.tracking.mailbox import Mailbox
from smartico_sync.tracking.pages_in_flight import PagesInFlight
from smartico_sync.tracking.prepared_stream import feed_of
from smartico_sync.tracking.stream_sender import StreamSender, Taken, fresh
from smartico_sync.tracking.stream_session import open_stream_session

if TYPE_CHECKING:
    import threading
    from collections.abc import Callable, Iterator, Mapping, Sequence

    from smartico_sync.core.records import LaneStep
    from smartico_sync.observe.view_status import State
    from smartico_sync.sources.stream import Subscription
    from smartico_sync.tracking.pages_in_flight import InFlight
    from smartico_sync.tracking.stream_session import StreamEquipment, StreamSession

__all__ = ["StreamLoop"]

PAGE_MESSAGES = 10_000  # at most: three of them in flight stay below 100 MB
MOST_BYTES = 32_000_000  # of rows in flight: with what the client has fetched below 400 MB
WAIT_S = 0.25  # an idle view asks the broker four times a second
BUSY_WAIT_S = 0.01  # with pages in flight: their receipts are looked at that often
PAUSE_AFTER_S = 2.0  # pages that wait longer do so for the API: shorter waits are the work itself, and a pause throws away what is fetched
DRAIN_S = 10.0  # lanes that go to another member: what is in flight may still be acknowledged
LOOK_S = 1.0  # how often lag and trouble are told
PARKED_S = 1.0  # how often rows that wait for another try are looked up
HOW = "the position of each lane is written with what it changed, and moves only from where it was"

log = structlog.get_logger()


@contextmanager
def uncollected() -> Iterator[None]:
    """Without Python's search for cycles: messages hold none, and looking through all of them again and again costs as much as reading."""
    gc.disable()
    try:
        yield
    finally:
        gc.enable()


class StreamLoop:
    """Tracks one view of messages. One thread at a time is in `run` or `poll`; all others use `mailbox` and `standing`."""

    def __init__(self, equipment: StreamEquipment) -> None:
        view = equipment.view
        self._equipment = equipment
        self._mailbox = Mailbox()
        self._flight = PagesInFlight(view.name, self._mailbox.wake, MOST_BYTES)
        self._sender = StreamSender(equipment)
        self._session: StreamSession | None = None
        self._subscription: Subscription | None = None
        self._reached: dict[str, LaneStep] = {}
        self._standing = Standing()
        self._committed: Literal["all", "less than was sent"] = "all"
        self._moves: Literal["no", "let go"] = "no"
        self._failures = 0
        self._resume_at = self._full_since = self._look_at = self._parked_at = 0.0
        self._patience_s = math.inf
        self._refused_since: float | None = None
        self._begun: Literal["not yet", "yes"] = "not yet"

    @property
    def name(self) -> str:
        """The view's name."""
        return self._equipment.view.name

    @property
    def role(self) -> Literal["profile", "transaction"]:
        """What its messages are: profiles go before transactions."""
        return kind(self._equipment.view.kind).role

    @property
    def equipment(self) -> StreamEquipment:
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

    def run(self, stopping: threading.Event) -> None:
        """Work until the daemon ends; never raises for what an operator can mend. It begins when it is first asked to poll."""
        while not stopping.is_set():
            self._step()
        self.close(FAREWELL_S)

    def poll(self, stopping: threading.Event, *, patience_s: float = math.inf) -> None:
        """Take messages in the caller's thread until every lane's end was seen, the daemon ends or something fails."""
        self._patience_s, tries, self._begun = patience_s, self._standing.tries, "yes"
        while not stopping.is_set() and (self._standing.tries == tries or len(self._flight)) and not self.pause_s:
            self._step()

    def close(self, patience_s: float = 0.0) -> None:
        """Commit what is acknowledged within some seconds, and let go of the rest."""
        self._attempt(lambda: self._settle_flight(patience_s))
        self._drop_session()
        self._attempt(self._doubt)
        self._flight.close()

    # What the subscription asks

    def known(self) -> Mapping[str, LaneStep]:
        """How far the state says that each lane is dealt with."""
        return self._equipment.store.lanes(self.name)

    def begin(self, steps: Sequence[LaneStep]) -> None:
        """Write down where lanes begin."""
        new = tuple(step for step in steps if step.expected != step.next)
        if new:
            self._equipment.store.commit(Commit(self.name, now_ms(), lanes=new))
        self._reached.update({step.lane: replace(step, expected=step.next) for step in steps})

    def drain(self) -> None:
        """Lanes go to somebody else: commit what can be acknowledged in time, and begin anew with what is left."""
        self._settle_flight(DRAIN_S)
        self._let_go()

    def lost(self) -> None:
        """Lanes went to somebody else: commit nothing."""
        self._let_go()

    def _let_go(self) -> None:
        """Take back what is in flight; the messages of lanes that stay are taken again."""
        if len(self._flight):
            self._committed, self._moves = "less than was sent", "let go"
        self._flight.withdraw()

    # The loop

    def _step(self) -> None:
        """Do the next thing there is to do, or wait for one."""
        if self._mailbox.operator_waits():
            self._attempt(lambda: self._settle_flight(GRACE_S))
            self._drop_session()
            while turn := self._mailbox.next_operator():
                turn.carry_out()
            self._resume_at = 0.0
        elif pause := self.pause_s:
            self._mailbox.wait(pause)
        elif self._begun == "not yet" and not self._mailbox.poll_due():
            self._mailbox.wait(IDLE_S)
        else:
            self._begun = "yes"
            self._attempt(self._advance)

    def _attempt(self, action: Callable[[], None]) -> None:
        """Do something; whatever goes wrong is remembered and told."""
        try:
            action()
        except DeliveryStopped:
            self._drop_session()
        except SyncError as error:
            self._trouble(error)
        except Exception as error:  # noqa: BLE001 - a view that stands still must say so, whatever the reason
            if os.environ.get("SYNC_DEBUG"):
                traceback.print_exception(error)
            self._trouble(Unexpected(error))

    def _advance(self) -> None:
        """With the view at work: commit what was acknowledged, else look after what waits, else take messages."""
        session, subscription = self._session, self._subscription
        if session is None or subscription is None:
            session, subscription = self._subscribe()
        self._look(subscription)
        if page := self._flight.take():
            self._commit(page)
            if page.level is None:
                self._equipment.recorder.behind()
            else:
                self._equipment.recorder.caught_up(page.level)
        elif self._moves == "let go":
            self._drop_session()
        elif self._flight.full:
            self._hold(subscription)
        else:
            if self._full_since:
                self._full_since = 0.0
                subscription.resume()
            self._retry(session, subscription)
            self._take(session, subscription)

    def _subscribe(self) -> tuple[StreamSession, Subscription]:
        """Take the view up where the state says."""
        equipment = self._equipment
        if isinstance(self._standing.error, StateError):
            equipment.store.probe()  # what cannot be remembered is not sent
        self._doubt()
        session = open_stream_session(equipment)
        self._sender.begin(session.row)
        equipment.recorder.subscribed(session.row, HOW)
        equipment.recorder.poll_began()
        self._reached, self._moves = {}, "no"
        feed = feed_of(equipment.configuration, equipment.view, equipment.store.state_id)
        self._subscription = subscription = equipment.stream.subscribe(feed, self)
        self._session = session
        return session, subscription

    def _take(self, session: StreamSession, subscription: Subscription) -> None:
        """Take what has come, and send it on its way; with nothing there and nothing in flight the view is level."""
        limit = min(self._equipment.view.page_rows, PAGE_MESSAGES)
        began = self._equipment.recorder.reading_began()
        page = subscription.take(limit, BUSY_WAIT_S if len(self._flight) else WAIT_S)
        if self._moves == "let go":
            return
        messages, steps = fresh(page, self._reached)
        if not messages:
            self._idle()
            if subscription.level == "level" and not len(self._flight):
                self._sender.finish_first_load()
                self._failures, self._refused_since = 0, None
                self._standing = Standing("caught up", self._standing.tries + 1)
                self._equipment.recorder.caught_up(began)
            return
        with uncollected():
            table = read(messages, session.prepared.layout)
        session = self._session = session.learning(table)
        self._reached.update({step.lane: replace(step, expected=step.next) for step in steps})
        taken, size = Taken(page, table, steps), sum(len(message.value or b"") for message in messages)
        self._standing = replace(self._standing, progress="behind")
        self._flight.send(
            lambda: self._sender.page(session, taken, subscription),
            2 * size,
            where="worker" if len(messages) == limit or len(self._flight) else "here",
            level=began if subscription.level == "level" else None,
        )

    def _retry(self, session: StreamSession, subscription: Subscription) -> None:
        """Send what waits for another try and is due."""
        now = time.monotonic()
        if now < self._parked_at and self._sender.retries_are != "to go on":
            return
        self._parked_at = now + PARKED_S
        if parked := self._sender.due():
            self._flight.send(lambda: self._sender.retries(session, parked, subscription), 0, where="worker")

    def _hold(self, subscription: Subscription) -> None:
        """Enough is in flight: wait for an answer, and stay a member of the group."""
        now = time.monotonic()
        self._full_since = self._full_since or now
        self._mailbox.wait(GLANCE_S)
        if now - self._full_since >= PAUSE_AFTER_S:
            subscription.pause()
            subscription.take(0, 0.0)
        self._idle()

    def _idle(self) -> None:
        """Nothing was taken: look whether the API takes anything."""
        if not len(self._flight):
            return
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

    def _look(self, subscription: Subscription) -> None:
        """Tell how much waits, now and then."""
        if time.monotonic() < self._look_at:
            return
        self._look_at = time.monotonic() + LOOK_S
        found, now = subscription.standing(), now_ms()
        lanes = tuple(
            LaneStatus(each.lane, each.messages, max(0, now - each.time_ms) if each.messages and each.time_ms else 0)
            for each in found.lanes
        )
        status = StreamStatus(
            lanes,
            found.rebalances,
            found.reconnects,
            found.gap_messages,
            found.deliveries,
            dict(self._sender.skipped),
        )
        self._equipment.recorder.streaming(status, found.notes)

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
        """Begin again from what the state says: what was not committed is taken again, and makes the same event ids."""
        if len(self._flight):
            self._committed = "less than was sent"
        self._flight.withdraw()
        subscription, self._subscription, self._session = self._subscription, None, None
        if subscription is not None:
            with suppress(SyncError):
                subscription.close()
        self._reached, self._full_since = {}, 0.0
        self._standing = replace(self._standing, progress="behind")

    def _trouble(self, error: SyncError) -> None:
        """Remember what happened, and pause longer each time."""
        pause = BACKOFF.pause(self._failures)
        self._failures += 1
        if isinstance(error, SourceError) and not isinstance(error, PositionMoved):
            with suppress(SyncError):  # what the API has is not touched by it
                self._settle_flight(GRACE_S)
        self._drop_session()
        self._resume_at = time.monotonic() + pause
        before, self._standing = self._standing.error, Standing("behind", self._standing.tries + 1, error)
        if before is None or before.message != error.message:
            log.error("view.trouble", view=self.name, reason=error.message, hint=error.hint, pause_s=pause)
        state: State = "halted" if self._standing.halted else "degraded"
        self._equipment.recorder.failed(error, "regressed" if isinstance(error, ViewRegressed) else state)
