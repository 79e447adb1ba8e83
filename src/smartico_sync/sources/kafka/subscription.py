"""One view's messages of its topics, and how they are asked for."""

from __future__ import annotations

import threading
import time
from contextlib import suppress
from itertools import repeat
from typing import TYPE_CHECKING, Any, Literal

import structlog
from confluent_kafka import KafkaError, KafkaException, TopicPartition
from confluent_kafka import Message as Received

from smartico_sync.core.messages.message import LATEST_MS, NO_MESSAGES, Messages
from smartico_sync.errors import SourceUnreachable
from smartico_sync.sources.kafka import assignment
from smartico_sync.sources.kafka.failures import REFUSED, failure_of, translated
from smartico_sync.sources.kafka.lanes import Lanes
from smartico_sync.sources.kafka.membership import Membership, partitions
from smartico_sync.sources.kafka.replay import Replay
from smartico_sync.sources.kafka.topics import ends, lane_of, parted
from smartico_sync.sources.stream import Page, Standing

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from smartico_sync.core.messages.message import Message
    from smartico_sync.sources.kafka.settings import Settings
    from smartico_sync.sources.kit.abandonable import UnattendedCalls
    from smartico_sync.sources.stream import Feed, Keeper, Lag

__all__ = ["KafkaSubscription"]

MIRROR_S = 1.0  # how often the broker hears of commits: the state is what counts
LOOK_S = 1.0  # how often the ends of lanes are looked at, as the client knows them
IDENTITY_S = 30.0  # how often it is asked whether a topic is still the same
DOWN_S = 5.0  # brokers that restart are back sooner
CLOSE_S = 10.0  # a client closes in milliseconds, or once its last requests are answered, or never (librdkafka 2.16)

log = structlog.get_logger()


class KafkaSubscription:
    """As `sources.stream.Subscription` says. Lanes are given and taken inside `take`, where the client calls back."""

    def __init__(self, settings: Settings, feed: Feed, keeper: Keeper, unattended: UnattendedCalls) -> None:
        self._settings, self._feed, self._keeper, self._unattended = settings, feed, keeper, unattended
        self._place = settings.place
        self._lanes = Lanes(feed)
        self._member = Membership(settings, feed, keeper, self._lanes)
        self._names: dict[tuple[str | None, int | None], str] = {}
        # Where there is but one topic no message need tell its own: that would be a text for each.
        self._only = feed.names[0] if feed.named_by == "name" and len(feed.names) == 1 else ""
        self._lags: tuple[Lag, ...] = ()
        self._down_since = 0.0
        self._mirror_at = self._look_at = 0.0
        self._identity_at = time.monotonic() + IDENTITY_S
        self._topics_at = time.monotonic() + settings.refresh_s
        self._replay: Replay | None = None
        self._replaying = threading.Lock()
        self._closed = False
        self._consumer = settings.member(feed, {"error_cb": self._client_fails})
        try:
            self._member.join(self._consumer)
        except BaseException:
            self._close_client()
            raise

    # What the loop asks

    @property
    def level(self) -> Literal["level", "behind"]:
        """Whether every lane's end was seen, and nothing has come since."""
        return "level" if self._lanes.level(self._end) else "behind"

    def take(self, limit: int, wait_s: float) -> Page:
        """Up to `limit` messages, fewer where they are large; what came beside them waits."""
        self._look()
        if limit and self._lanes.waiting:
            return self._next_page(limit)
        with translated(self._place):
            first = self._consumer.poll(wait_s)
            received = [] if first is None else [first]
            if first is not None and limit > 1:
                received += self._consumer.consume(limit - 1, 0)
        messages = self._read(received)
        self._complain()
        if limit and len(messages) == messages.fitting(limit):
            return self._page(messages)
        self._lanes.waiting += messages
        return self._next_page(limit) if limit else Page()

    def commit(self, page: Page, waiting: frozenset[str]) -> None:  # noqa: ARG002 - what waits is read again at its place
        """Let the broker know, soon."""
        for lane, offset in page.messages.last.items():
            self._member.committed(lane, offset + 1)

    def give_up(self, places: Iterable[str]) -> None:
        """A topic has nobody to hand them to."""

    def settled(self, places: Iterable[str]) -> None:
        """Nothing is kept for them."""

    def pause(self) -> None:
        """Have the broker send nothing more."""
        if self._lanes.flow == "on":
            self._lanes.flow = "paused"
            with translated(self._place):
                self._consumer.pause(partitions(self._lanes.stopped))

    def resume(self) -> None:
        """Go on."""
        if self._lanes.flow == "paused":
            self._lanes.flow = "on"
            with translated(self._place):
                self._consumer.resume(partitions(self._lanes.next.keys() - self._lanes.stopped))

    def again(self, places: Sequence[str]) -> list[Message]:
        """The messages at these places that are still there."""
        with self._replaying:
            self._replay = self._replay or Replay(self._settings, self._feed)
            return self._replay.at(places)

    def passed(self) -> Mapping[str, tuple[int, int]]:
        """Lanes that end behind their last message."""
        return self._lanes.passed

    def standing(self) -> Standing:
        """How it stands."""
        member = self._member
        return Standing(
            self._lags, member.rebalances, gap_messages=member.gap, notes=member.notes, advice=member.advice
        )

    def close(self) -> None:
        """Leave, with what is committed told to the broker."""
        if self._closed:
            return
        self._closed = True
        if self._member.leave(self._consumer) == "left":
            self._close_client()
        else:
            hint = "nothing: it is closed once the group has taken its partitions back"
            log.warning("view.unclosed", view=self._feed.view, hint=hint)
            self._unattended.farewell(self._close_once_left)
        with self._replaying:
            if self._replay is not None:
                self._replay.close()

    def _close_client(self) -> None:
        """Close it, or leave it to a thread of its own."""
        try:
            self._unattended.run_once(self._place, self._consumer.close, CLOSE_S, f"view {self._feed.view}")
        except SourceUnreachable:
            hint = "nothing: the brokers take the group's partitions back when its session ends"
            log.warning("view.unclosed", view=self._feed.view, hint=hint)
        except (KafkaException, RuntimeError):
            pass  # it is closed

    def _close_once_left(self) -> None:
        """Close the client when no lane is left whose answer could hang its close, and with it the process."""
        while self._member.listen(self._consumer) == "holds":
            pass
        self._consumer.close()

    # Messages

    def _read(self, received: Sequence[Received]) -> Messages:
        """What was received as messages, and what was said beside them."""
        found, first = NO_MESSAGES, 0
        for place, error in enumerate(map(Received.error, received)):
            if error is not None:
                found += self._came(received[first:place])  # before what is said of its lane
                first = place + 1
                told = received[place]
                self._heard(error, self._only or told.topic() or "", told.partition() or 0, told.offset() or 0)
        found += self._came(received[first:])
        if received:
            self._down_since = 0.0
        return found

    def _came(self, received: Sequence[Received]) -> Messages:
        """These are messages. Column by column: a step of ours for each of them costs as much as all the client does."""
        if not received:
            return NO_MESSAGES
        partitions = [*map(Received.partition, received)]
        places = [*zip(repeat(self._only) if self._only else map(Received.topic, received), partitions, strict=False)]
        for topic, partition in {*places} - self._names.keys():
            self._names[topic, partition] = lane_of(topic or "", partition or 0)
        messages = Messages(
            [*map(self._names.__getitem__, places)],
            [offset or 0 for offset in map(Received.offset, received)],
            [moment if 0 < moment <= LATEST_MS else 0 for _, moment in map(Received.timestamp, received)],
            [*map(Received.key, received)],
            [*map(Received.value, received)],
            [dict(each.headers() or ()) for each in received] if "headers" in self._feed.needs else (),
        )
        if not self._lanes.next.keys() >= {*messages.lanes}:  # one was taken while these messages were handed over
            messages = messages.chosen([lane in self._lanes.next for lane in messages.lanes])
        for lane, place in dict(zip(messages.lanes, range(len(messages)), strict=True)).items():
            self._lanes.took(lane, messages.offsets[place], messages.times_ms[place])
        return messages

    def _next_page(self, limit: int) -> Page:
        waiting = self._lanes.waiting
        fits = waiting.fitting(limit)
        self._lanes.waiting = waiting[fits:]
        return self._page(waiting[:fits])

    def _page(self, messages: Messages) -> Page:
        epochs = self._member.epochs
        return Page(messages, {lane: epochs.get(parted(lane)[0], "") for lane in self._lanes.next})

    def _heard(self, error: KafkaError, topic: str, partition: int, at: int) -> None:
        """Something that is no message: an end, or that a position is gone."""
        code = error.code()
        lane = lane_of(topic, partition)
        if code == KafkaError._PARTITION_EOF:  # noqa: SLF001 - the client's name
            self._let_come(self._lanes.end(lane, at))
        elif code == KafkaError._AUTO_OFFSET_RESET and lane in self._lanes.next:  # noqa: SLF001 - the client's name
            self._out_of_range(lane)
        elif not error.retriable() and code not in (KafkaError._TRANSPORT, KafkaError._ALL_BROKERS_DOWN):  # noqa: SLF001 - the client's names
            about = f"topic {topic}" if topic else f"group {self._feed.group}"
            self._member.fail(failure_of(error, self._place, about))

    def _let_come(self, freed: set[str]) -> None:
        """Lanes that were added wait no more."""
        if not freed:
            return
        if steps := self._lanes.begun(freed):
            self._keeper.begin(steps)
        if self._lanes.flow == "on":
            with translated(self._place):
                self._consumer.resume(partitions(freed))

    def _out_of_range(self, lane: str) -> None:
        """A position is not there: deleted unread, or of another topic."""
        at = self._lanes.next[lane]
        low, high = ends(self._consumer, lane, self._place)
        if at >= low:
            self._member.fail(assignment.beyond(self._feed, lane, at, high))
            return
        known = self._keeper.known().get(lane)
        # What is in flight goes before: where the view goes on, the lane is placed anew at the next subscription, which sees the gap itself.
        went_on = SourceUnreachable(
            f"{self._place}: {lane} goes on at {low}: messages from {known.next if known else at} on were deleted",
            hint="nothing: `on_gap: continue` says so",
        )
        self._member.fail(assignment.gap(self._feed, lane, at, low) or went_on)

    def _client_fails(self, error: KafkaError) -> None:
        """The client has something to say that is of no message; called inside `take`."""
        if error.code() in REFUSED or error.fatal():
            self._member.fail(failure_of(error, self._place, f"group {self._feed.group}"))
        elif error.code() == KafkaError._ALL_BROKERS_DOWN:  # noqa: SLF001 - the client's name
            self._down_since = self._down_since or time.monotonic()

    def _complain(self) -> None:
        """Raise what went wrong where nobody could hear it."""
        if self._member.failed is not None:
            raise self._member.failed
        if self._down_since and time.monotonic() - self._down_since > DOWN_S:
            raise SourceUnreachable(
                f"{self._place}: no broker answers", hint="check that the brokers run and can be reached from here"
            )

    # Now and then

    def _look(self) -> None:
        """Tell the broker what is committed, look at the ends, and whether the topics are the same."""
        now = time.monotonic()
        if now >= self._mirror_at:
            self._mirror_at = now + MIRROR_S
            self._member.tell(self._consumer, "go on")
        if now >= self._look_at:
            self._look_at = now + LOOK_S
            self._lags = self._lanes.lags(self._end)
            self._member.identify()
            self._member.see_others(self._consumer)
            if self._lanes.waits_for_others:
                self._let_come(self._lanes.others_are(self._keeper.known()))
        if now >= self._topics_at:
            self._topics_at = now + self._settings.refresh_s
            self._member.look_for_topics(self._consumer)
        if now >= self._identity_at and self._lanes.next:
            self._identity_at = now + IDENTITY_S
            self._member.ask_identity()

    def _end(self, lane: str) -> int:
        """The end of a lane as the last answer told it; below 0 before the first."""
        with suppress(KafkaException, RuntimeError):
            answered: Any = self._consumer.get_watermark_offsets(TopicPartition(*parted(lane)), cached=True)
            return int(answered[1]) if answered is not None else -1
        return -1
