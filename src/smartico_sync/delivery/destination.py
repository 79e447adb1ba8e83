"""One URL and token: take a request that may start, send it, judge the answer, act on it."""

from __future__ import annotations

import math
import threading
import time
from collections import Counter
from dataclasses import replace
from typing import TYPE_CHECKING, Literal

import structlog

from smartico_sync.core.batches import CALM_WORTH, WORTH, batches
from smartico_sync.core.events import BRAND
from smartico_sync.core.reason_codes import UNKNOWN_BRAND
from smartico_sync.core.verdicts import Refused
from smartico_sync.delivery.backlog import Backlog
from smartico_sync.delivery.batch_size import BatchSize
from smartico_sync.delivery.circuit_breaker import BACKOFF, EVERYTHING, CircuitBreaker
from smartico_sync.delivery.destination_status import DestinationStatus, HaltedBrand
from smartico_sync.delivery.request import Request
from smartico_sync.delivery.request_log import RequestLog
from smartico_sync.delivery.slow_players import SlowPlayers
from smartico_sync.errors import (
    DeliveryError,
    DeliveryStopped,
    DeliveryUnavailable,
    DeliveryUnknown,
    SyncError,
    Unexpected,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from smartico_sync.core.batches import Batch
    from smartico_sync.core.events import Events
    from smartico_sync.core.verdicts import Verdict
    from smartico_sync.delivery.client import Answer, Client
    from smartico_sync.delivery.pending_receipt import PendingReceipt
    from smartico_sync.delivery.rate_limit import RateLimit

__all__ = ["Destination", "DestinationStatus"]

ENDING = "the daemon is ending"
UNANSWERED = ("retry", "unknown", "halt")  # decisions by which a request has failed
GLANCE_S = 1.0  # how long a worker waits at most for what nobody tells it of
STUBBORN = 4  # failures in a row of one request, where no other tells whether the API answers
PIECES = 8  # of a request that failed alone: three tries find the one player of a full request whom the API fails with

log = structlog.get_logger()


class Destination:
    """Sends requests with `workers` threads. Thread-safe; `lock` is shared by all that share a rate limit.

    A request that fails goes again after a pause, in parts when the API answered others meanwhile, and only its players wait for it;
    so it is with one that takes long. The circuit breaker tells when all wait. While the
    token or the URL is wrong, what is sent fails with DeliveryHalted, and events of a brand that the API does not know are refused, but
    for one request now and then that finds out whether that is over. A worker ends only with `close`: what nobody foresaw counts as a failed request.
    """

    def __init__(
        self,
        name: str,
        client: Client,
        rate_limit: RateLimit,
        lock: threading.RLock,
        *,
        workers: int,
        batch_events: int,
        pauses_s: tuple[float, ...] = BACKOFF.steps_s,
    ) -> None:
        self.name, self.client, self.rate_limit, self.lock = name, client, rate_limit, lock
        self.changed = threading.Condition(lock)
        self.batch_size = BatchSize(batch_events)
        self.backlog = Backlog()
        self.slow = SlowPlayers()
        self.breaker = CircuitBreaker(pauses_s)
        self.under_way: dict[Request, float] = {}  # and when each began
        self.answered_at = 0.0
        self.watched_until = math.inf
        self.trouble: DeliveryError | None = None
        self.last_error = ""
        self.last_success_ms: int | None = None
        self.requests: Counter[str] = Counter()
        self.sent_bytes, self.seconds = 0, 0.0
        self.log = RequestLog()
        self.closing = False
        self.holding: Callable[[], bool] = lambda: True
        self.threads = [
            threading.Thread(target=self.work, name=f"{name}-{number}", daemon=True) for number in range(workers)
        ]
        for thread in self.threads:
            thread.start()

    def send(self, batches: Sequence[Batch], pending: PendingReceipt) -> None:
        """Queue the requests of a send."""
        requests = [Request.of(batch, pending) for batch in batches]
        with self.lock:
            error: DeliveryError | None = DeliveryStopped(ENDING) if self.closing else None
            if error is None:
                error = self.breaker.against(time.monotonic(), ())
            if error is not None:
                pending.fail(error)
                return
            self.look_for_stuck(time.monotonic())
            self.backlog.add(requests, pending)
            self.changed.notify(len(requests))

    def cut(self, events: Events, most_bytes: int) -> tuple[list[Batch], list[Events]]:
        """The requests of some events, as the API takes them now, and the events that no request can hold."""
        with self.lock:
            most, worth = self.batch_size.events, CALM_WORTH if self.rate_limit.calm else WORTH
            apart = frozenset(self.slow.suspected)
        return batches(events, most, most_bytes, worth=worth, apart=apart)

    @property
    def in_flight(self) -> int:
        """How many requests are under way."""
        return len(self.under_way)

    def work(self) -> None:
        """One worker. Whatever happens to a request, it goes on with the next."""
        while not self.closing:
            request = None
            try:
                request = self.take()
                if request is not None:
                    answer = self.post(request)
                    self.act(request, self.client.verdict(answer, request.eids, request.users), answer)
            except Exception as error:  # noqa: BLE001 - a worker that ended would leave its view waiting for ever
                self.surprised(request, error)

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
                if request.attempts:
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
        """Divide a request that goes again, if that may help: not where the API answers nobody."""
        # Also while this one was under way: it is the odd one. Not where many fail: the parts would fail as often, and be divided again.
        others_are_answered = self.answered_at > request.sent_at and self.slow.failures_are_rare
        stubborn = request.attempts >= STUBBORN and not request.silences and not self.breaker.unavailable
        if not others_are_answered and not stubborn:
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
        """When the next postponed request may start, or one that is under way has taken long; infinite when neither will be."""
        limit, release = self.slow.limit_s, self.backlog.player_order.next_release
        began = [at + limit for request, at in self.under_way.items() if request.pace == "usual"]
        return min([math.inf if release is None else release, *began])

    def look_for_stuck(self, now: float) -> None:
        """Nobody waits for a request that takes long who need not."""
        limit = self.slow.limit_s
        for request, began in self.under_way.items():
            if request.pace == "usual" and now - began >= limit:
                self.stuck(request)

    def stuck(self, request: Request) -> None:
        """Let others go before this request's players, now and in what is sent next."""
        self.slow.suspect(request.players)
        self.backlog.player_order.stuck(request)

    def unknown_now(self, now: float, request: Request) -> dict[str, str]:
        """Brands of the request that the API does not know, as far as it was asked."""
        return self.breaker.unknown(now, request.brands) if self.breaker.halts else {}

    def post(self, request: Request) -> Answer:
        """Send a request, and give its slot back."""
        told = {"request": request.number, "send": request.pending.number, "view": request.pending.view}
        log.debug("request", destination=self.name, **told, events=request.frame.height, bytes=len(request.batch.body))
        try:
            return self.client.post(request.batch.body)
        finally:
            with self.lock:
                self.under_way.pop(request, None)
                self.rate_limit.leave()

    def act(self, request: Request, verdict: Verdict, answer: Answer) -> None:
        """Do what the verdict says, and wake those who may start now."""
        log.debug(
            "answer", request=request.number, status=answer.status, outcome=answer.outcome, made_of_it=verdict.decision,
            refused=len(verdict.refused), seconds=round(answer.seconds, 3),
        )  # fmt: skip
        request.pending.span.past(
            "request", answer.seconds, verdict.decision if verdict.decision in UNANSWERED else "", destination=self.name,
            events=request.frame.height, bytes=len(request.batch.body), status=answer.status, decision=verdict.decision,
        )  # fmt: skip
        with self.lock:
            request.pending.requests += 1
            request.pending.sent_bytes += len(request.batch.body)
            self.requests[verdict.decision] += 1
            self.sent_bytes += len(request.batch.body)
            self.seconds += answer.seconds
            self.log.note(request, answer, verdict.decision, int(time.time() * 1000))
            before = self.breaker.unavailable
            if request.trip == "first" and not before:
                self.slow.went("failed" if verdict.decision in UNANSWERED else "answered")
            if verdict.decision in ("retry", "unknown") and not (
                verdict.refused or verdict.duplicates or verdict.vague
            ):
                self.unanswered(request, verdict, answer)
            elif verdict.decision == "halt":
                self.halt(verdict)
                self.backlog.drop(request)
            else:
                self.answered(request, verdict, answer)
            # Another worker is woken when there is something for it to do; this one looks for itself.
            if before and not self.breaker.unavailable:
                self.changed.notify_all()
            else:
                self.changed.notify(max(0, self.backlog.player_order.startable - 1))

    def answered(self, request: Request, verdict: Verdict, answer: Answer) -> None:
        """The API looked at the events. Called with the lock held, as all below."""
        self.breaker.answered()
        self.batch_size.answered()
        self.slow.answered(request.players, answer.seconds)
        self.answered_at = time.monotonic()
        if verdict.decision == "brand" or verdict.brands:
            self.unknown_brands(request, verdict)
            return
        if self.breaker.halts:
            self.breaker.accepted(request.brands if verdict.decision == "done" else ())
        self.last_success_ms = int(time.time() * 1000)
        if verdict.decision == "bisect":
            self.last_error = ""
            self.backlog.bisect(request, verdict)
        else:
            self.last_error = f"{len(verdict.refused)} events refused" if verdict.refused else ""
            self.backlog.settle(request, verdict)

    def unknown_brands(self, request: Request, verdict: Verdict) -> None:
        """Events of a brand the API does not know are refused, and nothing else."""
        names = request.frame.get_column(BRAND)
        places = verdict.brands or range(len(names))
        unknown = {names[place] for place in places}
        if not verdict.brands and len(unknown) > 1:
            self.backlog.by_brand(request)
            return
        self.breaker.accepted(set(names) - unknown)
        for brand in unknown:
            self.halt_brand(brand, verdict.reason or "unknown ext_brand_id")
        refused = {place: Refused(UNKNOWN_BRAND, self.breaker.halts[names[place]].message) for place in places}
        decision: Literal["done", "retry"] = "retry" if verdict.decision == "retry" else "done"
        self.backlog.settle(
            request, replace(verdict, decision=decision, refused={**verdict.refused, **refused}, brands=frozenset())
        )

    def unanswered(self, request: Request, verdict: Verdict, answer: Answer) -> None:
        """The API is unavailable or unclear: the same events again, or half of them at a time."""
        kind = DeliveryUnknown if verdict.decision == "unknown" else DeliveryUnavailable
        hint = self.client.hint(verdict.cause)
        self.trouble = kind(
            f"the ingest API does not take events: {verdict.reason}", hint=hint or "try it: smartico-sync check"
        )
        # What breaks the connection may be a front end that takes no request as large as this.
        if answer.outcome in ("timeout", "broken") and not request.pending.over:
            request.silences += 1
            if self.batch_size.silent(request.frame.height, request.silences):
                request.silences = 0
                self.backlog.player_order.cut(request, request.halves())
        pause = self.again(request, verdict.reason, answer.retry_after_s)
        if self.breaker.unavailable:
            self.client.drop_idle()  # the name may lead elsewhere by now
        log.warning(
            "delivery.retry", destination=self.name, view=request.pending.view, request=request.number, reason=verdict.reason,
            pause_s=round(pause, 1),
        )  # fmt: skip

    def again(self, request: Request, reason: str, retry_after_s: float = 0.0) -> float:
        """Let the same events go again after a pause, while their players wait; its seconds."""
        now = time.monotonic()
        pause = self.breaker.failed(
            now, attempts=request.attempts, in_flight=self.in_flight, retry_after_s=retry_after_s
        )
        request.attempts, request.trip = request.attempts + 1, "again"
        self.last_error = reason
        if request.pending.over:
            self.backlog.drop(request)
        else:
            self.backlog.player_order.postpone(request, now + pause)
            if not self.breaker.unavailable and self.slow.failures_are_rare:
                self.slow.suspect(request.players)
            if not self.breaker.unavailable:
                self.backlog.player_order.stuck(request)
        return pause

    def surprised(self, request: Request | None, error: Exception) -> None:
        """Something happened that nobody foresaw: it is told, and the request goes again."""
        told = error if isinstance(error, SyncError) else Unexpected(error)
        self.trouble = DeliveryUnavailable(told.message, hint=told.hint)
        log.error("delivery.internal_error", destination=self.name, reason=str(self.trouble), hint=self.trouble.hint)
        with self.lock:
            self.requests["internal_error"] += 1
            if request is None:
                self.changed.wait(GLANCE_S)
            elif not request.over:
                self.again(request, str(self.trouble))
                self.changed.notify()

    def halt(self, verdict: Verdict) -> None:
        """The token or the URL is wrong: what was sent fails at once, nothing of it is committed."""
        message, hint = self.client.halted(verdict), self.client.hint(verdict.cause)
        error = self.breaker.halt(time.monotonic(), EVERYTHING, message, hint)
        self.last_error = message
        log.error("delivery.halted", destination=self.name, reason=message, hint=hint)
        self.backlog.fail(error)

    def halt_brand(self, brand: str, reason: str) -> None:
        """The API does not know a brand: its events are refused until it does."""
        message = f"the ingest API does not know the brand {brand}: {reason}"
        hint = f"register {brand} with Smartico; or write `smartico.brands.{brand}.alias: NAME` into views.yaml, then: smartico-sync reload"
        if brand not in self.breaker.halts:
            log.error("delivery.halted", destination=self.name, reason=message, hint=hint)
        self.breaker.halt(time.monotonic(), brand, message, hint)
        self.last_error = message

    def begin_end(self) -> None:
        """Begin no further request."""
        with self.lock:
            self.closing = True
            if not self.in_flight:
                self.backlog.clear(DeliveryStopped(ENDING))
            self.changed.notify_all()

    def close(self, timeout_s: float) -> None:
        """End: give requests under way some time, fail the rest."""
        stopped = DeliveryStopped(ENDING)
        self.begin_end()
        deadline = time.monotonic() + timeout_s
        for thread in self.threads:
            thread.join(max(0.0, deadline - time.monotonic()))
        with self.lock:
            self.backlog.clear(stopped)
        self.client.close()

    @property
    def failing(self) -> bool:
        """Whether all that is under way has failed."""
        waiting = self.in_flight or self.backlog.player_order.startable
        return self.breaker.unavailable or (self.breaker.failures > 0 and not waiting)

    def problem(self) -> DeliveryError | None:
        """What keeps events from being delivered now, for those who cannot wait."""
        with self.lock:
            if EVERYTHING in self.breaker.halts:
                return self.breaker.halts[EVERYTHING].error()
            return self.trouble if self.failing else None

    def status(self) -> DestinationStatus:
        """The destination as it stands."""
        with self.lock:
            now, wall_ms = time.monotonic(), int(time.time() * 1000)
            state: Literal["idle", "delivering", "backing_off", "halted"] = (
                "delivering" if self.backlog.queued else "idle"
            )
            if self.breaker.halts:
                state = "halted"
            if self.failing and EVERYTHING not in self.breaker.halts:
                state = "backing_off"  # whatever brands are unknown besides
            return DestinationStatus(
                self.name,
                state,
                self.last_error,
                self.last_success_ms,
                self.in_flight,
                max(0, self.backlog.queued),
                self.rate_limit.used(),
                self.batch_size.events,
                self.breaker.told(),
                dict(self.backlog.events),
                dict(self.requests),
                self.sent_bytes,
                round(self.seconds, 3),
                self.trouble.hint if self.trouble and state == "backing_off" else "",
                ((token.problem, f"mend {token.key}"),) if (token := self.client.token).problem else (),
                self.breaker.state(now),
                self.next_try_ms(now, wall_ms),
                tuple(
                    HaltedBrand(brand, halt.message, wall_ms + round(max(0.0, halt.probe_at - now) * 1000))
                    for brand, halt in self.breaker.halts.items()
                ),
                tuple(self.log.counts),
                self.log.recent(),
            )

    def next_try_ms(self, now: float, wall_ms: int) -> int:
        """When a request that failed goes again (epoch ms), as far as that is known; 0 when none has to."""
        if not self.breaker.failures and self.breaker.state(now) != "open":
            return 0
        due = max(self.breaker.resume_at, self.backlog.player_order.next_release or now)
        return wall_ms + round(max(0.0, due - now) * 1000)
