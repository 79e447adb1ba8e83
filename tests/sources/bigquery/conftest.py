"""BigQuery, and its stand-in where only that will do."""

from __future__ import annotations

import pytest

import engines


@pytest.fixture
def on_bigquery(request):
    yield from engines.serve("bigquery", request)


@pytest.fixture
def project(bigquery_server):
    """The stand-in, whose answers to strange questions are tested."""
    if not bigquery_server.port:
        pytest.skip("only the stand-in tells what it was told")
    return bigquery_server
