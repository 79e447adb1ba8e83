"""What Oracle promises beyond the contract: its types, its words, its failures, a bad network, standbys.

The driver and its protocol are real; what stands behind the listener is what each test says.
"""

# ruff: noqa: DTZ001  - wall clocks without a zone are what is tested
from __future__ import annotations

import datetime as dt
import ssl
import threading
import time
from decimal import Decimal

import polars as pl
import pytest

from servers.certificates import Authority
from servers.tns import PASSWORD
from servers.tns_values import Answer, Asked, Field
from smartico_sync.config.models import SourceConfig
from smartico_sync.core.position import Position
from smartico_sync.core.relation import Column, Relation
from smartico_sync.errors import (
    ConfigError,
    SourceCancelled,
    SourceError,
    SourceRefused,
    SourceUnreachable,
    ViewBroken,
)
from smartico_sync.sources.kit.abandonable import MOST_ABANDONED
from smartico_sync.sources.oracle.plan import Step, advice, serves
from smartico_sync.sources.oracle.reading import filled
from smartico_sync.sources.oracle.types import ORACLE
from smartico_sync.sources.registry import open_source
from smartico_sync.sources.sql import statements as sql

BETS = Relation("bets", "id", ("id",), relation="bets")
NOW = Answer([Field("T"), Field("T")], [("2026-03-01 10:00:00.250", "PRIMARY")])
NOW_MS = int(dt.datetime(2026, 3, 1, 10, tzinfo=dt.UTC).timestamp() * 1000) + 250
ID = Field("ID", "NUMBER", 19, 0)


def says(fields, rows=(), **more):
    """A desk's answer to every question about the view; `more` by words that stand in the statement."""

    def answer(asked: Asked) -> Answer | None:
        for word, told in more.items():
            if word in asked.text:
                return told
        if "SYSTIMESTAMP" in asked.text:
            return NOW
        if not asked.text.startswith("/*"):
            return Answer([Field("T")]) if asked.text.startswith("SELECT") else None
        return Answer(fields, () if "1 = 0" in asked.text else rows)

    return answer


@pytest.fixture
def configured():
    sources = []

    def make(url, **fields):
        sources.append(open_source("replica", SourceConfig.model_validate({"url": url, **fields})))
        return sources[-1]

    yield make
    for source in sources:
        source.close()


def page_of(listener, configured, fields, rows, relation=BETS):
    """The page of a view with these columns, whose statement gives these rows."""
    heard, desk = listener(says(fields, rows))
    described = configured(heard.url()).describe(relation)
    desk.says = says([Field(each.name, "VARCHAR2" if isinstance(rows[0][at], str) else each.kind, each.precision, each.scale)
                      for at, each in enumerate(fields)], rows)  # fmt: skip
    with configured(heard.url()).reading(described) as reading:
        return reading.page(None, 100), described, desk


CASTS = {
    "NUMBER(12,2)": "to_number(:p)",
    "NUMBER": "to_number(:p)",
    "DATE": "to_date(:p, 'SYYYY-MM-DD HH24:MI:SS')",
    "TIMESTAMP(0)": "to_timestamp(:p, 'SYYYY-MM-DD HH24:MI:SS.FF9')",
    "TIMESTAMP(9)": "to_timestamp(:p, 'SYYYY-MM-DD HH24:MI:SS.FF9')",
    "TIMESTAMP(6) WITH TIME ZONE": "from_tz(to_timestamp(:p, 'SYYYY-MM-DD HH24:MI:SS.FF9'), '+00:00')",
    "TIMESTAMP(6) WITH LOCAL TIME ZONE": "CAST(from_tz(to_timestamp(:p, 'SYYYY-MM-DD HH24:MI:SS.FF9'), '+00:00')"
    " AS TIMESTAMP(9) WITH LOCAL TIME ZONE)",
    "BINARY_FLOAT": "to_binary_float(:p)",
    "BINARY_DOUBLE": "to_binary_double(:p)",
    "CHAR": "CAST(:p AS CHAR(2000))",
    "NCHAR": "CAST(:p AS NCHAR(1000))",
    "RAW": "hextoraw(:p)",
    "ROWID": "chartorowid(:p)",
    "BOOLEAN": "CAST(:p AS BOOLEAN)",
    "INTERVAL DAY TO SECOND": "to_dsinterval(:p)",
    "INTERVAL YEAR TO MONTH": "to_yminterval(:p)",
    "VARCHAR2": ":p",
    "NVARCHAR2": ":p",
}


@pytest.mark.parametrize("kind", CASTS)
def test_the_parameter_is_cast_and_never_the_column(kind):
    """A position becomes a value of the column's own type, so that an index on the column serves."""
    assert str(ORACLE.bind(Column("c", kind, "other"), "p").compile(dialect=ORACLE.dialect)) == CASTS[kind]


SHOWN = {
    "NUMBER(38,10)": '"C"',
    "NUMBER": "to_char(\"C\", 'TM9')",
    "DATE": "ltrim(to_char(\"C\", 'SYYYY-MM-DD HH24:MI:SS'))",
    "TIMESTAMP(3)": "ltrim(to_char(\"C\", 'SYYYY-MM-DD HH24:MI:SS.FF6'))",
    "TIMESTAMP(9)": "ltrim(to_char(\"C\", 'SYYYY-MM-DD HH24:MI:SS.FF9'))",
    "TIMESTAMP(6) WITH TIME ZONE": "ltrim(to_char(sys_extract_utc(\"C\"), 'SYYYY-MM-DD HH24:MI:SS.FF6'))",
    "TIMESTAMP(6) WITH LOCAL TIME ZONE": "ltrim(to_char(\"C\", 'SYYYY-MM-DD HH24:MI:SS.FF6'))",
    "BINARY_DOUBLE": 'to_char("C")',
    "INTERVAL DAY TO SECOND": 'to_char("C")',
    "ROWID": 'rowidtochar("C")',
    "JSON": 'json_serialize("C" RETURNING CLOB)',
    "VECTOR": 'from_vector("C" RETURNING CLOB)',
    "XMLTYPE": 'xmltype.getclobval("C")',
    "RAW": '"C"',
    "CLOB": '"C"',
    "CHAR": '"C"',
}


@pytest.mark.parametrize("kind", SHOWN)
def test_what_the_driver_would_cut_travels_as_text(kind):
    """Times with all their digits, numbers without declared digits, and types that have no column of Arrow."""
    import sqlalchemy as sa

    column = sa.column(sa.sql.quoted_name("C", quote=True))
    assert str(ORACLE.project(Column("c", kind, "other"), column).compile(dialect=ORACLE.dialect)) == SHOWN[kind]


def test_the_polls_own_words():
    """The statement of a page, as it is compiled: ordered inside, cut by ROWNUM outside, the view's name in front."""
    columns = (Column("dt_update", "TIMESTAMP(6)", "timestamp"), Column("id", "NUMBER(19,0)", "integer"))
    relation = Relation("users", "dt_update", ("id",), relation="crm.user_profile", columns=columns)
    moment = "to_timestamp(:c, 'SYYYY-MM-DD HH24:MI:SS.FF9')"
    place = '"CRM"."USER_PROFILE"'
    assert sql.page(ORACLE, relation, "after, ties by key", "open").text == (
        '/* smartico-sync view=users */ SELECT anon_1."dt_update", anon_1."id" \n'
        f'FROM (SELECT ltrim(to_char({place}."DT_UPDATE", \'SYYYY-MM-DD HH24:MI:SS.FF6\')) AS "dt_update",'
        f' {place}."ID" AS "id" \nFROM {place} \n'
        f'WHERE {place}."DT_UPDATE" IS NOT NULL AND {place}."ID" IS NOT NULL AND {place}."DT_UPDATE" >= {moment}'
        f' AND ({place}."DT_UPDATE" > {moment} OR {place}."DT_UPDATE" = {moment} AND {place}."ID" > to_number(:k0))'
        f' ORDER BY {place}."DT_UPDATE", {place}."ID") anon_1 \nWHERE ROWNUM <= :n'
    )


def test_constants_stand_only_where_there_were_parameters():
    """EXPLAIN PLAN takes no parameters: they are filled in, quotes doubled, and nothing inside a text is taken for one."""
    columns = (Column("day", "DATE", "timestamp"), Column("name", "VARCHAR2", "text"))
    query = "SELECT day, name FROM t WHERE kind = ':c' -- :n\n"
    relation = Relation("v", "day", ("name",), query=query, columns=columns)
    statement = sql.page(ORACLE, relation, "after, ties by key", "open")
    text = filled(relation, statement, {"c": "2024-03-01", "k0": "O'Neil :c", "n": 7})
    assert "kind = ':c'" in text
    assert "to_date(' 2024-03-01 00:00:00', " in text
    assert "> 'O''Neil :c'" in text
    assert text.endswith("ROWNUM <= 7")


def test_positions_travel_as_text_with_every_digit(listener, configured):
    """A cursor of nine digits, a national key, a moment without fraction: text each, in its own character set, and no DATE."""
    fields = [Field("DT", "TIMESTAMP", 0, 9), Field("NAME", "NVARCHAR2"), Field("KIND", "CHAR")]
    rows = [("2024-03-01 10:00:00.123456789", "日本", "EUR  ")]
    heard, desk = listener(says(fields, rows))
    source = configured(heard.url())
    described = source.describe(Relation("v", "dt", ("name", "kind"), relation="v"))
    desk.says = says([Field("dt"), *fields[1:]], rows, **{"count(*)": Answer([Field("N", "NUMBER", 0, -127)], [(3,)])})
    with source.reading(described) as reading:
        page = reading.page(Position("2024-03-01 10:00:00.123456789", ("日本", "EUR  ")), 10)
        assert page["@cursor"].to_list() == ["2024-03-01 10:00:00.123456789"]
        assert page.select("@key.0", "@key.1", "kind").row(0) == ("日本", "EUR  ", "EUR")
        assert reading.count("2024-03-01", reading.moment(1709287200000)) == 3
    page_binds, count_binds = desk.asked[-2].binds, desk.asked[-1].binds
    assert set(page_binds) == {
        ("VARCHAR2", " 2024-03-01 10:00:00.123456789"), ("NVARCHAR2", "日本"), ("VARCHAR2", "EUR  "), ("NUMBER", Decimal(10)),
    }  # fmt: skip
    assert count_binds == (
        ("VARCHAR2", " 2024-03-01 00:00:00.000000000"), ("VARCHAR2", " 2024-03-01 10:00:00.000000000"),
    )  # fmt: skip


def test_a_date_is_compared_as_a_date(listener, configured):
    """A DATE column takes whole seconds: its position is cut to the form that TO_DATE parses."""
    heard, desk = listener(says([Field("DT", "DATE"), ID]))
    source = configured(heard.url())
    described = source.describe(Relation("v", "dt", ("id",), relation="v"))
    with source.reading(described) as reading:
        reading.keys(None, reading.moment(1709287200250), 5)
    assert ("VARCHAR2", " 2024-03-01 10:00:00") in desk.asked[-1].binds


def test_lists_are_no_longer_than_oracle_allows(listener, configured):
    """A thousand positions are asked for in lists of 512: the thousand-and-first value of one list is an error."""
    heard, desk = listener(says([ID], [(5,)]))
    source = configured(heard.url())
    described = source.describe(BETS)
    with source.reading(described) as reading:
        assert reading.rows([Position(str(n), (str(n),)) for n in range(1000)])["id"].to_list() == [5]
        assert reading.by_cursor([str(n) for n in range(1000)])["id"].to_list() == [5, 5]
        assert reading.by_key([(str(n),) for n in range(1000)])["id"].to_list() == [5]
    asked = [each for each in desk.asked if " IN (" in each.text]
    assert len(asked) == 6
    assert max(each.text.split(" IN (")[1].partition(") AND")[0].count("to_number") for each in asked) == 512


FAMILIES = [
    (Field("C", "NUMBER", 19, 0), "NUMBER(19,0)", "integer"),
    (Field("C", "NUMBER", 38, 0), "NUMBER(38,0)", "integer"),
    (Field("C", "NUMBER", 18, 2), "NUMBER(18,2)", "decimal"),
    (Field("C", "NUMBER", 0, -127), "NUMBER", "decimal"),
    (Field("C", "NUMBER", 126, -127), "NUMBER", "decimal"),
    (Field("C", "NUMBER", 10, -2), "NUMBER", "decimal"),
    (Field("C", "NUMBER", 5, 7), "NUMBER", "decimal"),
    (Field("C", "DATE"), "DATE", "timestamp"),
    (Field("C", "TIMESTAMP", 0, 0), "TIMESTAMP(0)", "timestamp"),
    (Field("C", "TIMESTAMP", 0, 9), "TIMESTAMP(9)", "timestamp"),
    (Field("C", "TIMESTAMP WITH TIME ZONE", 0, 6), "TIMESTAMP(6) WITH TIME ZONE", "instant"),
    (Field("C", "TIMESTAMP WITH LOCAL TIME ZONE", 0, 3), "TIMESTAMP(3) WITH LOCAL TIME ZONE", "instant"),
    (Field("C", "VARCHAR2"), "VARCHAR2", "text"),
    (Field("C", "NVARCHAR2"), "NVARCHAR2", "text"),
    (Field("C", "CHAR"), "CHAR", "text"),
    (Field("C", "CLOB"), "CLOB", "text"),
    (Field("C", "BLOB"), "BLOB", "binary"),
    (Field("C", "RAW"), "RAW", "binary"),
    (Field("C", "BINARY_DOUBLE"), "BINARY_DOUBLE", "float"),
    (Field("C", "ROWID"), "ROWID", "other"),
    (Field("C", "INTERVAL DAY TO SECOND"), "INTERVAL DAY TO SECOND", "other"),
]


@pytest.mark.parametrize(
    ("field", "kind", "family"), FAMILIES, ids=[f"{kind}-{at}" for at, (_, kind, _) in enumerate(FAMILIES)]
)
def test_what_the_driver_describes_makes_families(listener, configured, field, kind, family):
    """Digits and scale decide whether a NUMBER is an integer; everything else goes by its type."""
    heard, _ = listener(says([ID, field]))
    described = configured(heard.url()).describe(BETS)
    assert described.columns[1] == Column("c", kind, family)


def test_objects_are_told_by_name(listener, configured):
    """A column that holds no value of its own: ViewBroken, which names it."""
    heard, _ = listener(says([ID, Field("PLACE", "BFILE")]))
    with pytest.raises(ViewBroken, match="place holds objects"):
        configured(heard.url()).describe(BETS)


VALUES = [
    (Field("V", "NUMBER", 38, 10), Decimal("1234567890123456789012345678.0123456789"), "1234567890123456789012345678.0123456789"),
    (Field("V", "NUMBER", 12, 2), Decimal("1.5"), "1.50"),
    (Field("V", "NUMBER", 38, 0), 2**63 - 1, 2**63 - 1),
    (Field("V", "NUMBER", 38, 0), 10**37, str(10**37)),
    (Field("V", "NUMBER", 0, -127), ".5", "0.5"),
    (Field("V", "NUMBER", 0, -127), "-.5", "-0.5"),
    (Field("V", "NUMBER", 0, -127), "1.5E-70", "0." + "0" * 69 + "15"),
    (Field("V", "NUMBER", 0, -127), "1234567890123456789012345678901234567890", "1234567890123456789012345678901234567890"),
    (Field("V", "BINARY_DOUBLE"), "1.0000000000000001E-001", 0.1),
    (Field("V", "BINARY_FLOAT"), "1.00000001E-001", 0.1),
    (Field("V", "DATE"), "2024-02-29 10:00:01", dt.datetime(2024, 2, 29, 10, 0, 1)),
    (Field("V", "DATE"), "0001-01-01 00:00:00", dt.datetime(1, 1, 1)),
    (Field("V", "TIMESTAMP", 0, 6), "9999-12-31 23:59:59.999999", dt.datetime(9999, 12, 31, 23, 59, 59, 999999)),
    (Field("V", "TIMESTAMP", 0, 9), "2024-02-29 10:00:00.123456789", dt.datetime(2024, 2, 29, 10, 0, 0, 123456)),
    (Field("V", "TIMESTAMP WITH TIME ZONE", 0, 6), "2024-02-29 10:00:00.500000", dt.datetime(2024, 2, 29, 10, 0, 0, 500000, dt.UTC)),
    (Field("V", "VARCHAR2"), "  héllo 🎲 ", "  héllo 🎲 "),
    (Field("V", "NVARCHAR2"), "日本", "日本"),
    (Field("V", "CHAR"), "EUR   ", "EUR"),
    (Field("V", "RAW"), b"\x00\xff", b"\x00\xff"),
    (Field("V", "INTERVAL DAY TO SECOND"), "+01 02:03:04.500000", "+01 02:03:04.500000"),
]  # fmt: skip


@pytest.mark.parametrize(
    ("field", "sent", "value"), VALUES, ids=[f"{each.kind}-{at}" for at, (each, _, _) in enumerate(VALUES)]
)
def test_every_type_arrives_without_loss(listener, configured, field, sent, value):
    """Types that frames know arrive as such, all others as the text Oracle prints."""
    page, *_ = page_of(listener, configured, [ID, field], [(1, sent), (2, None)])
    assert page["v"].to_list() == [value, None]
    assert "@unreadable" not in page.columns


@pytest.mark.parametrize(
    ("field", "bad", "good"),
    [
        (Field("V", "DATE"), "-4712-01-01 00:00:00", "2024-01-01 00:00:00"),
        (Field("V", "TIMESTAMP", 0, 6), "-0044-03-15 00:00:00.000000", "2024-01-01 00:00:00.000000"),
        (Field("V", "NUMBER", 0, -127), "~", "1"),
        (Field("V", "BINARY_DOUBLE"), "Nan", "1.0E+000"),
        (Field("V", "BINARY_DOUBLE"), "-Inf", "1.0E+000"),
    ],
)
def test_impossible_values_spoil_only_their_row(listener, configured, field, bad, good):
    """A value no frame can hold is null, `@unreadable` names its column and no value, and its neighbours are fine."""
    page, *_ = page_of(listener, configured, [ID, field], [(1, good), (2, bad), (3, good)])
    assert page["v"].is_null().to_list() == [False, True, False]
    assert page["@unreadable"].is_null().to_list() == [True, False, True]
    assert page["@unreadable"][1].startswith("v: not a ")


def test_text_in_a_wrong_encoding_does_no_harm(listener, configured):
    """The driver hands bytes over unseen; what is no UTF-8 keeps its readable characters."""
    heard, desk = listener(says([ID, Field("V")], []))
    source = configured(heard.url())
    described = source.describe(BETS)
    desk.says = says([ID, Field("V", "VARCHAR2")], [(1, b"caf\xe9"), (2, b"fine")])
    with source.reading(described) as reading:
        assert reading.page(None, 9)["v"].to_list() == ["caf\ufffd", "fine"]


def test_long_texts_and_bytes_arrive(listener, configured):
    """CLOB and BLOB come with the page, without a question of their own for each."""
    rows = [(1, "ü" * 100_000, b"\x00" * 70_000), (2, None, None)]
    page, *_, desk = page_of(
        listener, configured, [ID, Field("C", "CLOB"), Field("B", "BLOB")], [(0, None, None), *rows]
    )
    assert page["c"].to_list()[1:] == [rows[0][1], None]
    assert page["b"].to_list()[1:] == [rows[0][2], None]
    assert len([asked for asked in desk.asked if "ROWNUM" in asked.text]) == 1


def test_a_long_page_takes_several_round_trips(listener, configured):
    """A page is fetched in batches of ten thousand rows, and arrives whole."""
    heard, _ = listener(says([ID], [(number,) for number in range(25_000)]))
    source = configured(heard.url())
    described = source.describe(BETS)
    with source.reading(described) as reading:
        assert reading.page(None, 25_000)["id"].to_list() == list(range(25_000))


def test_local_timestamps_become_utc(listener, configured):
    """`timezone:` tells what wall-clock columns mean; the session's own zone never matters."""
    fields = [ID, Field("AT", "TIMESTAMP", 0, 6), Field("MOMENT", "TIMESTAMP WITH TIME ZONE", 0, 6)]
    rows = [(1, "2024-07-01 12:00:00.000000", "2024-07-01 12:00:00.000000")]
    relation = Relation("v", "id", ("id",), relation="v", timezone="Europe/Malta")
    page, *_ = page_of(listener, configured, fields, rows, relation)
    assert page["at"][0] == dt.datetime(2024, 7, 1, 10)
    assert page["moment"][0] == dt.datetime(2024, 7, 1, 12, tzinfo=dt.UTC)


def test_names_follow_one_rule(listener, configured):
    """Capitals are written in lower case, keywords too; mixed names as they are; one quoted in lower case is found as such."""
    heard, desk = listener(
        says([Field("ID", "NUMBER", 19, 0), Field("DATE", "DATE"), Field("user"), Field("Mixed Name")])
    )
    source = configured(heard.url())
    described = source.describe(Relation("v", "date", ("user", "Mixed Name"), relation='crm."users".Bets'))
    assert [column.name for column in described.columns] == ["id", "date", "user", "Mixed Name"]
    with source.reading(described) as reading:
        reading.page(Position("2024-01-01 00:00:00", ("a", "b")), 3)
    text = desk.asked[-1].text
    assert 'FROM "CRM"."users"."Bets"' in text
    assert (
        'ORDER BY "CRM"."users"."Bets"."DATE", "CRM"."users"."Bets"."user", "CRM"."users"."Bets"."Mixed Name"' in text
    )


def test_a_missing_column_is_found_whatever_its_capitals(listener, configured):
    """DT_UPDATE in the configuration is told to be dt_update."""
    heard, _ = listener(says([ID, Field("DT_UPDATE", "DATE")]))
    with pytest.raises(ViewBroken) as broken:
        configured(heard.url()).describe(Relation("v", "DT_UPDATE", ("id",), relation="v"))
    assert "dt_update?" in broken.value.hint


def test_a_session_is_set_up_and_read_only(listener, configured):
    """Zone and formats once a session; each reading a read-only transaction that begins after the clock and ends."""
    heard, desk = listener(says([ID], [(1,)]))
    source = configured(heard.url())
    described = source.describe(BETS)
    with source.reading(described) as reading:
        assert reading.clock_ms == NOW_MS
        assert reading.snapshot is None
        reading.page(None, 5)
        reading.head()
    words = [asked.text.split("'")[0][:28].strip() for asked in desk.asked]
    assert words[0] == "ALTER SESSION SET TIME_ZONE="
    assert "NLS_COMP='BINARY'" in desk.asked[0].text
    assert "NLS_CALENDAR='GREGORIAN'" in desk.asked[0].text
    assert words[1:] == [
        "SET TRANSACTION READ ONLY", "/* smartico-sync view=bets *", "SELECT TO_CHAR(SYS_EXTRACT_U",
        "SET TRANSACTION READ ONLY", "/* smartico-sync view=bets *", "/* smartico-sync view=bets *",
    ]  # fmt: skip
    assert desk.ended == 2
    assert desk.names == {"module": "smartico-sync", "client_identifier": "smartico-sync", "action": "bets"}


FAILURES = [
    (942, ViewBroken), (904, ViewBroken), (4063, ViewBroken), (1722, ViewBroken), (6512, ViewBroken), (932, ViewBroken),
    (1031, SourceRefused), (1017, SourceRefused), (28000, SourceRefused), (1456, SourceRefused),
    (1555, SourceCancelled), (1466, SourceCancelled), (1013, SourceCancelled), (8103, SourceCancelled),
    (1033, SourceUnreachable), (1089, SourceUnreachable), (3113, SourceUnreachable), (600, SourceUnreachable),
]  # fmt: skip


@pytest.mark.parametrize(("code", "failure"), FAILURES)
def test_failures_are_ours_and_show_no_value(listener, configured, code, failure):
    """The server's words may quote a row; ours say what happened and what to do, with its number."""
    heard, _ = listener(says([ID], **{"1 = 0": Answer(error=code, message="invalid number: secret@mail")}))
    with pytest.raises(failure) as told:
        configured(heard.url()).describe(BETS)
    assert type(told.value) is failure
    assert "secret" not in told.value.message + told.value.hint
    assert told.value.hint


def test_a_dropped_column_is_named(listener, configured):
    """A view that loses a column after describe(): ViewBroken that names it."""
    heard, desk = listener(says([ID, Field("AMOUNT", "NUMBER", 18, 2)]))
    source = configured(heard.url())
    described = source.describe(BETS)
    desk.says = says([ID, Field("AMOUNT_REAL", "NUMBER", 18, 2)], ROWNUM=Answer(error=904))
    with pytest.raises(ViewBroken, match="'amount'") as broken, source.reading(described) as reading:
        reading.page(None, 5)
    assert "amount_real" in broken.value.hint


def test_a_wrong_password_is_refused_and_not_repeated(listener, configured):
    """SourceRefused; neither password appears anywhere in the failure or in the source."""
    heard, _ = listener(says([ID]))
    source = configured(heard.url(password="wrong-sesame"))
    with pytest.raises(SourceRefused) as refused:
        source.facts()
    assert "sesame" not in refused.value.message + refused.value.hint + repr(source.__dict__)
    assert PASSWORD not in refused.value.message


@pytest.mark.parametrize(
    ("code", "words"), [(12514, "does not know the service"), (12505, "does not know the SID"), (12528, "cannot serve us"),
                        (12516, "cannot serve us"), (1033, "cannot serve us")]
)  # fmt: skip
def test_a_listener_that_refuses_is_tried_again(listener, configured, code, words):
    """A service that is not registered yet, a database that is full or starting: SourceUnreachable, so it is tried again."""
    heard, _ = listener(refuse=code)
    with pytest.raises(SourceUnreachable, match=words):
        configured(heard.url()).facts()


def test_nobody_listens(configured, proxied):
    """A refused connection, an unknown host, something that is no Oracle: SourceUnreachable at once."""
    proxy = proxied(1)
    proxy.refuse()
    with pytest.raises(SourceUnreachable, match="nobody answers"):
        configured(f"oracle://reader:x@127.0.0.1:{proxy.port}/casino").facts()
    with pytest.raises(SourceUnreachable, match="host name is unknown"):
        configured("oracle://reader:x@nowhere.invalid/casino").facts()


def test_the_first_address_that_answers_is_taken(listener, configured, proxied):
    """A dead or unknown address costs a moment and nothing else."""
    heard, _ = listener(says([ID]))
    proxy = proxied(1)
    proxy.refuse()
    url = heard.url().replace("127.0.0.1:", f"nowhere.invalid:1,127.0.0.1:{proxy.port},127.0.0.1:")
    assert configured(url).describe(BETS).columns


def hanging():
    return [thread for thread in threading.enumerate() if thread.name == "source-calls"]


def test_a_silent_listener_is_given_up(configured, proxied, listener):
    """Between TCP and login the driver has no limit of its own: ours ends the wait, and no more than a few hang at once."""
    heard, _ = listener(says([ID]))
    proxy = proxied(heard.port)
    proxy.black_hole()
    source = configured(heard.url(port=proxy.port) + "?connect_timeout=0.1")
    began = time.monotonic()
    for attempt in range(MOST_ABANDONED + 2):
        with pytest.raises(SourceUnreachable, match="in time" if attempt < MOST_ABANDONED else "earlier calls"):
            source.facts()
    assert time.monotonic() - began < 10
    assert len(hanging()) == MOST_ABANDONED
    proxy.mend()
    proxy.drop()
    while hanging():
        time.sleep(0.01)
    assert source.describe(BETS).columns


def test_a_slow_query_is_cancelled(listener, configured):
    """statement_timeout: the driver asks the server to stop, SourceCancelled, and the session goes on."""
    never = threading.Event()
    heard, desk = listener(says([ID]))
    source = configured(heard.url(), statement_timeout=100, pool=1)
    described = source.describe(BETS)
    desk.says = says([ID], ROWNUM=Answer([ID], after=never))
    with pytest.raises(SourceCancelled), source.reading(described) as reading:
        reading.page(None, 5)
    desk.says = says([ID], [(7,)])
    with source.reading(described) as reading:
        assert reading.page(None, 5)["id"].to_list() == [7]


def test_a_black_hole_is_noticed(listener, configured, proxied):
    """A network that swallows everything: SourceUnreachable after the driver's own limit; mended, the next reading works."""
    heard, _ = listener(says([ID], [(7,)]))
    proxy = proxied(heard.port)
    source = configured(heard.url(port=proxy.port), statement_timeout=150)
    described = source.describe(BETS)
    began = time.monotonic()
    with pytest.raises(SourceUnreachable), source.reading(described) as reading:  # noqa: PT012  - it works, then it fails
        reading.page(None, 5)
        proxy.black_hole()
        reading.page(None, 5)
    assert time.monotonic() - began < 5
    proxy.mend()
    proxy.drop()
    with source.reading(described) as reading:
        assert reading.page(None, 5).height == 1


def test_a_server_that_went_away_is_found_again(listener, configured):
    """Restarted while idle: the next reading works. Restarted while reading: at most that reading fails."""
    heard, _ = listener(says([ID], [(7,)]))
    source = configured(heard.url())
    described = source.describe(BETS)
    heard.drop()
    with source.reading(described) as reading:
        assert reading.page(None, 5).height == 1
    with pytest.raises(SourceUnreachable), source.reading(described) as reading:  # noqa: PT012  - it works, then it fails
        reading.page(None, 5)
        heard.drop()
        reading.page(None, 5)
    with source.reading(described) as reading:
        assert reading.page(None, 5).height == 1


def test_close_ends_what_is_under_way(listener, configured):
    """close() from another thread ends a waiting read with a SourceError."""
    never = threading.Event()
    heard, desk = listener(says([ID]))
    source = configured(heard.url())
    described = source.describe(BETS)
    desk.says = says([ID], ROWNUM=Answer([ID], after=never))
    failures = []

    def read():
        try:
            with source.reading(described) as reading:
                reading.page(None, 5)
        except SourceError as failure:
            failures.append(failure)

    reader = threading.Thread(target=read)
    reader.start()
    while not any("ROWNUM" in asked.text for asked in desk.asked):
        time.sleep(0.001)
    source.close()
    reader.join(20)
    assert failures


@pytest.fixture
def secure(listener, tmp_path):
    """A listener that wants tcps and a client certificate, and the authority of both."""
    authority = Authority(tmp_path)
    server = authority.issue("localhost")
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(server.certificate, server.key)
    context.load_verify_locations(authority.certificate)
    context.verify_mode = ssl.CERT_REQUIRED
    heard, _ = listener(says([ID]), tls=context)
    return heard.url().replace("127.0.0.1", "localhost"), authority, authority.issue("reader")


def test_certificates_in_files_serve(secure, configured):
    """ssl_ca, ssl_cert and ssl_key: tcps with both sides known to each other."""
    url, authority, client = secure
    files = f"?ssl_ca={authority.certificate}&ssl_cert={client.certificate}&ssl_key={client.key}"
    assert configured(url + files).describe(BETS).columns


def test_a_wallet_serves(secure, configured, tmp_path):
    """wallet_location: the certificates of both sides in one ewallet.pem."""
    url, authority, client = secure
    wallet = tmp_path / "wallet"
    wallet.mkdir()
    parts = (client.key, client.certificate, authority.certificate)
    (wallet / "ewallet.pem").write_text("".join(part.read_text() for part in parts))
    assert configured(f"{url}?wallet_location={wallet}").describe(BETS).columns


def test_a_stranger_is_not_trusted(secure, configured, tmp_path):
    """Another authority's certificate, or another host's: no connection, and the hint says where to look."""
    url, authority, client = secure
    (tmp_path / "other").mkdir()
    files = f"&ssl_cert={client.certificate}&ssl_key={client.key}"
    with pytest.raises(SourceUnreachable, match="TLS"):
        configured(f"{url}?ssl_ca={Authority(tmp_path / 'other').certificate}{files}").facts()
    with pytest.raises(SourceUnreachable, match="another's"):
        configured(f"{url.replace('localhost', '127.0.0.1')}?ssl_ca={authority.certificate}{files}").facts()


@pytest.mark.parametrize(
    ("tail", "words"),
    [
        ("?sid=ORCL", "(SID=ORCL)"), ("casino_ro", "(SERVICE_NAME=casino_ro)"), ("casino?server_type=pooled", "(SERVER=pooled)"),
        ("casino?sdu=16384", "(SDU=16384)"), ("casino?instance_name=one", "(INSTANCE_NAME=one)"),
    ],
)  # fmt: skip
def test_parameters_reach_the_listener(listener, configured, tail, words):
    """What the URL says about the database arrives in the driver's connect string."""
    heard, _ = listener(refuse=12514)
    with pytest.raises(SourceUnreachable):
        configured(heard.url(service=tail)).facts()
    while not heard.told:
        time.sleep(0.001)
    assert words.lower() in heard.told[0].lower()


def test_a_whole_descriptor_may_be_given(listener, configured, tmp_path):
    """dsn: a descriptor, or a name in tnsnames.ora, as DBAs hand them out."""
    heard, _ = listener(says([ID]))
    place = (
        f"(DESCRIPTION=(ADDRESS=(PROTOCOL=tcp)(HOST=127.0.0.1)(PORT={heard.port}))(CONNECT_DATA=(SERVICE_NAME=casino)))"
    )
    login = heard.url().partition("@127")[0]
    assert configured(f"{login}@/", options={"dsn": place}).describe(BETS).columns
    (tmp_path / "tnsnames.ora").write_text(f"CASINO_RO = {place}\n")
    assert configured(f"{login}@/?dsn=CASINO_RO&config_dir={tmp_path}").describe(BETS).columns


@pytest.mark.parametrize(
    ("url", "words"),
    [
        ("oracle://r:sesame@h/", "no service"), ("oracle://r:sesame@h/s?sslmood=1", "sslmood"),
        ("oracle://r:sesame@h/s?protocol=http", "http"), ("oracle://r:sesame@h/s?sdu=big", "not a number"),
        ("oracle://r:sesame@h/s?ssl_server_dn_match=maybe", "neither on nor off"), ("oracle://r:sesame@h/s?ssl_ca=/none", "certificate"),
        ("oracle://r:sesame@h:x/s", "cannot use"), ("oracle://r:sesame@/?dsn=NAME&config_dir=/none", "cannot use"),
        ("oracle://r:sesame@h/s?server_type=none", "cannot use"),
    ],
)  # fmt: skip
def test_a_url_that_cannot_work_is_told_at_once(configured, url, words):
    """ConfigError before anything is opened, without the password, with what to write instead."""
    with pytest.raises(ConfigError, match=words) as told:
        configured(url)
    assert "sesame" not in told.value.message + told.value.hint
    assert told.value.hint


def standby(lag, age=0):
    """A standby's answers: `lag` as V$DATAGUARD_STATS has it, computed so many seconds ago; an error number: not shown."""
    fields = [Field("T"), Field("T")]
    shown = (
        Answer(error=lag) if isinstance(lag, int) else Answer([Field("T"), Field("N", "NUMBER", 0, -127)], [(lag, age)])
    )
    return {"DATAGUARD_STATS": shown, "SYSTIMESTAMP": Answer(fields, [("2026-03-01 10:00:00.250", "PHYSICAL STANDBY")])}


def test_a_standbys_clock_is_what_it_has_applied(listener, configured):
    """The lag, and the age of that figure, are taken from now; the clock never runs backwards, and stands when nothing is known."""
    heard, desk = listener(says([ID]))
    source = configured(heard.url())
    described = source.describe(BETS)
    clocks = []
    for lag, age in [
        ("+00 00:01:30", 5),
        ("+00 01:00:00", 0),
        ("+00 00:00:10.5", 2),
        (None, 0),
        ("+00 00:00:00", -3600),
    ]:
        desk.says = says([ID], **standby(lag, age))
        with source.reading(described) as reading:
            clocks.append(NOW_MS - reading.clock_ms)
    assert clocks == [96_000, 96_000, 13_000, 13_000, 13_000]
    desk.says = says([ID], **standby("+00 00:00:07", 1))
    facts = source.facts
    desk.says = says([ID], PRODUCT_COMPONENT_VERSION=SERVER, **standby("+00 00:00:07", 1))
    assert (facts().role, facts().replay_lag_ms) == ("physical standby", 8000)


SERVER = Answer([Field("T")] * 4, [("19.0.0.0.0", "+02:00", "READER", "FALSE")])


def told_facts(listener, configured, **more):
    heard, _ = listener(says([ID], PRODUCT_COMPONENT_VERSION=SERVER, **more))
    return configured(heard.url()).facts()


def column(*values):
    return Answer([Field("T")], [(value,) for value in values])


def test_a_standby_that_hides_its_lag_is_told(listener, configured):
    """Without a right to V$DATAGUARD_STATS the clock is now, and a warning says what to grant."""
    facts = told_facts(listener, configured, **standby(942))
    assert facts.role == "physical standby"
    assert facts.replay_lag_ms is None
    assert any("V_$DATAGUARD_STATS" in warning for warning in facts.warnings)


def test_a_reader_draws_no_warning(listener, configured):
    """A user that may only connect and read: no warnings; and the fence is said to be impossible."""
    facts = told_facts(listener, configured, SESSION_PRIVS=column("CREATE SESSION"))
    assert facts.warnings == ()
    assert (facts.engine, facts.version, facts.role, facts.timezone) == ("oracle", "19.0.0.0.0", "primary", "UTC+02:00")
    assert facts.fence


def test_rights_beyond_reading_are_told(listener, configured):
    """System privileges, rights to change tables, and tables of the user's own."""
    facts = told_facts(
        listener, configured, SESSION_PRIVS=column("CREATE SESSION", "DROP ANY TABLE"), ALL_TAB_PRIVS=column("3"), USER_TABLES=column("2")
    )  # fmt: skip
    (warning,) = facts.warnings
    assert "DROP ANY TABLE" in warning
    assert "change 3 tables" in warning
    assert "2 tables that it owns" in warning


def test_rac_is_told_with_its_unordered_sequences(listener, configured):
    """On a cluster ids of NOORDER sequences are not in order: the warning names them."""
    facts = told_facts(
        listener, configured, IS_CLUSTER_DATABASE=Answer(error=20001), ALL_SEQUENCES=column("CASINO.BET_IDS"), SESSION_PRIVS=column()
    )  # fmt: skip
    (warning,) = facts.warnings
    assert "RAC" in warning
    assert "CASINO.BET_IDS" in warning


SORTED = Step(
    "SORT", "ORDER BY STOPKEY", projection='(#keys=2) INTERNAL_FUNCTION("U"."TOUCHED")[11], "U"."Uid"[NUMBER,22], "W"."BALANCE"[NUMBER,22]'
)  # fmt: skip
FULL = Step("TABLE ACCESS", "FULL", "CRM", "USERS", '"U"@"SEL$2"')
OTHER = Step("TABLE ACCESS", "BY INDEX ROWID", "CRM", "WALLET", '"W"@"SEL$2"')


@pytest.mark.parametrize(
    ("steps", "begin", "serves_it"),
    [
        ([Step("COUNT", "STOPKEY"), Step("INDEX", "RANGE SCAN")], "position", True),
        ([Step("TABLE ACCESS", "BY INDEX ROWID"), Step("INDEX", "FULL SCAN")], "start", True),
        ([Step("TABLE ACCESS", "BY INDEX ROWID"), Step("INDEX", "FULL SCAN")], "position", False),
        ([Step("INDEX", "FAST FULL SCAN")], "start", False),
        ([SORTED, FULL], "position", False),
        ([SORTED, Step("INDEX", "RANGE SCAN")], "position", False),
        ([Step("WINDOW", "SORT PUSHED RANK"), Step("INDEX", "RANGE SCAN")], "position", False),
        ([Step("SORT", "GROUP BY NOSORT"), Step("INDEX", "RANGE SCAN")], "position", True),
        ([FULL], "position", False),
    ],
)  # fmt: skip
def test_plans_are_judged(steps, begin, serves_it):
    """Only an index that finds the position and gives the order counts."""
    assert serves(steps, begin) is serves_it


def test_advice_names_the_base_table_and_its_own_columns():
    """The view's names are not the table's: the sort's own are taken, as far as one table has them."""
    relation = Relation("users", "dt_update", ("user_ext_id",), relation="users")
    assert advice([SORTED, FULL, OTHER], relation) == 'CREATE INDEX USERS_TOUCHED ON CRM.USERS (TOUCHED, "Uid");'
    computed = [Step("SORT", "ORDER BY STOPKEY", projection='(#keys=1) TRUNC("U"."TOUCHED")[7]'), FULL]
    assert "CRM.USERS" in advice(computed, relation)
    assert "pass an indexed column through" in advice(computed, relation)


@pytest.mark.parametrize("code", [1039, 16000])
def test_without_a_plan_the_catalogue_is_asked(listener, configured, code):
    """No right to the tables behind a view, or a standby: an index that begins with the cursor is looked for instead."""
    shown = {"EXPLAIN PLAN": Answer(error=code)}
    heard, desk = listener(says([ID, Field("DT", "DATE")], **shown))
    source = configured(heard.url())
    described = source.describe(Relation("v", "dt", ("id",), relation="crm.bets"))
    after = Position("2024-01-01 00:00:00", ("1",))
    plan = source.plan(described, after, 5)
    assert plan.uses_index is None
    assert "(DT, ID)" in plan.advice
    desk.says = says([ID, Field("DT", "DATE")], **shown, ALL_TABLES=column("BETS"))
    plan = source.plan(described, after, 5)
    assert plan.uses_index is False
    assert plan.advice == "CREATE INDEX BETS_DT ON CRM.BETS (DT, ID);"
    desk.says = says([ID, Field("DT", "DATE")], **shown, ALL_TABLES=column("BETS"), ALL_IND_COLUMNS=column("BETS_DT"))
    assert source.plan(described, after, 5).uses_index is True


def test_a_plan_is_asked_for_outside_the_read_only_transaction(listener, configured):
    """EXPLAIN PLAN writes into the session's own table, which is then rolled back."""
    heard, desk = listener(says([ID], PLAN_TABLE=Answer([Field("T")] * 6, [("INDEX", "RANGE SCAN", "", "", "", "")])))
    source = configured(heard.url())
    described = source.describe(BETS)
    assert source.plan(described, Position("7", ("7",)), 5).uses_index is True
    words = [asked.text.split(" SET ")[0].split(" ")[0] for asked in desk.asked]
    assert words.count("EXPLAIN") == 2
    assert "FIRST_ROWS(1)" in [asked.text for asked in desk.asked if asked.text.startswith("EXPLAIN")][1]
    assert desk.ended == 4  # the description, the reading, and the rows of each plan


def test_pages_have_the_declared_dtypes_even_when_empty(listener, configured):
    """An empty page and a full one have one schema."""
    fields = [ID, Field("AT", "TIMESTAMP", 0, 6), Field("N", "NUMBER", 18, 2), Field("RAW", "RAW")]
    full, described, _ = page_of(
        listener, configured, fields, [(1, "2024-01-01 00:00:00.000000", Decimal("1.10"), b"a")]
    )
    heard, _ = listener(says(fields))
    with configured(heard.url()).reading(described) as reading:
        assert reading.page(None, 5).schema == full.schema
    assert full.schema["raw"] == pl.Binary
