"""ClickHouse: a server of the operator's own where SYNC_TEST_CLICKHOUSE_URL names one, else its engine behind HTTP."""

from __future__ import annotations

import json
import os
import urllib.request
import uuid
from dataclasses import dataclass
from urllib.parse import quote, urlencode

import clickhouse_connect
import pytest

from servers.patient import patient
from smartico_sync.sources.clickhouse.login import Login
from smartico_sync.sources.kit.url import Url, parse
from stand_ins.process import StandIn


@dataclass(frozen=True)
class Server:
    """Where tests may make databases. `url` is its owner's login."""

    url: Url
    port: int = 0  # of the stand-in

    def text(
        self, database: str = "", *, user: str = "", password: str = "", port: int = 0, **parameters: object
    ) -> str:
        """The URL as an operator writes it; parameters are added, or replace what is there."""
        login = f"{quote(user or self.url.user, safe='')}:{quote(password or self.url.password, safe='')}"
        given = {**self.url.parameters, **{name: str(value) for name, value in parameters.items()}}
        host, own = self.url.hosts[0]
        return f"clickhouse://{login}@{host}:{port or own}/{database}" + (f"?{urlencode(given)}" if given else "")

    def told(self) -> list[dict]:
        """What the last requests said to the stand-in."""
        with urllib.request.urlopen(f"http://127.0.0.1:{self.port}/told") as answer:
            return json.load(answer)

    def owner(self, database: str = ""):
        """A client that may write."""
        login = Login(patient(self.text(database)))
        return clickhouse_connect.get_client(**login.arguments(*login.hosts()[0]))


@dataclass(frozen=True)
class Database:
    """A database of one test's own."""

    server: Server
    name: str
    client: object

    @property
    def url(self) -> str:
        return self.server.text(self.name)

    def execute(self, *statements: str) -> list[tuple]:
        """The rows of the last; several in one text are separated as in a script."""
        rows: list[tuple] = []
        for statement in statements:
            if statement.lstrip().upper().startswith(("SELECT", "SHOW", "EXPLAIN")):
                rows = self.client.query(statement).result_rows
            else:
                self.client.command(statement.rstrip("; "))
        return rows


def emulated(stand_in: StandIn) -> Server:
    port = stand_in.told["port"]
    return Server(parse(f"clickhouse://default:{quote(stand_in.told['password'], safe='')}@127.0.0.1:{port}"), port)


@pytest.fixture(scope="session")
def clickhouse_server():
    """A server for this worker's whole session."""
    address = os.environ.get("SYNC_TEST_CLICKHOUSE_URL")
    if address:
        yield Server(parse(address))
        return
    stand_in = StandIn.start("clickhouse")
    yield emulated(stand_in)
    stand_in.stop()


@pytest.fixture
def clickhouse_database(clickhouse_server):
    """An empty database, dropped afterwards."""
    name = f"t_{uuid.uuid4().hex[:12]}"
    client = clickhouse_server.owner()
    client.command(f"CREATE DATABASE {name}")
    owner = clickhouse_server.owner(name)
    yield Database(clickhouse_server, name, owner)
    owner.close()
    client.command(f"DROP DATABASE {name} SYNC")
    client.close()


@pytest.fixture
def private_clickhouse():
    """Start stand-ins that the test may stop; arguments are the files of its certificate, key and authority."""
    running = []

    def start(*arguments: object) -> StandIn:
        running.append(StandIn.start("clickhouse", *arguments))
        return running[-1]

    yield start
    for stand_in in running:
        if stand_in.process.poll() is None:
            stand_in.stop()
