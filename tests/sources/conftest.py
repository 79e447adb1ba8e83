"""Engines, as the contract suite sees them."""

from __future__ import annotations

import sqlite3

import pytest

from smartico_sync.config.models import SourceConfig
from smartico_sync.core.position import Position
from smartico_sync.sources.open import open_source

TYPES = {
    "postgresql": {"big": "bigint", "timestamp": "timestamp", "instant": "timestamptz", "decimal": "numeric(38,10)"},
    "sqlite": {"big": "INTEGER", "timestamp": "TIMESTAMP", "instant": "TIMESTAMPTZ", "decimal": "TEXT"},
}


class Engine:
    """One database to test: `execute` writes as its owner, `source` reads as an operator would."""

    def __init__(self, name, url, execute):
        self.name = name
        self.url = url
        self.execute = execute
        self.types = TYPES[name]
        self._open = []

    def source(self, **config):
        source = open_source("replica", SourceConfig.model_validate({"url": self.url, **config}))
        self._open.append(source)
        return source

    def close(self):
        for source in self._open:
            source.close()


@pytest.fixture
def on_postgresql(request):
    database = request.getfixturevalue("postgresql")
    engine = Engine("postgresql", database.url, database.execute)
    yield engine
    engine.close()


@pytest.fixture
def on_sqlite(tmp_path):
    path = tmp_path / "replica.db"
    writer = sqlite3.connect(path, isolation_level=None)
    writer.execute("PRAGMA journal_mode=WAL")

    def execute(*statements):
        rows = []
        for statement in statements:
            rows = writer.execute(statement).fetchall()
        return rows

    engine = Engine("sqlite", f"sqlite:///{path}", execute)
    yield engine
    engine.close()
    writer.close()


@pytest.fixture(params=["postgresql", "sqlite"])
def engine(request):
    return request.getfixturevalue(f"on_{request.param}")


def position(frame, row=-1):
    """The position of a frame's row."""
    keys = sorted(name for name in frame.columns if name.startswith("@key."))
    return Position(frame["@cursor"][row], tuple(frame[name][row] for name in keys))


@pytest.fixture(name="position")
def _position():
    return position


@pytest.fixture
def walk():
    """All pages of a relation, one reading each, as the tracker reads them."""

    def pages(source, relation, limit):
        found, after = [], None
        for _ in range(10_000):
            with source.reading(relation) as reading:
                page = reading.page(after, limit)
            if not page.height:
                return found
            found.append(page)
            after = position(page)
        raise AssertionError("the walk does not end")

    return pages
