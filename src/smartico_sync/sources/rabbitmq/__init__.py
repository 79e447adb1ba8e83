"""RabbitMQ."""

from __future__ import annotations

from contextlib import closing, contextmanager
from functools import partial
from typing import TYPE_CHECKING, Literal, NoReturn

from msgspec.structs import replace

from smartico_sync.catalogue.engines import RABBITMQ
from smartico_sync.errors import ConfigError, ViewMisconfigured
from smartico_sync.sources.protocol import ServerFacts
from smartico_sync.sources.rabbitmq.beginning import offset_at, refuse
from smartico_sync.sources.rabbitmq.management import Management
from smartico_sync.sources.rabbitmq.queues import counts, ends, kind_of, newest, time_of_first
from smartico_sync.sources.rabbitmq.settings import settings_of, version_of
from smartico_sync.sources.rabbitmq.subscription import RabbitSubscription
from smartico_sync.sources.stream import Lag, Remark

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from pika.adapters.blocking_connection import BlockingConnection

    from smartico_sync.config.models import SourceConfig
    from smartico_sync.core.messages.message import Message
    from smartico_sync.core.records import LaneStep
    from smartico_sync.sources.rabbitmq.queues import Kind
    from smartico_sync.sources.stream import Feed, Keeper, Subscription

__all__ = ["RabbitStream", "connect"]


class RabbitStream:
    """One broker, or a cluster of them. Every call makes a connection of its own."""

    engine = RABBITMQ.scheme

    def __init__(self, name: str, config: SourceConfig) -> None:
        self._settings = settings_of(name, config)
        self._place = self._settings.place
        self.encryption = self._settings.encryption
        self._management = Management(self._settings) if self._settings.management else None
        self._prefetch: dict[str, int] = {}  # of views whose messages were too large for the configured one

    @contextmanager
    def _asking(self) -> Iterator[BlockingConnection]:
        with closing(self._settings.connected("looks")) as connection:
            yield connection

    def facts(self) -> ServerFacts:
        """Ask the broker what it is."""
        encrypted: Literal["yes", "no"] = "yes" if self._settings.tls else "no"
        with self._asking() as connection:
            return ServerFacts(
                self.engine, version_of(connection), f"virtual host {self._settings.vhost}", "", encrypted=encrypted
            )

    def names(self) -> tuple[str, ...]:
        """The queues of the virtual host. ConfigError where no management API may be asked: AMQP does not tell."""
        if self._management is None:
            raise ConfigError(
                f"{self._place}: AMQP does not tell which queues there are",
                hint="add the management API to the URL: ?management=http://HOST:15672 (the user needs the tag `monitoring`)",
            )
        return self._management.names()

    def subscribe(self, feed: Feed, keeper: Keeper) -> Subscription:
        """Begin to read."""
        self._named(feed)
        most = self._settings.prefetch
        settings = replace(self._settings, prefetch=min(most, self._prefetch.get(feed.view, most)))
        return RabbitSubscription(settings, feed, keeper, partial(self._prefetch.__setitem__, feed.view))

    def sample(self, feed: Feed, limit: int) -> list[Message]:
        """Some of the newest messages of streams; other queues show none without giving it away."""
        found: list[Message] = []
        with self._asking() as connection:
            for queue, kind in self._kinds(connection, feed).items():
                if kind == "stream":
                    found += newest(connection, queue, limit, self._place, feed)
        return found[-limit:]

    def lags(self, feed: Feed, known: Mapping[str, LaneStep]) -> tuple[Lag, ...]:
        """What waits in every queue."""
        with self._asking() as connection:
            return tuple(
                self._waiting(connection, queue, kind, known) for queue, kind in self._kinds(connection, feed).items()
            )

    def _waiting(self, connection: BlockingConnection, queue: str, kind: Kind, known: Mapping[str, LaneStep]) -> Lag:
        if kind != "stream":
            return Lag(queue, counts(connection, queue, self._place).messages)
        low, high = ends(connection, queue, self._place)
        at = max(low, known[queue].next) if queue in known else low
        return Lag(queue, high - at, time_of_first(connection, queue, at, self._place)) if at < high else Lag(queue, 0)

    def ends(self, feed: Feed) -> dict[str, tuple[int, int]]:
        """Where every stream begins and ends. Other queues cannot be read again: ViewMisconfigured."""
        with self._asking() as connection:
            return {queue: ends(connection, queue, self._place) for queue in self._streams(connection, feed)}

    def at(self, feed: Feed, moment_ms: int) -> dict[str, int]:
        """Of every stream the first offset of that time or later, as its broker cuts it into chunks. ViewMisconfigured for other queues."""
        with self._asking() as connection:
            return {
                queue: offset_at(connection, queue, moment_ms, self._place) for queue in self._streams(connection, feed)
            }

    def _streams(self, connection: BlockingConnection, feed: Feed) -> list[str]:
        kinds = self._kinds(connection, feed)
        if set(kinds.values()) != {"stream"}:
            self._once_only(feed)
        return [*kinds]

    def between(self, feed: Feed, low_ms: int, high_ms: int) -> Iterator[list[Message]]:  # noqa: ARG002 - the seam's
        """Queues cannot be read again. ViewMisconfigured."""
        self._once_only(feed)

    def _once_only(self, feed: Feed) -> NoReturn:
        raise ViewMisconfigured(
            f"view {feed.view}: a queue gives each message once, and is not read again by time",
            hint=f"smartico-sync dead-letters list --view {feed.view} shows what can be tried again",
        )

    def remarks(self, feed: Feed) -> Iterator[Remark]:
        """What there is to say of the queues."""
        with self._asking() as connection:
            version = version_of(connection)
            for queue, kind in self._kinds(connection, feed).items():
                count = counts(connection, queue, self._place)
                yield Remark("fine", f"queue {queue} is a {kind} queue with {count.messages} messages")
                if kind == "stream":
                    continue
                refuse(feed, queue, kind)
                yield Remark(
                    "advice",
                    f"queue {queue} shows no message without giving it away: `fields`, `root` and types are seen at the first messages",
                    "smartico-sync run shows what becomes of them; try the view on a stream queue first, bound to the same exchange",
                )
                yield from self._consumers(feed, queue, count.consumers)
                if self._management is not None:
                    yield from self._management.remarks(feed, queue, kind, self._settings.deliveries(version))
                else:
                    yield Remark(
                        "advice",
                        f"queue {queue}: AMQP does not tell whether it has x-single-active-consumer, a delivery limit or a dead-letter exchange",
                        "name the management API with the option `management`, or look with: rabbitmqctl list_queues name arguments policy",
                    )

    def _consumers(self, feed: Feed, queue: str, there: int) -> Iterator[Remark]:
        """Who else reads. Our own daemon is one of them, where it runs."""
        if there > 1:
            mark = "wrong" if feed.members == "alone" else "advice"
            yield Remark(
                "wrong" if mark == "wrong" else "advice",
                f"queue {queue} has {there} consumers: each gets a part of the messages",
                "stop the others, or set x-single-active-consumer, with which one reads and the others wait",
            )

    def _kinds(self, connection: BlockingConnection, feed: Feed) -> dict[str, Kind]:
        self._named(feed)
        return {queue: kind_of(connection, queue, self._place) for queue in feed.names}

    def _named(self, feed: Feed) -> None:
        if feed.named_by == "pattern":
            raise ViewMisconfigured(
                f"view {feed.view}: queues are read by their names, and not by a pattern",
                hint="list them in `relation`",
            )

    def close(self) -> None:
        """Nothing is kept open between calls."""


def connect(name: str, config: SourceConfig) -> RabbitStream:
    """The broker of a source; connects at its first use. ConfigError for what cannot be meant."""
    return RabbitStream(name, config)
