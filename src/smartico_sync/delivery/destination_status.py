"""What an operator wants to know of one destination."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

from msgspec import Struct, field

if TYPE_CHECKING:
    from collections.abc import Mapping

    from smartico_sync.delivery.circuit_breaker import Circuit
    from smartico_sync.delivery.rate_limit import BudgetStatus
    from smartico_sync.delivery.request_log import SentRequest

__all__ = ["DestinationStatus", "HaltedBrand"]


class HaltedBrand(Struct, frozen=True):
    """A brand whose events are refused, empty for all of them; `next_try_ms`: from when on the next one may find out whether that is over."""

    brand: str
    message: str
    next_try_ms: int


class DestinationStatus(Struct, frozen=True):
    """One destination as it stands. Moments are epoch ms. `events` and `requests` count by what became of them.

    `halts`: what is refused, and `warnings`: what should be mended soon, each with a hint. `hint`: what to do while it backs off; empty
    where waiting is all. `circuit`: whether requests may start; `next_try_ms`: when one that failed goes again, 0 when none has to.
    `durations` counts requests by how long the answer took (`request_log.BUCKETS_S`, one more for the rest), which was `seconds` in all.
    `recent`: the last requests of each view, the newest first. `clock_ahead_ms`: the clock of the API's last answer
    minus ours, None where it told none. `budget`: how it stands with the requests that members of a cluster share, None where they do not.
    """

    name: str
    state: Literal["idle", "delivering", "backing_off", "halted"]
    last_error: str
    last_success_ms: int | None
    in_flight: int
    queued_events: int
    requests_last_minute: int
    batch_events: int
    halts: tuple[tuple[str, str], ...] = ()
    events: Mapping[str, int] = field(default_factory=dict)
    requests: Mapping[str, int] = field(default_factory=dict)
    sent_bytes: int = 0
    seconds: float = 0.0
    hint: str = ""
    warnings: tuple[tuple[str, str], ...] = ()
    circuit: Circuit = "closed"
    next_try_ms: int = 0
    halted: tuple[HaltedBrand, ...] = ()
    durations: tuple[int, ...] = ()
    recent: Mapping[str, tuple[SentRequest, ...]] = field(default_factory=dict)
    clock_ahead_ms: int | None = None
    budget: BudgetStatus | None = None
