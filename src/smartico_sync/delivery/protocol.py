"""What the tracker asks of delivery."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal, Protocol

if TYPE_CHECKING:
    from concurrent.futures import Future

    from smartico_sync.core.events import Events

__all__ = ["Delivery", "Lane", "Receipt", "Refusal"]

Lane = Literal[
    "live",
    "backfill",  # what is old gives way to what is new
]


@dataclass(frozen=True, slots=True)
class Refusal:
    """An event the API will never take. `row` is its `@row`; `reason` holds no value of the row."""

    row: int
    eid: str
    code: int
    reason: str


@dataclass(frozen=True, slots=True)
class Receipt:
    """Every event of one send has a verdict: `delivered + duplicates + len(refused) == events sent`."""

    delivered: int
    duplicates: int
    refused: tuple[Refusal, ...]
    requests: int
    sent_bytes: int


class Delivery(Protocol):
    """Sends events; thread-safe."""

    def send(self, view: str, events: Events, *, lane: Lane = "live") -> Future[Receipt]:
        """Encode and queue the events; returns at once unless too much is queued already (then it waits: back-pressure).

        The future resolves when each event has its final verdict, however long the API is away. One player's events are
        sent in the order of `send` calls and of rows, over all views, never two requests at once. It fails with
        DeliveryHalted while the API refuses us, or does not know a brand among the events (the caller sends the same page
        again later, same eids), and with DeliveryStopped after `close`.
        """

    def close(self, timeout_ms: int) -> None:
        """Take nothing new, give requests under way the time to finish, fail what is left with DeliveryStopped."""
