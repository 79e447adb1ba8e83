"""A handful of rows as events, one by one in plain values: what `mapping.events` makes of columns, where nothing about them is unusual.

What is the same in every page of a view is worked out once. A row of which only columns can tell what becomes of it says so
(Unusual), and then all of its page go the other way.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

from msgspec import Struct

from smartico_sync.core.few_rows import Unusual
from smartico_sync.core.identity import keyed_text, seed_text

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    import polars as pl

    from smartico_sync.core.few_columns import Held

    One = Callable[[Any], Any]
    Values = tuple[Any, ...]

__all__ = ["FewEvent", "FewSteps", "Filled", "One", "Taken", "Values", "few_event", "printed"]


class Taken(NamedTuple):
    """Where a value stands in a row, what is made of it unless it is None, and in rows of which roles it counts; none: in all."""

    at: int
    made: One | None
    roles: frozenset[str] = frozenset()


class Filled(NamedTuple):
    """A property that has several columns, or is for some roles, or is filled by the event itself: roles as in Property."""

    origins: tuple[Taken, ...]
    dated: frozenset[str] | None
    true_in: frozenset[str] | None

    def value(self, row: Values, role: str, date: int) -> Any:
        """What it is in a row."""
        if self.true_in is not None and (not self.true_in or role in self.true_in):
            return True
        found = first(self.origins, row, role)
        if found is None and self.dated is not None and (not self.dated or role in self.dated):
            return date
        return found


class FewSteps(Struct, frozen=True):
    """How a row of one shape, with a None behind its values, becomes an event.

    `names` and `held`: of the columns of an event, as `mapping.events` has them, and `raw` those of JSON; `nothing`: no events. `said`: role and
    event type by what the row holds at `type_at`. `cursor`: where its text stands, `keys` those of the key. `single`: where each
    property stands; `made`, `filled`, `needed` (the roles, none: in all) and `past` (must be) are by a property's place among them.
    `asked`: what takes a query, where it stands behind that None, and where what it is made of does.
    `seed`: what seeds begin with, where their parts stand, and what they end with.
    `placed`: the columns that say where a row stands. `moment`: its cursor as `cursor_time.cursor_ms` has it, `order` as
    `profile_age.cursors` does before its upper bound, which concerns `dated` ones; None where nothing is in order.
    `told`: of profiles what the fingerprint of all, and those of each property that never changes, are made of.
    """

    names: tuple[str, ...]
    held: tuple[Held, ...]
    raw: frozenset[str]
    nothing: pl.DataFrame
    brand: str
    brand_at: Taken
    user_at: Taken
    type_at: int
    said: Mapping[str | None, tuple[str, str]]
    dates: Mapping[str, tuple[Taken, ...]]
    cursor: int
    keys: tuple[int, ...]
    single: tuple[int, ...]
    made: tuple[tuple[int, One], ...]
    filled: tuple[tuple[int, Filled], ...]
    needed: tuple[tuple[int, frozenset[str]], ...]
    past: tuple[int, ...]
    asked: tuple[tuple[pl.Expr, int, int], ...]
    seed: tuple[str, tuple[int, ...], tuple[str, ...]]
    placed: tuple[tuple[str, int], ...]
    moment: Taken
    order: One | None
    dated: bool
    told: FewTold | None


class FewTold(Struct, frozen=True):
    """The properties of profiles in the order of their names, each by its place in the payload and its code in a seed.

    `fixed`: those that must never change, each with its code alone; `clearable`: those that may be cleared. `layout`: what the
    layout of these is the fingerprint of.
    """

    all: tuple[tuple[int, str], ...]
    fixed: tuple[tuple[int, str], ...]
    clearable: tuple[int, ...]
    layout: str


class FewEvent(NamedTuple):
    """An event: the columns around its payload but its place, its payload, the seed of its id, and its player."""

    date: int
    brand: str
    user: str
    event_type: str
    key: str
    payload: list[Any]
    seed: str
    player: int

    def row(self, place: int, eid: str) -> list[Any]:
        """Its columns in a page, under an id."""
        return [self.date, self.brand, self.user, self.event_type, self.key, place, *self.payload, self.player, eid]


def few_event(steps: FewSteps, row: Values, secret: bytes, now_ms: int) -> FewEvent:
    """The event of one row. `now_ms`: until when a date lies in the past. Raises Unusual."""
    brand = steps.brand or named(steps.brand_at, row)
    user = named(steps.user_at, row)
    told = steps.said.get(row[steps.type_at])
    if told is None:
        raise Unusual
    role, event_type = told
    date = first(steps.dates.get(role, steps.dates[""]), row, role)
    key = [row[at] for at in steps.keys]
    cursor = row[steps.cursor]
    if date is None or cursor is None or None in key:
        raise Unusual
    payload = [row[at] for at in steps.single]
    for place, made in steps.made:
        value = payload[place]
        if value is not None:
            payload[place] = made(value)
    for place, filled in steps.filled:
        payload[place] = filled.value(row, role, date)
    for place, roles in steps.needed:
        if payload[place] is None and (not roles or role in roles):
            raise Unusual
    for place in steps.past:
        value = payload[place]
        if value is not None and value > now_ms:
            raise Unusual
    identity, parts, ending = steps.seed
    seed = seed_text([identity, brand, event_type, *[printed(row[at]) for at in parts], *ending])
    player = keyed_text(seed_text((brand, user)), secret)
    return FewEvent(date, brand, user, event_type, ",".join(key), payload, seed, player)


def first(taken: Sequence[Taken], row: Values, role: str) -> Any:
    """The first value that is there."""
    for at, made, roles in taken:
        if roles and role not in roles:
            continue
        value = row[at]
        if value is not None:
            return value if made is None else made(value)
    return None


def named(taken: Taken, row: Values) -> str:
    """A brand or a user, which no event can do without."""
    value = row[taken.at]
    if value is None or taken.made is None:
        raise Unusual
    found: str = taken.made(value)
    return found


def printed(value: Any) -> str | None:
    """A value as the database prints it."""
    if value is None or isinstance(value, str):
        return value
    return str(value).lower() if isinstance(value, bool) else str(value)
