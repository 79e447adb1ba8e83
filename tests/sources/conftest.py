"""Engines, as the contract suite sees them."""

from __future__ import annotations

import pytest

import engines
from smartico_sync.config.models import SourceConfig
from smartico_sync.core.position import Position
from smartico_sync.sources.registry import open_source


@pytest.fixture
def on_postgresql(request):
    yield from engines.serve("postgresql", request)


@pytest.fixture
def on_sqlite(request):
    yield from engines.serve("sqlite", request)


@pytest.fixture
def configured():
    """Open sources that are closed when the test ends: `configured(url, statement_timeout="1s")`.

    Behind views.yaml, which would refuse some of these URLs in words of its own.
    """
    sources = []

    def make(url, **fields):
        sources.append(open_source("replica", SourceConfig.model_validate({"url": url, **fields})))
        return sources[-1]

    yield make
    for source in sources:
        source.close()


@pytest.fixture(params=engines.parameters())
def engine(request):
    yield from engines.serve(request.param, request)


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
