"""ClickHouse's values beyond the contract: types, digits, ties, keys, zones."""

# ruff: noqa: DTZ001  - wall clocks without a zone are what is tested
from __future__ import annotations

import datetime as dt

import pytest

from smartico_sync.core.position import Position
from smartico_sync.core.relation import Relation
from smartico_sync.sources.clickhouse.types import column_of
from sources.reading import page

BETS = Relation("bets", "id", ("id",), relation="bets")
MERGE_TREE = "ENGINE = MergeTree ORDER BY tuple()"
pytestmark = pytest.mark.slow


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
