"""What Snowflake promises beyond the contract: types, names, logins, failures, and what an idle poll costs."""

# ruff: noqa: DTZ001  - wall clocks without a zone are what is tested
from __future__ import annotations

import base64
import datetime as dt
import json
import re

import pytest
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import padding, rsa
from snowflake.connector import errors

import engines
from smartico_sync.core.position import Position
from smartico_sync.core.relation import Column, Relation
from smartico_sync.errors import ConfigError, SourceCancelled, SourceError, SourceRefused, SourceUnreachable, ViewBroken
from smartico_sync.sources.snowflake.failures import connecting, failure
from smartico_sync.sources.snowflake.plan import judge
from sources.reading import page
from stand_ins.process import StandIn
from waiting import now_ms

BETS = Relation("bets", "id", ("id",), relation="bets")
pytestmark = pytest.mark.slow


@pytest.fixture
def on_snowflake(request):
    yield from engines.serve("snowflake", request)


@pytest.fixture
def account(snowflake_server):
    """The stand-in, whose answers to strange questions are tested."""
    if not snowflake_server.port:
        pytest.skip("only the stand-in tells what it was told")
    return snowflake_server


def selected(expression):
    return Relation("v", "id", (), query=f"SELECT 1 AS id, {expression}")


def test_every_type_arrives_without_loss(on_snowflake):
    """Types that frames know arrive as such, all others as the text Snowflake prints."""
    values = {
        "12345678901234567890123456789012345678::NUMBER(38,0)": "12345678901234567890123456789012345678",
        "9223372036854775807::NUMBER(38,0)": 2**63 - 1,
        "7::NUMBER(3,0)": 7,
        "'0.10'::NUMBER(10,2)": "0.10",
        "'1234567890123456789012345678.0123456789'::NUMBER(38,10)": "1234567890123456789012345678.0123456789",
        "0.1::FLOAT": 0.1,
        "TRUE": True,
        "'2024-02-29'::DATE": dt.date(2024, 2, 29),
        "'9999-12-31 23:59:59.999999'::TIMESTAMP_NTZ(6)": dt.datetime(9999, 12, 31, 23, 59, 59, 999999),
        "'2024-02-29 10:00:00.123456789'::TIMESTAMP_NTZ(9)": dt.datetime(2024, 2, 29, 10, 0, 0, 123456),
        "'2024-02-29 10:00:00.5 +02:00'::TIMESTAMP_TZ": dt.datetime(2024, 2, 29, 8, 0, 0, 500000, dt.UTC),
        "TO_BINARY('DEADBEEF', 'HEX')": b"\xde\xad\xbe\xef",
        "PARSE_JSON('{\"a\": [1, null]}')": '{"a":[1,null]}',
        "'a\\\\b''c%'": "a\\b'c%",
        "NULL::VARIANT": None,
        "''": "",
    }
    listed = ", ".join(f"{expression} AS v{number}" for number, expression in enumerate(values))
    row = page(on_snowflake.source(), selected(listed)).row(0, named=True)
    for number, (expression, value) in enumerate(values.items()):
        assert row[f"v{number}"] == value, expression
    assert re.match(r"10:11:12\.50*$", page(on_snowflake.source(), selected("'10:11:12.5'::TIME AS v"))["v"][0])


def test_nine_digits_stay_apart(on_snowflake, walk):
    """Cursors a nanosecond apart are walked one by one, found again, and bounded, though frames hold microseconds."""
    texts = [f"2024-03-01 10:00:00.00000000{digit}" for digit in range(1, 8)]
    on_snowflake.execute("CREATE TABLE bets (id NUMBER(38,0), moment TIMESTAMP_NTZ(9))")
    on_snowflake.insert("bets", [(number, text) for number, text in enumerate(texts)])
    source = on_snowflake.source()
    described = source.describe(Relation("bets", "moment", ("id",), relation="bets"))
    pages = walk(source, described, 2)
    assert [text for found in pages for text in found["@cursor"]] == texts
    with source.reading(described) as reading:
        assert reading.head() == texts[-1]
        assert reading.rows([Position(texts[3], ("3",)), Position(texts[3], ("4",))])["id"].to_list() == [3]
        assert reading.by_cursor([texts[2]])["id"].to_list() == [2]
        assert reading.count(texts[1], texts[4], "below") == 3


def test_local_timestamps_become_utc(on_snowflake):
    """`timezone:` tells what wall clocks mean, and says nothing about times that carry a zone."""
    query = (
        "SELECT 1 AS id, '2024-07-01 12:00'::TIMESTAMP_NTZ AS wall, '2024-07-01 12:00 +00:00'::TIMESTAMP_TZ AS moment"
    )
    row = page(on_snowflake.source(), Relation("v", "id", (), query=query, timezone="Europe/Malta")).row(0, named=True)
    assert row["wall"] == dt.datetime(2024, 7, 1, 10)
    assert row["moment"] == dt.datetime(2024, 7, 1, 12, tzinfo=dt.UTC)


def test_names_are_called_in_small_letters_and_found_however_they_are_stored(on_snowflake):
    """What nobody quoted is called in small letters; small letters and mixed ones that somebody quoted are found too."""
    on_snowflake.execute(
        'CREATE TABLE deposits (id NUMBER(38,0), "quoted" NUMBER(38,0), "Mixed" VARCHAR)',
        "INSERT INTO deposits VALUES (1, 2, 'x')",
    )
    source = on_snowflake.source()
    described = source.describe(Relation("v", "quoted", ("id", "Mixed"), relation="deposits"))
    assert [column.name for column in described.columns] == ["id", "quoted", "Mixed"]
    with source.reading(described) as reading:
        found = reading.page(Position("1", ("0", "")), 5)
        assert found.row(0) == (1, 2, "x", "2", "1", "x")
        assert reading.by_key([("1", "x")]).height == 1
    assert any(name.endswith(".deposits") for name in source.relations())


def test_a_page_takes_its_order_from_the_column_not_from_an_alias(on_snowflake, walk):
    """A view's column of the same name as another's expression does not confuse cursor and key."""
    on_snowflake.execute("CREATE TABLE raw (id NUMBER(38,0), seq NUMBER(38,0))")
    on_snowflake.insert("raw", [(number, 9 - number) for number in range(9)])
    on_snowflake.execute("CREATE VIEW bets AS SELECT seq AS id, id AS seq FROM raw")
    source = on_snowflake.source()
    pages = walk(source, source.describe(Relation("bets", "seq", ("id",), relation="bets")), 4)
    assert [value for found in pages for value in found["seq"]] == list(range(9))


def test_an_idle_poll_is_one_statement_and_repeats_itself_to_the_letter(on_snowflake, account):
    """The result cache answers an unchanged text over unchanged tables: no clock, no session value may be in it."""
    on_snowflake.execute("CREATE TABLE bets (id NUMBER(38,0))", "INSERT INTO bets VALUES (1)")
    source = on_snowflake.source()
    described = source.describe(BETS)
    for _ in range(3):
        begun = now_ms()
        with source.reading(described) as reading:
            assert begun - 5_000 <= reading.clock_ms <= now_ms() + 5_000
            assert reading.page(Position("1", ("1",)), 100).height == 0
    asked = account.told()["statements"]
    first, second, third = asked[-3:]
    assert first == second == third
    assert first.startswith("/* smartico-sync view=bets */ SELECT")
    assert sum("CURRENT_TIMESTAMP" in text for text in asked) >= 1
    assert "CURRENT" not in first


def test_the_session_is_what_the_reading_relies_on(on_snowflake, account, configured):
    """Zone, formats and limits are set by us, whatever the account's defaults; warehouse, role and tag are the operator's."""
    source = configured(account.text(role="R", warehouse="W", query_tag="smartico prod"), statement_timeout="7s")
    source.facts()
    login = account.told()["login"]
    parameters = login["SESSION_PARAMETERS"]
    assert (login["warehouse"], login["roleName"], login["databaseName"]) == ("W", "R", "SYNC")
    assert {
        "TIMEZONE": "UTC",
        "QUERY_TAG": "smartico prod",
        "TIMESTAMP_INPUT_FORMAT": "AUTO",
    }.items() <= parameters.items()
    assert str(parameters["STATEMENT_TIMEOUT_IN_SECONDS"]) == "7"
    assert str(parameters["STATEMENT_QUEUED_TIMEOUT_IN_SECONDS"]) == "7"
    assert str(parameters["MULTI_STATEMENT_COUNT"]) == "1"
    assert str(parameters["ROWS_PER_RESULTSET"]) == "0"
    assert login["CLIENT_ENVIRONMENT"]["APPLICATION"] == "smartico_sync"
    assert not login["CLIENT_ENVIRONMENT"].get("PLATFORM"), "the driver asks no metadata service where it runs"


@pytest.fixture
def key(tmp_path):
    """A private key with a passphrase, in files."""
    private = rsa.generate_private_key(65_537, 2048)
    (tmp_path / "rsa.p8").write_bytes(
        private.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.BestAvailableEncryption(b"s3cret"),
        )
    )
    (tmp_path / "passphrase").write_text("s3cret\n")
    return private, tmp_path


def test_a_key_pair_logs_in_without_a_password(account, configured, key):
    """The token is signed with the key; neither the key nor its passphrase travels or is told."""
    private, path = key
    options = {"private_key_file": str(path / "rsa.p8"), "private_key_passphrase_file": str(path / "passphrase")}
    url = account.text().replace(account.text().split("//")[1].split("@")[0], "reader")
    configured(url, options=options).facts()
    login = account.told()["login"]
    assert (login["AUTHENTICATOR"], login.get("PASSWORD")) == ("SNOWFLAKE_JWT", None)
    signed, _, signature = login["TOKEN"].rpartition(".")
    private.public_key().verify(
        base64.urlsafe_b64decode(signature + "=="), signed.encode(), padding.PKCS1v15(), hashes.SHA256()
    )
    assert "s3cret" not in json.dumps(login)


def test_a_wrong_passphrase_is_refused_and_a_missing_file_is_a_configuration_error(account, configured, key):
    """What cannot work is told with the way to mend it, and without any secret."""
    _, path = key
    (path / "passphrase").write_text("wr0ng")
    options = {"private_key_file": str(path / "rsa.p8"), "private_key_passphrase_file": str(path / "passphrase")}
    with pytest.raises(SourceRefused, match="private key cannot be read") as refused:
        configured(account.text(), options=options).facts()
    assert "wr0ng" not in refused.value.message + refused.value.hint
    assert "passphrase_file" in refused.value.hint
    with pytest.raises(ConfigError, match="No such file"):
        configured(account.text(), options={"private_key_file": str(path / "nowhere.p8")})


def test_a_token_file_logs_in(account, configured, tmp_path):
    """A programmatic access token needs no password."""
    (tmp_path / "token").write_text("t0ken")
    configured(account.text(token_file=tmp_path / "token")).facts()
    login = account.told()["login"]
    assert (login["AUTHENTICATOR"], login["TOKEN"]) == ("PROGRAMMATIC_ACCESS_TOKEN", "t0ken")


@pytest.mark.parametrize(
    ("user", "password", "words"), [("reader", "wrong", "password"), ("nobody", "s3cret", "RSA_PUBLIC_KEY")]
)
def test_a_refused_login_says_what_to_check(account, configured, user, password, words):
    """SourceRefused, with the account's own words for it and no secret."""
    with pytest.raises(SourceRefused, match=words) as refused:
        configured(account.text(user=user, password=password)).facts()
    assert password not in refused.value.message.replace("clock is wrong", "")


@pytest.mark.parametrize(
    ("url", "words"),
    [
        ("snowflake://u:p@account/D/S?warehous=W", "warehous"),
        ("snowflake://u:p@account/D/S?port=x", "port is not a number"),
        ("snowflake:///D/S", "names no account"),
    ],
)
def test_a_url_that_cannot_work_is_a_configuration_error(configured, url, words):
    """Told before the first poll; unknown parameters with those that are known."""
    with pytest.raises(ConfigError, match=words) as wrong:
        configured(url)
    assert words != "warehous" or "warehouse" in wrong.value.hint


def test_what_the_driver_cannot_use_is_a_configuration_error(account, configured):
    """The driver's own checks are told by the parameter's name."""
    with pytest.raises(ConfigError, match="authenticator"):
        configured(account.text(authenticator="nonsense")).facts()


def test_nobody_there_is_unreachable(configured):
    """A port where nobody listens, and a name that nobody has."""
    with pytest.raises(SourceUnreachable, match="nobody answers"):
        configured("snowflake://u:p@account/D?host=127.0.0.1&port=1&protocol=http").facts()
    with pytest.raises(SourceUnreachable, match="no such account"):
        configured("snowflake://u:p@account/D?host=account.invalid").facts()


def test_a_server_that_restarts_is_found_again(account, configured, proxied, private_snowflake):
    """Sessions do not outlive a restart; the next question opens a new one."""
    proxy = proxied(private_snowflake[0].told["port"])
    source = configured(account.text(port=proxy.port))
    assert source.facts().version
    private_snowflake[0].stop()
    with pytest.raises(SourceError):
        source.facts()
    private_snowflake[0] = StandIn.start("snowflake")
    proxy.target = private_snowflake[0].told["port"]
    for _ in range(2):
        try:
            assert source.facts().version
            break
        except SourceError:
            continue
    assert source.facts().version


def test_a_view_that_fails_for_a_row_shows_no_value(on_snowflake):
    """The server's message quotes the value that failed; ours does not."""
    on_snowflake.execute(
        "CREATE TABLE raw (id VARCHAR)",
        "INSERT INTO raw VALUES ('secret-mail')",
        "CREATE VIEW bets AS SELECT CAST(id AS NUMBER(38,0)) AS id FROM raw",
    )
    source = on_snowflake.source()
    described = source.describe(BETS)
    with pytest.raises(ViewBroken, match="some row") as broken, source.reading(described) as reading:
        reading.page(None, 5)
    assert "secret" not in broken.value.message + broken.value.hint


def test_a_column_dropped_later_is_named(on_snowflake):
    """A view that loses a column after describe(): ViewBroken that names it and its neighbours."""
    on_snowflake.execute("CREATE TABLE bets (id NUMBER(38,0), amount NUMBER(38,0), amount_real NUMBER(38,0))")
    source = on_snowflake.source(pool=1)
    described = source.describe(BETS)
    on_snowflake.execute("ALTER TABLE bets DROP COLUMN amount")
    with pytest.raises(ViewBroken, match="'amount'") as broken, source.reading(described) as reading:
        reading.page(None, 5)
    assert "amount_real" in broken.value.hint


@pytest.mark.parametrize(
    "statement",
    [
        "INSERT INTO bets VALUES (2)", "/* SELECT */ DELETE FROM bets", "  /* a */ /* b */\n CREATE TABLE x (id INT)",
        "CALL p()", "SELECTED", "BEGIN", "-- SELECT\nDROP TABLE bets", "",
    ],
)  # fmt: skip
def test_only_questions_leave_the_session(on_snowflake, statement):
    """Snowflake has no read-only session: what is not a question is refused before it is sent."""
    on_snowflake.execute("CREATE TABLE bets (id NUMBER(38,0))", "INSERT INTO bets VALUES (1)")
    source = on_snowflake.source()
    with pytest.raises(SourceRefused, match="only asks"), source.reading(source.describe(BETS)) as reading:
        reading.ask(statement)
    assert on_snowflake.count("bets") == 1


def test_facts_warn_of_rights_and_of_a_warehouse_that_stays_awake(account, configured):
    """What is too wide is named, and what costs without need comes with the statement that mends it."""
    warnings = configured(account.text(role="LOADER")).facts().warnings
    assert "INSERT on D.S.BETS, OWNERSHIP on D.S.BETS" in warnings[0]
    assert "SET AUTO_SUSPEND = 60" in warnings[1]
    assert "ACCOUNTADMIN" in configured(account.text(role="ACCOUNTADMIN")).facts().warnings[0]
    (dear,) = configured(account.text(role="READER")).facts().warnings
    assert "AUTO_SUSPEND" in dear
    assert "names no warehouse" not in dear


@pytest.mark.stand_in("snowflake")
def test_plan_explains_the_poll(on_snowflake):
    """The exact page is explained, bound as it is polled; a table of a few partitions is never a reason to worry."""
    on_snowflake.execute("CREATE TABLE bets (id NUMBER(38,0))", "INSERT INTO bets VALUES (1)")
    source = on_snowflake.source()
    plan = source.plan(source.describe(BETS), None, 10)
    assert (plan.uses_index, plan.advice) == (None, "")
    assert plan.summary.startswith("one poll reads 1 of 1 micro-partitions")
    assert plan.text.startswith(plan.summary)


def explained(assigned, total, expressions=("ID", "DT_UPDATE")):
    scan = {
        "id": 2, "operation": "TableScan", "objects": ["CASINO.CRM.PAYMENT"], "expressions": list(expressions),
        "partitionsAssigned": assigned, "partitionsTotal": total,
    }  # fmt: skip
    totals = {"partitionsTotal": total, "partitionsAssigned": assigned, "bytesAssigned": assigned * 16_000_000}
    return json.dumps({"GlobalStats": totals, "Operations": [[{"id": 0, "operation": "Result"}, scan]]})


@pytest.mark.parametrize(
    ("family", "document", "uses", "advice"),
    [
        ("timestamp", explained(4, 9), None, ""),
        ("timestamp", explained(3, 4000), True, ""),
        ("timestamp", explained(3900, 4000), False, "ALTER TABLE CASINO.CRM.PAYMENT CLUSTER BY (TO_DATE(DT_UPDATE));"),
        ("integer", explained(900, 1000), False, "ALTER TABLE CASINO.CRM.PAYMENT CLUSTER BY (TRUNC(DT_UPDATE, -5));"),
        (
            "date",
            explained(900, 1000, ["ID", "MODIFIED"]),
            False,
            "ALTER TABLE CASINO.CRM.PAYMENT CLUSTER BY (DT_UPDATE); -- or whatever column of it becomes dt_update in the view",
        ),
    ],
)
def test_plan_is_judged_by_what_a_poll_reads(family, document, uses, advice):
    """Partitions assigned of partitions there are; the advice is a statement to paste."""
    relation = Relation("v", "dt_update", ("id",), relation="v", columns=(Column("dt_update", family, family),))
    plan = judge(document, relation)
    assert (plan.uses_index, plan.advice) == (uses, advice)


@pytest.mark.parametrize(
    ("code", "state", "kind", "words"),
    [
        (630, "57014", SourceCancelled, "statement_timeout"),
        (604, "57014", SourceCancelled, "somebody ended"),
        (999, "57014", SourceCancelled, "ended the query"),
        (606, "57P03", SourceRefused, "no warehouse"),
        (3001, "42501", SourceRefused, "permission denied"),
        (90073, "22000", SourceRefused, "resource monitor"),
        (2003, "02000", ViewBroken, "does not exist, or"),
        (904, "42000", ViewBroken, "a column that"),
        (1003, "42000", ViewBroken, "cannot compile"),
        (100038, "22018", ViewBroken, "some row"),
        (100051, "22012", ViewBroken, "some row"),
        (390112, "08001", SourceUnreachable, "expired"),
        (390189, "08001", SourceRefused, "role"),
        (300002, "", SourceError, "server failed"),
    ],
)
def test_failures_are_told_as_ours(code, state, kind, words):
    """Each by what the daemon does about it, with a hint, and never in the server's own words, which may hold values."""
    error = errors.ProgrammingError("Numeric value 's3cret' is not recognized", errno=code, sqlstate=state)
    told_as = failure(error, "source replica", "view bets")
    assert type(told_as) is kind
    assert words in told_as.message
    assert told_as.hint
    assert "s3cret" not in told_as.message + told_as.hint


def test_an_unknown_column_is_named():
    """The server's words for it hold a name and no value."""
    error = errors.ProgrammingError("error line 1 at position 7\ninvalid identifier 'Q.DT_UPDATED'", 904, "42000")
    assert "Q.DT_UPDATED" in failure(error, "source replica", "view bets").message


@pytest.mark.parametrize(
    ("message", "kind", "words"),
    [
        ("Failed to login: operation timed out", SourceUnreachable, "in time"),
        ("Failed to login: invalid peer certificate: UnknownIssuer", SourceUnreachable, "TLS"),
        ("Failed to login: responded with error status: 403 Forbidden", SourceUnreachable, "no such account"),
        ("Failed to login: Authentication failed. Unspecified", SourceRefused, "private key"),
    ],
)
def test_logins_that_fail_without_a_code(message, kind, words):
    """The driver tells these by words only."""
    told_as = connecting(errors.DatabaseError(message, errno=250001, sqlstate="08001"), "source replica")
    assert type(told_as) is kind
    assert words in told_as.message
