"""What AMQP tells of queues without moving a message: what they are, how many wait, where a stream begins and ends."""

from __future__ import annotations

import time
from contextlib import closing, suppress
from functools import partial
from typing import TYPE_CHECKING, Any, Literal

from msgspec import Struct
from pika.exceptions import AMQPError, ChannelClosedByBroker

from smartico_sync.core.messages.message import LATEST_MS, NOTHING, Message, Messages
from smartico_sync.sources.rabbitmq.failures import PRECONDITION, translated

if TYPE_CHECKING:
    from collections.abc import Generator, Mapping, Sequence

    from pika import BasicProperties
    from pika.adapters.blocking_connection import BlockingChannel, BlockingConnection

    from smartico_sync.sources.rabbitmq.deliveries import Taker
    from smartico_sync.sources.stream import Feed

__all__ = [
    "OFFSET_HEADER",
    "Counts",
    "Kind",
    "consume",
    "counted",
    "counts",
    "ends",
    "first_behind",
    "first_from",
    "kind_of",
    "leave",
    "message_of",
    "messages_of",
    "newest",
    "time_of_first",
    "written_ms",
]

Kind = Literal["classic", "quorum", "stream"]
OFFSET_HEADER = "x-stream-offset"
QUIET_S = 0.5  # a stream that sends nothing for so long has nothing more
BUSY_S = 1.0  # a stream that is written to all the while never is quiet
PATIENCE_S = 20.0  # until a busy stream comes to where it was read before: its last chunk may hold thousands
LOOK_MESSAGES = 100  # of a stream, on their way at once while it is only looked at
PROPERTIES = (
    "app_id", "content_encoding", "content_type", "correlation_id", "delivery_mode", "expiration", "message_id", "priority",
    "reply_to", "type", "user_id",
)  # fmt: skip


class Counts(Struct, frozen=True):
    """Messages that are ready to be delivered (of a stream all that it holds), and consumers."""

    messages: int
    consumers: int


def leave(channel: BlockingChannel) -> None:
    """Close a channel, and nothing else: the broker puts all that is open back where it was.

    The client's own way would cancel the consumers first and put what it has fetched back one by one: another consumer is then
    given later messages before earlier ones, and a stream breaks the connection.
    """
    channel._impl._consumers.clear()  # noqa: SLF001 - the client has no other way
    channel._consumer_infos.clear()  # noqa: SLF001 - as above
    channel.close()


def consume(
    connection: BlockingConnection, channel: BlockingChannel, queue: str, take: Taker, arguments: Mapping[str, object]
) -> None:
    """Have deliveries of a queue handed to `take`, inside `process_data_events`, which then returns. Raises the client's exceptions."""
    impl = connection._impl  # noqa: SLF001 - the client has no other way
    number = channel.channel_number
    tag = f"ctag{number}.{len(impl.deliveries.takers)}"
    # Before it is asked for: its first deliveries may come with the answer.
    impl.deliveries.takers[number, tag.encode()] = take
    impl.came = partial(connection._request_channel_dispatch, -number)  # noqa: SLF001 - as above; "return", in its words
    channel.basic_consume(queue, nothing, consumer_tag=tag, arguments=dict(arguments))


def nothing(*_: object) -> None:
    """What the client itself does with a delivery."""


def kind_of(connection: BlockingConnection, queue: str, place: str) -> Kind:
    """What a queue is. Only a stream takes the argument that names a place in it; the others refuse it, by their kind."""
    with translated(place, queue):
        channel = connection.channel()
        try:
            channel.basic_qos(prefetch_count=1)
            channel.basic_consume(queue, lambda *_: None, arguments={OFFSET_HEADER: "next"})
        except ChannelClosedByBroker as error:
            if error.reply_code != PRECONDITION or OFFSET_HEADER not in error.reply_text:
                raise
            return "quorum" if "quorum" in error.reply_text else "classic"
        leave(channel)
        return "stream"


def counts(connection: BlockingConnection, queue: str, place: str) -> Counts:
    """How many messages and consumers a queue has."""
    with translated(place, queue):
        channel = connection.channel()
        found = counted(channel, queue)
        channel.close()
    return found


def counted(channel: BlockingChannel, queue: str) -> Counts:
    """The same on a channel; raises the client's exceptions."""
    told = channel.queue_declare(queue, passive=True).method
    return Counts(told.message_count, told.consumer_count)


def message_of(lane: str, offset: int, properties: BasicProperties, body: bytes, feed: Feed) -> Message:
    """A delivery as a message, with as much of its headers and properties as the feed reads. Without a time it is as old as now."""
    headers: Mapping[str, Any] = properties.headers or NOTHING if "headers" in feed.needs else NOTHING
    told: Mapping[str, object] = NOTHING
    if "properties" in feed.needs:
        told = properties_of(properties)
    time_ms = written_ms(properties) or round(time.time() * 1000)
    return Message(lane, offset, time_ms, None, body, headers, told)


def messages_of(
    lanes: list[str], offsets: list[int], told: list[BasicProperties], bodies: list[bytes], feed: Feed
) -> Messages:
    """The same of many, column by column."""
    headers: Sequence[Mapping[str, object]] = ()
    properties: Sequence[Mapping[str, object]] = ()
    if "headers" in feed.needs:
        headers = [each.headers or NOTHING for each in told]
    if "properties" in feed.needs:
        properties = [properties_of(each) for each in told]
    now_ms = round(time.time() * 1000)
    times_ms = [written_ms(each) or now_ms for each in told]
    return Messages(lanes, offsets, times_ms, [None] * len(lanes), bodies, headers, properties)


def written_ms(properties: BasicProperties) -> int:
    """When a message was written, epoch ms; 0 where its producer does not say, or means another unit than seconds."""
    told = 1000 * (properties.timestamp or 0)
    return told if told <= LATEST_MS else 0


def properties_of(properties: BasicProperties) -> dict[str, object]:
    """What is said of a message beside its headers."""
    return {name: value for name in PROPERTIES if (value := getattr(properties, name)) is not None}


def looked_at(
    connection: BlockingConnection, queue: str, start: object, place: str
) -> Generator[tuple[int, BasicProperties, bytes]]:
    """The messages of a stream from a place on, until it sends no more for a while. Nobody's place is moved."""
    received: list[tuple[int, int, BasicProperties, bytes]] = []

    def take(_channel: object, method: Any, properties: BasicProperties, body: bytes) -> None:
        received.append((method.delivery_tag, int(properties.headers[OFFSET_HEADER]), properties, body))

    with translated(place, queue):
        channel = connection.channel()
        try:
            channel.basic_qos(prefetch_count=LOOK_MESSAGES)
            channel.basic_consume(queue, take, arguments={OFFSET_HEADER: start})
            last = time.monotonic()
            while time.monotonic() - last < QUIET_S:
                connection.process_data_events(QUIET_S / 5)
                if received:
                    some, last = received[:], time.monotonic()
                    received.clear()
                    channel.basic_ack(some[-1][0], multiple=True)
                    for _, offset, properties, body in some:
                        yield offset, properties, body
        finally:
            with suppress(AMQPError, OSError):
                leave(channel)


def first_from(connection: BlockingConnection, queue: str, start: object, place: str) -> int | None:
    """The offset of the first message of a stream at a place or behind it; None where there is none."""
    with closing(looked_at(connection, queue, start, place)) as looking:
        return next((offset for offset, *_ in looking), None)


def first_behind(
    connection: BlockingConnection, queue: str, at: int, place: str
) -> tuple[int, BasicProperties, bytes] | None:
    """The first message of a stream at an offset or behind it, with its offset; None where there is none."""
    with closing(looked_at(connection, queue, at, place)) as looking:
        return next((message for message in looking if message[0] >= at), None)


def time_of_first(connection: BlockingConnection, queue: str, at: int, place: str) -> int:
    """When the first message of a stream at an offset or behind it was written, epoch ms; 0 where its producer does not say."""
    found = first_behind(connection, queue, at, place)
    return written_ms(found[1]) if found else 0


def ends(connection: BlockingConnection, queue: str, place: str, least: int = 0) -> tuple[int, int]:
    """The first offset of a stream that is there, and the one after its last; (0, 0) for one that never had a message.

    A stream that is written to all the while has no last one: it is looked at for a moment, or until it has come to `least`.
    """
    first, end = first_from(connection, queue, "first", place) or 0, 0
    began = time.monotonic()
    with closing(looked_at(connection, queue, "last", place)) as looking:
        for offset, *_ in looking:
            end = max(end, offset + 1)
            looked_s = time.monotonic() - began
            if looked_s >= BUSY_S and (end >= least or looked_s >= PATIENCE_S):
                break
    return first, max(end, first)


def newest(connection: BlockingConnection, queue: str, limit: int, place: str, feed: Feed) -> list[Message]:
    """The newest messages of a stream."""
    low, high = ends(connection, queue, place)
    found: list[Message] = []
    for offset, properties, body in looked_at(connection, queue, max(low, high - limit), place):
        found.append(message_of(queue, offset, properties, body, feed))
        if offset >= high - 1:
            break
    return found[-limit:]
