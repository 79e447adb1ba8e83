"""The domain's records: what is kept of rows and views, and the one way it changes, a commit per acknowledged page."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

from msgspec import Struct, field

from smartico_sync.core.discreet import Discreet

if TYPE_CHECKING:
    from collections.abc import Mapping
    from collections.abc import Set as AbstractSet

    import polars as pl

    from smartico_sync.core.position import Position

__all__ = [
    "PLACED",
    "Anchor",
    "Backfill",
    "BackfillState",
    "Commit",
    "DeadLetter",
    "Holds",
    "LaneStep",
    "ParkedRow",
    "Profiles",
    "Receipt",
    "Refusal",
    "Step",
    "Trust",
    "UndeliveredRow",
    "ViewRow",
]

BackfillState = Literal["open", "done", "cancelled", "failed"]
Trust = Literal["trusted", "doubted"]
Profiles = Literal[
    "changed",  # a profile that was delivered as it is now is left out
    "all",  # each is sent
]


class Anchor(Struct, frozen=True):
    """A row that was delivered lately. `print`: keyed hash (a signed integer) of what never changes in it.

    `cursor_ms` as in the ledger; `player` (hash, unsigned) whose it is, 0 where that was not kept.
    """

    position: Position
    cursor_ms: int
    print: int
    player: int = 0


class UndeliveredRow(Struct, frozen=True):
    """What can be known of a row that is not delivered, and no value of it but its key and cursor.

    `key` as operators know it; `position` to read the source row again, None where it is not known. `eid` and `event_type`
    are empty where there is no event yet, and `player` (hash of 64 bits, unsigned) is 0 where the row names none. `fingerprint`: a keyed hash (hex)
    that tells one such row from another. `content`: which of the rows at a position of a keyless view (a keyed hash of what it
    holds); empty where there is a key.
    """

    view: str
    key: str
    position: Position | None
    eid: str
    event_type: str
    fingerprint: str
    player: int = 0
    content: str = ""


class DeadLetter(Struct, frozen=True):
    """A row that was given up at `at_ms` and is not sent unless an operator has it tried again.

    `code` is one of core/reason_codes.py or the API's, `reason` the same in words without a value of the row. `id` is the
    store's, 0 before it is stored.
    """

    row: UndeliveredRow
    code: int
    reason: str
    at_ms: int
    id: int = 0


class ParkedRow(Struct, frozen=True):
    """A row that waits since `at_ms`, most often for its player to become known, and is tried again.

    It is due from `next_try_ms` on; once `deadline_ms` is past, a try that fails makes it a dead letter. `tries` counts the
    attempts so far. Code, reason and id as in DeadLetter: the store keeps one of the two for each (view, event type, key,
    position, content). Parking a row again moves it, a dead letter replaces it.
    """

    row: UndeliveredRow
    code: int
    reason: str
    at_ms: int
    next_try_ms: int
    deadline_ms: int
    tries: int = 0
    id: int = 0


class ViewRow(Struct, frozen=True):
    """What is known of one view.

    `head`: the position of the last delivered row in order (pages go on from here). `watermark`: at and below it nothing
    can still appear. `late`: the late-commit mechanism's memory, as JSON text. `identity`: what event ids are made of in
    place of the view's name, and `formats` how. `definition`: text of a `core.definition.Definition`. `counts`: totals since
    the first start. `generation`: how often event ids were begun anew, because the source gave out its own ids again.
    `level_ms`: when the view first had nothing more to read, 0 before. `sent_ms`: rows of the order up to this cursor (as in
    the ledger) may have been sent, also where that was never committed; None before the first. `start_seq`: ledger pages up
    to this one hold what was there when the view began, and `start_head` is where that ends: those rows were not sent; 0 and
    None where it began at its first row. `fingerprints` are doubted while profiles may have been delivered that they know
    nothing of: after a restore, a power cut, or an answer that was not waited for.
    """

    view: str
    head: Position | None
    watermark: Position | None
    late: str
    definition: str
    counts: Mapping[str, int]
    started_from: str
    updated_ms: int
    identity: str
    formats: int
    generation: int = 0
    level_ms: int = 0
    sent_ms: int | None = None
    start_seq: int = 0
    start_head: Position | None = None
    fingerprints: Trust = "trusted"

    @property
    def placed(self) -> bool:
        """Whether it is known where the view goes on. Without a position that is the first row only where it began there."""
        return self.head is not None or self.started_from == "first"

    @property
    def blank(self) -> bool:
        """Whether none of its rows was ever committed: it may still become another view. One that was put back to its start may not."""
        return self.head is None and not any(self.counts.values())


class Backfill(Struct, frozen=True):
    """History of a view that is sent beside what is live: `low <= cursor <= high`, at most `rate` events a second.

    `position`: the last row that is done, None before the first. `total` rows were there when it was asked for (0: they could
    not be counted). `reason`: why it failed, or what it waits for; empty when nothing is wrong.
    """

    id: int
    view: str
    low: str
    high: str
    rate: int
    profiles: Profiles
    position: Position | None
    total: int
    done: int
    state: BackfillState
    reason: str
    asked_ms: int
    updated_ms: int


class Step(Struct, frozen=True):
    """A page of a backfill is done: so many rows, up to a position."""

    id: int
    position: Position
    rows: int


PLACED = "@placed"


class LaneStep(Struct, frozen=True):
    """How far messages of one lane (`topic/partition`) are dealt with: all before `next`.

    `expected`: what `next` was before, None where nothing was known; a step from elsewhere changes nothing. `epoch` names the
    topic, or the message before `next`: one that was recreated under its name has another; empty where nobody knows, PLACED where
    an operator has put the lane, whatever the topic.
    """

    lane: str
    expected: int | None
    next: int
    epoch: str = ""


class Commit(Discreet, frozen=True):
    """All that one acknowledged page changes; written in one transaction or not at all.

    `profiles`: frame [id UInt64, whole Binary(8), parts Binary|null, cursor_at Int64|null], upserted, and in columns by
    told_sets.MARK sets that are told by difference (JSON; null leaves what is there). `ledger`: frame [key UInt64, cursor_ms
    Int64] of delivered rows (cursor_ms: a timestamp's epoch ms, or the id itself), packed by the store; rows with a null
    in either have no place in the order and are left out. `counts` are added to the totals. None for head, watermark
    and late leaves them as they are. `resolved` are ids of dead letters or parked rows that this page settles. `anchors`
    join those of earlier pages; the newest few are kept. `ahead`: a frame like `ledger` of rows that were sent before their
    time, remembered until the head has passed them. `step`: the page belongs to a backfill. `lanes`: how far messages
    are dealt with; `held`: further lanes that have to be this member's, where members share them. `bodies`: messages of undelivered rows that the broker does not show again, by place (`packed`). `outbox`:
    ids of the pages that are settled with it.
    """

    unprinted = frozenset({"bodies"})

    view: str
    at_ms: int
    head: Position | None = None
    watermark: Position | None = None
    late: str | None = None
    profiles: pl.DataFrame | None = None
    ledger: pl.DataFrame | None = None
    dead_letters: tuple[DeadLetter, ...] = ()
    parked: tuple[ParkedRow, ...] = ()
    resolved: tuple[int, ...] = ()
    anchors: tuple[Anchor, ...] = ()
    ahead: pl.DataFrame | None = None
    step: Step | None = None
    lanes: tuple[LaneStep, ...] = ()
    held: frozenset[str] = frozenset()
    bodies: Mapping[str, bytes] = field(default_factory=dict)
    outbox: tuple[int, ...] = ()
    counts: Mapping[str, int] = field(default_factory=dict)


class Holds(Struct, frozen=True, eq=False):
    """Players whose order a send must keep. `own`: something of them in this send was not accepted, or waits already.

    `earlier`: the same of the sends before it that were not in the state yet when its rows were judged. It fills up as answers
    come in: what is sent of these players would overtake what was not accepted.
    """

    own: set[int] = field(default_factory=set)
    earlier: tuple[AbstractSet[int], ...] = ()

    @property
    def anybody(self) -> bool:
        """Whether anything has to wait, as far as is known now."""
        return bool(self.own) or any(self.earlier)

    def overtaken(self, players: AbstractSet[int]) -> set[int]:
        """Those of the players of whom something earlier was not accepted, as far as is known now."""
        return {player for held in (*self.earlier, self.own) if held for player in held & players}


class Refusal(Struct, frozen=True):
    """An event the API will never take. `row` is its `@row`; `reason` holds no value of the row."""

    row: int
    eid: str
    code: int
    reason: str


class Receipt(Struct, frozen=True):
    """Every event of one send has a verdict: `delivered + duplicates + len(refused) == events sent`.

    `known_before`: rows (`@row`) of those duplicates that the API had already when they were sent to it for the first time.
    `left_out`: how many values did not go because the API refused their property, by its name.
    """

    delivered: int
    duplicates: int
    refused: tuple[Refusal, ...]
    requests: int
    sent_bytes: int
    known_before: tuple[int, ...] = ()
    left_out: Mapping[str, int] = field(default_factory=dict)
