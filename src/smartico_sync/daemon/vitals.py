"""What is known of every view at this moment: published by trackers, read by page, metrics and health."""

from __future__ import annotations

import threading
from collections import deque
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["Board", "State", "Vitals"]

State = Literal["starting", "live", "behind", "degraded", "halted", "regressed"]
TREND = 60  # points of the sparkline


@dataclass(frozen=True, slots=True)
class Vitals:
    """One view at one moment.

    Times are epoch ms. `head` is the cursor of the last delivered row in order; at and below `watermark`
    nothing can still appear. `lag_ms`: how long ago the last poll that found nothing newer was, 0 when level.
    """

    name: str
    kind: str
    source: str
    cursor: str
    every_ms: int
    state: State = "starting"
    late_commit: str = ""
    head: str = ""
    watermark: str = ""
    lag_ms: int = 0
    last_poll_ms: int = 0
    last_success_ms: int = 0
    counts: Mapping[str, int] = field(default_factory=dict)
    per_second: float = 0.0
    error: str = ""
    hint: str = ""
    error_ms: int = 0
    warnings: tuple[str, ...] = ()


class Board:
    """The newest vitals of every view, in the order of the configuration. Thread-safe."""

    def __init__(self) -> None:
        self.lock = threading.Lock()
        self.known: dict[str, Vitals] = {}
        self.trends: dict[str, deque[float]] = {}

    def publish(self, vitals: Vitals) -> None:
        """Replace what is known of a view."""
        with self.lock:
            self.known[vitals.name] = vitals
            self.trends.setdefault(vitals.name, deque(maxlen=TREND)).append(vitals.per_second)

    def views(self) -> tuple[Vitals, ...]:
        """Every view."""
        with self.lock:
            return tuple(self.known.values())

    def trend(self, name: str) -> tuple[float, ...]:
        """The last rates of a view, events a second."""
        with self.lock:
            return tuple(self.trends.get(name, ()))
