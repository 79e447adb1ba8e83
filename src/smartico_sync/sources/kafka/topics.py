"""What is known of topics: partitions, identity, ends."""

from __future__ import annotations

import re
from concurrent.futures import wait
from contextlib import suppress
from difflib import get_close_matches
from typing import TYPE_CHECKING, Any

from confluent_kafka import KafkaException, TopicCollection, TopicPartition

from smartico_sync.errors import ViewBroken
from smartico_sync.sources.kafka.failures import failure_of, translated

if TYPE_CHECKING:
    from collections.abc import Iterable
    from concurrent.futures import Future

    from confluent_kafka import Consumer
    from confluent_kafka.admin import AdminClient

    from smartico_sync.sources.kafka.settings import Settings
    from smartico_sync.sources.stream import Feed

__all__ = [
    "ASK_S",
    "TELL_S",
    "TopicIds",
    "at_time",
    "ends",
    "lane_of",
    "matching",
    "parted",
    "partitions_of",
    "topic_ids",
]

NAMED = 5  # topics that are named in place of one that is not there
ASK_S = 10.0  # for an answer of the brokers; they take milliseconds
TELL_S = 2.0  # for what is good to know, and no more


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
            error = failure_of(topic.error, place, f"topic {name}")
            raise (
                ViewBroken(error.message, hint=those_there(consumer, name)) if isinstance(error, ViewBroken) else error
            )
        counts[name] = len(topic.partitions)
    return counts


def those_there(consumer: Consumer, name: str) -> str:
    """What to do about a topic that is not there: those that are called much like it, else some."""
    names: list[str] = []
    with suppress(KafkaException):
        names = sorted(each for each in consumer.list_topics(timeout=ASK_S).topics if not each.startswith("__"))
    found = get_close_matches(name, names, NAMED) or names[:NAMED]
    return f"check `relation`; the user may see {', '.join(found) or 'no topic: allow Describe'}"


class TopicIds:
    """What names each topic beyond its name, which another may get. Asked for beside the messages: brokers may be slow to tell, or never do."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._admin: AdminClient | None = None  # kept until the answers are there: they end with it
        self._asked: dict[str, Future[Any]] = {}

    def ask(self, names: Iterable[str]) -> None:
        """Ask for these topics; what is still open of earlier questions is forgotten."""
        with suppress(KafkaException, ValueError, RuntimeError):
            self._admin = self._admin or self._settings.admin()
            self._asked = dict(
                self._admin.describe_topics(TopicCollection(sorted(names)), request_timeout=ASK_S).items()
            )

    def told(self, wait_s: float = 0.0) -> dict[str, str]:
        """The ids that have come, within some seconds; each once."""
        done, _ = wait(self._asked.values(), wait_s) if self._asked else (set(), set())
        found = {}
        for name in [name for name, answer in self._asked.items() if answer in done]:
            answer = self._asked.pop(name)
            if answer.cancelled() or answer.exception() is not None:
                continue
            if (told := str(answer.result().topic_id)).strip("A=") not in ("", "None"):
                found[name] = told
        return found


def topic_ids(settings: Settings, names: Iterable[str]) -> dict[str, str]:
    """What names each topic, of brokers that tell it soon."""
    ids = TopicIds(settings)
    ids.ask(names)
    return ids.told(TELL_S)


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
