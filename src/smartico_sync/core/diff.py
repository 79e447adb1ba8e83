"""Profiles: what changed since they were last delivered, by keyed hashes; no value is kept."""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING, Literal

import polars as pl
from msgspec import Struct, field

from smartico_sync.core import few_profiles
from smartico_sync.core.events import EID, ENVELOPE, PLAYER, POSITION, SEED, Events
from smartico_sync.core.few_diff import ToldApart, clearable_of, few_states
from smartico_sync.core.few_texts import FEW, are_few
from smartico_sync.core.folding import ALL
from smartico_sync.core.identity import content_prints, eids, extended
from smartico_sync.core.part_prints import (
    DIGITS,
    HAD,
    UNSURE,
    carried,
    decoded,
    different,
    held,
    joined,
    layout_of,
    news,
    there,
    together,
)
from smartico_sync.core.picked import picked, replaced, table
from smartico_sync.core.told_sets import EMPTY, MARK, differences, marked, told_otherwise
from smartico_sync.core.unchanged import Unchanged, unchanged
from smartico_sync.core.validation import IMMUTABLE

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from collections.abc import Set as AbstractSet

__all__ = ["UNSURE", "Diffed", "diff", "keyed", "nothing_known"]


@cache
def nothing_known() -> pl.DataFrame:
    """The fingerprints of nobody."""
    return pl.DataFrame(schema={"id": pl.UInt64, "whole": pl.Binary, "parts": pl.Binary})


MANY = 3  # properties told apart, from which on it pays to look which rows are as they were
Says = Literal[
    "all",  # a row holds all of its player
    "some",  # it may hold what changed, and be silent on the rest
]


class Diffed(Struct, frozen=True):
    """What to send, and what to remember once that is acknowledged.

    `events` in order; `unchanged` rows that need not be sent; `states` [id UInt64, eid String, whole Binary(8), parts
    Binary|null, sets that are told by difference String|null, @row UInt32, changed Boolean] of every row, with the eid of the event it stands for; one that holds what was known may have "". `moved` tells, by
    property, which of the events hold another value than before of what must never change.
    """

    events: Events
    unchanged: int
    states: pl.DataFrame
    moved: Mapping[str, pl.Series] = field(default_factory=dict)

    @property
    def upserts(self) -> pl.DataFrame:
        """What to remember once all is accepted: of the states that changed the last of each player."""
        changed = self.states.filter("changed").unique("id", keep="last", maintain_order=True)
        return changed.select("id", "eid", "whole", "parts")


def diff(
    events: Events,
    known: pl.DataFrame,
    secret: bytes,
    payload: Literal["full", "changed"],
    moves: Literal["follow", "hold"] = "follow",
    clears: AbstractSet[str] = frozenset(),
    absent: Mapping[str, pl.Series] | None = None,
) -> Diffed:
    """Compare each profile with the row before it of the same player, in the frame or else in `known`.

    A column that is NULL, or is not there, counts as the same: a new empty column resends nothing. With `changed` only
    changed properties stay in an event, a player whose known properties had another layout, or whose `whole` is forgotten
    (null or empty), is sent in full, and a change that leaves nothing to say (a value became NULL) is remembered and not sent.

    A value that must never change and did is remembered as what it is now (`moves` follow), or as what it was (hold), so
    that the next row is told as well.

    A property of `clears` ("*": any) that had a value and is NULL now is cleared, by `!name`; one that was never sent is not, but where
    the known properties had another layout, which does not tell.
    `absent`: of which properties which events say nothing at all; those stay what they were, and are not cleared. None where
    every event says everything; else one that holds what the one before held may yet clear something.

    A set whose column has told_sets.MARK before its name leaves as `+name` and `-name`, by difference with those that `known`
    holds in a column of the same name (List of JSON: each may be what Smartico has), and is a column of `states`, as it is now.
    One that is NULL says nothing, or is empty where its name is in `clears`. A set of which `known` has such a column and the
    events have none is told as a whole, or only added to: `states` then has the column, as Smartico holds the set afterwards.

    A profile's eid is made here, of its SEED (which leaves the frame) and its keyed fingerprint: two contents at one cursor
    value are two events, and nobody can try out an encrypted phone number against an eid.
    """
    says: Says = "all" if absent is None else "some"
    if payload == "full" and not absent and (few := diff_few(events, known, secret, clears)) is not None:
        return few
    frame = events.frame
    names = sorted(name for name in frame.columns if name not in ENVELOPE)
    whole, sets = keyed(frame, names, secret), marked(names)
    names = [name for name in names if name not in sets]
    apart = names if payload == "changed" else [name for name in names if name in IMMUTABLE]
    told = ToldApart(names, apart, clearable_of(names, clears))
    terms = Terms(payload, moves, clears, absent or {}, says)
    if absent or sets or marked(known.columns):
        return compared(events, whole, known, told, secret, terms)
    same = unchanged(frame, whole, known, told, layout_of(told.text, secret))
    if same is not None and absent is not None:
        same = same.without(clearing(same, frame, told, layout_of(told.text, secret)))
    if same is None:
        return compared(events, whole, known, told, secret, terms)
    if same.states.height == frame.height:
        nothing = picked(frame.clear(), (name for name in frame.columns if name != SEED))
        return Diffed(Events(nothing, events.raw), frame.height, same.states)
    rest = compared(events.take(~same.rows), whole.filter(~same.rows), known, told, secret, terms)
    states = pl.concat([rest.states, same.states]).sort(POSITION)
    return Diffed(rest.events, rest.unchanged + same.states.height, states, rest.moved)


class Terms(Struct, frozen=True):
    """What `diff` was asked for."""

    payload: Literal["full", "changed"]
    moves: Literal["follow", "hold"]
    clears: AbstractSet[str]
    absent: Mapping[str, pl.Series]
    says: Says


def clearing(same: Unchanged, frame: pl.DataFrame, told: ToldApart, layout: str) -> pl.Series:
    """Which of the rows that hold what is known clear something beside that (Boolean, in the order of `same.states`)."""
    marks = same.states.get_column("parts").bin.encode("hex")
    lost = gone(marks, layout, len(told.fixed), frame.filter(same.rows), told.clearable, {})
    return somewhere(lost, same.states.height)


def somewhere(columns: Sequence[pl.Series], rows: int) -> pl.Series:
    """Which of so many rows have a value in any of these columns."""
    if not columns:
        return pl.Series([False]).new_from_index(0, rows)
    return pl.DataFrame(columns).select(pl.any_horizontal(pl.all().is_not_null())).to_series()


def compared(
    events: Events, whole: pl.Series, known: pl.DataFrame, told: ToldApart, secret: bytes, terms: Terms
) -> Diffed:
    """What `diff` makes of any rows, with the fingerprint of each as hexadecimal text."""
    payload, moves, clears, absent = terms.payload, terms.moves, terms.clears, terms.absent
    frame = events.frame
    names, apart, clearable = list(told.names), list(told.fixed), list(told.clearable)
    sets = marked(sorted(name for name in frame.columns if name not in ENVELOPE))
    layout = layout_of(told.text, secret)
    held_before = decoded(known)
    parts = apart_of(frame, apart, secret, whole, held_before if known.height and not absent else None, layout)
    digits = there(frame, clearable)
    if absent:
        parts, digits = carried(frame, held_before, layout, (parts, digits), absent)
    parts |= {"!": joined(digits)} if clearable else {}
    state = table(
        [
            frame.get_column(PLAYER).alias("id"),
            eids(extended(frame.get_column(SEED), whole)).alias("eid"),
            whole.alias("whole"),
            (together(layout, parts) if parts else whole.clear(len(whole))).alias("parts"),
        ]
    )
    before = with_known(state, held_before)
    last = picked(before, ("known_whole", "known_parts"))
    several = before.get_column("id").n_unique() < before.height
    if several:
        last = before.select(
            pl.coalesce(pl.col(name).shift(1).over("id"), pl.col(f"known_{name}")).alias(f"known_{name}")
            for name in ("whole", "parts")
        )
    worth = changed = differing(whole, last.get_column("known_whole"))
    sent = renamed(frame, state.get_column("eid"), (SEED, *sets))
    cleared = gone(last.get_column("known_parts"), layout, len(apart), frame, clearable, absent)
    for name in sets:
        possible = (
            before.get_column(name) if name in before.columns else pl.Series([None]).new_from_index(0, len(whole))
        )
        cleared_set = clears & {name.removeprefix(MARK), ALL} and name not in absent
        null: Literal["silent", "empty"] = "empty" if cleared_set else "silent"
        unknown = before.get_column("known_whole").fill_null("") == ""
        by_sign, there_now = differences(name, state.get_column("id"), frame.get_column(name), possible, unknown, null)
        cleared += [column for column in by_sign if column.null_count() < len(column)]
        state = state.with_columns(there_now)
    state = state.hstack(whole_sets(frame, before, sets, cleared))
    if terms.says == "some" and cleared:
        worth = changed = worth | somewhere(cleared, frame.height)
    if payload == "changed":
        # Also what differs from the state, or changed in a row between: each of them may yet be refused.
        earlier = [last.get_column("known_parts"), *([before.get_column("known_parts")] if several else [])]
        forgotten = before.get_column("known_whole").fill_null("") == ""
        new = {name: news(earlier, layout, place, parts[name]) | forgotten for place, name in enumerate(names)}
        if several:
            new = {name: ever(mask, state.get_column("id")) for name, mask in new.items()}
        sent = sent.with_columns(pl.when(new[name]).then(pl.col(name)).alias(name) for name in names)
    sent = sent.with_columns(cleared) if cleared else sent
    if payload == "changed":
        names += [column.name for column in cleared]
        worth = worth & sent.select(pl.any_horizontal(pl.col(names).is_not_null())).to_series()
    nothing = cache(lambda: keyed(frame, [], secret))
    moved = {
        name: different(last.get_column("known_parts"), layout, apart.index(name), parts[name], nothing)
        for name in apart
        if name in IMMUTABLE
    }
    if moves == "hold":
        for name, mask in moved.items():
            if not mask.any():
                continue
            state = state.with_columns(held(state, last.get_column("known_parts"), apart.index(name), mask))
    moved = {name: mask.filter(worth) for name, mask in moved.items()}
    return Diffed(
        Events(
            sent if worth.all() else sent.filter(worth),
            events.raw.difference(sets) | {column.name for column in cleared},
        ),
        frame.height - int(worth.sum()),
        as_bytes(state).hstack([frame.get_column(POSITION), changed.alias("changed")]),
        {name: mask for name, mask in moved.items() if mask.any()},
    )


def diff_few(events: Events, known: pl.DataFrame, secret: bytes, clears: AbstractSet[str]) -> Diffed | None:
    """The same of a handful of profiles that are sent in full, where nothing about them is unusual; else None."""
    names = sorted(name for name in events.frame.columns if name not in ENVELOPE)
    if marked(names) or marked(known.columns):
        return None
    told = ToldApart(names, [name for name in names if name in IMMUTABLE], clearable_of(names, clears))
    states = few_states(events.frame, known, told, secret)
    if states is None:
        return None
    sent = renamed(events.frame, states.get_column("eid"), (SEED,))
    changed = states.get_column("changed").to_list()
    if not all(changed):
        sent = sent.filter(changed)
    return Diffed(Events(sent, events.raw), changed.count(False), states)


def as_bytes(state: pl.DataFrame) -> pl.DataFrame:
    """The states with their fingerprints as the state keeps them."""
    if not are_few(state):
        return state.with_columns(pl.col("whole", "parts").str.decode("hex"))
    return replaced(state, (few_profiles.digits(state.get_column(name)) for name in ("whole", "parts")))


def renamed(frame: pl.DataFrame, eids: pl.Series, without: Sequence[str]) -> pl.DataFrame:
    """The events with the ids they go out under, without some columns."""
    kept = replaced(frame, [eids.alias(EID)])
    for name in set(without).intersection(kept.columns):
        kept.drop_in_place(name)
    return kept


def with_known(state: pl.DataFrame, known: pl.DataFrame) -> pl.DataFrame:
    """The states with what is known of each player beside them, null where nothing is."""
    if not are_few(state) or known.height > FEW or known.width > len(nothing_known().columns):
        return state.join(known, on="id", how="left", maintain_order="left")
    return state.hstack(few_profiles.beside(state.get_column("id"), known))


def differing(now: pl.Series, before: pl.Series) -> pl.Series:
    """Where two columns differ; NULL is a value like any other."""
    if are_few(now):
        return pl.Series([each != last for each, last in zip(now, before, strict=True)])
    return now.ne_missing(before)


def whole_sets(
    frame: pl.DataFrame, before: pl.DataFrame, differing: Sequence[str], cleared: Sequence[pl.Series]
) -> list[pl.Series]:
    """As Smartico holds them afterwards: the sets that `before` has a column of and that are not told by difference."""
    made = []
    for name in marked(before.columns):
        if name not in differing and (told := otherwise(name, frame, cleared)) is not None:
            way: Literal["replaced", "added"] = "added" if told.name.startswith("+") else "replaced"
            sets = told_otherwise(frame.get_column(PLAYER), told, before.get_column(name), way)
            made.append(pl.Series(name, sets, dtype=pl.String))
    return made


def otherwise(name: str, frame: pl.DataFrame, cleared: Sequence[pl.Series]) -> pl.Series | None:
    """What is sent of a set that is not told by difference, under its name on the wire; None where it is not in the view."""
    bare = name.removeprefix(MARK)
    if f"+{bare}" in frame.columns:
        return frame.get_column(f"+{bare}")
    if bare not in frame.columns:
        return None
    emptied = next((column.is_not_null() for column in cleared if column.name == f"!{bare}"), None)
    told = frame.get_column(bare)
    return (
        told
        if emptied is None
        else pl.select(pl.when(emptied).then(pl.lit(EMPTY)).otherwise(told).alias(bare)).to_series()
    )


def gone(
    known: pl.Series,
    layout: str,
    parts: int,
    frame: pl.DataFrame,
    names: Sequence[str],
    absent: Mapping[str, pl.Series],
) -> list[pl.Series]:
    """The columns `!name` (String, `null` as JSON) of the properties that had a value and have none now."""
    found = []
    for place, name in enumerate(names):
        values = frame.get_column(name)
        if not values.null_count():
            continue
        # Of parts of another layout nobody knows what they tell.
        had = ~known.str.starts_with(layout) | (known.str.slice(DIGITS * (parts + 1) + place, 1) == HAD)
        lost = had.fill_null(value=False) & values.is_null()
        if name in absent:
            lost &= ~absent[name]
        if lost.any():
            found.append(pl.select(pl.when(lost).then(pl.lit("null")).alias(f"!{name}")).to_series())
    return found


def apart_of(
    frame: pl.DataFrame, names: Sequence[str], secret: bytes, whole: pl.Series, known: pl.DataFrame | None, layout: str
) -> dict[str, pl.Series]:
    """The fingerprint of each of these properties. Those of a row that holds what is `known` of its player are known too.

    Where several rows are of one player, or a fingerprint is UNSURE, they are made anew.
    """
    if known is None or len(names) < MANY or frame.get_column(PLAYER).n_unique() < frame.height:
        return {name: keyed(frame, [name], secret) for name in names}
    seen = frame.select(id=PLAYER).join(known, on="id", how="left", maintain_order="left")
    marks = seen.get_column("known_parts")
    fits = pl.col("known_parts").str.starts_with(layout) & ~pl.col("known_parts").str.contains(UNSURE, literal=True)
    long = pl.col("known_parts").str.len_bytes() >= DIGITS * (len(names) + 1)
    same = seen.select(((pl.col("known_whole") == pl.lit(whole)) & fits & long).fill_null(value=False)).to_series()
    if not same.any():
        return {name: keyed(frame, [name], secret) for name in names}
    rest, places = frame.filter(~same), (~same).arg_true()
    parts = {name: marks.str.slice(DIGITS * (place + 1), DIGITS) for place, name in enumerate(names)}
    if not rest.height:
        return parts
    return {name: part.scatter(places, keyed(rest, [name], secret)) for name, part in parts.items()}


def keyed(frame: pl.DataFrame, names: Sequence[str], secret: bytes) -> pl.Series:
    """The keyed fingerprint of some properties, those that are NULL left out, bound to the player."""
    return content_prints(frame, names, secret, PLAYER)


def ever(news: pl.Series, ids: pl.Series) -> pl.Series:
    """Where there is news, or was in an earlier row of the same player."""
    return pl.DataFrame({"news": news, "id": ids}).select(pl.col("news").cum_max().over("id")).to_series()
