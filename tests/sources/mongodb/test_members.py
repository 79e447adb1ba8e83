"""Members of a replica set: snapshots, secondaries that stand still, elections."""

from __future__ import annotations

import time
from contextlib import suppress

import pytest

from servers.mongodb import Mongo, failing
from smartico_sync.core.relation import Relation
from smartico_sync.errors import SourceCancelled, SourceError
from sources.reading import page
from waiting import now_ms, until

BETS = Relation("bets", "cur", ("id",), relation="bets")


def members(private_mongodb, **settings):
    server = private_mongodb(secondary=True, **settings)
    client = server.owner()
    client.casino.bets.insert_many([{"cur": n, "id": n} for n in range(5)])
    return server, client


def stand_in_says(port, what):
    from pymongo import MongoClient

    with MongoClient("127.0.0.1", port, directConnection=True) as client:
        return client.admin.command({"stand_in": what})


def test_a_secondary_is_read_and_named(private_mongodb, configured):
    """By default a secondary answers; facts() says so, and how far it is behind."""
    server, client = members(private_mongodb)
    with client:
        source = configured(server.url("casino"))
        assert page(source, BETS).height == 5
        facts = source.facts()
        assert facts.role == "physical standby"
        assert facts.replay_lag_ms is not None
        assert facts.fence


def test_the_clock_of_a_reading_stands_still_with_its_secondary(private_mongodb, configured):
    """A secondary that does not follow: the clock is the time up to which it is complete, not the wall clock."""
    server, client = members(private_mongodb)
    with client:
        source = configured(server.url("casino"))
        described = source.describe(BETS)
        stand_in_says(server.ports[1], "hold")
        time.sleep(1.2)
        inserted = now_ms()
        client.casino.bets.insert_one({"cur": 9, "id": 9})
        with source.reading(described) as reading:
            assert reading.clock_ms < now_ms() - 1000
            assert reading.page(None, 99).height == 5
        stand_in_says(server.ports[1], "follow")
        with source.reading(described) as reading:
            assert reading.page(None, 99).height == 6
            assert reading.clock_ms >= inserted - 1000, "it counts whole seconds"


def test_no_reading_sees_less_than_one_before(private_mongodb, configured):
    """A member that lags behind what was read elsewhere waits until it has caught up, or the read is given up."""
    server, client = members(private_mongodb)
    with client:
        source = configured(server.url("casino"), statement_timeout="400ms")
        described = source.describe(BETS)
        stand_in_says(server.ports[1], "hold")
        client.casino.bets.insert_one({"cur": 9, "id": 9})
        latest = client.admin.command("hello")["lastWrite"]["majorityOpTime"]["ts"]
        source._servers.seen(latest)  # as a reading from another member would have
        with pytest.raises(SourceCancelled), source.reading(described) as reading:
            reading.page(None, 99)
        stand_in_says(server.ports[1], "follow")
        with source.reading(described) as reading:
            assert reading.page(None, 99).height == 6


def test_a_reading_is_one_moment_on_a_secondary(private_mongodb, configured):
    """What is committed while a reading is open does not appear in it, whichever question comes later."""
    server, client = members(private_mongodb)
    with client:
        source = configured(server.url("casino"))
        described = source.describe(BETS)
        with source.reading(described) as reading:
            assert reading.page(None, 2).height == 2
            client.casino.bets.insert_one({"cur": 9, "id": 9})
            assert reading.head() == "4"
            assert reading.count(None, "99") == 5


def test_another_member_takes_over(private_mongodb, configured):
    """After an election the next reading finds its way by itself."""
    server, client = members(private_mongodb)
    with client:
        source = configured(server.url("casino", readPreference="primary", heartbeatFrequencyMS=500))
        assert page(source, BETS).height == 5
        stand_in_says(server.ports[0], "stepdown")

        def read():
            with suppress(SourceError):
                return page(source, BETS).height == 5 and source.facts().role == "primary"

        until(read)


@pytest.mark.parametrize(
    ("settings", "level"), [({"wire": 9}, "majority"), ({"kind": "standalone"}, "local")], ids=["old", "standalone"]
)
def test_without_snapshots_each_question_has_its_own(private_mongodb, configured, settings, level):
    """Before MongoDB 5.0, and on a single server, reads are of the majority or of the server; nothing else changes."""
    server = private_mongodb(**settings)
    url = f"mongodb://127.0.0.1:{server.ports[0]}/casino?directConnection=true"
    with Mongo(url).owner() as client:
        client.casino.bets.insert_many([{"cur": n, "id": n} for n in range(5)])
        source = configured(url)
        described = source.describe(BETS)
        with source.reading(described) as reading:
            assert reading.concern["level"] == level
            assert reading.page(None, 3).height == 3
            assert reading.head() == "4"
        told = " ".join(source.facts().warnings)
        assert ("no member of a replica set" in told) == (level == "local")


def test_a_collection_without_snapshots_is_read_by_majority(emulated, configured):
    """A server that refuses the snapshot is asked once more, and from then on this collection only as the majority has it."""
    emulated.here.bets.insert_many([{"cur": n, "id": n} for n in range(5)])
    source = configured(emulated.url)
    described = source.describe(BETS)
    failing(emulated.client, 72)
    with source.reading(described) as reading:
        assert reading.page(None, 9).height == 5
        assert reading.concern["level"] == "majority"
    assert page(source, BETS).height == 5
    emulated.here.others.insert_one({"cur": 1, "id": 1})
    with source.reading(source.describe(Relation("others", "cur", ("id",), relation="others"))) as reading:
        assert reading.concern["level"] == "snapshot"
