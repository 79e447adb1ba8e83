"""MongoDB: a replica set of the operator's own where SYNC_TEST_MONGODB_URL names one, else the stand-in."""

from __future__ import annotations

import json
import os
import uuid
from dataclasses import dataclass
from urllib.parse import urlencode

import pytest
from pymongo import MongoClient

from smartico_sync.sources.mongodb.documents import CODEC
from stand_ins.process import StandIn

OWNER, READER = ("owner", "o:@/w", "owner"), ("reader", "r%e?d#", "reader")
FINDER, STRANGER = ("finder", "f", "finder"), ("stranger", "st", "stranger")


@dataclass(frozen=True)
class Mongo:
    """Where tests may make databases. `ports` are the stand-in's members, the primary first; none on a server of one's own."""

    given: str = ""
    ports: tuple[int, ...] = ()
    login: str = ""

    def url(self, database: str, **parameters: object) -> str:
        """The URL as an operator writes it; parameters are added."""
        if self.given:
            place, _, query = self.given.partition("?")
            scheme, _, hosts = place.partition("://")
            return f"{scheme}://{hosts.partition('/')[0]}/{database}?{'&'.join(filter(None, (query, urlencode(parameters))))}"
        hosts = ",".join(f"127.0.0.1:{port}" for port in self.ports)
        return f"mongodb://{self.login}{hosts}/{database}?{urlencode({'replicaSet': 'rs0', **parameters})}"

    def owner(self, **parameters: object) -> MongoClient:
        """A client that may write."""
        return MongoClient(self.url("admin", **parameters), tz_aware=True)


@dataclass(frozen=True)
class Database:
    """A database of one test's own; `client` writes there."""

    server: Mongo
    name: str
    client: MongoClient

    @property
    def url(self) -> str:
        return self.server.url(self.name)

    @property
    def here(self):
        return self.client[self.name]

    def tell(self, what: str, port: int = 0) -> dict:
        """Say something to the stand-in itself: `commands`, `hold`, `follow`, `stepdown`."""
        with MongoClient("127.0.0.1", port or self.server.ports[0], directConnection=True) as client:
            return client.admin.command({"stand_in": what}, codec_options=CODEC)


def failing(client: MongoClient, code: int = 0, commands: tuple[str, ...] = ("aggregate",), times: int = 1, **data):
    """Make the next of these commands fail."""
    told = {"failCommands": list(commands), "errorCode": code, **data}
    client.admin.command("configureFailPoint", "failCommand", mode={"times": times}, data=told)


@pytest.fixture(scope="session")
def mongodb_server():
    """A set of one member for this worker's whole session."""
    address = os.environ.get("SYNC_TEST_MONGODB_URL")
    if address:
        yield Mongo(address)
        return
    stand_in = StandIn.start("mongodb")
    yield Mongo(ports=tuple(stand_in.told["ports"]))
    stand_in.stop()


@pytest.fixture
def mongodb_database(mongodb_server):
    """An empty database, dropped afterwards."""
    name = f"t_{uuid.uuid4().hex[:12]}"
    with mongodb_server.owner() as client:
        yield Database(mongodb_server, name, client)
        client.drop_database(name)


@pytest.fixture
def private_mongodb():
    """Start stand-ins with settings of one's own: `started = private_mongodb(secondary=True)`; see the stand-in."""
    running = []

    def start(**settings: object) -> Mongo:
        running.append(StandIn.start("mongodb", json.dumps(settings)))
        return Mongo(ports=tuple(running[-1].told["ports"]))

    start.running = running
    yield start
    for stand_in in running:
        if stand_in.process.poll() is None:
            stand_in.stop()
