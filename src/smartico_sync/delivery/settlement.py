"""What becomes of a request by its answer: it is settled, goes again, or what was sent fails."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Literal

import structlog
from msgspec.structs import replace

from smartico_sync.core.answer_errors import Refused
from smartico_sync.core.events import BRAND
from smartico_sync.core.reason_codes import UNKNOWN_BRAND
from smartico_sync.delivery.circuit_breaker import EVERYTHING
from smartico_sync.delivery.flight import verdicts_of
from smartico_sync.errors import DeliveryError, DeliveryUnavailable, DeliveryUnknown

if TYPE_CHECKING:
    from collections.abc import Mapping

    from smartico_sync.core.verdicts import Verdict
    from smartico_sync.delivery.client import Answer, Client
    from smartico_sync.delivery.dispatch import Dispatch
    from smartico_sync.delivery.request import Request

__all__ = ["Settlement"]

log = structlog.get_logger()


class Settlement:
    """Does what verdicts say, and knows what is wrong with the API. Called with the lock of `dispatch` held."""

    def __init__(self, name: str, client: Client, dispatch: Dispatch, aliases: Mapping[str, str]) -> None:
        self.name, self.client, self.dispatch = name, client, dispatch
        self.aliases = aliases
        self.trouble: DeliveryError | None = None
        self.last_error = ""
        self.last_success_ms: int | None = None

    def act(self, request: Request, verdict: Verdict, answer: Answer) -> None:
        """Do what the verdict says, and wake those who may start now."""
        before = self.dispatch.breaker.unavailable
        if request.trip == "first" and not before:
            self.dispatch.slow.went("failed" if verdict.decision in ("retry", "unknown", "halt") else "answered")
        if verdict.decision in ("retry", "unknown") and not (verdict.refused or verdict.duplicates or verdict.vague):
            self.unanswered(request, verdict, answer)
        elif verdict.decision == "halt":
            self.halt(verdict)
            for each in self.landed(request):
                self.dispatch.backlog.drop(each)
        else:
            self.answered(request, verdict, answer)
        self.dispatch.wake("all" if before and not self.dispatch.breaker.unavailable else "those who may start")

    def answered(self, request: Request, verdict: Verdict, answer: Answer) -> None:
        """The API looked at the events."""
        self.dispatch.breaker.answered()
        self.dispatch.batch_size.answered()
        slow = self.dispatch.slow
        flight = self.landed(request)
        players = (
            [player for each in flight for player in each.players] if slow.asks_for_players(answer.seconds) else ()
        )
        slow.answered(players, answer.seconds)
        self.dispatch.answered_at = time.monotonic()
        if len(flight) == 1:
            self.judged(request, verdict)
        elif verdict.decision == "bisect" or (verdict.decision == "brand" and not verdict.brands):
            for each in flight:
                each.trip = "again"
                self.dispatch.backlog.player_order.back(each)
        else:
            for each, part in verdicts_of(flight, verdict):
                self.judged(each, part)

    def landed(self, request: Request) -> list[Request]:
        """The requests that went in one body, each by itself again. Should they go again, it is in less company."""
        flight = request.flight
        for each in flight:
            each.company = len(flight) // 2
        request.companions = []
        return flight

    def judged(self, request: Request, verdict: Verdict) -> None:
        """The API said what it makes of the events of one request."""
        if verdict.decision == "brand" or verdict.brands:
            self.unknown_brands(request, verdict)
            return
        if self.dispatch.breaker.halts:
            # Also an answer that names events for another reason knows the brand: what is left of the request goes on at once.
            told = verdict.decision == "done" or verdict.refused or verdict.duplicates or verdict.vague
            self.dispatch.breaker.accepted(request.brands if told else ())
        self.last_success_ms = int(time.time() * 1000)
        if verdict.decision == "bisect":
            self.last_error = ""
            self.dispatch.backlog.bisect(request, verdict)
        else:
            self.last_error = f"{len(verdict.refused)} events refused" if verdict.refused else ""
            self.dispatch.backlog.settle(request, verdict)

    def unknown_brands(self, request: Request, verdict: Verdict) -> None:
        """Events of a brand the API does not know are refused, and nothing else."""
        names = request.frame.get_column(BRAND)
        places = verdict.brands or range(len(names))
        unknown = {names[place] for place in places}
        if not verdict.brands and len(unknown) > 1:
            self.dispatch.backlog.by_brand(request)
            return
        self.dispatch.breaker.accepted(set(names) - unknown)
        for brand in unknown:
            self.halt_brand(brand, verdict.reason or "unknown ext_brand_id")
        refused = {place: Refused(UNKNOWN_BRAND, self.dispatch.breaker.halts[names[place]].message) for place in places}
        decision: Literal["done", "retry"] = "retry" if verdict.decision == "retry" else "done"
        self.dispatch.backlog.settle(
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
            height = sum(each.frame.height for each in request.flight)
            if self.dispatch.batch_size.silent(height, request.silences):
                request.silences = 0
                if not request.companions:
                    self.dispatch.backlog.player_order.halve(request)
        pause = self.again(request, verdict.reason, answer.retry_after_s)
        if self.dispatch.breaker.lasting:
            self.client.drop_idle()  # the name may lead elsewhere by now
        log.warning(
            "delivery.retry", destination=self.name, view=request.pending.view, request=request.number, reason=verdict.reason,
            pause_s=round(pause, 1),
        )  # fmt: skip

    def again(self, request: Request, reason: str, retry_after_s: float = 0.0) -> float:
        """Let the same events go again after a pause, while their players wait; its seconds."""
        now = time.monotonic()
        pause = self.dispatch.breaker.failed(
            now,
            attempts=request.attempts,
            in_flight=self.dispatch.in_flight,
            retry_after_s=retry_after_s,
            request=request.number,
            others=request.others,
        )
        flight = self.landed(request)
        for each in flight:
            each.attempts, each.trip = each.attempts + 1, "again"
            each.failed_at, each.place = each.failed_at or now, "waiting"
        self.last_error = reason
        for each in flight:
            if each.ahead:
                continue
            if each.pending.over:
                self.dispatch.backlog.drop(each)
                continue
            self.dispatch.backlog.player_order.postpone(each, now + pause)
            self.dispatch.failed(now, each)
        return pause

    def halt(self, verdict: Verdict) -> None:
        """The token or the URL is wrong: what was sent fails at once, nothing of it is committed."""
        message, hint = self.client.halted(verdict), self.client.hint(verdict.cause)
        self.tell_halt(EVERYTHING, message, hint)
        error = self.dispatch.breaker.halt(time.monotonic(), EVERYTHING, message, hint)
        self.last_error = message
        self.dispatch.backlog.fail(error)

    def halt_brand(self, brand: str, reason: str) -> None:
        """The API does not know a brand: its events are refused until it does."""
        message = f"the ingest API does not know the brand {brand}: {reason}"
        called = [f"`smartico.brands.{name}.alias`" for name, alias in self.aliases.items() if alias == brand]
        way = f"correct {' and '.join(called)} in" if called else f"write `smartico.brands.{brand}.alias: NAME` into"
        hint = f"register {brand} with Smartico; or {way} views.yaml, then: smartico-sync reload"
        self.tell_halt(brand, message, hint)
        self.dispatch.breaker.halt(time.monotonic(), brand, message, hint)
        self.last_error = message

    def tell_halt(self, brand: str, message: str, hint: str) -> None:
        """Write a refusal down when it begins, or wants something else: every request on its way, and each that finds out, brings it again."""
        before = self.dispatch.breaker.halts.get(brand)
        if before is None or before.hint != hint:
            log.error("delivery.halted", destination=self.name, reason=message, hint=hint)
