"""Messages that are read again, beside the group: parked ones, samples, and all between two times."""

from __future__ import annotations

import time
from contextlib import suppress
from typing import TYPE_CHECKING

from confluent_kafka import KafkaError, KafkaException, TopicPartition

from smartico_sync.core.messages.message import LATEST_MS, NOTHING, Message, split_place
from smartico_sync.errors import SourceError, SourceUnreachable
from smartico_sync.sources.kafka.failures import failure_of, translated
from smartico_sync.sources.kafka.topics import at_time, ends, lane_of, parted, partitions_of

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from confluent_kafka import Message as Received

    from smartico_sync.sources.kafka.settings import Settings
    from smartico_sync.sources.stream import Feed

__all__ = ["Replay"]

PATIENCE_S = 15.0  # without a message, an end or an error of one lane
POLL_S = 0.1
AT_ONCE = 1_000  # messages handed over together
FAR = 500  # offsets between two wanted messages: beyond it, it is quicker to ask for the second than to read on


class Replay:
    """A client of its own that is in no group. Used by one thread at a time."""

    def __init__(self, settings: Settings, feed: Feed) -> None:
        self._feed, self._place = feed, settings.place
        self._consumer = settings.reader(feed.group)

    def close(self) -> None:
        """Let go."""
        with suppress(KafkaException, RuntimeError):
            self._consumer.close()

    def lanes(self) -> list[str]:
        """Every lane of the feed."""
        with self._consumer.asked(self._place):
            counts = partitions_of(self._consumer, self._feed, self._place)
        return [lane_of(topic, number) for topic, count in counts.items() for number in range(count)]

    def at(self, places: Sequence[str]) -> list[Message]:
        """The messages at these places that are still there."""
        wanted: dict[str, list[int]] = {}
        for place in places:
            lane, offset = split_place(place)
            wanted.setdefault(lane, []).append(offset)
        return [message for lane, offsets in wanted.items() for message in self._of_lane(lane, sorted(set(offsets)))]

    def _of_lane(self, lane: str, offsets: list[int]) -> Iterator[Message]:
        low, _ = ends(self._consumer, lane, self._place)
        left = [offset for offset in offsets if offset >= low]
        while left:
            start = left[0]
            for message in self._from(lane, start):
                while left and left[0] < message.offset:
                    left.pop(0)
                if left and left[0] == message.offset:
                    yield message
                    left.pop(0)
                if not left or left[0] - message.offset > FAR:
                    break
            else:
                return

    def _from(self, lane: str, offset: int) -> Iterator[Message]:
        """The messages of a lane from an offset to its end."""
        yield from (message for message in self._all({lane: offset}) if message.lane == lane)

    def newest(self, limit: int) -> list[Message]:
        """About so many of the last messages, of all lanes."""
        lanes = self.lanes()
        each = max(1, limit // max(1, len(lanes)))
        starts = {}
        for lane in lanes:
            low, high = ends(self._consumer, lane, self._place)
            if high > low:
                starts[lane] = max(low, high - each)
        found: dict[str, list[Message]] = {}
        for message in self._all(starts):
            found.setdefault(message.lane, []).append(message)
            if sum(map(len, found.values())) >= limit * 10:
                break
        return [message for some in found.values() for message in some[-each:]]

    def positions(self, moment_ms: int) -> dict[str, int]:
        """Of every lane the first offset of that time or later."""
        lanes = self.lanes()
        if moment_ms <= 0:
            return {lane: ends(self._consumer, lane, self._place)[0] for lane in lanes}
        return at_time(self._consumer, lanes, moment_ms, self._place)

    def times(self, places: Mapping[str, int]) -> dict[str, int]:
        """Of lanes when the first message at an offset or behind it was written; not of those that have none, or do not answer."""
        found: dict[str, int] = {}
        with suppress(SourceError):
            for message in self._all(places):
                found.setdefault(message.lane, message.time_ms)
                if len(found) == len(places):
                    break
        return found

    def between(self, low_ms: int, high_ms: int) -> Iterator[list[Message]]:
        """The messages of `low_ms <= time < high_ms`, some at a time."""
        some: list[Message] = []
        for message in self._all(self.positions(low_ms)):
            if low_ms <= message.time_ms < high_ms:
                some.append(message)
            if len(some) >= AT_ONCE:
                yield some
                some = []
        if some:
            yield some

    def _all(self, starts: Mapping[str, int]) -> Iterator[Message]:
        """The messages of these lanes from these offsets to the ends that they have now."""
        left = set(starts)
        if not left:
            return
        with translated(self._place):
            self._consumer.assign([TopicPartition(*parted(lane), at) for lane, at in starts.items()])
        heard = time.monotonic()
        try:
            while left:
                with translated(self._place):
                    received = self._consumer.consume(AT_ONCE, POLL_S)
                if received:
                    heard = time.monotonic()
                elif time.monotonic() - heard > PATIENCE_S:
                    raise SourceUnreachable(
                        f"{self._place}: {min(left)} does not answer", hint="check that its leader is there"
                    )
                for each in received:
                    message = self._message(each, left)
                    if message is not None:
                        yield message
        finally:
            with suppress(KafkaException, RuntimeError):
                self._consumer.unassign()

    def _message(self, received: Received, left: set[str]) -> Message | None:
        """One message; None for an end, which leaves its lane."""
        error, lane = received.error(), lane_of(received.topic() or "", received.partition() or 0)
        if error is None:
            headers = dict(received.headers() or ()) if "headers" in self._feed.needs else NOTHING
            _, moment = received.timestamp()
            moment = moment if 0 < moment <= LATEST_MS else 0
            return Message(lane, received.offset() or 0, moment, received.key(), received.value(), headers)
        if error.code() not in (KafkaError._PARTITION_EOF, KafkaError._AUTO_OFFSET_RESET):  # noqa: SLF001 - the client's names
            raise failure_of(error, self._place, lane)
        left.discard(lane)
        return None
