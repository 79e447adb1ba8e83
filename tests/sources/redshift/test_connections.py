"""Redshift's connections: hosts, a bad network, time limits."""

from __future__ import annotations

import threading
import time

import pytest

from smartico_sync.core.relation import Relation
from smartico_sync.errors import SourceCancelled, SourceError, SourceUnreachable
from waiting import until

BETS = Relation("bets", "id", ("id",), relation="bets")


def test_nobody_listens(configured, proxied):
    """A refused connection, an unknown host: SourceUnreachable at once; the next host is taken."""
    proxy = proxied(1)
    proxy.refuse()
    with pytest.raises(SourceUnreachable, match="nobody answers"):
        configured(f"redshift://r:x@127.0.0.1:{proxy.port}/d?ssl=off").facts()
    with pytest.raises(SourceUnreachable, match="host name is unknown"):
        configured("redshift://r:x@nowhere.invalid/d?ssl=off").facts()


def test_the_next_host_is_taken(redshift, configured):
    """A dead or unknown host costs a moment and nothing else."""
    source = configured(redshift.url.replace("@127.0.0.1", "@nowhere.invalid,127.0.0.1:1,127.0.0.1"))
    assert source.facts().version


@pytest.fixture
def through_proxy(request, redshift, configured, proxied):
    """A described source behind a network that may misbehave; 20,000 rows of 200 bytes; `statement_timeout` is the parameter."""
    redshift.execute("CREATE TABLE bets AS SELECT i AS id, repeat('x', 200) AS note FROM generate_series(1, 20000) i")
    proxy = proxied(redshift.port)
    source = configured(redshift.through(proxy.port) + "?ssl=off", statement_timeout=getattr(request, "param", "20s"))
    return source, source.describe(BETS), proxy


@pytest.mark.parametrize("through_proxy", ["1s"], indirect=True)
def test_a_black_hole_is_noticed(through_proxy):
    """A network that swallows everything: SourceUnreachable within the client's own timeout; mended, the next reading works."""
    source, found, proxy = through_proxy
    with pytest.raises(SourceUnreachable, match="no answer"), source.reading(found) as reading:  # noqa: PT012  - it works, then it fails
        reading.page(None, 5)
        proxy.black_hole()
        reading.page(None, 5)
    proxy.mend()
    proxy.drop()
    with source.reading(found) as reading:
        assert reading.page(None, 5).height == 5


def test_a_silent_gate_is_given_up(redshift, configured, proxied):
    """A server that takes the connection and says nothing: SourceUnreachable after connect_timeout."""
    proxy = proxied(redshift.port)
    proxy.black_hole()
    with pytest.raises(SourceUnreachable, match="in time"):
        configured(redshift.through(proxy.port) + "?ssl=off&connect_timeout=1").facts()


def test_a_reset_amid_the_answer_loses_the_page_only(through_proxy):
    """A connection reset half-way through a page: SourceUnreachable, no half page, and the next reading works."""
    source, found, proxy = through_proxy
    proxy.cut_after = 500_000
    with pytest.raises(SourceUnreachable), source.reading(found) as reading:
        reading.page(None, 20_000)
    with source.reading(found) as reading:
        assert reading.page(None, 20_000).height == 20_000


def test_a_refusing_network_recovers(through_proxy):
    """Connections lost while idle cost nothing: the next reading opens new ones."""
    source, found, proxy = through_proxy
    proxy.refuse()
    with pytest.raises(SourceUnreachable), source.reading(found) as reading:
        reading.page(None, 5)
    proxy.mend()
    with source.reading(found) as reading:
        assert reading.page(None, 5).height == 5


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


def test_a_slow_query_is_cancelled_by_the_server(redshift, configured):
    """statement_timeout: SourceCancelled, so that a smaller page is tried."""
    source = configured(redshift.url, statement_timeout="100ms")
    found = source.describe(Relation("v", "id", (), query="SELECT 1 AS id, pg_sleep(20)::text AS slept"))
    with pytest.raises(SourceCancelled), source.reading(found) as reading:
        reading.page(None, 5)


def test_close_ends_what_is_under_way(redshift, configured):
    """close() from another thread ends a waiting read with a SourceError."""
    source = configured(redshift.url)
    found = source.describe(Relation("v", "id", (), query="SELECT 1 AS id, pg_sleep(60)::text AS slept"))
    failures = []

    def read():
        try:
            with source.reading(found) as reading:
                reading.page(None, 5)
        except SourceError as failed:
            failures.append(failed)

    reader = threading.Thread(target=read)
    reader.start()
    asleep = "SELECT count(*) FROM pg_stat_activity WHERE wait_event = 'PgSleep' AND datname = current_database()"
    until(lambda: redshift.execute(asleep) == [(1,)])
    source.close()
    reader.join()
    assert failures
