"""Places of messages as a person writes them, and what it means that a view goes on there."""

from __future__ import annotations

import re
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from smartico_sync.core.messages.message import split_place
from smartico_sync.core.records import LaneStep
from smartico_sync.errors import ConfigError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from smartico_sync.cli.operator_context import OperatorContext
    from smartico_sync.config.models import View
    from smartico_sync.sources.stream import Feed, Stream

__all__ = ["lanes_from", "time_of"]


def lanes_from(context: OperatorContext, view: View, to: str) -> tuple[dict[str, int], int | None, list[str], str]:
    """Where each lane goes on, and from when on (epoch ms) the ledger forgets: `first`, a time, or places such as bets/0@120.

    And what that means: what is never read, and what is read again.
    """
    with context.reading() as store:
        steps = dict(store.lanes(view.name)) if store.view(view.name) else {}
    places = [place.strip() for place in to.split(",")]
    moment_ms: int | None = None
    with context.broker(view) as (stream, feed):
        if all(re.fullmatch(r".+/\d+@\d+", place) for place in places):
            lanes_at = {lane: step.next for lane, step in steps.items()} | dict(split_place(place) for place in places)
        else:
            moment_ms = 0 if to == "first" else time_of(to)
            lanes_at = stream.at(feed, moment_ms)
        lost, plan = messages_moved(stream, feed, steps, lanes_at)
    return lanes_at, moment_ms or None, lost, plan


def time_of(text: str) -> int:
    """A time as a person writes it, as epoch ms; UTC where it names no zone."""
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        raise ConfigError(
            f"{text!r} is no place of messages",
            hint="expected first, a time such as 2026-01-31T12:00:00, or offsets such as bets/0@120,bets/1@98",
        ) from None
    return round((moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp() * 1000)


def messages_moved(
    stream: Stream, feed: Feed, known: Mapping[str, LaneStep], lanes_at: Mapping[str, int]
) -> tuple[list[str], str]:
    """What is never read when a view of messages goes on at these places, in sentences; and what is read again, in one.

    ConfigError for a place that the broker does not have. Raises what the broker raises.
    """
    target = {lane: LaneStep(lane, None, at) for lane, at in lanes_at.items()}
    waits = {each.lane: each.messages for each in stream.lags(feed, known)}
    would = {each.lane: each.messages for each in stream.lags(feed, target)}
    if unknown := sorted(set(lanes_at) - set(waits) - set(known)):
        raise ConfigError(
            f"view {feed.view} reads no {', '.join(unknown)}",
            hint=f"its places are: {', '.join(sorted(waits)) or 'none yet'}",
        )
    lost = []
    for lane in sorted(set(lanes_at) & set(waits)):
        if would[lane] < 0:
            lost.append(
                f"{feed.view}: {lane}@{lanes_at[lane]} lies above the newest message; those to come up to there are never read"
            )
        if (passed := waits[lane] - max(would[lane], 0)) > 0:
            lost.append(f"{feed.view}: {passed:,} message{'s' * (passed > 1)} of {lane} would never be read")
    again = sum(max(0, would[lane] - waits[lane]) for lane in set(lanes_at) & set(waits))
    return lost, f"{feed.view}: {again:,} messages are read again; their events have the same ids, and count once"
