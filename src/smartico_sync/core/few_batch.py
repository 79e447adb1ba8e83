"""A handful of rows as a prepared batch, in plain values to the end: what `pipeline.prepare` makes of columns, where nothing is unusual.

Frames are made of what goes on as frames, once it is known. None wherever anything has to be looked at with more care: a rule that
may be broken, a player who waits, a profile that may be old or must not change, or who is there twice.
"""

from __future__ import annotations

from itertools import pairwise
from typing import TYPE_CHECKING, Any, NamedTuple

import polars as pl

from smartico_sync.catalogue.events import EARLIEST_MS
from smartico_sync.core import few_columns
from smartico_sync.core.events import PLAYER, POSITION, Events
from smartico_sync.core.few_diff import differs
from smartico_sync.core.few_events import few_event, printed
from smartico_sync.core.few_rows import Unusual
from smartico_sync.core.few_steps import few_steps
from smartico_sync.core.few_texts import hmac_sha256
from smartico_sync.core.flaws import no_rejects
from smartico_sync.core.identity import SEPARATOR, as_signed, content_text, keyed_text, seed_text, uuid_text
from smartico_sync.core.ledger_keys import ledger_key
from smartico_sync.core.part_prints import DIGITS, layout_of
from smartico_sync.core.position import Position
from smartico_sync.core.prepared_batch import QUIET, PreparedBatch, nothing_quiet
from smartico_sync.core.records import Anchor
from smartico_sync.core.told_sets import marked

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from collections.abc import Set as AbstractSet

    from smartico_sync.core.few_columns import Held
    from smartico_sync.core.few_events import FewEvent, FewSteps, FewTold, Values
    from smartico_sync.core.prepared_batch import PipelineOptions
    from smartico_sync.core.records import Holds
    from smartico_sync.core.view_mapping import ViewMapping

__all__ = ["few_batch"]

LEDGER = ("key", "cursor_ms")
LEDGER_HOLDS: tuple[Held, ...] = ("hash", "whole number")
STATES = ("id", "eid", "whole", "parts", "cursor_at", POSITION)
STATES_HOLD: tuple[Held, ...] = ("hash", "text", "bytes", "bytes", "whole number", "place")
QUIET_HOLDS: tuple[Held, ...] = ("place", "text", "text", "text", "hash")


class State(NamedTuple):
    """What is to be remembered of a profile: its columns in a page, whether it is news, and whether only its cursor is."""

    columns: tuple[int, str, bytes, bytes | None, int | None, int]
    changed: bool
    later: bool


def few_batch(
    rows: pl.DataFrame,
    options: PipelineOptions,
    known: Callable[[pl.Series], pl.DataFrame],
    now_ms: int,
    waiting: AbstractSet[int],
    holds: Holds,
) -> PreparedBatch | None:
    """What `prepare` makes of a handful of rows, none of which is to have a new id; None where it has to look at them as columns."""
    mapping = options.mapping
    steps = few_steps(mapping, rows)
    if steps is None or (steps.told is not None and options.payload != "full"):
        return None
    try:
        values = asked(steps, rows) if steps.asked else plain(rows)
        events = [few_event(steps, row, mapping.options.secret, now_ms) for row in values]
        latest_ms = now_ms + options.future_ms
        for event in events:
            if not EARLIEST_MS <= event.date <= latest_ms or event.player in waiting:
                return None
        moments = [moment(steps, row) for row in values]
        if steps.told is None:
            return transactions(steps, mapping, values, events, moments, holds)
        return profiles(steps, steps.told, options, values, events, moments, known, now_ms, holds)
    except Unusual:
        return None


def plain(rows: pl.DataFrame) -> list[Values]:
    """The rows, each with a None behind its values. Raises Unusual where Python has no such date."""
    try:
        return [(*row, None) for row in rows.rows()]
    except (ValueError, OverflowError, pl.exceptions.PanicException) as error:
        raise Unusual from error


def asked(steps: FewSteps, rows: pl.DataFrame) -> list[Values]:
    """The same with what a query makes of them behind it. Raises Unusual where it makes nothing of a value."""
    made = rows.select(expr for expr, _, _ in steps.asked).rows()
    values = [(*row, *more) for row, more in zip(plain(rows), made, strict=True)]
    for _, at, source in steps.asked:
        if any(row[at] is None and row[source] is not None for row in values):
            raise Unusual
    return values


def moment(steps: FewSteps, row: Values) -> int:
    """A row's cursor for the ledger."""
    at, made, _ = steps.moment
    if row[at] is None or made is None:
        raise Unusual
    found: int = made(row[at])
    return found


def transactions(
    steps: FewSteps,
    mapping: ViewMapping,
    rows: Sequence[Values],
    events: Sequence[FewEvent],
    moments: Sequence[int],
    holds: Holds,
) -> PreparedBatch | None:
    """The batch of transactions; None where neighbours stand at one cursor value, which are to be put in order."""
    at = steps.cursor
    if any(before[at] == row[at] for before, row in pairwise(rows)):
        return None
    made = [event.row(place, uuid_text(event.seed)) for place, event in enumerate(events)]
    marks = {
        place: keyed_text(
            seed_text((event.brand, event.user, event.event_type, str(event.date))), mapping.options.secret
        )
        for place, event in some(events)
    }
    return PreparedBatch(
        places_of(steps, rows), ledger_of(steps, mapping, rows, moments), sent(steps, made), no_rejects(), steps.nothing,
        anchors=anchors(steps, rows, events, moments, marks), holds=holds,
    )  # fmt: skip


def profiles(
    steps: FewSteps,
    told: FewTold,
    options: PipelineOptions,
    rows: Sequence[Values],
    events: Sequence[FewEvent],
    moments: Sequence[int],
    known: Callable[[pl.Series], pl.DataFrame],
    now_ms: int,
    holds: Holds,
) -> PreparedBatch | None:
    """The batch of profiles."""
    players = [event.player for event in events]
    if len(set(players)) < len(players):
        return None
    delivered = known(few_columns.column("hash", players, PLAYER))
    names = delivered.columns
    if marked(names):
        return None
    before = {each["id"]: each for each in (dict(zip(names, row, strict=True)) for row in delivered.rows())}
    latest, secret = (now_ms + options.ahead_ms) * 1000, options.secret
    states = []
    for place, (row, event) in enumerate(zip(rows, events, strict=True)):
        at = None if steps.order is None else steps.order(row[steps.moment.at])
        if at is not None and steps.dated:
            at = min(at, latest)
        states.append(state(told, event, place, at, before.get(event.player, {}), secret))
    if "cursor_at" not in names:
        states = [each._replace(later=False) for each in states]
    made = [
        event.row(place, each.columns[1])
        for place, (event, each) in enumerate(zip(events, states, strict=True))
        if each.changed
    ]
    remembered = [each.columns for each in states if each.changed or each.later]
    quiet = [
        (place, event.key, "", event.event_type, event.player)
        for place, (event, each) in enumerate(zip(events, states, strict=True))
        if not each.changed
    ]
    marks = {place: event.player for place, event in some(events)}
    return PreparedBatch(
        places_of(steps, rows), ledger_of(steps, options.mapping, rows, moments), sent(steps, made), no_rejects(), steps.nothing,
        few_columns.frame(QUIET, QUIET_HOLDS, columns(quiet, QUIET)) if quiet else nothing_quiet(), 0, 0,
        few_columns.frame(STATES, STATES_HOLD, columns(remembered, STATES)),
        anchors(steps, rows, events, moments, marks), holds=holds,
    )  # fmt: skip


def state(told: FewTold, event: FewEvent, place: int, at: int | None, before: dict[str, Any], secret: bytes) -> State:
    """What is to be remembered of a profile, beside what is known of it. Raises Unusual where it is older, or what must not change did."""
    last_at = before.get("cursor_at")
    if at is not None and last_at is not None and at < last_at:
        raise Unusual
    whole = print_of(event, told.all, secret)
    own = [print_of(event, (each,), secret) for each in told.fixed]
    own += ["0" if event.payload[each] is None else "1" for each in told.clearable]
    layout = layout_of(told.layout, secret)
    if differs(before.get("parts"), layout, own):
        raise Unusual
    parts = bytes.fromhex("".join((layout, *own, "0" * (len(told.clearable) % 2)))) if own else None
    mark = bytes.fromhex(whole)
    later = at is not None and (last_at is None or at > last_at)
    eid = uuid_text(f"{event.seed}{SEPARATOR}{whole}")
    return State((event.player, eid, mark, parts, at, place), mark != before.get("whole"), later)


def print_of(event: FewEvent, names: Sequence[tuple[int, str]], secret: bytes) -> str:
    """The keyed fingerprint of some properties, as `identity.content_prints` makes it."""
    payload = event.payload
    held = [
        (code, value if value.__class__ is str else str(printed(value)))
        for place, code in names
        if (value := payload[place]) is not None
    ]
    return hmac_sha256(content_text((str(event.player),), held), secret.hex())[:DIGITS]


def some(events: Sequence[FewEvent]) -> list[tuple[int, FewEvent]]:
    """The first, the middle and the last one, each with its place."""
    return [(place, events[place]) for place in sorted({0, len(events) // 2, len(events) - 1})]


def anchors(
    steps: FewSteps, rows: Sequence[Values], events: Sequence[FewEvent], moments: Sequence[int], marks: dict[int, int]
) -> tuple[Anchor, ...]:
    """The rows by which the source can be recognised later: those that have marks."""
    return tuple(
        Anchor(
            Position(rows[place][steps.cursor], tuple(rows[place][at] for at in steps.keys)),
            moments[place], as_signed(mark), events[place].player,
        )
        for place, mark in marks.items()
    )  # fmt: skip


def ledger_of(steps: FewSteps, mapping: ViewMapping, rows: Sequence[Values], moments: Sequence[int]) -> pl.DataFrame:
    """What the ledger keeps of these rows."""
    keys = [ledger_key(mapping, row[steps.cursor], [row[at] for at in steps.keys]) for row in rows]
    return few_columns.frame(LEDGER, LEDGER_HOLDS, (keys, moments))


def places_of(steps: FewSteps, rows: Sequence[Values]) -> pl.DataFrame:
    """Where they stand."""
    names = [name for name, _ in steps.placed]
    return few_columns.frame(names, ["text"] * len(names), [[row[at] for row in rows] for _, at in steps.placed])


def sent(steps: FewSteps, made: Sequence[Sequence[Any]]) -> Events:
    """Events of their columns."""
    return Events(few_columns.frame(steps.names, steps.held, columns(made, steps.names)), steps.raw)


def columns(rows: Sequence[Sequence[Any]], names: Sequence[str]) -> Sequence[Sequence[Any]]:
    """Rows as columns, of which there are so many."""
    return list(zip(*rows, strict=True)) if rows else [()] * len(names)
