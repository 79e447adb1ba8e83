"""One URL and token: its threads take a request that may start, send it, and have what its answer says done."""

from __future__ import annotations

import threading
import time
from collections import Counter
from typing import TYPE_CHECKING, Literal

import structlog

from smartico_sync.core.batches import CALM_WORTH, FULL_SPREAD, SPREAD, WORTH, batches
from smartico_sync.delivery.circuit_breaker import BACKOFF, EVERYTHING
from smartico_sync.delivery.destination_status import DestinationStatus, HaltedBrand
from smartico_sync.delivery.dispatch import GLANCE_S, Dispatch
from smartico_sync.delivery.flight import body_of
from smartico_sync.delivery.request import Request
from smartico_sync.delivery.request_log import RequestLog
from smartico_sync.delivery.settlement import Settlement
from smartico_sync.errors import DeliveryError, DeliveryStopped, DeliveryUnavailable, SyncError, Unexpected

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from smartico_sync.core.batches import Batch
    from smartico_sync.core.events import Events
    from smartico_sync.core.verdicts import Verdict
    from smartico_sync.delivery.client import Answer, Client
    from smartico_sync.delivery.pending_receipt import PendingReceipt
    from smartico_sync.delivery.protocol import Requests
    from smartico_sync.delivery.rate_limit import RateLimit

__all__ = ["Destination", "DestinationStatus"]

ENDING = "the daemon is ending"
UNANSWERED = ("retry", "unknown", "halt")  # decisions by which a request has failed

log = structlog.get_logger()


class Destination:
    """Sends requests with `workers` threads. Thread-safe; `lock` is shared by all that share a rate limit.

    `aliases`: what Smartico knows brands as, by the names that the views have.

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
        batch_bytes: int,
        pauses_s: tuple[float, ...] = BACKOFF.steps_s,
        aliases: Mapping[str, str],
    ) -> None:
        self.name, self.client, self.lock = name, client, lock
        self.dispatch = Dispatch(lock, rate_limit, batch_events, batch_bytes, pauses_s)
        self.settlement = Settlement(name, client, self.dispatch, aliases)
        self.requests: Counter[str] = Counter()
        self.sent_bytes, self.seconds = 0, 0.0
        self.log = RequestLog()
        self.threads = [
            threading.Thread(target=self.work, name=f"{name}-{number}", daemon=True) for number in range(workers)
        ]
        for thread in self.threads:
            thread.start()

    def send(self, batches: Sequence[Batch], pending: PendingReceipt) -> None:
        """Queue the requests of a send."""
        self.dispatch.add([Request.of(batch, pending) for batch in batches], pending, DeliveryStopped(ENDING))

    def cut(self, events: Events, most_bytes: int, requests: Requests = "spread") -> tuple[list[Batch], list[Events]]:
        """The requests of some events, as the API takes them now, and the events that no request can hold."""
        with self.lock:
            self.dispatch.look_for_stuck(time.monotonic())
            most, worth = self.dispatch.batch_size.events, CALM_WORTH if self.dispatch.rate_limit.calm else WORTH
            apart = frozenset(self.dispatch.slow.suspected)
        spread = FULL_SPREAD if requests == "full" else SPREAD
        return batches(events, most, most_bytes, worth=worth, spread=spread, apart=apart)

    def work(self) -> None:
        """One worker. Whatever happens to a request, it goes on with the next."""
        while not self.dispatch.closing:
            flight: list[Request] = []
            try:
                request = self.dispatch.take()
                if request is not None:
                    flight = request.flight
                    answer = self.post(request)
                    self.act(request, self.client.verdict(answer, request.eids, request.users), answer)
            except Exception as error:  # noqa: BLE001 - a worker that ended would leave its view waiting for ever
                self.surprised(flight, error)

    def post(self, request: Request) -> Answer:
        """Send a request, and give its slot back."""
        for each in request.flight:
            told = {"request": request.number, "send": each.pending.number, "view": each.pending.view}
            log.debug("request", destination=self.name, **told, events=each.frame.height, bytes=len(each.batch.body))
        try:
            return self.client.post(body_of(request.flight))
        finally:
            self.dispatch.leave(request)

    def act(self, request: Request, verdict: Verdict, answer: Answer) -> None:
        """Do what the verdict says, and wake those who may start now."""
        log.debug(
            "answer", request=request.number, status=answer.status, outcome=answer.outcome, made_of_it=verdict.decision,
            refused=len(verdict.refused), seconds=round(answer.seconds, 3),
        )  # fmt: skip
        for each in request.flight:
            each.pending.span.past(
                "request", answer.seconds, verdict.decision if verdict.decision in UNANSWERED else "", destination=self.name,
                events=each.frame.height, bytes=len(each.batch.body), status=answer.status, decision=verdict.decision,
            )  # fmt: skip
        with self.lock:
            for each in request.flight:
                each.pending.requests += 1
                each.pending.sent_bytes += len(each.batch.body)
                self.sent_bytes += len(each.batch.body)
                self.log.note(each, answer, verdict.decision, int(time.time() * 1000))
            self.log.count(answer)
            self.requests[verdict.decision] += 1
            self.seconds += answer.seconds
            self.settlement.act(request, verdict, answer)

    def surprised(self, flight: Sequence[Request], error: Exception) -> None:
        """Something happened that nobody foresaw: it is told, and the request goes again."""
        told = error if isinstance(error, SyncError) else Unexpected(error)
        self.settlement.trouble = DeliveryUnavailable(told.message, hint=told.hint)
        log.error(
            "delivery.internal_error",
            destination=self.name,
            reason=str(self.settlement.trouble),
            hint=self.settlement.trouble.hint,
        )
        with self.lock:
            self.requests["internal_error"] += 1
            left = [each for each in flight if each.place == "gone" and not each.over]
            if not flight:
                self.dispatch.changed.wait(GLANCE_S)
            elif left:
                left[0].companions = left[1:]
                self.settlement.again(left[0], str(self.settlement.trouble))
                self.dispatch.changed.notify()

    def begin_end(self) -> None:
        """Begin no further request."""
        self.dispatch.end(DeliveryStopped(ENDING))

    def close(self, timeout_s: float) -> None:
        """End: give requests under way some time, fail the rest."""
        stopped = DeliveryStopped(ENDING)
        self.begin_end()
        deadline = time.monotonic() + timeout_s
        for thread in self.threads:
            thread.join(max(0.0, deadline - time.monotonic()))
        with self.lock:
            self.dispatch.backlog.clear(stopped)
        self.client.close()

    def problem(self) -> DeliveryError | None:
        """What keeps events from being delivered now, for those who cannot wait."""
        with self.lock:
            if EVERYTHING in self.dispatch.breaker.halts:
                return self.dispatch.breaker.halts[EVERYTHING].error()
            return self.settlement.trouble if self.dispatch.failing else None

    def status(self) -> DestinationStatus:
        """The destination as it stands."""
        with self.lock:
            now, wall_ms = time.monotonic(), int(time.time() * 1000)
            state: Literal["idle", "delivering", "backing_off", "halted"] = (
                "delivering" if self.dispatch.backlog.queued else "idle"
            )
            if self.dispatch.breaker.halts:
                state = "halted"
            if self.dispatch.failing and EVERYTHING not in self.dispatch.breaker.halts:
                state = "backing_off"  # whatever brands are unknown besides
            return DestinationStatus(
                self.name,
                state,
                self.settlement.last_error,
                self.settlement.last_success_ms,
                self.dispatch.in_flight,
                max(0, self.dispatch.backlog.queued),
                self.dispatch.rate_limit.used(),
                self.dispatch.batch_size.events,
                self.dispatch.breaker.told(),
                dict(self.dispatch.backlog.events),
                dict(self.requests),
                self.sent_bytes,
                round(self.seconds, 3),
                self.settlement.trouble.hint if self.settlement.trouble and state == "backing_off" else "",
                ((token.problem, f"mend `{token.key}`"),) if (token := self.client.token).problem else (),
                self.dispatch.breaker.state(now),
                self.next_try_ms(now, wall_ms),
                tuple(
                    HaltedBrand(brand, halt.message, wall_ms + round(max(0.0, halt.probe_at - now) * 1000))
                    for brand, halt in self.dispatch.breaker.halts.items()
                ),
                tuple(self.log.counts),
                self.log.recent(),
                budget=self.dispatch.rate_limit.budget_status(),
            )

    def next_try_ms(self, now: float, wall_ms: int) -> int:
        """When a request that failed goes again (epoch ms), as far as that is known; 0 when none has to."""
        if not self.dispatch.breaker.failures and self.dispatch.breaker.state(now) != "open":
            return 0
        due = max(self.dispatch.breaker.resume_at, self.dispatch.backlog.player_order.next_release or now)
        return wall_ms + round(max(0.0, due - now) * 1000)
