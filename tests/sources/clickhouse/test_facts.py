"""What ClickHouse says of itself: replicas, rights, plans."""

from __future__ import annotations

import pytest

from smartico_sync.core.position import Position
from smartico_sync.core.relation import Relation
from waiting import now_ms

ROUNDED_MS = 1_000  # a delay counts whole seconds
MERGE_TREE = "ENGINE = MergeTree ORDER BY tuple()"
pytestmark = pytest.mark.slow


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

    def is_behind(lag_ms):
        begun = now_ms()
        with source.reading(described) as reading:
            clock = reading.clock_ms
        assert begun - lag_ms - ROUNDED_MS <= clock <= now_ms() - lag_ms + ROUNDED_MS
        return clock

    is_behind(0)
    replicated(90)
    stood = is_behind(90_000)
    assert source.facts().replay_lag_ms == 99_999_000
    replicated(0, 1)
    with source.reading(described) as reading:
        assert stood <= reading.clock_ms <= now_ms() - 90_000 + ROUNDED_MS
    assert "cut off" in " ".join(source.facts().warnings)
    replicated(0)
    is_behind(0)


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
