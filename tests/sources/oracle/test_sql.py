"""Oracle's SQL as it is written, and its parameters as they arrive. The driver is real, the desk is the test's."""

from __future__ import annotations

from decimal import Decimal

import pytest

from smartico_sync.core.position import Position
from smartico_sync.core.relation import Column, Relation
from smartico_sync.errors import (
    ViewBroken,
)
from smartico_sync.sources.oracle.reading import filled
from smartico_sync.sources.oracle.types import ORACLE
from smartico_sync.sources.sql import statements as sql
from sources.oracle.answers import ID, NOW_MS, says
from stand_ins.oracle.values import Answer, Field

BETS = Relation("bets", "id", ("id",), relation="bets")
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
    count = Answer([Field("N", "NUMBER", 0, -127)], [(3,)])
    selected, declared = says([Field("dt"), *fields[1:]], rows, **{"count(*)": count}), says(fields)
    desk.says = lambda asked: (declared if "1 = 0" in asked.text else selected)(asked)
    with source.reading(described) as reading:
        page = reading.page(Position("2024-03-01 10:00:00.123456789", ("日本", "EUR  ")), 10)
        assert page["@cursor"].to_list() == ["2024-03-01 10:00:00.123456789"]
        assert page.select("@key.0", "@key.1", "kind").row(0) == ("日本", "EUR  ", "EUR")
        assert reading.count("2024-03-01", reading.moment(1709287200000)) == 3
    page_binds, count_binds = desk.asked[-3].binds, desk.asked[-2].binds
    assert set(page_binds) == {
        ("VARCHAR2", " 2024-03-01 10:00:00.123456789"), ("NVARCHAR2", "日本"), ("VARCHAR2", "EUR  "), ("NUMBER", Decimal(11)),  # one more, to see whether it is tied
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
        "/* smartico-sync view=bets *",
    ]  # fmt: skip
    assert "1 = 0" in desk.asked[-1].text  # whether the columns are still the same
    assert desk.ended == 2
    assert desk.names == {"module": "smartico-sync", "client_identifier": "smartico-sync", "action": "bets"}
