"""Smartico's limits, enforced and remembered: parallel requests, requests a minute, one player at a time."""

from __future__ import annotations

from collections import Counter, deque
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable
    from collections.abc import Set as AbstractSet

    from smartico_sync.sandbox.accepted_events import Player

__all__ = ["MAX_BODY", "MAX_IN_FLIGHT", "REQUESTS_PER_MINUTE", "Limits", "Ticket"]

MAX_IN_FLIGHT = 12
REQUESTS_PER_MINUTE = 6000
MAX_BODY = 10_000_000  # bytes
WINDOW_S = 59.5  # requests sent a minute apart may arrive a little closer


class Ticket:
    """One request under way. `alive` tells whether its client still waits for the answer."""

    __slots__ = ("alive", "players")

    def __init__(self, alive: Callable[[], bool]) -> None:
        self.alive = alive
        self.players: AbstractSet[Player] = frozenset()


class Limits:
    """Counts requests; callers hold one lock around every call. Times are monotonic seconds."""

    def __init__(self, max_in_flight: int, requests_per_minute: int) -> None:
        self.max_in_flight = max_in_flight
        self.requests_per_minute = requests_per_minute
        self.tickets: set[Ticket] = set()
        self.arrivals: deque[float] = deque()
        self.peak = 0
        self.violations: Counter[str] = Counter()

    def enter(self, ticket: Ticket, now: float) -> bool:
        """Let a request in; False when it breaks a limit (it is then answered with 429 and counted as a violation)."""
        self.tickets.add(ticket)
        if len(self.tickets) > self.max_in_flight:
            self.tickets = {other for other in self.tickets if other is ticket or other.alive()}
        self.peak = max(self.peak, len(self.tickets))
        while self.arrivals and self.arrivals[0] <= now - WINDOW_S:
            self.arrivals.popleft()
        if len(self.tickets) > self.max_in_flight:
            self.violations["too many parallel requests"] += 1
            return False
        if len(self.arrivals) >= self.requests_per_minute:
            self.violations["too many requests a minute"] += 1
            return False
        self.arrivals.append(now)
        return True

    def carry(self, ticket: Ticket, players: AbstractSet[Player]) -> None:
        """Note whose events a request carries; a player who is already under way elsewhere is a violation.

        A request whose client has gone (it timed out and sends again) is not under way any more.
        """
        for other in self.tickets:
            if other is not ticket and not other.players.isdisjoint(players) and other.alive():
                self.violations["a player in two requests at once"] += 1
        ticket.players = players

    def leave(self, ticket: Ticket) -> None:
        """Forget a request that is about to be answered, or given up; idempotent."""
        self.tickets.discard(ticket)
