"""The last requests of each view, and how long answers took: what an operator asks when something is slow or refused."""

from __future__ import annotations

from bisect import bisect_left
from collections import deque
from typing import TYPE_CHECKING

from msgspec import Struct

if TYPE_CHECKING:
    from smartico_sync.core.verdicts import Decision
    from smartico_sync.delivery.client import Answer
    from smartico_sync.delivery.protocol import Priority
    from smartico_sync.delivery.request import Request

__all__ = ["BUCKETS_S", "RequestLog", "SentRequest"]

KEPT = 12  # requests a view: what fits on a screen, and shows whether one failure is the rule
# From an API next door to one that is at its timeout; the usual bounds of Prometheus above 25 ms.
BUCKETS_S = (0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0)


class SentRequest(Struct, frozen=True):
    """One request: when it was answered (epoch ms), how large it was, and how it ended. Nothing of what it held.

    `status`: the HTTP status, 0 where there was no answer; `decision`: what was made of it.
    """

    at_ms: int
    priority: Priority
    events: int
    size: int
    status: int
    decision: Decision
    seconds: float


class RequestLog:
    """Remembers requests. Not thread-safe: the destination holds its lock around every call."""

    def __init__(self) -> None:
        self.counts = [0] * (len(BUCKETS_S) + 1)
        self._recent: dict[str, deque[SentRequest]] = {}

    def count(self, answer: Answer) -> None:
        """An answer took so long, or there was none."""
        self.counts[bisect_left(BUCKETS_S, answer.seconds)] += 1

    def note(self, request: Request, answer: Answer, decision: Decision, at_ms: int) -> None:
        """What a request held of one view, which was answered, or there was no answer."""
        batch, pending = request.batch, request.pending
        self._recent.setdefault(pending.view, deque(maxlen=KEPT)).appendleft(
            SentRequest(
                at_ms,
                pending.priority,
                len(batch.events),
                len(batch.body),
                answer.status,
                decision,
                round(answer.seconds, 4),
            )
        )

    def recent(self) -> dict[str, tuple[SentRequest, ...]]:
        """The last requests by view, the newest first."""
        return {view: tuple(requests) for view, requests in self._recent.items()}
