"""Whether a cursor is what the configuration takes it for: a look at the newest values, when a view is prepared."""

from __future__ import annotations

import re
from datetime import UTC, datetime
from typing import TYPE_CHECKING
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from msgspec import Struct

from smartico_sync.catalogue.engines import ENGINES
from smartico_sync.core.cursor_time import DAY_MS, Grain, cursor_ms, looks_like
from smartico_sync.errors import ViewMisconfigured

if TYPE_CHECKING:
    import polars as pl

    from smartico_sync.config.models import SourceConfig, View
    from smartico_sync.core.relation import Relation
    from smartico_sync.sources.protocol import Reading, ServerFacts, Source

__all__ = ["Advice", "coarse", "cursor_advice", "zone_advice"]

NUMBERS = frozenset({"integer", "decimal", "float"})
SAMPLED = 100  # keys: numbers of different lengths show up among few
DIGITS = re.compile(r"-?\d+")
SHOWN = 3  # columns that a sentence names
GRAIN_NAMES = {DAY_MS: "days", 3_600_000: "hours", 900_000: "quarters of an hour", 60_000: "minutes"}
FEW, FEW_TIMES = 20, 3  # rows and different times: fewer may be whole hours by chance


class Advice(Struct, frozen=True):
    """What a person should know of a view that works, and the change to make."""

    what: str
    hint: str


def cursor_advice(view: View, source: Source, relation: Relation) -> tuple[Advice, ...]:
    """What the newest values say. Raises ViewMisconfigured for numbers that are compared as texts."""
    family = relation.cursor_column.family
    if family not in NUMBERS and family != "text":
        return ()
    with source.reading(relation) as reading:
        head = reading.head()
        if head is None:
            return ()
        if family == "text":
            refuse_numbers(view, ENGINES[source.engine].number, reading, head)
            return ()
        meaning = looks_like(head, reading.clock_ms)
    if view.cursor_is == "auto" and meaning != "id":
        return (
            Advice(
                f"the cursor {view.cursor} looks like a time ({meaning}) and is taken for an id: rows that come late are not looked for by time",
                f"set `cursor_is: {meaning}`, or `cursor_is: id` if it is one",
            ),
        )
    if relation.epoch and meaning not in ("id", view.cursor_is):
        raise ViewMisconfigured(
            f"view {view.name}: `cursor_is` is {view.cursor_is}, and {view.cursor} looks like {meaning}",
            hint=f"set `cursor_is: {meaning}`",
        )
    return ()


def refuse_numbers(view: View, number: str, reading: Reading, head: str) -> None:
    """Raise ViewMisconfigured when texts are numbers: '10' stands before '9', so what comes after 9 is never read.

    `number`: how the engine makes numbers of them.
    """
    values = [head, *reading.keys(None, head, SAMPLED).get_column("@cursor").to_list()]
    if not all(DIGITS.fullmatch(value) for value in values):
        return
    if any(value.startswith("0") and len(value) > 1 for value in values) and len({len(value) for value in values}) == 1:
        return  # filled up with zeros, they stand in order
    raise ViewMisconfigured(
        f"view {view.name}: the cursor {view.cursor} holds numbers as text, where '10' stands before '9': rows would be left out",
        hint=f"cast it in the view: {number.format(view.cursor)}, with an index on the same expression where there can be one",
    )


def zone_advice(config: SourceConfig, relation: Relation, facts: ServerFacts) -> tuple[Advice, ...]:
    """Whether times without a zone are read in UTC only because nobody said otherwise."""
    naive = [column.name for column in relation.columns if column.family == "timestamp"]
    if not naive or "timezone" in config.model_fields_set or is_utc(facts.timezone):
        return ()
    named = ", ".join(naive[:SHOWN]) + (" …" if len(naive) > SHOWN else "")
    return (
        Advice(
            f"{named} carry no zone and are read as UTC, but the server's zone is {facts.timezone}",
            f"set `timezone: {zone_name(facts.timezone)}` for the source, or `timezone: UTC` if that is what they hold",
        ),
    )


def is_utc(zone: str) -> bool:
    """Whether a server's zone is UTC all the year round; one that is not known is not."""
    plain = zone.strip().upper().replace(":", "").replace("0", "")
    if plain in ("", "UTC", "GMT", "UCT", "ZULU", "UNIVERSAL", "Z", "+", "-", "UTC+", "UTC-"):
        return True
    try:
        known = ZoneInfo(zone.strip())
    except (ZoneInfoNotFoundError, ValueError, OSError):
        return False
    return all(not datetime(2026, month, 15, tzinfo=UTC).astimezone(known).utcoffset() for month in (1, 7))


def zone_name(zone: str) -> str:
    """The zone as the configuration takes it, where it is one."""
    try:
        return ZoneInfo(zone).key
    except (ZoneInfoNotFoundError, ValueError, OSError):
        return "Area/City"


def coarse(newest: pl.DataFrame, relation: Relation) -> str:
    """What the times of the newest rows are rounded down to, in a word; empty where that is at most a second, or not known."""
    if not relation.dated:
        return ""
    if relation.cursor_column.family == "date":
        return "days"
    if newest.height < FEW:
        return ""
    times = newest.get_column(relation.cursor)
    if times.n_unique() < FEW_TIMES:
        return ""
    return GRAIN_NAMES.get(Grain().narrowed(cursor_ms(times, relation.cursor_is)).ms, "")
