"""What a view's loop asks of delivery."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal, Protocol

if TYPE_CHECKING:
    from concurrent.futures import Future

    from smartico_sync.core.events import Events
    from smartico_sync.core.records import Holds, Receipt
    from smartico_sync.errors import DeliveryError

__all__ = ["Delivery", "Priority", "Requests"]

Priority = Literal[
    "live",
    "backfill",  # what is old gives way to what is new
]

Requests = Literal[
    "spread",  # over several, so that one that has to wait holds up a part of the players only
    "full",  # over as few as the limits allow, but over two, while a backlog lasts
]


class Delivery(Protocol):
    """Sends events; thread-safe."""

    def send(
        self,
        view: str,
        events: Events,
        *,
        priority: Priority = "live",
        holds: Holds | None = None,
        requests: Requests = "spread",
    ) -> Future[Receipt]:
        """Encode and queue the events; returns at once unless too much is queued already (then it waits: back-pressure).

        The future resolves when each event has its final verdict, however long the API is unavailable. One player's events are
        sent in the order of `send` calls and of rows, over all views, never two requests at once. It fails with
        DeliveryHalted while token, URL or proxy are wrong (the caller sends the same page again later, same eids), and with
        DeliveryStopped after `close`. A future that is cancelled is withdrawn: what has not left yet is not sent; what has may still
        be accepted, and its players wait for it.

        Events of a brand that the API does not know are refused (UNKNOWN_BRAND), also without being sent, but for one request now and
        then that finds out. With `holds` nothing overtakes what has to wait: players whose event is refused because they or their
        brand are unknown are added to its `own`, and what is not sent yet of held players is refused with WAITS_BEHIND.
        """

    def problem(self) -> DeliveryError | None:
        """What keeps events from being delivered now, for those who cannot wait; None when nothing does."""

    def busy(self, view: str) -> bool:
        """Whether more of a view would only wait: something of it may start or is on its way as usual, or nobody is let in.

        Not busy with requests that take long, or wait for their next try: those hold up their own players.
        """

    def close(self, timeout_ms: int) -> None:
        """Take nothing new, give requests under way the time to finish, fail what is left with DeliveryStopped."""
