"""What the API refuses as a whole: us, or one brand. Now and then something is let through, to notice when it is mended."""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import TYPE_CHECKING

from smartico_sync.core.backoff import Backoff
from smartico_sync.errors import DeliveryHalted

if TYPE_CHECKING:
    from collections.abc import Iterable

__all__ = ["EVERYTHING", "CircuitBreaker"]

EVERYTHING = ""  # the brand that stands for all
PROBE_BACKOFF = Backoff((5.0, 10.0, 20.0, 40.0, 60.0))  # a person mends it in minutes, and should not wait long then


@dataclass(slots=True)
class Halt:
    """One refusal."""

    reason: str
    times: int = 0
    probe_at: float = 0.0

    def again(self, reason: str) -> None:
        """It was refused once more."""
        self.reason = reason
        self.probe_at = time.monotonic() + PROBE_BACKOFF.pause(self.times)
        self.times += 1


class CircuitBreaker:
    """Refusals by brand. Callers hold one lock around every call."""

    def __init__(self) -> None:
        self.known: dict[str, Halt] = {}

    def __bool__(self) -> bool:
        return bool(self.known)

    def refused(self, brand: str, reason: str) -> DeliveryHalted:
        """Remember a refusal, and return the error for those who sent."""
        self.known.setdefault(brand, Halt(reason)).again(reason)
        return self.error(brand)

    def error(self, brand: str) -> DeliveryHalted:
        """The error while a brand (or everything) is refused."""
        reason = self.known[brand].reason
        if brand == EVERYTHING:
            return DeliveryHalted(
                f"the ingest API rejected the token: {reason}", hint="mend token or URL in views.yaml, then: sync check"
            )
        return DeliveryHalted(
            f"the ingest API does not know the brand {brand}: {reason}",
            hint=f"register {brand} with Smartico, or give it an alias under smartico.brands in views.yaml",
        )

    def against(self, brands: Iterable[str]) -> DeliveryHalted | None:
        """What stands against sending events of these brands now; None lets them through, also as a try."""
        now = time.monotonic()
        for brand in (EVERYTHING, *brands):
            halt = self.known.get(brand)
            if halt is None:
                continue
            if now < halt.probe_at:
                return self.error(brand)
            # This one finds out; the others wait for what it brings.
            halt.probe_at = now + PROBE_BACKOFF.pause(halt.times)
        return None

    def taken(self, brands: Iterable[str]) -> None:
        """The API took events of these brands."""
        for brand in (EVERYTHING, *brands):
            self.known.pop(brand, None)

    def told(self) -> tuple[tuple[str, str], ...]:
        """Every refusal in words, with what to do about it."""
        return tuple((error.message, error.hint) for error in map(self.error, self.known))
