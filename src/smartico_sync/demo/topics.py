"""A Kafka for the demo: one that is named, or a cluster of the client library itself, which ends with the process."""

from __future__ import annotations

import uuid
from contextlib import suppress
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from confluent_kafka import KafkaException, Producer
from confluent_kafka.admin import AdminClient
from confluent_kafka.cimpl import NewTopic

from smartico_sync.catalogue.engines import KAFKA
from smartico_sync.demo.brokers import ANSWER_S, encryption_of, unreachable

if TYPE_CHECKING:
    from collections.abc import Iterable

__all__ = ["KafkaTopics", "connect"]

PARTITIONS = 4


class KafkaTopics:
    """Topics of this demo alone; see `brokers.Broker`."""

    def __init__(self, url: str) -> None:
        self._name, self._made = f"casino-{uuid.uuid4().hex[:8]}", set[str]()
        where = {"bootstrap.servers": urlsplit(url).netloc} if url else {"test.mock.num.brokers": 1}
        self._producer = Producer({**where, "linger.ms": 5, "enable.idempotence": bool(url), "log_level": 0})
        try:
            broker = next(iter(self._producer.list_topics(timeout=ANSWER_S).brokers.values()))
        except KafkaException:
            raise unreachable(KAFKA, url) from None
        self._admin = AdminClient({**where, "log_level": 0}) if url else None
        self.url = url or f"{KAFKA.scheme}://{broker.host}:{broker.port}"
        self.encryption = encryption_of(self.url)

    def place(self, view: str) -> str:
        """The topic of a view."""
        name = f"{self._name}.{view}"
        if name not in self._made:
            self._made.add(name)
            if self._admin is None:
                self._producer.list_topics(name, timeout=ANSWER_S)  # which makes it
            else:
                try:
                    self._admin.create_topics([NewTopic(name, PARTITIONS)])[name].result(ANSWER_S)
                except KafkaException as error:
                    raise unreachable(KAFKA, self.url, f"topic {name} cannot be made: {error.args[0].name()}") from None
        return name

    def put(self, view: str, messages: Iterable[tuple[str, bytes]]) -> None:
        """Publish by key."""
        name = self.place(view)
        outcomes: list[object] = []
        for key, body in messages:
            self._producer.produce(name, body, key, on_delivery=lambda error, _: outcomes.append(error))
        if self._producer.flush(ANSWER_S) or any(outcomes):
            raise unreachable(KAFKA, self.url)

    def close(self) -> None:
        """Delete the topics."""
        if self._admin is not None and self._made:
            for deleted in self._admin.delete_topics(sorted(self._made)).values():
                with suppress(KafkaException):
                    deleted.result(ANSWER_S)


def connect(url: str) -> KafkaTopics:
    """A cluster; raises SourceUnreachable."""
    return KafkaTopics(url)
