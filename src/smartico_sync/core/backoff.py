"""Pauses that grow from try to try."""

from __future__ import annotations

from msgspec import Struct

__all__ = ["Backoff"]


class Backoff(Struct, frozen=True):
    """How long to wait after a failed try: `steps_s` are seconds, at least one, the last repeats.

    `jitter` is the share of a pause by which it may grow at random, so that many do not come back together.
    """

    steps_s: tuple[float, ...]
    jitter: float = 0.0

    @property
    def longest(self) -> float:
        """The step that repeats, seconds."""
        return self.steps_s[-1]

    def pause(self, tries: int, chance: float = 0.0) -> float:
        """Seconds to wait when `tries` have failed before this one (0 or more); `chance` is a random number in [0, 1)."""
        step = self.steps_s[min(tries, len(self.steps_s) - 1)]
        return step * (1 + self.jitter * chance)

    def pause_ms(self, tries: int, chance: float = 0.0) -> int:
        """The same pause in milliseconds."""
        return round(self.pause(tries, chance) * 1000)
