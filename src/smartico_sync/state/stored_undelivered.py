"""The store's part about rows that wait or were given up: parked rows, dead letters, and the messages they came from."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

from smartico_sync.state import bodies, dead_letters, view_positions
from smartico_sync.state.stored_views import StoredViews

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from smartico_sync.core.position import Position
    from smartico_sync.core.records import DeadLetter, ParkedRow

__all__ = ["StoredUndelivered"]

ROWS_AT_ONCE = 1_000  # parked rows or dead letters read at a time where the caller names no limit: a screen is less, memory holds more


class StoredUndelivered(StoredViews):
    """Undelivered rows of a state's views."""

    def dead_letters(
        self,
        view: str | None = None,
        *,
        code: int | None = None,
        key: str | None = None,
        after_id: int = 0,
        limit: int = ROWS_AT_ONCE,
    ) -> list[DeadLetter]:
        """Return dead letters that fit every given filter, ascending by id; `after_id` reads on."""
        with self.reading() as connection:
            return dead_letters.dead(connection, view=view, code=code, key=key, after_id=after_id, limit=limit)

    def newest_dead_letters(self, view: str, limit: int = 10) -> list[DeadLetter]:
        """Return the dead letters of a view that were given up last, the newest first; none of a view it does not know."""
        with self.reading() as connection:
            return dead_letters.newest(connection, view, limit)

    def dead_letter_counts(self) -> dict[str, dict[int, int]]:
        """Count dead letters as {view: {reason code: n}}; views without any are left out."""
        return self._undelivered_counts("dead")

    def all_dead_letters(self) -> Iterator[DeadLetter]:
        """Yield every dead letter, ascending by id."""
        after = 0
        while some := self.dead_letters(after_id=after):
            yield from some
            after = some[-1].id

    def drop(self, view: str, ids: Sequence[int]) -> int:
        """Forget dead letters of a view for good; how many there were. Their rows count as dropped."""
        number = self.number(view)
        with self.writing() as connection:
            done = dead_letters.remove(connection, ids)
            bodies.prune(connection, number)
            view_positions.add_totals(connection, number, {"dead_lettered": -done, "dropped": done})
            return done

    def prune_dead_letters(self, view: str, before_ms: int, most: int) -> int:
        """Forget dead letters of a view that are older than that time, or more than so many; how many there were.

        Their rows count as dropped. Bounded work: call it again while it returns more than 0.
        """
        number = self.number(view)
        with self.writing() as connection:
            done = dead_letters.prune(connection, number, before_ms, most, ROWS_AT_ONCE)
            if done:
                bodies.prune(connection, number)
            view_positions.add_totals(connection, number, {"dead_lettered": -done, "dropped": done})
            return done

    def revive(self, view: str, parked: Sequence[ParkedRow]) -> None:
        """Park dead letters of a view for another try."""
        number = self.number(view)
        with self.writing() as connection:
            dead_letters.park(connection, number, parked)
            waiting = {each.row.player for each in parked if each.row.player}
            dead_letters.keep_turns(connection, number, max(each.at_ms for each in parked), waiting=waiting, moving=())
            view_positions.add_totals(connection, number, {"dead_lettered": -len(parked), "parked": len(parked)})

    def enqueue(self, view: str, parked: Sequence[ParkedRow]) -> None:
        """Park rows for a try at their time. Those that are new count as read."""
        number = self.number(view)
        with self.writing() as connection:
            before = dead_letters.total(connection, number)
            dead_letters.park(connection, number, parked)
            new = dead_letters.total(connection, number) - before
            view_positions.add_totals(connection, number, {"read": new, "parked": new})

    def parked(self, view: str, due_ms: int, limit: int = ROWS_AT_ONCE) -> list[ParkedRow]:
        """Return parked rows due at `due_ms`, the longest due first.

        Of each player the first row has a clock; once that is delivered or given up, all others are due, in their order.
        """
        number = self.number(view)
        if self.idle == "yes" and self.owner is None:  # what a view parks is committed before its loop asks
            return []
        with self.reading() as connection:
            parked = self.owner is not None or self._waits(connection)
            return dead_letters.due(connection, number, due_ms, limit, self.owner) if parked else []

    def undelivered(self, view: str, positions: Sequence[Position] | None = None) -> list[DeadLetter | ParkedRow]:
        """Return what was given up, or waits, of the rows at these positions (None: of all rows), ascending by id."""
        number = self.number(view)
        with self.reading() as connection:
            return dead_letters.at_places(connection, number, positions)

    def parked_since(self, view: str) -> int:
        """Return since when (epoch ms) the parked row that waits longest has been waiting; 0 when none is."""
        number = self.number(view)
        with self.reading() as connection:
            return dead_letters.oldest(connection, number)

    def waiting_players(self, view: str) -> frozenset[int]:
        """Return the players of whom something is parked: what comes after it waits behind it."""
        number = self.number(view)
        with self.reading() as connection:
            return frozenset(dead_letters.waiting_players(connection, number))

    def parked_counts(self) -> dict[str, dict[int, int]]:
        """Count parked rows as {view: {reason code: n}}; views without any are left out."""
        return self._undelivered_counts("parked")

    def _undelivered_counts(self, stage: Literal["dead", "parked"]) -> dict[str, dict[int, int]]:
        found: dict[str, dict[int, int]] = {}
        with self.reading() as connection:
            for view, parked, code, n in dead_letters.counts(connection):
                if bool(parked) == (stage == "parked"):
                    found.setdefault(view, {})[code] = n
        return found

    def keep_bodies(self, view: str, messages: Mapping[str, bytes]) -> None:
        """Keep messages of parked rows, by place, so that the broker may forget them."""
        number = self.number(view)
        with self.writing() as connection:
            bodies.keep(connection, self.secret, number, messages)

    def bodies(self, view: str, places: Sequence[str]) -> list[bytes]:
        """Return the messages of these places that are kept, as they were given, in any order."""
        number = self.number(view)
        with self.reading() as connection:
            return bodies.read(connection, self.secret, number, places)

    def forget_returning(self, view: str, lanes: Sequence[str]) -> None:
        """Forget the parked rows whose messages the broker holds and gives again: they are read, and counted, anew."""
        number = self.number(view)
        with self.writing() as connection:
            done = bodies.forget_returning(connection, number, lanes)
            view_positions.add_totals(connection, number, {"read": -done, "parked": -done})
