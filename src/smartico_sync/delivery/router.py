"""Delivery: events in, receipts out, whatever the API answers."""

from __future__ import annotations

import threading
from pathlib import Path
from typing import TYPE_CHECKING

import polars as pl

from smartico_sync.core.batches import batches
from smartico_sync.core.events import BRAND, EID, POSITION, Events
from smartico_sync.core.reason_codes import TOO_LARGE
from smartico_sync.core.records import Receipt, Refusal
from smartico_sync.delivery.circuit_breaker import BACK_OFF_S
from smartico_sync.delivery.client import Client, Token
from smartico_sync.delivery.destination import Destination, DestinationStatus
from smartico_sync.delivery.pending_receipt import PendingReceipt
from smartico_sync.delivery.rate_limit import RateLimit

if TYPE_CHECKING:
    from concurrent.futures import Future

    from pydantic import SecretStr

    from smartico_sync.config.models import Brand, Smartico
    from smartico_sync.delivery.client import Answer
    from smartico_sync.delivery.protocol import Priority
    from smartico_sync.errors import DeliveryError

__all__ = ["Router"]


class Router:
    """See `delivery.protocol.Delivery`.

    One destination per URL and token; brands without their own share the first. Destinations of one token share its limits.
    """

    def __init__(self, config: Smartico, base: Path = Path(), *, pauses_s: tuple[float, ...] = BACK_OFF_S) -> None:
        self.config = config
        self.order = threading.Lock()
        self.lock = threading.RLock()
        self.base = base
        self.pauses_s = pauses_s
        self.rate_limits: dict[tuple[str | None, str | None], RateLimit] = {}
        self.default = self.destination("smartico", config.url, config.token, config.token_file, None)
        self.brands = {name: self.brand(name, brand) for name, brand in config.brands.items()}
        self.aliases = {name: brand.alias for name, brand in config.brands.items() if brand.alias}

    def destination(
        self, name: str, url: str, token: SecretStr | None, token_file: str | None, brand: Brand | None
    ) -> Destination:
        """A destination of its own, within the limits of its token."""
        secret = token.get_secret_value() if token is not None else None
        slots = (brand and brand.max_in_flight) or self.config.max_in_flight
        per_minute = (brand and brand.requests_per_minute) or self.config.requests_per_minute
        identity = (None, token_file) if token_file else (secret, None)
        rate_limit = self.rate_limits.setdefault(identity, RateLimit(per_minute, slots))
        client = Client(
            url,
            Token(secret, self.base / token_file if token_file else None),
            timeout_ms=self.config.timeout,
            encoding="gzip" if self.config.gzip else "identity",
        )
        return Destination(
            name,
            client,
            rate_limit,
            self.lock,
            workers=slots,
            batch_events=self.config.batch_events,
            pauses_s=self.pauses_s,
        )

    def brand(self, name: str, brand: Brand) -> Destination:
        """The destination of one brand: its own when URL or token differ."""
        if brand.url is None and brand.token is None and brand.token_file is None:
            return self.default
        own = brand.token is not None or brand.token_file is not None
        token, token_file = (brand.token, brand.token_file) if own else (self.config.token, self.config.token_file)
        return self.destination(name, brand.url or self.config.url, token, token_file, brand)

    def send(self, view: str, events: Events, *, priority: Priority = "live") -> Future[Receipt]:
        """See the protocol."""
        pending = PendingReceipt(view, priority, events)
        cut = [
            (destination, *batches(piece, destination.batch_size.events, self.config.batch_bytes))
            for destination, piece in self.routed(events)
        ]
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
        if self.aliases:
            renamed = pl.col(BRAND).replace(self.aliases)
            split = [(each, Events(piece.frame.with_columns(renamed), piece.raw)) for each, piece in split]
        return split

    def too_large(self, event: Events) -> Refusal:
        """An event that no request can hold."""
        reason = f"larger than batch_bytes ({self.config.batch_bytes} bytes)"
        return Refusal(event.frame.get_column(POSITION)[0], event.frame.get_column(EID)[0], TOO_LARGE, reason)

    def problem(self) -> DeliveryError | None:
        """What keeps events from being delivered now; None when nothing does."""
        return next(filter(None, (destination.problem() for destination in self.destinations())), None)

    def status(self) -> tuple[DestinationStatus, ...]:
        """Every destination as it stands."""
        return tuple(destination.status() for destination in self.destinations())

    def destinations(self) -> list[Destination]:
        """Each destination once."""
        return list({id(each): each for each in (self.default, *self.brands.values())}.values())

    def probe(self) -> list[tuple[str, Answer]]:
        """Post an empty array to each destination: reachable, and let in? Nothing is sent."""
        return [(each.name, each.client.post(b"[]")) for each in self.destinations()]

    def close(self, timeout_ms: int) -> None:
        """See the protocol."""
        for destination in self.destinations():
            destination.close(timeout_ms / 1000)
