"""BigQuery's values beyond the contract, by both ways of Arrow."""

# ruff: noqa: DTZ001  - wall clocks without a zone are what is tested
from __future__ import annotations

import datetime as dt
import json

import pytest

from smartico_sync.core.relation import Relation
from sources.reading import page

BETS = Relation("bets", "id", ("id",), relation="bets")
pytestmark = [
    pytest.mark.slow,
    # The client's own way to read through the Storage API; what it shall become one day is another package.
    pytest.mark.filterwarnings("ignore:Retrieving Arrow record batches:PendingDeprecationWarning"),
]


def test_every_type_arrives_without_loss(on_bigquery):
    """Types that frames know arrive as such, all others as the text BigQuery prints; NULL is null in each."""
    values = {
        "9223372036854775807": 2**63 - 1,
        "NUMERIC '10.50'": "10.5",
        "NUMERIC '-100'": "-100",
        "0.1": 0.1,
        "TRUE": True,
        "DATE '2024-02-29'": dt.date(2024, 2, 29),
        "DATETIME '9999-12-31 23:59:59.999999'": dt.datetime(9999, 12, 31, 23, 59, 59, 999999),
        "TIMESTAMP '2024-02-29 10:00:00.123456+02'": dt.datetime(2024, 2, 29, 8, 0, 0, 123456, dt.UTC),
        "FROM_HEX('deadbeef')": b"\xde\xad\xbe\xef",
        "[1, 2]": "[1,2]",
        "STRUCT(1 AS a, 'x' AS b)": '{"a":1,"b":"x"}',
        "CAST(NULL AS NUMERIC)": None,
        "CAST(NULL AS TIMESTAMP)": None,
        "CAST(NULL AS STRING)": None,
        "''": "",
        "'é%s🎲'": "é%s🎲",
    }
    listed = ", ".join(f"{expression} AS v{number}" for number, expression in enumerate(values))
    row = page(on_bigquery.source(), Relation("v", "id", (), query=f"SELECT 1 AS id, {listed}")).row(0, named=True)
    for number, (expression, value) in enumerate(values.items()):
        assert row[f"v{number}"] == value, expression
    on_bigquery.execute("CREATE TABLE more (id INT64, j JSON, t TIME, s STRUCT<a INT64>)")
    on_bigquery.execute("INSERT INTO more (id, j, t) VALUES (1, JSON '{\"a\": 1}', TIME '10:11:12.5')")
    row = page(on_bigquery.source(), Relation("v", "id", (), relation="more")).row(0, named=True)
    assert json.loads(row["j"]) == {"a": 1}
    assert row["t"].startswith("10:11:12.5")
    assert row["s"] is None


def test_both_ways_of_arrow_make_the_same_texts(on_bigquery, project, configured, walk):
    """Keys and cursors are one text whether a page came as JSON or through the Storage API: event ids depend on it."""
    columns = (
        "x AS id, CAST(x AS NUMERIC) / 4 AS n, TIMESTAMP_MICROS(1700000000000000 + x) AS ts, CAST(x AS STRING) AS s, "
        "DATETIME(TIMESTAMP_MICROS(1700000000000000 + x)) AS d, MOD(x, 2) = 0 AS b"
    )
    on_bigquery.execute(f"CREATE TABLE bets AS SELECT {columns} FROM UNNEST(GENERATE_ARRAY(1, 2500)) AS x")
    dataset = on_bigquery.url.split("?")[0].rpartition("/")[2]
    relation = Relation("bets", "ts", ("n", "d", "s", "b"), relation="bets")
    ways = []
    for way in ("auto", "never"):
        source = configured(project.text(dataset, storage_api=way))
        pages = walk(source, source.describe(relation), 2_000)
        assert [found.height for found in pages] == [2_000, 500]
        ways.append([row for found in pages for row in found.iter_rows()])
    assert ways[0] == ways[1]
    assert [row[0] for row in ways[0]] == list(range(1, 2501))


def test_without_the_right_to_the_storage_api_pages_come_by_json(on_bigquery, project, configured):
    """The refusal is met once, the same answer is fetched the other way, and facts() says what to grant."""
    on_bigquery.execute("CREATE TABLE bets AS SELECT x AS id FROM UNNEST(GENERATE_ARRAY(1, 1500)) AS x")
    source = configured(project.text(on_bigquery.url.split("?")[0].rpartition("/")[2]))
    project.told(storage="refused")
    before = len(project.queries())
    assert page(source, BETS, limit=5_000)["id"].to_list() == list(range(1, 1501))
    assert sum("view=bets" in text for text in project.queries()[before:]) == 1, (
        "the query ran once, and was billed once"
    )
    assert any("readSessionUser" in warning for warning in source.facts().warnings)


def test_local_timestamps_become_utc(on_bigquery):
    """`timezone:` tells what DATETIME means, and says nothing about TIMESTAMP."""
    query = "SELECT 1 AS id, DATETIME '2024-07-01 12:00:00' AS wall, TIMESTAMP '2024-07-01 12:00:00+00' AS moment"
    row = page(on_bigquery.source(), Relation("v", "id", (), query=query, timezone="Europe/Malta")).row(0, named=True)
    assert row["wall"] == dt.datetime(2024, 7, 1, 10)
    assert row["moment"] == dt.datetime(2024, 7, 1, 12, tzinfo=dt.UTC)


@pytest.mark.parametrize(
    ("kind", "values"),
    [
        ("NUMERIC", ["NUMERIC '1.5'", "NUMERIC '1.501'", "NUMERIC '100'"]),
        ("BYTES", ["FROM_HEX('00')", "FROM_HEX('00ff')", "FROM_HEX('ff')"]),
        ("FLOAT64", ["0.1", "0.30000000000000004", "1e300"]),
        ("BOOL", ["FALSE", "TRUE"]),
        ("TIME", ["TIME '10:11:12'", "TIME '10:11:12.000001'"]),
        ("DATE", ["DATE '2024-02-28'", "DATE '2024-02-29'"]),
        ("STRING", ["'A'", "'a'", "'é'"]),
    ],
)
def test_any_type_can_be_a_key(on_bigquery, walk, kind, values):
    """A key's text becomes a parameter of its type again: each row is passed once, and found by its key."""
    on_bigquery.execute(f"CREATE TABLE bets (id INT64, k {kind})")
    on_bigquery.execute(*(f"INSERT INTO bets VALUES (1, {value})" for value in values))
    source = on_bigquery.source()
    described = source.describe(Relation("bets", "id", ("k",), relation="bets"))
    pages = walk(source, described, 1)
    assert len(pages) == len(values)
    with source.reading(described) as reading:
        for found in pages:
            assert reading.by_key([(found["@key.0"][0],)]).height == 1
