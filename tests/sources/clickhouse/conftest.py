"""ClickHouse, and its stand-in where only that will do."""

from __future__ import annotations

import pytest

import engines


@pytest.fixture
def on_clickhouse(request):
    yield from engines.serve("clickhouse", request)


@pytest.fixture
def server(clickhouse_server):
    """The stand-in, whose users and answers are known."""
    if not clickhouse_server.port:
        pytest.skip("only the stand-in has these users, and tells what it was told")
    return clickhouse_server
