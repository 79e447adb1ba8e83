"""Redshift's sessions: its driver's traps, its failures, its plans, rights."""

from __future__ import annotations

import pytest

from smartico_sync.core.position import Position
from smartico_sync.core.relation import Relation
from smartico_sync.errors import SourceCancelled, SourceError, SourceRefused, SourceUnreachable, ViewAltered, ViewBroken
from smartico_sync.sources.redshift.failures import failure
from smartico_sync.sources.redshift.plan import Scan, scans, sorted_by

BETS = Relation("bets", "id", ("id",), relation="bets")


def one(source, expression, relation=None):
    """The value of an expression as a page carries it, and the page."""
    described = source.describe(relation or Relation("v", "id", (), query=f"SELECT 1 AS id, {expression} AS value"))
    with source.reading(described) as reading:
        page = reading.page(None, 10)
    return page["value"].to_list()[0], page


def described(number, modifier=-1):
    return {"label": b"c", "type_oid": number, "type_modifier": modifier}


def test_a_session_says_who_it_is_and_what_it_wants(redshift, configured):
    """application_name, zone and timeout of each session; query_group and case_sensitive where the URL asks for them."""
    redshift.execute("CREATE TABLE bets (id int)")
    with pytest.raises(SourceError):  # PostgreSQL knows no such setting: it was asked for
        configured(redshift.url + "&case_sensitive=on").facts()
    source = configured(redshift.url, statement_timeout="12s")
    query = "SELECT 1 AS id, current_setting('statement_timeout') || current_setting('TimeZone') AS value"
    assert one(source, "", Relation("v", "id", (), query=query))[0] == "12sUTC"
    names = redshift.execute("SELECT application_name FROM pg_stat_activity WHERE datname = current_database()")
    assert ("smartico-sync",) in names


def test_an_idle_poll_prepares_nothing_anew(redshift, configured):
    """Statements are prepared once a session; a hundred polls later there are as many as after the first."""
    redshift.execute("CREATE TABLE bets (id int)")
    source = configured(redshift.url, pool=1)
    described_bets = source.describe(BETS)
    counted = source.describe(Relation("v", "n", (), query="SELECT count(*) AS n FROM pg_prepared_statements"))
    numbers = []
    for _ in range(6):
        with source.reading(described_bets) as reading:
            reading.page(Position("7", ("7",)), 100)
        with source.reading(counted) as reading:
            numbers.append(reading.page(None, 2)["n"][0])
    assert len(set(numbers[1:])) == 1


def test_a_failure_leaves_the_session_in_its_place(redshift, configured):
    """After ROLLBACK the driver throws away what it has prepared; it must not lose its place in the stream by that."""
    redshift.execute("CREATE TABLE bets (id int)", "INSERT INTO bets VALUES (1)")
    source = configured(redshift.url, pool=1)
    described_bets = source.describe(BETS)
    broken = Relation("v", "id", (), query="SELECT 1 / (id - 1) AS id FROM bets", columns=described_bets.columns)
    for _ in range(3):
        with pytest.raises(ViewBroken), source.reading(broken) as reading:
            reading.page(None, 5)
        with source.reading(described_bets) as reading:
            assert reading.page(None, 5)["id"].to_list() == [1]
            assert reading.head() == "1"


def test_a_column_that_changes_its_type_is_tried_again(redshift, configured):
    """What was prepared for the old type cannot run: ViewAltered, and described again it is read anew, on another connection."""
    redshift.execute("CREATE TABLE bets (id int, value int)", "INSERT INTO bets VALUES (1, 2)")
    source = configured(redshift.url, pool=1)
    described_bets = source.describe(BETS)
    with source.reading(described_bets) as reading:
        reading.page(None, 5)
    redshift.execute("ALTER TABLE bets ALTER COLUMN value TYPE bigint")
    with pytest.raises(ViewAltered), source.reading(described_bets) as reading:
        reading.page(None, 5)
    with source.reading(source.describe(BETS)) as reading:
        assert reading.page(None, 5)["value"].to_list() == [2]


def test_a_column_dropped_later_is_named(redshift, configured):
    """A view that loses a column after describe(): ViewBroken that names it."""
    redshift.execute("CREATE TABLE bets (id int, amount int, amount_real int)")
    source = configured(redshift.url)
    found = source.describe(BETS)
    redshift.execute("ALTER TABLE bets DROP COLUMN amount")
    with pytest.raises(ViewBroken, match="'amount'") as broken, source.reading(found) as reading:
        reading.page(None, 5)
    assert "amount_real" in broken.value.hint


def test_a_view_that_fails_for_a_row_shows_no_value(redshift, configured):
    """The server's message quotes the value that failed; ours does not."""
    redshift.execute(
        "CREATE TABLE raw (id text)", "INSERT INTO raw VALUES ('secret-mail')", "CREATE VIEW bets AS SELECT id::int FROM raw"
    )  # fmt: skip
    source = configured(redshift.url)
    found = source.describe(BETS)
    with pytest.raises(ViewBroken) as broken, source.reading(found) as reading:
        reading.page(None, 5)
    assert "secret" not in broken.value.message + broken.value.hint


@pytest.mark.parametrize(
    ("code", "message", "kind"),
    [
        (
            "XX000",
            "1023 DETAIL: Serializable isolation violation on table - 1, transactions: 'secret'",
            SourceCancelled,
        ),
        ("XX000", "Query (12) cancelled by WLM abort action of Query Monitoring Rule 'secret'", SourceCancelled),
        ("57014", "Query (12) cancelled on user's request", SourceCancelled),
        ("XX000", "Disk Full DETAIL: secret", SourceCancelled),
        ("XX000", "permission denied for relation secret", SourceRefused),
        ("42501", "permission denied for relation secret", SourceRefused),
        ("28000", 'password authentication failed for user "secret"', SourceRefused),
        ("57P03", "cluster is starting secret", SourceUnreachable),
        ("XX000", "Invalid digit, Value 's', Pos 0, Type: Integer secret", ViewBroken),
        ("22P02", "invalid input syntax for integer: secret", ViewBroken),
    ],
)
def test_redshifts_own_words_are_understood(code, message, kind):
    """Much is an internal error there: its words decide, and none of them gets through."""
    told = failure({"C": code, "M": message}, "source replica", "view bets")
    assert type(told) is kind
    assert "secret" not in told.message + told.hint
    assert told.hint


def test_a_reader_draws_no_warning(redshift, configured):
    """A user that may only SELECT: no warnings; and the fence is said to be impossible."""
    redshift.execute("CREATE TABLE bets (id int)")
    facts = configured(redshift.url).facts()
    assert facts.warnings == ()
    assert facts.fence
    assert facts.replay_lag_ms is None


def test_a_writer_is_told(redshift, configured):
    """Rights to change tables are counted."""
    redshift.execute("CREATE TABLE bets (id int)", "GRANT INSERT ON bets TO reader")
    (warning,) = configured(redshift.url).facts().warnings
    assert "1 tables" in warning


REDSHIFTS_PLAN = """XN Limit  (cost=1000000000000.02..1000000000000.03 rows=1000 width=24)
  ->  XN Merge  (cost=1000000000000.02..1000000000000.03 rows=1 width=24)
        Merge Key: t.finalized_at, t.id
        ->  XN Network  (cost=1000000000000.02..1000000000000.03 rows=1 width=24)
              Send to leader
              ->  XN Sort  (cost=1000000000000.02..1000000000000.03 rows=1 width=24)
                    Sort Key: t.finalized_at, t.id
                    ->  XN Hash Join DS_DIST_NONE  (cost=0.00..0.02 rows=1 width=24)
                          ->  XN Seq Scan on payment t  (cost=0.00..0.01 rows=1 width=24)
                                Filter: (finalized_at >= '2024-01-01 00:00:00'::timestamp without time zone)
                          ->  XN Seq Scan on "Brands"  (cost=0.00..0.01 rows=1 width=4)"""


def test_redshifts_plans_are_read():
    """Tables with their aliases, and the columns of the sort, up to the first that is computed."""
    assert scans(REDSHIFTS_PLAN) == [Scan("Seq Scan", "payment", "t"), Scan("Seq Scan", "Brands", "Brands")]
    assert sorted_by(REDSHIFTS_PLAN) == [("t", "finalized_at"), ("t", "id")]
    assert sorted_by("Sort Key: dt, date_trunc('day'::text, dt), id") == [("", "dt")]
    assert scans("->  XN S3 Query Scan sales  (cost=3010.00..5010.50 rows=200000 width=31)") == [
        Scan("S3 Query Scan", "sales", "sales")
    ]


@pytest.mark.stand_in("redshift")
def test_plans_look_through_views_and_joins(redshift, configured):
    """The advice names the base table and its own column, whatever the view calls it; a computed cursor is told."""
    redshift.execute(
        'CREATE TABLE "Users" (uid bigint, touched timestamptz)',
        "CREATE TABLE wallet (uid bigint, balance numeric)",
        'CREATE VIEW users AS SELECT u.uid AS user_ext_id, u.touched AS dt_update, w.balance FROM "Users" u LEFT JOIN wallet w USING (uid)',
        'INSERT INTO "Users" SELECT i, now() FROM generate_series(1, 100) i',
    )
    source = configured(redshift.url)
    found = source.describe(Relation("users", "dt_update", ("user_ext_id",), relation="users"))
    plan = source.plan(found, None, 10)
    assert plan.uses_index is False
    assert plan.advice == 'ALTER TABLE public."Users" ALTER COMPOUND SORTKEY (touched, uid);'
    redshift.execute(plan.advice)
    assert source.plan(found, None, 10).uses_index is True
    computed = source.describe(
        Relation("v", "day", (), query="SELECT date_trunc('day', touched) AS day, uid FROM \"Users\"")
    )
    plan = source.plan(computed, None, 10)
    assert plan.uses_index is False
    assert "stored column" in plan.advice
