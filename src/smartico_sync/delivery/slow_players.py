"""Whose requests take long: what is sent of them next goes in requests of their own, so that nobody else waits for it."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Collection

__all__ = ["SlowPlayers"]

LEAST_S = 0.25  # an answer within this is never slow: polls of views that hurry are about as far apart
TIMES = 4  # the usual time of an answer: beyond it a request is slow
WEIGHT = 0.1  # of an answer in what is usual
MOST = 10_000  # players: when so many are slow it is the API, and nobody is sent apart


class SlowPlayers:
    """Learns from the answers what is usual, and whose were slow. Callers hold one lock around every call.

    Of a slow request all players are suspected, because nobody knows which of them it was; an answer in time clears those in it.
    Where the API is slow with everybody that becomes what is usual.
    """

    def __init__(self) -> None:
        self.suspected: dict[int, None] = {}
        self.usual_s = 0.0

    @property
    def limit_s(self) -> float:
        """From when on a request is slow."""
        return max(LEAST_S, TIMES * self.usual_s)

    def suspect(self, players: Collection[int]) -> None:
        """A request of these players is slow, or had no usable answer."""
        self.suspected.update(dict.fromkeys(players))
        if len(self.suspected) > MOST:
            self.suspected.clear()

    def answered(self, players: Collection[int], seconds: float) -> None:
        """The API answered a request of these players."""
        limit = self.limit_s
        self.usual_s += WEIGHT * (min(seconds, limit) - self.usual_s)  # one that hung tells little of the others
        if seconds >= limit:
            self.suspect(players)
        elif self.suspected:
            for player in self.suspected.keys() & players:
                del self.suspected[player]
