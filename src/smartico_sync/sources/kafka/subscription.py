"""One view's membership of its group, and the messages that come of it."""

from __future__ import annotations

import threading
import time
from contextlib import suppress
from typing import TYPE_CHECKING, Any, Literal

import structlog
from confluent_kafka import KafkaError, KafkaException, TopicPartition

from smartico_sync.core.messages.message import NOTHING, Message
from smartico_sync.errors import SourceUnreachable, SyncError, ViewMisconfigured
from smartico_sync.sources.kafka import assignment
from smartico_sync.sources.kafka.assignment import Committed
from smartico_sync.sources.kafka.failures import REFUSED, failure_of, translated
from smartico_sync.sources.kafka.replay import Replay
from smartico_sync.sources.kafka.topics import ASK_S, TopicIds, at_time, ends, lane_of, parted, partitions_of
from smartico_sync.sources.stream import Lag, Page, Standing

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from confluent_kafka import Consumer
    from confluent_kafka import Message as Received

    from smartico_sync.core.records import LaneStep
    from smartico_sync.sources.kafka.settings import Settings
    from smartico_sync.sources.stream import Feed, Keeper

__all__ = ["KafkaSubscription"]

MIRROR_S = 1.0  # how often the broker hears of commits: the state is what counts
LOOK_S = 1.0  # how often the ends of lanes are looked at, as the client knows them
IDENTITY_S = 30.0  # how often it is asked whether a topic is still the same
IDENTITY_WAIT_S = 0.3  # how long the first messages wait for it; an answer that is later is looked at then
DOWN_S = 5.0  # brokers that restart are back sooner
BEYOND = 5  # looks at which a position lies behind the end: the first may be before the broker's first answer

log = structlog.get_logger()


class KafkaSubscription:
    """As `sources.stream.Subscription` says. Lanes are given and taken inside `take`, where the client calls back."""

    def __init__(self, settings: Settings, feed: Feed, keeper: Keeper) -> None:
        self._settings, self._feed, self._keeper = settings, feed, keeper
        self._place = settings.place
        self._counts: dict[str, int] = {}
        self._epochs: dict[str, str] = {}
        self._next: dict[str, int] = {}
        self._names: dict[tuple[str, int], str] = {}
        self._times: dict[str, int] = {}
        self._ended: set[str] = set()
        self._heard_of: set[str] = set()  # lanes of which something came since they were given
        self._held: set[str] = set()  # lanes that were added, until those that were there are read to their end
        self._mirror: dict[str, int] = {}
        self._waiting: list[Message] = []
        self._suspects: dict[str, int] = {}
        self._lags: tuple[Lag, ...] = ()
        self._failed: SyncError | None = None
        self._down_since = 0.0
        self._assigned: Literal["not yet", "once"] = "not yet"
        self._flow: Literal["on", "paused"] = "on"
        self._mirror_at = self._look_at = 0.0
        self._identity_at = time.monotonic() + IDENTITY_S
        self._ids = TopicIds(settings)
        self._rebalances = self._gap = 0
        self._notes: tuple[str, ...] = ()
        self._replay: Replay | None = None
        self._replaying = threading.Lock()
        self._closed = False
        self._consumer = settings.member(feed.group, feed.state, {"error_cb": self._client_fails})
        try:
            self._counts = partitions_of(self._consumer, feed, self._place)
            topics = [f"^{feed.names[0]}"] if feed.named_by == "pattern" else list(feed.names)
            with translated(self._place):
                self._consumer.subscribe(topics, on_assign=self._given, on_revoke=self._taken, on_lost=self._gone)
        except BaseException:
            self._consumer.close()
            raise

    # What the loop asks

    @property
    def level(self) -> Literal["level", "behind"]:
        """Whether every lane's end was seen, and nothing has come since."""
        if self._assigned == "not yet" or self._held or self._waiting:
            return "behind"
        return "level" if all(lane in self._ended or self._at_end(lane) for lane in self._next) else "behind"

    def take(self, limit: int, wait_s: float) -> Page:
        """Up to `limit` messages."""
        self._look()
        if limit and self._waiting:
            some, self._waiting = self._waiting[:limit], self._waiting[limit:]
            return self._page(some)
        with translated(self._place):
            first = self._consumer.poll(wait_s)
            received = [] if first is None else [first]
            if first is not None and limit > 1:
                received += self._consumer.consume(limit - 1, 0)
        messages = self._read(received)
        self._complain()
        if not limit:
            self._waiting += messages
            return Page()
        return self._page(messages)

    def commit(self, page: Page, waiting: frozenset[str]) -> None:  # noqa: ARG002 - what waits is read again at its place
        """Let the broker know, soon."""
        for message in page.messages:
            self._mirror[message.lane] = message.offset + 1

    def settled(self, places: Iterable[str]) -> None:
        """Nothing is kept for them."""

    def pause(self) -> None:
        """Have the broker send nothing more."""
        if self._flow == "on":
            self._flow = "paused"
            with translated(self._place):
                self._consumer.pause(self._partitions(self._next))

    def resume(self) -> None:
        """Go on."""
        if self._flow == "paused":
            self._flow = "on"
            with translated(self._place):
                self._consumer.resume(self._partitions(lane for lane in self._next if lane not in self._held))

    def again(self, places: Sequence[str]) -> list[Message]:
        """The messages at these places that are still there."""
        with self._replaying:
            self._replay = self._replay or Replay(self._settings, self._feed)
            return self._replay.at(places)

    def standing(self) -> Standing:
        """How it stands."""
        return Standing(self._lags, self._rebalances, gap_messages=self._gap, notes=self._notes)

    def close(self) -> None:
        """Leave, with what is committed told to the broker."""
        if self._closed:
            return
        self._closed = True
        self._tell("wait")
        with suppress(KafkaException, RuntimeError):
            self._consumer.close()
        with self._replaying:
            if self._replay is not None:
                self._replay.close()

    # Messages

    def _read(self, received: Sequence[Received]) -> list[Message]:
        """What was received as messages, and what was said beside them."""
        found = []
        headers = "headers" in self._feed.needs
        for each in received:
            error = each.error()
            topic, partition = each.topic() or "", each.partition() or 0
            if error is not None:
                self._heard(error, topic, partition)
                continue
            lane = self._names.get((topic, partition)) or lane_of(topic, partition)
            if lane in self._ended:
                self._ended.discard(lane)
            offset, moment = each.offset() or 0, each.timestamp()[1]
            self._next[lane], self._times[lane] = offset + 1, moment
            self._heard_of.add(lane)
            told = dict(each.headers() or ()) if headers else NOTHING
            found.append(Message(lane, offset, max(0, moment), each.key(), each.value(), told))
        if found or received:
            self._down_since = 0.0
        return found

    def _page(self, messages: list[Message]) -> Page:
        return Page(messages, {lane: self._epochs.get(parted(lane)[0], "") for lane in self._next})

    def _heard(self, error: KafkaError, topic: str, partition: int) -> None:
        """Something that is no message: an end, or that a position is gone."""
        code = error.code()
        lane = lane_of(topic, partition)
        if code == KafkaError._PARTITION_EOF:  # noqa: SLF001 - the client's name
            self._ended.add(lane)
            if self._held and self._ended >= self._next.keys() - self._held:
                self._let_come()
        elif code == KafkaError._AUTO_OFFSET_RESET and lane in self._next:  # noqa: SLF001 - the client's name
            self._out_of_range(lane)
        elif not error.retriable() and code not in (KafkaError._TRANSPORT, KafkaError._ALL_BROKERS_DOWN):  # noqa: SLF001 - the client's names
            self._failed = self._failed or failure_of(
                error, self._place, f"topic {topic}" if topic else f"group {self._feed.group}"
            )

    def _out_of_range(self, lane: str) -> None:
        """A position is not there: deleted unread, or of another topic."""
        at = self._next[lane]
        low, high = ends(self._consumer, lane, self._place)
        if at >= low:
            self._failed = assignment.beyond(self._feed, lane, at, high)
            return
        known = self._keeper.known().get(lane)
        self._failed = assignment.gap(self._feed, lane, at, low)
        if self._failed is None:
            # What is in flight goes before: the lane is placed anew at the next subscription, which sees the gap itself.
            self._failed = SourceUnreachable(
                f"{self._place}: {lane} goes on at {low}: messages from {known.next if known else at} on were deleted",
                hint="nothing: `on_gap: continue` says so",
            )

    def _let_come(self) -> None:
        """Lanes that were added may come now: all that was there before them is read."""
        held, self._held = self._held, set()
        if self._flow == "on":
            with translated(self._place):
                self._consumer.resume(self._partitions(held))

    def _client_fails(self, error: KafkaError) -> None:
        """The client has something to say that is of no message; called inside `take`."""
        if error.code() in REFUSED or error.fatal():
            self._failed = self._failed or failure_of(error, self._place, f"group {self._feed.group}")
        elif error.code() == KafkaError._ALL_BROKERS_DOWN:  # noqa: SLF001 - the client's name
            self._down_since = self._down_since or time.monotonic()

    def _complain(self) -> None:
        """Raise what went wrong where nobody could hear it."""
        if self._failed is not None:
            raise self._failed
        if self._down_since and time.monotonic() - self._down_since > DOWN_S:
            raise SourceUnreachable(
                f"{self._place}: no broker answers", hint="check that the brokers run and can be reached from here"
            )

    # Lanes

    def _given(self, consumer: Consumer, partitions: list[TopicPartition]) -> None:
        """The group gives lanes: each goes on where the state says."""
        try:
            self._rebalances += 1
            self._assigned = "once"
            self._give(consumer, partitions)
        except SyncError as error:
            self._failed = self._failed or error
        except KafkaException as error:
            self._failed = self._failed or failure_of(error.args[0], self._place)
        if self._failed is not None:
            with suppress(KafkaException, RuntimeError):
                consumer.assign([])

    def _give(self, consumer: Consumer, partitions: list[TopicPartition]) -> None:
        topics = {each.topic for each in partitions}
        if self._feed.members == "alone":
            self._refuse_part(consumer, partitions)
        self._ids.ask(topics)
        self._epochs |= self._ids.told(IDENTITY_WAIT_S)
        known = self._keeper.known()
        told = consumer.committed(partitions, timeout=ASK_S) if partitions else []
        committed = {lane_of(each.topic, each.partition): Committed(each.offset, each.metadata or "") for each in told}
        steps, asked = [], []
        for each in partitions:
            lane = lane_of(each.topic, each.partition)
            self._names[each.topic, each.partition] = lane
            before, epoch = known.get(lane), self._epochs.get(each.topic, "")
            if before is not None and (another := assignment.reborn(self._feed, lane, before, epoch)):
                raise another
            at = assignment.reconciled(self._feed, before, committed[lane])
            if at is None:
                start = assignment.begin_at(self._feed, lane, known)
                if start == "time":
                    asked.append(lane)
                    continue
                low, high = ends(consumer, lane, self._place)
                at = low if start == "first" else high
            elif before is not None:
                at = self._behind_gap(lane, at, ends(consumer, lane, self._place)[0])
            steps.append(assignment.step(lane, before, at, epoch))
        if asked and isinstance(self._feed.start, int):
            found = at_time(consumer, asked, self._feed.start, self._place)
            steps += [
                assignment.step(lane, None, at, self._epochs.get(parted(lane)[0], "")) for lane, at in found.items()
            ]
        self._keeper.begin(steps)
        self._start(consumer, steps, known.keys())

    def _behind_gap(self, lane: str, at: int, low: int) -> int:
        """Where a lane goes on whose first message is `low`."""
        if at >= low:
            return at
        lost = assignment.gap(self._feed, lane, at, low)
        if lost is not None:
            raise lost
        self._gap += low - at
        self._notes = (
            *self._notes,
            f"{lane}: messages {at} to {low - 1} were deleted before they were read, and are lost",
        )
        log.error("view.gap", view=self._feed.view, lane=lane, first=at, last=low - 1)
        return low

    def _refuse_part(self, consumer: Consumer, partitions: list[TopicPartition]) -> None:
        """Profiles are compared with what this state knows: all lanes, or none."""
        self._counts = partitions_of(consumer, self._feed, self._place)
        there, mine = (
            sum(self._counts.values()),
            len(partitions) + (len(self._next) if self._settings.new_protocol else 0),
        )
        if mine < there:
            raise ViewMisconfigured(
                f"view {self._feed.view}: {mine} of {there} partitions are given to this daemon: another member of group "
                f"{self._feed.group} reads the rest, and profiles are compared with one state",
                hint="stop the other daemon, or give this one another `group:`",
            )

    def _start(self, consumer: Consumer, steps: Sequence[LaneStep], known: Iterable[str]) -> None:
        """Read each lane from its step on; lanes that were added wait until the others are read to their end."""
        there = set(known)
        places = [TopicPartition(*parted(step.lane), step.next) for step in steps]
        if self._settings.new_protocol:
            consumer.incremental_assign(places)
        else:
            consumer.assign(places)
            self._next.clear()
        self._next |= {step.lane: step.next for step in steps}
        self._ended -= {step.lane for step in steps}
        self._heard_of -= {step.lane for step in steps}
        added = {step.lane for step in steps if step.lane not in there}
        # A player may have moved to a new partition: what the old ones hold of him comes first.
        self._held = added if added and there & self._next.keys() else set()
        stopped = self._next if self._flow == "paused" else self._held
        if stopped:
            consumer.pause(self._partitions(stopped))

    def _taken(self, consumer: Consumer, partitions: list[TopicPartition]) -> None:
        """The group takes lanes: first what is in flight is committed."""
        try:
            self._keeper.drain()
            self._tell("wait")
        except SyncError as error:
            self._failed = error
        self._forget(consumer, partitions)

    def _gone(self, consumer: Consumer, partitions: list[TopicPartition]) -> None:
        """The group has given lanes to another member already."""
        try:
            self._keeper.lost()
        except SyncError as error:
            self._failed = error
        self._mirror.clear()
        self._forget(consumer, partitions)

    def _forget(self, consumer: Consumer, partitions: list[TopicPartition]) -> None:
        names = {lane_of(each.topic, each.partition) for each in partitions}
        self._next = {lane: at for lane, at in self._next.items() if lane not in names}
        self._ended -= names
        self._held -= names
        self._waiting = [message for message in self._waiting if message.lane not in names]
        with suppress(KafkaException, RuntimeError):
            if self._settings.new_protocol:
                consumer.incremental_unassign(partitions)
            else:
                consumer.unassign()

    # Now and then

    def _look(self) -> None:
        """Tell the broker what is committed, look at the ends, and whether the topics are the same."""
        now = time.monotonic()
        if now >= self._mirror_at:
            self._mirror_at = now + MIRROR_S
            self._tell("go on")
        if now >= self._look_at:
            self._look_at = now + LOOK_S
            self._lags = tuple(Lag(lane, self._left(lane), self._times.get(lane, 0)) for lane in sorted(self._next))
            self._identify()
        if now >= self._identity_at and self._next:
            self._identity_at = now + IDENTITY_S
            self._ids.ask({parted(lane)[0] for lane in self._next})

    def _identify(self) -> None:
        """A topic that was recreated under its name sends nothing, and says nothing. Raises ViewRegressed for one."""
        found = self._ids.told()
        if not found:
            return
        known = self._keeper.known()
        for lane in self._next:
            epoch = found.get(parted(lane)[0], "")
            if lane in known and (another := assignment.reborn(self._feed, lane, known[lane], epoch)):
                raise another
        self._epochs |= found

    def _cached(self, lane: str) -> int:
        """The end of a lane as the last answer told it; below 0 before the first."""
        with suppress(KafkaException, RuntimeError):
            answered: Any = self._consumer.get_watermark_offsets(TopicPartition(*parted(lane)), cached=True)
            return int(answered[1]) if answered is not None else -1
        return -1

    def _at_end(self, lane: str) -> bool:
        return lane in self._heard_of and 0 <= self._cached(lane) <= self._next[lane]

    def _left(self, lane: str) -> int:
        """How many messages wait in a lane. Raises ViewRegressed where it ends before what was read."""
        at, end = self._next[lane], self._cached(lane)
        if end < 0 or lane in self._ended:
            self._suspects.pop(lane, None)
            return 0 if end <= at else end - at
        if end < at:
            self._suspects[lane] = self._suspects.get(lane, 0) + 1
            if self._suspects[lane] >= BEYOND:
                raise assignment.beyond(self._feed, lane, at, end)
            return 0
        self._suspects.pop(lane, None)
        return end - at

    def _partitions(self, lanes: Iterable[str]) -> list[TopicPartition]:
        return [TopicPartition(*parted(lane)) for lane in lanes]

    def _tell(self, how: Literal["go on", "wait"]) -> None:
        """Mirror what the state holds; metadata name the state."""
        if not self._mirror:
            return
        offsets = [TopicPartition(*parted(lane), at, self._feed.state) for lane, at in self._mirror.items()]
        self._mirror = {}
        with suppress(KafkaException, RuntimeError):  # the state is what counts
            if how == "go on":
                self._consumer.commit(offsets=offsets, asynchronous=True)
            else:
                self._consumer.commit(offsets=offsets, asynchronous=False)
