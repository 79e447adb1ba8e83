"""One URL and token: requests in flight, back-off, halts."""

from __future__ import annotations

import random
import threading
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

import polars as pl
import structlog

from smartico_sync.core.batches import Batch, encode
from smartico_sync.core.events import EID, PLAYER, POSITION, USER, Events
from smartico_sync.core.verdicts import judge
from smartico_sync.delivery.lanes import Lanes, Request
from smartico_sync.delivery.protocol import Refusal
from smartico_sync.errors import DeliveryError, DeliveryHalted, DeliveryStopped, DeliveryUnavailable, DeliveryUnknown

if TYPE_CHECKING:
    from collections.abc import Callable

    from smartico_sync.core.verdicts import Verdict
    from smartico_sync.delivery.client import Answer, Client
    from smartico_sync.delivery.limits import MinuteLimit
    from smartico_sync.delivery.sending import Sending

__all__ = ["Destination", "DestinationStatus"]

BACK_OFF_S = (1.0, 2.0, 4.0, 8.0, 16.0, 32.0)  # quoted from the official document; the last repeats
JITTER = 0.2  # share of a pause that is random, so that clients do not return together
LONGEST_WAIT_S = 300.0  # of a Retry-After that is believed
HALT_PAUSES_S = (5.0, 10.0, 20.0, 40.0, 60.0)  # between probes while the API refuses us

log = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class DestinationStatus:
    """What an operator wants to know of one destination."""

    name: str
    state: Literal["idle", "delivering", "backing_off", "halted"]
    last_error: str
    last_success_ms: int | None
    in_flight: int
    queued_events: int
    requests_last_minute: int
    brands: tuple[str, ...]


class Destination:
    """Sends requests with `workers` threads. Thread-safe.

    While the API is away one request at a time tries again; while it refuses us every send fails with DeliveryHalted, but
    for one now and then that finds out whether that is over.
    """

    def __init__(
        self,
        name: str,
        client: Client,
        limit: MinuteLimit,
        *,
        workers: int,
        observe: Callable[[str, Answer, int], None],
        pauses_s: tuple[float, ...] = BACK_OFF_S,
    ) -> None:
        self.name = name
        self.client = client
        self.limit = limit
        self.observe = observe
        self.pauses_s = pauses_s
        self.lanes = Lanes()
        self.lock = threading.Condition()
        self.in_flight = 0
        self.queued = 0
        self.failures = 0
        self.resume_at = 0.0
        self.halted = ""
        self.halts = 0
        self.probe_at = 0.0
        self.last_error = ""
        self.last_success_ms: int | None = None
        self.closing = False
        self.sendings: set[Sending] = set()
        self.threads = [
            threading.Thread(target=self.work, name=f"{name}-{number}", daemon=True) for number in range(workers)
        ]
        for thread in self.threads:
            thread.start()

    def send(self, batch: Batch, sending: Sending) -> None:
        """Queue one request of a send."""
        with self.lock:
            if self.closing:
                sending.fail(DeliveryStopped("the daemon is ending"))
                return
            if self.halted and time.monotonic() < self.probe_at:
                sending.fail(self.refusal())
                return
            if self.halted:
                self.probe_at = time.monotonic() + HALT_PAUSES_S[min(self.halts, len(HALT_PAUSES_S) - 1)]
            players = frozenset(batch.events.frame.get_column(PLAYER).to_list())
            self.sendings.add(sending)
            self.queued += len(batch.events)
            self.lanes.add(Request(batch, sending, players))
            self.lock.notify()

    def refusal(self) -> DeliveryHalted:
        """The error while the API refuses us."""
        return DeliveryHalted(
            f"the ingest API refuses us: {self.halted}", hint="mend token, URL or brand in views.yaml, then: sync check"
        )

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
            frame = request.batch.events.frame
            verdict = judge(LazyTexts(frame, EID), LazyTexts(frame, USER), answer.outcome, answer.status, answer.body)
            self.observe(verdict.decision, answer, len(request.batch.body))
            with self.lock:
                request.sending.requests += 1
                request.sending.sent_bytes += len(request.batch.body)
                self.act(request, verdict, answer)
                self.lock.notify_all()

    def next_request(self) -> Request | None:
        """Wait for a request that may start now; None when closing and nothing is left. Called with the lock held."""
        while True:
            if self.closing:
                return None
            now = time.monotonic()
            if now < self.resume_at:
                self.lock.wait(self.resume_at - now)
                continue
            if self.failures and self.in_flight:
                self.lock.wait(1.0)
                continue
            request = self.lanes.take()
            if request is None:
                self.lock.wait()
                continue
            if request.sending.over:
                self.drop(request)
                continue
            wait = self.limit.wait_s()
            if wait:
                self.lanes.again(request)
                self.lock.wait(min(wait, 1.0))
                continue
            return request

    def drop(self, request: Request) -> None:
        """Take a request out that nobody waits for."""
        self.queued -= len(request.batch.events)
        self.lanes.finish(request)

    def act(self, request: Request, verdict: Verdict, answer: Answer) -> None:
        """Do what the verdict says. Called with the lock held."""
        if verdict.decision in ("retry", "unknown") and not verdict.refused and not verdict.duplicates:
            self.trouble(request, verdict, answer)
            return
        if verdict.decision == "halt":
            self.halt(request, verdict)
            return
        self.failures = 0
        self.halted, self.halts = "", 0
        self.last_success_ms = int(time.time() * 1000)
        if verdict.decision == "bisect":
            self.bisect(request, verdict)
            return
        self.settle(request, verdict)

    def settle(self, request: Request, verdict: Verdict) -> None:
        """Some or all events have their verdict; those that have none go again, before any other of their players."""
        events = request.batch.events
        self.last_error = "" if not verdict.refused else f"{len(verdict.refused)} events refused"
        places = sorted({*verdict.refused, *verdict.duplicates})
        refused = self.refusals(events, verdict)
        if verdict.decision == "done":
            delivered = len(events) - len(places)
            self.queued -= len(events)
            request.sending.judged(delivered, len(verdict.duplicates), refused)
            self.lanes.finish(request)
            if request.sending.over:
                self.sendings.discard(request.sending)
            return
        self.queued -= len(places)
        request.sending.judged(0, len(verdict.duplicates), refused)
        mask = pl.Series(range(len(events))).is_in(places)
        rest = events.take(~mask)
        if len(rest):
            request.batch = Batch(encode(rest), rest)
            self.lanes.offer(request)
        else:
            self.lanes.finish(request)

    def refusals(self, events: Events, verdict: Verdict) -> list[Refusal]:
        """The refused events by their row."""
        rows, ids = events.frame.get_column(POSITION), events.frame.get_column(EID)
        return [Refusal(rows[place], ids[place], why.code, why.reason) for place, why in verdict.refused.items()]

    def bisect(self, request: Request, verdict: Verdict) -> None:
        """Halve the request until the guilty event is alone."""
        events = request.batch.events
        if len(events) == 1:
            row, eid = events.frame.get_column(POSITION)[0], events.frame.get_column(EID)[0]
            self.queued -= 1
            request.sending.judged(0, 0, [Refusal(row, eid, verdict.code, verdict.reason)])
            self.lanes.finish(request)
            return
        half = len(events) // 2
        first = Events(events.frame.slice(0, half), events.raw)
        second = Events(events.frame.slice(half), events.raw)
        # The second half waits for the first: they may share players, and whoever waited for the whole waits for it.
        later = Request(Batch(encode(second), second), request.sending, request.players, waits=1)
        later.followers, request.followers = request.followers, [later]
        for player in request.players:
            if self.lanes.tails.get(player) is request:
                self.lanes.tails[player] = later
        request.batch = Batch(encode(first), first)
        self.lanes.offer(request)

    def trouble(self, request: Request, verdict: Verdict, answer: Answer) -> None:
        """The API is away or unclear: the same bytes again, after a pause; its players wait."""
        request.attempts += 1
        self.failures += 1
        pause = self.pauses_s[min(request.attempts, len(self.pauses_s)) - 1]
        pause += pause * JITTER * random.random()  # noqa: S311 - spreads load, guards nothing
        pause = max(pause, min(answer.retry_after_s, LONGEST_WAIT_S))
        self.resume_at = max(self.resume_at, time.monotonic() + pause)
        self.last_error = verdict.reason
        log.warning("delivery.retry", destination=self.name, reason=verdict.reason, pause_s=round(pause, 1))
        if request.sending.over:
            self.drop(request)
        else:
            self.lanes.offer(request)

    def halt(self, request: Request, verdict: Verdict) -> None:
        """The API refuses us: every send fails at once, nothing is committed."""
        self.halted = f"{verdict.reason} (code {verdict.code})"
        self.last_error = self.halted
        self.probe_at = time.monotonic() + HALT_PAUSES_S[min(self.halts, len(HALT_PAUSES_S) - 1)]
        self.halts += 1
        log.error("delivery.halted", destination=self.name, reason=self.halted)
        self.abandon(self.refusal())
        request.sending.fail(self.refusal())

    def abandon(self, error: DeliveryError) -> None:
        """Fail everything that is queued. Called with the lock held."""
        for sending in self.sendings:
            sending.fail(error)
        self.sendings.clear()
        self.lanes.clear()
        self.queued = 0

    def close(self, timeout_s: float) -> None:
        """End: give requests under way some time, fail the rest."""
        with self.lock:
            self.closing = True
            self.abandon_queued()
            self.lock.notify_all()
        deadline = time.monotonic() + timeout_s
        for thread in self.threads:
            thread.join(max(0.0, deadline - time.monotonic()))
        with self.lock:
            self.abandon(DeliveryStopped("the daemon is ending"))
        self.client.close()

    def abandon_queued(self) -> None:
        """Fail the sends that have no request under way."""
        if not self.in_flight:
            self.abandon(DeliveryStopped("the daemon is ending"))

    def problem(self) -> DeliveryError | None:
        """What keeps events from being delivered now, for those who cannot wait."""
        if self.halted:
            return self.refusal()
        if self.failures:
            kind = DeliveryUnknown if self.last_error.startswith("no answer") else DeliveryUnavailable
            return kind(f"the ingest API does not take events: {self.last_error}", hint="try its URL: sync check")
        return None

    def status(self) -> DestinationStatus:
        """The destination as it stands."""
        with self.lock:
            state: Literal["idle", "delivering", "backing_off", "halted"] = "delivering" if self.queued else "idle"
            if self.failures:
                state = "backing_off"
            if self.halted:
                state = "halted"
            return DestinationStatus(
                self.name,
                state,
                self.last_error,
                self.last_success_ms,
                self.in_flight,
                max(0, self.queued),
                self.limit.used(),
                (),
            )


class LazyTexts(list[str]):
    """A column as a sequence of texts that is made only when somebody looks: on success nobody does."""

    def __init__(self, frame: pl.DataFrame, column: str) -> None:
        super().__init__()
        self.frame, self.column = frame, column

    def __iter__(self):  # type: ignore[no-untyped-def]  # noqa: ANN204 - an iterator of texts
        return iter(self.frame.get_column(self.column).to_list())

    def __len__(self) -> int:
        return self.frame.height
