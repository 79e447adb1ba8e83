"""Being a member of a group: lanes are given and taken by it, and each goes on where the state says."""

from __future__ import annotations

import time
from contextlib import suppress
from typing import TYPE_CHECKING, Literal

import structlog
from confluent_kafka import KafkaException, TopicPartition

from smartico_sync.errors import SyncError, ViewMisconfigured
from smartico_sync.sources.kafka import assignment
from smartico_sync.sources.kafka.assignment import Committed
from smartico_sync.sources.kafka.failures import failure_of, translated
from smartico_sync.sources.kafka.topics import (
    ASK_S,
    TELL_S,
    TopicIds,
    at_time,
    ends,
    lane_of,
    matching,
    parted,
    partitions_of,
)

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Mapping, Sequence

    from confluent_kafka import Consumer

    from smartico_sync.core.records import LaneStep
    from smartico_sync.sources.kafka.client import Client
    from smartico_sync.sources.kafka.lanes import Lanes
    from smartico_sync.sources.kafka.settings import Settings
    from smartico_sync.sources.stream import Feed, Keeper

__all__ = ["Membership", "partitions"]

IDENTITY_WAIT_S = 0.3  # how long the first messages wait for it; an answer that is later is looked at then
LISTEN_S = 0.1  # at a time, while lanes are given back
GIVE_BACK_S = 5.0  # a client gives lanes back in milliseconds, unless a rebalance is under way

log = structlog.get_logger()


class Membership:
    """What the client calls back, inside `take`: it never raises there, `failed` is what went wrong."""

    def __init__(self, settings: Settings, feed: Feed, keeper: Keeper, lanes: Lanes) -> None:
        self._settings, self._feed, self._keeper, self._lanes = settings, feed, keeper, lanes
        self._place = settings.place
        self._ids = TopicIds(settings)
        self._mirror: dict[str, int] = {}
        self._topics: list[str] = []
        self._ended: Literal["no", "yes"] = "no"
        self.epochs: dict[str, str] = {}
        self.failed: SyncError | None = None
        self.rebalances = self.gap = 0
        self.notes: tuple[str, ...] = ()
        self.advice: tuple[str, ...] = ()
        self._others: Literal["seen", "unknown"] = "seen"

    def join(self, consumer: Client) -> None:
        """Ask to be given lanes. Raises ViewBroken for topics that are not there."""
        with consumer.asked(self._place):
            self._subscribe(consumer, [*partitions_of(consumer, self._feed, self._place)])

    def look_for_topics(self, consumer: Client) -> None:
        """Ask to be given those that a pattern finds by now. The client's own patterns are of another grammar than Python's."""
        if self._feed.named_by != "pattern":
            return
        with suppress(KafkaException, SyncError):  # whoever does not answer is asked again
            found = matching(self._feed, consumer.list_topics(timeout=TELL_S).topics)
            if set(found) - set(self._topics):
                self._subscribe(consumer, found)

    def see_others(self, consumer: Client) -> None:
        """After lanes were given: tell of those that another member has. Nobody else knows whether it is one of ours.

        Not where they are given: a question there, with lanes assigned, ends the process (`group.protocol` consumer).
        """
        if self._others == "seen":
            return
        with suppress(KafkaException, SyncError):  # whoever does not answer is asked again
            topics = consumer.list_topics(timeout=TELL_S).topics
            mine = len(self._lanes.next)
            there = sum(len(topics[name].partitions) for name in self._topics if name in topics)
            told = (
                f"{mine} of {there} partitions are given to this daemon: another member of group {self._feed.group} reads the rest. "
                "One that is no smartico-sync keeps them from being sent: give it, or this source, a `group:` of its own"
            )
            self.advice, self._others = (told,) if mine < there else (), "seen"

    def leave(self, consumer: Client) -> Literal["left", "holds"]:
        """Give all lanes back, with what is in flight committed first. What the client calls back afterwards asks nothing of the keeper.

        Before the client is closed, not by closing it: answering a callback there may hang for ever (librdkafka 2.16), and the
        client's own answer does so with Python's global lock, so that the whole process stands still. Lanes that were given
        a moment ago may not have been told of yet, so it is listened to once in any case. A client that `holds` lanes after
        GIVE_BACK_S must not be closed yet: see `listen`.
        """
        with suppress(KafkaException, RuntimeError):
            consumer.unsubscribe()
            until = time.monotonic() + GIVE_BACK_S
            consumer.poll(LISTEN_S)
            while self._lanes.next and time.monotonic() < until:
                consumer.poll(LISTEN_S)
        if left := [*self._lanes.next]:
            self._hand_over(consumer, left)
        self._ended = "yes"
        return "holds" if left else "left"

    def listen(self, consumer: Client) -> Literal["left", "holds"]:
        """After `leave`, for LISTEN_S at most: whether lanes are given back by now. Raises what the client does."""
        consumer.poll(LISTEN_S)
        return "holds" if self._lanes.next else "left"

    def _subscribe(self, consumer: Client, topics: list[str]) -> None:
        with translated(self._place):
            consumer.subscribe(topics, on_assign=self.given, on_revoke=self.taken, on_lost=self.lost)
        self._topics = topics

    def fail(self, error: SyncError) -> None:
        """Something went wrong where nobody can hear it; the first counts."""
        self.failed = self.failed or error

    # What the client calls

    def given(self, consumer: Consumer, places: list[TopicPartition]) -> None:
        """The group gives lanes."""
        if self._ended == "yes":  # the client lets go of them itself
            return
        try:
            self.rebalances += 1
            self._give(consumer, places)
        except SyncError as error:
            self.fail(error)
        except KafkaException as error:
            self.fail(failure_of(error.args[0], self._place))
        if self.failed is not None and not self._settings.new_protocol:  # there the client ends the process for it
            with suppress(KafkaException, RuntimeError):
                consumer.assign([])

    def taken(self, consumer: Consumer, places: list[TopicPartition]) -> None:
        """The group takes lanes: first what is in flight is committed."""
        if self._ended == "no":
            self._hand_over(consumer, [lane_of(each.topic, each.partition) for each in places])
        self._forget(consumer, places)

    def _hand_over(self, consumer: Consumer, lanes: Sequence[str]) -> None:
        """Commit what is in flight, tell the broker, and let another member have these lanes."""
        try:
            self._keeper.drain()
            self.tell(consumer, "wait")
            self._keeper.released(lanes)
        except SyncError as error:
            self.failed = error

    def lost(self, consumer: Consumer, places: list[TopicPartition]) -> None:
        """The group has given lanes to another member already."""
        if self._ended == "no":
            try:
                self._keeper.lost()
            except SyncError as error:
                self.failed = error
        self._mirror.clear()
        self._forget(consumer, places)

    # Lanes

    def _give(self, consumer: Consumer, places: list[TopicPartition]) -> None:
        topics = {each.topic for each in places}
        if self._feed.members == "alone":
            self._refuse_part(consumer, places)
        self._ids.ask(topics)
        self.epochs |= self._ids.told(IDENTITY_WAIT_S)
        known = self._keeper.known()
        told = consumer.committed(places, timeout=ASK_S) if places else []
        committed = {lane_of(each.topic, each.partition): Committed(each.offset, each.metadata or "") for each in told}
        steps, asked = [], []
        for each in places:
            lane = lane_of(each.topic, each.partition)
            before, epoch = known.get(lane), self.epochs.get(each.topic, "")
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
                assignment.step(lane, None, at, self.epochs.get(parted(lane)[0], "")) for lane, at in found.items()
            ]
        later = self._later(consumer, steps, known) if self._feed.members == "many" else []
        self._keeper.begin([step for step in steps if step not in later])
        if self._feed.members == "many":
            self._place_others(consumer, places, known)
        self._start(consumer, steps, known.keys())
        self._others = "unknown" if self._feed.members == "any" else "seen"

    def _later(self, consumer: Consumer, steps: Sequence[LaneStep], known: Mapping[str, LaneStep]) -> list[LaneStep]:
        """Lanes that were added to a topic: they are begun once all members have read the others to the end that these have now."""
        topics = {parted(lane)[0] for lane in known}
        added = [step for step in steps if step.lane not in known and parted(step.lane)[0] in topics]
        mine, of = {step.lane for step in steps}, {parted(step.lane)[0] for step in added}
        others = [lane for lane in known if parted(lane)[0] in of and lane not in mine]
        self._lanes.wait_for({lane: ends(consumer, lane, self._place)[1] for lane in others}, added)
        return added

    def _place_others(
        self, consumer: Consumer, places: Sequence[TopicPartition], known: Mapping[str, LaneStep]
    ) -> None:
        """Who is the first to read a topic says where each of its partitions begins, whoever is given it: what is added later is known by that."""
        new = {each.topic for each in places} - {parted(lane)[0] for lane in known}
        if not new:
            return
        counts = partitions_of(consumer, self._feed, self._place)
        mine = {lane_of(each.topic, each.partition) for each in places}
        rest = [lane_of(topic, n) for topic in sorted(new) for n in range(counts.get(topic, 0))]
        rest = [lane for lane in rest if lane not in mine]
        how, at = {lane: assignment.begin_at(self._feed, lane, known) for lane in rest}, {}
        if timed := [lane for lane in rest if how[lane] == "time"]:
            at = at_time(consumer, timed, int(self._feed.start), self._place)
        for lane in rest:
            if lane not in at:
                low, high = ends(consumer, lane, self._place)
                at[lane] = low if how[lane] == "first" else high
        epochs = {lane: self.epochs.get(parted(lane)[0], "") for lane in rest}
        self._keeper.begin([assignment.step(lane, None, at[lane], epochs[lane]) for lane in rest])
        self._keeper.released(rest)

    def _refuse_part(self, consumer: Consumer, places: Sequence[TopicPartition]) -> None:
        """Profiles are compared with what this state knows: all lanes, or none."""
        there = sum(partitions_of(consumer, self._feed, self._place).values())
        mine = len(places) + (len(self._lanes.next) if self._settings.new_protocol else 0)
        if mine < there:
            raise ViewMisconfigured(
                f"view {self._feed.view}: {mine} of {there} partitions are given to this daemon: another member of group "
                f"{self._feed.group} reads the rest, and profiles are compared with one state",
                hint="stop the other daemon, or give this one another `group:`; members of a cluster (`state: postgresql://…`) hand the "
                "topic over to each other",
            )

    def _behind_gap(self, lane: str, at: int, low: int) -> int:
        """Where a lane goes on whose first message is `low`."""
        if at >= low:
            return at
        lost = assignment.gap(self._feed, lane, at, low)
        if lost is not None:
            raise lost
        self.gap += low - at
        self.notes = (
            *self.notes,
            f"{lane}: messages {at} to {low - 1} were deleted before they were read, and are lost",
        )
        log.error("view.gap", view=self._feed.view, lane=lane, first=at, last=low - 1)
        return low

    def _start(self, consumer: Consumer, steps: Sequence[LaneStep], known: Collection[str]) -> None:
        """Read each lane from its step on; lanes that were added wait until the others are read to their end."""
        places = [TopicPartition(*parted(step.lane), step.next) for step in steps]
        if self._settings.new_protocol:
            consumer.incremental_assign(places)
        else:
            consumer.assign(places)
        self._lanes.give(steps, known, "more" if self._settings.new_protocol else "all")
        if now := self._lanes.begun(self._lanes.next.keys() - self._lanes.added):
            self._keeper.begin(now)
        stopped = self._lanes.stopped
        consumer.pause(partitions(stopped))
        # The client remembers pauses of lanes that went and come back.
        consumer.resume(partitions(self._lanes.next.keys() - stopped))

    def _forget(self, consumer: Consumer, places: list[TopicPartition]) -> None:
        self._lanes.forget({lane_of(each.topic, each.partition) for each in places})
        with suppress(KafkaException, RuntimeError):
            if self._settings.new_protocol:
                consumer.incremental_unassign(places)
            else:
                consumer.unassign()

    # Now and then

    def ask_identity(self) -> None:
        """Ask whether the topics are still the same."""
        if topics := self._lanes.topics():
            self._ids.ask(topics)

    def identify(self) -> None:
        """A topic that was recreated under its name sends nothing, and says nothing. Raises ViewRegressed for one."""
        found = self._ids.told()
        if not found:
            return
        known = self._keeper.known()
        for lane in self._lanes.next:
            epoch = found.get(parted(lane)[0], "")
            if lane in known and (another := assignment.reborn(self._feed, lane, known[lane], epoch)):
                raise another
        self.epochs |= found

    def committed(self, lane: str, at: int) -> None:
        """The state holds what a lane's messages before this one changed."""
        self._mirror[lane] = at

    def tell(self, consumer: Consumer, how: Literal["go on", "wait"]) -> None:
        """Mirror what the state holds; metadata name the state."""
        if not self._mirror:
            return
        offsets = [TopicPartition(*parted(lane), at, self._feed.state) for lane, at in self._mirror.items()]
        self._mirror = {}
        with suppress(KafkaException, RuntimeError):  # the state is what counts
            if how == "go on":
                consumer.commit(offsets=offsets, asynchronous=True)
            else:
                consumer.commit(offsets=offsets, asynchronous=False)


def partitions(lanes: Iterable[str]) -> list[TopicPartition]:
    """Lanes as the client calls them."""
    return [TopicPartition(*parted(lane)) for lane in lanes]
