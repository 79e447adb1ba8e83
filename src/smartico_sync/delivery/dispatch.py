"""Which request may start, and when: by players, by the limits of the API, by the circuit breaker."""

from __future__ import annotations

import math
import threading
import time
from typing import TYPE_CHECKING, Literal

from smartico_sync.delivery.backlog import Backlog
from smartico_sync.delivery.batch_size import BatchSize
from smartico_sync.delivery.circuit_breaker import CircuitBreaker
from smartico_sync.delivery.slow_players import SlowPlayers

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from smartico_sync.delivery.pending_receipt import PendingReceipt
    from smartico_sync.delivery.rate_limit import RateLimit
    from smartico_sync.delivery.request import Request
    from smartico_sync.errors import DeliveryError

__all__ = ["GLANCE_S", "Dispatch"]

GLANCE_S = 1.0  # how long a worker waits at most for what nobody tells it of
STUBBORN = 4  # failures in a row of one request, where no other tells whether the API answers
PIECES = 8  # of a request that failed alone: three tries find the one player of a full request whom the API fails with


class Dispatch:
    """The requests of one destination until they start, and those that are under way.

    `lock` is shared by all that share a rate limit. `add`, `take`, `leave` and `end` take it, whoever calls anything else holds it.
    """

    def __init__(
        self, lock: threading.RLock, rate_limit: RateLimit, batch_events: int, pauses_s: tuple[float, ...]
    ) -> None:
        self.lock, self.rate_limit = lock, rate_limit
        self.changed = threading.Condition(lock)
        self.batch_size = BatchSize(batch_events)
        self.backlog = Backlog()
        self.slow = SlowPlayers()
        self.breaker = CircuitBreaker(pauses_s)
        self.under_way: dict[Request, float] = {}  # and when each began
        self.answered_at = 0.0
        self.watched_until = math.inf
        self.closing = False
        self.holding: Callable[[], bool] = lambda: True

    @property
    def in_flight(self) -> int:
        """How many requests are under way."""
        return len(self.under_way)

    @property
    def failing(self) -> bool:
        """Whether all that is under way has failed, and the API has answered nobody since."""
        if self.breaker.unavailable or not self.breaker.failures:
            return self.breaker.unavailable
        if self.in_flight or self.backlog.player_order.startable:
            return False
        postponed = [request for _, _, request in self.backlog.player_order.postponed]
        return not postponed or any(request.failed_at >= self.answered_at for request in postponed)

    def busy(self, view: str) -> bool:
        """Whether more of a view would only wait, see Delivery."""
        if self.breaker.unavailable or self.backlog.player_order.offers(view):
            return True
        self.look_for_stuck(time.monotonic())
        return any(request.pace == "usual" and request.pending.view == view for request in self.under_way)

    def add(self, requests: Sequence[Request], pending: PendingReceipt, stopped: DeliveryError) -> None:
        """Queue the requests of a send, unless something stands against all of them; `stopped` does when closing."""
        with self.lock:
            error = stopped if self.closing else self.breaker.against(time.monotonic(), ())
            if error is not None:
                pending.fail(error)
                return
            self.look_for_stuck(time.monotonic())
            self.backlog.add(requests, pending)
            self.changed.notify(len(requests))

    def take(self) -> Request | None:
        """Wait for a request that may start now, and give it a slot; None when closing."""
        order = self.backlog.player_order
        with self.lock:
            while not self.closing:
                now = time.monotonic()
                wait = self.breaker.wait_s(now, self.in_flight)
                if wait:
                    self.changed.wait(GLANCE_S if wait == math.inf else wait)
                    continue
                order.release(now)
                self.look_for_stuck(now)
                request = order.take()
                if request is None:
                    self.watch(now)
                    continue
                if request.pending.over:
                    self.backlog.drop(request)
                    continue
                self.backlog.hold_back(request, self.unknown_now(now, request))
                if request.over:
                    continue
                wait = self.rate_limit.enter(request.pending.priority) if self.holding() else GLANCE_S
                if wait:
                    order.again(request)
                    self.changed.wait(min(wait, GLANCE_S))
                    continue
                request.others = (
                    "answered" if request.trip == "again" and self.answered_at > request.sent_at else "unknown"
                )
                self.in_parts(request)
                request.pace, request.sent_at = "usual", now
                self.under_way[request] = now
                if self.breaker.halts:
                    self.breaker.probes(now, request.brands)
                if self.due() < self.watched_until:
                    self.changed.notify()  # somebody must look when one that waits may start, or this one has taken long
                return request
        return None

    def in_parts(self, request: Request) -> None:
        """Divide a request, if that may help. Where the API answers nobody, the events of one player find out whether it is back.

        Whole requests could not, where each holds some player whom the API fails with.
        """
        if self.breaker.unavailable:
            self.backlog.player_order.single_out(request)
            return
        if not request.attempts:
            return
        # Also while this one was under way: it is the odd one. Not where many fail: the parts would fail as often, and be divided again.
        odd = request.others == "answered"
        stubborn = request.attempts >= STUBBORN and (odd or not request.silences)
        if not (odd and self.slow.failures_are_rare) and not stubborn:
            return
        if request.silences:
            self.batch_size.divided(request.frame.height)
        self.changed.notify(self.backlog.player_order.scatter(request, PIECES))

    def watch(self, now: float) -> None:
        """Wait for a change; one worker also until something has to be done."""
        due = self.due()
        if due >= self.watched_until:
            self.changed.wait()
            return
        self.watched_until = due
        self.changed.wait(max(0.0, due - now))
        if self.watched_until == due:
            self.watched_until = math.inf

    def due(self) -> float:
        """When the next postponed request may start, or one that others wait for has taken long; infinite when neither will be.

        Where nobody waits for it, whoever asks or sends next looks for himself: no thread is woken for each request.
        """
        limit, release = self.slow.limit_s, self.backlog.player_order.next_release
        began = [at + limit for request, at in self.under_way.items() if request.pace == "usual" and request.followers]
        return min([math.inf if release is None else release, *began])

    def look_for_stuck(self, now: float) -> None:
        """Nobody waits for a request that takes long who need not."""
        limit = self.slow.limit_s
        for request, began in self.under_way.items():
            if request.pace == "usual" and now - began >= limit:
                self.stuck(request)

    def failed(self, request: Request) -> None:
        """As `stuck`, of a request that failed; its players are suspected only where that is rare."""
        if self.slow.failures_are_rare:
            self.slow.suspect(request.players)
        self.backlog.player_order.stuck(request)

    def stuck(self, request: Request) -> None:
        """Let others go before this request's players, now and in what is sent next."""
        self.slow.suspect(request.players)
        self.backlog.player_order.stuck(request)

    def unknown_now(self, now: float, request: Request) -> dict[str, str]:
        """Brands of the request that the API does not know, as far as it was asked."""
        return self.breaker.unknown(now, request.brands) if self.breaker.halts else {}

    def leave(self, request: Request) -> None:
        """Give the slot of a request back."""
        with self.lock:
            self.under_way.pop(request, None)
            self.rate_limit.leave()

    def wake(self, whom: Literal["all", "those who may start"] = "those who may start") -> None:
        """Have others look: all of them, or as many as there are requests that may start, for who calls looks for himself."""
        if whom == "all":
            self.changed.notify_all()
        else:
            self.changed.notify(max(0, self.backlog.player_order.startable - 1))

    def end(self, stopped: DeliveryError) -> None:
        """Let no further request start."""
        with self.lock:
            self.closing = True
            if not self.in_flight:
                self.backlog.clear(stopped)
            self.changed.notify_all()
