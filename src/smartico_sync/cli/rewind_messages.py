"""Where a view of messages is put by an operator: places are read, held against what the broker has, and told."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from smartico_sync.core.cursor_time import written_ms
from smartico_sync.core.messages.message import split_place
from smartico_sync.errors import ConfigError

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from smartico_sync.cli.operator_context import OperatorContext
    from smartico_sync.config.models import View

__all__ = ["lanes_from", "read_once_more", "skipped_over", "time_of"]

SHOWN = 10  # lanes are named: a topic may have hundreds


def lanes_from(
    context: OperatorContext, view: View, to: str, known: Mapping[str, int]
) -> tuple[dict[str, int], int | None]:
    """Where each lane goes on, and from when on (epoch ms) the ledger forgets: `first`, a time, or places such as bets/0@120.

    ConfigError for places that the topics do not have.
    """
    places = [place.strip() for place in to.split(",")]
    if all(re.fullmatch(r".+@\d+", place) for place in places):
        with context.broker(view) as (stream, feed):
            there = stream.ends(feed)
        wanted = dict(split_place(place) for place in places)
        for lane, at in wanted.items():
            checked(view.name, lane, at, there)
        return {**known, **wanted}, None
    moment_ms = 0 if to == "first" else time_of(to)
    with context.broker(view) as (stream, feed):
        return stream.at(feed, moment_ms), moment_ms or None


def checked(view: str, lane: str, at: int, there: Mapping[str, tuple[int, int]]) -> None:
    """Raise ConfigError for a place that is not there."""
    if lane not in there:
        names = ", ".join([*sorted(there)[:SHOWN], *(["…"] if len(there) > SHOWN else [])])
        raise ConfigError(f"view {view} reads no partition {lane}", hint=f"use one of: {names}")
    low, high = there[lane]
    if not low <= at <= high:
        raise ConfigError(
            f"view {view}: {lane} has the offsets {low} to {high}, and not {at}",
            hint=f"{lane}@{low} reads all that is there, {lane}@{high} only what comes from now on",
        )


def skipped_over(view: str, known: Mapping[str, int], wanted: Mapping[str, int]) -> Iterator[str]:
    """What is never sent when the view goes on there, in sentences; nothing where nothing is lost."""
    for lane, at in sorted(wanted.items()):
        count = at - known.get(lane, at)
        if count > 0:
            yield f"{view}: {count:,} message{'s' * (count > 1)} of {lane}, from {known[lane]} on, would never be sent"


def read_once_more(view: str, known: Mapping[str, int], wanted: Mapping[str, int]) -> str:
    """How many messages are read again when the view goes on there."""
    again = sum(max(0, known.get(lane, at) - at) for lane, at in wanted.items())
    return f"{view}: {again:,} messages are read again; their events have the same ids, and count once"


def time_of(text: str) -> int:
    """A time as a person writes it, as epoch ms; UTC where it names no zone."""
    try:
        return written_ms(text)
    except ValueError:
        raise ConfigError(
            f"{text!r} is no place of messages",
            hint="expected first, a time such as 2026-01-31T12:00:00, or offsets such as bets/0@120,bets/1@98",
        ) from None
