"""What Redshift promises beyond the contract: its casts, its driver's traps, its failures, a bad network, AWS's logins.

The driver and the wire are real; the server is PostgreSQL behind a gate, so what only Redshift says is tested as text.
"""

# ruff: noqa: DTZ001  - wall clocks without a zone are what is tested
from __future__ import annotations

import datetime as dt
import threading
import time

import polars as pl
import pytest
import redshift_connector

from servers.certificates import Authority
from servers.postgresql import PASSWORD
from servers.redshift import Gate
from smartico_sync.config.models import SourceConfig
from smartico_sync.core.position import Position
from smartico_sync.core.relation import Column, Relation
from smartico_sync.errors import ConfigError, SourceCancelled, SourceError, SourceRefused, SourceUnreachable, ViewBroken
from smartico_sync.sources.kit.frames import decoded
from smartico_sync.sources.kit.url import parse
from smartico_sync.sources.redshift.failures import failure
from smartico_sync.sources.redshift.login import Login
from smartico_sync.sources.redshift.plan import Scan, scans, sorted_by
from smartico_sync.sources.redshift.types import REDSHIFT, column_of
from smartico_sync.sources.registry import open_source
from smartico_sync.sources.sql import statements as sql

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


def one(source, expression, relation=None):
    """The value of an expression as a page carries it, and the page."""
    described = source.describe(relation or Relation("v", "id", (), query=f"SELECT 1 AS id, {expression} AS value"))
    with source.reading(described) as reading:
        page = reading.page(None, 10)
    return page["value"].to_list()[0], page


@pytest.mark.parametrize(
    ("expression", "value"),
    [
        ("12345678901234567890123456789012345678::numeric(38,0)", "12345678901234567890123456789012345678"),
        ("0.10::numeric(10,2)", "0.10"),
        ("9223372036854775807::bigint", 2**63 - 1),
        ("1::smallint", 1),
        ("0.1::real", 0.1),
        ("0.1::float8", 0.1),
        ("true", True),
        ("'EUR'::char(5)", "EUR"),
        ("'2024-02-29'::date", dt.date(2024, 2, 29)),
        ("'2024-02-29 10:00:00.123456'::timestamp", dt.datetime(2024, 2, 29, 10, 0, 0, 123456)),
        ("'2024-02-29 10:00:00.5+02'::timestamptz", dt.datetime(2024, 2, 29, 8, 0, 0, 500000, dt.UTC)),
        ("'10:11:12.5'::time", "10:11:12.5"),
        ("'a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11'::uuid", "a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11"),
        ("''::varchar", ""),
        ("NULL::int", None),
    ],
)
def test_every_type_arrives_without_loss(redshift, configured, expression, value):
    """Types that frames know arrive as such, all others as the text Redshift prints."""
    assert one(configured(redshift.url), expression)[0] == value


def described(number, modifier=-1):
    return {"label": b"c", "type_oid": number, "type_modifier": modifier}


@pytest.mark.parametrize(
    ("field", "kind", "family", "cast"),
    [
        (described(1700, 4 + (18 << 16) + 2), "numeric(38,2)", "decimal", "CAST(:p AS numeric(38,2))"),
        (described(1700), "numeric(38,19)", "decimal", "CAST(:p AS numeric(38,19))"),
        (described(1043), "varchar(65535)", "text", "CAST(:p AS varchar(65535))"),
        (described(1042), "char(4096)", "text", "CAST(:p AS char(4096))"),
        (described(20), "bigint", "integer", "CAST(:p AS bigint)"),
        (described(1114), "timestamp", "timestamp", "CAST(:p AS timestamp)"),
        (described(1184), "timestamptz", "instant", "CAST(:p AS timestamptz)"),
        (described(4000), "super", "json", "CAST(:p AS super)"),
        (described(6551), "varbyte", "binary", "from_hex(:p)"),
        (described(3000), "geometry", "other", "CAST(:p AS geometry)"),
        (described(2950), "type 2950", "other", ":p"),
    ],
)
def test_casts_say_how_long(field, kind, family, cast):
    """A cast without a length would cut text to 256 bytes and round numbers to whole ones."""
    column = column_of(field)
    assert column == Column("c", kind, family)
    assert str(REDSHIFT.bind(column, "p").compile(dialect=REDSHIFT.dialect)) == cast


def test_row_values_are_never_compared():
    """Redshift comes from a PostgreSQL that compared them column by column, so pages use the longer form."""
    columns = (Column("dt", "timestamp", "timestamp"), Column("id", "bigint", "integer"))
    relation = Relation("v", "dt", ("id",), relation="crm.v", columns=columns)
    assert sql.page(REDSHIFT, relation, "after, ties by key", "open").text == (
        '/* smartico-sync view=v */ SELECT "crm"."v"."dt" AS "dt", "crm"."v"."id" AS "id" \nFROM "crm"."v" \n'
        'WHERE "crm"."v"."dt" IS NOT NULL AND "crm"."v"."id" IS NOT NULL AND "crm"."v"."dt" >= CAST(:c AS timestamp)'
        ' AND ("crm"."v"."dt" > CAST(:c AS timestamp)'
        ' OR "crm"."v"."dt" = CAST(:c AS timestamp) AND "crm"."v"."id" > CAST(:k0 AS bigint))'
        ' ORDER BY "crm"."v"."dt", "crm"."v"."id" \n LIMIT :n'
    )


def test_super_and_bytes_are_read_from_their_text():
    """SUPER is JSON text, VARBYTE hexadecimal digits, whatever the driver would make of them."""
    from smartico_sync.sources.kit.frames import from_texts

    columns = [Column("s", "super", "json"), Column("b", "varbyte", "binary")]
    frame = from_texts(columns, [pl.Series(['{"a":[1,null]}', None]), pl.Series(["00ff", None])])
    assert frame.rows() == [('{"a":[1,null]}', b"\x00\xff"), (None, None)]


def test_text_in_a_wrong_encoding_does_no_harm():
    """What is no UTF-8 keeps its readable characters, and its neighbours."""
    assert decoded([b"caf\xe9", None, b"fine"]).to_list() == ["caf\ufffd", None, "fine"]


def test_impossible_values_spoil_only_their_row(redshift, configured):
    """A value no frame can hold is null, `@unreadable` names its column and no value, and its neighbours are fine."""
    redshift.execute(
        "CREATE TABLE bets (id int, value timestamp)", "INSERT INTO bets VALUES (1, '2024-01-01'), (2, '0044-03-15 BC'), (3, NULL)"
    )  # fmt: skip
    _, page = one(configured(redshift.url), "", BETS)
    assert page["value"].is_null().to_list() == [False, True, True]
    assert page["@unreadable"].is_null().to_list() == [True, False, True]


def test_local_timestamps_become_utc(redshift, configured):
    """`timezone:` tells what wall-clock columns mean; the session's own zone never matters."""
    query = "SELECT 1 AS id, timestamp '2024-07-01 12:00' AS value, timestamptz '2024-07-01 12:00+00' AS moment"
    relation = Relation("v", "id", (), query=query, timezone="Europe/Malta")
    value, page = one(configured(redshift.url), "", relation)
    assert value == dt.datetime(2024, 7, 1, 10)
    assert page["moment"][0] == dt.datetime(2024, 7, 1, 12, tzinfo=dt.UTC)


def test_a_session_says_who_it_is_and_what_it_wants(redshift, configured):
    """application_name, zone and timeout of each session; query_group and case_sensitive where the URL asks for them."""
    redshift.execute("CREATE TABLE bets (id int)")
    with pytest.raises(SourceError):  # PostgreSQL knows no such setting: it was asked for
        configured(redshift.url + "&case_sensitive=on").facts()
    source = configured(redshift.url, statement_timeout=12_000)
    query = "SELECT 1 AS id, current_setting('statement_timeout') || current_setting('TimeZone') AS value"
    assert one(source, "", Relation("v", "id", (), query=query))[0] == "12sUTC"
    names = redshift.execute("SELECT application_name FROM pg_stat_activity WHERE datname = current_database()")
    assert ("smartico-sync",) in names


def test_an_idle_poll_prepares_nothing_anew(redshift, configured):
    """Statements are prepared once a session; a hundred polls later there are as many as after the first."""
    redshift.execute("CREATE TABLE bets (id int)")
    source = configured(redshift.url, pool=1)
    described_bets = source.describe(BETS)
    counted = source.describe(Relation("v", "n", (), query="SELECT count(*) AS n FROM pg_prepared_statements"))
    numbers = []
    for _ in range(6):
        with source.reading(described_bets) as reading:
            reading.page(Position("7", ("7",)), 100)
        with source.reading(counted) as reading:
            numbers.append(reading.page(None, 2)["n"][0])
    assert len(set(numbers[1:])) == 1


def test_a_failure_leaves_the_session_in_its_place(redshift, configured):
    """After ROLLBACK the driver throws away what it has prepared; it must not lose its place in the stream by that."""
    redshift.execute("CREATE TABLE bets (id int)", "INSERT INTO bets VALUES (1)")
    source = configured(redshift.url, pool=1)
    described_bets = source.describe(BETS)
    broken = Relation("v", "id", (), query="SELECT 1 / (id - 1) AS id FROM bets", columns=described_bets.columns)
    for _ in range(3):
        with pytest.raises(ViewBroken), source.reading(broken) as reading:
            reading.page(None, 5)
        with source.reading(described_bets) as reading:
            assert reading.page(None, 5)["id"].to_list() == [1]
            assert reading.head() == "1"


def test_a_column_that_changes_its_type_is_tried_again(redshift, configured):
    """What was prepared for the old type cannot run: SourceCancelled once, then it is read anew."""
    redshift.execute("CREATE TABLE bets (id int, value int)", "INSERT INTO bets VALUES (1, 2)")
    source = configured(redshift.url, pool=1)
    described_bets = source.describe(BETS)
    with source.reading(described_bets) as reading:
        reading.page(None, 5)
    redshift.execute("ALTER TABLE bets ALTER COLUMN value TYPE bigint")
    with pytest.raises(SourceCancelled), source.reading(described_bets) as reading:
        reading.page(None, 5)
    with source.reading(described_bets) as reading:
        assert reading.page(None, 5)["value"].to_list() == [2]


def test_a_column_dropped_later_is_named(redshift, configured):
    """A view that loses a column after describe(): ViewBroken that names it."""
    redshift.execute("CREATE TABLE bets (id int, amount int, amount_real int)")
    source = configured(redshift.url)
    found = source.describe(BETS)
    redshift.execute("ALTER TABLE bets DROP COLUMN amount")
    with pytest.raises(ViewBroken, match="'amount'") as broken, source.reading(found) as reading:
        reading.page(None, 5)
    assert "amount_real" in broken.value.hint


def test_a_view_that_fails_for_a_row_shows_no_value(redshift, configured):
    """The server's message quotes the value that failed; ours does not."""
    redshift.execute(
        "CREATE TABLE raw (id text)", "INSERT INTO raw VALUES ('secret-mail')", "CREATE VIEW bets AS SELECT id::int FROM raw"
    )  # fmt: skip
    source = configured(redshift.url)
    found = source.describe(BETS)
    with pytest.raises(ViewBroken) as broken, source.reading(found) as reading:
        reading.page(None, 5)
    assert "secret" not in broken.value.message + broken.value.hint


@pytest.mark.parametrize(
    ("code", "message", "kind"),
    [
        (
            "XX000",
            "1023 DETAIL: Serializable isolation violation on table - 1, transactions: 'secret'",
            SourceCancelled,
        ),
        ("XX000", "Query (12) cancelled by WLM abort action of Query Monitoring Rule 'secret'", SourceCancelled),
        ("57014", "Query (12) cancelled on user's request", SourceCancelled),
        ("XX000", "Disk Full DETAIL: secret", SourceCancelled),
        ("XX000", "permission denied for relation secret", SourceRefused),
        ("42501", "permission denied for relation secret", SourceRefused),
        ("28000", 'password authentication failed for user "secret"', SourceRefused),
        ("57P03", "cluster is starting secret", SourceUnreachable),
        ("XX000", "Invalid digit, Value 's', Pos 0, Type: Integer secret", ViewBroken),
        ("22P02", "invalid input syntax for integer: secret", ViewBroken),
    ],
)
def test_redshifts_own_words_are_understood(code, message, kind):
    """Much is an internal error there: its words decide, and none of them gets through."""
    told = failure({"C": code, "M": message}, "source replica", "view bets")
    assert type(told) is kind
    assert "secret" not in told.message + told.hint
    assert told.hint


def test_no_permission_is_refused(redshift, configured):
    """A view that the user may not read: SourceRefused, and what to grant."""
    redshift.execute(
        "CREATE SCHEMA crm", "CREATE TABLE crm.bets (id int)", "SET password_encryption = md5; CREATE ROLE stranger LOGIN PASSWORD 'p'"
    )  # fmt: skip
    try:
        url = redshift.url.replace(redshift.url.split("//")[1].split("@")[0], "stranger:p")
        source = configured(url)
        with pytest.raises(SourceRefused) as refused:
            source.describe(Relation("bets", "id", ("id",), relation="crm.bets"))
        assert "GRANT SELECT" in refused.value.hint
        assert source.relations() == ()
        source.close()
    finally:
        redshift.execute("DROP ROLE stranger")


def test_a_wrong_password_is_refused_and_not_repeated(redshift, configured):
    """SourceRefused; neither password appears anywhere in the failure or in the source."""
    source = configured(redshift.through(redshift.port, password="wrong-sesame") + "?ssl=off")
    with pytest.raises(SourceRefused) as refused:
        source.facts()
    assert "sesame" not in refused.value.message + refused.value.hint + repr(source.__dict__)


def test_an_unknown_database_is_refused(redshift, configured):
    """A database that does not exist is not worth waiting for."""
    with pytest.raises(SourceRefused):
        configured(redshift.url.replace("?", "_not?")).facts()


def test_a_raw_password_needs_no_encoding(redshift, configured):
    """`${DB_PASSWORD}` may hold `@`, `/`, `:`, `?`, `#` and `%` as they are."""
    source = configured(f"redshift://reader:{PASSWORD}@127.0.0.1:{redshift.port}/{redshift.name}?ssl=off")
    assert source.facts().engine == "redshift"


@pytest.mark.parametrize(
    ("url", "words"),
    [
        ("redshift://r:sesame@h/d?sslmood=1", "sslmood"), ("redshift://r:sesame@h/d?sslmode=require", "require"),
        ("redshift://r:sesame@h:x/d", "not a number"), ("redshift://r:sesame@/d", "no host"),
        ("redshift://r:sesame@h/d?iam=perhaps", "neither on nor off"), ("redshift://r:sesame@h/d?timeout=1", "timeout"),
        ("redshift://r:sesame@h/d?connect_timeout=soon", "not a number"),
    ],
)  # fmt: skip
def test_a_url_that_cannot_work_is_told_at_once(configured, url, words):
    """ConfigError before anything is opened, without the password, with what to write instead."""
    with pytest.raises(ConfigError, match=words) as told:
        configured(url)
    assert "sesame" not in told.value.message + told.value.hint
    assert told.value.hint


def test_aws_logins_reach_the_driver():
    """Everything that the driver knows of IAM passes through, as the types that it wants."""
    url = parse(
        "redshift://@/casino?iam=on&cluster_identifier=main&region=eu-west-1&db_user=reader&db_groups=crm, bi&auto_create=off"
        "&profile=prod"
    )
    told = Login(url, 30.0).arguments(("", 5439))
    assert told == {
        "iam": True, "cluster_identifier": "main", "region": "eu-west-1", "db_user": "reader", "db_groups": ["crm", "bi"],
        "auto_create": False, "profile": "prod", "database": "casino", "port": 5439, "timeout": 10, "sslmode": "verify-full",
        "application_name": "smartico-sync", "tcp_keepalive_idle": 30, "tcp_keepalive_interval": 10, "tcp_keepalive_count": 3,
    }  # fmt: skip
    assert Login(url, 30.0).hosts() == (("", 5439),)


def test_aws_saying_no_is_a_refusal(configured, monkeypatch):
    """Whatever AWS's own library raises while it looks for credentials: SourceRefused, without its words."""
    from botocore.exceptions import ClientError, NoCredentialsError

    causes = [
        NoCredentialsError(),
        ClientError({"Error": {"Code": "AccessDenied", "Message": "secret"}}, "GetClusterCredentials"),
        redshift_connector.error.InterfaceError("Connection parameter db_user must be specified, secret"),
    ]
    source = configured("redshift://@h/d?iam=on&region=eu-west-1")

    def refuse(**_):
        raise causes.pop()

    monkeypatch.setattr(redshift_connector, "connect", refuse)
    while causes:
        with pytest.raises(SourceRefused) as refused:
            source.facts()
        assert "secret" not in refused.value.message + refused.value.hint
        assert "GetClusterCredentials" in refused.value.hint


@pytest.fixture
def secure(redshift, redshift_server, tmp_path):
    """The URL of a gate that offers TLS, and its authority."""
    authority = Authority(tmp_path)
    pair = authority.issue("localhost")
    gate = Gate(redshift_server[0].port, pair.certificate, pair.key)
    yield redshift.through(gate.port, "localhost"), authority
    gate.close()


def test_tls_is_verified_to_the_name(secure, configured, monkeypatch):
    """verify-full unless said otherwise: an unknown authority or another host's certificate is no connection, a known one is."""
    url, authority = secure
    with pytest.raises(SourceUnreachable, match="TLS"):
        configured(url).facts()
    monkeypatch.setenv("SSL_CERT_FILE", str(authority.certificate))
    assert configured(url).facts().version
    other = url.replace("localhost", "127.0.0.1")
    with pytest.raises(SourceUnreachable, match="TLS"):
        configured(other).facts()
    assert configured(other + "?sslmode=verify-ca").facts().version


def test_a_server_without_tls_says_so(redshift, configured):
    """The driver asks for TLS by itself; a server that has none is told."""
    with pytest.raises(SourceUnreachable, match="no TLS"):
        configured(redshift.through(redshift.port)).facts()


def test_nobody_listens(configured, proxied):
    """A refused connection, an unknown host: SourceUnreachable at once; the next host is taken."""
    proxy = proxied(1)
    proxy.refuse()
    with pytest.raises(SourceUnreachable, match="nobody answers"):
        configured(f"redshift://r:x@127.0.0.1:{proxy.port}/d?ssl=off").facts()
    with pytest.raises(SourceUnreachable, match="host name is unknown"):
        configured("redshift://r:x@nowhere.invalid/d?ssl=off").facts()


def test_the_next_host_is_taken(redshift, configured):
    """A dead or unknown host costs a moment and nothing else."""
    source = configured(redshift.url.replace("@127.0.0.1", "@nowhere.invalid,127.0.0.1:1,127.0.0.1"))
    assert source.facts().version


@pytest.fixture
def through_proxy(redshift, configured, proxied):
    """A described source behind a network that may misbehave; 20,000 rows of 200 bytes."""
    redshift.execute("CREATE TABLE bets AS SELECT i AS id, repeat('x', 200) AS note FROM generate_series(1, 20000) i")
    proxy = proxied(redshift.port)
    source = configured(redshift.through(proxy.port) + "?ssl=off", statement_timeout=300)
    return source, source.describe(BETS), proxy


def test_a_black_hole_is_noticed(through_proxy):
    """A network that swallows everything: SourceUnreachable within the client's own timeout; mended, the next reading works."""
    source, found, proxy = through_proxy
    with pytest.raises(SourceUnreachable, match="no answer"), source.reading(found) as reading:  # noqa: PT012  - it works, then it fails
        reading.page(None, 5)
        proxy.black_hole()
        reading.page(None, 5)
    proxy.mend()
    proxy.drop()
    with source.reading(found) as reading:
        assert reading.page(None, 5).height == 5


def test_a_silent_gate_is_given_up(redshift, configured, proxied):
    """A server that takes the connection and says nothing: SourceUnreachable after connect_timeout."""
    proxy = proxied(redshift.port)
    proxy.black_hole()
    began = time.monotonic()
    with pytest.raises(SourceUnreachable, match="in time"):
        configured(redshift.through(proxy.port) + "?ssl=off&connect_timeout=1").facts()
    assert time.monotonic() - began < 10


def test_a_reset_amid_the_answer_loses_the_page_only(through_proxy):
    """A connection reset half-way through a page: SourceUnreachable, no half page, and the next reading works."""
    source, found, proxy = through_proxy
    proxy.cut_after = 500_000
    with pytest.raises(SourceUnreachable), source.reading(found) as reading:
        reading.page(None, 20_000)
    with source.reading(found) as reading:
        assert reading.page(None, 20_000).height == 20_000


def test_a_refusing_network_recovers(through_proxy):
    """Connections lost while idle cost nothing: the next reading opens new ones."""
    source, found, proxy = through_proxy
    proxy.refuse()
    with pytest.raises(SourceUnreachable), source.reading(found) as reading:
        reading.page(None, 5)
    proxy.mend()
    with source.reading(found) as reading:
        assert reading.page(None, 5).height == 5


def test_a_killed_backend_is_transient(redshift, configured):
    """pg_terminate_backend: a transient failure, and the next reading works."""
    redshift.execute("CREATE TABLE bets (id int)")
    source = configured(redshift.url)
    found = source.describe(BETS)
    kill = "SELECT pg_terminate_backend(pid, 5000) FROM pg_stat_activity WHERE application_name = 'smartico-sync' AND datname = current_database()"
    with pytest.raises((SourceCancelled, SourceUnreachable)), source.reading(found) as reading:  # noqa: PT012  - it works, then it fails
        reading.page(None, 5)
        redshift.execute(kill)
        reading.page(None, 5)
    with source.reading(found) as reading:
        assert reading.page(None, 5).height == 0
    redshift.execute(kill)
    time.sleep(0.1)  # the farewell is on its way
    with source.reading(found) as reading:
        assert reading.page(None, 5).height == 0


def test_a_slow_query_is_cancelled_by_the_server(redshift, configured):
    """statement_timeout: SourceCancelled, so that a smaller page is tried."""
    source = configured(redshift.url, statement_timeout=100)
    found = source.describe(Relation("v", "id", (), query="SELECT 1 AS id, pg_sleep(20)::text AS slept"))
    with pytest.raises(SourceCancelled), source.reading(found) as reading:
        reading.page(None, 5)


def test_close_ends_what_is_under_way(redshift, configured):
    """close() from another thread ends a waiting read with a SourceError."""
    source = configured(redshift.url)
    found = source.describe(Relation("v", "id", (), query="SELECT 1 AS id, pg_sleep(60)::text AS slept"))
    failures = []

    def read():
        try:
            with source.reading(found) as reading:
                reading.page(None, 5)
        except SourceError as failed:
            failures.append(failed)

    reader = threading.Thread(target=read)
    reader.start()
    asleep = "SELECT count(*) FROM pg_stat_activity WHERE wait_event = 'PgSleep' AND datname = current_database()"
    while redshift.execute(asleep) != [(1,)]:
        time.sleep(0.01)
    source.close()
    reader.join(20)
    assert failures


def test_a_reader_draws_no_warning(redshift, configured):
    """A user that may only SELECT: no warnings; and the fence is said to be impossible."""
    redshift.execute("CREATE TABLE bets (id int)")
    facts = configured(redshift.url).facts()
    assert facts.warnings == ()
    assert facts.fence
    assert facts.replay_lag_ms is None


def test_a_writer_is_told(redshift, configured):
    """Rights to change tables are counted."""
    redshift.execute("CREATE TABLE bets (id int)", "GRANT INSERT ON bets TO reader")
    (warning,) = configured(redshift.url).facts().warnings
    assert "1 tables" in warning


REDSHIFTS_PLAN = """XN Limit  (cost=1000000000000.02..1000000000000.03 rows=1000 width=24)
  ->  XN Merge  (cost=1000000000000.02..1000000000000.03 rows=1 width=24)
        Merge Key: t.finalized_at, t.id
        ->  XN Network  (cost=1000000000000.02..1000000000000.03 rows=1 width=24)
              Send to leader
              ->  XN Sort  (cost=1000000000000.02..1000000000000.03 rows=1 width=24)
                    Sort Key: t.finalized_at, t.id
                    ->  XN Hash Join DS_DIST_NONE  (cost=0.00..0.02 rows=1 width=24)
                          ->  XN Seq Scan on payment t  (cost=0.00..0.01 rows=1 width=24)
                                Filter: (finalized_at >= '2024-01-01 00:00:00'::timestamp without time zone)
                          ->  XN Seq Scan on "Brands"  (cost=0.00..0.01 rows=1 width=4)"""


def test_redshifts_plans_are_read():
    """Tables with their aliases, and the columns of the sort, up to the first that is computed."""
    assert scans(REDSHIFTS_PLAN) == [Scan("Seq Scan", "payment", "t"), Scan("Seq Scan", "Brands", "Brands")]
    assert sorted_by(REDSHIFTS_PLAN) == [("t", "finalized_at"), ("t", "id")]
    assert sorted_by("Sort Key: dt, date_trunc('day'::text, dt), id") == [("", "dt")]
    assert scans("->  XN S3 Query Scan sales  (cost=3010.00..5010.50 rows=200000 width=31)") == [
        Scan("S3 Query Scan", "sales", "sales")
    ]


def test_plans_look_through_views_and_joins(redshift, configured):
    """The advice names the base table and its own column, whatever the view calls it; a computed cursor is told."""
    redshift.execute(
        'CREATE TABLE "Users" (uid bigint, touched timestamptz)',
        "CREATE TABLE wallet (uid bigint, balance numeric)",
        'CREATE VIEW users AS SELECT u.uid AS user_ext_id, u.touched AS dt_update, w.balance FROM "Users" u LEFT JOIN wallet w USING (uid)',
        'INSERT INTO "Users" SELECT i, now() FROM generate_series(1, 100) i',
    )
    source = configured(redshift.url)
    found = source.describe(Relation("users", "dt_update", ("user_ext_id",), relation="users"))
    plan = source.plan(found, None, 10)
    assert plan.uses_index is False
    assert plan.advice == 'ALTER TABLE public."Users" ALTER COMPOUND SORTKEY (touched, uid);'
    redshift.execute(plan.advice)
    assert source.plan(found, None, 10).uses_index is True
    computed = source.describe(
        Relation("v", "day", (), query="SELECT date_trunc('day', touched) AS day, uid FROM \"Users\"")
    )
    plan = source.plan(computed, None, 10)
    assert plan.uses_index is False
    assert "stored column" in plan.advice


def test_pages_have_the_declared_dtypes_even_when_empty(redshift, configured):
    """An empty page and a full one have one schema."""
    redshift.execute("CREATE TABLE bets (id bigint, at timestamptz, n numeric(18,2), b boolean, f real, d date)")
    source = configured(redshift.url)
    found = source.describe(BETS)
    with source.reading(found) as reading:
        empty = reading.page(None, 5)
    redshift.execute("INSERT INTO bets VALUES (1, now(), 1, true, 1, now())")
    with source.reading(found) as reading:
        assert reading.page(None, 5).schema == empty.schema
