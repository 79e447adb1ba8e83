"""Kafka."""

from __future__ import annotations

from concurrent.futures import TimeoutError as NotYet
from contextlib import closing, contextmanager
from typing import TYPE_CHECKING

from confluent_kafka import ConsumerGroupState, KafkaException
from confluent_kafka.admin._config import ConfigResource
from confluent_kafka.admin._resource import ResourceType

from smartico_sync.sources.kafka.failures import translated
from smartico_sync.sources.kafka.replay import Replay
from smartico_sync.sources.kafka.settings import settings_of
from smartico_sync.sources.kafka.subscription import KafkaSubscription
from smartico_sync.sources.kafka.topics import ASK_S, TELL_S, ends, lane_of, partitions_of, topic_ids
from smartico_sync.sources.kit.abandonable import UnattendedCalls
from smartico_sync.sources.protocol import ServerFacts
from smartico_sync.sources.stream import Lag, Remark

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from confluent_kafka import Consumer

    from smartico_sync.config.models import SourceConfig
    from smartico_sync.core.messages.message import Message
    from smartico_sync.core.records import LaneStep
    from smartico_sync.sources.stream import Feed, Keeper, Subscription

__all__ = ["KafkaStream", "connect"]

NOBODY = "smartico-sync"  # the group's name of a client that is in none
DAY_MS = 86_400_000


class KafkaStream:
    """One cluster. Every call makes a client of its own."""

    engine = "kafka"

    def __init__(self, name: str, config: SourceConfig) -> None:
        self._settings = settings_of(name, config)
        self._place = self._settings.place
        self._unattended = UnattendedCalls()
        self.encryption = self._settings.encryption

    @contextmanager
    def _asking(self) -> Iterator[Consumer]:
        with closing(self._settings.reader(NOBODY)) as consumer, consumer.asked(self._place):
            yield consumer

    def facts(self) -> ServerFacts:
        """Ask the brokers who they are."""
        with self._asking() as consumer, translated(self._place):
            told = consumer.list_topics(timeout=ASK_S)
        count = len(told.brokers)
        return ServerFacts(
            self.engine,
            told.cluster_id or "",
            f"{count} broker{'' if count == 1 else 's'}, {len(told.topics)} topics",
            "",
            encrypted=self._settings.encrypted,
        )

    def names(self) -> tuple[str, ...]:
        """The topics that the user may see."""
        with self._asking() as consumer, translated(self._place):
            return tuple(
                sorted(name for name in consumer.list_topics(timeout=ASK_S).topics if not name.startswith("__"))
            )

    def subscribe(self, feed: Feed, keeper: Keeper) -> Subscription:
        """Begin to read."""
        return KafkaSubscription(self._settings, feed, keeper, self._unattended)

    def sample(self, feed: Feed, limit: int) -> list[Message]:
        """Some of the newest messages."""
        with closing(Replay(self._settings, feed)) as replay:
            return replay.newest(limit)

    def lags(self, feed: Feed, known: Mapping[str, LaneStep]) -> tuple[Lag, ...]:
        """What waits in every lane."""
        found = self.ends(feed)
        starts = {lane: max(low, known[lane].next) if lane in known else low for lane, (low, _) in found.items()}
        behind = {lane: at for lane, at in starts.items() if at < found[lane][1]}
        with closing(Replay(self._settings, feed)) as replay:
            times = replay.times(behind)
        return tuple(Lag(lane, max(0, found[lane][1] - at), times.get(lane, 0)) for lane, at in starts.items())

    def ends(self, feed: Feed) -> dict[str, tuple[int, int]]:
        """Where every lane begins and ends."""
        with self._asking() as consumer:
            counts = partitions_of(consumer, feed, self._place)
            lanes = [lane_of(topic, number) for topic, count in counts.items() for number in range(count)]
            return {lane: ends(consumer, lane, self._place) for lane in lanes}

    def at(self, feed: Feed, moment_ms: int) -> dict[str, int]:
        """Of every lane the first offset of that time or later."""
        with closing(Replay(self._settings, feed)) as replay:
            return replay.positions(moment_ms)

    def between(self, feed: Feed, low_ms: int, high_ms: int) -> Iterator[list[Message]]:
        """The messages of that time."""
        with closing(Replay(self._settings, feed)) as replay:
            yield from replay.between(low_ms, high_ms)

    def remarks(self, feed: Feed) -> Iterator[Remark]:
        """What there is to say of topics and group."""
        with self._asking() as consumer:
            counts = partitions_of(consumer, feed, self._place)
        told = ", ".join(
            f"{topic} with {count} partition{'' if count == 1 else 's'}" for topic, count in counts.items()
        )
        yield Remark("fine", told)
        if len(topic_ids(self._settings, counts)) < len(counts):
            yield Remark(
                "advice",
                "the brokers do not tell a topic's id: one that is recreated is noticed only where it ends before what was read",
                "let the user describe the topics (ACL: Describe); brokers before 2.8 have no ids",
            )
        for topic in counts:
            yield from self._kept(feed, topic)
        yield from self._members(feed)

    def _kept(self, feed: Feed, topic: str) -> Iterator[Remark]:
        """How long a topic keeps its messages."""
        resource = ConfigResource(ResourceType.TOPIC, topic)
        try:
            admin = self._settings.admin()  # kept until the answer is there: it ends with it
            future = admin.describe_configs([resource], request_timeout=TELL_S)[resource]
            found = {name: entry.value for name, entry in future.result(TELL_S).items()}
        except (KafkaException, NotYet, ValueError):
            found = {}
        policy, retention = found.get("cleanup.policy", ""), found.get("retention.ms", "")
        if not policy:
            yield Remark(
                "advice", f"topic {topic}: how long it keeps messages may not be asked", "ACL: DescribeConfigs"
            )
            return
        if "compact" in policy and feed.keyed == "event":
            yield Remark(
                "wrong",
                f"topic {topic} is compacted: of the events of one key it keeps the last, and deletes the others",
                "publish events to a topic with cleanup.policy=delete; compacted topics are for profiles",
            )
        if "delete" in policy and retention.isdecimal():
            days = int(retention) / DAY_MS
            told = f"topic {topic} keeps messages for {days:.1f} days"
            if days < 1:
                yield Remark(
                    "advice", told, "an outage that lasts longer loses messages: raise retention.ms to some days"
                )
            else:
                yield Remark("fine", told)

    def _members(self, feed: Feed) -> Iterator[Remark]:
        """Who else reads as the same group."""
        try:
            future = self._settings.admin().describe_consumer_groups([feed.group], request_timeout=TELL_S)[feed.group]
            group = future.result(TELL_S)
        except (KafkaException, NotYet, ValueError):
            return
        if (
            group.state in (ConsumerGroupState.STABLE, ConsumerGroupState.PREPARING_REBALANCING)
            and len(group.members) > 1
        ):
            told = f"group {feed.group} has {len(group.members)} members"
            if feed.members == "alone":
                yield Remark("wrong", told, "profiles need one daemon that reads all partitions")
            else:
                yield Remark("advice", told, "they share the partitions")

    def close(self) -> None:
        """Nothing is kept open between calls."""


def connect(name: str, config: SourceConfig) -> KafkaStream:
    """The cluster of a source; connects at its first use. ConfigError for what cannot be meant."""
    return KafkaStream(name, config)
