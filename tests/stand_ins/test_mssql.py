"""What the stand-in of SQL Server answers to a bare driver."""

from __future__ import annotations

import datetime as dt
import threading
import time

import pytest

pyodbc = pytest.importorskip(
    "pyodbc", reason="unixODBC is not installed: apt-get install unixodbc", exc_type=ImportError
)

pytestmark = pytest.mark.slow  # it is Python


@pytest.fixture
def reader(emulated_mssql):
    """A connection that may only read."""
    from servers.mssql import PASSWORD, connection, drivers

    server = emulated_mssql.server
    driver = next(iter(drivers().values()))
    link = connection(driver, server.host, server.port, "reader", PASSWORD, emulated_mssql.name, server.encrypt)
    yield link
    link.close()


def one(link, statement, *values):
    return link.execute(statement, *values).fetchall()[0][0]


def test_times_have_the_digits_of_their_type(reader):
    """`datetime` counts three-hundredths of a second, `smalldatetime` minutes, both rounded; `datetime2` keeps seven digits."""
    assert one(reader, "SELECT CAST('2024-02-29 10:00:00.008' AS datetime) AS x").microsecond == 7000
    assert one(reader, "SELECT CAST('2024-02-29 10:00:31' AS smalldatetime) AS x") == dt.datetime(2024, 2, 29, 10, 1)  # noqa: DTZ001
    shown = "SELECT CONVERT(varchar(27), CAST('2024-02-29 10:00:00.1234567' AS datetime2(7)), 121) AS x"
    assert one(reader, shown) == "2024-02-29 10:00:00.1234567"


@pytest.mark.parametrize(
    ("statement", "number"),
    [
        ("SELECT * FROM nothing", 208), ("SELECT nothing FROM bets", 207), ("DELETE FROM bets", 229), ("SELEKT 1", 102),
        ("SELECT CAST(word AS int) AS n FROM bets", 245), ("SELECT * FROM (SELECT 1 AS a, 2 AS a) AS q", 8156),
    ],
)  # fmt: skip
def test_failures_have_sql_servers_numbers(emulated_mssql, reader, statement, number):
    """What the source judges by is the number."""
    emulated_mssql.execute("CREATE TABLE bets (id int, word nvarchar(9))", "INSERT INTO bets VALUES (1, N'word')")
    with pytest.raises(pyodbc.Error, match=rf"\({number}\)"):
        reader.execute(statement).fetchall()


@pytest.mark.parametrize(("isolation", "seen"), [("SNAPSHOT", 0), ("READ COMMITTED", 1)])
def test_a_snapshot_is_one_moment_and_anything_else_is_not(emulated_mssql, reader, isolation, seen):
    """Rows that are committed meanwhile are seen by each statement of its own, and not in a snapshot."""
    emulated_mssql.execute("CREATE TABLE bets (id int)")
    reader.execute(f"SET TRANSACTION ISOLATION LEVEL {isolation}")
    reader.execute("BEGIN TRANSACTION")
    assert one(reader, "SELECT COUNT(*) AS n FROM bets") == 0
    emulated_mssql.execute("INSERT INTO bets VALUES (1)")
    assert one(reader, "SELECT COUNT(*) AS n FROM bets") == seen
    reader.execute("ROLLBACK")


def test_a_plan_seeks_where_an_index_has_the_order_and_sorts_where_none_has(emulated_mssql, reader):
    """That is all its optimizer knows."""
    emulated_mssql.execute(
        "CREATE TABLE bets (at datetime2(7), id int)", "CREATE VIEW seen AS SELECT at AS t, id FROM bets"
    )
    poll = "SELECT TOP (5) t, id FROM seen WHERE t > '2024-01-01' ORDER BY t, id"

    def plan():
        reader.execute("SET SHOWPLAN_XML ON")
        (shown,) = reader.execute(poll).fetchone()
        reader.execute("SET SHOWPLAN_XML OFF")
        return shown

    assert "TopN Sort" in plan()
    emulated_mssql.execute("CREATE INDEX bets_at ON bets (at, id)")
    assert "Index Seek" in plan()


def test_a_database_is_dropped_when_its_last_session_has_ended(emulated_mssql):
    """A client that went away amid its query is not in the way for long."""
    server = emulated_mssql.server
    server.admin("CREATE DATABASE doomed")
    link = server.owner("doomed")
    sessions = "SELECT session_id FROM sys.dm_exec_sessions"
    ((number,),) = [tuple(row) for row in link.execute(sessions).fetchall()]
    link.execute("CREATE TABLE bets (id bigint)")
    link.execute("INSERT INTO bets VALUES (1)")
    for _ in range(12):
        link.execute("INSERT INTO bets SELECT id + (SELECT COUNT(*) AS n FROM bets) FROM bets")
    endless = "SELECT COUNT_BIG(*) AS n FROM bets a, bets b, bets c WHERE a.id + b.id <> c.id * 3"

    def count():
        with pytest.raises(pyodbc.Error):
            link.execute(endless)

    waiting = threading.Thread(target=count)
    waiting.start()
    time.sleep(0.3)  # it is at work now
    server.admin(f"KILL {number}", "DROP DATABASE doomed")
    waiting.join()
    with pytest.raises(pyodbc.Error, match="4060"):
        server.owner("doomed")


def test_more_parameters_than_sql_server_takes_are_refused(reader):
    """2,100 in one request, the statement and its declarations among them."""
    with pytest.raises(pyodbc.Error, match="8003"):
        reader.execute(
            f"SELECT COUNT(*) AS n FROM sys.databases WHERE database_id IN ({', '.join('?' * 2100)})", *range(2100)
        )
