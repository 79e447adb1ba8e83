"""Which request may start, and when: by players, by the limits of the API, by the circuit breaker."""

from __future__ import annotations

import math
import threading
import time
from typing import TYPE_CHECKING, Literal

from smartico_sync.core.batches import WORTH
from smartico_sync.delivery.backlog import Backlog
from smartico_sync.delivery.batch_size import BatchSize
from smartico_sync.delivery.circuit_breaker import CircuitBreaker
from smartico_sync.delivery.flight import Company
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
LASTING_S = 2.0  # of a request that failed, or has no answer: from then on nobody waits for it who need not, however few events that are
PIECES = 8  # of a request that failed alone: three tries find the one player of a full request whom the API fails with


class Dispatch:
    """The requests of one destination until they start, and those that are under way.

    `lock` is shared by all that share a rate limit. `add`, `take`, `leave` and `end` take it, whoever calls anything else holds it.
    """

    def __init__(
        self,
        lock: threading.RLock,
        rate_limit: RateLimit,
        batch_events: int,
        batch_bytes: int,
        pauses_s: tuple[float, ...],
    ) -> None:
        self.lock, self.rate_limit = lock, rate_limit
        self.changed = threading.Condition(lock)
        self.batch_size, self.batch_bytes = BatchSize(batch_events), batch_bytes
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
        usual = [request for request in self.under_way if request.pace == "usual"]
        return any(each.pending.view == view for request in usual for each in request.flight)

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
                order.going(request)
                self.in_company(now, request)
                self.under_way[request] = now
                for each in request.flight:
                    each.sent_at = now
                    if self.breaker.halts:
                        self.breaker.probes(now, each.brands)
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
        if not request.attempts or request.company:
            return
        # Also while this one was under way: it is the odd one. Not where many fail: the parts would fail as often, and be divided again.
        odd = request.others == "answered"
        stubborn = request.attempts >= STUBBORN and (odd or not request.silences)
        if not (odd and self.slow.failures_are_rare) and not stubborn:
            return
        if request.silences:
            self.batch_size.divided(request.frame.height)
        self.changed.notify(self.backlog.player_order.scatter(request, PIECES))

    def in_company(self, now: float, request: Request) -> None:
        """Have others go with a request: what waits for it alone and, while they are few events, other parts that might start beside it.

        A chain of small ones would take as long as it has members, and what was divided more requests than the API takes. Where
        requests are scarce it need be no part.
        """
        if self.breaker.unavailable:
            return
        company = Company(request, self.batch_size.events, self.batch_bytes)
        while True:
            for each in company.behind():
                self.backlog.hold_back(each, self.unknown_now(now, each))
                if not each.over:
                    company.add(each)
            other = self.beside(now, company) if company.events < WORTH else None
            if other is None:
                return
            company.add(other)

    def beside(self, now: float, company: Company) -> Request | None:
        """Another request that might start now; none that is suspected, has failed, or waits for others of its kind."""
        apart = self.rate_limit.calm
        if (apart and company.request.extent == "whole") or self.slow.suspects(company.request.players):
            return None
        other = self.backlog.player_order.take()
        if other is None:
            return None
        if (
            other.attempts
            or (apart and other.extent == "whole")
            or self.slow.suspects(other.players)
            or not company.welcomes(other)
        ):
            self.backlog.player_order.again(other)
            return None
        self.backlog.hold_back(other, self.unknown_now(now, other))
        return None if other.over else other

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
        release, limit = self.backlog.player_order.next_release, self.slow.limit_s
        late = [
            began + (limit if request.pace == "usual" else max(limit, LASTING_S))
            for request, began in self.under_way.items()
            if request.pace != "stuck" and request.followers
        ]
        return min([math.inf if release is None else release, *late])

    def look_for_stuck(self, now: float) -> None:
        """Nobody waits for a request that takes long who need not."""
        limit = self.slow.limit_s
        for request, began in self.under_way.items():
            if request.pace == "usual" and now - began >= limit:
                for each in request.flight:
                    self.slow.suspect(each.players)
                self.let_others_go(request, now - began)
            elif request.pace == "pausing" and now - began >= max(limit, LASTING_S):
                self.let_others_go(request, now - began)

    def failed(self, now: float, request: Request) -> None:
        """As one that takes long, of a request that failed; its players are suspected only where that is rare."""
        if self.slow.failures_are_rare and not request.company and not self.breaker.unavailable:
            self.slow.suspect(request.players)
        self.let_others_go(request, now - request.failed_at)

    def let_others_go(self, request: Request, seconds: float) -> None:
        """Let others go before the players of a request that takes so long already."""
        self.backlog.player_order.stuck(request, "stuck" if seconds >= max(LASTING_S, self.slow.limit_s) else "pausing")

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
