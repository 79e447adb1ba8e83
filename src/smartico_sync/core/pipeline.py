"""Rows on their way from the source to the state."""

from __future__ import annotations

import hashlib
import hmac
from collections import Counter
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Literal

import polars as pl

from smartico_sync.core.cursor_time import cursor_ms
from smartico_sync.core.diff import NOTHING_KNOWN, diff, keyed
from smartico_sync.core.events import BRAND, DATE, EID, ENVELOPE, KEY, PLAYER, POSITION, TYPE, USER, Events
from smartico_sync.core.identity import eids, hash64, ledger_keys
from smartico_sync.core.mapping import events
from smartico_sync.core.position import Position
from smartico_sync.core.reason_codes import INVALID_ROW, UNKNOWN_USER, WAITS_BEHIND
from smartico_sync.core.records import Anchor, Commit, DeadLetter, ParkedRow
from smartico_sync.core.validation import broken, judged

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from collections.abc import Set as AbstractSet

    from smartico_sync.core.mapping import ViewMapping
    from smartico_sync.core.records import Receipt
    from smartico_sync.core.validation import InvalidPolicy

__all__ = [
    "PARK_PAUSES_MS",
    "PipelineOptions",
    "PreparedBatch",
    "anchor_print",
    "build_commit",
    "ledger_of",
    "position_at",
    "prepare",
    "ruled",
    "without_automation",
]

# A profile usually follows within a poll or two; later ones are asked for rarely.
PARK_PAUSES_MS = (2_000, 4_000, 8_000, 16_000, 32_000, 60_000)


@dataclass(frozen=True, slots=True)
class PipelineOptions:
    """How a view's rows become events: its mapping and policies, and the secret of the fingerprints."""

    mapping: ViewMapping
    secret: bytes = field(repr=False)
    payload: Literal["full", "changed"] = "full"
    on_invalid: InvalidPolicy = "report"


@dataclass(frozen=True, slots=True)
class PreparedBatch:
    """Rows that were read, and what became of them so far.

    `places` holds `@cursor` and `@key.*` of every row, `ledger` its key and cursor [key UInt64, cursor_ms Int64]. `send` are
    the events to deliver; `rejects` rows that cannot be events, `behind` events that wait because one of the same player
    does; `unchanged` profiles are not sent, `repeated` rows were delivered before their time; `invalid` counts values that
    break a rule, by property.
    """

    places: pl.DataFrame
    ledger: pl.DataFrame
    send: Events
    rejects: pl.DataFrame
    behind: pl.DataFrame
    unchanged: int = 0
    repeated: int = 0
    profiles: pl.DataFrame | None = None
    anchors: tuple[Anchor, ...] = field(default=())
    invalid: Mapping[str, int] = field(default_factory=dict)

    @property
    def rows(self) -> int:
        """How many rows were read."""
        return self.places.height


def prepare(
    rows: pl.DataFrame,
    terms: PipelineOptions,
    known: Callable[[pl.Series], pl.DataFrame],
    now_ms: int,
    waiting: AbstractSet[int] = frozenset(),
    anew: pl.Series | None = None,
) -> PreparedBatch:
    """Map the rows, hold them against the catalogue's rules, and for profiles leave out those that did not change.

    `known` returns fingerprints by player id; `now_ms` is the source's clock. Events of `waiting` players are kept back.
    Transactions in rows where `anew` is true get an event id that depends on what they hold.
    """
    mapping = terms.mapping
    mapped = events(mapping, rows)
    places = rows.select(name for name in rows.columns if name == "@cursor" or name.startswith("@key."))
    ledger = ledger_of(rows, mapping)
    anchors = anchored(mapped.events.frame, mapping, places, ledger.get_column("cursor_ms"))
    send, rejects, invalid = mapped.events, mapped.rejects, Counter[str]()
    if found := broken(send.frame, now_ms):
        send, rejects = ruled(send, rejects, found, terms.on_invalid)
        invalid.update({name: int(wrong.sum()) for name, (wrong, _) in found.items()})
    if anew is not None and anew.any() and mapping.kind.role != "profile":
        send = with_new_ids(send, anew, terms.secret)
    behind = send.frame.clear()
    if waiting:
        held = send.frame.get_column(PLAYER).is_in(list(waiting))
        behind, send = send.frame.filter(held), send.take(~held)
    if mapping.kind.role != "profile":
        return PreparedBatch(places, ledger, send, rejects, behind, anchors=anchors, invalid=invalid)
    ids = send.frame.get_column(PLAYER).unique()
    # What is left out was never sent: what is remembered stays what Smartico has.
    moves: Literal["follow", "hold"] = "hold" if terms.on_invalid == "omit" else "follow"
    diffed = diff(send, known(ids) if ids.len() else NOTHING_KNOWN, terms.secret, terms.payload, moves)
    send, profiles, silent = diffed.events, diffed.upserts, diffed.unchanged
    if diffed.moved:
        unmoved = {name: (mask, "what it was: it can never change") for name, mask in diffed.moved.items()}
        send, rejects = ruled(send, rejects, unmoved, terms.on_invalid)
        profiles = profiles.filter(~pl.col("eid").is_in(lost(diffed.events, send)))
        invalid.update({name: int(mask.sum()) for name, mask in diffed.moved.items()})
        told = saying(send)
        send, silent = send.take(told), silent + int((~told).sum())
    return PreparedBatch(places, ledger, send, rejects, behind, silent, 0, profiles, anchors, invalid)


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
    rejects = pl.concat([rejects, given_up.select(POSITION, KEY, "reason")], how="vertical_relaxed")
    return Events(frame.filter(reasons.is_null()), sent.raw), rejects


def lost(before: Events, after: Events) -> list[str]:
    """The ids of events that are not among the others."""
    ids = before.frame.get_column(EID)
    gone: list[str] = ids.filter(~ids.is_in(after.frame.get_column(EID).implode())).to_list()
    return gone


def without_automation(events: Events) -> Events:
    """The same events, marked so that they start no automations; the mark is no part of what a profile holds."""
    return Events(events.frame.with_columns(pl.lit(value=True).alias("skip_cjm")), events.raw)


def ledger_of(rows: pl.DataFrame, mapping: ViewMapping) -> pl.DataFrame:
    """What the ledger keeps of rows: [key UInt64, cursor_ms Int64]; the cursor of a row without one is null."""
    moments = cursor_ms(rows.get_column(mapping.relation.cursor))
    ledger = pl.DataFrame({"key": ledger_keys(rows), "cursor_ms": moments})
    there = rows.get_column("@cursor").is_not_null()
    return ledger if there.all() else ledger.with_columns(pl.when(there).then("cursor_ms").alias("cursor_ms"))


def with_new_ids(sent: Events, anew: pl.Series, secret: bytes) -> Events:
    """The events, those of some rows with ids made of the ones they have and of their content."""
    names = sorted(name for name in sent.frame.columns if name not in ENVELOPE)
    frame = sent.frame.with_columns(keyed(sent.frame, names, secret).alias("@content"))
    ids = eids(frame, [pl.col(EID), pl.col("@content")])
    chosen = anew.gather(frame.get_column(POSITION))
    return Events(
        frame.with_columns(frame.get_column(EID).zip_with(~chosen, ids).alias(EID)).drop("@content"), sent.raw
    )


def anchored(frame: pl.DataFrame, mapping: ViewMapping, places: pl.DataFrame, moments: pl.Series) -> tuple[Anchor, ...]:
    """The last event's row, by which the source can be recognised later."""
    last = frame.tail(1)
    if not last.height:
        return ()
    row = int(last.get_column(POSITION).item())
    if places.get_column("@cursor")[row] is None:
        return ()
    return (Anchor(position_at(places, row), int(moments[row]), int(anchor_print(last, mapping).item())),)


def anchor_print(frame: pl.DataFrame, mapping: ViewMapping) -> pl.Series:
    """What never changes in a row, hashed (Int64): whose it is, and for a transaction also what it is and when it was."""
    names = (BRAND, USER) if mapping.kind.role == "profile" else (BRAND, USER, TYPE, DATE)
    return hash64(frame, [pl.col(name) for name in names]).reinterpret(signed=True)


def position_at(rows: pl.DataFrame, row: int) -> Position:
    """The position of one row of a page, or of its `places`."""
    place = rows.row(row, named=True)
    return Position(place["@cursor"] or "", tuple(value for name, value in place.items() if name.startswith("@key.")))


def build_commit(view: str, work: PreparedBatch, receipt: Receipt, secret: bytes, at_ms: int, park_ms: int) -> Commit:
    """What acknowledged rows change in the state: read = unchanged + duplicate + delivered + dead_lettered + parked.

    An event whose player is not known yet is parked for `park_ms` (0: never), and with it those behind it.
    """
    letters = [
        DeadLetter(
            view, key, position_at(work.places, row), "", "", INVALID_ROW, reason, trace(secret, key, reason), at_ms
        )
        for row, key, reason in work.rejects.iter_rows()
    ]
    parked = [parked_until(letter, at_ms, park_ms) for letter in letters_of(view, work, work.behind, secret, at_ms)]
    refused = {refusal.row: refusal for refusal in receipt.refused}
    sent = work.send.frame
    for letter in letters_of(view, work, sent.filter(sent.get_column(POSITION).is_in(list(refused))), secret, at_ms):
        refusal = refused[letter.id]
        told = replace(letter, id=0, code=refusal.code, reason=refusal.reason)
        if refusal.code == UNKNOWN_USER and park_ms and work.profiles is None:
            parked.append(parked_until(told, at_ms, park_ms))
        else:
            letters.append(told)
    profiles = work.profiles
    if profiles is not None:
        if refused:
            # A refused profile was not delivered: its next change must go out in full.
            profiles = profiles.filter(~pl.col("eid").is_in([refusal.eid for refusal in receipt.refused]))
        profiles = profiles.select("id", "whole", "parts")
    counts = {
        "read": work.rows + work.repeated,
        "unchanged": work.unchanged,
        "duplicate": receipt.duplicates + work.repeated,
        "delivered": receipt.delivered,
        "dead_lettered": len(letters),
        "parked": len(parked),
    }
    assert 2 * counts["read"] == sum(counts.values()), "a row is unaccounted for"
    return Commit(
        view,
        at_ms,
        profiles=profiles,
        ledger=work.ledger,
        dead_letters=tuple(letters),
        parked=tuple(replace(letter, id=0) for letter in parked),
        anchors=work.anchors,
        counts={name: count for name, count in counts.items() if count},
    )


def letters_of(view: str, work: PreparedBatch, frame: pl.DataFrame, secret: bytes, at_ms: int) -> list[DeadLetter]:
    """A letter for each of these events, whose `id` is for now the event's row."""
    return [
        DeadLetter(
            view, key, position_at(work.places, row), eid, kind, WAITS_BEHIND, "an earlier event of this player waits",
            trace(secret, key, eid), at_ms, id=row, player=player,
        )
        for row, key, eid, kind, player in frame.select(POSITION, KEY, EID, TYPE, PLAYER).iter_rows()
    ]  # fmt: skip


def parked_until(letter: DeadLetter, at_ms: int, park_ms: int, tries: int = 0) -> ParkedRow:
    """The letter, waiting for its next try; it is given up `park_ms` after `at_ms`."""
    pause = PARK_PAUSES_MS[min(tries, len(PARK_PAUSES_MS) - 1)]
    fields = {name: getattr(letter, name) for name in DeadLetter.__dataclass_fields__}
    return ParkedRow(**fields, next_try_ms=at_ms + pause, deadline_ms=at_ms + park_ms, tries=tries)


def trace(secret: bytes, *parts: str) -> str:
    """A keyed hash that tells one letter from another and says nothing about the row."""
    return hmac.new(secret, "\n".join(parts).encode(), hashlib.sha256).hexdigest()[:16]
