"""Arrow tables become the same frames whatever widths a driver chose."""

from __future__ import annotations

import datetime as dt
from decimal import Decimal

import polars as pl
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from smartico_sync.core.relation import Column, Relation
from smartico_sync.sources.kit.arrow import from_arrow, position_texts
from smartico_sync.sources.kit.frames import schema
from smartico_sync.sources.sql.statements import Statement


def framed(family, *arrays, timezone="UTC"):
    """One column `c`, its position beside it, from a table an array."""
    relation = Relation("v", "c", (), relation="v", timezone=timezone, columns=(Column("c", family, family),))
    statement = Statement("", relation.columns, 1, (("@cursor", 0),))
    return from_arrow(relation, statement, [pa.table({"c": array}) for array in arrays]), relation


@pytest.mark.parametrize(
    ("family", "array", "expected"),
    [
        ("integer", pa.array([1, None], pa.int8()), [1, None]),
        ("integer", pa.array([Decimal(2**62)], pa.decimal128(38, 0)), [2**62]),
        ("decimal", pa.array([Decimal("1.10"), None], pa.decimal128(38, 2)), ["1.10", None]),
        ("decimal", pa.array([7], pa.int16()), ["7"]),
        ("float", pa.array([0.1, None]), [0.1, None]),
        ("text", pa.array(["", "é", None]), ["", "é", None]),
        ("boolean", pa.array([True, None]), [True, None]),
        ("date", pa.array([dt.date(1, 1, 1), dt.date(9999, 12, 31)]), [dt.date(1, 1, 1), dt.date(9999, 12, 31)]),
        ("binary", pa.array([b"\xff"]), [b"\xff"]),
        ("array", pa.array([[1, 2], None]), ["[1,2]", None]),
        ("json", pa.array([{"a": Decimal("1.5")}]), ['{"a":"1.5"}']),
        ("text", pa.nulls(2), [None, None]),
    ],
)
def test_values_arrive_in_their_familys_dtype(family, array, expected):
    """Whatever the wire's type, the frame's dtype is its family's, and nothing is unreadable."""
    frame, relation = framed(family, array)
    assert frame["c"].to_list() == expected
    assert frame.schema == schema(relation)


@given(
    chunks=st.lists(
        st.lists(st.integers(-(2**100), 2**100) | st.none(), min_size=1, max_size=5), min_size=1, max_size=4
    )
)
def test_integers_of_every_width_stay_exact(chunks):
    """Each table may have another width: 64 bits stay integers, wider ones make the column text, and none loses a digit."""
    arrays = []
    for chunk in chunks:
        small = all(value is None or abs(value) < 2**63 for value in chunk)
        values = chunk if small else [None if value is None else Decimal(value) for value in chunk]
        arrays.append(pa.array(values, pa.int64() if small else pa.decimal128(38, 0)))
    frame, _ = framed("integer", *arrays)
    expected = [value for chunk in chunks for value in chunk]
    assert [None if value is None else int(value) for value in frame["c"]] == expected
    assert frame["@cursor"].to_list() == [None if value is None else str(value) for value in expected]


@pytest.mark.parametrize(
    ("family", "array", "spoilt"),
    [
        ("float", pa.array([1.5, float("nan"), float("inf")]), [1, 2]),
        ("timestamp", pa.array([0, 253_402_300_800_000_000, -62_135_596_800_000_001], pa.timestamp("us")), [1, 2]),
        ("instant", pa.array([0, 253_402_300_800_000_000], pa.timestamp("us", "UTC")), [1]),
        ("date", pa.array([0, 2_932_897, -719_163], pa.date32()), [1, 2]),
        ("integer", pa.array(["1", "x"]), [0, 1]),
    ],
)
def test_a_value_that_does_not_fit_spoils_only_its_row(family, array, spoilt):
    """It is null, told by its column's name and no value, and its neighbours are fine."""
    frame, _ = framed(family, array)
    assert [number for number, reason in enumerate(frame["@unreadable"]) if reason is not None] == spoilt
    assert frame["c"].is_null().arg_true().to_list() == spoilt
    assert all(reason.startswith("c: not ") for reason in frame["@unreadable"].drop_nulls())


def test_wall_clocks_become_utc_and_instants_stay():
    """`timezone` is of wall clocks only; the autumn hour that happens twice is its first pass."""
    wall = pa.array([dt.datetime(2024, 10, 27, 2, 30), dt.datetime(2024, 7, 1, 12)], pa.timestamp("ns"))  # noqa: DTZ001
    frame, _ = framed("timestamp", wall, timezone="Europe/Malta")
    assert frame["c"].dt.hour().to_list() == [0, 10]
    moment = pa.array([dt.datetime(2024, 7, 1, 12, tzinfo=dt.UTC)], pa.timestamp("us", "America/New_York"))
    frame, _ = framed("instant", moment, timezone="Europe/Malta")
    assert frame["c"].dt.hour().to_list() == [12]


def test_positions_are_texts_of_every_digit():
    """Times in UTC with six digits, bytes in hexadecimal, numbers as they are."""
    moment = dt.datetime(2024, 7, 1, 14, 0, 0, 5, dt.timezone(dt.timedelta(hours=2)))
    assert position_texts(pl.Series([moment])).to_list() == ["2024-07-01 12:00:00.000005+00:00"]
    assert position_texts(pl.Series([dt.datetime(2024, 7, 1)])).to_list() == ["2024-07-01 00:00:00.000000"]  # noqa: DTZ001
    assert position_texts(pl.Series([b"\xde\xad", None])).to_list() == ["dead", None]
    assert position_texts(pl.Series([Decimal("0.10")])).to_list() == ["0.10"]
    assert position_texts(pl.Series([dt.date(2024, 7, 1)])).to_list() == ["2024-07-01"]
    assert position_texts(pl.Series([0.1, 1e300])).to_list() == ["0.1", "1e+300"]
