"""BigQuery: a project of the operator's own where SYNC_TEST_BIGQUERY_URL names one, else the stand-in."""

from __future__ import annotations

import json
import os
import urllib.request
import uuid
from dataclasses import dataclass
from urllib.parse import urlencode

import pytest
from google.cloud.bigquery import Client

from servers.patient import patient
from smartico_sync.sources.bigquery.login import Login
from smartico_sync.sources.kit.url import Url, parse
from stand_ins.process import StandIn


@dataclass(frozen=True)
class Project:
    """Where tests may make datasets. `url` names the project and its owner's credentials."""

    url: Url
    port: int = 0  # of the stand-in

    def text(self, dataset: str = "", **parameters: object) -> str:
        """The URL as an operator writes it; parameters are added, or replace what is there."""
        given = {**self.url.parameters, **{name: str(value) for name, value in parameters.items()}}
        return f"bigquery://{self.url.hosts[0][0]}/{dataset}?{urlencode(given)}"

    def owner(self, dataset: str = "") -> Client:
        """A client that may write, made with the same parameters."""
        return Login(patient(self.text(dataset))).client()

    def told(self, **rights: str) -> list[dict]:
        """The last requests that the stand-in was sent; rights may be changed."""
        body = json.dumps(rights).encode() if rights else None
        request = urllib.request.Request(f"http://127.0.0.1:{self.port}/told", body)
        with urllib.request.urlopen(request) as answer:
            return json.load(answer)

    def queries(self) -> list[str]:
        """The texts of the queries that were run, not of those that were only estimated."""
        return [asked["query"] for asked in self.told() if "query" in asked]


@dataclass(frozen=True)
class Dataset:
    """A dataset of one test's own."""

    project: Project
    name: str
    client: Client

    @property
    def url(self) -> str:
        return self.project.text(self.name)

    def execute(self, *statements: str) -> list[tuple]:
        rows: list[tuple] = []
        for statement in statements:
            rows = [row.values() for row in self.client.query_and_wait(statement)]
        return rows


def emulated(told: dict) -> Project:
    place = f"host=127.0.0.1&port={told['port']}&storage_port={told['storage']}&protocol=http"
    return Project(parse(f"bigquery://casino-project/?{place}"), told["port"])


@pytest.fixture(scope="session")
def bigquery_server():
    """A project for this worker's whole session."""
    address = os.environ.get("SYNC_TEST_BIGQUERY_URL")
    if address:
        yield Project(parse(address))
        return
    stand_in = StandIn.start("bigquery")
    yield emulated(stand_in.told)
    stand_in.stop()


@pytest.fixture
def bigquery_dataset(bigquery_server):
    """An empty dataset, dropped afterwards."""
    name = f"t_{uuid.uuid4().hex[:12]}"
    client = bigquery_server.owner(name)
    client.create_dataset(name)
    yield Dataset(bigquery_server, name, client)
    client.delete_dataset(name, delete_contents=True)
    client.close()
    if bigquery_server.port:
        bigquery_server.told(storage="granted")
