"""What SQL Server promises beyond the contract: types, drivers, logins, failures, a bad network, secondaries, plans."""

# ruff: noqa: DTZ001  - wall clocks without a zone are what is tested
from __future__ import annotations

import datetime as dt
import os
import subprocess
import sys
import threading
from urllib.parse import quote

import polars as pl
import pytest

from servers.mssql import PASSWORD, drivers
from smartico_sync.config.models import SourceConfig
from smartico_sync.core.late import choose
from smartico_sync.core.position import Position
from smartico_sync.core.relation import Relation
from smartico_sync.errors import (
    ConfigError,
    DriverMissing,
    SourceCancelled,
    SourceError,
    SourceRefused,
    SourceUnreachable,
    ViewBroken,
)
from smartico_sync.sources.open import open_source

BETS = Relation("bets", "id", ("id",), relation="bets")


def configured(url, **fields):
    return open_source("replica", SourceConfig.model_validate({"url": url, **fields}))


@pytest.fixture(params=["microsoft", "freetds"])
def driver(request):
    """Each ODBC driver that can be had."""
    if request.param not in drivers():
        pytest.skip(f"no {request.param} driver here: tests/servers/provision all")
    return drivers()[request.param]


@pytest.fixture
def open_url(mssql, driver):
    """A URL of the test's database for this driver: `open_url(more='&connect_timeout=3')`."""
    return lambda **fields: mssql.server.url(mssql.name, driver=driver, **fields)


@pytest.fixture
def opened(open_url):
    """A source for this driver, closed afterwards."""
    sources = []

    def make(url=None, **fields):
        sources.append(configured(url or open_url(), **fields))
        return sources[-1]

    yield make
    for source in sources:
        source.close()


@pytest.fixture
def emulated(mssql):
    """The test's database, where it may be made to look like something else."""
    if mssql.server.emulator is None:
        pytest.skip("a real server does not pretend")
    return mssql


def page_of(source, relation, after=None, limit=10):
    described = source.describe(relation)
    with source.reading(described) as reading:
        return reading.page(after, limit)


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


def test_every_type_arrives_without_loss(opened):
    """Types that frames know arrive as such, with every digit, whichever driver carries them."""
    source = opened()
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
def test_time_cursors_find_their_equals(opened, mssql, kind, values, texts):
    """A time comes back as the value it was: 1/300 s, 100 ns, whole seconds, minutes and zones, with ties, row by row."""
    rows = ", ".join(f"({number}, CAST('2024-03-01 {value}' AS {kind}))" for number, value in enumerate(values))
    mssql.execute(f"CREATE TABLE bets (id bigint, at {kind})", f"INSERT INTO bets VALUES {rows}")
    found = walked(opened(), Relation("bets", "at", ("id",), relation="bets"))
    assert found == [(f"2024-03-01 {text}", str(number)) for number, text in enumerate(texts)]


def test_a_time_arrives_whole_at_the_server(opened, emulated):
    """Parameters are texts of one type, whole to the last digit: no driver rounds what it takes for a time."""
    emulated.execute("CREATE TABLE bets (id bigint, at datetime2(7))", "GRANT RECORDING TO tests")
    source = opened()
    described = source.describe(Relation("bets", "at", ("id",), relation="bets"))
    with source.reading(described) as reading:
        reading.page(Position("2024-03-01 10:00:00.1234567", ("7",)), 5)
    statement, declared, arrived = emulated.execute("SELECT statement, declared, arrived FROM emulator.calls")[-1]
    assert "/* smartico-sync view=bets */" in statement
    assert declared == "@c nvarchar(4000), @k0 nvarchar(4000), @n int"
    assert arrived == "['2024-03-01 10:00:00.1234567', '7', 5]"


@pytest.mark.parametrize("kind", ["uniqueidentifier", "varbinary(16)"])
def test_keys_of_bytes_break_ties(opened, mssql, kind):
    """GUIDs are ordered by the database alone, in its own strange order; bytes travel as hexadecimal digits."""
    guids = [f"{number:08X}-9C0B-4EF8-BB6D-{9 - number:012X}" for number in range(5)]
    written = guids if kind == "uniqueidentifier" else [guid.replace("-", "") for guid in guids]
    stored = "N'{}'" if kind == "uniqueidentifier" else "CONVERT(varbinary(16), N'{}', 2)"
    rows = ", ".join(f"(1, {stored.format(text)})" for text in written)
    mssql.execute(f"CREATE TABLE bets (cur bigint, id {kind})", f"INSERT INTO bets VALUES {rows}")
    found = walked(opened(), Relation("bets", "cur", ("id",), relation="bets"), limit=2)
    assert sorted(key.upper() for _, key in found) == sorted(written)


def test_a_rowversion_is_a_number_that_grows(opened, mssql):
    """A rowversion is read as the integer it counts, compared as its eight bytes, and its gaps are asked for again."""
    mssql.execute(
        "CREATE TABLE bets (id bigint, rv rowversion)", *(f"INSERT INTO bets (id) VALUES ({n})" for n in (1, 2, 3))
    )
    source = opened()
    relation = Relation("bets", "rv", ("id",), relation="bets")
    found = walked(source, relation)
    assert [key for _, key in found] == ["1", "2", "3"]
    numbers = [int(cursor) for cursor, _ in found]
    assert numbers == sorted(set(numbers))
    column = source.describe(relation).column("rv")
    assert choose("auto", column.family, source.engine, source.facts().fence).mechanism == "gaps"


def test_half_a_character_spoils_no_page(opened):
    """A lone surrogate, which nvarchar holds, becomes a sign for what cannot be read; the page arrives."""
    query = "SELECT 1 AS id, NCHAR(55357) AS value UNION ALL SELECT 2, N'whole 🎲'"
    page = page_of(opened(), Relation("v", "id", (), query=query))
    assert page["value"].to_list() == ["\ufffd", "whole 🎲"]


def test_local_timestamps_become_utc(opened):
    """`timezone:` tells what wall-clock columns mean; columns with a zone do not care."""
    query = (
        "SELECT 1 AS id, CAST('2024-07-01 12:00' AS datetime2(7)) AS value, "
        "CAST('2024-07-01 12:00 +00:00' AS datetimeoffset(7)) AS moment"
    )
    page = page_of(opened(), Relation("v", "id", (), query=query, timezone="Europe/Malta"))
    assert page["value"][0] == dt.datetime(2024, 7, 1, 10)
    assert page["moment"][0] == dt.datetime(2024, 7, 1, 12, tzinfo=dt.UTC)


def test_an_hour_that_the_spring_skips_is_told(opened):
    """A wall clock that never was is null, and `@unreadable` names its column."""
    query = "SELECT 1 AS id, CAST('2024-03-31 02:30' AS datetime2(7)) AS value"
    page = page_of(opened(), Relation("v", "id", (), query=query, timezone="Europe/Malta"))
    assert page["value"][0] is None
    assert page["@unreadable"][0].startswith("value: not a time")


def test_moments_are_never_rounded_up(opened, mssql):
    """A bound has no more digits than its column keeps, so that the database cannot round it past a row."""
    kinds = {"small": "smalldatetime", "old": "datetime", "whole": "datetime2(0)", "fine": "datetime2(7)"}
    mssql.execute(f"CREATE TABLE bets ({', '.join(f'{name} {kind}' for name, kind in kinds.items())})")
    source, texts = opened(), {}
    for name in kinds:
        described = source.describe(Relation("bets", name, (), relation="bets"))
        with source.reading(described) as reading:
            texts[name] = reading.moment(1_709_287_259_999)
    assert texts == {
        "small": "2024-03-01 10:00", "old": "2024-03-01 10:00:59.99", "whole": "2024-03-01 10:00:59",
        "fine": "2024-03-01 10:00:59.999",
    }  # fmt: skip


def test_a_thousand_positions_fit(opened, mssql):
    """However many parts a key has, a thousand positions stay below the server's 2,100 parameters."""
    rows = ", ".join(f"({n}, {n % 7}, {n}, {n % 3})" for n in range(1000))
    mssql.execute("CREATE TABLE bets (cur bigint, a bigint, b bigint, c bigint)", f"INSERT INTO bets VALUES {rows}")
    source = opened()
    described = source.describe(Relation("bets", "cur", ("a", "b", "c"), relation="bets"))
    wanted = [Position(str(n), (str(n % 7), str(n), str(n % 3))) for n in range(1000)]
    with source.reading(described) as reading:
        assert sorted(reading.rows(wanted)["cur"]) == list(range(1000))
        assert reading.by_key(each.key for each in wanted).height == 1000
        assert reading.by_cursor(each.cursor for each in wanted).height == 1000


def test_a_long_key_finds_its_row(opened, mssql):
    """A text longer than an nvarchar can be is a parameter like any other."""
    key = "ü🎲" * 3000
    mssql.execute("CREATE TABLE bets (cur bigint, id nvarchar(max))", f"INSERT INTO bets VALUES (1, N'{key}')")
    assert walked(opened(), Relation("bets", "cur", ("id",), relation="bets")) == [("1", key)]


def test_pages_have_the_declared_dtypes_even_when_empty(opened, mssql):
    """An empty page and a full one have one schema."""
    mssql.execute(
        "CREATE TABLE bets (id bigint, at datetimeoffset(7), n decimal(9,2), b bit, raw varbinary(9), f real, d date, t datetime, rv rowversion)"
    )
    source = opened()
    described = source.describe(BETS)
    with source.reading(described) as reading:
        empty = reading.page(None, 5)
    mssql.execute(
        "INSERT INTO bets (id, at, n, b, raw, f, d, t) VALUES (1, CAST('2024-01-01 00:00 +00:00' AS datetimeoffset(7)), 1, CAST(1 AS bit), CONVERT(varbinary(9), N'00', 2), 1, '2024-01-01', CAST('2024-01-01' AS datetime))"
    )
    with source.reading(described) as reading:
        assert reading.page(None, 5).schema == empty.schema
    assert empty.schema["raw"] == pl.Binary


def test_question_marks_are_only_text(opened, mssql):
    """A `?` or `@c` in a query, and quotes within names, are nobody's parameter."""
    mssql.execute("CREATE TABLE bets (id bigint)", "INSERT INTO bets VALUES (1), (2)")
    query = "SELECT id, N'a ? @c ''' AS [w?t \"x], 'b' AS [@c] FROM bets -- ? @n"
    page = page_of(opened(), Relation("v", "id", ("id",), query=query), Position("1", ("1",)))
    assert page.row(0)[:3] == (2, "a ? @c '", "b")


def test_two_columns_of_one_name_are_refused(opened):
    """A query whose columns cannot be told apart is broken, and says which."""
    with pytest.raises(ViewBroken, match="'dt'"):
        opened().describe(Relation("v", "dt", (), query="SELECT 1 AS dt, 2 AS dt"))


def test_a_column_dropped_later_is_named(opened, mssql):
    """A view that loses a column after describe(): ViewBroken that names it."""
    mssql.execute("CREATE TABLE bets (id int, amount int, amount_real int)")
    source = opened()
    described = source.describe(BETS)
    mssql.execute("ALTER TABLE bets DROP COLUMN amount")
    with pytest.raises(ViewBroken, match="'amount'") as broken, source.reading(described) as reading:
        reading.page(None, 5)
    assert "amount_real" in broken.value.hint


def test_a_view_that_fails_for_a_row_shows_no_value(opened, mssql):
    """The server's message quotes the value that failed; ours does not."""
    mssql.execute("CREATE TABLE raw (id nvarchar(50))", "INSERT INTO raw VALUES (N'secret-mail')")
    mssql.execute("CREATE VIEW bets AS SELECT CAST(id AS int) AS id FROM raw")
    source = opened()
    described = source.describe(BETS)
    with pytest.raises(ViewBroken) as broken, source.reading(described) as reading:
        reading.page(None, 5)
    assert "secret" not in broken.value.message + broken.value.hint


def test_no_permission_is_refused(opened, mssql):
    """A view that the user may not read: SourceRefused, and what to grant."""
    mssql.execute("CREATE TABLE bets (id int)")
    mssql.server.admin(f"CREATE LOGIN stranger WITH PASSWORD = N'{PASSWORD}'")
    try:
        mssql.execute("CREATE USER stranger FOR LOGIN stranger")
        source = opened(mssql.server.url(mssql.name, user="stranger"))
        with pytest.raises(SourceRefused) as refused:
            source.describe(BETS)
        assert "GRANT SELECT" in refused.value.hint
        assert source.relations() == ()
        source.close()
    finally:
        mssql.execute("DROP USER stranger")
        mssql.server.admin("DROP LOGIN stranger")


def test_a_wrong_password_is_refused_and_not_repeated(opened, open_url):
    """SourceRefused; neither password appears anywhere in the failure or in the source."""
    source = opened(open_url(password="wrong-sesame"))
    with pytest.raises(SourceRefused) as refused:
        source.facts()
    assert "sesame" not in refused.value.message + refused.value.hint + repr(source.__dict__)


def test_an_unknown_database_is_refused(opened, mssql, driver):
    """A database that does not exist is not worth waiting for."""
    with pytest.raises(SourceRefused, match="database"):
        opened(mssql.server.url(mssql.name + "_not", driver=driver)).facts()


def test_a_raw_password_needs_no_encoding(opened, mssql, open_url):
    """`${DB_PASSWORD}` may hold what a URL or a connection string could stumble over, as it is."""
    url = open_url().replace(quote(PASSWORD, safe=""), PASSWORD)
    assert PASSWORD in url
    assert opened(url).facts().engine == "mssql"


def test_nothing_may_be_written_and_nothing_stays(opened, mssql):
    """Whatever a user may do, a reading's transaction is rolled back: even an owner's write is undone."""
    mssql.execute("CREATE TABLE bets (id int)", "INSERT INTO bets VALUES (1)")
    owner = opened(mssql.server.url(mssql.name, user=mssql.server.user, password=mssql.server.password))
    described = owner.describe(BETS)
    with owner.reading(described) as reading:
        reading.ask("DELETE FROM bets")
        assert reading.page(None, 5).height == 0
    assert mssql.execute("SELECT COUNT(*) AS n FROM bets") == [(1,)]


def test_parameters_of_the_url_reach_the_driver(opened, emulated, open_url):
    """The intent to read, and the application's name, arrive at the server; both can be changed."""
    opened().facts()
    opened(open_url(more="&application_intent=readwrite"), options={"application_name": "mine"}).facts()
    told = emulated.execute("SELECT program_name, intent FROM sys.dm_exec_sessions WHERE login_name = 'reader'")
    assert sorted(told) == [("mine", "ReadWrite"), ("smartico-sync", "ReadOnly")]


@pytest.mark.parametrize(
    ("query", "said"),
    [
        ("encript=yes", "encript"),
        ("encrypt=perhaps", "encrypt"),
        ("trust_server_certificate=maybe", "trust_server_certificate"),
        ("application_intent=none", "application_intent"),
        ("connect_timeout=soon&trust_server_certificate=yes", "connect_timeout"),
        ("driver=FreeTDS&multi_subnet_failover=yes&trust_server_certificate=yes", "multi_subnet_failover"),
        ("driver=FreeTDS&encrypt=yes", "certificate"),
        ("driver=ODBC Driver 18 for SQL Server&tds_version=7.3", "tds_version"),
    ],
)
def test_parameters_that_cannot_be_are_told_at_once(query, said):
    """An unknown parameter, a word it does not take, or one the driver does not have: ConfigError before the first poll."""
    with pytest.raises(ConfigError, match=said) as wrong:
        configured(f"mssql://u:sesame@h/d?{query}")
    assert wrong.value.hint
    assert "sesame" not in wrong.value.message + wrong.value.hint


def test_a_port_that_is_no_number_is_told():
    """ConfigError for mssql://host:port."""
    with pytest.raises(ConfigError, match="port"):
        configured("mssql://u:p@h:port/d")


def test_a_missing_driver_is_told(monkeypatch):
    """No driver at all, or a path where there is none: DriverMissing with what to install."""
    from smartico_sync.sources.mssql import login

    with pytest.raises(DriverMissing, match="loaded"):
        configured("mssql://u:p@127.0.0.1:9/d?driver=/nowhere/libodbc.so").facts() if listening(monkeypatch) else None
    monkeypatch.setattr(login.pyodbc, "drivers", list)
    monkeypatch.setattr(login, "find_spec", lambda name: None)
    with pytest.raises(DriverMissing) as missing:
        configured("mssql://u:p@h/d")
    assert "install" in missing.value.hint


def listening(monkeypatch):
    """Somebody seems to listen everywhere."""
    from smartico_sync.sources.mssql import session

    monkeypatch.setattr(session, "_reached", lambda *_: set())
    return True


def test_the_best_driver_is_chosen(monkeypatch, tmp_path):
    """Microsoft's newest, else the one in its Python package, else FreeTDS; `driver=` beats them all."""
    from smartico_sync.sources.mssql import login
    from smartico_sync.sources.url import parse

    installed = ["FreeTDS", "ODBC Driver 18 for SQL Server", "SQLite3", "ODBC Driver 17 for SQL Server"]
    monkeypatch.setattr(login.pyodbc, "drivers", lambda: installed)
    monkeypatch.setattr(login, "find_spec", lambda name: None)

    def chosen(query=""):
        return login.Login(parse(f"mssql://u:p@h/d?{query}"), 1.0).driver

    assert chosen() == "ODBC Driver 18 for SQL Server"
    assert chosen("driver=FreeTDS") == "FreeTDS"
    installed[:] = ["FreeTDS"]
    assert chosen() == "FreeTDS"
    library = tmp_path / "libs/linux/debian_ubuntu/x86_64/lib/libmsodbcsql-18.6.so.2.1"
    library.parent.mkdir(parents=True)
    library.touch()
    spec = type("Spec", (), {"origin": str(tmp_path / "__init__.py")})
    monkeypatch.setattr(login, "find_spec", lambda name: spec)
    assert chosen() == str(library)


def test_a_certificate_is_verified(secure_mssql):
    """Microsoft's driver refuses a certificate that nobody vouches for; one that is trusted, pinned or let pass will do."""
    if "microsoft" not in drivers():
        pytest.skip("no driver of Microsoft's here: tests/servers/provision all")
    server, certificate = secure_mssql()
    url = server.url(driver=drivers()["microsoft"]).replace("&trust_server_certificate=yes", "")
    source = configured(url)
    with pytest.raises(SourceUnreachable, match="TLS") as refused:
        source.facts()
    assert "trust_server_certificate" in refused.value.hint
    source.close()
    source = configured(url, options={"trust_server_certificate": "yes"})
    assert source.facts().version
    source.close()
    strict = configured(
        url.replace("encrypt=yes", "encrypt=strict"), options={"server_certificate": str(certificate.path)}
    )
    assert strict.facts().version
    strict.close()
    assert trusting(url.replace("@127.0.0.1:", "@localhost:"), certificate.authority) == "fine"


def test_a_certificate_for_somebody_else_is_refused(secure_mssql):
    """The name in the certificate must be the host's, or the one that hostname_in_certificate says."""
    if "microsoft" not in drivers():
        pytest.skip("no driver of Microsoft's here: tests/servers/provision all")
    server, certificate = secure_mssql("sql.example")
    url = server.url(driver=drivers()["microsoft"]).replace("&trust_server_certificate=yes", "")
    assert "TLS" in trusting(url, certificate.authority)
    assert trusting(url + "&hostname_in_certificate=sql.example", certificate.authority) == "fine"


def trusting(url, authority):
    """What a process says that trusts this authority: OpenSSL reads its list of them once."""
    program = (
        "import sys\nfrom smartico_sync.config.models import SourceConfig\nfrom smartico_sync.sources import open_source\n"
        "from smartico_sync.errors import SyncError\n"
        "source = open_source('replica', SourceConfig.model_validate({'url': sys.argv[1]}))\n"
        "try:\n    source.facts()\n    print('fine')\nexcept SyncError as failure:\n    print(failure.message)\n"
    )
    environment = {**os.environ, "SSL_CERT_FILE": str(authority), "PYTHONPATH": os.pathsep.join(sys.path)}
    return subprocess.run(
        [sys.executable, "-c", program, url], capture_output=True, text=True, env=environment, check=True
    ).stdout.strip()


def test_freetds_speaks_tls(secure_mssql):
    """FreeTDS encrypts where it is told not to verify."""
    if "freetds" not in drivers():
        pytest.skip("no FreeTDS here: apt-get install tdsodbc")
    server, _ = secure_mssql()
    source = configured(server.url(driver=drivers()["freetds"]))
    assert source.facts().version
    assert server.admin("SELECT encrypted FROM sys.dm_exec_sessions WHERE login_name = 'reader'") == [(True,)]
    source.close()


def test_the_next_host_is_tried(opened, mssql, driver):
    """Several hosts, as a mirrored database has them: the first that answers serves."""
    url = mssql.server.url(mssql.name, driver=driver)
    place = f"{mssql.server.host}:{mssql.server.port}"
    assert opened(url.replace(f"@{place}", f"@127.0.0.1:1,nobody.invalid,{place}")).facts().version


def test_nobody_listens(opened, driver):
    """A refused connection, or a name that nobody has: SourceUnreachable at once."""
    with pytest.raises(SourceUnreachable, match="nobody answers"):
        opened(f"mssql://u:p@127.0.0.1:1/d?driver={quote(driver, safe='')}&encrypt=no").facts()
    with pytest.raises(SourceUnreachable, match="host name"):
        opened(f"mssql://u:p@nobody.invalid/d?driver={quote(driver, safe='')}&encrypt=no").facts()


@pytest.fixture
def through_proxy(opened, mssql, driver, proxied):
    """A described source behind a network that may misbehave; 20,000 rows of 200 bytes."""
    mssql.execute("CREATE TABLE bets (id bigint, note nvarchar(200))")
    doubled = "INSERT INTO bets SELECT id + (SELECT COUNT(*) AS n FROM bets), note FROM bets"
    mssql.execute(f"INSERT INTO bets VALUES (1, N'{'x' * 200}')", *[doubled] * 15, "DELETE FROM bets WHERE id > 20000")
    proxy = proxied(mssql.server.port)
    source = opened(mssql.server.url(mssql.name, driver=driver, port=proxy.port), statement_timeout=300)
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


def test_a_black_hole_amid_the_answer_is_noticed(through_proxy):
    """An answer that stops half-way: SourceUnreachable too, though the drivers themselves would wait for minutes."""
    source, described, proxy = through_proxy
    proxy.hole_after = 500_000
    with pytest.raises(SourceUnreachable), source.reading(described) as reading:
        reading.page(None, 20_000)
    proxy.mend()
    with source.reading(described) as reading:
        assert reading.page(None, 20_000).height == 20_000


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


def test_a_killed_session_is_transient(opened, mssql):
    """KILL: a transient failure, and the next reading works; killed while idle, nothing fails."""
    mssql.execute("CREATE TABLE bets (id int)")
    source = opened()
    described = source.describe(BETS)

    def kill():
        ((number,),) = mssql.execute("SELECT session_id FROM sys.dm_exec_sessions WHERE login_name = 'reader'")
        mssql.execute(f"KILL {number}")

    with pytest.raises((SourceCancelled, SourceUnreachable)), source.reading(described) as reading:  # noqa: PT012  - it works, then it fails
        reading.page(None, 5)
        kill()
        reading.page(None, 5)
    with source.reading(described) as reading:
        assert reading.page(None, 5).height == 0
    kill()
    with source.reading(described) as reading:
        assert reading.page(None, 5).height == 0


@pytest.fixture
def endless(mssql):
    """A view whose rows take longer than anybody waits."""
    mssql.execute("CREATE TABLE bets (id bigint)", "INSERT INTO bets VALUES (1)")
    mssql.execute(*["INSERT INTO bets SELECT id + (SELECT COUNT(*) AS n FROM bets) FROM bets"] * 12)
    query = (
        "SELECT 1 AS id, (SELECT COUNT_BIG(*) AS n FROM bets a, bets b, bets c WHERE a.id + b.id <> c.id * 3) AS slow"
    )
    return Relation("v", "id", (), query=query)


def test_a_slow_query_is_cancelled_by_the_server(opened, endless):
    """The driver has the server cancel what lasts too long: SourceCancelled, and the connection goes on."""
    source = opened(statement_timeout=300, pool=1)
    described = source.describe(endless)
    with pytest.raises(SourceCancelled), source.reading(described) as reading:
        reading.page(None, 5)
    assert page_of(source, Relation("v", "id", (), query="SELECT 1 AS id")).height == 1


def test_close_ends_what_is_under_way(opened, endless, mssql):
    """close() from another thread ends a waiting read with a SourceError."""
    source = opened()
    described = source.describe(endless)
    failures, begun = [], threading.Event()

    def read():
        try:
            with source.reading(described) as reading:
                assert reading.clock_ms
                begun.set()
                reading.page(None, 5)
        except SourceError as failure:
            failures.append(failure)

    reader = threading.Thread(target=read)
    reader.start()
    begun.wait(20)
    threading.Event().wait(0.3)  # it waits for its page now
    source.close()
    reader.join(20)
    assert failures


def test_a_reader_draws_no_warning(opened):
    """A user that may only SELECT, from a database with snapshots: no warnings; there is never a fence."""
    facts = opened().facts()
    assert facts.warnings == ()
    assert "MIN_ACTIVE_ROWVERSION" in facts.fence
    assert facts.timezone


def test_an_owner_draws_a_warning(opened, mssql):
    """A sysadmin may do too much."""
    facts = opened(mssql.server.url(mssql.name, user=mssql.server.user, password=mssql.server.password)).facts()
    assert any("sysadmin" in warning for warning in facts.warnings)


def test_a_database_without_snapshots_is_read_all_the_same(opened, mssql):
    """Without SNAPSHOT each statement sees its own moment, a sentence says so with the statement that mends it."""
    mssql.execute("CREATE TABLE bets (id int)", "INSERT INTO bets VALUES (1)")
    mssql.server.admin(f"ALTER DATABASE {mssql.name} SET ALLOW_SNAPSHOT_ISOLATION OFF")
    source = opened()
    described = source.describe(BETS)
    with source.reading(described) as reading:
        assert reading.page(None, 5).height == 1
        mssql.execute("INSERT INTO bets VALUES (2)")
        assert reading.page(None, 5).height == 2
    (warning,) = source.facts().warnings
    assert f"ALTER DATABASE [{mssql.name}] SET ALLOW_SNAPSHOT_ISOLATION ON" in warning


def test_a_view_over_a_database_without_snapshots_is_read(opened, mssql):
    """Where SNAPSHOT is refused for a view, that view is read without, from its first question on."""
    mssql.execute("CREATE TABLE bets (id int)", "INSERT INTO bets VALUES (1)")
    source = opened()
    described = source.describe(BETS)
    with source.reading(described) as reading:
        assert reading.page(None, 5).height == 1
    mssql.server.admin(
        f"ALTER DATABASE {mssql.name} SET ALLOW_SNAPSHOT_ISOLATION OFF"
    )  # the session knows nothing of it
    for _ in range(2):
        with source.reading(described) as reading:
            assert reading.page(None, 5).height == 1


def test_the_clock_is_the_servers(opened, mssql):
    """A primary's clock is its own now."""
    mssql.execute("CREATE TABLE bets (id int)")
    source = opened()
    with source.reading(source.describe(BETS)) as reading:
        here = dt.datetime.now(dt.UTC).timestamp() * 1000
        assert abs(reading.clock_ms - here) < 60_000


def test_a_secondarys_clock_is_its_last_commit(opened, emulated):
    """A readable secondary knows everything up to the last commit it has replayed, and its clock stands still with it."""
    emulated.execute(
        "CREATE TABLE bets (id int)",
        "UPDATE emulator.properties SET value = 'READ_ONLY' WHERE name = 'Updateability'",
        "INSERT INTO sys.dm_hadr_database_replica_states VALUES (5, CAST(1 AS bit), CAST(0 AS bit), CAST('2024-03-01 10:00:00.007' AS datetime))",
        "GRANT VIEW SERVER STATE TO reader",
    )
    source = opened()
    described = source.describe(BETS)
    clocks = []
    for _ in range(2):
        with source.reading(described) as reading:
            clocks.append(reading.clock_ms)
    last = int(dt.datetime(2024, 3, 1, 10, tzinfo=dt.UTC).timestamp() * 1000)
    assert clocks[0] == clocks[1]
    assert last <= clocks[0] <= last + 7
    facts = source.facts()
    assert facts.role == "physical standby"
    assert facts.replay_lag_ms > 0
    assert facts.warnings == ()


def test_a_secondary_that_hides_its_lag_is_told(opened, emulated):
    """Without the right to see it: role unknown, and what to grant."""
    emulated.execute("UPDATE emulator.properties SET value = 'READ_ONLY' WHERE name = 'Updateability'")
    facts = opened().facts()
    assert facts.role == "unknown"
    assert facts.replay_lag_ms is None
    assert "GRANT VIEW SERVER STATE" in facts.warnings[0]


@pytest.mark.parametrize(
    ("change", "role"),
    [
        ("CREATE TABLE MSreplication_subscriptions (publisher nvarchar(9))", "logical replica"),
        ("UPDATE emulator.properties SET value = '1' WHERE name = 'IsInStandBy'", "physical standby"),
    ],
)
def test_copies_are_told_from_primaries(opened, emulated, change, role):
    """A subscriber of a publication, and a standby that logs are restored to, are what they are."""
    emulated.execute(change)
    assert opened().facts().role == role


def test_azure_is_called_by_its_name(opened, emulated):
    """The version says which of Microsoft's services it is."""
    emulated.execute("UPDATE emulator.properties SET value = '5' WHERE name = 'EngineEdition'")
    assert "Azure SQL Database" in opened().facts().version


def test_plans_look_through_views_and_joins(opened, mssql):
    """The advice names the base table and its own column, whatever the view calls it; a computed cursor is told."""
    mssql.execute(
        "CREATE TABLE [Users] (uid bigint, touched datetime2(7))",
        "CREATE TABLE wallet (uid bigint, balance decimal(9,2))",
        "CREATE VIEW users_seen AS SELECT u.uid AS user_ext_id, u.touched AS dt_update, w.balance AS balance FROM [Users] AS u LEFT JOIN wallet AS w ON w.uid = u.uid",
        "INSERT INTO [Users] VALUES (1, CAST('2024-01-01' AS datetime2(7)))",
    )
    source = opened()
    described = source.describe(Relation("users", "dt_update", ("user_ext_id",), relation="users_seen"))
    plan = source.plan(described, None, 10)
    assert plan.uses_index is False
    assert "Sort" in plan.text
    assert (
        plan.advice == "CREATE INDEX [Users_touched] ON [dbo].[Users] ([touched]);" or "[touched], [uid]" in plan.advice
    )
    mssql.execute(plan.advice)
    assert source.plan(described, None, 10).uses_index is True
    computed = Relation("v", "later", (), query="SELECT uid, uid + 1 AS later FROM [Users]")
    plan = source.plan(source.describe(computed), None, 10)
    assert plan.uses_index is False
    assert "stored column" in plan.advice


def test_without_showplan_indexes_tell(opened, mssql):
    """A user who may not see plans learns from the list of indexes, and which right is missing."""
    mssql.execute("CREATE TABLE bets (at datetime2(7), id bigint)", "REVOKE SHOWPLAN FROM reader")
    mssql.execute("CREATE VIEW seen AS SELECT at AS moment, id FROM bets")
    source = opened()
    described = source.describe(Relation("v", "moment", ("id",), relation="seen"))
    plan = source.plan(described, None, 10)
    assert plan.uses_index is False
    assert "GRANT SHOWPLAN" in plan.text
    mssql.execute(plan.advice)
    assert source.plan(described, None, 10).uses_index is True
    computed = source.describe(Relation("v", "later", ("id",), query="SELECT id + 1 AS later, id FROM bets"))
    assert source.plan(computed, None, 10).uses_index is None
