"""What an operator may change: the same whether the daemon runs (it is asked) or not (the state is opened)."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from smartico_sync.core.cursor_time import DAY_MS
from smartico_sync.core.position import Position
from smartico_sync.core.records import DeadLetter, ParkedRow
from smartico_sync.errors import ConfigError
from smartico_sync.tracking.clocks import now_ms
from smartico_sync.tracking.redelivery import letters_for

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from smartico_sync.core.records import Profiles
    from smartico_sync.state.store import Store
    from smartico_sync.tracking.backfill import Backfills
    from smartico_sync.tracking.loop import Tracker

__all__ = ["Operations"]

PATIENCE_S = 120.0  # how long a view may take to come to the end of its page


class Operations:
    """Changes to the state, each by name and plain values, so that they can come from another process.

    `trackers` are those of a running daemon: what concerns a view is done between two of its pages, and the view goes on
    from what the state then says. Every method raises SyncError and returns something that JSON can hold.
    """

    def __init__(
        self, store: Store, trackers: Mapping[str, Tracker] | None = None, backfills: Backfills | None = None
    ) -> None:
        self.store = store
        self.trackers = trackers or {}
        self.backfills = backfills

    def call(self, name: str, arguments: Mapping[str, Any]) -> Any:
        """Do the operation of that name."""
        known: dict[str, Callable[..., Any]] = {
            "backup": self.backup, "rewind": self.rewind, "enqueue": self.enqueue, "retry": self.retry, "drop": self.drop,
            "backfill": self.backfill, "cancel_backfill": self.cancel_backfill,
        }  # fmt: skip
        if name not in known:
            raise ConfigError(
                f"unknown operation {name!r}", hint="daemon and command are of different versions: restart it"
            )
        return known[name](**arguments)

    def between_pages(self, view: str, action: Callable[[], Any]) -> Any:
        """Do something while the view's tracker does nothing."""
        tracker = self.trackers.get(view)
        return action() if tracker is None else tracker.ask(action).result(PATIENCE_S)

    def backup(self, target: str) -> str:
        """Copy the state."""
        self.store.backup(Path(target))
        return target

    def rewind(
        self,
        view: str,
        position: list[str] | None,
        from_ms: int | None,
        fingerprints: Literal["keep", "forget"],
        ids: Literal["same", "new"],
    ) -> None:
        """Put a view to a position (None: its start)."""
        place = Position(position[0], tuple(position[1:])) if position else None
        self.between_pages(
            view,
            lambda: self.store.rewind(view, place, at_ms=now_ms(), from_ms=from_ms, fingerprints=fingerprints, ids=ids),
        )

    def enqueue(self, view: str, rows: Sequence[Sequence[str]], code: int, reason: str) -> int:
        """Have rows read and sent by their positions, each cursor and key."""
        letters = letters_for(view, [Position(cursor, tuple(key)) for cursor, *key in rows], code, reason)
        self.between_pages(view, lambda: self.store.enqueue(view, letters))
        return len(letters)

    def retry(self, ids: Sequence[int]) -> int:
        """Have dead letters tried again."""
        now = now_ms()
        done = 0
        for view, letters in self.by_view(ids).items():
            parked = [
                ParkedRow(
                    **{name: getattr(letter, name) for name in DeadLetter.__dataclass_fields__},
                    next_try_ms=now,
                    deadline_ms=now + DAY_MS,
                )
                for letter in letters
            ]

            def move(view: str = view, parked: list[ParkedRow] = parked) -> None:
                self.store.revive(view, parked)

            self.between_pages(view, move)
            done += len(parked)
        return done

    def drop(self, ids: Sequence[int]) -> int:
        """Forget dead letters for good."""
        done = 0
        for view, letters in self.by_view(ids).items():

            def forget(view: str = view, numbers: list[int] = [letter.id for letter in letters]) -> int:  # noqa: B006 - never changed
                return self.store.drop(view, numbers)

            done += self.between_pages(view, forget)
        return done

    def backfill(self, view: str, low: str, high: str, rate: int, profiles: Profiles, total: int) -> int:
        """Have a part of a view's history sent; the backfill's id."""
        if self.store.view(view) is None:
            raise ConfigError(f"view {view} was never tracked", hint="start the daemon first: sync run")
        number = self.store.add_backfill(
            view, low=low, high=high, rate=rate, profiles=profiles, total=total, at_ms=now_ms()
        )
        self.wake()
        return number

    def cancel_backfill(self, number: int) -> str:
        """End an open backfill where it is; its view's name."""
        view = next((each.view for each in self.store.backfills() if each.id == number), "")
        if not self.store.tell_backfill(number, "cancelled", "", now_ms()):
            raise ConfigError(f"there is no open backfill {number}", hint="sync backfill --list")
        self.wake()
        return view

    def wake(self) -> None:
        """Have the running daemon look at its backfills."""
        if self.backfills is not None:
            self.backfills.wake()

    def by_view(self, ids: Sequence[int]) -> dict[str, list[DeadLetter]]:
        """The dead letters of these ids by their view."""
        wanted = set(ids)
        found: dict[str, list[DeadLetter]] = {}
        for letter in self.store.all_dead_letters():
            if letter.id in wanted:
                found.setdefault(letter.view, []).append(letter)
        return found
