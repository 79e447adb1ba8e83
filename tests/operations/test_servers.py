"""Trouble of a database's server: it is down, its password is another, its replay stands still."""

from __future__ import annotations

import pytest

from operations.rehearsal import TABLE, rows, view
from operations.table import situations
from waiting import until


@pytest.fixture
def rehearsed(rehearsal, private_postgresql, standby):
    """A daemon at work over a view of a standby."""
    private_postgresql.admin(
        TABLE.format(name="deposits"),
        "CREATE INDEX ON deposits (dt_finalized, transaction_id)",
        rows("deposits", 1, 5),
        "CREATE ROLE clerk LOGIN PASSWORD 'clerk'",
        "GRANT SELECT ON deposits TO clerk",
    )
    until(lambda: standby.admin("SELECT to_regclass('deposits')") != [(None,)])
    rehearsal.configure(view("deposits"), db=f"postgresql://clerk:clerk@127.0.0.1:{standby.port}/postgres")
    rehearsal.start()
    return rehearsal


@pytest.mark.slow
@pytest.mark.timeout(400)  # several outages, one after the other
def test_trouble_of_a_server(rehearsed, private_postgresql, standby):
    """One after the other, each told by every surface, and mended by what its hint says."""
    table = situations()
    standby.admin("SELECT pg_wal_replay_pause()")
    rehearsed.is_told(table["the replica is stopped"])
    standby.admin("SELECT pg_wal_replay_resume()")
    rehearsed.is_over(table["the replica is stopped"])

    private_postgresql.admin("ALTER ROLE clerk PASSWORD 'other'")
    until(lambda: disconnected(standby, rehearsed, table["the password is wrong"]))
    rehearsed.has_new_password(table["the password is wrong"])
    rehearsed.outlives(standby, table["the database is down"])


def disconnected(standby, rehearsed, situation):
    """Whether the daemon's old connections are gone, and it knows that it gets no new ones; the standby may learn late of the password."""
    standby.admin("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE usename = 'clerk'")
    return rehearsed.finding(situation) is not None
