"""Redshift's values and casts beyond the contract. The server is PostgreSQL behind a gate, so what only Redshift says is tested as text."""

# ruff: noqa: DTZ001  - wall clocks without a zone are what is tested
from __future__ import annotations

import datetime as dt

import polars as pl
import pytest

from smartico_sync.core.relation import Column, Relation
from smartico_sync.sources.kit.frames import decoded
from smartico_sync.sources.redshift.types import REDSHIFT, column_of
from smartico_sync.sources.sql import statements as sql

BETS = Relation("bets", "id", ("id",), relation="bets")


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
    assert str(REDSHIFT.adapter().bind(column, "p").compile(dialect=REDSHIFT.dialect)) == cast


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
    from smartico_sync.sources.kit.printed import from_texts

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
