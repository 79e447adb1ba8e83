"""ClickHouse's connections: a bad network, restarts, several hosts, time limits."""

from __future__ import annotations

import threading
from contextlib import suppress

import pytest

from smartico_sync.core.relation import Relation
from smartico_sync.errors import SourceCancelled, SourceError, SourceUnreachable
from waiting import until

BETS = Relation("bets", "id", ("id",), relation="bets")
MERGE_TREE = "ENGINE = MergeTree ORDER BY tuple()"
pytestmark = pytest.mark.slow


def test_nobody_there_is_unreachable(configured):
    """A port where nobody listens, and a name that nobody has."""
    with pytest.raises(SourceUnreachable, match="nobody answers") as nobody:
        configured("clickhouse://u:p@127.0.0.1:1/d").facts()
    assert "8123" in nobody.value.hint
    with pytest.raises(SourceUnreachable, match="host name is unknown"):
        configured("clickhouse://u:p@clickhouse.invalid/d").facts()


def test_a_black_hole_is_noticed(on_clickhouse, server, configured, proxied):
    """A network that swallows everything ends the question in time, and the next one after it is mended works."""
    on_clickhouse.execute(f"CREATE TABLE bets (id UInt64) {MERGE_TREE}")
    proxy = proxied(server.port)
    source = configured(server.text(on_clickhouse.url.rpartition("/")[2], port=proxy.port), statement_timeout="1s")
    described = source.describe(BETS)
    proxy.black_hole()
    with pytest.raises(SourceUnreachable, match="in time"), source.reading(described) as reading:
        reading.page(None, 5)
    proxy.mend()
    with source.reading(described) as reading:
        assert reading.page(None, 5).height == 0


def test_half_an_answer_is_none(on_clickhouse, server, configured, proxied):
    """A connection that breaks in the middle: told, or asked again by the driver, which only does so once; never a part."""
    on_clickhouse.execute(f"CREATE TABLE bets (id UInt64, s String) {MERGE_TREE}")
    on_clickhouse.execute("INSERT INTO bets SELECT number, hex(sipHash128(number)) FROM numbers(50000)")
    proxy = proxied(server.port)
    source = configured(server.text(on_clickhouse.url.rpartition("/")[2], port=proxy.port))
    described = source.describe(BETS)
    heights = []
    for _ in range(3):
        proxy.cut_after = 300_000
        with suppress(SourceUnreachable), source.reading(described) as reading:
            heights.append(reading.page(None, 50_000).height)
    proxy.mend()
    with source.reading(described) as reading:
        heights.append(reading.page(None, 50_000).height)
    assert set(heights) == {50_000}


def test_a_server_that_restarts_is_found_again(server, configured, proxied, private_clickhouse):
    """Connections do not outlive a restart; the next question opens a new one."""
    first = private_clickhouse()
    proxy = proxied(first.told["port"])
    source = configured(server.text(port=proxy.port))
    assert source.facts().version
    first.stop()
    proxy.drop()
    with pytest.raises(SourceUnreachable):
        source.facts()
    proxy.target = private_clickhouse().told["port"]
    assert source.facts().version


def test_another_host_takes_over(server, configured, proxied, on_clickhouse):
    """Hosts are tried in order; the one that served last is tried first."""
    proxy = proxied(server.port)
    url = server.text().replace(f"127.0.0.1:{server.port}", f"127.0.0.1:{proxy.port},127.0.0.1:{server.port}")
    source = configured(url)
    assert source.facts().version
    proxy.refuse()
    with pytest.raises(SourceUnreachable):
        source.facts()
    for _ in range(2):
        assert source.facts().version


SLOW = "SELECT count() AS id FROM numbers(1000000000000) WHERE sipHash64(number) = 1"


def test_the_server_ends_what_takes_too_long(on_clickhouse):
    """statement_timeout is the server's own limit: SourceCancelled, and the session goes on."""
    source = on_clickhouse.source(statement_timeout="500ms")
    described = source.describe(Relation("slow", "id", (), query=SLOW))
    with pytest.raises(SourceCancelled, match="statement_timeout"), source.reading(described) as reading:
        reading.page(None, 5)
    assert source.facts().version


def test_closing_ends_what_is_under_way(on_clickhouse, server):
    """close() does not wait for a query: who waits for it is told so, and not that the query took too long."""
    source = on_clickhouse.source(statement_timeout="5s")
    described = source.describe(Relation("closing", "id", (), query=SLOW))
    failures = []

    def read():
        try:
            with source.reading(described) as reading:
                reading.page(None, 5)
        except SourceError as failure:
            failures.append(failure)

    reader = threading.Thread(target=read)
    reader.start()
    until(lambda: any("view=closing" in asked["query"] and "ORDER BY" in asked["query"] for asked in server.told()))
    source.close()
    reader.join()
    assert [type(failure) for failure in failures] == [SourceUnreachable]
