"""What is known of topics: partitions, identity, ends."""

from __future__ import annotations

import re
from concurrent.futures import TimeoutError as NotYet
from contextlib import suppress
from typing import TYPE_CHECKING

from confluent_kafka import KafkaException, TopicCollection, TopicPartition

from smartico_sync.errors import ViewBroken
from smartico_sync.sources.kafka.failures import failure_of, translated

if TYPE_CHECKING:
    from collections.abc import Iterable

    from confluent_kafka import Consumer

    from smartico_sync.sources.kafka.settings import Settings
    from smartico_sync.sources.stream import Feed

__all__ = ["ASK_S", "at_time", "ends", "lane_of", "matching", "parted", "partitions_of", "topic_ids"]

ASK_S = 10.0  # for an answer of the brokers; they take milliseconds


def lane_of(topic: str, partition: int) -> str:
    """A partition's name."""
    return f"{topic}/{partition}"


def parted(lane: str) -> tuple[str, int]:
    """Topic and partition of a lane."""
    topic, _, partition = lane.rpartition("/")
    return topic, int(partition)


def matching(feed: Feed, names: Iterable[str]) -> list[str]:
    """The topics of a feed among others."""
    if feed.named_by == "name":
        return [name for name in feed.names if name in set(names)]
    pattern = re.compile(feed.names[0])
    return sorted(name for name in names if pattern.search(name) and not name.startswith("__"))


def partitions_of(consumer: Consumer, feed: Feed, place: str) -> dict[str, int]:
    """How many partitions each topic of a feed has. ViewBroken for one that is not there, SourceRefused for one that may not be read."""
    if feed.named_by == "pattern":
        with translated(place):
            found = consumer.list_topics(timeout=ASK_S).topics
        names = matching(feed, found)
        if not names:
            raise ViewBroken(
                f"view {feed.view}: no topic is called like /{feed.names[0]}/",
                hint="check `relation`, and that the user may describe the topics",
            )
        return {name: len(found[name].partitions) for name in names}
    counts = {}
    for name in feed.names:
        with translated(place, f"topic {name}"):
            topic = consumer.list_topics(name, timeout=ASK_S).topics[name]
        if topic.error is not None:
            raise failure_of(topic.error, place, f"topic {name}")
        counts[name] = len(topic.partitions)
    return counts


def topic_ids(settings: Settings, names: Iterable[str]) -> dict[str, str]:
    """What names each topic beyond its name, which another may get; brokers that do not tell are left out."""
    found = {}
    with suppress(KafkaException, NotYet, ValueError, RuntimeError):
        admin = settings.admin()  # kept until the answers are there: they end with it
        for name, future in admin.describe_topics(TopicCollection(sorted(names)), request_timeout=ASK_S).items():
            with suppress(KafkaException, NotYet):
                found[name] = str(future.result(ASK_S).topic_id)
    return {name: told for name, told in found.items() if told.strip("A=") not in ("", "None")}


def ends(consumer: Consumer, lane: str, place: str) -> tuple[int, int]:
    """The first offset that is there, and the one after the last."""
    with translated(place, lane):
        low, high = consumer.get_watermark_offsets(TopicPartition(*parted(lane)), timeout=ASK_S)
    return low, high


def at_time(consumer: Consumer, lanes: Iterable[str], moment_ms: int, place: str) -> dict[str, int]:
    """Of each lane the first offset written at this time or later; its end where there is none."""
    asked = [TopicPartition(*parted(lane), moment_ms) for lane in lanes]
    with translated(place):
        answered = consumer.offsets_for_times(asked, timeout=ASK_S) if asked else []
    found = {}
    for each in answered:
        lane = lane_of(each.topic, each.partition)
        if each.error is not None:
            raise failure_of(each.error, place, lane)
        found[lane] = each.offset if each.offset >= 0 else ends(consumer, lane, place)[1]
    return found
