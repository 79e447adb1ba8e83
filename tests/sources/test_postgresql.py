"""What PostgreSQL promises beyond the contract: types, failures, standbys."""

# ruff: noqa: DTZ001  - wall clocks without a zone are what is tested
from __future__ import annotations

import datetime as dt
import re
import uuid

import polars as pl
import pytest

from smartico_sync.core.position import Position
from smartico_sync.core.relation import Relation
from smartico_sync.errors import ConfigError, SourceCancelled, SourceRefused, SourceUnreachable, ViewAltered, ViewBroken
from smartico_sync.sources.postgresql.session import Session
from smartico_sync.sources.protocol import Asked, FirstPage, KeysAsked, Landmarks, News
from waiting import until

NUMBER = re.compile(r"-?(0|[1-9][0-9]*)(\.[0-9]+)?")
BETS = Relation("bets", "id", ("id",), relation="bets")


def one(engine, expression, relation=None):
    """The value of an expression as a page carries it, and the page."""
    source = engine.source()
    described = source.describe(relation or Relation("v", "id", (), query=f"SELECT 1 AS id, {expression} AS value"))
    with source.reading(described) as reading:
        page = reading.page(None, 10)
    source.close()
    return page["value"].to_list()[0], page


@pytest.mark.parametrize(
    ("expression", "value"),
    [
        ("12345678901234567890123456789012345678::numeric", "12345678901234567890123456789012345678"),
        ("0.10::numeric(10,2)", "0.10"),
        ("1234.5::money", "1234.50"),
        ("9223372036854775807::bigint", 2**63 - 1),
        ("1.5::real", 1.5),
        ("0.1::float8", 0.1),
        ("true", True),
        ("'EUR'::char(5)", "EUR"),
        ("'2024-02-29'::date", dt.date(2024, 2, 29)),
        ("'2024-02-29 10:00:00.123456'::timestamp", dt.datetime(2024, 2, 29, 10, 0, 0, 123456)),
        ("'2024-02-29 10:00:00.5+02'::timestamptz", dt.datetime(2024, 2, 29, 8, 0, 0, 500000, dt.UTC)),
        ("'2024-02-29 10:00'::timestamp(0)", dt.datetime(2024, 2, 29, 10)),
        ("'10:11:12.5'::time", "10:11:12.5"),
        ("'10:11:12+02'::timetz", "10:11:12+02"),
        ("'1 day 2 hours'::interval", "1 day 02:00:00"),
        ("'10.0.0.0/8'::inet", "10.0.0.0/8"),
        ("'[1,5)'::int4range", "[1,5)"),
        ("B'101'::bit(3)", "101"),
        ("'\\xdeadbeef'::bytea", b"\xde\xad\xbe\xef"),
        ("'a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11'::uuid", "a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11"),
        ('\'{"a": "b, \\"c\\""}\'::jsonb', '{"a": "b, \\"c\\""}'),
        ("'{\"a\":1}'::json", '{"a":1}'),
        ("ARRAY['a', NULL, 'b\"c']", '["a",null,"b\\"c"]'),
        ("ARRAY[[1,2],[3,4]]", "[[1,2],[3,4]]"),
        ("ARRAY[]::text[]", "[]"),
        ("'point'::name", "point"),
        ("NULL::int", None),
        ("NULL::text[]", None),
        ("''::text", ""),
    ],
)
def test_every_type_arrives_without_loss(on_postgresql, expression, value):
    """Types that frames know arrive as such, all others as the text PostgreSQL prints."""
    assert one(on_postgresql, expression)[0] == value


@pytest.mark.parametrize("limit", [20, 20_000])
def test_decimals_are_json_numbers_or_no_value(on_postgresql, limit):
    """Which is why nobody looks at them again: by COPY as by a SELECT, whatever their size, scale or domain."""
    values = "'NaN'", "1e-30", "-0.0", "1e200", "-.5", "5.", "+7", "007", "0", "NULL", "-1e-7", "9e15"
    rows = ", ".join(f"({place}, {value}::numeric)" for place, value in enumerate(values))
    query = f"SELECT id, value, (value % 9)::numeric(38, 9) AS scaled, 12.5::money AS paid FROM (VALUES {rows}) AS v (id, value)"
    source = on_postgresql.source()
    described = source.describe(Relation("v", "id", (), query=query))
    assert [column.prints for column in described.columns] == ["anything", *["JSON numbers"] * 3]
    with source.reading(described) as reading:
        page = reading.page(None, limit)
    source.close()
    assert page["value"].null_count() == 2
    for name in ("value", "scaled", "paid"):
        assert all(NUMBER.fullmatch(text) for text in page[name].drop_nulls()), name


def test_types_of_the_operators_own(on_postgresql):
    """Enums, domains over domains and citext behave like what they stand for, as columns, cursors and keys."""
    on_postgresql.execute(
        "CREATE EXTENSION citext",
        'CREATE SCHEMA "My Types"',
        "CREATE TYPE \"My Types\".\"Status\" AS ENUM ('PENDING', 'ACTIVE', 'BLOCKED')",
        "CREATE DOMAIN cents AS numeric(20,2)",
        "CREATE DOMAIN stake AS cents CHECK (VALUE >= 0)",
        'CREATE TABLE bets (status "My Types"."Status", amount stake, mail citext, id bigint)',
        "INSERT INTO bets VALUES ('ACTIVE', 1.10, 'A@x', 1), ('PENDING', 2, 'a@y', 2), ('BLOCKED', 3, 'B@x', 3)",
    )
    source = on_postgresql.source()
    described = source.describe(Relation("bets", "status", ("mail", "amount"), relation="bets"))
    assert [column.family for column in described.columns] == ["text", "decimal", "text", "integer"]
    found, after = [], None
    for _ in range(3):
        with source.reading(described) as reading:
            page = reading.page(after, 1)
            assert reading.rows([Position(page["@cursor"][0], (page["@key.0"][0], page["@key.1"][0]))]).height == 1
        found.append(page["status"][0])
        after = Position(page["@cursor"][0], (page["@key.0"][0], page["@key.1"][0]))
    assert found == ["PENDING", "ACTIVE", "BLOCKED"]


@pytest.mark.parametrize("path", ["crm", '""'])
def test_types_that_no_search_path_leads_to(on_postgresql, path):
    """They are compared as they are ordered, or pages would leave out rows; and arrive as they do elsewhere."""
    on_postgresql.execute(
        "CREATE SCHEMA crm",
        'CREATE SCHEMA "More, types"',
        "CREATE EXTENSION citext",
        'CREATE EXTENSION hstore SCHEMA "More, types"',
        'CREATE TABLE crm.bets (id int, value citext, more "More, types".hstore)',
        "INSERT INTO crm.bets VALUES (1, 'c', 'a=>1'), (1, 'B', 'a=>2'), (1, 'a', NULL), (1, 'D', NULL)",
    )
    source = on_postgresql.source(f"{on_postgresql.url}?options=-c%20search_path%3D{path}")
    described = source.describe(Relation("bets", "id", ("value",), relation="crm.bets"))
    assert described.columns[1].type == "public.citext"
    found, after = [], None
    for _ in range(4):
        with source.reading(described) as reading:
            page = reading.page(after, 1)
        found += page.select("value", "more").rows()
        after = Position(page["@cursor"][0], (page["@key.0"][0],))
    assert found == [("a", None), ("B", '{"a": "2"}'), ("c", '{"a": "1"}'), ("D", None)]


def test_a_composite_type_may_have_the_name_of_another(on_postgresql):
    """It is text, as every composite type, and no number that would spoil its whole request."""
    on_postgresql.execute("CREATE TYPE money AS (amount numeric, currency text)")
    value, page = one(on_postgresql, "row(12.5, 'EUR')::public.money")
    assert value == "(12.5,EUR)"
    assert page.schema["value"] == pl.String
    source = on_postgresql.source()
    query = "SELECT 1 AS id, row(12.5, 'EUR')::public.money AS value"
    assert source.describe(Relation("v", "id", (), query=query)).columns[1].family == "other"


@pytest.mark.parametrize(
    ("kind", "values"),
    [
        ("timestamp", ["'infinity'", "'-infinity'", "'294276-12-31'", "'0044-03-15 BC'"]),
        ("timestamptz", ["'infinity'", "'294276-12-31'", "'4713-01-01 BC'"]),
        ("date", ["'infinity'", "'5874897-12-31'", "'0044-03-15 BC'"]),
        ("numeric", ["'NaN'"]),
        ("float8", ["'NaN'", "'Infinity'"]),
    ],
)
def test_impossible_values_spoil_only_their_row(on_postgresql, kind, values):
    """A value no frame can hold is null, `@unreadable` names its column and no value, and its neighbours are fine."""
    good = "'2024-01-01'" if "time" in kind or kind == "date" else "1"
    rows = [good, *values, "NULL"]
    on_postgresql.execute(f"CREATE TABLE bets (id int, value {kind}, also {kind})")
    for number, value in enumerate(rows):
        on_postgresql.execute(f"INSERT INTO bets VALUES ({number}, {value}, {value})")
    _, page = one(on_postgresql, "", BETS)
    assert page["value"].is_null().to_list() == [False, *[True] * (len(values) + 1)]
    told = page["@unreadable"].to_list()
    assert told[0] is None
    assert told[-1] is None
    assert all(text.startswith("value: not a ") and "; also: not a " in text for text in told[1:-1])


def test_an_infinite_cursor_is_unreadable_and_ordered(on_postgresql):
    """`infinity` in the cursor comes last, its text stands in `@cursor`, and the page is whole."""
    on_postgresql.execute(
        "CREATE TABLE bets (id int, value timestamptz)",
        "INSERT INTO bets VALUES (1, 'infinity'), (2, '2024-01-01 00:00+00')",
    )
    _, page = one(on_postgresql, "", Relation("bets", "value", ("id",), relation="bets"))
    assert page["@cursor"].to_list() == ["2024-01-01 00:00:00+00", "infinity"]
    assert page["@unreadable"].is_null().to_list() == [True, False]


@pytest.mark.parametrize(("kind", "values"), [("numeric", "1 2 2.0 2.00 3 3.0 4"), ("citext", "a b B b c C d")])
def test_keyless_cursors_that_the_server_takes_for_equal_are_on_one_page(on_postgresql, walk, kind, values):
    """However their texts differ: the next page begins after all of them."""
    words = values.split()
    on_postgresql.execute(
        "CREATE EXTENSION IF NOT EXISTS citext", f"CREATE TABLE bets (id int, ref {kind})",
        *(f"INSERT INTO bets VALUES ({number}, '{word}')" for number, word in enumerate(words)),
    )  # fmt: skip
    source = on_postgresql.source()
    described = source.describe(Relation("bets", "ref", (), relation="bets"))
    for limit in (1, 2, 3, 4):
        assert sorted(number for page in walk(source, described, limit) for number in page["id"]) == list(range(7))


def test_local_timestamps_become_utc(on_postgresql):
    """`timezone:` tells what wall-clock columns mean; the session's own zone never matters."""
    query = "SELECT 1 AS id, timestamp '2024-07-01 12:00' AS value, timestamptz '2024-07-01 12:00+00' AS moment"
    value, page = one(on_postgresql, "", Relation("v", "id", (), query=query, timezone="Europe/Malta"))
    assert value == dt.datetime(2024, 7, 1, 10)
    assert page["moment"][0] == dt.datetime(2024, 7, 1, 12, tzinfo=dt.UTC)


def test_null_is_never_taken_for_text(on_postgresql):
    """Whatever stands for NULL on the wire, a stored text of that look stays text."""
    _, page = one(
        on_postgresql,
        "",
        Relation(
            "v",
            "id",
            (),
            query="SELECT i AS id, v AS value FROM (VALUES (1, ''), (2, NULL), (3, '\\N'), (4, 'NULL'), (5, '\\')) x(i, v)",
        ),
    )
    assert page["value"].to_list() == ["", None, "\\N", "NULL", "\\"]


def test_two_columns_of_one_name_are_refused(on_postgresql):
    """A query whose columns cannot be told apart is broken, and says which."""
    with pytest.raises(ViewBroken, match="dt"):
        on_postgresql.source().describe(Relation("v", "dt", (), query="SELECT 1 AS dt, 2 AS dt"))


def test_a_column_dropped_later_is_named(on_postgresql):
    """A view that loses a column after describe(): ViewBroken that names it."""
    on_postgresql.execute("CREATE TABLE bets (id int, amount int, amount_real int)")
    source = on_postgresql.source()
    described = source.describe(BETS)
    on_postgresql.execute("ALTER TABLE bets DROP COLUMN amount")
    with pytest.raises(ViewBroken, match="'amount'") as broken, source.reading(described) as reading:
        reading.page(None, 5)
    assert "amount_real" in broken.value.hint


def test_a_view_that_fails_for_a_row_shows_no_value(on_postgresql):
    """The server's message quotes the value that failed; ours does not."""
    on_postgresql.execute(
        "CREATE TABLE raw (id text)",
        "INSERT INTO raw VALUES ('secret-mail')",
        "CREATE VIEW bets AS SELECT id::int FROM raw",
    )
    source = on_postgresql.source()
    described = source.describe(BETS)
    with pytest.raises(ViewBroken) as broken, source.reading(described) as reading:
        reading.page(None, 5)
    assert "secret" not in broken.value.message + broken.value.hint


@pytest.mark.parametrize(
    ("expression", "words"),
    [("raw::int", "cast"), ("1 / (length(raw) - 11)", "divides"), ("convert_from('\\xff'::bytea || raw::bytea, 'UTF8')", "UTF-8"),
     ("'2026-02-31'::text::date + length(raw)", "cast")],
)  # fmt: skip
def test_what_fails_for_a_row_is_told_apart(on_postgresql, expression, words):
    """A cast, a division and bytes that are no text each have a message of their own."""
    on_postgresql.execute(
        "CREATE TABLE raws (id int, raw text)",
        f"CREATE VIEW bets AS SELECT id, {expression} AS value FROM raws",
        "INSERT INTO raws VALUES (1, 'secret-mail')",
    )
    source = on_postgresql.source()
    described = source.describe(BETS)
    with pytest.raises(ViewBroken, match=words) as broken, source.reading(described) as reading:
        reading.page(None, 5)
    assert "secret" not in broken.value.message + broken.value.hint


def test_a_position_of_another_type_is_told(on_postgresql):
    """The key became a uuid since the position was made: it is the position that is wrong, and not a row of the view."""
    on_postgresql.execute(
        "CREATE TABLE bets (id uuid DEFAULT gen_random_uuid(), at int)", "INSERT INTO bets (at) VALUES (1)"
    )
    source = on_postgresql.source()
    described = source.describe(Relation("bets", "at", ("id",), relation="bets"))
    with pytest.raises(ViewBroken, match="position") as broken, source.reading(described) as reading:
        reading.page(Position("0", ("17",)), 5)
    assert "smartico-sync watermark rewind bets" in broken.value.hint
    with source.reading(described) as reading:
        assert reading.page(None, 5).height == 1


def test_a_bad_byte_spoils_only_its_row(postgresql_server, configured):
    """In an SQL_ASCII database a text may be no text at all: that value is unreadable, and the reason names the encoding."""
    server, name = postgresql_server, f"t_{uuid.uuid4().hex[:12]}"
    server.admin(f"CREATE DATABASE {name} TEMPLATE template0 ENCODING 'SQL_ASCII' LC_COLLATE 'C' LC_CTYPE 'C'")
    try:
        server.admin(
            "CREATE TABLE bets (id int, name text, note text)",
            "INSERT INTO bets VALUES (1, E'Zo\\xc3\\xab', 'a'), (2, E'Jos\\xe9', 'b'), (3, E'x,\"\\xff', E'\\xfe'), (4, NULL, 'd')",
            database=name,
        )
        source = configured(server.url(name))
        with source.reading(source.describe(BETS)) as reading:
            page = reading.page(None, 10)
        assert page["id"].to_list() == [1, 2, 3, 4]
        assert page["name"].to_list() == ["Zoë", None, None, None]
        reasons = page["@unreadable"].to_list()
        assert reasons[0] is reasons[3] is None
        assert "SQL_ASCII" in reasons[1]
        assert "name: " in reasons[2]
        assert "note: " in reasons[2]
        source.close()
    finally:
        server.admin(f"DROP DATABASE {name} WITH (FORCE)")


def test_row_security_that_hides_rows_is_told(on_postgresql):
    """hidden() names the table whose policy filters, also beneath a view; whoever sees everything hears nothing."""
    on_postgresql.execute(
        "CREATE TABLE raws (id int, brand text)",
        "CREATE VIEW bets AS SELECT * FROM raws",
        "CREATE VIEW mine WITH (security_invoker = true) AS SELECT * FROM raws",
    )
    source = on_postgresql.source()
    for relation in ("raws", "bets", "mine"):
        assert source.hidden(Relation("bets", "id", ("id",), relation=relation)) == ""
    on_postgresql.execute("ALTER TABLE raws ENABLE ROW LEVEL SECURITY", "CREATE POLICY own ON raws USING (brand = 'a')")
    assert "raws" in source.hidden(Relation("bets", "id", ("id",), relation="raws"))
    assert "raws" in source.hidden(Relation("bets", "id", (), query="SELECT * FROM raws"))
    assert "raws" in source.hidden(Relation("bets", "id", ("id",), relation="mine"))
    assert (
        source.hidden(Relation("bets", "id", ("id",), relation="bets")) == ""
    )  # its owner reads the table, and is not filtered


def test_no_permission_is_refused(on_postgresql, configured):
    """A view that the user may not read: SourceRefused, and what to grant."""
    on_postgresql.execute("CREATE TABLE bets (id int)", "CREATE ROLE nobody_in_particular LOGIN PASSWORD 'p'")
    try:
        url = on_postgresql.url.replace(on_postgresql.url.split("//")[1].split("@")[0], "nobody_in_particular:p")
        source = configured(url)
        with pytest.raises(SourceRefused) as refused:
            source.describe(BETS)
        assert "GRANT SELECT" in refused.value.hint
        assert source.relations() == ()
        source.close()
    finally:
        on_postgresql.execute("DROP ROLE nobody_in_particular")


def test_url_parameters_reach_libpq(on_postgresql, configured):
    """sslmode and its like pass through; a server without TLS then cannot be reached; unknown ones are a ConfigError."""
    with pytest.raises(SourceUnreachable, match="TLS"):
        configured(on_postgresql.url + "?sslmode=require").facts()
    with pytest.raises(ConfigError, match="sslmood"):
        configured(on_postgresql.url + "?sslmood=require")
    source = configured(on_postgresql.url, options={"application_name": "mine"})
    source.facts()
    names = {
        row[0]
        for row in on_postgresql.execute(
            "SELECT application_name FROM pg_stat_activity WHERE datname = current_database()"
        )
    }
    assert "mine" in names
    source.close()


def test_a_unix_socket_serves(private_postgresql, configured):
    """`?host=/directory` connects through the socket."""
    source = configured(private_postgresql.admin_url())
    facts = source.facts()
    assert any("superuser" in warning for warning in facts.warnings)
    source.close()


def test_a_reader_draws_no_warning(on_postgresql):
    """A user that may only SELECT: no warnings, and the fence is valid."""
    on_postgresql.execute("CREATE TABLE bets (id int)")
    facts = on_postgresql.source().facts()
    assert facts.warnings == ()
    assert facts.fence == ""
    assert facts.version.startswith(("1", "2"))


def test_cached_sequences_spoil_the_fence(on_postgresql):
    """CACHE > 1 hands out ids ahead of time: facts() names the sequence."""
    on_postgresql.execute("CREATE SEQUENCE bet_ids CACHE 20")
    facts = on_postgresql.source().facts()
    assert "public.bet_ids" in facts.fence
    assert "public.bet_ids" in facts.no_fence("integer")
    assert facts.no_fence("instant") == "", "a time is not taken from a sequence"


def test_a_killed_backend_is_transient(on_postgresql):
    """pg_terminate_backend: a transient failure, and the next reading works."""
    on_postgresql.execute("CREATE TABLE bets (id int)")
    source = on_postgresql.source()
    described = source.describe(BETS)
    kill = "SELECT pg_terminate_backend(pid, 5000) FROM pg_stat_activity WHERE application_name = 'smartico-sync' AND datname = current_database()"
    with pytest.raises((SourceCancelled, SourceUnreachable)), source.reading(described) as reading:  # noqa: PT012  - it works, then it fails
        reading.page(None, 5)
        on_postgresql.execute(kill)
        reading.page(None, 5)
    with source.reading(described) as reading:
        assert reading.page(None, 5).height == 0
    on_postgresql.execute(kill)
    with source.reading(described) as reading:
        assert reading.page(None, 5).height == 0


def test_a_standby_is_a_source(private_postgresql, standby, configured):
    """A physical standby: its role, its clock, and snapshots that follow the primary's transactions."""
    private_postgresql.admin("CREATE TABLE bets (id bigint PRIMARY KEY)", "INSERT INTO bets VALUES (1)")
    source = configured(standby.url())
    until(source.relations)
    described = source.describe(BETS)
    facts = source.facts()
    assert facts.role == "physical standby"
    assert facts.fence == ""
    assert facts.replay_lag_ms is not None
    now = "SELECT (extract(epoch FROM clock_timestamp()) * 1000)::bigint"
    begun = private_postgresql.admin(now)[0][0]
    with source.reading(described) as reading:
        before, clock = reading.snapshot, reading.clock_ms
        assert begun - 60_000 < clock <= private_postgresql.admin(now)[0][0]
    private_postgresql.admin("INSERT INTO bets VALUES (2)")
    while True:
        with source.reading(described) as reading:
            if reading.page(None, 5).height == 2:
                assert reading.snapshot.xmin > before.xmin
                break
    source.close()


def test_a_standby_that_stops_says_so(private_postgresql, standby, configured):
    """Paused, or cut off from its primary: since when, and what mends it; one with nothing to replay is not behind, nor is a primary."""
    private_postgresql.admin("CREATE TABLE bets (id bigint PRIMARY KEY)")
    source, primary = configured(standby.url()), configured(private_postgresql.url())
    until(source.relations)
    described = source.describe(BETS)

    def standing(source=source):
        with source.reading(described) as reading:
            return reading.replication()

    assert standing(primary).state == "primary"
    until(lambda: (standing().state, standing().lag_ms) == ("replica", 0))
    standby.admin("SELECT pg_wal_replay_pause()")
    private_postgresql.admin("INSERT INTO bets VALUES (2)")
    stopped = standing()
    assert stopped.state == "stopped"
    standby.admin(stopped.hint.partition(": ")[2])
    until(lambda: (standing().state, standing().lag_ms) == ("replica", 0))
    standby.admin("ALTER SYSTEM SET primary_conninfo = 'host=/nowhere'", "SELECT pg_reload_conf()")
    until(lambda: standing().state == "stopped")
    assert "primary_conninfo" in standing().hint
    source.close()
    primary.close()


@pytest.mark.slow
def test_a_standby_that_was_restarted_is_not_behind(private_postgresql, standby, configured):
    """It asks its primary from the beginning of a segment on, and has replayed more than that: nothing is missing."""
    private_postgresql.admin("CREATE TABLE bets (id bigint PRIMARY KEY)")
    until(lambda: standby.admin("SELECT to_regclass('bets')") != [(None,)])
    standby.restart()
    until(lambda: standby.admin("SELECT count(*) FROM pg_stat_wal_receiver") == [(1,)])
    source = configured(standby.url())
    with source.reading(source.describe(BETS)) as reading:
        standing = reading.replication()
    assert (standing.state, standing.lag_ms) == ("replica", 0)
    source.close()


def test_statements_name_their_view(on_postgresql):
    """The database's own statistics show which view costs what."""
    on_postgresql.execute("CREATE TABLE bets (id int)")
    source = on_postgresql.source()
    described = source.describe(BETS)
    with source.reading(described) as reading:
        assert "/* smartico-sync view=bets */" in reading.poll_statement(None, 5)[0].text
        reading.page(None, 5)
        shown = on_postgresql.execute(
            "SELECT query FROM pg_stat_activity WHERE application_name = 'smartico-sync' AND datname = current_database()"
        )
    assert any("/* smartico-sync view=bets */" in row[0] for row in shown)


def test_plans_look_through_views_and_joins(on_postgresql):
    """The advice names the base table and its own column, whatever the view calls it; a computed cursor is told."""
    on_postgresql.execute(
        'CREATE TABLE "Users" (uid bigint PRIMARY KEY, touched timestamptz)',
        "CREATE TABLE wallet (uid bigint PRIMARY KEY, balance numeric)",
        'CREATE VIEW users AS SELECT u.uid AS user_ext_id, u.touched AS dt_update, w.balance FROM "Users" u LEFT JOIN wallet w USING (uid)',
        'INSERT INTO "Users" SELECT i, now() FROM generate_series(1, 100) i',
    )
    source = on_postgresql.source()
    described = source.describe(Relation("users", "dt_update", ("user_ext_id",), relation="users"))
    plan = source.plan(described, None, 10)
    assert plan.uses_index is False
    assert plan.advice.startswith('CREATE INDEX CONCURRENTLY ON public."Users" (touched')
    on_postgresql.execute(plan.advice)
    assert source.plan(described, None, 10).uses_index is True
    computed = Relation("v", "day", (), query="SELECT date_trunc('day', touched) AS day, uid FROM \"Users\"")
    plan = source.plan(source.describe(computed), None, 10)
    assert plan.uses_index is False
    assert "stored column" in plan.advice


@pytest.mark.parametrize("query", ["SELECT DISTINCT id, dt FROM raw", "SELECT id, dt FROM raw LIMIT 50"])
def test_a_query_that_is_computed_first_is_told(on_postgresql, query):
    """No index serves it, and its cursor is a stored column all the same."""
    on_postgresql.execute("CREATE TABLE raw (id bigint, dt timestamptz)", "CREATE INDEX moved ON raw (dt, id)")
    source = on_postgresql.source()
    plan = source.plan(source.describe(Relation("v", "dt", ("id",), query=query)), None, 10)
    assert plan.uses_index is False
    assert "computes the whole query" in plan.advice


def test_pages_have_the_declared_dtypes_even_when_empty(on_postgresql):
    """An empty page and a full one have one schema."""
    on_postgresql.execute(
        "CREATE TABLE bets (id bigint, at timestamptz, n numeric, b boolean, raw bytea, f real, d date)"
    )
    source = on_postgresql.source()
    described = source.describe(BETS)
    with source.reading(described) as reading:
        empty = reading.page(None, 5)
    on_postgresql.execute("INSERT INTO bets VALUES (1, now(), 1, true, '\\x00', 1, now())")
    with source.reading(described) as reading:
        assert reading.page(None, 5).schema == empty.schema
    assert empty.schema["raw"] == pl.Binary


def servers_of(source, described, times=3):
    names = []
    for _ in range(times):
        with source.reading(described) as reading:
            names.append(reading.server)
    return set(names)


def test_a_server_is_told_from_its_replica(private_postgresql, standby, configured):
    """Each process has a name of its own, which a restart changes, and which needs no right."""
    private_postgresql.admin("CREATE TABLE bets (id bigint PRIMARY KEY)")
    primary, replica = configured(private_postgresql.url()), configured(standby.url())
    until(replica.relations)
    described = primary.describe(BETS)
    (first,), (second,) = servers_of(primary, described), servers_of(replica, described)
    assert first
    assert first != second
    private_postgresql.restart()
    (again,) = servers_of(primary, described)
    assert again != first
    private_postgresql.admin("REVOKE EXECUTE ON FUNCTION pg_control_system() FROM PUBLIC")
    (without,) = servers_of(configured(private_postgresql.url()), described)
    assert without
    assert without != second
    standby.admin("SELECT pg_promote()")
    (promoted,) = servers_of(configured(standby.url()), described)
    assert promoted != second


def test_a_server_that_refuses_to_tell_its_identity_any_more(private_postgresql, configured):
    """Behind a connection to a pooler another server may stand, which the user may ask less: one reading fails, then the others
    ask what it answers."""
    private_postgresql.admin("CREATE TABLE bets (id int)")
    source = configured(private_postgresql.url())
    described = source.describe(BETS)
    (known,) = servers_of(source, described)
    private_postgresql.admin("REVOKE EXECUTE ON FUNCTION pg_control_system() FROM PUBLIC")
    with pytest.raises(SourceRefused):
        servers_of(source, described)
    (other,) = servers_of(source, described)
    assert other not in {known, ""}


def test_positions_are_read_without_what_is_joined(on_postgresql):
    """A rescan and a count ask for cursor and key alone: the planner leaves out a LEFT JOIN on a key, which a page needs."""
    on_postgresql.execute(
        "CREATE TABLE raw (id bigint PRIMARY KEY, dt timestamptz, game int)",
        "CREATE INDEX ON raw (dt, id)",
        "CREATE TABLE games (id int PRIMARY KEY, name text)",
        "CREATE VIEW bets AS SELECT raw.id, raw.dt, games.name FROM raw LEFT JOIN games ON games.id = raw.game",
    )
    source = on_postgresql.source()
    with source.reading(source.describe(Relation("bets", "dt", ("id",), relation="bets"))) as reading:
        asked = []
        ask = reading.ask
        reading.ask = lambda statement: asked.append(statement) or ask(statement)
        after = Position("2026-01-01 00:00:00+00", ("5",))
        reading.keys(after.cursor, "2026-02-01 00:00:00+00", 50_000, after)
        reading.head()
        reading.null_cursors("cursor")
        reading.count(None, "2026-02-01 00:00:00+00")
        reading.page(after, 10)
        plans = ["\n".join(row[0] for row in ask(f"EXPLAIN {statement}").rows) for statement in asked]
    assert [("games" in plan) for plan in plans] == [False, False, False, False, True]


def test_how_null_cursors_would_be_found(on_postgresql):
    """By an index for next to nothing, without one by reading the whole table; one of a few pages is no matter."""
    on_postgresql.execute(
        "CREATE TABLE bets (id bigint, filler text)",
        "INSERT INTO bets SELECT number, repeat('x', 900) FROM generate_series(1, 12000) number",
        "CREATE TABLE few AS SELECT * FROM bets LIMIT 10",
    )
    source = on_postgresql.source()

    def scan(relation):
        with source.reading(source.describe(relation)) as reading:
            return reading.null_scan()

    assert scan(BETS) == "by reading all"
    assert scan(Relation("few", "id", ("id",), relation="few")) == "by index"
    on_postgresql.execute("CREATE INDEX ON bets (id)")
    assert scan(BETS) == "by index"


def test_few_rows_and_many_are_the_same_rows(on_postgresql, monkeypatch):
    """What a SELECT answers and what COPY does differ in nothing, texts of every kind and bytes that are no text included."""
    on_postgresql.execute(
        "CREATE TABLE bets (id bigint, note text, at timestamptz, tags text[], raw bytea)",
        r"""INSERT INTO bets VALUES (1, E'a,"b"\n\t\\ é🎲', '2024-02-29 10:00:00.123456+02', ARRAY['a', NULL], '\xdead'),
        (2, '', NULL, ARRAY[]::text[], ''), (3, NULL, 'infinity', NULL, NULL), (4, '\N', '0044-01-01 BC', ARRAY['1'], '\x00')""",
    )
    source = on_postgresql.source()
    described = source.describe(BETS)
    with source.reading(described) as reading:
        few = reading.page(None, 10)
    monkeypatch.setattr("smartico_sync.sources.postgresql.reading.FEW_ROWS", 0)
    with source.reading(described) as reading:
        many = reading.page(None, 10)
    assert few.equals(many)
    assert few.schema == many.schema
    assert few.height == 4


def test_a_first_page_comes_with_the_beginning(on_postgresql):
    """It is the page that is asked for, and where it fails it fails as a page, in a reading that has begun."""
    on_postgresql.execute("CREATE TABLE bets (id int PRIMARY KEY, odds int)", "INSERT INTO bets VALUES (1, 0), (2, 1)")
    source = on_postgresql.source()
    bets = source.describe(BETS)
    with source.reading(bets, FirstPage(None, 1)) as reading:
        assert reading.first == FirstPage(None, 1)
        on_postgresql.execute("INSERT INTO bets VALUES (0, 0)")
        assert reading.page(None, 1)["@cursor"].to_list() == ["1"]
        assert reading.page(None, 2)["@cursor"].to_list() == ["1", "2"]
    fails = source.describe(Relation("v", "id", ("id",), query="SELECT id, 1 / odds AS value FROM bets"))
    with source.reading(fails, FirstPage(None, 9)) as reading:
        assert reading.first is None
        assert reading.clock_ms
        with pytest.raises(ViewBroken):
            reading.page(None, 9)
    source.close()


def test_keys_and_columns_come_with_the_beginning_too(on_postgresql, monkeypatch):
    """A poll that finds what it foresaw is one round trip; columns that changed are told all the same, whatever is asked besides."""
    on_postgresql.execute("CREATE TABLE bets (id int PRIMARY KEY, odds int)", "INSERT INTO bets VALUES (1, 0), (2, 1)")
    source = on_postgresql.source()
    bets, scripts = source.describe(BETS), []
    run = Session.run
    monkeypatch.setattr(Session, "run", lambda *asked: scripts.append(asked[1]) or run(*asked))
    first = FirstPage(Position("1", ("1",)), 9, KeysAsked(None, "1", 9, None), "rows")

    def read():
        scripts.clear()
        with source.reading(bets, first) as reading:
            return reading.page(first.after, 9)["@cursor"].to_list(), reading.keys(None, "1", 9)["@key.0"].to_list()

    assert read() == (["2"], ["1"])
    assert len(scripts) == 1
    with source.reading(bets, first) as reading:
        assert (reading.page(first.after, 1).height, reading.keys(None, "2", 9, first.after).height) == (1, 1)
    assert len(scripts) == 5
    on_postgresql.execute("ALTER TABLE bets ADD COLUMN note text")
    with pytest.raises(ViewAltered, match="note"), source.reading(bets, first) as reading:
        reading.page(first.after, 9)
    bets = source.describe(BETS)
    on_postgresql.execute("ALTER TABLE bets DROP COLUMN note")
    with pytest.raises(ViewAltered, match="note"), source.reading(bets, first) as reading:
        reading.page(first.after, 8)
    source.close()


def test_digests_tell_whether_rows_are_the_same(on_postgresql):
    """Of keys for whether any has come or gone, of rows also for what they hold."""
    on_postgresql.execute("CREATE TABLE bets (id int PRIMARY KEY, odds int)", "INSERT INTO bets VALUES (1, 1), (3, 1)")
    source = on_postgresql.source()
    bets = source.describe(BETS)

    def digests():
        with source.reading(bets) as reading:
            return [
                reading.digest(of, after, "3") for of in ("keys", "rows") for after in (None, Position("1", ("1",)))
            ]

    first = digests()
    assert [each.rows for each in first] == [2, 1, 2, 1]
    assert digests() == first
    on_postgresql.execute("UPDATE bets SET odds = 2 WHERE id = 3", "INSERT INTO bets VALUES (4, 1)")
    changed = digests()
    assert changed[:2] == first[:2]
    assert [each.rows for each in changed[2:]] == [2, 1]
    assert changed[2] != first[2]
    assert changed[3] != first[3]
    on_postgresql.execute("UPDATE bets SET id = 2 WHERE id = 3")
    assert digests()[0] != first[0]
    source.close()


def test_news_of_several_views_comes_in_one_answer(on_postgresql):
    """Behind each position, of what `page` would return; where one cannot be asked, all are said to have some."""
    on_postgresql.execute("CREATE TABLE bets (id int PRIMARY KEY, odds int)", "INSERT INTO bets VALUES (1, 0), (2, 1)")
    source = on_postgresql.source()
    bets = source.describe(BETS)
    read = [Position("1", ("1",)), Position("2", ("2",)), None]
    with source.reading(bets) as reading:
        server = reading.server
    nothing = ((), (), ())
    assert source.news([Asked(bets, after) for after in read]) == News(server, (True, False, True), nothing)
    on_postgresql.execute("CREATE TABLE others (id int PRIMARY KEY)")
    others = source.describe(Relation("others", "id", ("id",), relation="others"))
    asked = [Asked(others, None), Asked(bets, read[1])]
    assert source.news(asked) == News(server, (False, False), ((), ()))
    on_postgresql.execute("DROP TABLE others")
    assert source.news(asked) == News(server, (True, True), ((), ()))
    source.close()


@pytest.mark.parametrize(
    ("change", "found"),
    [
        ("ALTER TABLE bets ADD COLUMN stake int", (True, False)),
        ("ALTER TABLE bets ALTER odds TYPE bigint", (True, False)),
        ("INSERT INTO bets (id) VALUES (NULL)", (True, False)),
        ("INSERT INTO bets VALUES (1, 0)", (False, False)),
    ],
)
def test_with_landmarks_columns_and_nulls_are_looked_at(on_postgresql, change, found):
    """Other columns than those of the description, and rows without a cursor, are news; without landmarks nobody asks."""
    on_postgresql.execute("CREATE TABLE bets (id int, odds int)", "INSERT INTO bets VALUES (2, 1)")
    source = on_postgresql.source()
    bets, head = source.describe(BETS), Position("2", ("2",))
    on_postgresql.execute(change)
    asked = [Asked(bets, head, (Landmarks((head,), (), "2"),), "asked"), Asked(bets, head)]
    news = source.news(asked)
    assert news.found == found
    assert [len(digests) for digests in news.digests] == [1 - found[0], 0]
    source.close()


def test_a_connection_that_dies_between_two_readings_is_replaced(on_postgresql):
    """Also where the end of the last transaction was not waited for."""
    on_postgresql.execute("CREATE TABLE bets (id int PRIMARY KEY)")
    source = on_postgresql.source()
    bets = source.describe(BETS)
    for _ in range(2):
        with source.reading(bets) as reading:
            reading.page(None, 1)
        on_postgresql.execute("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE usename = 'reader'")
        until(lambda: not any(link.usable() for link in source._pool._idle))
    with source.reading(bets) as reading:
        assert not reading.page(None, 1).height
    source.close()
