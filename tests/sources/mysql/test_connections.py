"""MySQL's and MariaDB's connections beyond the contract: locks, sockets, servers without time limits."""

from __future__ import annotations

import time
from contextlib import suppress

import pymysql
import pytest
from msgspec.structs import replace

from smartico_sync.core.relation import Relation
from smartico_sync.errors import SourceCancelled, SourceUnreachable
from waiting import until

BETS = Relation("bets", "id", ("id",), relation="bets")


def test_a_slow_query_is_given_up_where_the_server_has_no_limit(on_mysql56):
    """Before MySQL 5.7.8 no statement has a time limit: the client's own watch drops the connection; the next one works."""
    source = on_mysql56.source(statement_timeout="100ms", pool=1)
    described = source.describe(Relation("v", "id", (), query=on_mysql56.sleeping(0)))
    slow = replace(described, query=on_mysql56.sleeping(20))
    with pytest.raises(SourceUnreachable, match="no answer"), source.reading(slow) as reading:
        reading.page(None, 5)
    assert source.facts().version


def test_a_locked_table_is_tried_again(real_engine):
    """Somebody who alters the table keeps readers waiting: SourceCancelled after the timeout."""
    real_engine.execute("CREATE TABLE bets (id INT)")
    source = real_engine.source(statement_timeout="200ms")
    described = source.describe(BETS)
    holder = real_engine.database.server.owner(real_engine.database.name)
    with holder, holder.cursor() as cursor:
        cursor.execute("LOCK TABLES bets WRITE")
        with pytest.raises(SourceCancelled), source.reading(described) as reading:
            reading.page(None, 5)
    with source.reading(described) as reading:
        assert reading.page(None, 5).height == 0


# MySQL 5.6.24 sometimes never ends a connection that is killed, and the table's lock stays.
@pytest.mark.parametrize("engine", ["mariadb", "mysql"], indirect=True)
def test_a_killed_connection_is_transient(engine):
    """KILL, while reading or while idle: at most that reading fails, and the next one works."""
    engine.execute("CREATE TABLE bets (id INT)")
    source = engine.source()
    described = source.describe(BETS)

    def kill():
        for number, *_ in engine.execute(
            "SELECT id FROM information_schema.processlist WHERE user LIKE '%reader' AND db = DATABASE()"
        ):
            with suppress(pymysql.err.MySQLError):
                engine.execute(f"KILL {number}")

    with pytest.raises((SourceCancelled, SourceUnreachable)), source.reading(described) as reading:  # noqa: PT012  - it works, then it fails
        reading.page(None, 5)
        kill()
        reading.page(None, 5)
    with source.reading(described) as reading:
        reading.page(None, 5)
    kill()
    time.sleep(0.1)  # the farewell is on its way
    with source.reading(described) as reading:
        assert reading.page(None, 5).height == 0


def test_a_unix_socket_serves(private_mariadb, configured):
    """`?socket=/path` connects through the socket; the root user who does so is told to be too much."""
    facts = configured(f"mariadb://root@/mysql?socket={private_mariadb.socket}").facts()
    assert any("may do more than read" in warning for warning in facts.warnings)
    with pytest.raises(SourceUnreachable):
        configured(f"mariadb://root@/mysql?socket={private_mariadb.socket}-not").facts()


def test_a_server_that_hangs_up_on_the_idle_is_asked_again(on_mariadb):
    """`wait_timeout`: a connection that was idle for too long is noticed before it is used, and costs no poll."""
    on_mariadb.execute("CREATE TABLE bets (id INT)", "INSERT INTO bets VALUES (1)")
    (before,) = on_mariadb.execute("SELECT @@GLOBAL.wait_timeout")[0]
    on_mariadb.execute("SET GLOBAL wait_timeout = 1")
    try:
        source = on_mariadb.source(pool=1)
        described = source.describe(BETS)
        with source.reading(described) as reading:
            server = reading.session
            assert reading.page(None, 5).height == 1
        until(lambda: not server.usable())
        with source.reading(described) as reading:
            assert reading.page(None, 5).height == 1
    finally:
        on_mariadb.execute(f"SET GLOBAL wait_timeout = {before}")
