"""What MySQL and MariaDB promise beyond the contract: odd dates, unsigned ids, strangers' settings, a bad network, replicas."""

# ruff: noqa: DTZ001  - wall clocks without a zone are what is tested
from __future__ import annotations

import datetime as dt
import threading
import time
from contextlib import suppress

import polars as pl
import pymysql
import pytest

from engines.mariadb import MariaDB
from engines.mysql import MySQL
from servers.certificates import Authority
from servers.mariadb import PASSWORD, Server, missing
from smartico_sync.config.models import SourceConfig
from smartico_sync.core.position import Position
from smartico_sync.core.relation import Relation
from smartico_sync.errors import ConfigError, SourceCancelled, SourceError, SourceRefused, SourceUnreachable, ViewBroken
from smartico_sync.sources.registry import open_source

BETS = Relation("bets", "id", ("id",), relation="bets")


@pytest.fixture
def configured():
    sources = []

    def make(url, **fields):
        sources.append(open_source("replica", SourceConfig.model_validate({"url": url, **fields})))
        return sources[-1]

    yield make
    for source in sources:
        source.close()


@pytest.fixture(params=[MariaDB, MySQL], ids=["mariadb", "mysql"])
def engine(request):
    made = request.param(request.getfixturevalue(request.param.name))
    yield made
    made.close()


@pytest.fixture
def on_mariadb(mariadb):
    made = MariaDB(mariadb)
    yield made
    made.close()


def one(engine, expression, relation=None):
    """The value of an expression as a page carries it, and the page."""
    source = engine.source()
    described = source.describe(relation or Relation("v", "id", (), query=f"SELECT 1 AS id, {expression} AS value"))
    with source.reading(described) as reading:
        page = reading.page(None, 100)
    return page["value"].to_list()[0], page


def sleeping(source, seconds):
    """A described view that takes so long to read."""
    columns = source.describe(Relation("v", "id", (), query="SELECT 1 AS id, 0 AS slept")).columns
    return Relation("v", "id", (), query=f"SELECT 1 AS id, SLEEP({seconds}) AS slept", columns=columns)


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
def test_every_type_arrives_without_loss(on_mariadb, declared, stored, kind, value):
    """Types that frames know arrive as such, all others as the text the server prints; NULL stays NULL beside them."""
    on_mariadb.execute(
        f"CREATE TABLE bets (id INT, value {declared})", f"INSERT INTO bets VALUES (1, {stored}), (2, NULL)"
    )
    _, page = one(on_mariadb, "", BETS)
    source = on_mariadb.source()
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
def test_any_type_may_be_a_cursor(on_mariadb, walk, declared, values):
    """Every row once and in the server's own order, a page of one at a time, and asked for again by its position."""
    on_mariadb.execute(f"CREATE TABLE bets (id INT, moved {declared})")
    for number, value in enumerate(values):
        on_mariadb.execute(f"INSERT INTO bets VALUES ({number}, {value})")
    source = on_mariadb.source()
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


def test_a_second_may_hold_thousands_of_rows(engine, walk):
    """A cursor of whole seconds, as DATETIME is by default: ties are broken by the key, whatever the page's size."""
    engine.execute(
        "CREATE TABLE bets (id INT PRIMARY KEY, moved DATETIME)",
        "INSERT INTO bets SELECT seq, '2024-01-01 00:00:00' + INTERVAL seq DIV 700 SECOND FROM seq_1_to_2000",
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
    with source.reading(source.describe(BETS)) as reading:
        assert abs(reading.clock_ms - time.time() * 1000) < 60_000


@pytest.mark.parametrize("size", [2**24 - 1, 2**24 - 17, 2**24, 2**24 + 5, 2**25 - 3, 2**25 + 11])
def test_rows_longer_than_a_packet_arrive_whole(on_mariadb, size):
    """A row of 16 MB and more travels in several packets, also when it fills them to the last byte."""
    on_mariadb.execute(
        "CREATE TABLE bets (note LONGTEXT CHARACTER SET latin1, id INT)", f"INSERT INTO bets VALUES (REPEAT('x', {size}), 1), ('y', 2)"
    )  # fmt: skip
    source = on_mariadb.source()
    described = source.describe(BETS)
    with source.reading(described) as reading:
        assert reading.page(None, 5)["note"].str.len_bytes().to_list() == [size, 1]
        assert reading.head() == "2"


def test_a_row_that_fills_its_packet_exactly(on_mariadb):
    """A row whose packet has exactly 16 MB less one byte is followed by an empty one."""
    whole = 2**24 - 1
    size = whole - 4 - 2  # the text's own length, and the other column
    on_mariadb.execute(
        "CREATE TABLE bets (note LONGTEXT CHARACTER SET latin1, id INT)", f"INSERT INTO bets VALUES (REPEAT('x', {size}), 1), ('y', 2)"
    )  # fmt: skip
    _, page = one(on_mariadb, "", Relation("v", "id", (), query="SELECT note AS value, id FROM bets"))
    assert page["value"].str.len_bytes().to_list() == [size, 1]


@pytest.mark.parametrize("charset", ["latin1", "cp1251", "utf8mb3", "utf16", "greek", "ucs2"])
def test_other_character_sets_arrive_as_unicode(on_mariadb, walk, charset):
    """What a column stores in a character set of its own is converted by the server; keys in it find their way back."""
    words = {"cp1251": ["ставка", "игра"], "greek": ["στοίχημα", "παίκτης"]}.get(charset, ["Zoë", "Ärger"])
    on_mariadb.execute(
        f"CREATE TABLE bets (id VARCHAR(20) CHARACTER SET {charset} PRIMARY KEY, note TEXT CHARACTER SET {charset})"
    )
    for word in words:
        on_mariadb.execute(f"INSERT INTO bets VALUES ('{word}', '{word}')")
    source = on_mariadb.source()
    described = source.describe(Relation("bets", "id", ("id",), relation="bets"))
    pages = walk(source, described, 1)
    assert sorted(text for page in pages for text in page["note"]) == sorted(words)
    assert source.plan(described, Position(words[0], (words[0],)), 10).uses_index is True


def test_bytes_in_a_text_column_do_no_harm(on_mariadb):
    """What an old client stored in the wrong encoding keeps its readable characters, as text that is text."""
    on_mariadb.execute(
        "CREATE TABLE bets (id INT, value VARBINARY(20))", "INSERT INTO bets VALUES (1, x'636166e9')",
        "ALTER TABLE bets MODIFY value VARCHAR(20) CHARACTER SET latin1", "ALTER TABLE bets MODIFY value VARCHAR(20) CHARACTER SET utf8mb4",
    )  # fmt: skip
    assert one(on_mariadb, "", BETS)[0] == "café"
    value, _ = one(on_mariadb, "CONVERT(x'636166e9' USING binary)")
    assert value == b"caf\xe9"


def test_a_query_may_use_the_words_of_the_servers_default_mode(engine):
    """sql_mode is ours, so backslashes escape and double quotes are texts, whatever the server's default is."""
    assert one(engine, '"it\'s"')[0] == "it's"
    assert one(engine, r"'a\tb'")[0] == "a\tb"


def test_two_columns_of_one_name_are_refused(engine):
    """A query whose columns cannot be told apart is broken, and says which."""
    with pytest.raises(ViewBroken, match="dt"):
        engine.source().describe(Relation("v", "dt", (), query="SELECT 1 AS dt, 2 AS dt"))


def test_a_column_dropped_later_is_named(engine):
    """A view that loses a column after describe(): ViewBroken that names it, whoever asks."""
    engine.execute("CREATE TABLE bets (id INT, amount INT, amount_real INT)")
    source = engine.source()
    described = source.describe(BETS)
    engine.execute("ALTER TABLE bets DROP COLUMN amount")
    with pytest.raises(ViewBroken, match="'amount'") as broken, source.reading(described) as reading:
        reading.page(None, 5)
    assert "amount_real" in broken.value.hint
    with pytest.raises(ViewBroken, match="'amount'") as broken:
        source.plan(described, None, 5)
    assert "amount_real" in broken.value.hint


def test_a_view_that_lost_its_table_is_broken(engine):
    """A view over a table that is gone: ViewBroken, and what to do."""
    engine.execute("CREATE TABLE raw (id INT)", "CREATE VIEW bets AS SELECT id FROM raw", "DROP TABLE raw")
    with pytest.raises(ViewBroken) as broken:
        engine.source().describe(BETS)
    assert broken.value.hint


def test_a_view_that_fails_for_a_row_shows_no_value(engine):
    """The server's message quotes what failed; ours does not."""
    engine.execute(
        "CREATE TABLE raw (id INT, secret BIGINT UNSIGNED)", "INSERT INTO raw VALUES (1, 4711)",
        "CREATE VIEW bets AS SELECT id, (SELECT secret FROM raw r WHERE r.id <= b.id) + (SELECT 1 UNION SELECT 2) AS n FROM raw b",
    )  # fmt: skip
    source = engine.source()
    described = source.describe(BETS)
    with pytest.raises(ViewBroken) as broken, source.reading(described) as reading:
        reading.page(None, 5)
    assert "4711" not in broken.value.message + broken.value.hint


def test_a_slow_query_is_cancelled_by_the_server(on_mariadb):
    """statement_timeout: SourceCancelled, so that a smaller page is tried; the session goes on."""
    source = on_mariadb.source(statement_timeout=150, pool=1)
    slow = sleeping(source, 20)
    with pytest.raises(SourceCancelled), source.reading(slow) as reading:
        reading.page(None, 5)
    assert source.facts().version


def test_a_locked_table_is_tried_again(on_mariadb):
    """Somebody who alters the table keeps readers waiting: SourceCancelled after the timeout."""
    on_mariadb.execute("CREATE TABLE bets (id INT)")
    source = on_mariadb.source(statement_timeout=200)
    described = source.describe(BETS)
    holder = on_mariadb.database.server.owner(on_mariadb.database.name)
    with holder, holder.cursor() as cursor:
        cursor.execute("LOCK TABLES bets WRITE")
        with pytest.raises(SourceCancelled), source.reading(described) as reading:
            reading.page(None, 5)
    with source.reading(described) as reading:
        assert reading.page(None, 5).height == 0


def test_a_killed_connection_is_transient(engine):
    """KILL, while reading or while idle: at most that reading fails, and the next one works."""
    engine.execute("CREATE TABLE bets (id INT)")
    source = engine.source()
    described = source.describe(BETS)

    def kill():
        for number, *_ in engine.execute(
            "SELECT id FROM information_schema.processlist WHERE user LIKE '%reader' AND db = DATABASE()"
        ):
            with suppress(pymysql.err.MySQLError):
                engine.execute(f"KILL {number}")

    with pytest.raises((SourceCancelled, SourceUnreachable)), source.reading(described) as reading:  # noqa: PT012  - it works, then it fails
        reading.page(None, 5)
        kill()
        reading.page(None, 5)
    with source.reading(described) as reading:
        reading.page(None, 5)
    kill()
    time.sleep(0.1)  # the farewell is on its way
    with source.reading(described) as reading:
        assert reading.page(None, 5).height == 0


def test_close_ends_what_is_under_way(engine):
    """close() from another thread ends a waiting read with a SourceError."""
    source = engine.source()
    described = sleeping(source, 60)
    failures = []

    def read():
        try:
            with source.reading(described) as reading:
                reading.page(None, 5)
        except SourceError as failure:
            failures.append(failure)

    reader = threading.Thread(target=read)
    reader.start()
    asleep = (
        "SELECT count(*) FROM information_schema.processlist WHERE info LIKE '%slept%SLEEP%' AND user LIKE '%reader'"
    )
    while engine.execute(asleep.replace("slept%SLEEP", "SLEEP(60)")) != [(1,)]:
        time.sleep(0.01)
    source.close()
    reader.join(20)
    assert failures


def test_statements_name_their_view(engine):
    """The server's list of processes shows which view costs what."""
    engine.execute("CREATE TABLE bets (id INT)")
    source = engine.source()
    described = source.describe(BETS)
    with source.reading(described) as reading:
        assert "/* smartico-sync view=bets */" in reading.explained(None, 5)[0].text


@pytest.fixture
def through_proxy(on_mariadb, mariadb_server, configured, proxied):
    """A described source behind a network that may misbehave; 20,000 rows of 200 bytes."""
    on_mariadb.execute(
        "CREATE TABLE bets (id INT PRIMARY KEY, note TEXT)", "INSERT INTO bets SELECT seq, REPEAT('x', 200) FROM seq_1_to_20000"
    )  # fmt: skip
    proxy = proxied(mariadb_server.port)
    source = configured(mariadb_server.url(on_mariadb.url.rpartition("/")[2], port=proxy.port), statement_timeout=300)
    return source, source.describe(BETS), proxy


def test_a_black_hole_is_noticed(through_proxy):
    """A network that swallows everything: SourceUnreachable within the client's own timeout; mended, the next reading works."""
    source, described, proxy = through_proxy
    with pytest.raises(SourceUnreachable, match="no answer"), source.reading(described) as reading:  # noqa: PT012  - it works, then it fails
        reading.page(None, 5)
        proxy.black_hole()
        reading.page(None, 5)
    proxy.mend()
    proxy.drop()
    with source.reading(described) as reading:
        assert reading.page(None, 5).height == 5


def test_a_silent_server_is_given_up(configured, mariadb_server, proxied):
    """A server that takes the connection and says nothing: SourceUnreachable after the client's own timeout."""
    proxy = proxied(mariadb_server.port)
    proxy.black_hole()
    began = time.monotonic()
    with pytest.raises(SourceUnreachable, match="in time"):
        configured(mariadb_server.url("d", port=proxy.port), statement_timeout=100).facts()
    assert time.monotonic() - began < 20


def test_a_reset_amid_the_answer_loses_the_page_only(through_proxy):
    """A connection reset half-way through a page: SourceUnreachable, no half page, and the next reading works."""
    source, described, proxy = through_proxy
    proxy.cut_after = 500_000
    with pytest.raises(SourceUnreachable), source.reading(described) as reading:
        reading.page(None, 20_000)
    with source.reading(described) as reading:
        assert reading.page(None, 20_000).height == 20_000


def test_a_refusing_network_recovers(through_proxy):
    """Connections lost while idle cost nothing: the next reading opens new ones."""
    source, described, proxy = through_proxy
    proxy.refuse()
    with pytest.raises(SourceUnreachable), source.reading(described) as reading:
        reading.page(None, 5)
    proxy.mend()
    with source.reading(described) as reading:
        assert reading.page(None, 5).height == 5


def test_latency_is_only_latency(through_proxy):
    """A slow network delivers whole pages."""
    source, described, proxy = through_proxy
    proxy.latency_s = 0.02
    with source.reading(described) as reading:
        assert reading.page(None, 500).height == 500


def test_the_next_host_is_taken(on_mariadb, configured):
    """A dead or unknown host costs a moment and nothing else; where all are dead, nobody answers."""
    url = on_mariadb.url.replace("@127.0.0.1", "@nowhere.invalid,127.0.0.1:1,127.0.0.1")
    assert configured(url).facts().version
    with pytest.raises(SourceUnreachable, match="nobody answers"):
        configured("mariadb://r:x@127.0.0.1:1/d").facts()
    with pytest.raises(SourceUnreachable, match="host name is unknown"):
        configured("mariadb://r:x@nowhere.invalid/d").facts()


def test_a_restarted_server_is_found_again(private_mariadb, configured):
    """Restarted while idle or while reading: at most that reading fails, the next one works."""
    source = configured(private_mariadb.url())
    described = source.describe(Relation("v", "id", (), query="SELECT 1 AS id"))
    private_mariadb.restart()
    with source.reading(described) as reading:
        assert reading.page(None, 5).height == 1
    with pytest.raises((SourceCancelled, SourceUnreachable)), source.reading(described) as reading:  # noqa: PT012  - it works, then it fails
        reading.page(None, 5)
        private_mariadb.stop()
        reading.page(None, 5)
    with pytest.raises(SourceUnreachable), source.reading(described) as reading:
        reading.page(None, 5)
    private_mariadb.start()
    with source.reading(described) as reading:
        assert reading.page(None, 5).height == 1


def test_a_unix_socket_serves(private_mariadb, configured):
    """`?socket=/path` connects through the socket; the root user who does so is told to be too much."""
    facts = configured(f"mariadb://root@/mysql?socket={private_mariadb.socket}").facts()
    assert any("may do more than read" in warning for warning in facts.warnings)
    with pytest.raises(SourceUnreachable):
        configured(f"mariadb://root@/mysql?socket={private_mariadb.socket}-not").facts()


@pytest.fixture(scope="module")
def secure(tmp_path_factory):
    """A server with TLS, a user who must show a certificate, and the authority of both."""
    if reason := missing():
        pytest.skip(reason)
    authority = Authority(tmp_path_factory.mktemp("tls"))
    pair, client = authority.issue("localhost"), authority.issue("reader")
    server = Server.create(
        f"--ssl-ca={authority.certificate}", f"--ssl-cert={pair.certificate}", f"--ssl-key={pair.key}"
    )
    server.admin(f"CREATE USER certified@'127.0.0.1' IDENTIFIED BY '{PASSWORD}' REQUIRE X509")
    yield server, authority, client
    server.remove()


def test_tls_is_used_where_it_is_offered(secure, configured):
    """Without a word about TLS the connection is encrypted, unverified; `ssl_mode=DISABLED` leaves it out."""
    server, *_ = secure

    def cipher(url):
        source = configured(url)
        with source._pool.link() as session:
            return session.run("SHOW SESSION STATUS LIKE 'Ssl_cipher'", "the test").rows[0][1]

    assert cipher(server.url())
    assert not cipher(server.url() + "?ssl_mode=DISABLED")
    assert cipher(server.url() + "?ssl_mode=REQUIRED")


def test_certificates_are_verified_as_told(secure, configured, tmp_path):
    """ssl_ca verifies the chain and the host's name; VERIFY_CA the chain alone; another authority is not trusted."""
    server, authority, _ = secure
    named = server.url().replace("127.0.0.1", "localhost")
    server.admin(f"CREATE USER IF NOT EXISTS reader@'localhost' IDENTIFIED BY '{PASSWORD}'")
    assert configured(f"{named}?ssl_ca={authority.certificate}").facts().version
    with pytest.raises(SourceUnreachable, match="TLS"):
        configured(f"{server.url()}?ssl_ca={authority.certificate}").facts()
    assert configured(f"{server.url()}?ssl_ca={authority.certificate}&ssl_mode=VERIFY_CA").facts().version
    with pytest.raises(SourceUnreachable, match="TLS") as refused:
        configured(f"{server.url()}?ssl_ca={Authority(tmp_path, 'stranger').certificate}&ssl_mode=VERIFY_CA").facts()
    assert "ssl_ca" in refused.value.hint


def test_a_client_certificate_lets_in(secure, configured):
    """A user who must show a certificate: refused without, let in with ssl_cert and ssl_key."""
    server, authority, client = secure
    url = server.url(user="certified") + f"?ssl_ca={authority.certificate}&ssl_mode=VERIFY_CA"
    with pytest.raises(SourceRefused):
        configured(url).facts()
    assert configured(f"{url}&ssl_cert={client.certificate}&ssl_key={client.key}").facts().version


def test_a_server_without_tls_says_so(on_mariadb, configured):
    """`ssl_mode=REQUIRED` against a server that offers none: SourceUnreachable, and what to set."""
    with pytest.raises(SourceUnreachable, match="no TLS") as told:
        configured(on_mariadb.url + "?ssl_mode=REQUIRED").facts()
    assert "DISABLED" in told.value.hint


@pytest.mark.parametrize(
    ("tail", "words"),
    [
        ("?sslmood=1", "sslmood"), ("?ssl_mode=MAYBE", "MAYBE"), ("?ssl_ca=/none.pem", "cannot be read"),
        ("?server_public_key=/none", "/none"),
    ],
)  # fmt: skip
def test_a_url_that_cannot_work_is_told_at_once(configured, tail, words):
    """ConfigError before anything is opened, without the password, with what to write instead."""
    with pytest.raises(ConfigError, match=words) as told:
        configured(f"mysql://r:sesame@h/d{tail}")
    assert "sesame" not in told.value.message + told.value.hint
    assert told.value.hint
    with pytest.raises(ConfigError, match="not a number"):
        configured("mysql://r:sesame@h:x/d")


def test_a_wrong_password_is_refused_and_not_repeated(engine, configured):
    """SourceRefused; neither password appears anywhere in the failure or in the source."""
    user = engine.url.split("//")[1].split(":")[0]
    place = engine.url.rpartition("@")[2]
    source = configured(f"{engine.name}://{user}:wrong-sesame@{place}")
    with pytest.raises(SourceRefused) as refused:
        source.facts()
    assert "sesame" not in refused.value.message + refused.value.hint + repr(source.__dict__)


def test_an_unknown_database_is_refused(engine, configured):
    """A database that does not exist is not worth waiting for."""
    with pytest.raises(SourceRefused):
        configured(engine.url + "_not").facts()


def test_a_raw_password_needs_no_encoding(engine, configured):
    """`${DB_PASSWORD}` may hold `@`, `/`, `:`, `?`, `#` and `%` as they are."""
    user, place = engine.url.split("//")[1].split(":")[0], engine.url.rpartition("@")[2]
    assert configured(f"{engine.name}://{user}:{PASSWORD}@{place}").facts().engine == engine.name


@pytest.fixture
def stranger(on_mariadb):
    """Make a user with just these rights; its URL."""
    server, name = on_mariadb.database.server, on_mariadb.database.name
    user = f"s_{name[2:10]}"
    server.admin(f"CREATE USER {user}@'127.0.0.1' IDENTIFIED BY '{PASSWORD}'")

    def grant(*rights):
        for right in rights:
            server.admin(f"GRANT {right} TO {user}@'127.0.0.1'", database=name)
        return server.url(name, user=user)

    yield grant
    server.admin(f"DROP USER {user}@'127.0.0.1'")


def test_no_permission_is_refused(on_mariadb, stranger, configured):
    """A view that the user may not read: SourceRefused, and what to grant; it is not among the relations."""
    on_mariadb.execute("CREATE TABLE bets (id INT)", "CREATE TABLE other (id INT)")
    source = configured(stranger("SELECT ON other"))
    with pytest.raises(SourceRefused) as refused:
        source.describe(BETS)
    assert "GRANT SELECT" in refused.value.hint
    assert source.relations() == (f"{on_mariadb.database.name}.other",)


def test_rights_beyond_reading_are_told(on_mariadb, stranger, configured):
    """A user that may only SELECT draws no warning; one that may write draws one that names the right."""
    on_mariadb.execute("CREATE TABLE bets (id INT)")
    source = configured(stranger("SELECT ON bets"))
    assert source.facts().warnings == ()
    (warning,) = configured(stranger("DELETE, INSERT ON bets")).facts().warnings
    assert "INSERT, DELETE" in warning or "DELETE, INSERT" in warning
    assert f"{on_mariadb.database.name}.bets" in warning


def test_facts_tell_the_server(engine):
    """Version, the server's own zone, and why there is no fence."""
    facts = engine.source().facts()
    assert facts.fence
    assert facts.timezone == "+02:00"
    assert facts.version[0].isdigit()
    assert facts.replay_lag_ms is None


def test_a_view_alone_may_be_read_and_judged(on_mariadb, stranger, configured):
    """A user without SHOW VIEW may not see the plan: the rows that the server touched for a page tell instead."""
    on_mariadb.execute(
        "CREATE TABLE raw (uid INT PRIMARY KEY, touched DATETIME(6), note INT)",
        "INSERT INTO raw SELECT seq, '2024-01-01' + INTERVAL seq SECOND, seq % 7 FROM seq_1_to_3000",
        "CREATE VIEW bets AS SELECT uid AS id, touched AS moved, note FROM raw",
    )
    source = configured(stranger("SELECT ON bets"))
    described = source.describe(Relation("bets", "moved", ("id",), relation="bets"))
    plan = source.plan(described, None, 10)
    assert plan.uses_index is False
    assert "SHOW VIEW" in plan.text
    assert "(moved, id)" in plan.advice
    on_mariadb.execute("CREATE INDEX raw_touched ON raw (touched, uid)")
    after = Position("2024-01-01 00:01:00.000000", ("60",))
    assert source.plan(described, after, 10).uses_index is True
    on_mariadb.execute("DROP INDEX raw_touched ON raw", "DELETE FROM raw WHERE uid > 100")
    assert source.plan(described, None, 10).uses_index is None


def test_plans_look_through_views_and_joins(on_mariadb):
    """The advice names the base table and its own column, whatever the view calls it; a computed cursor is told."""
    on_mariadb.execute(
        "CREATE TABLE `Users` (uid INT PRIMARY KEY, touched DATETIME)",
        "CREATE TABLE wallet (uid INT PRIMARY KEY, balance DECIMAL(18,2))",
        "CREATE VIEW users AS SELECT u.uid AS user_ext_id, u.touched AS dt_update, w.balance FROM `Users` u LEFT JOIN wallet w USING (uid)",
        "INSERT INTO `Users` SELECT seq, NOW() FROM seq_1_to_2000",
    )
    source = on_mariadb.source()
    described = source.describe(Relation("users", "dt_update", ("user_ext_id",), relation="users"))
    plan = source.plan(described, None, 10)
    assert plan.uses_index is False
    assert "`Users` (`touched`, `uid`)" in plan.advice
    on_mariadb.execute(plan.advice)
    assert source.plan(described, None, 10).uses_index is True
    computed = Relation("v", "day", (), query="SELECT DATE(touched) AS day, uid FROM `Users`")
    plan = source.plan(source.describe(computed), None, 10)
    assert plan.uses_index is False
    assert "stored column" in plan.advice


def test_pages_have_the_declared_dtypes_even_when_empty(on_mariadb):
    """An empty page and a full one have one schema."""
    on_mariadb.execute(
        "CREATE TABLE bets (id BIGINT, at TIMESTAMP NULL, n DECIMAL(9,2), b BOOLEAN, raw BLOB, f FLOAT, d DATE)"
    )
    source = on_mariadb.source()
    described = source.describe(BETS)
    with source.reading(described) as reading:
        empty = reading.page(None, 5)
    on_mariadb.execute("INSERT INTO bets VALUES (1, NOW(), 1, TRUE, x'00', 1, NOW())")
    with source.reading(described) as reading:
        assert reading.page(None, 5).schema == empty.schema
    assert empty.schema["raw"] == pl.Binary


@pytest.fixture
def replicated(private_mariadb, replica, configured):
    """A table on primary and replica, and a source on the replica whose user may see its lag."""
    private_mariadb.admin("CREATE DATABASE casino", "CREATE TABLE casino.bets (id INT PRIMARY KEY)")
    arrives(replica, "SELECT count(*) FROM information_schema.tables WHERE table_schema = 'casino'", 1)
    replica.admin("GRANT REPLICA MONITOR ON *.* TO reader@'127.0.0.1'")
    source = configured(replica.url("casino"))
    return private_mariadb, replica, source, source.describe(BETS)


def arrives(server, query, value):
    end = time.monotonic() + 60
    while server.admin(query)[0][0] != value:
        assert time.monotonic() < end, "the replica does not follow"
        time.sleep(0.02)


def clock(source, described):
    with source.reading(described) as reading:
        return reading.clock_ms


def test_a_replica_is_a_source(replicated):
    """Its role and its lag; its clock is a second behind now, since the lag counts whole seconds."""
    primary, replica, source, described = replicated
    facts = source.facts()
    assert facts.role == "logical replica"
    assert facts.replay_lag_ms == 0
    assert facts.warnings == ()
    now = time.time() * 1000
    assert -5_000 < clock(source, described) - now < -900
    primary.admin("INSERT INTO casino.bets VALUES (1)")
    arrives(replica, "SELECT count(*) FROM casino.bets", 1)
    with source.reading(described) as reading:
        assert reading.page(None, 5).height == 1


def test_a_replica_that_does_not_replay_stands_still(replicated):
    """While replication is stopped the clock stands at the last moment it was known for, and a warning says so; then it goes on."""
    primary, replica, source, described = replicated
    before = clock(source, described)
    replica.admin("STOP SLAVE")
    primary.admin("INSERT INTO casino.bets VALUES (2)")
    time.sleep(1.1)
    assert clock(source, described) == before
    facts = source.facts()
    assert facts.replay_lag_ms is None
    assert any("does not replay" in warning for warning in facts.warnings)
    replica.admin("START SLAVE")
    arrives(replica, "SELECT count(*) FROM casino.bets", 1)
    assert clock(source, described) > before


def test_a_replica_stopped_before_we_came_knows_nothing_new(replicated, configured):
    """Stopped since before the first look: the clock is no later than the server's own start."""
    _, replica, _, _ = replicated
    replica.admin("STOP SLAVE")
    source = configured(replica.url("casino"))
    described = source.describe(BETS)
    uptime = int(replica.admin("SHOW GLOBAL STATUS LIKE 'Uptime'")[0][1])
    assert clock(source, described) <= (time.time() - uptime + 2) * 1000


def test_a_lagging_replicas_clock_lags(replicated):
    """While a transaction of the past is replayed, the clock is behind by as much as the replica is."""
    primary, replica, source, described = replicated
    replica.admin("STOP SLAVE", "CHANGE MASTER TO MASTER_DELAY=30", "START SLAVE")
    primary.admin("INSERT INTO casino.bets VALUES (3)")
    end = time.monotonic() + 60
    while not (source.facts().replay_lag_ms or 0) >= 2_000:
        assert time.monotonic() < end, "the replica shows no lag"
        time.sleep(0.05)
    assert clock(source, described) < time.time() * 1000 - 2_000
    with source.reading(described) as reading:
        assert reading.page(None, 5).height == 0


def test_a_replica_that_hides_its_lag_is_told(private_mariadb, replica, configured):
    """Without REPLICA MONITOR the clock is the server's own, the role unknown, and a warning says what to grant."""
    source = configured(replica.url("mysql"))
    facts = source.facts()
    assert facts.role == "unknown"
    assert any("GRANT REPLICA MONITOR" in warning for warning in facts.warnings)
