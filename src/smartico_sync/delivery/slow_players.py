"""Whose requests take long: what is sent of them next goes in requests of their own, so that nobody else waits for it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    from collections.abc import Collection

__all__ = ["SlowPlayers"]

LEAST_S = 0.25  # an answer within this is never slow: polls of views that hurry are about as far apart
TIMES = 4  # the usual time of an answer: beyond it a request is slow
WEIGHT = 0.1  # of an answer in what is usual
FAILURES_WEIGHT = 0.02  # of a request in how often requests fail: the last fifty or so count
RARE = 1 / 16  # of all requests: where more fail, one that fails is no odd one, and its parts fail as often as it does
MOST = 10_000  # players: when so many are slow it is the API, and nobody is sent apart


class SlowPlayers:
    """Learns from the answers what is usual, and whose were slow. Callers hold one lock around every call.

    Of a slow request all players are suspected, because nobody knows which of them it was; an answer in time clears those in it.
    Where the API is slow with everybody that becomes what is usual; where it fails with many it is nobody's fault.
    """

    def __init__(self) -> None:
        self.suspected: dict[int, None] = {}
        self.usual_s = 0.0
        self.failing = 0.0

    @property
    def limit_s(self) -> float:
        """From when on a request is slow."""
        return max(LEAST_S, TIMES * self.usual_s)

    @property
    def failures_are_rare(self) -> bool:
        """Whether a request that fails tells something of its players: not while many fail, whoever is in them."""
        return self.failing < RARE

    def went(self, outcome: Literal["answered", "failed"]) -> None:
        """A request that went for the first time had an answer or not, while the API is there."""
        self.failing += FAILURES_WEIGHT * ((outcome == "failed") - self.failing)

    def suspect(self, players: Collection[int]) -> None:
        """A request of these players is slow, or had no usable answer."""
        self.suspected.update(dict.fromkeys(players))
        if len(self.suspected) > MOST:
            self.suspected.clear()

    def suspects(self, players: Collection[int]) -> bool:
        """Whether one of them is suspected."""
        return bool(self.suspected) and not self.suspected.keys().isdisjoint(players)

    def asks_for_players(self, seconds: float) -> bool:
        """Whether it matters whose request was answered after so long."""
        return bool(self.suspected) or seconds >= self.limit_s

    def answered(self, players: Collection[int], seconds: float) -> None:
        """The API answered a request of these players."""
        limit = self.limit_s
        self.usual_s += WEIGHT * (min(seconds, limit) - self.usual_s)  # one that hung tells little of the others
        if seconds >= limit:
            self.suspect(players)
        elif self.suspected:
            for player in self.suspected.keys() & players:
                del self.suspected[player]
