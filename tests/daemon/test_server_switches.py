"""Another server answers from one poll to the next, and it is further back: real primaries and replicas, behind one address."""

from __future__ import annotations

import threading
import time
from contextlib import ExitStack

import psycopg
import pytest

from daemon.deposits import BY_ID, DEPOSITS, HASTE, VIEW, TrackedView, delivered, polled, polled_until
from waiting import until

DELAY_S = 2
BY_ID_VIEW = "CREATE VIEW by_id AS SELECT transaction_id AS id, d.* FROM deposits d"


class Balancer:
    """What forwards connections, as HAProxy does: they break when the server changes."""

    def __init__(self, proxy):
        self.proxy, self.port = proxy, proxy.port

    def switch(self, server):
        self.proxy.target = server.port
        self.proxy.drop()


@pytest.fixture(params=["balancer", pytest.param("pooler", marks=pytest.mark.slow)])
def before(request):
    """One address before a PostgreSQL: `address = before(server)`. A pooler gives each transaction a connection of its own."""
    if request.param == "pooler":
        return request.getfixturevalue("pooled")
    proxied = request.getfixturevalue("proxied")
    return lambda server: Balancer(proxied(server.port))


@pytest.fixture
def pair(private_postgresql, standby):
    """A primary on which others are at work too, and a standby that is some seconds behind."""
    primary, stopping = private_postgresql, threading.Event()
    primary.admin(*DEPOSITS, BY_ID_VIEW, "CREATE TABLE beat (n int)")
    standby.admin(f"ALTER SYSTEM SET recovery_min_apply_delay = '{DELAY_S}s'", "SELECT pg_reload_conf()")

    def beat():
        while not stopping.wait(0.05):
            primary.admin("INSERT INTO beat VALUES (1)")

    others = threading.Thread(target=beat)
    others.start()
    yield primary, standby
    stopping.set()
    others.join()


def on_primary(primary, *ids):
    values = ", ".join(f"({number}, now())" for number in ids)
    primary.admin(f"INSERT INTO deposits (transaction_id, dt_finalized) VALUES {values}")


@pytest.mark.slow
def test_a_replica_that_is_further_back_closes_nothing(tracked, pair, before, capsys):
    """Behind one address a replica takes over that has not heard of the head yet: the rows it still has to replay are found,
    each is sent once, and the switch is told once."""
    primary, standby = pair
    address = before(primary)
    on_primary(primary, 1, 2, 3, 4)
    time.sleep(2 * DELAY_S)
    day = tracked(f"{HASTE}, late_commit: fence", url=primary.url(port=address.port), view=BY_ID)
    day.poll()
    with psycopg.connect(primary.admin_url()) as early:
        early.execute("INSERT INTO deposits (transaction_id, dt_finalized) VALUES (5, now())")
        on_primary(primary, 9)
        day.poll()
        assert day.sent() == ["1", "2", "3", "4", "9"]
        address.switch(standby)
        polled(day, 1)
    on_primary(primary, 10)
    assert delivered(day, 7) == [1, 2, 3, 4, 5, 9, 10]
    assert capsys.readouterr().out.count("view.server_changed") == 1
    assert day.operator.sandbox.stats()["duplicates"] == 0


@pytest.mark.slow
def test_a_replica_that_lacks_what_was_delivered_sends_nothing(tracked, pair, before):
    """A replica without the rows delivered last is not read from; when it has them the view goes on, and misses nothing."""
    primary, standby = pair
    address = before(primary)
    time.sleep(2 * DELAY_S)
    standby.admin("SELECT pg_wal_replay_pause()")
    day = tracked(HASTE, url=primary.url(port=address.port), view=BY_ID)
    for number in range(1, 8):
        on_primary(primary, number)
        day.poll()
    address.switch(standby)
    seen = {day.poll().state for _ in range(3)}
    assert "regressed" in seen
    standby.admin("SELECT pg_wal_replay_resume()")
    on_primary(primary, 8)
    assert delivered(day, 8) == list(range(1, 9))
    assert day.operator.sandbox.stats()["duplicates"] == 0


PLAYERS = "{name: players, source: db, relation: players, kind: users, cursor: dt_update, every: 50ms%s}"


@pytest.mark.slow
@pytest.mark.parametrize("daemon", ["runs on", "is started again"])
def test_a_replica_that_is_further_back_brings_no_older_profile(operator, pair, before, daemon, capsys):
    """It shows a state of a player that nobody had read before a newer one was sent: that one stays the last."""
    primary, standby = pair
    primary.admin(
        "CREATE TABLE players (ext_brand_id text DEFAULT 'b', user_ext_id text PRIMARY KEY, dt_update timestamptz, core_username text)",
        "INSERT INTO players SELECT 'b', 'q' || g, now(), 'other' FROM generate_series(1, 5) g",
        "INSERT INTO players VALUES ('b', 'p', now(), 'first')",
    )
    change = "UPDATE players SET core_username = '{}', dt_update = clock_timestamp() WHERE user_ext_id = '{}'"
    held = "SELECT core_username FROM players WHERE user_ext_id = 'p'"
    address = before(primary)
    time.sleep(2 * DELAY_S)
    operator.configure(primary.url(port=address.port), f"  - {PLAYERS % HASTE}\n")

    def names():
        return [event["payload"]["core_username"] for event in operator.accepted() if event["user_ext_id"] == "p"]

    with ExitStack() as stack:
        day = TrackedView(operator, stack)
        polled_until(day, lambda _: names() == ["first"])
        primary.admin(change.format("between", "p"))
        until(lambda: standby.admin(held) == [("between",)])
        standby.admin("SELECT pg_wal_replay_pause()")
        for player in ("p", "q2", "q3"):
            primary.admin(change.format("last", player))
        polled_until(day, lambda _: names() == ["first", "last"])
        address.switch(standby)
        if daemon == "is started again":
            stack.pop_all().close()
            day = stack.enter_context(TrackedView.opened(operator))
        polled(day, 2)
        assert names() == ["first", "last"]
        told = capsys.readouterr().out
        assert "it holds the rows that were delivered last" not in told
        assert "view.server_changed" not in told or "it lacks some of the rows that were delivered last" in told
        standby.admin("SELECT pg_wal_replay_resume()")
        primary.admin(change.format("news", "q1"))
        polled_until(day, lambda _: any(event["payload"]["core_username"] == "news" for event in operator.accepted()))
        polled(day, 1)
        assert names() == ["first", "last"]
        primary.admin(change.format("later", "p"))
        polled_until(day, lambda _: names() == ["first", "last", "later"])


@pytest.mark.slow
def test_a_pooler_that_goes_back_and_forth(tracked, pair, pooled, capsys):
    """Primary and standby take turns behind a pooler: each row arrives once, and the other server is told of once at most."""
    primary, standby = pair
    address = pooled(primary)
    on_primary(primary, 1, 2, 3, 4)
    time.sleep(2 * DELAY_S)
    day = tracked(f"{HASTE}, late_commit: fence", url=primary.url(port=address.port), view=BY_ID)
    day.poll()
    number = 4
    for turn in range(6):
        with psycopg.connect(primary.admin_url()) as late:
            late.execute(f"INSERT INTO deposits (transaction_id, dt_finalized) VALUES ({number + 1}, now())")
            on_primary(primary, number + 2)
            polled(day, 0.3)
            address.switch(primary if turn % 2 else standby)
            polled(day, 0.3)
        number += 2
    assert delivered(day, number) == list(range(1, number + 1))
    assert capsys.readouterr().out.count("view.server_changed") <= 1
    assert day.operator.sandbox.stats()["duplicates"] == 0


MARIADB_DEPOSITS = (
    "CREATE DATABASE casino",
    """CREATE TABLE casino.deposits (transaction_id bigint PRIMARY KEY, ext_brand_id varchar(9) DEFAULT 'b',
        user_ext_id bigint DEFAULT 1, dt_finalized datetime(6), transaction_date datetime DEFAULT '2026-01-01',
        deposit_amount decimal(9, 2) DEFAULT 1)""",
    "CREATE VIEW casino.by_id AS SELECT transaction_id AS id, d.* FROM casino.deposits d",
)


@pytest.fixture
def mariadb_pair(private_mariadb, replica):
    """A primary and a replica that is some seconds behind, and tells so."""
    private_mariadb.admin(*MARIADB_DEPOSITS)
    until(lambda: replica.admin("SELECT count(*) FROM information_schema.views WHERE table_name = 'by_id'") == [(1,)])
    replica.admin(
        "GRANT REPLICA MONITOR ON *.* TO reader@'127.0.0.1'",
        "STOP SLAVE",
        f"CHANGE MASTER TO MASTER_DELAY={DELAY_S}",
        "START SLAVE",
    )
    return private_mariadb, replica


def on_mariadb(primary, *ids):
    values = ", ".join(f"({number}, utc_timestamp(6))" for number in ids)
    primary.admin(f"INSERT INTO casino.deposits (transaction_id, dt_finalized) VALUES {values}")


@pytest.mark.slow
@pytest.mark.parametrize("view", [BY_ID, VIEW], ids=["gaps", "lookback"])
def test_a_mariadb_replica_that_is_further_back_closes_nothing(tracked, mariadb_pair, proxied, capsys, view):
    """The same where ids that are missing, or keys of the last while, are asked for again instead of transactions: servers are
    told apart by host, port and number."""
    primary, replica = mariadb_pair
    address = Balancer(proxied(primary.port))
    on_mariadb(primary, 1, 2, 3, 4)
    until(lambda: replica.admin("SELECT count(*) FROM casino.deposits") == [(4,)])
    day = tracked(url=primary.url("casino", port=address.port), view=view)
    day.poll()
    with primary.owner("casino") as early, early.cursor() as writer:
        writer.execute("BEGIN")
        writer.execute("INSERT INTO deposits (transaction_id, dt_finalized) VALUES (5, utc_timestamp(6))")
        on_mariadb(primary, 9)
        day.poll()
        assert day.sent() == ["1", "2", "3", "4", "9"]
        address.switch(replica)
        polled(day, 1)
        writer.execute("COMMIT")
    on_mariadb(primary, 10)
    assert delivered(day, 7) == [1, 2, 3, 4, 5, 9, 10]
    assert capsys.readouterr().out.count("view.server_changed") == 1
    assert day.operator.sandbox.stats()["duplicates"] == 0


@pytest.mark.slow
def test_a_mariadb_replica_that_lacks_what_was_delivered_sends_nothing(tracked, mariadb_pair, proxied):
    """A MariaDB replica without the rows delivered last is not read from until it has them."""
    primary, replica = mariadb_pair
    address = Balancer(proxied(primary.port))
    replica.admin("STOP SLAVE")
    day = tracked(url=primary.url("casino", port=address.port), view=BY_ID)
    for number in range(1, 8):
        on_mariadb(primary, number)
        day.poll()
    address.switch(replica)
    seen = {day.poll().state for _ in range(3)}
    assert "regressed" in seen
    replica.admin("START SLAVE")
    on_mariadb(primary, 8)
    assert delivered(day, 8) == list(range(1, 9))
    assert day.operator.sandbox.stats()["duplicates"] == 0
