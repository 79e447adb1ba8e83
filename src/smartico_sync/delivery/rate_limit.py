"""What one token may do: so many requests at once, so many a minute, shared by all views and brands that use it."""

from __future__ import annotations

import math
import time
from collections import deque
from typing import TYPE_CHECKING

from msgspec import Struct

if TYPE_CHECKING:
    from collections.abc import Callable

    from smartico_sync.delivery.protocol import Priority

__all__ = ["BudgetStatus", "RateLimit"]

MINUTE_S = 60.0
HEADROOM = 0.98  # the API's minute and ours do not begin together
BURST = 10  # a tenth of a minute's requests may go at once; a bucket that held a whole minute's would leave the rest waiting
RESERVE = 0.2  # of the bucket and of the slots, which a backfill leaves to what is live
CALM = 0.25  # of the requests of a minute: below it more of them may be made of the same events
GLANCE_S = 0.05  # how soon a free slot is noticed


class BudgetStatus(Struct, frozen=True):
    """What this member drew so far, of which `lost` was not used in time; `waited_s`: how long requests that were ready waited for it."""

    drawn: int
    lost: int
    waited_s: float
    problem: str = ""


class RateLimit:
    """A token bucket and a number of slots. Callers hold one lock around every call.

    In no 60 seconds do more requests start than `per_minute`: the bucket's size and what flows into it in a minute are
    together no more than that. It begins empty, so that this holds over restarts too: at 6,000 a minute the first request waits
    for 11 ms.
    """

    def __init__(self, per_minute: int, slots: int, clock: Callable[[], float] = time.monotonic) -> None:
        most = max(1.0, per_minute * HEADROOM)
        self.size = max(1.0, most / BURST)
        self.rate = max(most - self.size, most / 2) / MINUTE_S if most > 1 else 1 / MINUTE_S
        self.per_minute, self.slots = per_minute, slots
        self.clock = clock
        self.level = 0.0
        self.filled_at = clock()
        self.halved_until = -math.inf
        self.busy = 0
        self.starts: deque[float] = deque()

    def halve_for(self, seconds: float) -> None:
        """Use half the slots for so long: whoever used them before may not have given them back."""
        self.halved_until = self.clock() + seconds

    def enter(self, priority: Priority) -> float:
        """Take a slot and a request and return 0, or how many seconds until it is worth asking again."""
        now = self.clock()
        self.level = min(self.size, self.level + (now - self.filled_at) * self.rate)
        self.filled_at = now
        if not self.free(priority, now):
            return GLANCE_S
        wanted = 1 + self.size * (RESERVE if priority == "backfill" else 0.0)
        if self.level < min(wanted, self.size):
            return (wanted - self.level) / self.rate
        self.level -= 1
        self.start(now)
        return 0.0

    def free(self, priority: Priority, now: float) -> bool:
        """Whether there is a slot for a request."""
        slots = self.slots if now >= self.halved_until else self.slots // 2
        return self.busy < max(1, int(slots * (1 - (RESERVE if priority == "backfill" else 0.0))))

    def start(self, now: float) -> None:
        """A request begins."""
        self.busy += 1
        self.starts.append(now)

    def leave(self) -> None:
        """Give the slot back."""
        self.busy -= 1

    def share(self, members: int) -> None:
        """So many use the token: nothing to do where it is one."""

    def budget_status(self) -> BudgetStatus | None:
        """How it stands with requests that several members share; None where they do not."""
        return None

    def close(self) -> None:
        """Let go of what it works with."""

    @property
    def calm(self) -> bool:
        """Whether the limit is far away."""
        return self.used() < self.per_minute * CALM

    def used(self) -> int:
        """Requests of the last minute."""
        now = self.clock()
        while self.starts and now - self.starts[0] >= MINUTE_S:
            self.starts.popleft()
        return len(self.starts)
