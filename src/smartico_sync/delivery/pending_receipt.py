"""One send of the tracker: several requests, one receipt."""

from __future__ import annotations

from collections import Counter
from concurrent.futures import Future, InvalidStateError
from contextlib import suppress
from itertools import count
from typing import TYPE_CHECKING

from smartico_sync.core.records import Receipt, Refusal
from smartico_sync.core.tracing import UNDER_WAY

if TYPE_CHECKING:
    from collections.abc import Sequence

    from smartico_sync.core.events import Events
    from smartico_sync.core.records import Holds
    from smartico_sync.delivery.protocol import Priority, Requests
    from smartico_sync.errors import DeliveryError

__all__ = ["NUMBERS", "PendingReceipt"]


NUMBERS = count(1)  # of sends and of requests of this process, for the log


class PendingReceipt:
    """Counts verdicts until every event has one. The destination holds its lock around every call. `number`: of the send, for the log."""

    def __init__(
        self,
        view: str,
        priority: Priority,
        events: Events,
        holds: Holds | None = None,
        requests: Requests = "spread",
    ) -> None:
        self.view, self.number = view, next(NUMBERS)
        self.span = UNDER_WAY.get()
        self.priority: Priority = priority
        self.holds = holds
        self.requests_are: Requests = requests
        self.future: Future[Receipt] = Future()
        self.open = len(events)
        self.delivered = 0
        self.duplicates = 0
        self.refused: list[Refusal] = []
        self.known_before: list[int] = []
        self.optional = events.optional
        self.left_out: Counter[str] = Counter()
        self.requests = 0
        self.sent_bytes = 0
        self.close_if_done()

    @property
    def over(self) -> bool:
        """Whether the future is resolved already."""
        return self.future.done()

    def judged(self, delivered: int, duplicates: int, refused: list[Refusal], known_before: Sequence[int] = ()) -> None:
        """Some events have their verdict; of the duplicates the rows that were sent for the first time."""
        self.delivered += delivered
        self.known_before += known_before
        self.duplicates += duplicates
        self.refused += refused
        self.open -= delivered + duplicates + len(refused)
        self.close_if_done()

    def close_if_done(self) -> None:
        """Resolve the future when nothing is open."""
        if self.open == 0:
            receipt = Receipt(
                self.delivered,
                self.duplicates,
                tuple(self.refused),
                self.requests,
                self.sent_bytes,
                tuple(self.known_before),
                dict(self.left_out),
            )
            with suppress(InvalidStateError):
                self.future.set_result(receipt)

    def fail(self, error: DeliveryError) -> None:
        """Give up; nothing of this send is to be committed."""
        with suppress(InvalidStateError):
            self.future.set_exception(error)
