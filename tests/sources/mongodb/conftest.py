"""MongoDB, and its stand-in where only that will do."""

from __future__ import annotations

import pytest

import engines


@pytest.fixture
def on_mongodb(request):
    yield from engines.serve("mongodb", request)


@pytest.fixture
def emulated(mongodb_database):
    """A database of the stand-in, whose answers to strange questions are tested."""
    if not mongodb_database.server.ports:
        pytest.skip("only the stand-in tells what it was told")
    return mongodb_database
