from __future__ import annotations

import uuid

import polars as pl
import pytest

from servers.postgresql import Database
from smartico_sync.core.position import Position
from smartico_sync.core.records import Commit, DeadLetter, ParkedRow, UndeliveredRow
from smartico_sync.state.group import Group
from smartico_sync.state.place import FilePlace, ServerPlace
from smartico_sync.state.postgresql.tables import SCHEMA

SECRET = bytes(range(32))


@pytest.fixture
def path(tmp_path):
    return tmp_path / "state" / "sync.db"


@pytest.fixture(scope="session")
def state_database(postgresql_server):
    """A database for the states of this worker's tests, one after another."""
    name = f"state_{uuid.uuid4().hex[:12]}"
    postgresql_server.create_database(name)
    yield Database(postgresql_server, name)
    postgresql_server.admin(f"DROP DATABASE {name} WITH (FORCE)")


@pytest.fixture
def server_place(state_database):
    """Where no state is yet, in PostgreSQL."""
    state_database.execute(f"DROP SCHEMA IF EXISTS {SCHEMA} CASCADE")
    return ServerPlace(state_database.admin_url, SECRET, 10.0, (Group("default", ("users", "bets"), "these views"),))


@pytest.fixture(params=["sqlite", "postgresql"])
def place(request):
    """Where no state is yet: each test of the store's promises runs on both databases."""
    if request.param == "postgresql":
        return request.getfixturevalue("server_place")
    return FilePlace(request.getfixturevalue("path"))


@pytest.fixture
def store(place):
    with place.open() as opened:
        opened.begin("users", "definition", "first", 1)
        opened.begin("bets", "definition", "now", 2)
        yield opened


@pytest.fixture
def rows():
    def make(keys, cursors):
        return pl.DataFrame({"key": keys, "cursor_ms": cursors}, schema={"key": pl.UInt64, "cursor_ms": pl.Int64})

    return make


@pytest.fixture
def profiles():
    def make(ids, whole=b"12345678", parts=None, cursor_at=None):
        schema = {"id": pl.UInt64, "whole": pl.Binary, "parts": pl.Binary, "cursor_at": pl.Int64}
        n = len(ids)
        held = {"id": ids, "whole": [whole] * n, "parts": [parts] * n, "cursor_at": [cursor_at] * n}
        return pl.DataFrame(held, schema=schema)

    return make


@pytest.fixture
def undelivered():
    def make(key="7", *, player=0):
        return UndeliveredRow("bets", key, Position("c", (key,)), f"eid-{key}", "casino_bet", "00ff", player)

    return make


@pytest.fixture
def dead_letter(undelivered):
    def make(key="7", *, code=2, at_ms=5, **row):
        return DeadLetter(undelivered(key, **row), code, "not a number", at_ms)

    return make


@pytest.fixture
def parked(undelivered):
    def make(key="7", *, due=10, **row):
        return ParkedRow(undelivered(key, **row), 2, "not a number", 5, due, 99, tries=1)

    return make


@pytest.fixture
def page(rows):
    def make(number, view="bets"):
        position = Position(str(number), (f"k{number}",))
        ledger = rows([number, 2**64 - 1 - number], [number, number])
        return Commit(view, number, head=position, watermark=position, ledger=ledger, counts={"delivered": 2})

    return make
