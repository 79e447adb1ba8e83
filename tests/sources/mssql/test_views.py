"""What SQL Server promises of views beyond the contract: names, failures, rights, snapshots, secondaries, facts, plans."""

from __future__ import annotations

import datetime as dt

import pytest

from servers.mssql import PASSWORD
from smartico_sync.core.position import Position
from smartico_sync.core.relation import Relation
from smartico_sync.errors import SourceRefused, ViewBroken
from waiting import now_ms

pytestmark = pytest.mark.slow  # the server behind it is Python

BETS = Relation("bets", "id", ("id",), relation="bets")


def test_question_marks_are_only_text(open_mssql, mssql):
    """A `?` or `@c` in a query, and quotes within names, are nobody's parameter."""
    mssql.execute("CREATE TABLE bets (id bigint)", "INSERT INTO bets VALUES (1), (2)")
    query = "SELECT id, N'a ? @c ''' AS [w?t \"x], 'b' AS [@c] FROM bets -- ? @n"
    source = open_mssql()
    with source.reading(source.describe(Relation("v", "id", ("id",), query=query))) as reading:
        page = reading.page(Position("1", ("1",)), 10)
    assert page.row(0)[:3] == (2, "a ? @c '", "b")


def test_two_columns_of_one_name_are_refused(open_mssql):
    """A query whose columns cannot be told apart is broken, and says which."""
    with pytest.raises(ViewBroken, match="'dt'"):
        open_mssql().describe(Relation("v", "dt", (), query="SELECT 1 AS dt, 2 AS dt"))


def test_a_column_dropped_later_is_named(open_mssql, mssql):
    """A view that loses a column after describe(): ViewBroken that names it."""
    mssql.execute("CREATE TABLE bets (id int, amount int, amount_real int)")
    source = open_mssql()
    described = source.describe(BETS)
    mssql.execute("ALTER TABLE bets DROP COLUMN amount")
    with pytest.raises(ViewBroken, match="'amount'") as broken, source.reading(described) as reading:
        reading.page(None, 5)
    assert "amount_real" in broken.value.hint


def test_a_query_without_told_types_is_broken(open_mssql, mssql, monkeypatch):
    """The server tells no types of what uses temporary tables: ViewBroken with advice, and no other view suggested."""
    mssql.execute("CREATE TABLE bets (id int)")
    source = open_mssql()
    monkeypatch.setattr("smartico_sync.sources.mssql.TYPES", "SELECT NULL AS name")
    with pytest.raises(ViewBroken, match="cannot tell its types") as broken:
        source.describe(BETS)
    assert broken.value.hint == "select from plain tables and views"


def test_a_view_that_fails_for_a_row_shows_no_value(open_mssql, mssql):
    """The server's message quotes the value that failed; ours does not."""
    mssql.execute("CREATE TABLE raw (id nvarchar(50))", "INSERT INTO raw VALUES (N'secret-mail')")
    mssql.execute("CREATE VIEW bets AS SELECT CAST(id AS int) AS id FROM raw")
    source = open_mssql()
    described = source.describe(BETS)
    with pytest.raises(ViewBroken) as broken, source.reading(described) as reading:
        reading.page(None, 5)
    assert "secret" not in broken.value.message + broken.value.hint


def test_no_permission_is_refused(open_mssql, mssql):
    """A view that the user may not read: SourceRefused, and what to grant."""
    mssql.execute("CREATE TABLE bets (id int)")
    mssql.server.admin(f"CREATE LOGIN stranger WITH PASSWORD = N'{PASSWORD}'")
    try:
        mssql.execute("CREATE USER stranger FOR LOGIN stranger")
        source = open_mssql(mssql.server.url(mssql.name, user="stranger"))
        with pytest.raises(SourceRefused) as refused:
            source.describe(BETS)
        assert "GRANT SELECT" in refused.value.hint
        assert source.relations() == ()
        source.close()
    finally:
        mssql.execute("DROP USER stranger")
        mssql.server.admin("DROP LOGIN stranger")


def test_nothing_may_be_written_and_nothing_stays(open_mssql, mssql):
    """Whatever a user may do, a reading's transaction is rolled back: even an owner's write is undone."""
    mssql.execute("CREATE TABLE bets (id int)", "INSERT INTO bets VALUES (1)")
    owner = open_mssql(mssql.server.url(mssql.name, user=mssql.server.user, password=mssql.server.password))
    described = owner.describe(BETS)
    with owner.reading(described) as reading:
        reading.ask("DELETE FROM bets")
        assert reading.page(None, 5).height == 0
    assert mssql.execute("SELECT COUNT(*) AS n FROM bets") == [(1,)]


def test_a_reader_draws_no_warning(open_mssql):
    """A user that may only SELECT, from a database with snapshots: no warnings; there is never a fence."""
    facts = open_mssql().facts()
    assert facts.warnings == ()
    assert "MIN_ACTIVE_ROWVERSION" in facts.fence
    assert facts.timezone


def test_an_owner_draws_a_warning(open_mssql, mssql):
    """A sysadmin may do too much."""
    facts = open_mssql(mssql.server.url(mssql.name, user=mssql.server.user, password=mssql.server.password)).facts()
    assert any("sysadmin" in warning for warning in facts.warnings)


def test_a_database_without_snapshots_is_read_all_the_same(open_mssql, mssql):
    """Without SNAPSHOT each statement sees its own moment, a sentence says so with the statement that mends it."""
    mssql.execute("CREATE TABLE bets (id int)", "INSERT INTO bets VALUES (1)")
    mssql.server.admin(f"ALTER DATABASE {mssql.name} SET ALLOW_SNAPSHOT_ISOLATION OFF")
    source = open_mssql()
    described = source.describe(BETS)
    with source.reading(described) as reading:
        assert reading.page(None, 5).height == 1
        mssql.execute("INSERT INTO bets VALUES (2)")
        assert reading.page(None, 5).height == 2
    (warning,) = source.facts().warnings
    assert f"ALTER DATABASE [{mssql.name}] SET ALLOW_SNAPSHOT_ISOLATION ON" in warning


def test_a_view_over_a_database_without_snapshots_is_read(open_mssql, mssql):
    """Where SNAPSHOT is refused for a view, that view is read without, from its first question on."""
    mssql.execute("CREATE TABLE bets (id int)", "INSERT INTO bets VALUES (1)")
    source = open_mssql()
    described = source.describe(BETS)
    with source.reading(described) as reading:
        assert reading.page(None, 5).height == 1
    mssql.server.admin(
        f"ALTER DATABASE {mssql.name} SET ALLOW_SNAPSHOT_ISOLATION OFF"
    )  # the session knows nothing of it
    for _ in range(2):
        with source.reading(described) as reading:
            assert reading.page(None, 5).height == 1


def test_the_clock_is_the_servers(open_mssql, mssql):
    """A primary's clock is its own now."""
    mssql.execute("CREATE TABLE bets (id int)")
    source = open_mssql()
    with source.reading(source.describe(BETS)) as reading:
        begun = now_ms()
        assert begun - 60_000 <= reading.clock_ms <= now_ms() + 60_000


def test_a_secondarys_clock_is_its_last_commit(open_mssql, emulated_mssql):
    """A readable secondary knows everything up to the last commit it has replayed, and its clock stands still with it."""
    emulated_mssql.execute(
        "CREATE TABLE bets (id int)",
        "UPDATE stand_in.properties SET value = 'READ_ONLY' WHERE name = 'Updateability'",
        "INSERT INTO sys.dm_hadr_database_replica_states VALUES (5, CAST(1 AS bit), CAST(0 AS bit), CAST('2024-03-01 10:00:00.007' AS datetime))",
        "GRANT VIEW SERVER STATE TO reader",
    )
    source = open_mssql()
    described = source.describe(BETS)
    clocks = []
    for _ in range(2):
        with source.reading(described) as reading:
            clocks.append(reading.clock_ms)
    last = int(dt.datetime(2024, 3, 1, 10, tzinfo=dt.UTC).timestamp() * 1000)
    assert clocks[0] == clocks[1]
    assert last <= clocks[0] <= last + 7
    facts = source.facts()
    assert facts.role == "physical standby"
    assert facts.replay_lag_ms > 0
    assert facts.warnings == ()


def test_a_secondary_that_hides_its_lag_is_told(open_mssql, emulated_mssql):
    """Without the right to see it: role unknown, and what to grant."""
    emulated_mssql.execute("UPDATE stand_in.properties SET value = 'READ_ONLY' WHERE name = 'Updateability'")
    facts = open_mssql().facts()
    assert facts.role == "unknown"
    assert facts.replay_lag_ms is None
    assert "GRANT VIEW SERVER STATE" in facts.warnings[0]


@pytest.mark.parametrize(
    ("change", "role"),
    [
        ("CREATE TABLE MSreplication_subscriptions (publisher nvarchar(9))", "logical replica"),
        ("UPDATE stand_in.properties SET value = '1' WHERE name = 'IsInStandBy'", "physical standby"),
    ],
)
def test_copies_are_told_from_primaries(open_mssql, emulated_mssql, change, role):
    """A subscriber of a publication, and a standby that logs are restored to, are what they are."""
    emulated_mssql.execute(change)
    assert open_mssql().facts().role == role


def test_azure_is_called_by_its_name(open_mssql, emulated_mssql):
    """The version says which of Microsoft's services it is."""
    emulated_mssql.execute("UPDATE stand_in.properties SET value = '5' WHERE name = 'EngineEdition'")
    assert "Azure SQL Database" in open_mssql().facts().version


@pytest.mark.stand_in("mssql")
def test_plans_look_through_views_and_joins(open_mssql, mssql):
    """The advice names the base table and its own column, whatever the view calls it; a computed cursor is told."""
    mssql.execute(
        "CREATE TABLE [Users] (uid bigint, touched datetime2(7))",
        "CREATE TABLE wallet (uid bigint, balance decimal(9,2))",
        "CREATE VIEW users_seen AS SELECT u.uid AS user_ext_id, u.touched AS dt_update, w.balance AS balance FROM [Users] AS u LEFT JOIN wallet AS w ON w.uid = u.uid",
        "INSERT INTO [Users] VALUES (1, CAST('2024-01-01' AS datetime2(7)))",
    )
    source = open_mssql()
    described = source.describe(Relation("users", "dt_update", ("user_ext_id",), relation="users_seen"))
    plan = source.plan(described, None, 10)
    assert plan.uses_index is False
    assert "Sort" in plan.text
    assert plan.advice == "CREATE INDEX [Users_touched_uid] ON [dbo].[Users] ([touched], [uid]);"
    mssql.execute(plan.advice)
    assert source.plan(described, None, 10).uses_index is True
    computed = Relation("v", "later", (), query="SELECT uid, uid + 1 AS later FROM [Users]")
    plan = source.plan(source.describe(computed), None, 10)
    assert plan.uses_index is False
    assert "stored column" in plan.advice


@pytest.mark.stand_in("mssql")
def test_without_showplan_indexes_tell(open_mssql, mssql):
    """A user who may not see plans learns from the list of indexes, and which right is missing."""
    mssql.execute("CREATE TABLE bets (at datetime2(7), id bigint)", "REVOKE SHOWPLAN FROM reader")
    mssql.execute("CREATE VIEW seen AS SELECT at AS moment, id FROM bets")
    source = open_mssql()
    described = source.describe(Relation("v", "moment", ("id",), relation="seen"))
    plan = source.plan(described, None, 10)
    assert plan.uses_index is False
    assert "GRANT SHOWPLAN" in plan.text
    mssql.execute(plan.advice)
    assert source.plan(described, None, 10).uses_index is True
    computed = source.describe(Relation("v", "later", ("id",), query="SELECT id + 1 AS later, id FROM bets"))
    assert source.plan(computed, None, 10).uses_index is None
