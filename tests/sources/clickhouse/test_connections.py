"""ClickHouse's connections beyond the contract: half answers, restarts, several hosts."""

from __future__ import annotations

from contextlib import suppress

import pytest

from smartico_sync.core.relation import Relation
from smartico_sync.errors import SourceUnreachable

BETS = Relation("bets", "id", ("id",), relation="bets")
MERGE_TREE = "ENGINE = MergeTree ORDER BY tuple()"
pytestmark = pytest.mark.slow


def test_nobody_there_is_told_with_the_right_port(configured):
    """ClickHouse listens on several ports; the hint names HTTP's."""
    with pytest.raises(SourceUnreachable, match="nobody answers") as nobody:
        configured("clickhouse://u:p@127.0.0.1:1/d").facts()
    assert "8123" in nobody.value.hint


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
