"""What BigQuery is asked, and what that may cost."""

from __future__ import annotations

import datetime as dt

import pytest

from smartico_sync.core.position import Position
from smartico_sync.core.relation import Column, Relation
from smartico_sync.errors import SourceRefused
from smartico_sync.sources.bigquery.types import BIGQUERY
from smartico_sync.sources.sql import statements as sql
from sources.reading import page
from waiting import now_ms

BETS = Relation("bets", "id", ("id",), relation="bets")
pytestmark = [
    pytest.mark.slow,
    # The client's own way to read through the Storage API; what it shall become one day is another package.
    pytest.mark.filterwarnings("ignore:Retrieving Arrow record batches:PendingDeprecationWarning"),
]


def test_queries_are_bounded_typed_and_named(on_bigquery, project, configured):
    """Each query carries its limits of bytes and time, typed parameters, the default dataset and who asks."""
    on_bigquery.execute("CREATE TABLE bets (moment TIMESTAMP, id INT64)")
    dataset = on_bigquery.url.split("?")[0].rpartition("/")[2]
    source = configured(project.text(dataset, maximum_bytes_billed="20MB"), statement_timeout="7s")
    described = source.describe(Relation("bets", "moment", ("id",), relation="bets"))
    with source.reading(described) as reading:
        reading.page(Position("2024-03-01 10:00:00.123456+00:00", ("7",)), 5)
    asked = project.told()[-1]
    assert asked["query"].startswith("/* smartico-sync view=bets */ SELECT")
    assert (asked["maximumBytesBilled"], asked["jobTimeoutMs"], asked["useQueryCache"]) == ("20000000", "7000", True)
    assert asked["labels"] == {"application": "smartico-sync"}
    assert asked["defaultDataset"] == {"projectId": "casino-project", "datasetId": dataset}
    assert {each["name"]: (each["parameterType"]["type"], each["parameterValue"]["value"]) for each in asked["queryParameters"]} == {
        "c": ("TIMESTAMP", "2024-03-01 10:00:00.123456+00:00"),
        "k0": ("INT64", "7"),
        "n": ("INT64", "6"),  # one more, to see whether it is tied
    }  # fmt: skip


def test_an_idle_poll_is_one_query_and_repeats_itself(on_bigquery, project):
    """Cached results are free, and need the same text and parameters; the clock comes with the answers."""
    on_bigquery.execute("CREATE TABLE bets (id INT64)")
    source = on_bigquery.source()
    described = source.describe(BETS)
    for _ in range(3):
        begun = now_ms()
        with source.reading(described) as reading:
            assert begun - 5_000 <= reading.clock_ms <= now_ms() + 5_000
            assert reading.page(Position("1", ("1",)), 100).height == 0
    asked = [{name: value for name, value in each.items() if name != "requestId"} for each in project.told()[-3:]]
    assert asked[0] == asked[1] == asked[2]
    assert "CURRENT" not in asked[0]["query"]


def test_columns_are_found_by_their_tables_name_alone():
    """`dataset.table.column` means nothing to BigQuery; an alias in the SELECT must not give the order either."""
    columns = (Column("at", "TIMESTAMP", "instant"), Column("n", "BIGNUMERIC", "decimal"))
    relation = Relation("v", "at", ("n",), relation="other-project.crm.bets", columns=columns)
    text = sql.page(BIGQUERY, relation, "after, ties by key", "open").text
    assert "FROM `other-project`.`crm`.`bets`" in text
    assert "ORDER BY `bets`.`at`, `bets`.`n`" in text
    assert "`bets`.`at` >= @c" in text
    assert "CAST(`bets`.`n` AS STRING) AS `n`" in text
    assert text.count("`crm`") == 1


@pytest.mark.parametrize(
    ("kind", "written"),
    [
        ("GEOGRAPHY", "st_astext(`v`.`x`)"),
        ("INTERVAL", "CAST(`v`.`x` AS STRING)"),
        ("RANGE", "CASE WHEN (`v`.`x` IS NOT NULL) THEN to_json_string(`v`.`x`) END"),
        ("STRING", "`v`.`x`"),
    ],
)
def test_what_arrow_cannot_carry_travels_as_text(kind, written):
    """The stand-in knows not all of these types, so the text of the query is what is tested."""
    columns = (Column("id", "INT64", "integer"), Column("x", kind, "other"))
    relation = Relation("v", "id", (), relation="d.v", columns=columns)
    assert f"{written} AS `x`" in sql.page(BIGQUERY, relation, "from the start", "open").text


def test_a_query_that_would_cost_too_much_is_refused_before_it_runs(on_bigquery):
    """maximum_bytes_billed: the failure says how much it would be, and what to do about it."""
    on_bigquery.execute("CREATE TABLE dear_bets (id INT64)")
    source = on_bigquery.source()
    with pytest.raises(SourceRefused, match=r"would read 20\.0 GB") as refused:
        page(source, Relation("bets", "id", ("id",), relation="dear_bets"))
    assert "partition" in refused.value.hint
    unbounded = on_bigquery.source(options={"maximum_bytes_billed": "off"})
    assert page(unbounded, Relation("bets", "id", ("id",), relation="dear_bets")).height == 0


def test_null_keys_are_counted_only_where_that_may_be_paid_for(on_bigquery, project):
    """NULL cursors lie in a partition of their own; a count that would read more than is allowed looks there only."""
    on_bigquery.execute("CREATE TABLE dear_bets (id INT64, k INT64)")
    source = on_bigquery.source(options={"maximum_bytes_billed": "19GB"})
    described = source.describe(Relation("bets", "id", ("k",), relation="dear_bets"))
    with pytest.raises(SourceRefused), source.reading(described) as reading:
        reading.null_cursors()
    last = project.queries()[-1]
    assert "`id` IS NULL" in last
    assert "`k` IS NULL" not in last


@pytest.mark.parametrize("kind", ["instant", "integer"])
def test_the_head_is_looked_for_near_the_end_first(on_bigquery, project, kind):
    """A question for the highest cursor is bounded from below, so that old partitions are not billed for it."""
    now = dt.datetime.now(dt.UTC).replace(microsecond=0)
    cursors = [now - dt.timedelta(days=days) for days in (900, 20)] if kind == "instant" else [7, 9]
    on_bigquery.table("bets", {"cur": kind, "id": "integer"}, [(cursor, 1) for cursor in cursors])
    source = on_bigquery.source()
    described = source.describe(Relation("bets", "cur", ("id",), relation="bets"))
    with source.reading(described) as reading:
        head = reading.head()
    assert ("`bets`.`cur` >= @low" in project.queries()[-1]) is (kind == "instant")
    before = len(project.queries())
    with source.reading(described) as reading:
        assert reading.head() == reading.head(head) == head
    asked = project.queries()[before:]
    assert len(asked) == 2, "where it was the last time is where it is looked for first"
    assert all("`bets`.`cur` >= @low" in text for text in asked)
    on_bigquery.execute("DELETE FROM bets WHERE TRUE")
    with source.reading(described) as reading:
        assert reading.head() is None


def test_null_cursors_are_counted_once_an_hour(on_bigquery, project):
    """The count reads two columns from end to end; the daemon asks for it every minute."""
    on_bigquery.table("bets", {"id": "integer"}, [(1,), (None,)])
    source = on_bigquery.source()
    described = source.describe(BETS)
    for _ in range(3):
        with source.reading(described) as reading:
            assert reading.null_cursors() == 1
    assert sum("bets`.`id` IS NULL" in text for text in project.queries()[-4:]) == 1


@pytest.mark.parametrize(
    "statement", ["INSERT INTO bets VALUES (2)", "/* SELECT */ DELETE FROM bets WHERE TRUE", "BEGIN", "SELECTED", ""]
)
def test_only_questions_leave_the_session(on_bigquery, statement):
    """BigQuery has no read-only session: what is not a question is refused before it is sent."""
    on_bigquery.execute("CREATE TABLE bets (id INT64)", "INSERT INTO bets VALUES (1)")
    source = on_bigquery.source()
    with pytest.raises(SourceRefused, match="only asks"), source.reading(source.describe(BETS)) as reading:
        reading.ask(statement)
    assert on_bigquery.count("bets") == 1
