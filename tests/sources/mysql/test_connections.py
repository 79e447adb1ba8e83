"""MySQL's and MariaDB's connections: time limits, locks, bad networks, restarts, sockets."""

from __future__ import annotations

import threading
import time
from contextlib import suppress

import pymysql
import pytest

from smartico_sync.core.relation import Relation
from smartico_sync.errors import SourceCancelled, SourceError, SourceUnreachable
from waiting import until

BETS = Relation("bets", "id", ("id",), relation="bets")


def sleeping(source, seconds):
    """A described view that takes so long to read."""
    columns = source.describe(Relation("v", "id", (), query="SELECT 1 AS id, 0 AS slept")).columns
    return Relation("v", "id", (), query=f"SELECT 1 AS id, SLEEP({seconds}) AS slept", columns=columns)


def test_a_slow_query_is_cancelled_by_the_server(on_mariadb):
    """statement_timeout: SourceCancelled, so that a smaller page is tried; the session goes on."""
    source = on_mariadb.source(statement_timeout="150ms", pool=1)
    slow = sleeping(source, 20)
    with pytest.raises(SourceCancelled), source.reading(slow) as reading:
        reading.page(None, 5)
    assert source.facts().version


def test_a_slow_query_is_given_up_where_the_server_has_no_limit(on_mysql56):
    """Before MySQL 5.7.8 no statement has a time limit: the client's own watch drops the connection; the next one works."""
    source = on_mysql56.source(statement_timeout="100ms", pool=1)
    slow = sleeping(source, 20)
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


def test_close_ends_what_is_under_way(engine):
    """close() from another thread ends a waiting read with a SourceError."""
    source = engine.source()
    described = sleeping(source, 60)
    failures = []

    def read():
        try:
            with source.reading(described) as reading:
                reading.page(None, 5)
        except SourceError as failure:
            failures.append(failure)

    reader = threading.Thread(target=read)
    reader.start()
    asleep = (
        "SELECT count(*) FROM information_schema.processlist WHERE info LIKE '%slept%SLEEP%' AND user LIKE '%reader'"
    )
    until(lambda: engine.execute(asleep.replace("slept%SLEEP", "SLEEP(60)")) == [(1,)])
    source.close()
    reader.join()
    assert failures


@pytest.fixture
def through_proxy(request, real_engine, configured, proxied):
    """A described source behind a network that may misbehave; 20,000 rows of 200 bytes; `statement_timeout` is the parameter."""
    real_engine.execute(
        "CREATE TABLE bets (id INT PRIMARY KEY, note TEXT)", f"INSERT INTO bets SELECT seq, REPEAT('x', 200) FROM {real_engine.numbers(20000)}"
    )  # fmt: skip
    database = real_engine.database
    proxy = proxied(database.server.port)
    url = database.server.url(database.name, scheme=database.scheme, port=proxy.port)
    source = configured(url, statement_timeout=getattr(request, "param", "20s"))
    return source, source.describe(BETS), proxy


@pytest.mark.parametrize("through_proxy", ["1s"], indirect=True)
def test_a_black_hole_is_noticed(through_proxy):
    """A network that swallows everything: SourceUnreachable within the client's own timeout; mended, the next reading works."""
    source, described, proxy = through_proxy
    with pytest.raises(SourceUnreachable, match="no answer"), source.reading(described) as reading:  # noqa: PT012  - it works, then it fails
        reading.page(None, 5)
        proxy.black_hole()
        reading.page(None, 5)
    proxy.mend()
    proxy.drop()
    with source.reading(described) as reading:
        assert reading.page(None, 5).height == 5


def test_a_silent_server_is_given_up(configured, mariadb_server, proxied):
    """A server that takes the connection and says nothing: SourceUnreachable after the client's own timeout."""
    proxy = proxied(mariadb_server.port)
    proxy.black_hole()
    with pytest.raises(SourceUnreachable, match="in time"):
        configured(mariadb_server.url("d", port=proxy.port), statement_timeout="100ms").facts()


def test_a_reset_amid_the_answer_loses_the_page_only(through_proxy):
    """A connection reset half-way through a page: SourceUnreachable, no half page, and the next reading works."""
    source, described, proxy = through_proxy
    proxy.cut_after = 500_000
    with pytest.raises(SourceUnreachable), source.reading(described) as reading:
        reading.page(None, 20_000)
    with source.reading(described) as reading:
        assert reading.page(None, 20_000).height == 20_000


def test_a_refusing_network_recovers(through_proxy):
    """Connections lost while idle cost nothing: the next reading opens new ones."""
    source, described, proxy = through_proxy
    proxy.refuse()
    with pytest.raises(SourceUnreachable), source.reading(described) as reading:
        reading.page(None, 5)
    proxy.mend()
    with source.reading(described) as reading:
        assert reading.page(None, 5).height == 5


def test_latency_is_only_latency(through_proxy):
    """A slow network delivers whole pages."""
    source, described, proxy = through_proxy
    proxy.latency_s = 0.02
    with source.reading(described) as reading:
        assert reading.page(None, 500).height == 500


def test_the_next_host_is_taken(real_engine, configured):
    """A dead or unknown host costs a moment and nothing else; where all are dead, nobody answers."""
    url = real_engine.url.replace("@127.0.0.1", "@nowhere.invalid,127.0.0.1:1,127.0.0.1")
    assert configured(url).facts().version
    with pytest.raises(SourceUnreachable, match="nobody answers"):
        configured("mariadb://r:x@127.0.0.1:1/d").facts()
    with pytest.raises(SourceUnreachable, match="host name is unknown"):
        configured("mariadb://r:x@nowhere.invalid/d").facts()


def test_a_restarted_server_is_found_again(private_mariadb, configured):
    """Restarted while idle or while reading: at most that reading fails, the next one works."""
    source = configured(private_mariadb.url())
    described = source.describe(Relation("v", "id", (), query="SELECT 1 AS id"))
    private_mariadb.restart()
    with source.reading(described) as reading:
        assert reading.page(None, 5).height == 1
    with pytest.raises((SourceCancelled, SourceUnreachable)), source.reading(described) as reading:  # noqa: PT012  - it works, then it fails
        reading.page(None, 5)
        private_mariadb.stop()
        reading.page(None, 5)
    with pytest.raises(SourceUnreachable), source.reading(described) as reading:
        reading.page(None, 5)
    private_mariadb.start()
    with source.reading(described) as reading:
        assert reading.page(None, 5).height == 1


def test_a_unix_socket_serves(private_mariadb, configured):
    """`?socket=/path` connects through the socket; the root user who does so is told to be too much."""
    facts = configured(f"mariadb://root@/mysql?socket={private_mariadb.socket}").facts()
    assert any("may do more than read" in warning for warning in facts.warnings)
    with pytest.raises(SourceUnreachable):
        configured(f"mariadb://root@/mysql?socket={private_mariadb.socket}-not").facts()
