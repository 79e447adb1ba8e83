"""What BigQuery promises beyond the contract: types, both ways of Arrow, what a query may cost, failures, a bad network."""

# ruff: noqa: DTZ001  - wall clocks without a zone are what is tested
from __future__ import annotations

import concurrent.futures
import datetime as dt
import json
import threading
import time
from types import SimpleNamespace

import google.auth
import pytest
import requests.exceptions
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa
from google.api_core import exceptions
from google.auth import exceptions as auth
from google.cloud.bigquery import SchemaField

import engines
from servers.emulator import Emulator
from smartico_sync.config.models import SourceConfig
from smartico_sync.core.position import Position
from smartico_sync.core.relation import Column, Relation
from smartico_sync.errors import ConfigError, SourceCancelled, SourceError, SourceRefused, SourceUnreachable, ViewBroken
from smartico_sync.sources.bigquery.failures import failure
from smartico_sync.sources.bigquery.login import SCOPES, Login
from smartico_sync.sources.bigquery.plan import judge
from smartico_sync.sources.bigquery.types import BIGQUERY
from smartico_sync.sources.kit.url import parse
from smartico_sync.sources.registry import open_source
from smartico_sync.sources.sql import statements as sql

BETS = Relation("bets", "id", ("id",), relation="bets")
pytestmark = [
    pytest.mark.slow,
    # The client's own way to read through the Storage API; what it shall become one day is another package.
    pytest.mark.filterwarnings("ignore:Retrieving Arrow record batches:PendingDeprecationWarning"),
]


@pytest.fixture
def on_bigquery(request):
    yield from engines.serve("bigquery", request)


@pytest.fixture
def project(bigquery_server):
    """The emulator, whose answers to strange questions are tested."""
    if not bigquery_server.port:
        pytest.skip("only the emulator tells what it was told")
    return bigquery_server


@pytest.fixture
def configured():
    """Open sources that are closed when the test ends."""
    sources = []

    def opened(url, **fields):
        sources.append(open_source("replica", SourceConfig.model_validate({"url": url, **fields})))
        return sources[-1]

    yield opened
    for source in sources:
        source.close()


def queries(project):
    """The texts of the queries that were run, not of those that were only estimated."""
    return [asked["query"] for asked in project.told() if "query" in asked]


def page(source, relation, after=None, limit=10):
    with source.reading(source.describe(relation)) as reading:
        return reading.page(after, limit)


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
    before = len(queries(project))
    assert page(source, BETS, limit=5_000)["id"].to_list() == list(range(1, 1501))
    assert sum("view=bets" in text for text in queries(project)[before:]) == 1, (
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
        "n": ("INT64", "5"),
    }  # fmt: skip


def test_an_idle_poll_is_one_query_and_repeats_itself(on_bigquery, project):
    """Cached results are free, and need the same text and parameters; the clock comes with the answers."""
    on_bigquery.execute("CREATE TABLE bets (id INT64)")
    source = on_bigquery.source()
    described = source.describe(BETS)
    for _ in range(3):
        with source.reading(described) as reading:
            assert abs(reading.clock_ms - time.time() * 1000) < 5_000
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
    """The emulator knows not all of these types, so the text of the query is what is tested."""
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
    last = queries(project)[-1]
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
    assert ("`bets`.`cur` >= @low" in queries(project)[-1]) is (kind == "instant")
    before = len(queries(project))
    with source.reading(described) as reading:
        assert reading.head() == reading.head(head) == head
    asked = queries(project)[before:]
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
    assert sum("bets`.`id` IS NULL" in text for text in queries(project)[-4:]) == 1


@pytest.mark.parametrize(
    ("url", "words"),
    [
        ("bigquery://project/ds?locatoin=EU", "locatoin"),
        ("bigquery:///ds", "names no project"),
        ("bigquery://project/ds?maximum_bytes_billed=5", "maximum_bytes_billed"),
        ("bigquery://project/ds?storage_api=sometimes", "storage_api"),
        ("bigquery://project/ds?host=h&port=x", "port is not a number"),
        ("bigquery://project/ds?credentials_file=/nowhere.json", "No such file"),
    ],
)
def test_a_url_that_cannot_work_is_a_configuration_error(configured, url, words):
    """Told before the first poll, and without asking anybody."""
    with pytest.raises(ConfigError, match=words):
        configured(url)


def test_a_service_accounts_key_is_used_with_a_narrow_scope(tmp_path):
    """credentials_file is read by the driver, asks for BigQuery alone, and what is no such key is told."""
    key = rsa.generate_private_key(65_537, 2048).private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    account = {
        "type": "service_account", "client_email": "reader@casino.iam.gserviceaccount.com", "private_key": key.decode(),
        "token_uri": "https://oauth2.googleapis.com/token", "project_id": "other", "private_key_id": "1",
    }  # fmt: skip
    file = tmp_path / "key.json"
    file.write_text(json.dumps(account))
    login = Login(parse(f"bigquery://casino/crm?credentials_file={file}&quota_project=pays&location=EU"), 1000, 3.0)
    with login.client() as client:
        assert (client.project, client.location) == ("casino", "EU")
        credentials = client._credentials
        assert credentials.service_account_email == account["client_email"]
        assert credentials.quota_project_id == "pays"
        assert tuple(credentials.scopes) == SCOPES
    assert "PRIVATE" not in repr(login)
    for content, words in (("{", "not JSON"), ('{"type": "authorized_user"}', "not the key of a service account")):
        file.write_text(content)
        with pytest.raises(ConfigError, match=words):
            Login(login.url, 1000, 3.0).check()


def test_without_a_key_the_environments_credentials_are_used(configured, monkeypatch):
    """Application Default Credentials; where there are none, the way to name some is told."""

    def none(scopes):
        assert scopes == SCOPES
        raise auth.DefaultCredentialsError("/home/secret-user/.config is empty")

    monkeypatch.setattr(google.auth, "default", none)
    with pytest.raises(ConfigError, match="no credentials") as wrong:
        configured("bigquery://project/ds").facts()
    assert "secret-user" not in wrong.value.message + wrong.value.hint
    assert "credentials_file" in wrong.value.hint


def test_nobody_there_is_unreachable(configured):
    """A port where nobody listens."""
    began = time.monotonic()
    with pytest.raises(SourceUnreachable, match="nobody answers"):
        configured("bigquery://project/ds?host=127.0.0.1&port=1&protocol=http").facts()
    assert time.monotonic() - began < 5, "the client does not try again by itself for minutes"


def test_a_black_hole_is_noticed(on_bigquery, project, configured, proxied):
    """A network that swallows everything ends the question in time, and the next one after it is mended works."""
    on_bigquery.execute("CREATE TABLE bets (id INT64)")
    proxy = proxied(project.port)
    dataset = on_bigquery.url.split("?")[0].rpartition("/")[2]
    source = configured(project.text(dataset, port=proxy.port), statement_timeout="1s")
    described = source.describe(BETS)
    proxy.black_hole()
    began = time.monotonic()
    with pytest.raises(SourceUnreachable, match="in time"), source.reading(described) as reading:
        reading.page(None, 5)
    assert time.monotonic() - began < 8
    proxy.mend()
    with source.reading(described) as reading:
        assert reading.page(None, 5).height == 0


def test_a_server_that_restarts_is_found_again(project, configured, proxied):
    """Connections are made anew when they broke."""
    emulators = [Emulator.start("bigquery")]
    try:
        proxy = proxied(emulators[0].told["port"])
        source = configured(project.text(port=proxy.port))
        assert source.facts().version
        emulators[0].stop()
        with pytest.raises(SourceUnreachable):
            source.facts()
        emulators[0] = Emulator.start("bigquery")
        proxy.target = emulators[0].told["port"]
        assert source.facts().version
    finally:
        emulators[0].stop()


def test_the_server_ends_what_takes_too_long(on_bigquery, project):
    """statement_timeout is the server's own: SourceCancelled, and the source goes on."""
    source = on_bigquery.source(statement_timeout="1s")
    described = source.describe(Relation("slow", "id", (), query="SELECT EMULATED_WAIT(0) AS id"))
    slow = Relation("slow", "id", (), query="SELECT EMULATED_WAIT(20) AS id", columns=described.columns)
    with pytest.raises(SourceCancelled, match="statement_timeout"), source.reading(slow) as reading:
        reading.page(None, 5)
    assert source.facts().version


def test_closing_ends_what_is_under_way(on_bigquery, project):
    """close() does not wait for a query: who waits for it is told at once."""
    source = on_bigquery.source()
    described = source.describe(Relation("slow", "id", (), query="SELECT EMULATED_WAIT(0) AS id"))
    slow = Relation("slow", "id", (), query="SELECT EMULATED_WAIT(8) AS id", columns=described.columns)
    ended = []

    def read():
        with pytest.raises(SourceUnreachable), source.reading(slow) as reading:
            reading.page(None, 5)
        ended.append(time.monotonic())

    reader = threading.Thread(target=read)
    reader.start()
    time.sleep(0.5)
    closed = time.monotonic()
    source.close()
    reader.join(20)
    assert ended[0] - closed < 2


def test_a_view_that_fails_for_a_row_shows_no_value(on_bigquery):
    """BigQuery's message quotes the value that failed; ours does not."""
    on_bigquery.execute("CREATE TABLE raw (id STRING)", "INSERT INTO raw VALUES ('secret-mail')")
    source = on_bigquery.source()
    columns = (Column("id", "INT64", "integer"),)
    relation = Relation("bets", "id", ("id",), query="SELECT CAST(id AS INT64) AS id FROM raw", columns=columns)
    with pytest.raises(ViewBroken, match="cannot be computed") as broken, source.reading(relation) as reading:
        reading.page(None, 5)
    assert "secret" not in broken.value.message + broken.value.hint


def test_a_column_dropped_later_is_named(on_bigquery):
    """A view that loses a column after describe(): ViewBroken that names it and its neighbours, on one connection too."""
    on_bigquery.execute("CREATE TABLE bets (id INT64, amount INT64, amount_real INT64)")
    source = on_bigquery.source(pool=1)
    described = source.describe(BETS)
    on_bigquery.execute("ALTER TABLE bets DROP COLUMN amount")
    with pytest.raises(ViewBroken, match="'amount'") as broken, source.reading(described) as reading:
        reading.page(None, 5)
    assert "amount_real" in broken.value.hint


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


def test_facts_warn_of_the_right_to_write(on_bigquery, project):
    """Permissions beyond reading are named, with the role that is enough."""
    on_bigquery.execute("CREATE TABLE bets (id INT64)")
    (warning,) = on_bigquery.source().facts().warnings
    assert "bigquery.tables.updateData" in warning
    assert "dataViewer" in warning


def test_plan_estimates_the_poll(on_bigquery):
    """The exact page is estimated without running it; a table of a few megabytes is never a reason to worry."""
    on_bigquery.execute("CREATE TABLE bets (id INT64)", "INSERT INTO bets VALUES (1)")
    source = on_bigquery.source()
    plan = source.plan(source.describe(BETS), None, 10)
    assert (plan.uses_index, plan.advice) == (True, "")
    assert plan.summary.startswith("one poll is billed for 10 MB, 3 GB a day at every: 5m")
    assert plan.text.startswith(plan.summary)


COPY, OF_ALL = "CREATE TABLE `casino.crm.payment_partitioned`", "AS SELECT * FROM `casino.crm.payment`;"


def base(name="payment", fields=("id", "at"), partitioned=None, clustered=None, size=10**9):
    return SimpleNamespace(
        project="casino", dataset_id="crm", table_id=name, num_bytes=size, clustering_fields=clustered,
        schema=[SchemaField(field, "INTEGER") for field in fields], range_partitioning=None,
        time_partitioning=partitioned and SimpleNamespace(type_="DAY", field=partitioned),
    )  # fmt: skip


@pytest.mark.parametrize(
    ("family", "poll", "whole", "tables", "uses", "advice"),
    [
        ("instant", 9e6, 9e6, [base()], True, ""),
        ("instant", 3e8, 5e10, [base(partitioned="at")], True, ""),
        ("instant", 5e10, 5e10, [base(partitioned="at", clustered=["id"])], None, ""),
        (
            "instant", 5e10, 5e10, [base()], False,
            f"{COPY} PARTITION BY TIMESTAMP_TRUNC(`at`, DAY) CLUSTER BY `at`, `id` {OF_ALL}",
        ),
        (
            "date", 5e10, 5e10, [base("small", size=1), base()], False,
            f"{COPY} PARTITION BY `at` CLUSTER BY `at`, `id` {OF_ALL}",
        ),
        (
            "timestamp", 5e10, 5e10, [base(fields=["id", "created"])], False,
            "partition crm.payment by the column that becomes at, and let the view pass that column through as it is",
        ),
        (
            "instant", 5e10, 5e10, [base(partitioned="other")], False,
            "partition crm.payment by the column that becomes at, and let the view pass that column through as it is",
        ),
        (
            "integer", 5e10, 5e10, [], False,
            "partition the base table by the column that becomes at, and let the view pass that column through as it is",
        ),
    ],
)  # fmt: skip
def test_plan_is_judged_by_what_a_poll_is_billed_for(family, poll, whole, tables, uses, advice):
    """Bytes of a poll at the head beside those of everything; the advice is a statement to paste where it can be one."""
    relation = Relation("v", "at", ("id",), relation="v", columns=(Column("at", family, family),))
    plan = judge(relation, int(poll), int(whole), tables)
    assert (plan.uses_index, plan.advice) == (uses, advice)


def answered(kind, reason, message="Bad int64 value: s3cret"):
    return kind(message, errors=[{"reason": reason, "message": message}])


@pytest.mark.parametrize(
    ("error", "kind", "words"),
    [
        (answered(exceptions.BadRequest, "invalidQuery"), ViewBroken, "cannot be computed"),
        (
            answered(
                exceptions.BadRequest, "invalidQuery", "Unrecognized name: dt_updated; Did you mean dt_update? at [1:8]"
            ),
            ViewBroken,
            "dt_updated",
        ),
        (
            answered(exceptions.NotFound, "notFound", "Not found: Table p:d.t was not found in location US"),
            ViewBroken,
            "p:d.t",
        ),
        (
            answered(
                exceptions.Forbidden, "accessDenied", "User does not have bigquery.jobs.create permission in project p"
            ),
            SourceRefused,
            "bigquery.jobs.create",
        ),
        (
            answered(exceptions.Forbidden, "accessDenied", "Access Denied: Table s3cret"),
            SourceRefused,
            "permission is denied",
        ),
        (answered(exceptions.Forbidden, "quotaExceeded"), SourceRefused, "quota"),
        (answered(exceptions.Forbidden, "rateLimitExceeded"), SourceUnreachable, "cannot serve us"),
        (answered(exceptions.BadRequest, "resourcesExceeded"), SourceCancelled, "too large"),
        (answered(exceptions.BadRequest, "bytesBilledLimitExceeded"), SourceRefused, "maximum_bytes_billed"),
        (answered(exceptions.ClientError, "stopped"), SourceCancelled, "statement_timeout"),
        (answered(exceptions.ServiceUnavailable, "backendError"), SourceUnreachable, "cannot serve us"),
        (exceptions.Unauthorized("s3cret"), SourceRefused, "credentials are refused"),
        (auth.RefreshError("invalid_grant: s3cret"), SourceRefused, "credentials are refused"),
        (auth.TransportError("s3cret"), SourceUnreachable, "nobody answers"),
        (requests.exceptions.SSLError("s3cret"), SourceUnreachable, "TLS"),
        (requests.exceptions.ReadTimeout("s3cret"), SourceUnreachable, "in time"),
        (requests.exceptions.ConnectionError("Failed to resolve s3cret"), SourceUnreachable, "host name"),
        (concurrent.futures.TimeoutError(), SourceCancelled, "statement_timeout"),
        (exceptions.Conflict("s3cret"), SourceError, "failed"),
    ],
)
def test_failures_are_told_as_ours(error, kind, words):
    """Each by what the daemon does about it, with a hint, and never in the server's own words, which may hold values."""
    told = failure(error, "source replica", "view bets")
    assert type(told) is kind
    assert words in told.message
    assert told.hint
    assert "s3cret" not in told.message + told.hint


def test_a_position_that_is_no_value_is_told(on_bigquery):
    """A watermark of another type, after a key became BYTES, is a failure of ours and not of the driver."""
    on_bigquery.execute("CREATE TABLE bets (id INT64, k BYTES)")
    source = on_bigquery.source()
    described = source.describe(Relation("bets", "id", ("k",), relation="bets"))
    with pytest.raises(SourceError, match="no value of its column"), source.reading(described) as reading:
        reading.page(Position("1", ("zz",)), 5)
