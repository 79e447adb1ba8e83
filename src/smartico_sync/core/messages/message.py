"""One message as a broker hands it over, and its place."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["NOTHING", "Message", "place_of", "split_place"]

NOTHING: Mapping[str, object] = {}


class Message(NamedTuple):
    """One message. Those of one `lane` (`topic/partition`, or a queue) are in order, and `offset` grows there.

    `time_ms`: when it was written, epoch ms, 0 where the broker does not say. `value` None is a tombstone. `headers` are the
    producer's; `properties` those of AMQP. Both are filled only where the view reads them.
    """

    lane: str
    offset: int
    time_ms: int
    key: bytes | None
    value: bytes | None
    headers: Mapping[str, object] = NOTHING
    properties: Mapping[str, object] = NOTHING


def place_of(message: Message) -> str:
    """Where a message is, as text; a dead letter and a parked row are known by it."""
    return f"{message.lane}@{message.offset}"


def split_place(place: str) -> tuple[str, int]:
    """Lane and offset of a place. ValueError for what is none."""
    lane, _, offset = place.rpartition("@")
    return lane, int(offset)
