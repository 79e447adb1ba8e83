"""Delivery: events in, receipts out, whatever the API answers."""

from __future__ import annotations

import threading
import time
from pathlib import Path
from typing import TYPE_CHECKING

import polars as pl
import structlog
from msgspec import Struct
from msgspec.structs import replace

from smartico_sync.config.models import Brand
from smartico_sync.core.events import BRAND, EID, POSITION, Events
from smartico_sync.core.reason_codes import TOO_LARGE
from smartico_sync.core.records import Receipt, Refusal
from smartico_sync.delivery.circuit_breaker import BACKOFF
from smartico_sync.delivery.client import Client
from smartico_sync.delivery.destination import Destination, DestinationStatus
from smartico_sync.delivery.pending_receipt import PendingReceipt
from smartico_sync.delivery.rate_limit import RateLimit
from smartico_sync.delivery.shared_limit import SharedLimit
from smartico_sync.delivery.token import Token

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from concurrent.futures import Future

    from smartico_sync.config.models import Smartico
    from smartico_sync.core.records import Holds
    from smartico_sync.delivery.protocol import Priority, Requests
    from smartico_sync.delivery.shared_limit import Budget
    from smartico_sync.errors import DeliveryError

__all__ = ["Probe", "Router", "aliases_of", "under_aliases"]

log = structlog.get_logger()


class Probe(Struct, frozen=True):
    """What one destination answers: nothing `wrong`, or what, and a hint."""

    name: str
    wrong: str
    hint: str
    seconds: float


class Router:
    """See `delivery.protocol.Delivery`.

    One destination per URL and token; brands without their own share the first. Destinations of one token share its limits.
    `budget_of`: where the requests of a token are drawn from that other processes use, too; it is given what tells the token from others.
    """

    def __init__(
        self,
        config: Smartico,
        base: Path = Path(),
        *,
        pauses_s: tuple[float, ...] = BACKOFF.steps_s,
        budget_of: Callable[[str], Budget] | None = None,
    ) -> None:
        self.config = config
        self.budget_of = budget_of
        self.order = threading.Lock()
        self.lock = threading.RLock()
        self.base = base
        self.pauses_s = pauses_s
        self.rate_limits: dict[tuple[str | None, str | None], RateLimit] = {}
        self.made: list[Destination] = []
        self.aliases = aliases_of(config)
        self.default = self.destination("smartico", Brand(), "smartico")
        self.brands = {name: self.brand(name, brand) for name, brand in config.brands.items()}

    def destination(self, name: str, brand: Brand, own: str) -> Destination:
        """A destination of its own, within the limits of its token. What the brand lacks is as for all. `own`: where it is configured."""
        config = self.config
        holder, place = (
            (brand, own) if brand.token is not None or brand.token_file is not None else (config, "smartico")
        )
        secret = holder.token.get_secret_value() if holder.token is not None else None
        file = holder.token_file
        slots = brand.max_in_flight or config.max_in_flight
        per_minute = brand.requests_per_minute or config.requests_per_minute
        identity = (None, file) if file else (secret, None)
        client = Client(
            brand.url or config.url,
            Token(secret, self.base / file if file else None, key=f"{place}.{'token_file' if file else 'token'}"),
            timeout_ms=config.timeout,
            encoding="gzip" if config.gzip else "identity",
            key=f"{own if brand.url else 'smartico'}.url",
        )
        made = Destination(
            name,
            client,
            self.limit_of(identity, per_minute, slots),
            self.lock,
            workers=slots,
            batch_events=config.batch_events,
            batch_bytes=config.batch_bytes,
            pauses_s=self.pauses_s,
            aliases=self.aliases,
        )
        self.made.append(made)
        return made

    def limit_of(self, identity: tuple[str | None, str | None], per_minute: int, slots: int) -> RateLimit:
        """The limits of a token."""
        if identity not in self.rate_limits:
            self.rate_limits[identity] = (
                RateLimit(per_minute, slots)
                if self.budget_of is None
                else SharedLimit(per_minute, slots, self.budget_of(repr(identity)), self.lock, self.wake)
            )
        return self.rate_limits[identity]

    def wake(self) -> None:
        """Have those look that wait for the budget."""
        with self.lock:
            for destination in self.made:
                destination.dispatch.wake("all")

    def share(self, members: int) -> None:
        """So many use the tokens at the same time, this one among them."""
        with self.lock:
            for limit in self.rate_limits.values():
                limit.share(members)

    def brand(self, name: str, brand: Brand) -> Destination:
        """The destination of one brand: its own when URL or token differ."""
        if brand.url is None and brand.token is None and brand.token_file is None:
            return self.default
        # Two destinations of one name would be one line of the metrics twice, and no monitoring takes that.
        told = name
        while told == self.default.name or (told != name and told in self.config.brands):
            told += " (brand)"
        return self.destination(told, brand, f"smartico.brands.{name}")

    def send(
        self,
        view: str,
        events: Events,
        *,
        priority: Priority = "live",
        holds: Holds | None = None,
        requests: Requests = "spread",
    ) -> Future[Receipt]:
        """See the protocol."""
        pending = PendingReceipt(view, priority, events, holds, requests)
        cut = [
            (destination, *destination.cut(piece, self.config.batch_bytes, requests))
            for destination, piece in self.routed(events)
        ]
        log.debug("send", view=view, send=pending.number, events=len(events), priority=priority)
        with self.order:  # sends keep their order over all views
            for destination, ready, large in cut:
                if large:
                    with self.lock:
                        pending.judged(0, 0, [self.too_large(event) for event in large])
                destination.send(ready, pending)
        return pending.future

    def routed(self, events: Events) -> list[tuple[Destination, Events]]:
        """Events by destination, with the brand's name on the wire."""
        if not self.brands or not len(events):
            return [(self.default, events)]
        brand = events.frame.get_column(BRAND)
        split: list[tuple[Destination, Events]] = []
        for destination in {id(each): each for each in (*self.brands.values(), self.default)}.values():
            names = [name for name, each in self.brands.items() if each is destination]
            mask = ~brand.is_in(list(self.brands)) if destination is self.default else brand.is_in(names)
            if destination is self.default and names:
                mask = mask | brand.is_in(names)
            piece = events.take(mask)
            if len(piece):
                split.append((destination, piece))
        return [(each, under_aliases(piece, self.aliases)) for each, piece in split]

    def too_large(self, event: Events) -> Refusal:
        """An event that no request can hold."""
        reason = f"larger than `batch_bytes` ({self.config.batch_bytes} bytes)"
        return Refusal(event.frame.get_column(POSITION)[0], event.frame.get_column(EID)[0], TOO_LARGE, reason)

    def problem(self) -> DeliveryError | None:
        """What keeps events from being delivered now; None when nothing does."""
        return next(filter(None, (destination.problem() for destination in self.destinations())), None)

    def busy(self, view: str) -> bool:
        """See the protocol."""
        with self.lock:
            return any(destination.dispatch.busy(view) for destination in self.destinations())

    def only_while(self, holding: Callable[[], bool]) -> None:
        """Begin no request while another member may have the state."""
        for destination in self.destinations():
            destination.dispatch.holding = holding

    def halve_for(self, seconds: float) -> None:
        """Use half the slots of each token for so long."""
        with self.lock:
            for limit in self.rate_limits.values():
                limit.halve_for(seconds)

    def status(self) -> tuple[DestinationStatus, ...]:
        """Every destination as it stands."""
        return tuple(
            replace(destination.status(), clock_ahead_ms=destination.client.clock_ahead_ms)
            for destination in self.destinations()
        )

    def destinations(self) -> list[Destination]:
        """Each destination once."""
        return list({id(each): each for each in (self.default, *self.brands.values())}.values())

    def probe(self) -> list[Probe]:
        """Post an empty array to each destination: reachable, and let in? Nothing is sent."""
        return [self.tried(each) for each in self.destinations()]

    def tried(self, destination: Destination) -> Probe:
        """One destination's answer to nothing."""
        client = destination.client
        answer = client.post(b"[]")
        verdict = client.verdict(answer, [], [])
        wrong = verdict.reason if verdict.decision in ("retry", "unknown") else ""
        if verdict.decision == "halt":
            wrong = client.halted(verdict)
        hint = client.hint(verdict.cause) or "wait until the API is back"
        return Probe(destination.name, wrong, hint if wrong else "", answer.seconds)

    def close(self, timeout_ms: int) -> None:
        """See the protocol."""
        until = time.monotonic() + timeout_ms / 1000
        for destination in self.destinations():
            destination.begin_end()
        for destination in self.destinations():
            destination.close(max(0.0, until - time.monotonic()))
        for limit in self.rate_limits.values():
            limit.close()


def aliases_of(config: Smartico) -> dict[str, str]:
    """What Smartico knows brands as, by the name that the views have."""
    return {name: brand.alias for name, brand in config.brands.items() if brand.alias}


def under_aliases(events: Events, aliases: Mapping[str, str]) -> Events:
    """The events under the names by which Smartico knows their brands."""
    return (
        Events(events.frame.with_columns(pl.col(BRAND).replace(aliases)), events.raw)
        if aliases and len(events)
        else events
    )
