"""Where a subscription goes on in each of its queues."""

from __future__ import annotations

import re
from datetime import UTC, datetime
from hashlib import blake2b
from typing import TYPE_CHECKING

from smartico_sync.core.records import LaneStep
from smartico_sync.errors import MessagesLost, ViewMisconfigured, ViewRegressed
from smartico_sync.sources.rabbitmq.queues import ends, first_behind, first_from

if TYPE_CHECKING:
    from collections.abc import Mapping

    from pika import BasicProperties
    from pika.adapters.blocking_connection import BlockingConnection

    from smartico_sync.sources.rabbitmq.queues import Kind
    from smartico_sync.sources.stream import Feed

__all__ = ["counted_from", "mark", "offset_at", "refuse", "stream_step", "timeless"]

MARK = re.compile(r"(\d+) ([0-9a-f]{8})")
DIGEST_BYTES = 4  # tell one message from another, and do not tell what it was
CLOCKS_MS = 60_000  # the broker's clock and ours may be so far apart


def refuse(feed: Feed, queue: str, kind: Kind) -> None:
    """Raise ViewMisconfigured for what a queue that is no stream cannot give: places that last, an order after a break, a start."""
    about = f"view {feed.view}: {queue} is a {kind} queue, "
    if kind == "stream":
        return
    if queue in feed.others:
        raise ViewMisconfigured(
            f"{about}which gives each message to one reader, and view {feed.others[queue]} reads it too: neither is begun",
            hint="bind a queue of its own to the same exchange for each; a stream queue gives all messages to both, with `where` for each",
        )
    if feed.known_by == "place":
        raise ViewMisconfigured(
            f"{about}where a message that comes again has no place to be known by",
            hint="name what makes an event that event with `key:`; a producer's message id is `fields: {id: properties.message_id}`",
        )
    if feed.keyed == "player" and feed.older == "unknown":
        raise ViewMisconfigured(
            f"{about}which gives older profiles again after a broken connection",
            hint="name the column that grows with each change of a player with `version:`; or use a stream queue",
        )
    if feed.start != "first":
        raise ViewMisconfigured(
            f"{about}which is read from its first message on", hint="take `start_from` out; or use a stream queue"
        )


def timeless(feed: Feed, queue: str) -> ViewMisconfigured:
    """A message whose place is all that it is known by, and which says no time: a stream that is declared anew repeats places."""
    return ViewMisconfigured(
        f"view {feed.view}: a message of {queue} has no timestamp, and the view has no key: nothing tells it from one of a stream before",
        hint="name what makes an event that event with `key:`; or have the producer write the property timestamp",
    )


def counted_from(feed_queues: Mapping[str, Kind], known: Mapping[str, LaneStep]) -> int:
    """The number of the first message of queues that have none of their own: higher than all before, so that places are unique."""
    return max(
        (known[queue].next for queue, kind in feed_queues.items() if kind != "stream" and queue in known), default=0
    )


def stream_step(
    connection: BlockingConnection, feed: Feed, queue: str, known: LaneStep | None, place: str
) -> tuple[LaneStep, int, int]:
    """Where a stream goes on, its end, and how many messages were deleted unread before. Raises ViewRegressed and MessagesLost."""
    low, high = ends(connection, queue, place, known.next if known else 0)
    if known is None:
        if isinstance(feed.start, int):
            # The broker goes by its chunks: some messages that are older may come with the first of them.
            return LaneStep(queue, None, offset_at(connection, queue, feed.start, place)), high, 0
        return LaneStep(queue, None, low if feed.start == "first" else high), high, 0
    if known.next > high:
        raise regressed(feed, known, f"{queue} ends at {high}, and {known.next - 1} was read already")
    if known.next >= low:
        if replaced(connection, feed, known, place):
            raise regressed(
                feed, known, f"{queue} has another message at {known.next - 1} than the one that was read there"
            )
        return LaneStep(queue, known.next, known.next, known.epoch), high, 0
    if feed.on_gap == "stop":
        raise MessagesLost(
            f"view {feed.view}: {queue}: the broker deleted messages {known.next} to {low - 1} before they were read",
            hint=f"`on_gap: continue` goes on at {low}; what is lost has to come by another way. Then raise the stream's max-age",
        )
    return LaneStep(queue, known.next, low, known.epoch), high, low - known.next


def mark(feed: Feed, properties: BasicProperties, body: bytes, at_ms: int) -> str:
    """What the last message that was read of a stream is known by, and when that was (epoch ms).

    A broker that crashes, or is restored from a backup, may lose what it has handed over already; later messages then take the
    places of those, and whoever goes on from a place alone never reads them.
    """
    return f"{at_ms} {digest(feed, properties, body)}"


def digest(feed: Feed, properties: BasicProperties, body: bytes) -> str:
    """What tells a message from another that stands in its place."""
    said = blake2b(body, digest_size=DIGEST_BYTES, salt=b"stream", key=feed.state.encode()[:64])
    said.update(str(properties.timestamp).encode())
    return said.hexdigest()


def replaced(connection: BlockingConnection, feed: Feed, known: LaneStep, place: str) -> bool:
    """Whether another message stands where the last one was read; where none stands there any more, nobody can tell."""
    told = MARK.fullmatch(known.epoch)
    found = first_behind(connection, known.lane, known.next - 1, place) if told else None
    if told is None or found is None or found[0] != known.next - 1:
        return False
    return digest(feed, found[1], found[2]) != told[2]


def regressed(feed: Feed, known: LaneStep, what: str) -> ViewRegressed:
    """The stream is another one, or lost its end: what came since the last message was read takes places that were read already."""
    told = MARK.fullmatch(known.epoch)
    since = "first"
    if told:
        since = f"{_moment(int(told[1]) - CLOCKS_MS):%Y-%m-%dT%H:%M:%SZ}"
    return ViewRegressed(
        f"view {feed.view}: {what}: the stream was declared anew, or the broker lost its end in a crash or a restore",
        hint=f"smartico-sync watermark rewind {feed.view} --to {since} reads "
        + (
            "what came since then; events that come again have the same ids, and count once"
            if told
            else "all that it has now"
        ),
    )


def offset_at(connection: BlockingConnection, queue: str, moment_ms: int, place: str) -> int:
    """The first offset of a stream that was written at a time or later; its end where there is none."""
    low, high = ends(connection, queue, place)
    if moment_ms <= 0:
        return low
    found = first_from(connection, queue, _moment(moment_ms), place)
    return high if found is None else found


def _moment(epoch_ms: int) -> datetime:  # pika writes such an object as the protocol's timestamp
    return datetime.fromtimestamp(epoch_ms / 1000, UTC)
