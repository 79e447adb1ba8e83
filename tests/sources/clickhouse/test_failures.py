"""ClickHouse's failures, told as ours and without a value."""

from __future__ import annotations

import pytest
from clickhouse_connect.driver import exceptions

from smartico_sync.core.position import Position
from smartico_sync.core.relation import Relation
from smartico_sync.errors import SourceCancelled, SourceError, SourceRefused, SourceUnreachable, ViewBroken
from smartico_sync.sources.clickhouse.failures import connecting, failure

BETS = Relation("bets", "id", ("id",), relation="bets")
MERGE_TREE = "ENGINE = MergeTree ORDER BY tuple()"
pytestmark = pytest.mark.slow


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
        (452, "Setting max_execution_time shouldn't be greater than 5", SourceRefused, "no `statement_timeout` that long"),
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
