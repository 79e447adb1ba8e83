"""What stands between us and the API: who is refused, and whether it takes anything at all. Time is an argument; nothing here waits.

closed      requests start
open        none starts before `resume_at`: several in a row had no usable answer, of more than one request, or the API said
            how long to wait
half-open   one at a time starts; an answer closes the breaker, a failure opens it again, for longer
halted      what is sent (all of it, or one brand's) fails at once, but for one request now and then that finds out
"""

from __future__ import annotations

import math
import random
from typing import TYPE_CHECKING, Literal

from msgspec import Struct
from msgspec.structs import replace

from smartico_sync.core.backoff import Backoff
from smartico_sync.errors import DeliveryHalted

if TYPE_CHECKING:
    from collections.abc import Callable, Collection

    from smartico_sync.delivery.request import Others

__all__ = ["BACKOFF", "EVERYTHING", "Circuit", "CircuitBreaker", "Halt"]

Circuit = Literal["closed", "open", "half-open"]  # whether requests may start

EVERYTHING = ""  # the brand that stands for all
# The steps are quoted from the official document. A fifth is random, so that clients do not return together.
BACKOFF = Backoff((1.0, 2.0, 4.0, 8.0, 16.0, 32.0), jitter=0.2)
PROBE_BACKOFF = Backoff((5.0, 10.0, 20.0, 40.0, 60.0))  # a person mends it in minutes, and should not wait long then
UNAVAILABLE_AFTER = 5  # failures in a row; of single ones only their own events wait
LONGEST_WAIT_S = 300.0  # of a Retry-After that is believed


class Halt(Struct):
    """One refusal, in words for an operator; `probe_at` is when a send may try again."""

    message: str
    hint: str
    times: int = 0
    probe_at: float = 0.0

    def wait(self, now: float) -> None:
        """Let nobody try for a while, longer each time."""
        self.probe_at = now + PROBE_BACKOFF.pause(self.times)

    def error(self) -> DeliveryHalted:
        """The error for those who sent."""
        return DeliveryHalted(self.message, hint=self.hint)


class CircuitBreaker:
    """A state machine. `now` is seconds of a steady clock, and never decreases. Callers hold one lock around every call."""

    def __init__(
        self, pauses_s: tuple[float, ...] = BACKOFF.steps_s, *, dice: Callable[[], float] = random.random
    ) -> None:
        self.backoff, self.dice = replace(BACKOFF, steps_s=pauses_s), dice
        self.halts: dict[str, Halt] = {}
        self.failures = 0
        self.failed_in_a_row: set[int] = set()  # requests by their number
        self.rounds = 0
        self.resume_at = 0.0
        self.asked_until = 0.0

    @property
    def unavailable(self) -> bool:
        """Whether the API takes nothing from anybody, as far as can be told: not where only one request was asked for, again and again."""
        return self.lasting and len(self.failed_in_a_row) > 1

    @property
    def lasting(self) -> bool:
        """Whether so many failures in a row are no chance, be they of one request or of several."""
        return self.failures >= UNAVAILABLE_AFTER

    def state(self, now: float) -> Circuit:
        """Whether requests may start; halts are apart from this."""
        if now < self.resume_at:
            return "open"
        return "half-open" if self.unavailable else "closed"

    def wait_s(self, now: float, in_flight: int) -> float:
        """Seconds until a request may start, 0 when one may now; infinite while the answer to another decides."""
        state = self.state(now)
        if state == "open":
            return self.resume_at - now
        return math.inf if state == "half-open" and in_flight else 0.0

    def failed(
        self,
        now: float,
        *,
        attempts: int,
        in_flight: int,
        retry_after_s: float = 0.0,
        request: int | None = None,
        others: Others = "unknown",
    ) -> float:
        """Count a request without a usable answer; seconds until the same one should go again.

        `attempts` it has failed before, `in_flight` are others under way. Failures while half-open make the pauses of all longer.
        While others are answered, its own pauses grow no longer than those of an API that is not known to be down: its players wait.
        Where one `request` (by its number) is all that failed, others start at once, whatever its own pauses: it may be that one. So it
        is with however many of which each failed before while `others` were answered.
        """
        if self.unavailable and not in_flight:
            self.rounds += 1
        self.failures += 1
        if others == "unknown":
            self.failed_in_a_row.add(-self.failures if request is None else request)
        tries = max(attempts, self.rounds) if self.lasting else min(attempts, UNAVAILABLE_AFTER - 2)
        dice = self.dice()
        asked = min(retry_after_s, LONGEST_WAIT_S)
        pause = max(self.backoff.pause(tries, dice), asked)
        if asked:
            self.asked_until = max(self.asked_until, now + asked)
        if self.unavailable:
            self.resume_at = max(self.resume_at, now + self.backoff.pause(self.rounds, dice))
        self.resume_at = max(self.resume_at, self.asked_until)
        return pause

    def answered(self) -> None:
        """Close: the API answered somebody. What it asked all to wait for (Retry-After) stands."""
        self.failures = self.rounds = 0
        self.failed_in_a_row.clear()
        self.resume_at = self.asked_until

    def halt(self, now: float, brand: str, message: str, hint: str) -> DeliveryHalted:
        """Remember a refusal of a brand, or of EVERYTHING, and return the error for those who sent."""
        halt = self.halts.setdefault(brand, Halt(message, hint))
        halt.message, halt.hint = message, hint
        halt.wait(now)
        halt.times += 1
        return halt.error()

    def against(self, now: float, brands: Collection[str]) -> DeliveryHalted | None:
        """What stands against sending events of these brands; None lets them through, also to find out."""
        halts = [halt for brand in (EVERYTHING, *brands) if (halt := self.halts.get(brand)) is not None]
        for halt in halts:
            if now < halt.probe_at:
                return halt.error()
        for halt in halts:
            halt.wait(now)  # this one finds out; the others wait for what it brings
        return None

    def unknown(self, now: float, brands: Collection[str]) -> dict[str, str]:
        """Those of the brands of which nothing may be sent now, with the reason; the others may go, also to find out."""
        halted = {brand: self.halts[brand] for brand in brands if brand in self.halts}
        return {brand: halt.message for brand, halt in halted.items() if now < halt.probe_at}

    def probes(self, now: float, brands: Collection[str]) -> None:
        """Events of these brands are sent: for those that are refused this finds out, and others wait for what it brings."""
        for brand in brands:
            if brand in self.halts:
                self.halts[brand].wait(now)

    def accepted(self, brands: Collection[str]) -> None:
        """Forget refusals: the API took events of these brands."""
        for brand in (EVERYTHING, *brands):
            self.halts.pop(brand, None)

    def told(self) -> tuple[tuple[str, str], ...]:
        """Every refusal in words, with what to do about it."""
        return tuple((halt.message, halt.hint) for halt in self.halts.values())
