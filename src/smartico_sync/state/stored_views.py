"""The store's part about views: where each is, and what an operator does to it as a whole."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

from smartico_sync.errors import StateDamaged
from smartico_sync.state import ahead, anchors, lanes, ledger, profiles, told_sets, view_positions
from smartico_sync.state.open_state import OpenState

if TYPE_CHECKING:
    from collections.abc import Mapping

    from smartico_sync.core.position import Position
    from smartico_sync.core.records import Commit, Trust, ViewRow

__all__ = ["StoredViews"]

START_ROWS = 50_000  # of the rows that were there at a view's start, in one ledger page: unpacked as a whole


class StoredViews(OpenState):
    """Views of a state."""

    def view(self, name: str) -> ViewRow | None:
        """Return what is known of a view, None if it was never begun."""
        return next(iter(self._read(name)), None)

    def views(self) -> tuple[ViewRow, ...]:
        """Return every view, in the order in which they were begun."""
        return self._read(None)

    def _read(self, name: str | None) -> tuple[ViewRow, ...]:
        with self.reading() as connection:
            try:
                return tuple(view_positions.read(connection, self.secret, name))
            except StateDamaged as error:
                raise StateDamaged(f"{error.message} ({self.database})", hint=self.database.hint) from None

    def begin(
        self,
        name: str,
        definition: str,
        started_from: str,
        at_ms: int,
        start: Commit | None = None,
        *,
        identity: str = "",
    ) -> ViewRow:
        """Register a view at its first start, with where it begins and the rows that were there (None: the first row).

        By default its name is its identity. One that is known stays as it is, unless it has no position and began elsewhere
        than at its first row: it is placed now. Its row is returned either way.
        """
        known = self.view(name)
        if known is not None and known.placed:
            if name not in self.numbers:  # begun by another member since this one opened the state
                with self.reading() as connection:
                    self.numbers = view_positions.numbers(connection)
            return known
        with self.writing() as connection:
            view_positions.begin(
                connection,
                self.secret,
                name=name,
                identity=identity or name,
                definition=definition,
                started_from=started_from,
                at_ms=at_ms,
            )
            number = view_positions.numbers(connection)[name]
            if known is not None:
                anew = {"definition": definition, "started_from": started_from}
                view_positions.change(connection, self.secret, number, anew)
            generation = self.key.generations.get(identity or name, 0)
            view_positions.raise_generation(connection, self.secret, number, generation)
            if known is None and (identity or name) in told_sets.names(connection, self.cipher):
                view_positions.judge_fingerprints(connection, "doubted", number)  # it was at work before this state
            if start is not None:
                view_positions.advance(connection, self.secret, number, start)
                anchors.keep(connection, number, start.anchors)
                pages = () if start.ledger is None else start.ledger.iter_slices(START_ROWS)
                kept = [ledger.append(connection, number, start.at_ms, page) for page in pages]
                seq = next((page.number for page in reversed(kept) if page is not None), 0)
                view_positions.began_at(connection, number, start.head, seq)
        with self.reading() as connection:
            self.numbers = view_positions.numbers(connection)
        return self.row(name)

    def rename(self, old: str, new: str) -> ViewRow:
        """Give a view another name; its identity, and all that is known of it, stays. `new` is no view's name."""
        number = self.number(old)
        with self.writing() as connection:
            view_positions.change(connection, self.secret, number, {"name": new})
        self.numbers = {new if name == old else name: no for name, no in self.numbers.items()}
        self.begun_before |= {new} if old in self.begun_before else set()
        return self.row(new)

    def redefine(self, view: str, definition: str, rows: Literal["recognised", "forgotten"] = "recognised") -> ViewRow:
        """Write down what a view is now: one of which nothing was delivered yet, or one that goes on all the same.

        `rows`: those delivered last may be forgotten, where by what it is now they could not be recognised.
        """
        number = self.number(view)
        with self.writing() as connection:
            view_positions.change(connection, self.secret, number, {"definition": definition})
            if rows == "forgotten":
                anchors.drop(connection, number)
        return self.row(view)

    def start_of(self, name: str) -> str:
        """Return where a view is to begin that is not there yet, in place of its `start_from`; empty where nothing was said."""
        with self.reading() as connection:
            found = connection.execute("SELECT start_from FROM start WHERE name = ?", (name,)).fetchone()
        return str(found[0]) if found else ""

    def row(self, view: str) -> ViewRow:
        """Return what is known of a view that was begun. Raises LookupError."""
        row = self.view(view)
        if row is None:
            raise LookupError(f"the view {view!r} was never begun in {self.database}")
        return row

    def reached(self, view: str, at_ms: int) -> None:
        """Note that a view has caught up for the first time; where members share its lanes, as far as they are this member's."""
        number = self.number(view)
        with self.writing() as connection:
            if self.owner is None:
                view_positions.reached(connection, number, at_ms)
            else:
                lanes.reached(connection, number, at_ms, self.owner)

    def judge_fingerprints(self, view: str, trust: Trust) -> None:
        """Say whether a view's fingerprints tell what Smartico has: doubted where it may have got more than was committed."""
        number = self.number(view)
        with self.writing() as connection:
            view_positions.judge_fingerprints(connection, trust, number)

    def rewind(
        self,
        view: str,
        position: Position | None,
        *,
        at_ms: int,
        from_ms: int | None = None,
        fingerprints: Literal["keep", "forget"] = "keep",
        ids: Literal["same", "new"] = "same",
        definition: str | None = None,
        lanes_at: Mapping[str, int] | None = None,
    ) -> None:
        """Put a view back: head and watermark to `position` (None: its start), late-commit memory and anchors empty.

        The ledger forgets rows with a cursor_ms of `from_ms` or more (None: all), so that they can be delivered and
        counted again. `forget` lets every profile be sent again, also an unchanged one, but none that is older than what was
        delivered. With `ids` new, rows get event ids that none had before, and profiles no age: for a source that gave out its
        own ids again. `definition`: what the view is from now on; then no profile has an age either. `lanes_at`: where messages
        of each lane go on, of whatever topic has that name now; lanes that are not named begin anew.
        """
        number = self.number(view)
        if ids == "new":
            row = self.row(view)
            self.database.note_generation(row.identity, row.generation + 1)
        with self.writing() as connection:
            view_positions.place(connection, self.secret, number, position, at_ms, ids)
            if definition is not None:
                view_positions.change(connection, self.secret, number, {"definition": definition})
            anchors.drop(connection, number)
            ahead.drop(connection, number)
            ledger.remove_from(connection, number, from_ms)
            if lanes_at is not None:
                lanes.place(connection, self.secret, number, lanes_at)
            if ids == "new" or definition is not None:
                profiles.forget(connection, number, "ages")
            if fingerprints == "forget":
                profiles.forget(connection, number, "fingerprints")
