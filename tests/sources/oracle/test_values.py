"""Oracle's values, as the real driver brings them from a desk."""

# ruff: noqa: DTZ001  - wall clocks without a zone are what is tested
from __future__ import annotations

import datetime as dt
from decimal import Decimal

import polars as pl
import pytest

from smartico_sync.core.relation import Column, Relation
from smartico_sync.errors import (
    ViewBroken,
)
from sources.oracle.answers import ID, says
from stand_ins.oracle.values import Field

BETS = Relation("bets", "id", ("id",), relation="bets")


def page_of(listener, configured, fields, rows, relation=BETS):
    """The page of a view with these columns, whose statement gives these rows."""
    declared = says(fields, rows)
    heard, desk = listener(declared)
    described = configured(heard.url()).describe(relation)
    selected = says([Field(each.name, "VARCHAR2" if isinstance(rows[0][at], str) else each.kind, each.precision, each.scale)
                      for at, each in enumerate(fields)], rows)  # fmt: skip
    desk.says = lambda asked: (declared if "1 = 0" in asked.text else selected)(asked)
    with configured(heard.url()).reading(described) as reading:
        return reading.page(None, 100), described, desk


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
    """A page is fetched in batches of some hundred rows, and arrives whole."""
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
