"""What one token may do where several members use it: a budget that all draw from, a small part at a time."""

from __future__ import annotations

import math
import threading
import time
from typing import TYPE_CHECKING, Protocol

import structlog

from smartico_sync.delivery.rate_limit import GLANCE_S, MINUTE_S, RESERVE, BudgetStatus, RateLimit
from smartico_sync.errors import SyncError

if TYPE_CHECKING:
    from collections.abc import Callable

    from smartico_sync.delivery.protocol import Priority

__all__ = ["Budget", "SharedLimit"]

USED = 0.96  # of the limit: with a bucket of one second, and a part that is used a second after it was drawn, no minute has more
KEPT_S = 1.0  # what is drawn and not used is lost after that: whoever is paused does not send it when it wakes
BUCKET_S = 1.0  # what nobody draws for so long is lost
PART_S = 0.25  # the most that is drawn at once, in seconds of the whole budget: a member that ends wastes no more
PAUSE_S = 0.2  # until it is tried again where less was left than was wanted
TROUBLE_S = 1.0  # likewise where the state could not be asked
WAIT_S = 0.5  # for a worker, unless it is woken: it is as soon as there is something
PAUSED = "the requests of a minute that all members share are kept in the state"

log = structlog.get_logger()


class Budget(Protocol):
    """A bucket that several processes draw from."""

    def draw(self, wanted: int, rate: float, size: float) -> tuple[int, float]:
        """Take up to so many requests, of those that come in at `rate` a second and are kept up to `size`; how many, and what is left.

        Raises SyncError where it cannot be asked: nothing is given then.
        """
        ...

    def close(self) -> None:
        """Let go of it; a `draw` that waits ends."""
        ...


def steady_s() -> float:
    """Seconds of a clock that nobody sets and that goes on while the machine sleeps."""
    return time.clock_gettime(time.CLOCK_BOOTTIME)


class SharedLimit(RateLimit):
    """As RateLimit, over all members: in no 60 seconds do more requests start than `per_minute`, and where there are enough, 95 % do.

    A thread of its own draws. `wake` is called, without any lock, when there is something new to take; `lock` is what callers of
    the others hold. `slots` are shared evenly, see `share`.
    """

    def __init__(
        self,
        per_minute: int,
        slots: int,
        budget: Budget,
        lock: threading.RLock,
        wake: Callable[[], None],
        clock: Callable[[], float] = steady_s,
    ) -> None:
        super().__init__(per_minute, slots, clock)
        self.per_second = per_minute * USED / MINUTE_S
        self.bucket = max(1.0, self.per_second * BUCKET_S)
        self.most = max(1, int(self.per_second * PART_S))
        self.all_slots = slots
        self.budget, self.lock, self.wake = budget, lock, wake
        self.part, self.part_until, self.wanted = 0, -math.inf, 1
        self.left = 0.0
        self.drawn = self.lost = 0
        self.waited_s, self.waits_since = 0.0, 0.0
        self.problem = ""
        self.asked, self.ending = threading.Event(), threading.Event()
        self.thread = threading.Thread(target=self.work, name="budget", daemon=True)
        self.thread.start()

    def share(self, members: int) -> None:
        """So many use the slots: each has its part of them, and one at least."""
        self.slots = max(1, self.all_slots // max(1, members))

    def enter(self, priority: Priority) -> float:
        """Take a slot and a request and return 0, or how many seconds until it is worth asking again."""
        now = self.clock()
        if not self.free(priority, now):
            return GLANCE_S
        if priority == "backfill" and self.left < self.bucket * RESERVE and self.part <= 1:
            self.asked.set()
            return WAIT_S
        if now >= self.part_until:
            self.lost += self.part
            self.part, self.wanted = 0, 1
        if not self.part:
            if not self.waits_since:  # used up in time: whoever sends much draws more at once
                self.waits_since = now
                self.wanted = min(self.most, self.wanted * 2) if now < self.part_until else 1
            self.asked.set()
            return WAIT_S
        self.part -= 1
        self.start(now)
        return 0.0

    def work(self) -> None:
        """Draw whenever there is nothing left to take."""
        while not self.ending.is_set():
            self.asked.wait()
            self.asked.clear()
            if self.ending.is_set():
                return
            asked_at, wanted = self.clock(), self.wanted
            try:
                given, left = self.budget.draw(wanted, self.per_second, self.bucket)
            except SyncError as error:
                self.trouble(error)
                continue
            with self.lock:
                self.take(given, left, asked_at)
            if given:
                self.wake()
            if given < wanted:
                self.ending.wait(PAUSE_S)
                if not given:
                    self.asked.set()

    def take(self, given: int, left: float, asked_at: float) -> None:
        """So much was drawn."""
        self.problem, self.left = "", left
        if not given:
            return
        if self.part and self.clock() >= self.part_until:
            self.lost += self.part
            self.part = 0
        self.part += given
        self.drawn += given
        self.part_until = asked_at + KEPT_S
        if self.waits_since:
            self.waited_s += self.clock() - self.waits_since
            self.waits_since = 0.0

    def trouble(self, error: SyncError) -> None:
        """Nothing could be drawn: nothing is sent, and it is tried again."""
        if not self.problem and not self.ending.is_set():
            log.warning("budget.waits", reason=f"{PAUSED}: {error.message}", hint=error.hint)
        self.problem = error.message
        self.ending.wait(TROUBLE_S)
        self.asked.set()

    def budget_status(self) -> BudgetStatus:
        """How it stands."""
        return BudgetStatus(self.drawn, self.lost, round(self.waited_s, 3), self.problem)

    def close(self) -> None:
        """End the thread; idempotent."""
        self.ending.set()
        self.asked.set()
        self.budget.close()
        if self.thread is not threading.current_thread():
            self.thread.join(TROUBLE_S)
