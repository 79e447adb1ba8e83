"""Replicas of MariaDB: their role, their lag, and a clock that never tells more than was replayed."""

from __future__ import annotations

import time

import pytest

from smartico_sync.core.relation import Relation
from waiting import now_ms, until

BETS = Relation("bets", "id", ("id",), relation="bets")


@pytest.fixture
def replicated(private_mariadb, replica, configured):
    """A table on primary and replica, and a source on the replica whose user may see its lag."""
    private_mariadb.admin("CREATE DATABASE casino", "CREATE TABLE casino.bets (id INT PRIMARY KEY)")
    arrives(replica, "SELECT count(*) FROM information_schema.tables WHERE table_schema = 'casino'", 1)
    replica.admin("GRANT REPLICA MONITOR ON *.* TO reader@'127.0.0.1'")
    source = configured(replica.url("casino"))
    return private_mariadb, replica, source, source.describe(BETS)


def arrives(server, query, value):
    """Wait until the replica has followed."""
    until(lambda: server.admin(query)[0][0] == value)


def clock(source, described):
    with source.reading(described) as reading:
        return reading.clock_ms


def replication(source, described):
    with source.reading(described) as reading:
        return reading.replication()


def test_a_replica_is_a_source(replicated):
    """Its role and its lag; its clock is a second behind now, since the lag counts whole seconds."""
    primary, replica, source, described = replicated
    facts = source.facts()
    assert facts.role == "logical replica"
    assert facts.replay_lag_ms == 0
    assert facts.warnings == ()
    assert replication(source, described).state == "replica"
    begun = now_ms()
    assert begun - 5_000 < clock(source, described) < now_ms() - 900
    primary.admin("INSERT INTO casino.bets VALUES (1)")
    arrives(replica, "SELECT count(*) FROM casino.bets", 1)
    with source.reading(described) as reading:
        assert reading.page(None, 5).height == 1


def test_a_replica_that_does_not_replay_stands_still(replicated):
    """While replication is stopped the clock stands at the last moment it was known for, and a warning says so; then it goes on."""
    primary, replica, source, described = replicated
    before = clock(source, described)
    replica.admin("STOP SLAVE")
    primary.admin("INSERT INTO casino.bets VALUES (2)")
    time.sleep(1.1)
    assert clock(source, described) == before
    facts = source.facts()
    assert facts.replay_lag_ms is None
    assert any("does not replay" in warning for warning in facts.warnings)
    stopped = replication(source, described)
    assert (stopped.state, "START REPLICA" in stopped.hint) == ("stopped", True)
    assert stopped.lag_ms >= 1_000
    replica.admin("START SLAVE")
    arrives(replica, "SELECT count(*) FROM casino.bets", 1)
    assert replication(source, described).state == "replica"
    assert clock(source, described) > before


def test_a_replica_stopped_before_we_came_knows_nothing_new(replicated, configured):
    """Stopped since before the first look: the clock is no later than the server's own start."""
    _, replica, _, _ = replicated
    replica.admin("STOP SLAVE")
    source = configured(replica.url("casino"))
    described = source.describe(BETS)
    uptime = int(replica.admin("SHOW GLOBAL STATUS LIKE 'Uptime'")[0][1])
    assert clock(source, described) <= now_ms() - (uptime - 2) * 1000


def test_a_lagging_replicas_clock_lags(replicated):
    """While a transaction of the past is replayed, the clock is behind by as much as the replica is."""
    primary, replica, source, described = replicated
    replica.admin("STOP SLAVE", "CHANGE MASTER TO MASTER_DELAY=30", "START SLAVE")
    primary.admin("INSERT INTO casino.bets VALUES (3)")
    until(lambda: (source.facts().replay_lag_ms or 0) >= 2_000)
    assert clock(source, described) < now_ms() - 2_000
    with source.reading(described) as reading:
        assert reading.page(None, 5).height == 0


def test_a_replica_that_hides_its_lag_is_told(private_mariadb, replica, configured):
    """Without REPLICA MONITOR the clock is the server's own, the role unknown, and a warning says what to grant."""
    source = configured(replica.url("mysql"))
    facts = source.facts()
    assert facts.role == "unknown"
    assert any("GRANT REPLICA MONITOR" in warning for warning in facts.warnings)


def test_a_server_is_told_from_its_replica(replicated, configured):
    """Behind one address each server has a name of its own."""
    primary, _, source, described = replicated
    with source.reading(described) as there, configured(primary.url("casino")).reading(described) as here:
        assert there.server
        assert there.server != here.server
