"""What SQL Server's values promise beyond the contract: every type whole, cursors and keys found again by the column's own type."""

# ruff: noqa: DTZ001  - wall clocks without a zone are what is tested
from __future__ import annotations

import datetime as dt

import polars as pl
import pytest

from smartico_sync.catalogue.engines import ENGINES
from smartico_sync.core.late_commit.choice import choose
from smartico_sync.core.position import Position
from smartico_sync.core.relation import Relation

pytestmark = pytest.mark.slow  # the server behind it is Python

BETS = Relation("bets", "id", ("id",), relation="bets")


def page_of(source, relation):
    described = source.describe(relation)
    with source.reading(described) as reading:
        return reading.page(None, 10)


def one(source, expression):
    """The value of an expression as a page carries it."""
    page = page_of(source, Relation("v", "id", (), query=f"SELECT 1 AS id, {expression} AS value"))
    assert "@unreadable" not in page.columns
    return page["value"][0]


TYPES = [
    ("CAST('1234567890123456789012345678.0123456789' AS decimal(38,10))", "1234567890123456789012345678.0123456789"),
    ("CAST('-0.10' AS decimal(10,2))", "-0.10"),
    ("CAST(1234.5 AS money)", "1234.5000"),
    ("CAST(9223372036854775807 AS bigint)", 2**63 - 1),
    ("CAST(255 AS tinyint)", 255),
    ("CAST(1.5 AS real)", 1.5),
    ("CAST(0.1 AS real)", 0.1),
    ("CAST(0.1 AS float)", 0.1),
    ("CAST(1 AS bit)", True),
    ("CAST('2024-02-29' AS date)", dt.date(2024, 2, 29)),
    ("CAST('0001-01-01' AS date)", dt.date(1, 1, 1)),
    ("CAST('2024-02-29 10:00:00.1234567' AS datetime2(7))", dt.datetime(2024, 2, 29, 10, 0, 0, 123456)),
    ("CAST('2024-02-29 10:00:00' AS datetime2(0))", dt.datetime(2024, 2, 29, 10)),
    ("CAST('2024-02-29 10:00:00.008' AS datetime)", dt.datetime(2024, 2, 29, 10, 0, 0, 7000)),
    ("CAST('2024-02-29 10:00:31' AS smalldatetime)", dt.datetime(2024, 2, 29, 10, 1)),
    ("CAST('2024-02-29 10:00:00.5 +02:00' AS datetimeoffset(7))", dt.datetime(2024, 2, 29, 8, 0, 0, 500000, dt.UTC)),
    ("CAST('a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11' AS uniqueidentifier)", "A0EEBC99-9C0B-4EF8-BB6D-6BB9BD380A11"),
    ("CONVERT(varbinary(8), N'DEADBEEF', 2)", b"\xde\xad\xbe\xef"),
    ("N'grüß 🎲'", "grüß 🎲"),
    ("N''", ""),
    ("CAST(NULL AS nvarchar(5))", None),
    ("CAST(NULL AS bigint)", None),
    ("CAST(NULL AS datetime2(7))", None),
]


@pytest.mark.stand_in("mssql")
def test_every_type_arrives_without_loss(open_mssql):
    """Types that frames know arrive as such, with every digit, whichever driver carries them."""
    source = open_mssql()
    assert [one(source, expression) for expression, _ in TYPES] == [value for _, value in TYPES]


def walked(source, relation, limit=1):
    """All pages' cursors and keys, one reading each."""
    described, found, after = source.describe(relation), [], None
    while True:
        with source.reading(described) as reading:
            page = reading.page(after, limit)
            if not page.height:
                return found
            here = [Position(row["@cursor"], (row["@key.0"],)) for row in page.iter_rows(named=True)]
            assert reading.rows(here).height == len(here)
            assert reading.by_cursor({each.cursor for each in here}).height >= len(here)
            assert reading.by_key(each.key for each in here).height >= len(here)
        found += [(each.cursor, each.key[0]) for each in here]
        after = here[-1]


@pytest.mark.parametrize(
    ("kind", "values", "texts"),
    [
        ("datetime", ["10:00:00.003", "10:00:00.003", "10:00:00.007", "10:00:00.010"],
         ["10:00:00.003", "10:00:00.003", "10:00:00.007", "10:00:00.010"]),
        ("datetime2(7)", ["10:00:00.0000001", "10:00:00.0000002", "10:00:00.0000002", "10:00:00.0000010"],
         ["10:00:00.0000001", "10:00:00.0000002", "10:00:00.0000002", "10:00:00.0000010"]),
        ("datetime2(0)", ["10:00:00", "10:00:00", "10:00:00", "10:00:01"], ["10:00:00", "10:00:00", "10:00:00", "10:00:01"]),
        ("smalldatetime", ["10:00:00", "10:00:00", "10:01:00", "10:01:00"],
         ["10:00:00.000", "10:00:00.000", "10:01:00.000", "10:01:00.000"]),
        ("datetimeoffset(7)", ["12:00:00.000001 +02:00", "10:00:00.000001 +00:00", "10:00:00.000002 +00:00", "10:00:01 +00:00"],
         ["10:00:00.0000010", "10:00:00.0000010", "10:00:00.0000020", "10:00:01.0000000"]),
    ],
)  # fmt: skip
@pytest.mark.stand_in("mssql")
def test_time_cursors_find_their_equals(open_mssql, mssql, kind, values, texts):
    """A time comes back as the value it was: 1/300 s, 100 ns, whole seconds, minutes and zones, with ties, row by row."""
    rows = ", ".join(f"({number}, CAST('2024-03-01 {value}' AS {kind}))" for number, value in enumerate(values))
    mssql.execute(f"CREATE TABLE bets (id bigint, at {kind})", f"INSERT INTO bets VALUES {rows}")
    found = walked(open_mssql(), Relation("bets", "at", ("id",), relation="bets"))
    assert found == [(f"2024-03-01 {text}", str(number)) for number, text in enumerate(texts)]


def test_a_time_arrives_whole_at_the_server(open_mssql, emulated_mssql):
    """Parameters are texts of one type, whole to the last digit: no driver rounds what it takes for a time."""
    emulated_mssql.execute("CREATE TABLE bets (id bigint, at datetime2(7))", "GRANT RECORDING TO tests")
    source = open_mssql()
    described = source.describe(Relation("bets", "at", ("id",), relation="bets"))
    with source.reading(described) as reading:
        reading.page(Position("2024-03-01 10:00:00.1234567", ("7",)), 5)
    statement, declared, arrived = emulated_mssql.execute("SELECT statement, declared, arrived FROM stand_in.calls")[-1]
    assert "/* smartico-sync view=bets */" in statement
    assert declared == "@c nvarchar(4000), @k0 nvarchar(4000), @n int"
    assert arrived == "['2024-03-01 10:00:00.1234567', '7', 6]"  # one more, to see whether it is tied


@pytest.mark.parametrize("kind", ["uniqueidentifier", "varbinary(16)"])
def test_keys_of_bytes_break_ties(open_mssql, mssql, kind):
    """GUIDs are ordered by the database alone, in its own strange order; bytes travel as hexadecimal digits."""
    guids = [f"{number:08X}-9C0B-4EF8-BB6D-{9 - number:012X}" for number in range(5)]
    written = guids if kind == "uniqueidentifier" else [guid.replace("-", "") for guid in guids]
    stored = "N'{}'" if kind == "uniqueidentifier" else "CONVERT(varbinary(16), N'{}', 2)"
    rows = ", ".join(f"(1, {stored.format(text)})" for text in written)
    mssql.execute(f"CREATE TABLE bets (cur bigint, id {kind})", f"INSERT INTO bets VALUES {rows}")
    found = walked(open_mssql(), Relation("bets", "cur", ("id",), relation="bets"), limit=2)
    assert sorted(key.upper() for _, key in found) == sorted(written)


@pytest.mark.stand_in("mssql")
def test_a_rowversion_is_a_number_that_grows(open_mssql, mssql):
    """A rowversion is read as the integer it counts, compared as its eight bytes, and its gaps are asked for again."""
    mssql.execute(
        "CREATE TABLE bets (id bigint, rv rowversion)", *(f"INSERT INTO bets (id) VALUES ({n})" for n in (1, 2, 3))
    )
    source = open_mssql()
    relation = Relation("bets", "rv", ("id",), relation="bets")
    found = walked(source, relation)
    assert [key for _, key in found] == ["1", "2", "3"]
    numbers = [int(cursor) for cursor, _ in found]
    assert numbers == sorted(set(numbers))
    column = source.describe(relation).column("rv")
    assert choose("auto", column.family, ENGINES[source.engine].ids, source.facts().fence).mechanism == "gaps"


def test_half_a_character_spoils_no_page(open_mssql):
    """A lone surrogate, which nvarchar holds, becomes a sign for what cannot be read; the page arrives."""
    query = "SELECT 1 AS id, NCHAR(55357) AS value UNION ALL SELECT 2, N'whole 🎲'"
    page = page_of(open_mssql(), Relation("v", "id", (), query=query))
    assert page["value"].to_list() == ["\ufffd", "whole 🎲"]


def test_local_timestamps_become_utc(open_mssql):
    """`timezone:` tells what wall-clock columns mean; columns with a zone do not care."""
    query = (
        "SELECT 1 AS id, CAST('2024-07-01 12:00' AS datetime2(7)) AS value, "
        "CAST('2024-07-01 12:00 +00:00' AS datetimeoffset(7)) AS moment"
    )
    page = page_of(open_mssql(), Relation("v", "id", (), query=query, timezone="Europe/Malta"))
    assert page["value"][0] == dt.datetime(2024, 7, 1, 10)
    assert page["moment"][0] == dt.datetime(2024, 7, 1, 12, tzinfo=dt.UTC)


def test_an_hour_that_the_spring_skips_is_told(open_mssql):
    """A wall clock that never was is null, and `@unreadable` names its column."""
    query = "SELECT 1 AS id, CAST('2024-03-31 02:30' AS datetime2(7)) AS value"
    page = page_of(open_mssql(), Relation("v", "id", (), query=query, timezone="Europe/Malta"))
    assert page["value"][0] is None
    assert page["@unreadable"][0].startswith("value: not a time")


def test_moments_are_never_rounded_up(open_mssql, mssql):
    """A bound has no more digits than its column keeps, so that the database cannot round it past a row."""
    kinds = {"small": "smalldatetime", "old": "datetime", "whole": "datetime2(0)", "fine": "datetime2(7)"}
    mssql.execute(f"CREATE TABLE bets ({', '.join(f'{name} {kind}' for name, kind in kinds.items())})")
    source, texts = open_mssql(), {}
    for name in kinds:
        described = source.describe(Relation("bets", name, (), relation="bets"))
        with source.reading(described) as reading:
            texts[name] = reading.moment(1_709_287_259_999)
    assert texts == {
        "small": "2024-03-01 10:00", "old": "2024-03-01 10:00:59.99", "whole": "2024-03-01 10:00:59",
        "fine": "2024-03-01 10:00:59.999",
    }  # fmt: skip


def test_a_thousand_positions_fit(open_mssql, mssql):
    """However many parts a key has, a thousand positions stay below the server's 2,100 parameters."""
    rows = ", ".join(f"({n}, {n % 7}, {n}, {n % 3})" for n in range(1000))
    mssql.execute("CREATE TABLE bets (cur bigint, a bigint, b bigint, c bigint)", f"INSERT INTO bets VALUES {rows}")
    source = open_mssql()
    described = source.describe(Relation("bets", "cur", ("a", "b", "c"), relation="bets"))
    wanted = [Position(str(n), (str(n % 7), str(n), str(n % 3))) for n in range(1000)]
    with source.reading(described) as reading:
        assert sorted(reading.rows(wanted)["cur"]) == list(range(1000))
        assert reading.by_key(each.key for each in wanted).height == 1000
        assert reading.by_cursor(each.cursor for each in wanted).height == 1000


def test_a_long_key_finds_its_row(open_mssql, mssql):
    """A text longer than an nvarchar can be is a parameter like any other."""
    key = "ü🎲" * 3000
    mssql.execute("CREATE TABLE bets (cur bigint, id nvarchar(max))", f"INSERT INTO bets VALUES (1, N'{key}')")
    assert walked(open_mssql(), Relation("bets", "cur", ("id",), relation="bets")) == [("1", key)]


def test_pages_have_the_declared_dtypes_even_when_empty(open_mssql, mssql):
    """An empty page and a full one have one schema."""
    mssql.execute(
        "CREATE TABLE bets (id bigint, at datetimeoffset(7), n decimal(9,2), b bit, raw varbinary(9), f real, d date, t datetime, rv rowversion)"
    )
    source = open_mssql()
    described = source.describe(BETS)
    with source.reading(described) as reading:
        empty = reading.page(None, 5)
    mssql.execute(
        "INSERT INTO bets (id, at, n, b, raw, f, d, t) VALUES (1, CAST('2024-01-01 00:00 +00:00' AS datetimeoffset(7)), 1, CAST(1 AS bit), CONVERT(varbinary(9), N'00', 2), 1, '2024-01-01', CAST('2024-01-01' AS datetime))"
    )
    with source.reading(described) as reading:
        assert reading.page(None, 5).schema == empty.schema
    assert empty.schema["raw"] == pl.Binary
