"""Watches over the keys of one view: what is sent is told apart from all that was sent lately and is on its way."""

from __future__ import annotations

import time
from collections import deque
from functools import reduce
from operator import or_
from typing import TYPE_CHECKING, Literal

import polars as pl
from msgspec import Struct
from msgspec.structs import replace

from smartico_sync.core import few_columns
from smartico_sync.core.few_texts import FEW
from smartico_sync.core.ledger_keys import WHERE_BITS, may_move, which
from smartico_sync.core.pipeline import positions_of
from smartico_sync.core.reason_codes import MUTATED
from smartico_sync.core.uniqueness import elsewhere, missing_since, not_unique, repeats, with_others
from smartico_sync.errors import RowsTooWide, SourceError
from smartico_sync.tracking.redelivery import requested
from smartico_sync.tracking.row_width import portions

if TYPE_CHECKING:
    from smartico_sync.config.models import View
    from smartico_sync.core.position import Position
    from smartico_sync.core.records import Commit, Receipt
    from smartico_sync.core.view_mapping import ViewMapping
    from smartico_sync.sources.protocol import Source
    from smartico_sync.state.store import Store
    from smartico_sync.tracking.page_reader import PageReader
    from smartico_sync.tracking.status_recorder import StatusRecorder

__all__ = ["Explained", "KeyWatch", "Looked", "with_duplicates"]

UNKNOWN = "duplicate_unknown"  # a total: of the duplicates those that this state never sent

KEYS_AT_ONCE = 1_000  # the protocol's limit of rows by key
COMPARE_S = 1.0  # how long the duplicates of a page are compared with the source: where its keys have no index, each look reads all
FIRST_KEYS = 100  # asked for at first, whatever it takes
LOOKED_UP = 1_000  # duplicates of a page that are looked up in the ledger; of more the former state was sent


class Looked(Struct, frozen=True):
    """Which rows of a page [Boolean] are not sent, because they were, and which go under new ids; `moved` rows changed their place."""

    left_out: pl.Series
    anew: pl.Series
    moved: int


class Explained(Struct, frozen=True):
    """Duplicates that nothing explains but this: rows that `moved`, by position, and `unknown` ones this state never sent."""

    moved: tuple[Position, ...] = ()
    unknown: int = 0


class OnTheWay(Struct, frozen=True):
    """Rows whose events are sent. `ledger` [key UInt64, cursor_ms Int64]: a row each; null where a row may have been sent before."""

    rows: pl.DataFrame
    ledger: pl.DataFrame


class KeyWatch:
    """Pages come in order from one thread and are settled in the same order by another.

    A duplicate explains itself where the state says that the row may have been sent: it was dated ahead, or it stands not above
    the place up to which rows were sent by an earlier session, of which the end was perhaps not committed.
    """

    def __init__(
        self,
        view: View,
        mapping: ViewMapping,
        source: Source,
        store: Store,
        reader: PageReader,
        sent_ms: int | None,
        recorder: StatusRecorder,
    ) -> None:
        self._view, self._mapping, self._source, self._store, self._reader = view, mapping, source, store, reader
        self._recorder = recorder
        self._before_ms = self._sent_ms = sent_ms
        # Whether an earlier session sent rows that it did not commit: the ledger lacks the highest of them.
        committed = sent_ms is None or store.ledger_holds(view.name, sent_ms)
        self._earlier: Literal["committed", "left open"] = "committed" if committed else "left open"
        self._pending: deque[OnTheWay] = deque()

    def look(self, rows: pl.DataFrame, keys: pl.Series) -> Looked | None:
        """Compare rows that are to be sent with each other and with what was sent; None when they are new.

        Raises ViewMisconfigured when two different rows would have one event id, and what the source raises.
        """
        found = repeats(self._mapping, rows, keys)
        if found is not None and found.clash.any():
            raise not_unique(self._mapping, rows, found.clash, self._missing_since(rows))
        moved = self._moved(rows, keys)
        if found is None and moved is None:
            return None
        none = pl.repeat(value=False, n=rows.height, dtype=pl.Boolean, eager=True)
        copies = found.copies if found is not None else none
        moved = none if moved is None else moved & ~copies
        resent = self._view.on_mutated == "resend"
        return Looked(copies if resent else copies | moved, moved if resent else none, int(moved.sum()))

    def sending(self, rows: pl.DataFrame, ledger: pl.DataFrame, ahead: pl.Series | None) -> int | None:
        """A page goes on its way; `ahead`: the keys of rows dated ahead of the clock.

        How far rows are sent then, to be written down before they are; None where that is written already.
        """
        if ahead is not None:
            early = ledger.get_column("key").is_in(ahead.implode())
            ledger = ledger.with_columns(pl.when(~early).then("cursor_ms").alias("cursor_ms"))
        self._pending.append(OnTheWay(rows, ledger))
        high = ledger.get_column("cursor_ms").max()
        if not isinstance(high, int) or (self._sent_ms is not None and high <= self._sent_ms):
            return None
        self._sent_ms = high
        return high

    def may_be_known(self, ledger: pl.DataFrame) -> bool:
        """Whether an earlier session may have read some of these rows: not above the place up to which it sent, or in no place."""
        moments = ledger.get_column("cursor_ms")
        low = moments.min()
        before = isinstance(low, int) and self._before_ms is not None and low <= self._before_ms
        return before or moments.null_count() > 0

    def answered(self, receipt: Receipt) -> Explained:
        """What the answer to the oldest page on its way says of its rows. Raises ViewMisconfigured as `compare`."""
        if not receipt.known_before:
            return Explained()
        page = self._pending[0]
        places = pl.Series(sorted(receipt.known_before), dtype=pl.UInt32)
        moments = page.ledger.get_column("cursor_ms").gather(places)
        new = moments.is_not_null() if self._before_ms is None else (moments > self._before_ms).fill_null(value=False)
        # Also what an earlier session may have sent: it can have been another row of that key.
        self.compare(page.rows, places.to_list())
        keys = page.ledger.get_column("key")
        explained = self.explain(page.rows, keys, places.filter(new).to_list())
        before = self._moved_before(page.rows, keys, places.filter(~new).to_list())
        return replace(explained, moved=(*explained.moved, *before))

    def settled(self) -> None:
        """The oldest page on its way is in the state."""
        self._pending.popleft()

    def explain(self, rows: pl.DataFrame, keys: pl.Series, places: list[int]) -> Explained:
        """Why the API had rows at these places already, though they were sent for the first time, and are no other rows' twins."""
        mapping = self._mapping
        if not places or mapping.kind.role == "profile" or not mapping.relation.key:
            return Explained((), len(places))
        if len(places) > LOOKED_UP and self._view.on_mutated != "resend":
            return Explained((), len(places))
        exact, moved = self._ledger(keys.gather(places))
        if self._view.on_mutated == "resend" and self._earlier == "left open":
            moved = ~exact  # it may have been sent from another place by a session whose last pages were not committed
        return Explained(chosen_positions(rows, places, moved & ~exact), int((~exact & ~moved).sum()))

    def _moved_before(self, rows: pl.DataFrame, keys: pl.Series, places: list[int]) -> tuple[Position, ...]:
        """Which of them an earlier session sent from another place only, where they go again as `on_mutated` says.

        That session may have sent them from here, too, and have ended before it heard that the API had their ids.
        """
        if not places or self._view.on_mutated != "resend" or not may_move(self._mapping):
            return ()
        exact, elsewhere = self._ledger(keys.gather(places))
        return chosen_positions(rows, places, elsewhere & ~exact)

    def compare(self, rows: pl.DataFrame, places: list[int]) -> None:
        """Compare some rows with all that the source holds of their keys; those it cannot tell in time are counted.

        Raises ViewMisconfigured when it holds another row with the same event id.
        """
        if not places or self._mapping.kind.role == "profile" or not self._mapping.relation.key:
            return
        began, done, size = time.monotonic(), 0, FIRST_KEYS
        while done < len(places) and (done == 0 or time.monotonic() - began < COMPARE_S):
            asked = rows[places[done : done + size]]
            try:
                there = self._there(asked)
            except RowsTooWide as error:
                self._reader.width.too_wide(error)
                break
            except SourceError:
                break
            self._tell_apart(asked, there, rows)
            done, size = done + size, KEYS_AT_ONCE
        if done < len(places):
            self._recorder.uncompared(len(places) - done)

    def _tell_apart(self, rows: pl.DataFrame, there: pl.DataFrame, unsent: pl.DataFrame) -> None:
        """Raise as `compare` where one of these rows shares its event id with another that is there; `unsent`: all of their page."""
        clash = elsewhere(self._mapping, rows, there)
        if clash.any():
            every = with_others(self._mapping, rows, clash, there)
            raise not_unique(self._mapping, *every, self._missing_since(unsent))

    def _missing_since(self, unsent: pl.DataFrame) -> str | None:
        """From where on another view would have to send what this one does not."""
        row = self._store.view(self._view.name)
        return None if row is None else missing_since(row.watermark or row.head, unsent)

    def _ledger(self, wanted: pl.Series) -> tuple[pl.Series, pl.Series]:
        """Which of these keys the ledger holds, and of which it holds the row in any place."""
        mapping, rows = self._mapping, which(self._mapping, wanted)
        few = rows.implode()  # the ledger is long: its keys are looked for among these, not these among them
        met = [keys.filter(which(mapping, keys).is_in(few)) for keys in self._store.ledger_keys(self._view.name)]
        held = pl.concat(met) if met else wanted.clear()
        return wanted.is_in(held.implode()), rows.is_in(which(mapping, held).implode())

    def _moved(self, rows: pl.DataFrame, keys: pl.Series) -> pl.Series | None:
        """Which rows were sent from another place, where they are no more; None when there are none."""
        if not rows.height or not may_move(self._mapping):
            return None
        known = self._reader.known
        rows_of = which(self._mapping, keys)
        places = [known.same(rows_of, WHERE_BITS), self._reader.ahead.same(rows_of, WHERE_BITS)]
        pending = [page.ledger.get_column("key") for page in tuple(self._pending)]
        places += [among(which(self._mapping, page), rows_of) for page in pending]
        if not any(met.any() for met in places):  # as nearly always
            return None
        met = reduce(or_, places)
        met &= known.unseen(keys) & self._reader.ahead.unseen(keys)
        for page in pending:
            met &= ~among(page, keys)
        if not met.any():
            return None
        some = rows.filter(met)
        self._tell_apart(some, self._there(some), rows)
        return met

    def _there(self, rows: pl.DataFrame) -> pl.DataFrame:
        """All that the source holds of these rows' keys."""
        keys = list(dict.fromkeys(position.key for position in positions_of(rows)))
        with self._source.reading(self._mapping.relation) as reading:
            frames = [reading.by_key(some) for some in portions(keys, self._reader.width, KEYS_AT_ONCE)]
        return pl.concat(frames, how="diagonal_relaxed")


def among(held: pl.Series, keys: pl.Series) -> pl.Series:
    """Which of the keys are held."""
    if held.len() <= FEW and keys.len() <= FEW:
        there = set(held.to_list())
        return few_columns.column("truth", [key in there for key in keys.to_list()])
    return keys.is_in(held.implode())


def chosen_positions(rows: pl.DataFrame, places: list[int], chosen: pl.Series) -> tuple[Position, ...]:
    """Where those of the rows at these places stand that are chosen."""
    return tuple(positions_of(rows[[place for place, so in zip(places, chosen, strict=True) if so]]))


def with_duplicates(commit: Commit, explained: Explained, policy: Literal["ignore", "warn", "resend"]) -> Commit:
    """The commit with what was found out about the API's duplicates; rows that moved are sent again, by the policy, as new events."""
    counts = dict(commit.counts)
    if explained.unknown:
        counts[UNKNOWN] = explained.unknown
    if policy != "resend" or not explained.moved:
        return replace(commit, counts=counts)
    again = requested(commit.view, explained.moved, MUTATED, "it changed after it was sent")
    for name in ("read", "parked"):
        counts[name] = counts.get(name, 0) + len(again)
    return replace(commit, parked=(*commit.parked, *again), counts=counts)
