"""What an operator wants to know of one destination."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["DestinationStatus"]


@dataclass(frozen=True, slots=True)
class DestinationStatus:
    """One destination as it stands. `events` and `requests` count by what became of them.

    `halts`: what is refused, and `warnings`: what should be mended soon, each with a hint. `hint`: what to do while it backs off; empty
    where waiting is all. `clock_ahead_ms`: the clock of the API's last answer minus ours, None where it told none.
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
    clock_ahead_ms: int | None = None
