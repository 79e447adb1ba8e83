"""How many messages have not come yet, of each queue that a view reads."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Literal

from smartico_sync.sources.rabbitmq.queues import counted

if TYPE_CHECKING:
    from collections.abc import Mapping

    from pika.adapters.blocking_connection import BlockingChannel

    from smartico_sync.sources.rabbitmq.queues import Counts, Kind

__all__ = ["Remaining"]

STREAM_QUIET_S = 1.0  # a stream that sends nothing for so long behind its end is level


class Remaining:
    """As of the last count, which says nothing of an end any more once a message has come behind it."""

    def __init__(self, kinds: Mapping[str, Kind]) -> None:
        self._kinds = kinds
        self.counts: dict[str, Counts] = {}
        self._counted: Literal["before", "since"] = "before"  # the last message
        self._ends: dict[str, tuple[int, int]] = {}
        self._quiet_since = time.monotonic()

    def ends(self, stream: str, end: int, messages: int) -> None:
        """Where a stream ended when it held so many messages."""
        self._ends[stream] = end, messages

    def came(self, now: float) -> None:
        """Messages came."""
        self._quiet_since = now
        self._counted = "before"

    def count(self, channel: BlockingChannel) -> None:
        """Ask the broker."""
        self.counts = {queue: counted(channel, queue) for queue in self._kinds}
        self._counted = "since"

    def none(self, places: Mapping[str, int]) -> bool:
        """Whether every queue is counted, and empty; `places` are the next offsets."""
        return self._counted == "since" and not any(self.of(queue, places) for queue in self._kinds)

    def of(self, queue: str, places: Mapping[str, int], prefetch: Literal["free", "full"] = "free") -> int:
        """How many wait in a queue. With a `prefetch` that is full the broker holds others back."""
        count = self.counts.get(queue)
        if count is None:
            return 0
        if self._kinds[queue] != "stream":
            return count.messages
        end, there = self._ends[queue]
        quiet = time.monotonic() - self._quiet_since >= STREAM_QUIET_S
        left = end + count.messages - there - places[queue]
        if quiet and places[queue] >= end:
            return 0 if prefetch == "free" else max(0, left)  # it would have sent more
        return max(1, left)
