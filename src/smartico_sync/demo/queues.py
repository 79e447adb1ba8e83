"""A RabbitMQ for the demo: one that is named."""

from __future__ import annotations

import uuid
from contextlib import suppress
from typing import TYPE_CHECKING

from pika import BasicProperties, BlockingConnection, URLParameters
from pika.exceptions import AMQPError

from smartico_sync.catalogue.engines import RABBITMQ
from smartico_sync.demo.brokers import encryption_of, unreachable
from smartico_sync.errors import ConfigError

if TYPE_CHECKING:
    from collections.abc import Iterable

__all__ = ["RabbitQueues", "connect"]

DURABLE = BasicProperties(delivery_mode=2)


class RabbitQueues:
    """Queues of this demo alone, of which each has one consumer at a time; see `brokers.Broker`."""

    def __init__(self, url: str) -> None:
        if not url:
            raise ConfigError(
                f"a demo of {RABBITMQ.title} needs a broker that runs",
                hint=f"--broker {RABBITMQ.scheme}://user:password@host:{RABBITMQ.port}",
            )
        self._name, self._made = f"casino-{uuid.uuid4().hex[:8]}", set[str]()
        self.url, self.encryption = url, encryption_of(url)
        try:
            # Without a heartbeat: nobody asks this connection while the casino stands still.
            self._connection = BlockingConnection(URLParameters(f"{url}{'&' if '?' in url else '?'}heartbeat=0"))
            self._channel = self._connection.channel()
            self._channel.tx_select()
        except (AMQPError, OSError):
            raise unreachable(RABBITMQ, url) from None

    def place(self, view: str) -> str:
        """The queue of a view."""
        name = f"{self._name}.{view}"
        if name not in self._made:
            self._made.add(name)
            self._channel.queue_declare(
                name, durable=True, arguments={"x-queue-type": "quorum", "x-single-active-consumer": True}
            )
        return name

    def put(self, view: str, messages: Iterable[tuple[str, bytes]]) -> None:
        """Publish in one transaction."""
        name = self.place(view)
        try:
            for _, body in messages:
                self._channel.basic_publish("", name, body, DURABLE)
            self._channel.tx_commit()
        except (AMQPError, OSError):
            raise unreachable(RABBITMQ, self.url) from None

    def close(self) -> None:
        """Delete the queues."""
        with suppress(AMQPError, OSError):
            for name in sorted(self._made):
                self._channel.queue_delete(name)
            self._connection.close()


def connect(url: str) -> RabbitQueues:
    """A broker; raises ConfigError without a URL, SourceUnreachable."""
    return RabbitQueues(url)
