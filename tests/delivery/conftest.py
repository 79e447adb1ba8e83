"""Delivery against the sandbox."""

from __future__ import annotations

import polars as pl
import pytest

from servers.certificates import Authority
from servers.plain import PlainServer
from smartico_sync.config.models import Smartico
from smartico_sync.core.events import BRAND, DATE, EID, KEY, PLAYER, POSITION, TYPE, USER, Events
from smartico_sync.delivery.router import Router
from smartico_sync.sandbox.api import Sandbox
from waiting import until


def some_events(count: int, players: int = 7, start: int = 0) -> Events:
    rows = range(start, start + count)
    return Events(
        pl.DataFrame(
            {
                EID: [f"00000000-0000-8000-8000-{row:012d}" for row in rows],
                DATE: [1_700_000_000_000 + row for row in rows],
                BRAND: ["b"] * count,
                USER: [f"u{row % players}" for row in rows],
                TYPE: ["acc_deposit_approved"] * count,
                KEY: [str(row) for row in rows],
                PLAYER: pl.Series([row % players for row in rows], dtype=pl.UInt64),
                POSITION: pl.Series(range(count), dtype=pl.UInt32),
                "acc_last_deposit_amount": [f"{row}.10" for row in rows],
                "acc_last_transaction_id": [str(row) for row in rows],
                "acc_last_deposit_date": [1_700_000_000_000 + row for row in rows],
            }
        ),
        frozenset({"acc_last_deposit_amount"}),
    )


def problem_of(delivery: Router):
    """What is told of a destination that fails; between two tries there may be nothing to tell."""
    found = []
    until(lambda: found.append(delivery.problem()) or found[-1], 0.01)
    return found[-1]


def backing_off(delivery: Router):
    """The status while the first destination waits for its next try."""
    found = []
    until(lambda: found.append(delivery.status()[0]) or found[-1].state == "backing_off", 0.01)
    return found[-1]


@pytest.fixture
def sandbox():
    """An empty ingest API."""
    with Sandbox(token="secret") as sandbox:
        yield sandbox


@pytest.fixture
def ingest(sandbox):
    """Delivery to the sandbox, with short pauses."""
    config = Smartico.model_validate({"url": sandbox.url, "token": "secret", "batch_events": 50, "timeout": 500})
    delivery = Router(config, pauses_s=(0.01, 0.02, 0.05))
    yield delivery
    delivery.close(1000)


@pytest.fixture
def plain_server():
    """Start a server of plain sockets: `server = plain_server(serve)`."""
    servers = []

    def start(serve, **more):
        servers.append(PlainServer(serve, **more))
        return servers[-1]

    yield start
    for server in servers:
        server.close()


@pytest.fixture
def router():
    """Start delivery to a URL, with short pauses: `router(url, timeout=500)`."""
    routers = []

    def start(url, base=None, **more):
        config = {"url": url, "token": "secret", "batch_events": 50, "timeout": 500, **more}
        if "token_file" in more:
            del config["token"]
        routers.append(Router(Smartico.model_validate(config), *([base] if base else []), pauses_s=(0.01, 0.02, 0.05)))
        return routers[-1]

    yield start
    for each in routers:
        each.close(1000)


@pytest.fixture
def authority(tmp_path, monkeypatch):
    """An authority that this machine trusts."""
    found = Authority(tmp_path)
    monkeypatch.setenv("SSL_CERT_FILE", str(found.certificate))
    return found
