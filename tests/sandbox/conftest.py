from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any
from uuid import UUID

import httpx
import orjson
import pytest

from smartico_sync.sandbox.api import Sandbox

BET = {
    "casino_last_bet_amount": 1.5, "casino_last_bet_id": "r1", "casino_last_bet_dt": 1_717_508_861_954,
    "casino_last_bet_game_name": "Book",
}  # fmt: skip
HEADERS = {"Authorization": "secret", "Content-Type": "application/json"}


class Caller:
    """Posts events to a sandbox over one kept-alive connection."""

    def __init__(self, sandbox: Sandbox) -> None:
        self.sandbox = sandbox
        self.client = httpx.Client(headers=HEADERS, timeout=10, trust_env=False)

    def post(self, events: Any, **more: Any) -> httpx.Response:
        content = events if isinstance(events, bytes) else orjson.dumps(events)
        return self.client.post(self.sandbox.url, content=content, **more)

    def get(self, path: str) -> httpx.Response:
        return self.client.get(self.sandbox.base + path)

    @property
    def stats(self) -> dict[str, Any]:
        return self.sandbox.stats()


@pytest.fixture
def running() -> Iterator[Callable[..., Caller]]:
    """Start sandboxes that end with the test."""
    callers: list[Caller] = []

    def start(**options: Any) -> Caller:
        callers.append(Caller(Sandbox(**options).start()))
        return callers[-1]

    yield start
    for caller in callers:
        caller.client.close()
        caller.sandbox.stop()


def event(
    number: int, event_type: str = "casino_bet", *, user: str = "7", payload: dict[str, Any] | None = None, **more: Any
) -> dict:
    """A good event; the same number, the same eid."""
    return {
        "eid": str(UUID(int=number)),
        "event_date": 1_717_508_861_954,
        "ext_brand_id": "brand",
        "user_ext_id": user,
        "event_type": event_type,
        "payload": dict(BET) if payload is None else payload,
    } | more


@pytest.fixture
def make() -> Callable[..., dict]:
    """Make good events."""
    return event
