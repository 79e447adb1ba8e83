"""One URL and token: requests in flight, what their answers mean, back-off."""

from __future__ import annotations

import heapq
import math
import random
import threading
import time
from collections import Counter
from dataclasses import dataclass, field, replace
from itertools import count
from typing import TYPE_CHECKING, Literal

import structlog

from smartico_sync.core.backoff import Backoff
from smartico_sync.core.events import BRAND, EID, PLAYER, POSITION, USER
from smartico_sync.core.records import Refusal
from smartico_sync.core.verdicts import judge
from smartico_sync.delivery.circuit_breaker import EVERYTHING, CircuitBreaker
from smartico_sync.delivery.parts import LazyTexts, brands_of, halves
from smartico_sync.delivery.player_order import PlayerOrder, Request
from smartico_sync.errors import DeliveryError, DeliveryStopped, DeliveryUnavailable, DeliveryUnknown

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from smartico_sync.core.batches import Batch
    from smartico_sync.core.verdicts import Verdict
    from smartico_sync.delivery.client import Answer, Client
    from smartico_sync.delivery.pending_receipt import PendingReceipt
    from smartico_sync.delivery.rate_limit import RateLimit

__all__ = ["Destination", "DestinationStatus"]

# The steps are quoted from the official document. A fifth is random, so that clients do not return together.
BACKOFF = Backoff((1.0, 2.0, 4.0, 8.0, 16.0, 32.0), jitter=0.2)
UNAVAILABLE_AFTER = 5  # failures in a row; of single ones only their own events wait
LONGEST_WAIT_S = 300.0  # of a Retry-After that is believed
SMALLEST_BATCH = 50  # events: smaller ones help no API
GROW_AFTER = 20  # requests that went well since one was not answered in time, until batches double again

log = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class DestinationStatus:
    """What an operator wants to know of one destination. `events` and `requests` count by what became of them."""

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


class Destination:
    """Sends requests with `workers` threads. Thread-safe; `lock` is shared by all that share a rate limit.

    A request that fails goes again after a pause, and only its players wait for it. After UNAVAILABLE_AFTER failures in a row, or when
    the API says how long to wait, all wait, and one request at a time tries again. While it rejects the token, or a brand, what is sent fails with
    DeliveryHalted, but for one request now and then that finds out whether that is over.
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
        self.most_events = self.batch_events = batch_events
        self.backoff = replace(BACKOFF, steps_s=pauses_s)
        self.player_order = PlayerOrder()
        self.halts = CircuitBreaker()
        self.in_flight = 0
        self.queued = 0
        self.failures = 0
        self.rounds = 0
        self.well = 0
        self.order = count()
        self.delayed: list[tuple[float, int, Request]] = []
        self.resume_at = 0.0
        self.last_error = ""
        self.last_success_ms: int | None = None
        self.events: Counter[str] = Counter()
        self.requests: Counter[str] = Counter()
        self.sent_bytes, self.seconds = 0, 0.0
        self.closing = False
        self.pending_receipts: set[PendingReceipt] = set()
        self.threads = [
            threading.Thread(target=self.work, name=f"{name}-{number}", daemon=True) for number in range(workers)
        ]
        for thread in self.threads:
            thread.start()

    def send(self, batches: Sequence[Batch], pending: PendingReceipt) -> None:
        """Queue the requests of a send."""
        with self.lock:
            error: DeliveryError | None = DeliveryStopped("the daemon is ending") if self.closing else None
            if error is None and self.halts:
                error = self.halts.against({brand for batch in batches for brand in brands_of(batch)})
            if error is not None:
                pending.fail(error)
                return
            self.pending_receipts.add(pending)
            for batch in batches:
                self.queued += len(batch.events)
                self.player_order.add(
                    Request(batch, pending, frozenset(batch.events.frame.get_column(PLAYER).to_list()))
                )
            self.changed.notify(len(batches))

    def work(self) -> None:
        """One worker: take a request that may start, send it, act on the answer."""
        while True:
            with self.lock:
                request = self.next_request()
                if request is None:
                    return
                self.in_flight += 1
            try:
                answer = self.client.post(request.batch.body)
            finally:
                with self.lock:
                    self.in_flight -= 1
                    self.rate_limit.leave()
            frame = request.batch.events.frame
            verdict = judge(LazyTexts(frame, EID), LazyTexts(frame, USER), answer.outcome, answer.status, answer.body)
            with self.lock:
                request.pending.requests += 1
                request.pending.sent_bytes += len(request.batch.body)
                self.requests[verdict.decision] += 1
                self.sent_bytes += len(request.batch.body)
                self.seconds += answer.seconds
                before = self.unavailable
                self.act(request, verdict, answer)
                # Another worker is woken when there is something for it to do; this one looks for itself.
                if before and not self.unavailable:
                    self.changed.notify_all()
                else:
                    self.changed.notify(max(0, self.player_order.startable - 1))

    def next_request(self) -> Request | None:
        """Wait for a request that may start now; None when closing. Called with the lock held."""
        while True:
            if self.closing:
                return None
            now = time.monotonic()
            if now < self.resume_at:
                self.changed.wait(self.resume_at - now)
                continue
            if self.unavailable and self.in_flight:
                self.changed.wait(1.0)
                continue
            self.release(now)
            request = self.player_order.take()
            if request is None:
                self.changed.wait(self.delayed[0][0] - now if self.delayed else None)
                continue
            if request.pending.over:
                self.drop(request)
                continue
            wait = self.rate_limit.enter(request.pending.priority)
            if wait:
                self.player_order.again(request)
                self.changed.wait(min(wait, 1.0))
                continue
            if self.delayed:
                self.changed.notify()  # somebody must look when its time comes
            return request

    @property
    def unavailable(self) -> bool:
        """Whether the API takes nothing from anybody, as far as can be told."""
        return self.failures >= UNAVAILABLE_AFTER

    @property
    def failing(self) -> bool:
        """Whether all that is under way has failed."""
        return self.unavailable or (self.failures > 0 and not self.in_flight and not self.player_order.startable)

    def release(self, now: float) -> None:
        """Let go again what has waited long enough. Called with the lock held."""
        while self.delayed and self.delayed[0][0] <= now:
            self.player_order.offer(heapq.heappop(self.delayed)[2])

    def act(self, request: Request, verdict: Verdict, answer: Answer) -> None:
        """Do what the verdict says. Called with the lock held."""
        if verdict.decision in ("retry", "unknown") and not (verdict.refused or verdict.duplicates or verdict.vague):
            self.trouble(request, verdict, answer)
            return
        if verdict.decision == "halt":
            self.halt(EVERYTHING, f"{verdict.reason} (code {verdict.code})")
            self.drop(request)
            return
        self.failures, self.rounds, self.well = 0, 0, self.well + 1
        if self.well >= GROW_AFTER and self.batch_events < self.most_events:
            self.batch_events, self.well = min(self.most_events, 2 * self.batch_events), 0
        if verdict.decision == "brand" or verdict.brands:
            self.unknown_brands(request, verdict)
            return
        if self.halts:
            self.halts.taken(brands_of(request.batch))
        self.last_success_ms = int(time.time() * 1000)
        if verdict.decision == "bisect":
            self.bisect(request, verdict)
            return
        self.settle(request, verdict)

    def settle(self, request: Request, verdict: Verdict) -> None:
        """Some or all events have their verdict; those that have none go again, before any other of their players."""
        events = request.batch.events
        self.last_error = "" if not verdict.refused else f"{len(verdict.refused)} events refused"
        rows, ids = events.frame.get_column(POSITION), events.frame.get_column(EID)
        refused = [Refusal(rows[place], ids[place], why.code, why.reason) for place, why in verdict.refused.items()]
        told = {*verdict.refused, *verdict.duplicates, *verdict.vague}
        others = [place for place in range(len(events)) if place not in told] if verdict.decision == "retry" else []
        delivered = len(events) - len(told) if verdict.decision == "done" else 0
        known = sorted(verdict.duplicates - verdict.blurred) if request.trip == "first" else []
        first = rows.gather(known).to_list() if known else []
        self.judged(request, delivered, len(verdict.duplicates), refused, first)
        parts = [part for part in (others, *halves(events, verdict.vague)) if part]
        if not parts:
            self.finish(request)
            return
        self.player_order.cut(request, [events.frame[part] for part in parts])
        self.player_order.offer(request)

    def judged(
        self,
        request: Request,
        delivered: int,
        duplicates: int,
        refused: list[Refusal],
        known_before: Sequence[int] = (),
    ) -> None:
        """Count events that have their verdict."""
        self.queued -= delivered + duplicates + len(refused)
        self.events.update({"delivered": delivered, "duplicate": duplicates, "refused": len(refused)})
        request.pending.judged(delivered, duplicates, refused, known_before)

    def finish(self, request: Request) -> None:
        """The request is done; those behind it may go."""
        self.player_order.finish(request)
        if request.pending.over:
            self.pending_receipts.discard(request.pending)

    def bisect(self, request: Request, verdict: Verdict) -> None:
        """Halve the request until the guilty event is alone."""
        events = request.batch.events
        if len(events) == 1:
            row, eid = events.frame.get_column(POSITION)[0], events.frame.get_column(EID)[0]
            self.judged(request, 0, 0, [Refusal(row, eid, verdict.code, verdict.reason)])
            self.finish(request)
            return
        self.player_order.halve(request)
        self.player_order.offer(request)

    def unknown_brands(self, request: Request, verdict: Verdict) -> None:
        """A brand the API does not know stops, and nothing else."""
        frame = request.batch.events.frame
        names = frame.get_column(BRAND)
        unknown = {names[place] for place in verdict.brands} if verdict.brands else set(names)
        if not verdict.brands and len(unknown) > 1:
            # The answer does not say which: one request a brand will tell.
            self.player_order.cut(request, frame.partition_by(BRAND, maintain_order=True))
            self.player_order.offer(request)
            return
        known = set(names) - unknown
        self.halts.taken(known)
        for brand in unknown:
            self.halt(brand, verdict.reason or "unknown ext_brand_id")
        self.drop(request)

    def trouble(self, request: Request, verdict: Verdict, answer: Answer) -> None:
        """The API is unavailable or unclear: the same events again, after a pause; their players wait."""
        request.attempts, request.trip = request.attempts + 1, "again"
        if self.unavailable and not self.in_flight:
            self.rounds += 1
        self.failures += 1
        chance = random.random()  # noqa: S311 - spreads load, guards nothing
        pause = self.backoff.pause(max(request.attempts - 1, self.rounds), chance)
        pause = max(pause, min(answer.retry_after_s, LONGEST_WAIT_S))
        until = time.monotonic() + pause
        if self.unavailable or answer.retry_after_s:
            self.resume_at = max(self.resume_at, until)
        self.last_error = verdict.reason
        log.warning("delivery.retry", destination=self.name, reason=verdict.reason, pause_s=round(pause, 1))
        if request.pending.over:
            self.drop(request)
            return
        if answer.outcome == "timeout":
            request.silences, self.well = request.silences + 1, 0
        if request.silences > 1 and len(request.batch.events) > SMALLEST_BATCH:
            # Less at once may be answered.
            request.silences = 0
            self.batch_events = max(SMALLEST_BATCH, min(self.batch_events, len(request.batch.events)) // 2)
            self.player_order.halve(request)
        heapq.heappush(self.delayed, (until, next(self.order), request))

    def halt(self, brand: str, reason: str) -> None:
        """The API rejects the token, or a brand: what was sent of it fails at once, nothing of it is committed."""
        error = self.halts.refused(brand, reason)
        self.last_error = error.message
        log.error("delivery.halted", destination=self.name, reason=error.message)
        for pending in list(self.pending_receipts):
            if brand == EVERYTHING or brand in pending.brands:
                pending.fail(error)
                self.pending_receipts.discard(pending)
        # Requests under way keep their players until they are answered: what is sent again waits behind them.
        self.release(math.inf)
        for request in list(self.player_order.all()):
            if request.pending.over:
                self.drop(request)
            else:
                self.player_order.offer(request)

    def drop(self, request: Request) -> None:
        """Take a request out that nobody waits for."""
        self.queued -= len(request.batch.events)
        self.player_order.finish(request)

    def close(self, timeout_s: float) -> None:
        """End: give requests under way some time, fail the rest."""
        with self.lock:
            self.closing = True
            if not self.in_flight:
                self.abandon()
            self.changed.notify_all()
        deadline = time.monotonic() + timeout_s
        for thread in self.threads:
            thread.join(max(0.0, deadline - time.monotonic()))
        with self.lock:
            self.abandon()
        self.client.close()

    def abandon(self) -> None:
        """Fail everything that is queued. Called with the lock held."""
        for pending in self.pending_receipts:
            pending.fail(DeliveryStopped("the daemon is ending"))
        self.pending_receipts.clear()
        self.player_order.clear()
        self.delayed.clear()
        self.queued = 0

    def problem(self) -> DeliveryError | None:
        """What keeps events from being delivered now, for those who cannot wait."""
        if EVERYTHING in self.halts.known:
            return self.halts.error(EVERYTHING)
        if self.failing:
            kind = DeliveryUnknown if self.last_error.startswith("no answer") else DeliveryUnavailable
            return kind(f"the ingest API does not take events: {self.last_error}", hint="try its URL: sync check")
        return None

    def status(self) -> DestinationStatus:
        """The destination as it stands."""
        with self.lock:
            state: Literal["idle", "delivering", "backing_off", "halted"] = "delivering" if self.queued else "idle"
            if self.failing:
                state = "backing_off"
            if self.halts:
                state = "halted"
            return DestinationStatus(
                self.name,
                state,
                self.last_error,
                self.last_success_ms,
                self.in_flight,
                max(0, self.queued),
                self.rate_limit.used(),
                self.batch_events,
                self.halts.told(),
                dict(self.events),
                dict(self.requests),
                self.sent_bytes,
                round(self.seconds, 3),
            )
