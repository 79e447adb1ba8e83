"""What is known of every view at this moment: published by trackers, read by page, metrics and health."""

from __future__ import annotations

import threading
from collections import deque
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["BackfillStatus", "LateStatus", "State", "StatusBoard", "ViewStatus"]

State = Literal["starting", "live", "behind", "degraded", "halted", "regressed"]
TREND = 60  # points of the sparkline


@dataclass(frozen=True, slots=True)
class LateStatus:
    """What a view's late-commit mechanism sees.

    `late_rows` were found below the head, so many since the first start for lookback and gaps, since this start for
    the fence. `pinned_ms`: how long a writer has been keeping the watermark. `missing_ids` are waited for, `given_up_ids`
    never came. `counts` of lateness by bucket (`core.lookback.BUCKETS_MS`, one more for the rest), their sum `total_ms` and
    `most_ms` are measured for lookback; `advice_ms` is the lookback they ask for. `window_keys` are kept in memory,
    `rescanned_keys` were read again since this start.
    """

    late_rows: int = 0
    pinned_ms: int = 0
    missing_ids: int = 0
    given_up_ids: int = 0
    counts: tuple[int, ...] = ()
    total_ms: int = 0
    most_ms: int = 0
    advice_ms: int | None = None
    window_keys: int = 0
    rescanned_keys: int = 0


@dataclass(frozen=True, slots=True)
class BackfillStatus:
    """History on its way: `done` of `total` rows (0: not counted), at most `rate` a second; `reason`: what it waits for."""

    done: int
    total: int
    rate: int
    reason: str = ""

    @property
    def left_s(self) -> int | None:
        """Seconds until it is done, if nothing slows it down; None when nobody counted the rows."""
        return max(0, self.total - self.done) // self.rate if self.total else None


@dataclass(frozen=True, slots=True)
class ViewStatus:
    """One view at one moment.

    Times are epoch ms. `max_age_ms`: a lag beyond it is an alert. `head` is the cursor of the last delivered row in order; at and below `watermark`
    nothing can still appear. `lag_ms`: how long ago the last poll that found nothing newer was, 0 when level.
    `null_cursors` rows have no place in the order; `ahead` rows dated ahead of the clock were sent before their time;
    `mutated` delivered rows were found changed; `largest_tie` rows shared one cursor value; `skew_ms`: the source's clock
    minus ours, on a replica its lag included. `invalid` values broke a rule since this start, by property; `parked` and `dead` are waiting and given up now, by reason code.
    `missing` rows the source had and the ledger had not at the last comparison, `compared_ms`.
    """

    name: str
    kind: str
    source: str
    cursor: str
    every_ms: int
    max_age_ms: int | None = None
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
    late: LateStatus = field(default_factory=LateStatus)
    null_cursors: int = 0
    ahead: int = 0
    mutated: int = 0
    largest_tie: int = 0
    skew_ms: int = 0
    parked: Mapping[int, int] = field(default_factory=dict)
    dead: Mapping[int, int] = field(default_factory=dict)
    invalid: Mapping[str, int] = field(default_factory=dict)
    missing: int = 0
    compared_ms: int = 0
    backfill: BackfillStatus | None = None


class StatusBoard:
    """The newest status of every view, in the order of the configuration. Thread-safe."""

    def __init__(self) -> None:
        self.lock = threading.Lock()
        self.known: dict[str, ViewStatus] = {}
        self.trends: dict[str, deque[float]] = {}

    def publish(self, status: ViewStatus) -> None:
        """Replace what is known of a view."""
        with self.lock:
            self.known[status.name] = status
            self.trends.setdefault(status.name, deque(maxlen=TREND)).append(status.per_second)

    def views(self) -> tuple[ViewStatus, ...]:
        """Every view."""
        with self.lock:
            return tuple(self.known.values())

    def trend(self, name: str) -> tuple[float, ...]:
        """The last rates of a view, events a second."""
        with self.lock:
            return tuple(self.trends.get(name, ()))
