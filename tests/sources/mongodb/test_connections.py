"""MongoDB's connections beyond the contract: failures, time limits, restarts."""

from __future__ import annotations

import threading

import pytest

from servers.mongodb import failing
from smartico_sync.core.relation import Relation
from smartico_sync.errors import SourceCancelled, SourceError, SourceRefused, SourceUnreachable, ViewBroken
from sources.reading import page
from waiting import until

BETS = Relation("bets", "cur", ("id",), relation="bets")


def read(source):
    """Whether a page can be read."""
    try:
        return page(source, BETS).height
    except SourceError:
        return 0


@pytest.mark.parametrize(
    ("code", "failure"),
    [(13, SourceRefused), (18, SourceRefused), (50, SourceCancelled), (11601, SourceCancelled), (239, SourceCancelled), (246, SourceCancelled),
     (16020, ViewBroken), (241, ViewBroken), (167, ViewBroken)],
)  # fmt: skip
def test_failures_are_ours(emulated, configured, code, failure):
    """What the server refuses is told as our failure, with a hint, and without a word of the server's own."""
    emulated.here.bets.insert_many([{"cur": n, "id": n} for n in range(5)])
    source = configured(emulated.url)
    described = source.describe(BETS)
    failing(emulated.client, code)
    with pytest.raises(failure) as told, source.reading(described) as reading:
        reading.page(None, 9)
    assert told.value.hint
    assert "failpoint" not in told.value.message
    assert told.value.__cause__ is None
    assert page(source, BETS).height == 5


def test_a_broken_connection_is_tried_again_by_the_driver(emulated, configured):
    """A read that ends with its connection is repeated once, unseen."""
    emulated.here.bets.insert_many([{"cur": n, "id": n} for n in range(5)])
    source = configured(emulated.url)
    described = source.describe(BETS)
    failing(emulated.client, closeConnection=True)
    with source.reading(described) as reading:
        assert reading.page(None, 9).height == 5
    failing(emulated.client, closeConnection=True, times=9)
    with pytest.raises(SourceUnreachable), source.reading(described) as reading:
        reading.page(None, 9)
    emulated.client.admin.command("configureFailPoint", "failCommand", mode="off", data={})
    assert page(source, BETS).height == 5


def test_the_server_ends_a_slow_query(emulated, configured):
    """statement_timeout holds on the server."""
    emulated.here.bets.insert_one({"cur": 1, "id": 1})
    source = configured(emulated.url, statement_timeout="200ms")
    described = source.describe(BETS)
    failing(emulated.client, blockConnection=True, blockTimeMS=5000)
    with pytest.raises(SourceCancelled), source.reading(described) as reading:
        reading.page(None, 9)


def test_nobody_there_is_told_with_the_place(configured):
    """A port that nobody listens on: unreachable, with host and database, without the password."""
    source = configured(
        "mongodb://reader:hush%40@127.0.0.1:1/casino?serverSelectionTimeoutMS=300", statement_timeout="300ms"
    )
    with pytest.raises(SourceUnreachable) as told:
        source.facts()
    assert "127.0.0.1:1/casino" in told.value.message
    assert "hush" not in f"{told.value.message} {told.value.hint}"


def test_close_lets_the_waiting_go(emulated, configured):
    """close() ends a read that is under way with SourceUnreachable, and does not wait for its answer."""
    emulated.here.bets.insert_one({"cur": 1, "id": 1})
    source = configured(emulated.url, statement_timeout="10s")
    described = source.describe(BETS)
    failing(emulated.client, blockConnection=True, blockTimeMS=20_000)  # then it would end as cancelled
    threading.Timer(0.2, source.close).start()
    with pytest.raises(SourceUnreachable), source.reading(described) as reading:
        reading.page(None, 9)


@pytest.mark.slow
def test_a_restart_is_survived(private_mongodb, configured, proxied):
    """A server that comes back is read again by the same source."""
    first = private_mongodb()
    proxy = proxied(first.ports[0])
    source = configured(f"mongodb://127.0.0.1:{proxy.port}/casino?directConnection=true", statement_timeout="1s")
    with first.owner() as client:
        client.casino.bets.insert_one({"cur": 1, "id": 1})
    described = source.describe(BETS)
    private_mongodb.running[0].stop()
    with pytest.raises(SourceUnreachable), source.reading(described) as reading:
        reading.page(None, 9)
    second = private_mongodb()
    with second.owner() as client:
        client.casino.bets.insert_many([{"cur": n, "id": n} for n in range(3)])
    proxy.target = second.ports[0]
    until(lambda: read(source))
    assert page(source, BETS).height == 3
