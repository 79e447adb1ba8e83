"""What ClickHouse promises beyond the contract: types, traps, settings, replicas, logins, failures and a bad network."""

# ruff: noqa: DTZ001  - wall clocks without a zone are what is tested
from __future__ import annotations

import datetime as dt
import json
import threading
import time
import urllib.request
from contextlib import suppress

import pytest
from clickhouse_connect.driver import exceptions
from clickhouse_connect.driver.models import SettingDef

import engines
from servers.certificates import Authority
from smartico_sync.config.models import SourceConfig
from smartico_sync.core.position import Position
from smartico_sync.core.relation import Relation
from smartico_sync.errors import ConfigError, SourceCancelled, SourceError, SourceRefused, SourceUnreachable, ViewBroken
from smartico_sync.sources.clickhouse.failures import connecting, failure
from smartico_sync.sources.clickhouse.login import Login
from smartico_sync.sources.clickhouse.settings import settings_to_send
from smartico_sync.sources.clickhouse.types import column_of
from smartico_sync.sources.kit.url import parse
from smartico_sync.sources.registry import open_source

BETS = Relation("bets", "id", ("id",), relation="bets")
MERGE_TREE = "ENGINE = MergeTree ORDER BY tuple()"
pytestmark = pytest.mark.slow


@pytest.fixture
def on_clickhouse(request):
    yield from engines.serve("clickhouse", request)


@pytest.fixture
def server(clickhouse_server):
    """The emulator, whose users and answers are known."""
    if not clickhouse_server.port:
        pytest.skip("only the emulator has these users, and tells what it was told")
    return clickhouse_server


@pytest.fixture
def configured():
    """Open sources that are closed when the test ends."""
    sources = []

    def opened(url, **fields):
        sources.append(open_source("replica", SourceConfig.model_validate({"url": url, **fields})))
        return sources[-1]

    yield opened
    for source in sources:
        source.close()


def told(server):
    with urllib.request.urlopen(f"http://127.0.0.1:{server.port}/told") as answer:
        return json.load(answer)


def page(source, relation, after=None, limit=10):
    with source.reading(source.describe(relation)) as reading:
        return reading.page(after, limit)


def selected(expression, **fields):
    return Relation("v", "id", (), query=f"SELECT 1 AS id, {expression}", **fields)


def test_every_type_arrives_without_loss(on_clickhouse):
    """Types that frames know arrive as such, all others as the text or JSON that ClickHouse prints; wrappers make no difference."""
    values = {
        "toUInt64(18446744073709551615)": "18446744073709551615",
        "toInt64(-9223372036854775808)": -(2**63),
        "toUInt8(255)": 255,
        "toInt128(-5)": -5,
        "toUInt256('115792089237316195423570985008687907853269984665640564039457584007913129639935')": str(2**256 - 1),
        "toDecimal128('1234567890123456789012345678.0123456789', 10)": "1234567890123456789012345678.0123456789",
        "toDecimal256('12345678901234567890123456789012345678901234567890.5', 1)": (
            "12345678901234567890123456789012345678901234567890.5"
        ),
        "toDecimal32('0.10', 2)": "0.10",
        "toFloat64(0.1)": 0.1,
        "toFloat32(1.5)": 1.5,
        "true": True,
        "toDate('2024-02-29')": dt.date(2024, 2, 29),
        "toDate32('1950-01-01')": dt.date(1950, 1, 1),
        "toDateTime('2024-02-29 10:00:00', 'UTC')": dt.datetime(2024, 2, 29, 10, tzinfo=dt.UTC),
        "toDateTime('2024-07-01 12:00:00', 'Europe/Malta')": dt.datetime(2024, 7, 1, 10, tzinfo=dt.UTC),
        "toDateTime64('2024-02-29 10:00:00.123', 3, 'America/New_York')": dt.datetime(
            2024, 2, 29, 15, 0, 0, 123000, dt.UTC
        ),
        "toDateTime64('2024-02-29 10:00:00.123456789', 9, 'UTC')": dt.datetime(2024, 2, 29, 10, 0, 0, 123456, dt.UTC),
        "toUUID('61f0c404-5cb3-11e7-907b-a6006ad3dba0')": "61f0c404-5cb3-11e7-907b-a6006ad3dba0",
        "toIPv4('1.2.3.4')": "1.2.3.4",
        "toIPv6('2001:db8::1')": "2001:db8::1",
        "CAST('it\\'s: {b}' AS Enum8('it\\'s: {b}' = 1, 'c' = 2))": "it's: {b}",
        "CAST(NULL AS Nullable(Enum8('a' = 1)))": None,
        "toFixedString('EUR', 5)": "EUR",
        "toLowCardinality('x')": "x",
        "CAST(NULL AS LowCardinality(Nullable(String)))": None,
        "CAST('y' AS LowCardinality(Nullable(String)))": "y",
        "[1, NULL, 3]": "[1,null,3]",
        "map('a', toUInt64(18446744073709551615))": '{"a":18446744073709551615}',
        "CAST((1, 'x') AS Tuple(a UInt8, b String))": '{"a":1,"b":"x"}',
        'CAST(\'{"a": {"b": [1, null]}}\' AS JSON)': '{"a":{"b":[1,null]}}',
        "'a\\\\b\\'c%{x:String}'": "a\\b'c%{x:String}",
        "INTERVAL 3 DAY": "3",
        "CAST(NULL AS Nullable(Decimal(76, 3)))": None,
    }
    listed = ", ".join(f"{expression} AS v{number}" for number, expression in enumerate(values))
    row = page(on_clickhouse.source(), selected(listed)).row(0, named=True)
    for number, (expression, value) in enumerate(values.items()):
        assert row[f"v{number}"] == value, expression


@pytest.mark.parametrize(
    ("kind", "inner", "family"),
    [
        ("LowCardinality(Nullable(FixedString(3)))", "FixedString(3)", "text"),
        ("SimpleAggregateFunction(max, DateTime64(3, 'UTC'))", "DateTime64(3, 'UTC')", "instant"),
        ("SimpleAggregateFunction(anyLast, Nullable(Decimal(18, 2)))", "Decimal(18, 2)", "decimal"),
        ("SimpleAggregateFunction(groupArrayArray, Array(UInt64))", "Array(UInt64)", "array"),
        ("AggregateFunction(sum, UInt64)", "AggregateFunction(sum, UInt64)", "other"),
        ("DateTime64(6)", "DateTime64(6)", "timestamp"),
        ("Enum8('DateTime(' = 1, 'b, c' = 2)", "Enum8('DateTime(' = 1, 'b, c' = 2)", "text"),
        ("Nullable(Tuple(a Nullable(Int8), b Array(String)))", "Tuple(a Nullable(Int8), b Array(String))", "json"),
    ],
)
def test_types_are_read_through_their_wrappers(kind, inner, family):
    """How a value is stored says nothing about what it is."""
    column = column_of("c", kind)
    assert (column.type, column.family) == (inner, family)


def test_a_value_that_does_not_fit_spoils_only_its_row(on_clickhouse):
    """NaN, and bytes that are no UTF-8, which ClickHouse takes for text: unreadable, and a key of such bytes is still one."""
    query = (
        "SELECT * FROM VALUES('id UInt8, f Float64, s String', (1, nan, 'a'), (2, 1.5, unhex('ff41')), (3, 2.5, 'é')) "
    )
    found = page(on_clickhouse.source(), Relation("v", "id", ("s",), query=query))
    assert found["f"].to_list() == [None, 1.5, 2.5]
    assert found["s"].to_list() == ["a", None, "é"]
    assert found["@unreadable"].to_list() == ["f: not a finite number", "s: not readable as text", None]
    assert found["@key.0"].to_list() == ["a", "\ufffdA", "é"]


@pytest.mark.parametrize("kind", ["DateTime64(9)", "DateTime64(9, 'Europe/Malta')"])
def test_nine_digits_stay_apart(on_clickhouse, walk, kind):
    """Cursors a nanosecond apart are walked one by one, found again, and bounded, though frames hold microseconds."""
    texts = [f"2024-03-01 10:00:00.00000000{digit}" for digit in range(1, 8)]
    on_clickhouse.execute(f"CREATE TABLE bets (id UInt64, moment {kind}) {MERGE_TREE}")
    listed = ", ".join(f"({number}, toDateTime64('{text}', 9, 'UTC'))" for number, text in enumerate(texts))
    on_clickhouse.execute(f"INSERT INTO bets SELECT * FROM VALUES('id UInt64, moment DateTime64(9)', {listed})")
    source = on_clickhouse.source()
    described = source.describe(Relation("bets", "moment", ("id",), relation="bets"))
    pages = walk(source, described, 2)
    assert [text for found in pages for text in found["@cursor"]] == texts
    with source.reading(described) as reading:
        assert reading.head() == texts[-1]
        assert reading.rows([Position(texts[3], ("3",)), Position(texts[3], ("4",))])["id"].to_list() == [3]
        assert reading.by_cursor([texts[2]])["id"].to_list() == [2]
        assert reading.count(texts[1], texts[4], "below") == 3


@pytest.mark.parametrize("kind", ["DateTime", "DateTime('America/New_York')", "DateTime64(0)"])
def test_whole_seconds_with_many_ties(on_clickhouse, walk, kind):
    """Rows of one second are walked by their key; a moment between two seconds lies between them, on both sides."""
    on_clickhouse.execute(f"CREATE TABLE bets (id UInt32, at {kind}) {MERGE_TREE}")
    on_clickhouse.execute(
        "INSERT INTO bets SELECT number, toDateTime('2024-03-01 10:00:00', 'UTC') + intDiv(number, 10) FROM numbers(30)"
    )
    source = on_clickhouse.source()
    described = source.describe(Relation("bets", "at", ("id",), relation="bets"))
    assert [value for found in walk(source, described, 7) for value in found["id"]] == list(range(30))
    with source.reading(described) as reading:
        between = reading.moment(int(dt.datetime(2024, 3, 1, 10, 0, 0, 500_000, dt.UTC).timestamp() * 1000))
        assert reading.page(Position(between), 100)["id"].to_list() == list(range(10, 30))
        assert reading.page(None, 100, between)["id"].to_list() == list(range(10))
        assert reading.keys(between, "2024-03-01 10:00:02", 100, end="below").height == 10
        assert reading.by_cursor(["2024-03-01 10:00:01"]).height == 10
        assert reading.rows([Position("2024-03-01 10:00:01", ("11",))]).height == 1


def test_a_numbers_parameter_does_not_come_round_at_the_other_end(on_clickhouse):
    """ClickHouse takes 300 for 44 where a parameter is an Int8: ours are wider than their columns."""
    on_clickhouse.execute(f"CREATE TABLE bets (id Int8) {MERGE_TREE}", "INSERT INTO bets VALUES (43), (44), (45)")
    source = on_clickhouse.source()
    with source.reading(source.describe(BETS)) as reading:
        assert reading.by_cursor(["300", "45"])["id"].to_list() == [45]
        assert reading.page(Position("300", ("300",)), 5).height == 0
        assert reading.count("-129", "1000") == 3


@pytest.mark.parametrize(
    ("kind", "values"),
    [
        ("UInt64", ["0", "9223372036854775808", "18446744073709551615"]),
        ("UInt256", ["7", str(2**200)]),
        ("Decimal(38, 10)", ["-1.5", "1234567890123456789012345678.0123456789"]),
        ("UUID", ["61f0c404-5cb3-11e7-907b-a6006ad3dba0", "00000000-0000-0000-0000-000000000001"]),
        ("Enum8('b' = 1, 'a: }' = 2)", ["b", "a: }"]),
        ("FixedString(3)", ["a", "EUR"]),
        ("LowCardinality(String)", ["x", "y\t\\'"]),
        ("Nullable(IPv4)", ["1.2.3.4", "10.0.0.1"]),
        ("Bool", ["false", "true"]),
        ("Date", ["1970-01-01", "2024-02-29"]),
    ],
)
def test_keys_of_every_type_find_their_way_back(on_clickhouse, walk, kind, values):
    """A key goes out as text and comes back as a parameter of the column's own type."""
    on_clickhouse.execute(f"CREATE TABLE bets (cur UInt8, k {kind}) {MERGE_TREE}")
    on_clickhouse.execute(
        "INSERT INTO bets VALUES " + ", ".join(f"(1, {on_clickhouse.literal(value)})" for value in values)
    )
    source = on_clickhouse.source()
    described = source.describe(Relation("bets", "cur", ("k",), relation="bets"))
    pages = walk(source, described, 1)
    keys = [found["@key.0"][0] for found in pages]
    assert len(set(keys)) == len(pages) == len(values)
    with source.reading(described) as reading:
        assert reading.rows([Position("1", (key,)) for key in keys]).height == len(values)
        assert reading.by_key([(keys[0],)])["@key.0"].to_list() == [keys[0]]


def test_times_without_a_zone_are_what_is_stored(on_clickhouse, server, configured):
    """A column without a zone is UTC whatever zone the session prints in; `timezone:` is for clocks that were stored as UTC."""
    on_clickhouse.execute(f"CREATE TABLE bets (id UInt8, d DateTime, d3 DateTime64(3)) {MERGE_TREE}")
    on_clickhouse.execute("INSERT INTO bets SELECT 1, toDateTime('2024-07-01 12:00:00', 'UTC') AS t, t")
    name = on_clickhouse.url.rpartition("/")[2]
    for zone in ("UTC", "Asia/Tokyo"):
        source = configured(server.text(name, session_timezone=zone))
        described = source.describe(Relation("bets", "d", ("id",), relation="bets"))
        with source.reading(described) as reading:
            row = reading.page(None, 5).row(0, named=True)
            assert row["d"] == row["d3"] == dt.datetime(2024, 7, 1, 12)
            assert row["@cursor"] == "2024-07-01 12:00:00"
            assert reading.page(Position("2024-07-01 11:59:59", ("9",)), 5).height == 1
            assert reading.page(Position("2024-07-01 12:00:00", ("1",)), 5).height == 0
    local = on_clickhouse.source(timezone="Europe/Malta")
    described = local.describe(Relation("bets", "d", ("id",), relation="bets", timezone="Europe/Malta"))
    with local.reading(described) as reading:
        assert reading.page(None, 5)["d"][0] == dt.datetime(2024, 7, 1, 10)
        noon = reading.moment(int(dt.datetime(2024, 7, 1, 10, tzinfo=dt.UTC).timestamp() * 1000))
        assert reading.count(noon, noon) == 1


def test_an_alias_never_hides_a_column(on_clickhouse, walk):
    """ClickHouse takes aliases for columns in WHERE and ORDER BY: ours are called like no column."""
    on_clickhouse.execute(f"CREATE TABLE raw (id UInt64, at DateTime64(3), one UInt8) {MERGE_TREE}")
    on_clickhouse.execute(
        "INSERT INTO raw SELECT number, toDateTime64('2024-01-01 00:00:00', 3, 'UTC') + number, 0 FROM numbers(9)"
    )
    on_clickhouse.execute("CREATE VIEW bets AS SELECT 9 - raw.id AS id, raw.id AS seq, at, one FROM raw")
    source = on_clickhouse.source()
    for cursor in ("seq", "at"):
        pages = walk(source, source.describe(Relation("bets", cursor, ("id",), relation="bets")), 4)
        assert [value for found in pages for value in found["seq"]] == list(range(9))


def test_final_hides_versions_that_were_not_merged_yet(on_clickhouse, server, configured):
    """A ReplacingMergeTree shows each version until it merges them; FINAL in the view, in `query:` or as an option shows the last."""
    on_clickhouse.execute(
        "CREATE TABLE bets (id UInt64, v UInt64) ENGINE = ReplacingMergeTree(v) ORDER BY id",
        "SYSTEM STOP MERGES bets", "INSERT INTO bets VALUES (1, 1), (2, 1)", "INSERT INTO bets VALUES (1, 2)",
        "CREATE VIEW latest AS SELECT * FROM bets FINAL",
    )  # fmt: skip
    source = on_clickhouse.source()
    assert sorted(page(source, BETS)["v"]) == [1, 1, 2]
    finals = [
        Relation("b", "id", ("id",), relation="latest"),
        Relation("b", "id", ("id",), query="SELECT * FROM bets FINAL"),
    ]
    for relation in finals:
        assert page(source, relation)["v"].to_list() == [2, 1]
    assert page(configured(server.text(on_clickhouse.url.rpartition("/")[2], final=1)), BETS)["v"].to_list() == [2, 1]


def test_long_lists_travel_in_a_form(on_clickhouse):
    """A thousand positions do not fit into an address, and need not."""
    on_clickhouse.execute(f"CREATE TABLE bets (cur UInt64, id String) {MERGE_TREE}")
    on_clickhouse.execute(
        "INSERT INTO bets SELECT number, concat('some rather long key ', toString(number), ' é\\t\\'') FROM numbers(2000)"
    )
    source = on_clickhouse.source()
    described = source.describe(Relation("bets", "cur", ("id",), relation="bets"))
    with source.reading(described) as reading:
        found = reading.page(None, 1000)
        positions = [Position(cursor, (key,)) for cursor, key in found.select("@cursor", "@key.0").iter_rows()]
        assert reading.rows(positions).height == 1000


def test_an_idle_poll_is_one_query_and_says_which_view_it_is_for(on_clickhouse, server):
    """The clock is asked seldom where nothing is replicated; parameters travel beside the query."""
    on_clickhouse.execute(f"CREATE TABLE bets (id UInt64) {MERGE_TREE}", "INSERT INTO bets VALUES (1)")
    source = on_clickhouse.source()
    described = source.describe(BETS)
    with source.reading(described) as reading:
        reading.page(None, 5)
    before = len(told(server))
    for _ in range(3):
        with source.reading(described) as reading:
            assert abs(reading.clock_ms - time.time() * 1000) < 5_000
            assert reading.page(Position("1", ("1",)), 100).height == 0
    asked = told(server)
    assert len(asked) - before == 3 or len(asked) == 50
    assert all(each["query"].startswith("/* smartico-sync view=bets */ SELECT") for each in asked[-3:])
    assert asked[-1]["given"]["param_c"] == "1"
    assert "smartico-sync" in asked[-1]["agent"]
    assert {each["port"] for each in asked[-3:]} == {asked[-1]["port"]}, "one connection serves them all"


def test_each_query_is_sent_with_what_the_reading_relies_on(on_clickhouse, server, configured):
    """Read-only, with a limit of time; the operator's own settings go with it."""
    source = configured(
        server.text(on_clickhouse.url.rpartition("/")[2], max_threads=2, log_comment="prod"), statement_timeout="1500ms"
    )
    source.facts()
    given = told(server)[-1]["given"]
    assert {
        "readonly": "2",
        "max_execution_time": "1.5",
        "max_threads": "2",
        "log_comment": "prod",
    }.items() <= given.items()
    assert "session_id" not in given


def test_a_user_whose_settings_are_locked_reads_the_same(on_clickhouse, server, configured, walk):
    """`readonly = 1` allows no setting at all: none is sent, and no type, zone or order depends on one."""
    on_clickhouse.execute(
        f"CREATE TABLE bets (id UInt64, at DateTime64(9), s LowCardinality(String), a Array(UInt64)) {MERGE_TREE}"
    )
    on_clickhouse.execute(
        "INSERT INTO bets SELECT number, '2024-01-01 00:00:00.123456789', 'é', [number] FROM numbers(5)"
    )
    name = on_clickhouse.url.rpartition("/")[2]
    source = configured(server.text(name, user="locked"))
    frames = walk(source, source.describe(Relation("bets", "at", ("id",), relation="bets")), 2)
    frames_of_owner = walk(on_clickhouse.source(), source.describe(Relation("bets", "at", ("id",), relation="bets")), 2)
    assert [found.rows() for found in frames] == [found.rows() for found in frames_of_owner]
    warnings = source.facts().warnings
    assert any("max_execution_time" in warning for warning in warnings)
    with pytest.raises(SourceRefused, match="max_threads") as refused:
        configured(server.text(name, user="locked", max_threads=2)).facts()
    assert "profile" in refused.value.hint


def test_a_profile_that_cuts_answers_short_is_refused(server, configured):
    """timeout_overflow_mode = break gives some of the rows and calls it success: told, where it cannot be changed."""
    with pytest.raises(SourceRefused, match="timeout_overflow_mode = break"):
        configured(server.text(user="cut")).facts()


def setting(name, value, readonly=0):
    return SettingDef(name=name, value=value, readonly=readonly)


def test_settings_are_chosen_by_what_the_profile_allows():
    """What is right already, locked, or not known to the server is not sent; ClickHouse Cloud reads what is written elsewhere."""
    login = Login(parse("clickhouse://r@h/d?final=1"), 30_000, 32.0)
    known = {
        each.name: each
        for each in [
            setting("readonly", "2", 1), setting("max_execution_time", "0"), setting("timeout_overflow_mode", "throw", 1),
            setting("result_overflow_mode", "break"), setting("log_comment", "", 1), setting("cloud_mode", "1", 1),
            setting("select_sequential_consistency", "0"), setting("skip_unavailable_shards", "1"),
        ]
    }  # fmt: skip
    assert settings_to_send(login, known, "here") == {
        "max_execution_time": "30", "result_overflow_mode": "throw", "select_sequential_consistency": "1",
        "skip_unavailable_shards": "0", "final": "1",
    }  # fmt: skip
    known["skip_unavailable_shards"] = setting("skip_unavailable_shards", "1", 1)
    with pytest.raises(SourceRefused, match="skip_unavailable_shards"):
        settings_to_send(login, known, "here")


@pytest.mark.parametrize(
    "statement",
    [
        "INSERT INTO bets VALUES (2)",
        "DROP TABLE bets",
        "ALTER TABLE bets DELETE WHERE 1",
        "CREATE TABLE x (a Int8) ENGINE = Memory",
    ],
)
@pytest.mark.parametrize("user", ["default", "two", "locked"])
def test_no_session_writes(on_clickhouse, server, configured, statement, user):
    """Whatever the user's profile, ClickHouse itself refuses all but questions."""
    on_clickhouse.execute(f"CREATE TABLE bets (id UInt64) {MERGE_TREE}", "INSERT INTO bets VALUES (1)")
    source = configured(server.text(on_clickhouse.url.rpartition("/")[2], user=user))
    with pytest.raises(SourceRefused, match="only asks"), source.reading(source.describe(BETS)) as reading:
        reading.ask(statement)
    assert on_clickhouse.count("bets") == 1


@pytest.fixture
def replicated(on_clickhouse, server):
    """Say how far behind a replica is: `replicated(delay, is_readonly)`."""
    on_clickhouse.execute(
        "CREATE OR REPLACE TABLE default.replicas (database String, table String, absolute_delay UInt64, is_readonly UInt8) ENGINE = Memory"
    )
    on_clickhouse.execute(
        f"CREATE TABLE bets (id UInt64) {MERGE_TREE}",
        "INSERT INTO bets VALUES (1)",
        "CREATE VIEW seen AS SELECT id FROM bets",
    )

    def say(delay, is_readonly=0):
        on_clickhouse.execute(
            "TRUNCATE TABLE default.replicas",
            f"INSERT INTO default.replicas VALUES (currentDatabase(), 'bets', {delay}, {is_readonly}), ('other', 'slow', 99999, 0)",
        )

    yield say
    on_clickhouse.execute("DROP TABLE default.replicas SYNC")


def test_the_clock_of_a_replica_is_the_moment_it_has_fetched_up_to(on_clickhouse, replicated):
    """It stays behind as the tables that the view reads do, and no others; cut off from Keeper it stands still."""
    replicated(0)
    source = on_clickhouse.source()
    described = source.describe(Relation("seen", "id", ("id",), relation="seen"))

    def behind():
        with source.reading(described) as reading:
            return time.time() * 1000 - reading.clock_ms

    assert abs(behind()) < 2_000
    replicated(90)
    assert 90_000 <= behind() < 93_000
    assert source.facts().replay_lag_ms == 99_999_000
    replicated(0, 1)
    assert 90_000 <= behind() < 95_000
    assert "cut off" in " ".join(source.facts().warnings)
    replicated(0)
    assert abs(behind()) < 2_000


def test_facts_warn_of_rights_that_are_too_wide(server, configured):
    """What a user may do beyond reading is named; SELECT, SHOW and dictionaries are what reading needs."""
    facts = configured(server.text(user="reader")).facts()
    assert (facts.warnings, facts.timezone, facts.role) == ((), "Etc/UTC", "primary")
    assert "transactions" in facts.fence
    (wide,) = configured(server.text()).facts().warnings
    assert wide.startswith("default may do more than read:")
    assert "INSERT" in wide


def test_plan_counts_granules_of_a_sorted_table(on_clickhouse):
    """A table in the order of the cursor is read at its end only, through a view and a join's left side, whatever the position."""
    on_clickhouse.execute(
        "CREATE TABLE raw (id UInt64, at DateTime, game UInt8) ENGINE = MergeTree ORDER BY (at, id) SETTINGS index_granularity = 8",
        "INSERT INTO raw SELECT number, toDateTime('2024-01-01 00:00:00', 'UTC') + number, 1 FROM numbers(4000)",
        f"CREATE TABLE games (id UInt8, name String) {MERGE_TREE}", "INSERT INTO games VALUES (1, 'x')",
        "CREATE VIEW bets AS SELECT raw.id AS id, raw.at AS at, games.name AS name FROM raw LEFT JOIN games ON games.id = raw.game",
    )  # fmt: skip
    source = on_clickhouse.source()
    for relation in ("raw", "bets"):
        plan = source.plan(
            source.describe(Relation("b", "at", ("id",), relation=relation)),
            Position("2024-01-01 00:00:05", ("5",)),
            10,
        )
        assert plan.uses_index is True, plan.text
        assert plan.summary.startswith("one poll reads ")
        assert plan.advice == ""


@pytest.mark.parametrize(
    ("kind", "view", "words"),
    [
        ("ReplacingMergeTree ORDER BY id", "SELECT * FROM raw", "CREATE MATERIALIZED VIEW"),
        ("MergeTree ORDER BY id", "SELECT id, at + INTERVAL 1 DAY AS moment FROM raw", "stored column"),
    ],
)
def test_advice_fits_the_table(on_clickhouse, kind, view, words):
    """Where a projection is barred a table of changes helps; where the cursor is computed, only another view."""
    on_clickhouse.execute(f"CREATE TABLE raw (id UInt64, at DateTime) ENGINE = {kind} SETTINGS index_granularity = 8")
    on_clickhouse.execute(
        "INSERT INTO raw SELECT number, toDateTime('2024-01-01 00:00:00', 'UTC') + number FROM numbers(1000)"
    )
    on_clickhouse.execute(f"CREATE VIEW bets AS {view}")
    source = on_clickhouse.source()
    plan = source.plan(
        source.describe(Relation("b", "moment" if "moment" in view else "at", ("id",), relation="bets")), None, 10
    )
    assert plan.uses_index is False
    assert words in plan.advice
    if words.startswith("CREATE"):
        on_clickhouse.execute(plan.advice.partition("; --")[0])


def test_advice_names_the_tables_own_columns(on_clickhouse):
    """A view that renames is told the names of the table, and what was advised serves it."""
    on_clickhouse.execute(
        f"CREATE TABLE raw (player UInt64, at DateTime64(3), n UInt64) {MERGE_TREE} SETTINGS index_granularity = 8",
        "INSERT INTO raw SELECT number % 7, toDateTime64('2024-01-01 00:00:00', 3, 'UTC') + number, number FROM numbers(4000)",
        "CREATE VIEW bets AS SELECT n AS bet_id, at AS dt FROM raw",
    )
    source = on_clickhouse.source()
    described = source.describe(Relation("b", "dt", ("bet_id",), relation="bets"))
    plan = source.plan(described, None, 10)
    assert "(SELECT * ORDER BY `at`, `n`)" in plan.advice
    on_clickhouse.execute(plan.advice)
    assert source.plan(described, None, 10).uses_index is True


@pytest.mark.parametrize(("user", "password"), [("reader", "wrong"), ("nobody", "wrong")])
def test_a_refused_login_says_what_to_check(server, configured, user, password):
    """SourceRefused, without the password."""
    with pytest.raises(SourceRefused, match="user or password is refused") as refused:
        configured(server.text(user=user, password=password)).facts()
    assert password not in refused.value.message


def test_a_database_that_is_not_there_is_told(server, configured):
    """Before the first view is looked for."""
    with pytest.raises(SourceRefused, match="database does not exist"):
        configured(server.text("nowhere")).facts()


def test_a_token_logs_in(server, configured, tmp_path):
    """ClickHouse Cloud's tokens come from a file, which may change."""
    (tmp_path / "token").write_text("t0ken\n")
    configured(server.text(access_token_file=tmp_path / "token")).facts()
    assert told(server)[-1]["user"] == "reader"


@pytest.mark.parametrize(
    ("url", "words"),
    [
        ("clickhouse://u:p@h/d?max_thread=1", "max_thread"), ("clickhouse://u:p@h:x/d", "port is not a number"),
        ("clickhouse:///d", "names no host"), ("clickhouse://u@h/d?secure=maybe", "secure is true or false"),
        ("clickhouse://u@h/d?connect_timeout=soon", "connect_timeout is not a number"),
        ("clickhouse://u@h/d?ca_file=/nowhere.pem", "No such file"),
    ],
)  # fmt: skip
def test_a_url_that_cannot_work_is_a_configuration_error(configured, url, words):
    """Told before the first poll; unknown parameters with those that are known."""
    with pytest.raises(ConfigError, match=words) as wrong:
        configured(url)
    assert words != "max_thread" or "max_threads" in wrong.value.hint


@pytest.mark.parametrize(
    ("url", "expected"),
    [
        ("clickhouse://u@h/d", ("http", 8123)), ("clickhouse://u@h/d?secure=true", ("https", 8443)),
        ("clickhouse://u@h:8443/d", ("https", 8443)), ("clickhouse://u@abc.eu-west-1.aws.clickhouse.cloud/d", ("https", 8443)),
        ("clickhouse://u@h:443/d?secure=false", ("http", 443)), ("clickhouse://u@h:9999/d", ("http", 9999)),
    ],
)  # fmt: skip
def test_ports_and_tls_are_what_the_url_means(url, expected):
    """As the driver has them: 8443 with TLS, 8123 without."""
    login = Login(parse(url), 1000, 1.0)
    ((host, port),) = login.hosts
    assert (login.arguments(host, port)["interface"], port) == expected


@pytest.fixture
def secured(private_clickhouse, tmp_path):
    """A server with TLS: its port, its authority, and a certificate of the user `reader`."""
    authority = Authority(tmp_path)
    pair = authority.issue("localhost", address="127.0.0.1")
    emulator = private_clickhouse(pair.certificate, pair.key, authority.certificate)
    return emulator, authority, authority.issue("reader")


def test_tls_is_verified_and_a_certificate_may_be_the_login(secured, server, configured, tmp_path):
    """With the right CA and a password, with a client certificate instead of one; with another CA not at all."""
    emulator, authority, client = secured
    port, ca = emulator.told["port"], authority.certificate
    assert configured(server.text(port=port, secure="true", ca_file=ca)).facts().version
    url = f"clickhouse://reader@127.0.0.1:{port}/?secure=true"
    options = {"ca_file": str(ca), "client_cert": str(client.certificate), "client_key": str(client.key)}
    assert configured(url, options=options).facts().version
    both = configured(server.text(port=port, secure="true"), options=options)
    assert both.facts().version
    other = Authority(tmp_path, "other")
    with pytest.raises(SourceUnreachable, match="no TLS connection"):
        configured(server.text(port=port, secure="true", ca_file=other.certificate)).facts()
    with pytest.raises(SourceUnreachable):
        configured(server.text(port=port)).facts()
    with pytest.raises(SourceUnreachable, match="no TLS connection"):
        configured(server.text(secure="true")).facts()


def test_nobody_there_is_unreachable(configured):
    """A port where nobody listens, and a name that nobody has."""
    with pytest.raises(SourceUnreachable, match="nobody answers") as nobody:
        configured("clickhouse://u:p@127.0.0.1:1/d").facts()
    assert "8123" in nobody.value.hint
    with pytest.raises(SourceUnreachable, match="host name is unknown"):
        configured("clickhouse://u:p@clickhouse.invalid/d").facts()


def test_a_black_hole_is_noticed(on_clickhouse, server, configured, proxied):
    """A network that swallows everything ends the question in time, and the next one after it is mended works."""
    on_clickhouse.execute(f"CREATE TABLE bets (id UInt64) {MERGE_TREE}")
    proxy = proxied(server.port)
    source = configured(server.text(on_clickhouse.url.rpartition("/")[2], port=proxy.port), statement_timeout="1s")
    described = source.describe(BETS)
    proxy.black_hole()
    began = time.monotonic()
    with pytest.raises(SourceUnreachable, match="in time"), source.reading(described) as reading:
        reading.page(None, 5)
    assert time.monotonic() - began < 6
    proxy.mend()
    with source.reading(described) as reading:
        assert reading.page(None, 5).height == 0


def test_half_an_answer_is_none(on_clickhouse, server, configured, proxied):
    """A connection that breaks in the middle: told, or asked again by the driver, which only does so once; never a part."""
    on_clickhouse.execute(f"CREATE TABLE bets (id UInt64, s String) {MERGE_TREE}")
    on_clickhouse.execute("INSERT INTO bets SELECT number, hex(sipHash128(number)) FROM numbers(50000)")
    proxy = proxied(server.port)
    source = configured(server.text(on_clickhouse.url.rpartition("/")[2], port=proxy.port))
    described = source.describe(BETS)
    heights = []
    for _ in range(3):
        proxy.cut_after = 300_000
        with suppress(SourceUnreachable), source.reading(described) as reading:
            heights.append(reading.page(None, 50_000).height)
    proxy.mend()
    with source.reading(described) as reading:
        heights.append(reading.page(None, 50_000).height)
    assert set(heights) == {50_000}


def test_a_server_that_restarts_is_found_again(server, configured, proxied, private_clickhouse):
    """Connections do not outlive a restart; the next question opens a new one."""
    first = private_clickhouse()
    proxy = proxied(first.told["port"])
    source = configured(server.text(port=proxy.port))
    assert source.facts().version
    first.stop()
    proxy.drop()
    with pytest.raises(SourceUnreachable):
        source.facts()
    proxy.target = private_clickhouse().told["port"]
    assert source.facts().version


def test_another_host_takes_over(server, configured, proxied, on_clickhouse):
    """Hosts are tried in order; the one that served last is tried first."""
    proxy = proxied(server.port)
    url = server.text().replace(f"127.0.0.1:{server.port}", f"127.0.0.1:{proxy.port},127.0.0.1:{server.port}")
    source = configured(url)
    assert source.facts().version
    proxy.refuse()
    with pytest.raises(SourceUnreachable):
        source.facts()
    for _ in range(2):
        assert source.facts().version


SLOW = "SELECT count() AS id FROM numbers(1000000000000) WHERE sipHash64(number) = 1"


def test_the_server_ends_what_takes_too_long(on_clickhouse):
    """statement_timeout is the server's own limit: SourceCancelled, and the session goes on."""
    source = on_clickhouse.source(statement_timeout="500ms")
    described = source.describe(Relation("slow", "id", (), query=SLOW))
    with pytest.raises(SourceCancelled, match="statement_timeout"), source.reading(described) as reading:
        reading.page(None, 5)
    assert source.facts().version


def test_closing_ends_what_is_under_way(on_clickhouse):
    """close() does not wait for a query: who waits for it is told at once."""
    source = on_clickhouse.source(statement_timeout="5s")
    described = source.describe(Relation("slow", "id", (), query=SLOW))
    ended = []

    def read():
        with pytest.raises(SourceUnreachable), source.reading(described) as reading:
            reading.page(None, 5)
        ended.append(time.monotonic())

    reader = threading.Thread(target=read)
    reader.start()
    time.sleep(0.7)
    closed = time.monotonic()
    source.close()
    reader.join(20)
    assert ended[0] - closed < 2


def test_a_view_that_fails_for_a_row_shows_no_value(on_clickhouse):
    """The server's message quotes the value that failed; ours does not."""
    on_clickhouse.execute(
        f"CREATE TABLE raw (s String) {MERGE_TREE}", "INSERT INTO raw VALUES ('secret-mail')",
        "CREATE VIEW bets AS SELECT toUInt64(s) AS id FROM raw",
    )  # fmt: skip
    source = on_clickhouse.source()
    described = source.describe(BETS)
    with pytest.raises(ViewBroken, match="cannot be computed") as broken, source.reading(described) as reading:
        reading.page(None, 5)
    assert "secret" not in broken.value.message + broken.value.hint


def test_a_position_of_another_type_is_told_without_it(on_clickhouse):
    """A watermark that is no value of the column: told, without the value."""
    on_clickhouse.execute(f"CREATE TABLE bets (id UInt64) {MERGE_TREE}")
    source = on_clickhouse.source()
    with pytest.raises(SourceError, match="position") as told_as, source.reading(source.describe(BETS)) as reading:
        reading.page(Position("secret", ("x",)), 5)
    assert "secret" not in told_as.value.message


def test_a_column_dropped_later_is_named(on_clickhouse):
    """A view that loses a column after describe(): ViewBroken that names it and its neighbours."""
    on_clickhouse.execute(f"CREATE TABLE bets (id UInt64, amount UInt64, amount_real UInt64) {MERGE_TREE}")
    source = on_clickhouse.source(pool=1)
    described = source.describe(BETS)
    on_clickhouse.execute("ALTER TABLE bets DROP COLUMN amount")
    with pytest.raises(ViewBroken, match="'amount'") as broken, source.reading(described) as reading:
        reading.page(None, 5)
    assert "amount_real" in broken.value.hint


@pytest.mark.parametrize(
    ("code", "message", "kind", "words"),
    [
        (159, "Timeout exceeded: elapsed 1 s", SourceCancelled, "statement_timeout"),
        (241, "Memory limit exceeded", SourceCancelled, "memory"), (202, "Too many simultaneous", SourceCancelled, "too many queries"),
        (394, "Query was cancelled", SourceCancelled, "somebody"), (289, "not in quorum", SourceCancelled, "caught up"),
        (516, "r: Authentication failed", SourceRefused, "refused"), (195, "address", SourceRefused, "address"),
        (497, "reader: Not enough privileges. To execute this query, it's necessary to have the grant SELECT(id, dt) ON crm.bets.", SourceRefused, "SELECT on crm.bets"),
        (201, "Quota", SourceRefused, "quota"), (452, "Setting max_threads shouldn't be greater", SourceRefused, "max_threads"),
        (452, "Setting max_execution_time shouldn't be greater than 5", SourceRefused, "no statement_timeout that long"),
        (164, "Cannot modify 'final' setting in readonly mode", SourceRefused, "final"), (164, "Cannot execute query in readonly mode", SourceRefused, "only asks"),
        (279, "All connection tries failed", SourceUnreachable, "replica"), (369, "stale", SourceUnreachable, "behind"),
        (60, "Unknown table expression identifier 'crm.bets'", ViewBroken, "crm.bets"), (47, "Unknown expression identifier `dt_updated`", ViewBroken, "dt_updated"),
        (62, "Syntax error: failed at 's3cret'", ViewBroken, "cannot compile"), (181, "Storage doesn't support FINAL", ViewBroken, "cannot compile"),
        (6, "Cannot parse string 's3cret' as Int32", ViewBroken, "cannot be computed"), (457, "Value s3cret cannot be parsed", SourceError, "position"),
        (407, "Decimal math overflow", ViewBroken, "cannot be computed"), (999, "Session expired", SourceUnreachable, "Keeper"),
    ],
)  # fmt: skip
def test_failures_are_told_as_ours(code, message, kind, words):
    """Each by what the daemon does about it, with a hint, and never in the server's own words, which may hold values."""
    error = exceptions.DatabaseError(f"Code: {code}. DB::Exception: {message} 's3cret'", code=code)
    told_as = failure(error, "source replica", "view bets")
    assert type(told_as) is kind
    assert words in told_as.message
    assert told_as.hint
    assert "s3cret" not in told_as.message + told_as.hint


@pytest.mark.parametrize(
    ("message", "kind", "words"),
    [
        ("HTTP driver received HTTP status 502, server response: <html>", SourceUnreachable, "502"),
        ("HTTP driver received HTTP status 401", SourceRefused, "refused"),
        ("Unexpected response to server version query: 'Welcome'", SourceUnreachable, "not ClickHouse's HTTP port"),
    ],
)
def test_somebody_else_who_answers_is_told(message, kind, words):
    """A balancer without a server, a proxy that wants a login, a port of something else."""
    told_as = connecting(exceptions.OperationalError(message), "source replica")
    assert type(told_as) is kind
    assert words in told_as.message
