"""Rows become events to send: read → map → validate → diff. What the API says about them goes on in outcome.py."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, Literal

import polars as pl

from smartico_sync.catalogue.events import EVENTS
from smartico_sync.core.cursor_time import cursor_ms
from smartico_sync.core.diff import diff, keyed, nothing_known
from smartico_sync.core.events import BRAND, DATE, EID, ENVELOPE, KEY, PLAYER, POSITION, TYPE, USER, Events
from smartico_sync.core.few_batch import few_batch
from smartico_sync.core.few_texts import are_few
from smartico_sync.core.folding import folded
from smartico_sync.core.identity import row_hashes, row_ids, signed
from smartico_sync.core.ledger_keys import key_columns, ledger_keys
from smartico_sync.core.mapping import events, told_by_difference
from smartico_sync.core.partial import absences
from smartico_sync.core.picked import picked, table
from smartico_sync.core.position import Position
from smartico_sync.core.prepared_batch import QUIET, PipelineOptions, PreparedBatch, nothing_quiet
from smartico_sync.core.profile_age import cursors, older
from smartico_sync.core.records import Anchor, Holds
from smartico_sync.core.told_sets import marked
from smartico_sync.core.validation import broken, judged

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from collections.abc import Set as AbstractSet

    from smartico_sync.core.mapping import Mapped
    from smartico_sync.core.validation import InvalidPolicy
    from smartico_sync.core.view_mapping import ViewMapping

__all__ = [
    "PipelineOptions",
    "PreparedBatch",
    "anchor_print",
    "anchors_of",
    "contents_of",
    "held_against_rules",
    "key_names",
    "ledger_of",
    "optional_properties",
    "position_at",
    "positions_of",
    "prepare",
    "ruled",
    "without_automation",
]


SKIP_CJM = "skip_cjm"


def prepare(
    rows: pl.DataFrame,
    options: PipelineOptions,
    known: Callable[[pl.Series], pl.DataFrame],
    now_ms: int,
    waiting: AbstractSet[int] = frozenset(),
    *,
    anew: pl.Series | None = None,
    newest: AbstractSet[int] = frozenset(),
    holds: Holds | None = None,
) -> PreparedBatch:
    """Map the rows, hold them against the catalogue's rules, and for profiles leave out those that are old or did not change.

    `known` returns fingerprints by player id; `now_ms` is the source's clock. Events of `waiting` players are kept back.
    Transactions in rows where `anew` is true get an event id that depends on what they hold. Profiles in the rows `newest` are
    never too old: the source holds nothing newer of their players.
    """
    holds = holds or Holds()
    mapping = options.mapping
    if are_few(rows) and anew is None and not newest:
        found = few_batch(rows, options, known, now_ms, waiting, holds)
        if found is not None:
            return found
    rows = rows.rechunk()  # as `events` needs it, once for all that is made of them
    mapped = events(mapping, rows)
    places = picked(rows, key_columns(rows))
    ledger = ledger_of(rows, mapping)
    if not mapping.relation.key:
        places = places.with_columns(contents_of(ledger))
    anchors = anchored(mapped.events.frame, mapping, places, ledger.get_column("cursor_ms"))
    send, rejects, counts = held_against_rules(mapped, options, now_ms)
    invalid, skipped = Counter(counts), mapped.skipped
    if anew is not None and anew.any() and mapping.kind.role != "profile":
        send = with_new_ids(send, rows.get_column("@cursor"), anew, options.secret)
    if mapping.kind.role != "profile":
        send = in_turn(send, rows.get_column("@cursor"), mapping)
    behind = send.frame.clear()
    if waiting:
        held = send.frame.get_column(PLAYER).is_in(list(waiting))
        behind, send = send.frame.filter(held), send.take(~held)
    if mapping.kind.role != "profile":
        holds.own.update(behind.get_column(PLAYER).to_list())
        return PreparedBatch(
            places, ledger, send, rejects, behind, anchors=anchors, invalid=invalid, holds=holds, skipped=skipped
        )
    ids = send.frame.get_column(PLAYER)
    ids = ids if ids.len() == 1 else ids.unique()
    delivered = known(ids) if ids.len() else nothing_known()
    cursor_at = cursors(rows, mapping.relation, now_ms + options.ahead_ms)
    there, stale = send, 0
    if "cursor_at" in delivered.columns:
        old = older(send.frame, chosen(cursor_at, send.frame.get_column(POSITION)), delivered)
        if old is not None and newest:
            old &= ~send.frame.get_column(POSITION).is_in(list(newest))
        if old is not None:
            send, stale = send.take(~old), int(old.sum())
    # What can never change is held back, and what is remembered stays what Smartico has.
    moves: Literal["follow", "hold"] = "follow" if options.on_invalid == "dead_letter" else "hold"
    places_sent = send.frame.get_column(POSITION)
    absent = None
    if mapping.relation.version is not None:  # messages; a row says everything
        absent = {name: mask.gather(places_sent) for name, mask in absences(mapping, rows).items()}
    diffed = diff(send, delivered, options.secret, options.payload, moves, mapping.options.clears, absent)
    send, profiles = diffed.events, remembered(diffed.states, cursor_at, delivered)
    if diffed.moved:
        unmoved = {name: (mask, "what it was: it can never change") for name, mask in diffed.moved.items()}
        send, rejects = ruled(send, rejects, unmoved, "dead_letter" if moves == "follow" else "omit")
        profiles = profiles.filter(~pl.col("eid").is_in(lost(diffed.events, send)))
        invalid.update({name: int(mask.sum()) for name, mask in diffed.moved.items()})
        send = send.take(saying(send))
    quiet = unsent(there.frame, send.frame, rejects)
    return PreparedBatch(
        places, ledger, send, rejects, behind, quiet, stale, 0, profiles, anchors, invalid, holds, skipped
    )  # fmt: skip


def in_turn(sent: Events, cursors: pl.Series, mapping: ViewMapping) -> Events:
    """The events, those of neighbours at one cursor value in the order of their moments, and a bet before its win."""
    if sent.frame.height < 2:
        return sent
    cursor = cursors.gather(sent.frame.get_column(POSITION))
    new = cursor.ne_missing(cursor.shift())
    if new.all():
        return sent
    stages = {name: stage for stage, name in enumerate(mapping.kind.event_types.values())}
    stage = pl.col(TYPE).replace_strict(stages, default=0, return_dtype=pl.Int64) if len(stages) > 1 else pl.lit(0)
    tied = sent.frame.with_columns(new.cum_sum().alias("@tie"), stage.alias("@stage"))
    ordered = tied.sort("@tie", DATE, "@stage", maintain_order=True)
    return Events(ordered.drop("@tie", "@stage"), sent.raw)


def remembered(states: pl.DataFrame, cursor_at: pl.Series, delivered: pl.DataFrame) -> pl.DataFrame:
    """The states that say something new of their players: other values, or the same at a later cursor."""
    states = states.hstack([chosen(cursor_at, states.get_column(POSITION))])
    if "cursor_at" in delivered.columns and not states.get_column("changed").all():
        before = delivered.select("id", before="cursor_at")
        later = (pl.col("cursor_at") > pl.col("before")).fill_null(pl.col("cursor_at").is_not_null())
        states = states.join(before, on="id", how="left", maintain_order="left").with_columns(pl.col("changed") | later)
    states = states if states.get_column("changed").all() else states.filter("changed")
    return picked(states, ("id", "eid", "whole", "parts", "cursor_at", *marked(states.columns), POSITION))


def chosen(column: pl.Series, places: pl.Series) -> pl.Series:
    """The values at these places of rows that were read."""
    return column if column.len() == places.len() == 1 else column.gather(places)


def unsent(there: pl.DataFrame, sent: pl.DataFrame, rejects: pl.DataFrame) -> pl.DataFrame:
    """The profiles that are neither sent nor rejected."""
    if sent.height == there.height:
        return nothing_quiet()
    gone = pl.concat([sent.get_column(POSITION), rejects.get_column(POSITION)])
    return there.select(QUIET).filter(~pl.col(POSITION).is_in(gone.implode()))


def held_against_rules(
    mapped: Mapped, options: PipelineOptions, now_ms: int
) -> tuple[Events, pl.DataFrame, dict[str, int]]:
    """The events that the catalogue's rules leave, the rejects with those that were given up, and what broke a rule or could not be read.

    What is only written in another way than the catalogue's is written in the catalogue's.
    """
    send, rejects, invalid = mapped.events, mapped.rejects, Counter(mapped.invalid)
    if found := broken(send.frame, now_ms, options.future_ms):
        frame, left = folded(send.frame, found, options.mapping.options.unfolded)
        send = Events(frame, send.raw)
        if left:
            send, rejects = ruled(send, rejects, left, options.on_invalid)
            invalid.update({name: int(wrong.sum()) for name, (wrong, _) in left.items()})
    return send, rejects, dict(invalid)


def saying(sent: Events) -> pl.Series:
    """Which events hold any property."""
    names = [name for name in sent.frame.columns if name not in ENVELOPE]
    return sent.frame.select(pl.any_horizontal(pl.col(names).is_not_null())).to_series()


def ruled(
    sent: Events, rejects: pl.DataFrame, found: Mapping[str, tuple[pl.Series, str]], policy: InvalidPolicy
) -> tuple[Events, pl.DataFrame]:
    """What broken rules leave of the events, and the rejects with those that were given up."""
    frame, reasons = judged(sent.frame, found, policy)
    if reasons is None:
        return Events(frame, sent.raw), rejects
    given_up = frame.with_columns(reasons.alias("reason")).filter(reasons.is_not_null())
    rejects = pl.concat([rejects, given_up.select(POSITION, KEY, "reason", PLAYER)], how="vertical_relaxed")
    return Events(frame.filter(reasons.is_null()), sent.raw), rejects


def lost(before: Events, after: Events) -> list[str]:
    """The ids of events that are not among the others."""
    ids = before.frame.get_column(EID)
    gone: list[str] = ids.filter(~ids.is_in(after.frame.get_column(EID).implode())).to_list()
    return gone


def without_automation(events: Events, rows: AbstractSet[int] | None = None) -> Events:
    """The same events, marked so that they (those of `rows`, where that is given) start no automations.

    The mark is no part of what a profile holds.
    """
    mark = pl.lit(value=True)
    if rows is not None:
        mark = pl.when(pl.col(POSITION).is_in(sorted(rows))).then(mark)
    return Events(events.frame.with_columns(mark.alias(SKIP_CJM)), events.raw)


def optional_properties(mapping: ViewMapping, sent: Events) -> frozenset[str]:
    """Properties without which the events are still what they are.

    Not what a kind or an event type needs, nor the mark that starts no automation, nor a set that is told by difference: what
    is remembered of that must have arrived.
    """
    needed = {known.name for known in mapping.properties if known.demand != "none"} | {*mapping.kind.needs, SKIP_CJM}
    needed |= {f"{sign}{name}" for name in told_by_difference(mapping) for sign in "+-"}
    for event_type in sent.frame.get_column(TYPE).unique():
        needed.update(EVENTS[event_type].required if event_type in EVENTS else ())
    return frozenset(name for name in sent.frame.columns if name not in ENVELOPE and name not in needed)


def ledger_of(rows: pl.DataFrame, mapping: ViewMapping) -> pl.DataFrame:
    """What the ledger keeps of rows: [key UInt64, cursor_ms Int64]; the cursor of a row without one is null."""
    moments = cursor_ms(rows.get_column(mapping.relation.cursor), mapping.relation.cursor_is)
    ledger = table([ledger_keys(mapping, rows).alias("key"), moments.alias("cursor_ms")])
    cursors = rows.get_column("@cursor")
    return (
        ledger
        if not cursors.null_count()
        else ledger.with_columns(pl.when(cursors.is_not_null()).then("cursor_ms").alias("cursor_ms"))
    )


def with_new_ids(sent: Events, cursors: pl.Series, anew: pl.Series, secret: bytes) -> Events:
    """The events, those of some rows with ids made of the ones they have, of where they stand and of their content."""
    names = sorted(name for name in sent.frame.columns if name not in ENVELOPE)
    frame = sent.frame.with_columns(keyed(sent.frame, names, secret).alias("@content"))
    where = cursors.gather(frame.get_column(POSITION)).alias("@cursor")
    ids = row_ids(frame.with_columns(where), [EID, "@cursor", "@content"])
    new = anew.gather(frame.get_column(POSITION))
    return Events(frame.with_columns(frame.get_column(EID).zip_with(~new, ids).alias(EID)).drop("@content"), sent.raw)


def anchors_of(rows: pl.DataFrame, mapping: ViewMapping) -> tuple[Anchor, ...]:
    """The first, the middle and the last of the rows, by which the source can be recognised later."""
    if not rows.height:
        return ()
    frame = events(mapping, rows).events.frame
    return anchored(frame, mapping, rows, ledger_of(rows, mapping).get_column("cursor_ms"))


def contents_of(ledger: pl.DataFrame) -> pl.Series:
    """What tells the rows of a keyless view apart, as text [@content String]."""
    return ledger.select(pl.col("key").cast(pl.String).alias("@content")).to_series()


def anchored(frame: pl.DataFrame, mapping: ViewMapping, places: pl.DataFrame, moments: pl.Series) -> tuple[Anchor, ...]:
    """The rows of the first, the middle and the last event, by which the source can be recognised later."""
    if not frame.height:
        return ()
    some = frame if frame.height == 1 else frame[sorted({0, frame.height // 2, frame.height - 1})]
    marks = anchor_print(some, mapping).to_list()
    return tuple(
        Anchor(position_at(places, row), int(moments[row]), mark, player)
        for row, player, mark in zip(some.get_column(POSITION), some.get_column(PLAYER), marks, strict=True)
        if places.get_column("@cursor")[row] is not None
    )


def anchor_print(frame: pl.DataFrame, mapping: ViewMapping) -> pl.Series:
    """What never changes in a row, hashed (Int64): whose it is, and for a transaction also what it is and when it was."""
    names = (BRAND, USER) if mapping.kind.role == "profile" else (BRAND, USER, TYPE, DATE)
    return signed(row_hashes(frame, names, mapping.options.secret))


def position_at(rows: pl.DataFrame, row: int) -> Position:
    """The position of one row of a page, or of its `places`."""
    cursor, *key = (rows.item(row, name) for name in ("@cursor", *key_names(rows)))
    return Position(cursor or "", tuple(key))


def positions_of(rows: pl.DataFrame) -> list[Position]:
    """The position of every row of a page, or of its `places`, in their order."""
    places = picked(rows, ("@cursor", *key_names(rows)))
    return [Position(cursor or "", tuple(key)) for cursor, *key in places.iter_rows()]


def key_names(rows: pl.DataFrame) -> list[str]:
    """The columns that hold the key, in its order."""
    return [name for name in rows.columns if name.startswith("@key.")]
