"""Snowflake: an account of the operator's own where SYNC_TEST_SNOWFLAKE_URL names one, else the stand-in."""

from __future__ import annotations

import json
import os
import urllib.request
import uuid
from dataclasses import dataclass
from urllib.parse import quote, urlencode

import pytest
import snowflake.connector

from servers.patient import patient
from smartico_sync.sources.kit.url import Url, parse
from smartico_sync.sources.snowflake.login import Login
from stand_ins.process import StandIn

PASSWORD = "r€ader:p@ss/word?#%"  # every character that a URL could stumble over
WAREHOUSE = "FAKESNOW_WAREHOUSE"


@dataclass(frozen=True)
class Account:
    """Where tests may make schemas. `url` names the account, its owner's login, and a database."""

    url: Url
    port: int = 0  # of the stand-in

    def text(self, schema: str = "", *, user: str = "", password: str = "", **parameters: object) -> str:
        """The URL as an operator writes it; parameters are added, or replace what is there."""
        login = f"{quote(user or self.url.user, safe='')}:{quote(password or self.url.password, safe='')}"
        given = {**self.url.parameters, **{name: str(value) for name, value in parameters.items()}}
        path = f"{self.url.path.partition('/')[0]}/{schema}".rstrip("/")
        return f"snowflake://{login}@{self.url.hosts[0][0]}/{path}?{urlencode(given)}"

    def told(self) -> dict:
        """What the last login said to the stand-in, and the last statements."""
        with urllib.request.urlopen(f"http://127.0.0.1:{self.port}/told") as answer:
            return json.load(answer)

    def owner(self, schema: str = "") -> snowflake.connector.SnowflakeConnection:
        """A connection that may write, made with the same parameters."""
        return snowflake.connector.connect(**Login(patient(self.text(schema))).arguments())


@dataclass(frozen=True)
class Schema:
    """A schema of one test's own."""

    account: Account
    name: str
    connection: snowflake.connector.SnowflakeConnection

    @property
    def url(self) -> str:
        return self.account.text(self.name)

    def execute(self, *statements: str) -> list[tuple]:
        rows: list[tuple] = []
        with self.connection.cursor() as cursor:
            for statement in statements:
                rows = cursor.execute(statement).fetchall()
        return rows


def emulated(port: int) -> Account:
    url = f"snowflake://reader:{quote(PASSWORD, safe='')}@account/SYNC?host=127.0.0.1&port={port}&protocol=http"
    return Account(parse(f"{url}&warehouse={WAREHOUSE}&role=READER"), port)


@pytest.fixture(scope="session")
def snowflake_server():
    """An account for this worker's whole session."""
    address = os.environ.get("SYNC_TEST_SNOWFLAKE_URL")
    if address:
        yield Account(parse(address))
        return
    stand_in = StandIn.start("snowflake")
    yield emulated(stand_in.told["port"])
    stand_in.stop()


@pytest.fixture
def snowflake_schema(snowflake_server):
    """An empty schema, dropped afterwards."""
    name = f"T_{uuid.uuid4().hex[:12].upper()}"
    with snowflake_server.owner() as connection:
        connection.cursor().execute(f"CREATE SCHEMA {name}")
        connection.cursor().execute(f"USE SCHEMA {name}")
        yield Schema(snowflake_server, name, connection)
        connection.cursor().execute(f"DROP SCHEMA {name} CASCADE")


@pytest.fixture
def private_snowflake():
    """A stand-in that the test may stop and start again."""
    running = [StandIn.start("snowflake")]
    yield running
    for stand_in in running:
        stand_in.stop()
