"""Who else reads a queue: each of its messages goes to one of its consumers."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from smartico_sync.errors import ViewMisconfigured
from smartico_sync.sources.rabbitmq.queues import counts

if TYPE_CHECKING:
    from pika import BlockingConnection

    from smartico_sync.sources.stream import Feed

__all__ = ["shared", "wait_for_others"]

FREED_S = 3.0  # a consumer that was killed is gone by then
LOOK_S = 0.1


def wait_for_others(feed: Feed, connection: BlockingConnection, queue: str, place: str) -> None:
    """Profiles are compared with one state: nobody else may read them. A consumer that was killed has a moment to go."""
    until = time.monotonic() + FREED_S
    while feed.members == "alone" and (others := counts(connection, queue, place).consumers):
        if time.monotonic() > until:
            shared(feed, queue, others + 1)
        time.sleep(LOOK_S)


def shared(feed: Feed, queue: str, consumers: int) -> str:
    """What to tell of another consumer that takes a part of the messages, or waits to; ViewMisconfigured for profiles."""
    if feed.members == "alone":
        raise ViewMisconfigured(
            f"view {feed.view}: queue {queue} has {consumers} consumers, and profiles need one alone",
            hint="stop the others; a queue gives each message to one of its consumers, so each view needs a queue of its own",
        )
    return f"queue {queue} has {consumers} consumers: each player's order is kept only with x-single-active-consumer"
