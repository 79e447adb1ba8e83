"""What ClickHouse is asked, and with which settings."""

from __future__ import annotations

import pytest
from clickhouse_connect.driver.models import SettingDef

from smartico_sync.config.models import SourceConfig
from smartico_sync.core.position import Position
from smartico_sync.core.relation import Relation
from smartico_sync.errors import RowsTooWide, SourceRefused
from smartico_sync.sources.clickhouse.login import Login
from smartico_sync.sources.clickhouse.settings import most_to_send, settings_to_send
from sources.reading import page
from waiting import now_ms

BETS = Relation("bets", "id", ("id",), relation="bets")
MERGE_TREE = "ENGINE = MergeTree ORDER BY tuple()"
pytestmark = pytest.mark.slow


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
    before = len(server.told())
    for _ in range(3):
        begun = now_ms()
        with source.reading(described) as reading:
            assert begun - 1_000 <= reading.clock_ms <= now_ms() + 1_000
            assert reading.page(Position("1", ("1",)), 100).height == 0
    asked = server.told()
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
    given = server.told()[-1]["given"]
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


@pytest.mark.parametrize(("user", "who"), [("default", "the server"), ("locked", "we")])
def test_an_answer_of_wide_rows_is_given_up(on_clickhouse, server, configured, user, who):
    """The server refuses to send it; where the user may not choose that limit, it is given up when it has come."""
    on_clickhouse.execute(
        f"CREATE TABLE bets (id UInt64, note String) {MERGE_TREE}",
        "INSERT INTO bets SELECT number, repeat('x', 30000) FROM numbers(2000)",
    )
    source = on_clickhouse.source()
    if user == "locked":
        source = configured(server.text(on_clickhouse.url.rpartition("/")[2], user="locked"))
    described = source.describe(BETS)
    with pytest.raises(RowsTooWide) as told, source.reading(described) as reading:
        reading.page(None, 1999)
    assert 24_000_000 / 2000 < told.value.row_bytes < 40_000
    assert (told.value.size > 30_000 * 1999) == (who == "we")
    assert ("max_result_bytes" in server.told()[-1]["given"]) == (who == "the server")
    with source.reading(described) as reading:
        assert reading.page(None, 12_000_000 // int(told.value.row_bytes))["id"][0] == 0


def test_a_profile_that_cuts_answers_short_is_refused(server, configured):
    """timeout_overflow_mode = break gives some of the rows and calls it success: told, where it cannot be changed."""
    with pytest.raises(SourceRefused, match="timeout_overflow_mode = break"):
        configured(server.text(user="cut")).facts()


@pytest.mark.parametrize(
    ("there", "sent"), [("0", "1000"), ("1001", "1000"), ("1000", None), ("5", None), (None, None), ("locked", None)]
)
def test_a_profile_that_sends_less_keeps_its_limit(there, sent):
    """A limit is only ever lowered, and only where it may be."""
    known = {"max_result_bytes": setting("max_result_bytes", "0" if there == "locked" else there, there == "locked")}
    bound = most_to_send({} if there is None else known, 1_000)
    assert bound == ({} if sent is None else {"max_result_bytes": sent})


def setting(name, value, readonly=0):
    return SettingDef(name=name, value=value, readonly=readonly)


def test_settings_are_chosen_by_what_the_profile_allows():
    """What is right already, locked, or not known to the server is not sent; ClickHouse Cloud reads what is written elsewhere."""
    login = Login(SourceConfig(url="clickhouse://r@h/d?final=1"))
    known = {
        each.name: each
        for each in [
            setting("readonly", "2", 1), setting("max_execution_time", "0"), setting("timeout_overflow_mode", "throw", 1),
            setting("result_overflow_mode", "break"), setting("log_comment", "", 1), setting("cloud_mode", "1", 1),
            setting("select_sequential_consistency", "0"), setting("skip_unavailable_shards", "1"),
            setting("limit", "1000"), setting("offset", "0", 1),
        ]
    }  # fmt: skip
    assert settings_to_send(login, known, "here") == {
        "max_execution_time": "30", "result_overflow_mode": "throw", "select_sequential_consistency": "1",
        "skip_unavailable_shards": "0", "limit": "0", "final": "1",
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
