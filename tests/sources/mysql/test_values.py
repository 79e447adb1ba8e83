"""MySQL's and MariaDB's values beyond the contract: types, odd dates, character sets, long rows, strangers' settings."""

# ruff: noqa: DTZ001  - wall clocks without a zone are what is tested
from __future__ import annotations

import datetime as dt
from contextlib import suppress

import polars as pl
import pytest
from msgspec.structs import replace

from smartico_sync.core.position import Position
from smartico_sync.core.relation import Relation
from smartico_sync.errors import ViewBroken
from smartico_sync.sources.protocol import Asked, Landmarks
from waiting import now_ms

BETS = Relation("bets", "id", ("id",), relation="bets")


def one(engine, expression, relation=None):
    """The value of an expression as a page carries it, and the page."""
    source = engine.source()
    described = source.describe(relation or Relation("v", "id", (), query=f"SELECT 1 AS id, {expression} AS value"))
    with source.reading(described) as reading:
        page = reading.page(None, 100)
    return page["value"].to_list()[0], page


COLUMNS = [
    ("BIGINT UNSIGNED", "18446744073709551615", "bigint unsigned", 2**64 - 1),
    ("BIGINT", "-9223372036854775808", "bigint", -(2**63)),
    ("TINYINT(1)", "1", "tinyint(1)", True),
    ("TINYINT", "-7", "tinyint", -7),
    ("BIT(1)", "b'1'", "bit(1)", True),
    ("BIT(64)", "b'1111111111111111111111111111111111111111111111111111111111111111'", "bit(64)", 2**64 - 1),
    ("YEAR", "2024", "year", 2024),
    (
        "DECIMAL(38,10)",
        "1234567890123456789012345678.0123456789",
        "decimal(10)",
        "1234567890123456789012345678.0123456789",
    ),
    ("DECIMAL(65,30)", "-0.000000000000000000000000000001", "decimal(30)", "-0.000000000000000000000000000001"),
    ("FLOAT", "0.1", "float", 0.1),
    ("DOUBLE", "0.1", "double", 0.1),
    ("DATE", "'2024-02-29'", "date", dt.date(2024, 2, 29)),
    ("DATETIME", "'2024-02-29 10:00:01'", "datetime", dt.datetime(2024, 2, 29, 10, 0, 1)),
    ("DATETIME(6)", "'2024-02-29 10:00:00.123456'", "datetime", dt.datetime(2024, 2, 29, 10, 0, 0, 123456)),
    ("DATETIME(3)", "'9999-12-31 23:59:59.999'", "datetime", dt.datetime(9999, 12, 31, 23, 59, 59, 999000)),
    ("TIMESTAMP(6) NULL", "'2024-02-29 10:00:00.5'", "timestamp", dt.datetime(2024, 2, 29, 10, 0, 0, 500000, dt.UTC)),
    ("TIME(1)", "'-838:59:59.0'", "time", "-838:59:59.0"),
    ("CHAR(8)", "'EUR'", "char", "EUR"),
    ("VARCHAR(20)", "'  a '", "varchar", "  a "),
    ("MEDIUMTEXT", "'🎲'", "text", "🎲"),
    ("BINARY(3)", "x'00ff'", "binary", b"\x00\xff\x00"),
    ("VARBINARY(9)", "x'deadbeef'", "binary", b"\xde\xad\xbe\xef"),
    ("LONGBLOB", "x''", "blob", b""),
    ("ENUM('PENDING','ACTIVE')", "'ACTIVE'", "enum", "ACTIVE"),
    ("SET('a','b','c')", "'a,c'", "set", "a,c"),
    ("POINT", "POINT(1, 2)", "geometry", "POINT(1 2)"),
]


@pytest.mark.parametrize(("declared", "stored", "kind", "value"), COLUMNS, ids=[column[0][:24] for column in COLUMNS])
def test_every_type_arrives_without_loss(real_engine, declared, stored, kind, value):
    """Types that frames know arrive as such, all others as the text the server prints; NULL stays NULL beside them."""
    real_engine.execute(
        f"CREATE TABLE bets (id INT, value {declared})", f"INSERT INTO bets VALUES (1, {stored}), (2, NULL)"
    )
    _, page = one(real_engine, "", BETS)
    source = real_engine.source()
    assert source.describe(BETS).columns[1].type == kind
    assert page["value"].to_list() == [value, None]
    assert "@unreadable" not in page.columns


@pytest.mark.parametrize(
    ("declared", "stored", "value"),
    [
        ("UUID", "'a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11'", "a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11"),
        ("INET6", "'2001:db8::1'", "2001:db8::1"),
        ("JSON", "'{\"a\": [1, null]}'", '{"a": [1, null]}'),
    ],
)
def test_mariadbs_own_types_arrive_as_text(on_mariadb, declared, stored, value):
    """UUID, INET6 and JSON are not in the protocol: their text is what counts, as a value and as a key."""
    on_mariadb.execute(f"CREATE TABLE bets (id INT, value {declared})", f"INSERT INTO bets VALUES (1, {stored})")
    _, page = one(on_mariadb, "", Relation("bets", "id", ("value",), relation="bets"))
    assert page["value"].to_list() == [value]
    source = on_mariadb.source()
    with source.reading(source.describe(Relation("bets", "id", ("value",), relation="bets"))) as reading:
        assert reading.rows([Position("1", (page["@key.0"][0],))]).height == 1


@pytest.mark.parametrize(
    ("declared", "values"),
    [
        ("BIGINT UNSIGNED", ["0", "9223372036854775807", "9223372036854775808", "18446744073709551615"]),
        ("DECIMAL(30,10)", ["-1", "0.0000000001", "0.0000000002", "12345678901234567890.5"]),
        ("DOUBLE", ["-1e300", "0.1", "0.30000000000000004", "1e300"]),
        ("DATETIME", ["'0000-00-00'", "'1000-01-01'", "'2024-01-01 00:00:01'", "'9999-12-31'"]),
        ("DATE", ["'0000-00-00'", "'2024-00-00'", "'2024-01-00'", "'2024-01-01'"]),
        ("TIMESTAMP(6) NULL", ["'1970-01-01 00:00:01'", "'2024-01-01'", "'2024-01-01 00:00:00.000001'", "'2038-01-19 03:14:07'"]),
        ("TIME(3)", ["'-01:00:00'", "'00:00:00'", "'00:00:00.001'", "'838:59:59'"]),
        ("YEAR", ["1901", "1999", "2024", "2155"]),
        ("BIT(8)", ["b'0'", "b'1'", "b'1111111'", "b'11111111'"]),
        ("ENUM('PENDING','ACTIVE','BLOCKED','A')", ["'PENDING'", "'ACTIVE'", "'BLOCKED'", "'A'"]),
        ("SET('z','a')", ["''", "'z'", "'a'", "'z,a'"]),
        ("VARBINARY(4)", ["x''", "x'00'", "x'0001'", "x'ff'"]),
        ("CHAR(4) CHARACTER SET latin1 COLLATE latin1_german2_ci", ["'a'", "'ä'", "'b'", "'ß'"]),
    ],
)  # fmt: skip
def test_any_type_may_be_a_cursor(real_engine, walk, declared, values):
    """Every row once and in the server's own order, a page of one at a time, and asked for again by its position."""
    real_engine.execute(f"CREATE TABLE bets (id INT, moved {declared})")
    for number, value in enumerate(values):
        real_engine.execute(f"INSERT INTO bets VALUES ({number}, {value})")
    source = real_engine.source()
    for key in (("id",), ()):
        described = source.describe(Relation("bets", "moved", key, relation="bets"))
        pages = walk(source, described, 1)
        assert [number for page in pages for number in page["id"]] == list(range(len(values)))
    described = source.describe(Relation("bets", "moved", ("id",), relation="bets"))
    positions = [Position(page["@cursor"][0], (page["@key.0"][0],)) for page in walk(source, described, 1)]
    with source.reading(described) as reading:
        assert sorted(reading.rows(positions)["id"]) == list(range(len(values)))
        assert reading.count(positions[1].cursor, positions[2].cursor) == 2
        assert reading.head() == positions[-1].cursor


def test_zero_dates_spoil_only_their_row(engine):
    """A day of no month is null, `@unreadable` names the column and no value, and the neighbours are fine; 0000-00-00 is NULL."""
    engine.execute(
        "CREATE TABLE bets (id INT, value DATETIME, day DATE)",
        "INSERT INTO bets VALUES (1, '2024-01-01', '2024-01-01'), (2, 0, 0), (3, '2024-00-10', '2024-02-00'), (4, NULL, NULL)",
    )
    _, page = one(engine, "", BETS)
    assert page["value"].is_null().to_list() == [False, True, True, True]
    assert page["@unreadable"].is_null().to_list() == [True, True, False, True]
    assert "value: not a time" in page["@unreadable"][2]
    assert "2024" not in page["@unreadable"][2]


def test_a_zero_timestamp_is_null(engine):
    """What old tables have for `no moment yet`."""
    engine.execute(
        "CREATE TABLE bets (id INT, value TIMESTAMP NOT NULL DEFAULT '0000-00-00 00:00:00', fine TIMESTAMP(6) NULL)",
        "INSERT INTO bets (id, fine) VALUES (1, 0), (2, '2024-01-01 00:00:00')",
        "INSERT INTO bets VALUES (3, '2024-01-01', NULL)",
    )
    _, page = one(engine, "", BETS)
    assert page["value"].is_null().to_list() == [True, True, False]
    assert page["fine"].is_null().to_list() == [True, False, True]
    assert "@unreadable" not in page.columns


@pytest.mark.slow
def test_a_second_may_hold_thousands_of_rows(engine, walk):
    """A cursor of whole seconds, as DATETIME is by default: ties are broken by the key, whatever the page's size."""
    engine.execute(
        "CREATE TABLE bets (id INT PRIMARY KEY, moved DATETIME)",
        f"INSERT INTO bets SELECT seq, '2024-01-01' + INTERVAL seq DIV 700 SECOND FROM {engine.numbers(2000)}",
    )
    source = engine.source()
    described = source.describe(Relation("bets", "moved", ("id",), relation="bets"))
    for limit in (7, 699, 700, 1500):
        assert [number for page in walk(source, described, limit) for number in page["id"]] == list(range(1, 2001))
    keyless = source.describe(Relation("bets", "moved", (), relation="bets"))
    assert sum(page.height for page in walk(source, keyless, 100)) == 2000


def test_a_finer_moment_is_not_rounded_into_the_future(engine):
    """A bound between two whole seconds divides them: cast to the column's digits it would count the first one out."""
    engine.execute(
        "CREATE TABLE bets (id INT, moved DATETIME)",
        "INSERT INTO bets VALUES (1, '2024-01-01 10:00:00'), (2, '2024-01-01 10:00:01')",
    )
    source = engine.source()
    described = source.describe(Relation("bets", "moved", ("id",), relation="bets"))
    with source.reading(described) as reading:
        half = reading.moment(int(dt.datetime(2024, 1, 1, 10, 0, 0, 600000, dt.UTC).timestamp() * 1000))
        assert reading.keys(None, half, 9)["@key.0"].to_list() == ["1"]
        assert reading.keys(half, "2024-01-02", 9)["@key.0"].to_list() == ["2"]


def test_sessions_have_a_zone_of_their_own(engine):
    """A TIMESTAMP arrives in UTC though the server's default is two hours ahead; a DATETIME means what `timezone:` says."""
    engine.execute(
        "CREATE TABLE bets (id INT, value TIMESTAMP NULL, wall DATETIME)",
        "SET time_zone = '+05:00'",
        "INSERT INTO bets VALUES (1, '2024-07-01 12:00:00', '2024-07-01 12:00:00')",
    )
    _, page = one(engine, "", Relation("bets", "id", ("id",), relation="bets", timezone="Europe/Malta"))
    assert page["value"][0] in (dt.datetime(2024, 7, 1, 7, tzinfo=dt.UTC), dt.datetime(2024, 7, 1, 12, tzinfo=dt.UTC))
    assert page["wall"][0] == dt.datetime(2024, 7, 1, 10)
    value, _ = one(engine, "CONCAT(@@session.time_zone, @@session.sql_mode)")
    assert value == "+00:00"


def test_the_clock_is_utc(engine):
    """clock_ms is epoch milliseconds, whatever the zone of the server."""
    engine.execute("CREATE TABLE bets (id INT)")
    source = engine.source()
    begun = now_ms()
    with source.reading(source.describe(BETS)) as reading:
        assert begun - 60_000 <= reading.clock_ms <= now_ms() + 60_000


@pytest.mark.slow
@pytest.mark.parametrize("size", [2**24 - 1, 2**24 - 17, 2**24, 2**24 + 5, 2**25 - 3, 2**25 + 11])
def test_rows_longer_than_a_packet_arrive_whole(real_engine, size):
    """A row of 16 MB and more travels in several packets, also when it fills them to the last byte."""
    real_engine.execute(
        "CREATE TABLE bets (note LONGTEXT CHARACTER SET latin1, id INT) ENGINE=MyISAM", f"INSERT INTO bets VALUES (REPEAT('x', {size}), 1), ('y', 2)"
    )  # fmt: skip
    source = real_engine.source()
    described = source.describe(BETS)
    with source.reading(described) as reading:
        assert reading.page(None, 5)["note"].str.len_bytes().to_list() == [size, 1]
        assert reading.head() == "2"


def test_a_row_that_fills_its_packet_exactly(real_engine):
    """A row whose packet has exactly 16 MB less one byte is followed by an empty one."""
    whole = 2**24 - 1
    size = whole - 4 - 2  # the text's own length, and the other column
    real_engine.execute(
        "CREATE TABLE bets (note LONGTEXT CHARACTER SET latin1, id INT) ENGINE=MyISAM", f"INSERT INTO bets VALUES (REPEAT('x', {size}), 1), ('y', 2)"
    )  # fmt: skip
    _, page = one(real_engine, "", Relation("v", "id", (), query="SELECT note AS value, id FROM bets"))
    assert page["value"].str.len_bytes().to_list() == [size, 1]


@pytest.mark.parametrize("charset", ["latin1", "cp1251", "utf8mb3", "utf16", "greek", "ucs2"])
def test_other_character_sets_arrive_as_unicode(real_engine, walk, charset):
    """What a column stores in a character set of its own is converted by the server; keys in it find their way back."""
    words = {"cp1251": ["ставка", "игра"], "greek": ["στοίχημα", "παίκτης"]}.get(charset, ["Zoë", "Ärger"])
    real_engine.execute(
        f"CREATE TABLE bets (id VARCHAR(20) CHARACTER SET {charset} PRIMARY KEY, note TEXT CHARACTER SET {charset})"
    )
    for word in words:
        real_engine.execute(f"INSERT INTO bets VALUES ('{word}', '{word}')")
    source = real_engine.source()
    described = source.describe(Relation("bets", "id", ("id",), relation="bets"))
    pages = walk(source, described, 1)
    assert sorted(text for page in pages for text in page["note"]) == sorted(words)
    assert source.plan(described, Position(words[0], (words[0],)), 10).uses_index is True


@pytest.mark.parametrize("made_by", ["utf8mb4_unicode_ci", "utf8_unicode_ci", "latin1_german2_ci", "utf8mb4_bin"])
@pytest.mark.parametrize(
    "text", ["CONCAT(brand, '_', id)", "CONCAT(code, brand, '_', id, name)"], ids=["numbers", "columns"]
)
def test_a_computed_key_is_compared_as_it_is_ordered(real_engine, walk, made_by, text):
    """Whoever made the view: texts put together in it have the collation of that connection, or none where their columns have two."""
    one = "code VARCHAR(9) CHARACTER SET utf8mb4 COLLATE utf8mb4_unicode_ci"
    other = "name VARCHAR(9) CHARACTER SET utf8mb4 COLLATE utf8mb4_general_ci"
    real_engine.execute(
        f"CREATE TABLE plain (id INT, brand INT, {one}, {other})",
        "INSERT INTO plain VALUES (1, 10, '', ''), (2, 1, '', ''), (3, 1, '', ''), (4, 11, '', ''), (5, 12, '', '')",
        f"SET NAMES {made_by.partition('_')[0]} COLLATE {made_by}",
        f"CREATE VIEW bets AS SELECT 7 AS moved, {text} AS bet, id FROM plain",
    )
    source = real_engine.source()
    described = replace(source.describe(Relation("bets", "moved", (), relation="bets")), key=("bet",))
    pages = walk(source, described, 1)
    assert sorted(number for page in pages for number in page["id"]) == [1, 2, 3, 4, 5]
    place = Position(pages[-2]["@cursor"][0], (pages[-2]["@key.0"][0],))
    assert source.news([Asked(described, place)]).found == (True,)
    with source.reading(described) as reading:
        assert reading.by_key([(page["@key.0"][0],) for page in pages]).height == 5


def test_a_view_made_anew_by_another_client_is_read_on(real_engine, walk):
    """Its text is then ordered by the collation of that client, though its columns have the types that they had."""
    made = "CREATE OR REPLACE VIEW bets AS SELECT 7 AS moved, CONCAT(brand, '_', id) AS bet, id FROM plain"
    real_engine.execute(
        "CREATE TABLE plain (id INT, brand INT)", "INSERT INTO plain VALUES (1, 10), (2, 1), (3, 1), (4, 11)", made
    )  # fmt: skip
    source = real_engine.source()
    described = source.describe(Relation("bets", "moved", ("bet",), relation="bets"))
    assert sum(page.height for page in walk(source, described, 1)) == 4
    real_engine.execute("SET NAMES utf8mb4 COLLATE utf8mb4_unicode_ci", made)
    with suppress(ViewBroken):  # once: then it is asked again
        walk(source, described, 1)
    assert sum(page.height for page in walk(source, described, 1)) == 4


def test_keyless_cursors_that_a_collation_takes_for_equal_are_on_one_page(real_engine, walk):
    """The next page begins after all of them: none hides behind the end of one that holds its equal."""
    real_engine.execute(
        "CREATE TABLE bets (id INT, ref VARCHAR(9) CHARACTER SET utf8mb4 COLLATE utf8mb4_unicode_ci)",
        "INSERT INTO bets VALUES (1, 'a'), (2, 'b'), (3, 'B'), (4, 'b '), (5, 'c'), (6, 'C'), (7, 'd')",
    )
    source = real_engine.source()
    described = source.describe(Relation("bets", "ref", (), relation="bets"))
    for limit in (1, 2, 3, 4, 5):
        assert sorted(number for page in walk(source, described, limit) for number in page["id"]) == list(range(1, 8))


def test_a_limit_of_the_server_hides_no_row(real_engine):
    """`sql_select_limit` in my.cnf: rows that were delivered are all found again, and none is taken for deleted."""
    real_engine.execute("CREATE TABLE bets (id INT)", "INSERT INTO bets VALUES (1), (2), (3), (4), (5)")
    real_engine.database.server.admin("SET GLOBAL sql_select_limit = 2")
    try:
        source = real_engine.source()
        with source.reading(source.describe(BETS)) as reading:
            assert sorted(reading.rows(Position(str(n), (str(n),)) for n in range(1, 6))["id"]) == [1, 2, 3, 4, 5]
            assert reading.landmarks(Landmarks((), tuple((str(n),) for n in range(1, 6)), "5")).rows == 5
    finally:
        real_engine.database.server.admin("SET GLOBAL sql_select_limit = 18446744073709551615")


def test_a_quiet_view_is_summed_up_whatever_its_columns_are_called(real_engine):
    """A percent sign in a column's name is one: rows are hashed by the server, and none has to be sent."""
    real_engine.execute(
        'CREATE TABLE plain (id INT, "bonus %" INT)', "INSERT INTO plain VALUES (1, 10), (2, 1)",
        "SET NAMES utf8mb4 COLLATE utf8mb4_unicode_ci",
        "CREATE VIEW bets AS SELECT id, \"bonus %\", CONCAT(id, '%') AS \"key %\" FROM plain",
    )  # fmt: skip
    source = real_engine.source()
    described = replace(source.describe(Relation("bets", "id", (), relation="bets")), key=("key %",))
    with source.reading(described) as reading:
        assert reading.page(Position("1", ("1%",)), 9)["id"].to_list() == [2]
        assert reading.digest("rows", None, "2").rows == 2
        assert reading.landmarks(Landmarks((Position("1", ("1%",)),), (("2%",),), "2")).rows == 2


def test_bytes_in_a_text_column_do_no_harm(real_engine):
    """What an old client stored in the wrong encoding keeps its readable characters, as text that is text."""
    real_engine.execute(
        "CREATE TABLE bets (id INT, value VARBINARY(20))", "INSERT INTO bets VALUES (1, x'636166e9')",
        "ALTER TABLE bets MODIFY value VARCHAR(20) CHARACTER SET latin1", "ALTER TABLE bets MODIFY value VARCHAR(20) CHARACTER SET utf8mb4",
    )  # fmt: skip
    assert one(real_engine, "", BETS)[0] == "café"
    value, _ = one(real_engine, "CONVERT(x'636166e9' USING binary)")
    assert value == b"caf\xe9"


def test_a_query_may_use_the_words_of_the_servers_default_mode(engine):
    """sql_mode is ours, so backslashes escape and double quotes are texts, whatever the server's default is."""
    assert one(engine, '"it\'s"')[0] == "it's"
    assert one(engine, r"'a\tb'")[0] == "a\tb"


def test_pages_have_the_declared_dtypes_even_when_empty(real_engine):
    """An empty page and a full one have one schema."""
    real_engine.execute(
        "CREATE TABLE bets (id BIGINT, at TIMESTAMP NULL, n DECIMAL(9,2), b BOOLEAN, raw BLOB, f FLOAT, d DATE)"
    )
    source = real_engine.source()
    described = source.describe(BETS)
    with source.reading(described) as reading:
        empty = reading.page(None, 5)
    real_engine.execute("INSERT INTO bets VALUES (1, NOW(), 1, TRUE, x'00', 1, NOW())")
    with source.reading(described) as reading:
        assert reading.page(None, 5).schema == empty.schema
    assert empty.schema["raw"] == pl.Binary
