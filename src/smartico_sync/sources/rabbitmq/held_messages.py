"""Messages of queues that wait, or were given up: what becomes of each at the broker, where it is open until then."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from msgspec import Struct

from smartico_sync.core.messages.message import place_of

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence
    from collections.abc import Set as AbstractSet

    from smartico_sync.core.messages.message import Message
    from smartico_sync.sources.stream import Keeper

__all__ = ["HeldMessages"]

HELD_S = 600.0  # what is parked longer is kept by the state: the broker's own patience is 30 minutes by default


class Held(Struct, frozen=True):
    """A message that is parked, and open at the broker."""

    tag: int
    message: Message
    since: float


class HeldMessages:
    """By their places, the one that waits longest first.

    `acknowledge` lets the broker forget a delivery, `refuse` hands it over to the queue's dead-letter exchange.
    """

    def __init__(self, keeper: Keeper, acknowledge: Callable[[int], None], refuse: Callable[[int], None]) -> None:
        self._keeper, self._acknowledge, self._refuse = keeper, acknowledge, refuse
        self._held: dict[str, Held] = {}
        self._given_up: set[str] = set()

    def __len__(self) -> int:
        return len(self._held)

    def at(self, places: Sequence[str]) -> list[Message]:
        """Those that are held."""
        return [held.message for place in places if (held := self._held.get(place)) is not None]

    def give_up(self, places: Iterable[str]) -> None:
        """Refuse these once they are committed, or settled."""
        self._given_up.update(places)

    def forget_given_up(self) -> None:
        """The channel is closed: all comes again."""
        self._given_up.clear()

    def named(self, delivered: Iterable[tuple[int, Message]], waiting: AbstractSet[str]) -> set[int]:
        """Of a page that is committed, the deliveries that are not simply done: those that wait are held, those given up refused."""
        found, now, spared = set[int](), time.monotonic(), waiting | self._given_up
        for tag, message in delivered if spared else ():
            place = place_of(message)
            if place not in spared:
                continue
            found.add(tag)
            if place in waiting:
                self._held[place] = Held(tag, message, now)
            else:
                self._refuse(tag)
        self._given_up.clear()
        return found

    def settle(self, places: Iterable[str]) -> None:
        """Hold these no longer: they are delivered, kept by the state, or given up."""
        for place in places:
            held = self._held.pop(place, None)
            if held is not None and place in self._given_up:
                self._refuse(held.tag)
            elif held is not None:
                self._acknowledge(held.tag)
            self._given_up.discard(place)

    def keep_overdue(self, now: float, most: int) -> None:
        """Have the state keep what is held for too long, and the first of those that are more than so many."""
        beyond = len(self._held) - most
        overdue = [held for n, held in enumerate(self._held.values()) if n < beyond or now - held.since > HELD_S]
        if overdue:
            self._keeper.keep([held.message for held in overdue])
            self.settle([place_of(held.message) for held in overdue])

    def keep(self) -> None:
        """Have the state keep all: a queue is gone, maybe with them. Should one come again all the same, it counts once."""
        self._keeper.keep([held.message for held in self._held.values()])
