"""Redshift's connections beyond the contract: a gate that says nothing, a killed backend."""

from __future__ import annotations

import time

import pytest

from smartico_sync.core.relation import Relation
from smartico_sync.errors import SourceCancelled, SourceUnreachable

BETS = Relation("bets", "id", ("id",), relation="bets")


def test_a_silent_gate_is_given_up(redshift, configured, proxied):
    """A server that takes the connection and says nothing: SourceUnreachable after connect_timeout."""
    proxy = proxied(redshift.port)
    proxy.black_hole()
    with pytest.raises(SourceUnreachable, match="in time"):
        configured(redshift.through(proxy.port) + "?ssl=off&connect_timeout=1").facts()


def test_a_killed_backend_is_transient(redshift, configured):
    """pg_terminate_backend: a transient failure, and the next reading works."""
    redshift.execute("CREATE TABLE bets (id int)")
    source = configured(redshift.url)
    found = source.describe(BETS)
    kill = "SELECT pg_terminate_backend(pid, 5000) FROM pg_stat_activity WHERE application_name = 'smartico-sync' AND datname = current_database()"
    with pytest.raises((SourceCancelled, SourceUnreachable)), source.reading(found) as reading:  # noqa: PT012  - it works, then it fails
        reading.page(None, 5)
        redshift.execute(kill)
        reading.page(None, 5)
    with source.reading(found) as reading:
        assert reading.page(None, 5).height == 0
    redshift.execute(kill)
    time.sleep(0.1)  # the farewell is on its way
    with source.reading(found) as reading:
        assert reading.page(None, 5).height == 0
