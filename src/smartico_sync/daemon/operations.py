"""What an operator may change: the same whether the daemon runs (it is asked) or not (the state is opened)."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, Protocol, TypeVar

from msgspec import to_builtins

from smartico_sync.core.identity import player_hash
from smartico_sync.core.outcome import revived
from smartico_sync.core.position import Position
from smartico_sync.errors import ConfigError, StateHeld, SyncError
from smartico_sync.state.erasure import Identity
from smartico_sync.tracking.clocks import now_ms
from smartico_sync.tracking.mailbox import OperatorTurn
from smartico_sync.tracking.redelivery import requested

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from smartico_sync.core.records import DeadLetter, Profiles
    from smartico_sync.daemon.wiring import Loop
    from smartico_sync.state.erasure import Forgotten
    from smartico_sync.state.key_file import SecretPlace
    from smartico_sync.state.store import Store

__all__ = ["BEGIN_VIEW", "Operations"]

BEGIN_VIEW = "smartico-sync run begins it; where a daemon runs already: smartico-sync reload"
ONE_FOR_ALL = "a player is taken out of all views at once: `smartico-sync cluster move GROUP MEMBER` for every group, then run it on that MEMBER; `smartico-sync cluster release` there shares them out again"
PATIENCE_S = 60.0  # how long a view may take to come to the end of its page: a query that runs is not interrupted

T = TypeVar("T")


class Wakes(Protocol):
    """What works at backfills."""

    def wake(self) -> None:
        """Look at them now."""


class Operations:
    """Changes to the state, each by name and plain values, so that they can come from another process.

    `store_of`: where a view's changes go, when each group of views has a store of its own; it raises where another member has the view.
    `loops` are those of a running daemon: what concerns a view is a turn of its loop, between two of its pages, and the
    view goes on from what the state then says. What fails, also because the view does not come to it in time, is not done
    later. Every method raises SyncError and returns something that JSON can hold.
    """

    def __init__(
        self,
        store: Store,
        loops: Mapping[str, Loop] | None = None,
        backfills: Wakes | None = None,
        *,
        still_wanted: Callable[[], bool] = lambda: True,
        patience_s: float = PATIENCE_S,
        give_up: Callable[[str], None] | None = None,
        store_of: Callable[[str], Store] | None = None,
    ) -> None:
        self.store = store
        self.store_of = store_of or (lambda _: store)
        self.loops = loops or {}
        self.backfills = backfills
        self.still_wanted = still_wanted
        self.patience_s = patience_s
        self.give_up = give_up

    def asked_by(self, still_wanted: Callable[[], bool]) -> Operations:
        """The same for somebody who may go away: what has not begun by then is not done."""
        return Operations(
            self.store, self.loops, self.backfills, still_wanted=still_wanted, patience_s=self.patience_s, give_up=self.give_up,
            store_of=self.store_of,
        )  # fmt: skip

    def call(self, name: str, arguments: Mapping[str, Any]) -> Any:
        """Do the operation of that name."""
        known: dict[str, Callable[..., Any]] = {
            "backup": self.backup, "rewind": self.rewind, "enqueue": self.enqueue, "retry": self.retry, "drop": self.drop,
            "backfill": self.backfill, "cancel_backfill": self.cancel_backfill, "adopt": self.adopt,
            "accept": self.accept, "forget": self.forget, "release": self.release,
        }  # fmt: skip
        if name not in known:
            raise ConfigError(
                f"unknown operation {name!r}", hint="daemon and command are of different versions: restart it"
            )
        return known[name](**arguments)

    def between_pages(self, view: str, what: str, action: Callable[[Store], T]) -> T:
        """Do something while the view's loop does nothing else. TurnWithdrawn when it does not come to it in time."""
        store, loop = self.store_of(view), self.loops.get(view)
        if loop is None:
            return action(store)
        turn = OperatorTurn(what, partial(action, store), self.patience_s)
        loop.mailbox.post(turn)
        return turn.result(view, self.still_wanted)

    def release(self, group: str = "") -> None:
        """End the views of a group, or of all, and let another member have them."""
        if self.give_up is None:
            raise ConfigError(
                "no daemon works with the state here", hint="smartico-sync cluster show says where one does"
            )
        self.give_up(group)

    def backup(self, target: str, place: SecretPlace = "apart") -> str:
        """Copy the state, with its secret or without."""
        self.store.backup(Path(target), place)
        return target

    def rewind(
        self,
        view: str,
        position: list[str] | None,
        from_ms: int | None,
        fingerprints: Literal["keep", "forget"],
        ids: Literal["same", "new"],
        definition: str | None = None,
        lanes_at: dict[str, int] | None = None,
    ) -> None:
        """Put a view to a position (None: its start); `definition`: what it is from now on; `lanes_at`: where messages go on."""
        place = Position(position[0], tuple(position[1:])) if position else None
        self.between_pages(
            view,
            "the rewind",
            lambda store: store.rewind(
                view,
                place,
                at_ms=now_ms(),
                from_ms=from_ms,
                fingerprints=fingerprints,
                ids=ids,
                definition=definition,
                lanes_at=lanes_at,
            ),
        )

    def accept(self, view: str, definition: str, rows: Literal["recognised", "forgotten"] = "forgotten") -> None:
        """Let a view go on where it is, as what it is now; `rows` as in `Store.redefine`."""
        self.between_pages(view, "the change", lambda store: store.redefine(view, definition, rows))

    def adopt(self, view: str, source: str, identity: str | None) -> str:
        """Let a view that was renamed go on where `source`, its former name, stands; the identity it keeps."""
        row = self.store.view(source)
        if row is None:
            names = ", ".join(each.view for each in self.store.views() if each.view not in self.loops)
            raise ConfigError(
                f"the state knows no view {source}",
                hint=f"use one of: {names}" if names else "every view of the state is configured under its name",
            )
        if source in self.loops:
            raise ConfigError(f"view {source} is at work", hint="restart the daemon with the new views.yaml first")
        if self.store.view(view) is not None:
            raise ConfigError(
                f"view {view} is tracked already and has a place of its own",
                hint=f"smartico-sync watermark show {view} {source} tells how far each is",
            )
        if identity not in (None, row.identity):
            raise ConfigError(
                f"view {source} has the identity {row.identity}, and `identity:` of view {view} says {identity}",
                hint=f"write `identity: {row.identity}`, or take `identity:` out",
            )
        self.between_pages(view, "the adoption", lambda store: store.rename(source, view))
        return row.identity

    def enqueue(self, view: str, rows: Sequence[Sequence[str]], code: int, reason: str) -> int:
        """Have rows read and sent by their positions, each cursor and key."""
        parked = requested(view, [Position(cursor, tuple(key)) for cursor, *key in rows], code, reason)
        self.between_pages(view, "the sending of missing rows", lambda store: store.enqueue(view, parked))
        return len(parked)

    def retry(self, ids: Sequence[int]) -> int:
        """Have dead letters tried again; how many."""
        now = now_ms()

        def revive(view: str, dead_letters: Sequence[DeadLetter], store: Store) -> int:
            store.revive(view, [revived(dead_letter, now) for dead_letter in dead_letters])
            return len(dead_letters)

        return self.each_view(ids, "the retry", revive)

    def drop(self, ids: Sequence[int]) -> int:
        """Forget dead letters for good; how many."""
        return self.each_view(
            ids, "the drop", lambda view, dead_letters, store: store.drop(view, [each.id for each in dead_letters])
        )

    def each_view(
        self, ids: Sequence[int], what: str, action: Callable[[str, Sequence[DeadLetter], Store], int]
    ) -> int:
        """Do something with the dead letters of these ids, view by view. A failure says what was done before it."""
        done: dict[str, int] = {}
        elsewhere: StateHeld | None = None
        for view, dead_letters in self.by_view(ids).items():
            try:
                done[view] = self.between_pages(view, what, partial(action, view, dead_letters))
            except StateHeld as error:  # what is worked with here is done all the same
                elsewhere = error
            except SyncError as error:
                raise told_of(error, done) from None
        if elsewhere is not None:
            raise told_of(elsewhere, done)
        return sum(done.values())

    def forget(self, brand: str, user: str, places: Mapping[str, Sequence[int]]) -> dict[str, dict[str, Any]]:
        """Take a player out of every view; what was taken out of each. `places` as in erasure.key_places."""
        player = player_hash(brand, user, self.store.secret)
        done: dict[str, dict[str, Any]] = {}
        views = self.store.views()
        for row in views:  # nothing is begun where another member has a view of it
            try:
                self.store_of(row.view)
            except StateHeld as error:
                error.hint = ONE_FOR_ALL
                raise
        for row in views:
            user_at, brand_at = places.get(row.view, (-1, -1))
            who = Identity(player, brand, user, user_at, brand_at)
            try:
                gone = self.between_pages(row.view, "the forgetting", partial(forgotten, row.view, who))
            except SyncError as error:
                if done:
                    error.message = f"{error.message}; done before: {', '.join(done)}"
                raise
            done[row.view] = to_builtins(gone)
        return done

    def backfill(self, view: str, low: str, high: str, rate: int, profiles: Profiles, total: int) -> int:
        """Have a part of a view's history sent; the backfill's id."""
        if self.store.view(view) is None:
            raise ConfigError(f"view {view} was never tracked", hint=BEGIN_VIEW)
        number = self.store_of(view).add_backfill(
            view, low=low, high=high, rate=rate, profiles=profiles, total=total, at_ms=now_ms()
        )
        self.wake()
        return number

    def cancel_backfill(self, number: int) -> str:
        """End an open backfill where it is, or let one go that failed; its view's name."""
        view = next((each.view for each in self.store.backfills() if each.id == number), "")
        if not view or not self.store_of(view).tell_backfill(number, "cancelled", "", now_ms()):
            raise ConfigError(
                f"there is no open backfill {number}, and none that failed", hint="smartico-sync backfill --list"
            )
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
        for dead_letter in self.store.all_dead_letters():
            if dead_letter.id in wanted:
                found.setdefault(dead_letter.row.view, []).append(dead_letter)
        return found


def told_of(error: SyncError, done: Mapping[str, int]) -> SyncError:
    """A failure that says what was done before it."""
    if done:
        before = ", ".join(f"{count} of {name}" for name, count in done.items())
        error.message = f"{error.message}; done before: {before}"
    return error


def forgotten(view: str, who: Identity, store: Store) -> Forgotten:
    """Take a player out of a view."""
    return store.forget(view, who)
