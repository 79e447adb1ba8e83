"""What an idle view costs its replica: which statements it makes, counted by the servers themselves."""

from __future__ import annotations

import json
import threading
import time
from types import SimpleNamespace

import pytest

from daemon.deposits import DEPOSITS, VIEW, TrackedView, insert
from smartico_sync.tracking import clocks, null_counts
from waiting import until

MINUTE = 60  # polls, a second apart
TABLE = """CREATE TABLE deposits (transaction_id bigint PRIMARY KEY, ext_brand_id varchar(20) DEFAULT 'b', user_ext_id bigint DEFAULT 1,
    dt_finalized timestamp(6) NULL, transaction_date datetime DEFAULT '2026-01-01', deposit_amount decimal(10, 2) DEFAULT 1,
    KEY (dt_finalized, transaction_id))"""


@pytest.fixture
def seconds(monkeypatch):
    """A steady clock for the view's own rhythm, which runs on by a second with each `pass_by()`."""
    began = time.monotonic_ns()
    fake = SimpleNamespace(passed=0, time_ns=time.time_ns)
    fake.monotonic_ns = lambda: began + fake.passed * 1_000_000_000
    monkeypatch.setattr(clocks, "time", fake)

    def pass_by():
        fake.passed += 1

    return pass_by


def minute(day, seconds):
    """A minute of an idle view that is polled each second, without the hourly questions of its start."""
    for _ in range(MINUTE):
        seconds()
        day.loop.poll(threading.Event())


@pytest.fixture
def counted_postgresql(private_postgresql):
    """A server that counts statements."""
    if not private_postgresql.admin("SELECT 1 FROM pg_available_extensions WHERE name = 'pg_stat_statements'"):
        pytest.skip("pg_stat_statements is not installed: apt-get install postgresql-contrib")
    private_postgresql.admin("ALTER SYSTEM SET shared_preload_libraries = 'pg_stat_statements'")
    private_postgresql.restart()
    private_postgresql.admin("CREATE EXTENSION pg_stat_statements")
    return private_postgresql


def statements(server):
    """Each statement of the reader and how often it was made."""
    return dict(
        server.admin(
            "SELECT query, sum(calls)::int FROM pg_stat_statements JOIN pg_roles r ON r.oid = userid "
            "WHERE rolname = 'reader' GROUP BY 1"
        )
    )


@pytest.mark.slow
def test_an_idle_view_asks_postgresql_little_and_always_the_same(counted_postgresql, operator, seconds):
    """Five statements a poll and a handful each minute, of a few forms: `pg_stat_statements` is not filled with them."""
    counted_postgresql.admin(*DEPOSITS)
    operator.configure(counted_postgresql.url("postgres"), f"  - {VIEW % ''}\n")
    with TrackedView.opened(operator) as day:
        rows = SimpleNamespace(execute=counted_postgresql.admin)
        insert(rows, *range(1, 301))
        day.poll()
        minute(day, seconds)
        counted_postgresql.admin("SELECT pg_stat_statements_reset()")
        minute(day, seconds)
        idle = statements(counted_postgresql)
        assert sum(idle.values()) <= 5 * MINUTE + 90, json.dumps(idle, indent=1)
        assert not any("COPY" in query for query in idle), json.dumps(idle, indent=1)
        for number in range(1_000, 1_000 + MINUTE):
            insert(rows, number)
            seconds()
            day.loop.poll(threading.Event())
        until(lambda: day.poll() and len(set(day.sent())) == 300 + MINUTE)
        assert len(statements(counted_postgresql)) <= 30, json.dumps(statements(counted_postgresql), indent=1)


@pytest.mark.slow
def test_an_idle_view_asks_mariadb_little(mariadb, operator, seconds):
    """Five statements a poll and a handful each minute."""
    mariadb.execute(TABLE)
    operator.configure(mariadb.url, f"  - {VIEW % ''}\n")
    with TrackedView.opened(operator) as day:
        insert(mariadb, *range(1, 301), at="now(6)")
        day.poll()
        minute(day, seconds)
        server = mariadb.server
        try:
            server.admin("SET GLOBAL log_output = 'TABLE'", "TRUNCATE mysql.general_log", "SET GLOBAL general_log = ON")
            minute(day, seconds)
            server.admin("SET GLOBAL general_log = OFF")
            idle = server.admin(
                "SELECT CONVERT(argument USING utf8mb4) FROM mysql.general_log WHERE command_type = 'Query' AND thread_id IN "
                f"(SELECT id FROM information_schema.processlist WHERE db = '{mariadb.name}')"
            )
        finally:
            server.admin("SET GLOBAL general_log = OFF")
        assert 0 < len(idle) <= 6 * MINUTE + 90, "\n".join(text for (text,) in idle)


@pytest.mark.parametrize("policy", ["report", "send"])
def test_a_count_of_nulls_that_takes_long_is_told_and_stops_nothing(tracked, postgresql, monkeypatch, policy):
    """The server ends it after its own short time; the view goes on, and says that it does not know."""
    monkeypatch.setattr(null_counts, "PATIENCE_MS", 50)
    postgresql.execute(
        "CREATE VIEW slow AS SELECT * FROM deposits WHERE dt_finalized IS NOT NULL OR pg_sleep(30) IS NULL"
    )
    insert(postgresql, 1, at="NULL")
    insert(postgresql, 2)
    day = tracked(f", on_null_cursor: {policy}", view=VIEW.replace("relation: deposits", "relation: slow"))
    status = day.poll()
    assert status.state == "live"
    assert day.sent() == ["2"]
    assert any("NULL dt_finalized or key could not be counted" in warning for warning in status.warnings)
    assert day.loop._memory.nulls.next_cursors_ms > clocks.steady_ms() + 3_000_000  # it is not tried again for an hour


def test_null_keys_are_counted_too(tracked, postgresql):
    """Rows that have a cursor and no key stand nowhere in the order either."""
    postgresql.execute("ALTER TABLE deposits DROP CONSTRAINT deposits_pkey, ALTER transaction_id DROP NOT NULL")
    insert(postgresql, 1, "NULL", "NULL")
    insert(postgresql, 4, at="NULL")
    day = tracked()
    assert day.poll().null_cursors == 3
    assert day.sent() == ["1"]
