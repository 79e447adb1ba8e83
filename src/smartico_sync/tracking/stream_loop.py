"""The loop of a view of messages: take → read → map → diff → protect → deliver → commit, in a thread of its own.

A subscription never ends, and has to be called again and again for as long as it is wanted: it keeps no thread that others
need. What is in flight is bounded; while the API takes nothing the broker is told to pause, and goes on being asked.
"""

from __future__ import annotations

import gc
import math
import time
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, Literal

import structlog
from msgspec.structs import replace

from smartico_sync.core.backoff import Backoff
from smartico_sync.core.messages.kept import packed
from smartico_sync.core.messages.message import place_of
from smartico_sync.core.messages.reader import Reader
from smartico_sync.core.records import Commit, LaneStep
from smartico_sync.errors import PositionMoved, StateError, SyncError
from smartico_sync.observe.view_status import LaneStatus, StreamStatus
from smartico_sync.tracking.base_loop import GLANCE_S, IDLE_S, BaseLoop, Standing
from smartico_sync.tracking.clocks import now_ms
from smartico_sync.tracking.prepared_stream import feed_of, layout_of
from smartico_sync.tracking.stream_sender import StreamSender, Taken, counted, fresh
from smartico_sync.tracking.stream_session import open_stream_session

if TYPE_CHECKING:
    import threading
    from collections.abc import Iterator, Mapping, Sequence

    from smartico_sync.core.messages.message import Message
    from smartico_sync.core.messages.rows import Table
    from smartico_sync.sources.stream import Lag, Page, Subscription
    from smartico_sync.sources.stream import Standing as BrokerStanding
    from smartico_sync.tracking.stream_session import StreamEquipment, StreamSession

__all__ = ["StreamLoop"]

PAGE_MESSAGES = 10_000  # at most: three of them in flight stay below 100 MB
MOST_BYTES = 32_000_000  # of rows in flight: with what the client has fetched below 400 MB
WAIT_S = 0.25  # an idle view asks the broker four times a second
BUSY_WAIT_S = 0.01  # with pages in flight: their receipts are looked at that often
PAUSE_AFTER_S = 2.0  # pages that wait longer do so for the API: shorter waits are the work itself, and a pause throws away what is fetched
DRAIN_S = 10.0  # lanes that go to another member: what is in flight may still be acknowledged
SELDOM = (
    100_000  # new objects until Python searches for cycles: a page of messages is tens of thousands, and holds none
)
HELD_S = 5.0  # how often a member looks whether its lanes are still its own; what it would commit is refused anyway
LOOK_S = 1.0  # how often lag and trouble are told
RECONNECT = Backoff((1.0, 2.0, 4.0, 8.0, 16.0, 32.0))  # a broker that is back has a queue that grew all the while
PASS_S = 10.0  # how often it is written down that a lane ends behind its last message: where transactions write, each has a mark there
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


class StreamLoop(BaseLoop["StreamEquipment", StreamSender]):
    """Tracks one view of messages, see BaseLoop."""

    backoff = RECONNECT

    def __init__(self, equipment: StreamEquipment) -> None:
        super().__init__(equipment, StreamSender(equipment), MOST_BYTES)
        gc.set_threshold(SELDOM, *gc.get_threshold()[1:])
        self._session: StreamSession | None = None
        self._subscription: Subscription | None = None
        self._reader = Reader(layout_of(equipment.view))
        self._reached: dict[str, LaneStep] = {}
        self._moves: Literal["no", "let go", "begin anew"] = "no"
        self._full_since = self._look_at = self._parked_at = self._held_at = self._pass_at = 0.0
        self._aside: Page | None = None
        self._begun: Literal["not yet", "yes"] = "not yet"
        self._before = StreamStatus(skipped=dict(self._sender.skipped))  # what subscriptions counted that have ended
        self._subscribed = 0
        equipment.recorder.streaming(self._before, ())

    def run(self, stopping: threading.Event) -> None:
        """Work until the daemon ends; never raises for what an operator can mend. It begins when it is first asked to poll."""
        self._work(stopping)

    def poll(self, stopping: threading.Event, *, patience_s: float = math.inf) -> None:
        """Take messages in the caller's thread until every lane's end was seen, the daemon ends or something fails."""
        self._begun = "yes"
        self._work_once(stopping, patience_s)

    @property
    def _shares(self) -> bool:
        """Whether other members of a cluster read lanes of the same view, with the same state."""
        return self._equipment.store.owner is not None

    # What the subscription asks

    def known(self) -> Mapping[str, LaneStep]:
        """How far the state says that each lane is dealt with."""
        return self._equipment.store.lanes(self.name)

    def begin(self, steps: Sequence[LaneStep]) -> None:
        """Write down where lanes begin, and whose they are."""
        if self._shares:
            self._sender.claimed(self._equipment.store.claim(self.name, steps))
            self._outbox = "unknown"  # what is on its way of them goes first
        new = tuple(step for step in steps if step.expected != step.next)
        if new and not self._shares:
            self._equipment.store.commit(Commit(self.name, now_ms(), lanes=new))
        self._reached.update({step.lane: replace(step, expected=step.next) for step in steps})

    def drain(self) -> None:
        """Lanes go to somebody else: commit what can be acknowledged in time, and begin anew with what is left."""
        self._settle_flight(DRAIN_S)
        self._let_go()

    def lost(self) -> None:
        """Lanes went to somebody else: commit nothing."""
        self._let_go()
        if self._shares:
            self._reached, self._aside, self._moves = {}, None, "begin anew"

    def released(self, lanes: Sequence[str]) -> None:
        """Let another member have lanes; after a bad end it finds out whose they were."""
        if not self._shares:
            return
        for lane in lanes:
            self._reached.pop(lane, None)
        if self._aside is not None:
            messages = self._aside.messages
            self._aside = replace(self._aside, messages=messages.chosen([lane not in lanes for lane in messages.lanes]))
        if self._moves == "let go" and not self._reached:
            # All go, and come from where the state says: nobody need leave the group for that.
            self._moves = "begin anew"
        if self._moves == "no" and self._committed == "all":
            self._equipment.store.give_up(self.name, lanes)

    def returning(self, lanes: Sequence[str]) -> None:
        """What waits of these lanes comes again."""
        self._equipment.store.forget_returning(self.name, lanes)
        self._sender.look_again()

    def keep(self, messages: Sequence[Message]) -> None:
        """Keep messages of parked rows."""
        self._equipment.store.keep_bodies(self.name, {place_of(message): packed(message) for message in messages})

    def _let_go(self) -> None:
        """Take back what is in flight; the messages of lanes that stay are taken again."""
        if len(self._flight):
            self._committed, self._moves = "less than was sent", "let go"
        self._flight.withdraw()

    # The loop

    def _step(self) -> None:
        """Do the next thing there is to do, or wait for one."""
        if self._mailbox.operator_waits():
            self._carry_out_turns()
        elif pause := self.pause_s:
            self._mailbox.wait(pause)
        elif self._begun == "not yet" and not self._mailbox.poll_due():
            self._mailbox.wait(IDLE_S)
        else:
            self._begun = "yes"
            self._attempt(self._advance)

    def _advance(self) -> None:
        """With the view at work: commit what was acknowledged, else look after what waits, else take messages."""
        session, subscription = self._session, self._subscription
        if session is None and not self._shares and self._empty_outbox() == "on its way":
            return
        if session is None or subscription is None:
            session, subscription = self._subscribe()
        self._look(subscription)
        if self._shares and self._moves == "no" and self._outbox != "empty" and self._empty_outbox() == "on its way":
            subscription.take(0, 0.0)  # as long as it takes: who asks for nothing is a member all the same
            return
        if page := self._flight.take():
            self._commit(page)
            self._well()
            if page.level is None:
                self._equipment.recorder.behind()
            else:
                self._equipment.recorder.caught_up(page.level)
                # A topic that is written to all the time is never seen with nothing on its way, and transactions wait for this.
                self._standing = replace(self._standing, progress="caught up")
        elif self._moves == "let go":
            self._drop_session()
        elif self._moves == "begin anew":
            self._begin_anew()
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
        if self._shares:
            feed, self._outbox = replace(feed, members="many"), "empty"  # of no lane yet
        self._subscription = subscription = equipment.stream.subscribe(feed, self)
        self._session = session
        self._subscribed += 1
        return session, subscription

    def _begin_anew(self) -> None:
        """What was on its way is taken back, and all lanes went: go on with those that were given since, as a member of the group all the while."""
        self._doubt()
        self._session = open_stream_session(self._equipment)
        self._sender.begin(self._session.row)
        self._sender.open.clear()
        self._moves, self._outbox = "no", "unknown"

    def _take(self, session: StreamSession, subscription: Subscription) -> None:
        """Take what has come, and send it on its way; with nothing there and nothing in flight the view is level."""
        limit = min(self._equipment.view.page_rows, PAGE_MESSAGES)
        began = self._equipment.recorder.reading_began()
        page, self._aside = self._aside or subscription.take(limit, BUSY_WAIT_S if len(self._flight) else WAIT_S), None
        if self._moves == "let go":
            return
        if self._shares and (self._outbox != "empty" or self._moves == "begin anew"):
            self._aside = page
            return
        messages, steps = fresh(page, self._reached)
        if not messages:
            if len(self._flight):
                self._look_at_api()
            if subscription.level == "level" and not len(self._flight):
                if time.monotonic() >= self._pass_at:
                    self._pass(subscription)
                if self._reached or not self._shares:
                    self._sender.finish_first_load()
                self._failures, self._refused_since = 0, None
                self._standing = Standing("caught up", self._standing.tries + 1)
                self._well()
                self._equipment.recorder.caught_up(began)
            return
        with uncollected():
            table = self._reader.read(messages)
        session = self._session = session.learning(table)
        self._reached.update({step.lane: replace(step, expected=step.next) for step in steps})
        taken, size = Taken(page, table, steps, counted(messages, len(steps))), messages.size
        self._standing = replace(self._standing, progress="behind")
        self._sender.open.append(taken)
        self._flight.send(
            lambda: self._sender.page(session, taken, subscription),
            2 * size,
            where="worker" if len(messages) == limit or len(self._flight) else "here",
            level=began if subscription.level == "level" else None,
        )

    def _pass(self, subscription: Subscription) -> None:
        """With nothing on its way: write down which lanes are read further than their last message."""
        steps = tuple(
            LaneStep(lane, before.next, at, before.epoch)
            for lane, (since, at) in subscription.passed().items()
            if (before := self._reached.get(lane)) is not None and since <= before.next < at
        )
        if steps:
            self._equipment.store.commit(Commit(self.name, now_ms(), lanes=steps))
            self._reached.update({step.lane: replace(step, expected=step.next) for step in steps})
            self._pass_at = time.monotonic() + PASS_S

    def _retry(self, session: StreamSession, subscription: Subscription) -> None:
        """Send what waits for another try and is due."""
        now = time.monotonic()
        if now < self._parked_at and self._sender.retries_are != "to go on":
            return
        self._parked_at = now + PARKED_S
        if parked := self._sender.due():
            if self._shares:  # an operator may have asked another member for it
                self._sender.look_again()
            self._flight.send(
                lambda: self._sender.retries(session, parked, subscription, self._learn), 0, where="worker"
            )

    def _learn(self, table: Table) -> None:
        """Know the columns of messages that were read again."""
        if self._session is not None:
            self._session = self._session.learning(table)

    def _hold(self, subscription: Subscription) -> None:
        """Enough is in flight: wait for an answer, and stay a member of the group."""
        now = time.monotonic()
        self._full_since = self._full_since or now
        self._mailbox.wait(GLANCE_S)
        if now - self._full_since >= PAUSE_AFTER_S:
            subscription.pause()
            subscription.take(0, 0.0)
        self._look_at_api()

    def _look(self, subscription: Subscription) -> None:
        """Tell how much waits, now and then."""
        if time.monotonic() < self._look_at:
            return
        self._look_at = time.monotonic() + LOOK_S
        if self._shares:
            self._look_whose()
        found, now = subscription.standing(), now_ms()
        lanes = tuple(self._lane(each, now) for each in found.lanes)
        status = replace(self._counted(found), lanes=lanes, skipped=dict(self._sender.skipped))
        self._equipment.recorder.streaming(status, found.notes, found.advice)

    def _counted(self, found: BrokerStanding) -> StreamStatus:
        """What was counted since the start: by a subscription, and by those before it."""
        before = self._before
        return StreamStatus(
            rebalances=before.rebalances + found.rebalances,
            reconnects=self._subscribed - 1,
            gap_messages=before.gap_messages + found.gap_messages,
            deliveries=max(before.deliveries, found.deliveries),
        )

    def _look_whose(self) -> None:
        """Find out, with nothing to commit, that an operator has moved the view, or another member has a lane."""
        if time.monotonic() < self._held_at:
            return
        self._held_at = time.monotonic() + HELD_S
        if gone := self._reached.keys() - self._equipment.store.own_lanes(self.name):
            raise PositionMoved(
                f"view {self.name}: {', '.join(sorted(gone))} went to another member, or an operator has moved the view",
                hint="nothing: it begins again where the state says",
            )

    def _lane(self, lag: Lag, now: int) -> LaneStatus:
        """What waits of a lane: at the broker, and on its way to the API."""
        on_its_way = [taken.waiting[lag.lane] for taken in self._sender.open if lag.lane in taken.waiting]
        count = lag.messages + sum(count for count, _ in on_its_way)
        since = next((moment for _, moment in on_its_way), lag.time_ms)
        return LaneStatus(lag.lane, count, max(0, now - since) if count and since else 0)

    def _drop_session(self) -> None:
        """Begin again from what the state says: what was not committed is taken again, and makes the same event ids."""
        if self._subscription is not None and not len(self._flight):
            with suppress(SyncError):
                self._pass(self._subscription)
        super()._drop_session()
        subscription, self._subscription, self._session = self._subscription, None, None
        if subscription is not None:
            self._before = self._counted(subscription.standing())
            with suppress(SyncError):
                subscription.close()
        self._reached, self._full_since, self._aside = {}, 0.0, None
        self._sender.open.clear()
        self._standing = replace(self._standing, progress="behind")
