"""Where each lane goes on when this member is given it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from msgspec import Struct

from smartico_sync.core.records import PLACED, LaneStep
from smartico_sync.errors import MessagesLost, ViewRegressed

if TYPE_CHECKING:
    from collections.abc import Mapping

    from smartico_sync.sources.stream import Feed

__all__ = ["Committed", "begin_at", "beyond", "gap", "reborn", "reconciled", "step"]


class Committed(Struct, frozen=True):
    """What the broker holds of a lane's group: the offset (below 0: none), and who wrote it."""

    offset: int
    by: str = ""


def reconciled(feed: Feed, known: LaneStep | None, committed: Committed) -> int | None:
    """Where a lane goes on; None where nobody has read it.

    The state's position, if the broker's was written by this state or names none, or an operator has put it there; else the
    larger: another daemon has gone on from there. What some other program read in the group was sent by nobody.
    """
    if known is None:
        return committed.offset if committed.offset >= 0 and committed.by != feed.state else None
    if committed.by in (feed.state, "") or known.epoch == PLACED:
        return known.next
    return max(known.next, committed.offset)


def begin_at(feed: Feed, lane: str, known: Mapping[str, LaneStep]) -> str:
    """Where a lane begins that nobody has read: `first`, `now` or `time`.

    One that is added later begins at its first message: to a topic, or with a topic to those that a pattern finds. What it
    holds came while the view was there.
    """
    topic = lane.rpartition("/")[0]
    if feed.named_by == "pattern" and known:
        return "first"
    if any(name.rpartition("/")[0] == topic for name in known):
        return "first"
    return feed.start if isinstance(feed.start, str) else "time"


def reborn(feed: Feed, lane: str, known: LaneStep, epoch: str) -> ViewRegressed | None:
    """Whether another topic has the name now."""
    if not epoch or known.epoch in ("", PLACED, epoch):
        return None
    topic = lane.rpartition("/")[0]
    return ViewRegressed(
        f"view {feed.view}: topic {topic} is another one than was read: it was deleted and created anew",
        hint=f"smartico-sync watermark rewind {feed.view} --to first reads the new one from its beginning",
    )


def beyond(feed: Feed, lane: str, at: int, end: int) -> ViewRegressed:
    """The position lies behind the end."""
    return ViewRegressed(
        f"view {feed.view}: {lane} ends at {end}, and {at - 1} was read already: the topic was recreated, or the cluster restored",
        hint=f"smartico-sync watermark rewind {feed.view} --to first, or to a time, reads what is there now",
    )


def gap(feed: Feed, lane: str, at: int, low: int) -> MessagesLost | None:
    """Messages that were deleted before they were read; None where the configuration says to go on."""
    if feed.on_gap == "continue":
        return None
    return MessagesLost(
        f"view {feed.view}: {lane}: the broker deleted messages {at} to {low - 1} before they were read",
        hint=f"`on_gap: continue` goes on at {low}; what is lost has to come by another way. Then raise the topic's retention.ms",
    )


def step(lane: str, known: LaneStep | None, at: int, epoch: str) -> LaneStep:
    """The step from what the state knows to where the lane goes on."""
    before = "" if known is None or known.epoch == PLACED else known.epoch
    return LaneStep(lane, None if known is None else known.next, at, epoch or before)
