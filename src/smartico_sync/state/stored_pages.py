"""The store's part about pages: what one is compared with, and the one transaction in which it is committed."""

from __future__ import annotations

from typing import TYPE_CHECKING, cast

import polars as pl

from smartico_sync.core.reason_codes import UNKNOWN_USER
from smartico_sync.core.told_sets import ANY
from smartico_sync.state import (
    ahead,
    anchors,
    backfills,
    bodies,
    dead_letters,
    lanes,
    ledger,
    outbox,
    profiles,
    told_sets,
    view_positions,
)
from smartico_sync.state.stored_views import StoredViews

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from smartico_sync.core.records import Anchor, Commit, LaneStep
    from smartico_sync.state.statements import Inserted, Statements

__all__ = ["StoredPages"]


class StoredPages(StoredViews):
    """Pages of a state's views."""

    def profiles(self, view: str, ids: pl.Series) -> pl.DataFrame:
        """Return the known profiles among `ids` (UInt64): [id UInt64, whole Binary, parts Binary|null, cursor_at Int64|null].

        In no order.
        """
        number = self.number(view)
        with self.reading() as connection:
            return profiles.known(connection, number, ids)

    def told_sets(self, view: str, ids: pl.Series, columns: Sequence[str]) -> pl.DataFrame:
        """Return the sets that were accepted last of the players among `ids`, for sets that are told by difference.

        [id UInt64, a column (String, JSON) for each of the `columns`], in no order; who has none has no row.
        """
        number = self.number(view)
        with self.reading() as connection:
            return told_sets.known(connection, self.cipher, number, ids, columns)

    def told_names(self, view: str) -> dict[str, set[str]]:
        """Return every name (as JSON) that was ever on its way in such a set, by property."""
        identity = self.row(view).identity
        with self.reading() as connection:
            return told_sets.names(connection, self.cipher).get(identity, {})

    def add_told_names(self, view: str, new: Mapping[str, set[str]]) -> None:
        """Note names that are about to be sent for the first time: on the disk when this returns, also after a power cut."""
        identity = self.row(view).identity
        with self.writing("flushed") as connection:
            told_sets.add_names(connection, self.cipher, identity, new)

    def doubt_told_sets(self, view: str, ids: pl.Series, columns: Sequence[str]) -> None:
        """Note that any name may be in these sets of the players `ids` (UInt64)."""
        number = self.number(view)
        doubted = ids.unique().alias("id").to_frame().with_columns(pl.lit(ANY).alias(name) for name in columns)
        with self.writing() as connection:
            told_sets.remember(connection, self.cipher, number, doubted)

    def commit(self, commit: Commit) -> int:
        """Write all that an acknowledged page changes, or nothing; the page's sequence number in the ledger.

        0 when the page has no ledger rows. A commit that returned survives the end of the process. It may be lost in a
        power cut, together with all later ones and never without them. Raises PositionMoved, with nothing written, when a lane is
        not where it was expected, or another member's.
        """
        number = self.number(commit.view)
        page = self.together(lambda connection: self._write(connection, number, commit))
        if commit.profiles is not None and not commit.profiles.is_empty():
            self.database.tidy(number, commit.profiles.height)
        return 0 if page is None else page.number

    def _write(self, connection: Statements, number: int, commit: Commit) -> Inserted | None:
        """Write a commit, inside the transaction; its page of the ledger."""
        if self.owner is None:
            # What an attempt left here that came to nothing does no harm: the same columns are set again.
            known = self.sealed.pop(number, None)
            sealed = view_positions.advance(connection, self.secret, number, commit, known)
            lanes.advance(connection, self.secret, number, commit.view, commit.lanes)
        else:  # other members write to the view, too: what tells where it is are its lanes
            lanes.advance(connection, self.secret, number, commit.view, commit.lanes, self.owner)
            lanes.hold(connection, number, commit.view, commit.held, self.owner)
        view_positions.add_totals(connection, number, commit.counts)
        if commit.profiles is not None and not commit.profiles.is_empty():
            profiles.remember(connection, number, commit.profiles)
            told_sets.remember(connection, self.cipher, number, commit.profiles)
        self._settle_undelivered(connection, number, commit)
        anchors.keep(connection, number, commit.anchors)
        if commit.head is not None and commit.ledger is not None and commit.ledger.height:
            ahead.prune(connection, number, highest(commit.ledger))
        if commit.ahead is not None:
            ahead.add(connection, number, commit.ahead)
        if commit.step is not None:
            backfills.advance(connection, commit.step, commit.at_ms)
        if self.owner is None:
            outbox.remove(connection, commit.outbox)
        else:
            outbox.settle(connection, commit.view, commit.outbox, self.owner)
        page = None if commit.ledger is None else ledger.append(connection, number, commit.at_ms, commit.ledger)
        if self.owner is None:
            self.sealed[number] = sealed
        return page

    def _settle_undelivered(self, connection: Statements, number: int, commit: Commit) -> None:
        """Park, resolve and give up what a commit says, and keep the turns of the players it concerns."""
        if commit.profiles is not None and not commit.profiles.is_empty() and self._waits(connection):
            # A player that is known now need not wait for the next try.
            dead_letters.try_now(connection, commit.profiles.get_column("id"), UNKNOWN_USER, commit.at_ms)
        bodies.keep(connection, self.secret, number, commit.bodies)
        if commit.parked:
            self.idle = "unknown"
        if not (commit.resolved or commit.parked or commit.dead_letters):
            return
        over = [*commit.resolved, *(each.id for each in commit.dead_letters if each.id)]
        moving = dead_letters.players(connection, over) if over else set()
        dead_letters.discard(connection, commit.resolved)
        dead_letters.park(connection, number, commit.parked)
        dead_letters.keep(connection, number, commit.dead_letters)
        waiting = {each.row.player for each in commit.parked if each.row.player}
        dead_letters.keep_turns(connection, number, commit.at_ms, waiting=waiting, moving=moving - waiting)
        if commit.resolved:
            bodies.prune(connection, number)

    def sending(self, view: str, sent_ms: int) -> None:
        """Note that rows of the order up to this cursor, as in the ledger, are about to be sent."""
        number = self.number(view)
        self.together(lambda connection: view_positions.sending(connection, number, sent_ms))

    def ahead(self, view: str) -> pl.Series | None:
        """Return the ledger keys (UInt64) of rows that were sent before their time, which has not come yet; None for none."""
        number = self.number(view)
        with self.reading() as connection:
            return ahead.read(connection, number, "dated ahead")

    def sent_without(self, view: str) -> pl.Series | None:
        """Return the ledger keys (UInt64) of rows without a cursor that were sent; None for none."""
        number = self.number(view)
        with self.reading() as connection:
            return ahead.read(connection, number, "without a cursor")

    def lanes(self, view: str) -> dict[str, LaneStep]:
        """Return how far the messages of each lane are dealt with; `expected` is `next`."""
        number = self.number(view)
        with self.reading() as connection:
            return lanes.read(connection, self.secret, number)

    def anchors(self, view: str) -> list[Anchor]:
        """Return the rows of a view that were delivered last, oldest first."""
        number = self.number(view)
        with self.reading() as connection:
            return anchors.read(connection, number)


def highest(rows: pl.DataFrame) -> int:
    """Return the highest cursor of ledger rows."""
    top = cast("int | None", rows.get_column("cursor_ms").max())
    return -(1 << 63) if top is None else top
