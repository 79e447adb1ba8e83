"""Cursors as moments: units, grains, and days that end in their zone."""

from __future__ import annotations

from datetime import UTC, date, datetime

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from smartico_sync.core.cursor_time import (
    DAY_MS,
    Grain,
    cursor_ms,
    epoch_text,
    latest_ms,
    looks_like,
    now_ms,
)
from smartico_sync.core.relation import Column, Relation

NOW = int(datetime(2026, 3, 1, 12, tzinfo=UTC).timestamp() * 1000)


def relation(family, timezone="UTC", cursor_is="auto"):
    return Relation("v", "at", (), "v", None, timezone, (Column("at", family, family),), cursor_is)


@given(st.integers(0, 4_000_000_000_000))
def test_units_lead_to_milliseconds(ms):
    """Seconds, milliseconds and microseconds, whole or with a fraction, mean the same moment in the ledger."""
    assert cursor_ms(pl.Series([ms * 1_000 + 999]), "epoch_us").to_list() == [ms]
    assert cursor_ms(pl.Series([ms]), "epoch_ms").to_list() == [ms]
    assert cursor_ms(pl.Series([f"{ms // 1000}.{ms % 1000:03}"]), "epoch_s").to_list() == [ms]
    assert cursor_ms(pl.Series([ms // 1000]), "epoch_s").to_list() == [ms // 1000 * 1000]
    assert cursor_ms(
        pl.Series([float(epoch_text(ms, relation("float", cursor_is="epoch_s")))]), "epoch_s"
    ).to_list() == [ms]


@pytest.mark.parametrize(
    ("value", "meaning"),
    [
        (str(NOW // 1000), "epoch_s"), (f"{NOW / 1000:.3f}", "epoch_s"), (str(NOW), "epoch_ms"), (str(NOW * 1000), "epoch_us"),
        ("4711", "id"), ("999999999", "id"), ("x", "id"), (str(NOW * 1_000_000), "id"),
    ],
)  # fmt: skip
def test_times_are_known_by_their_magnitude(value, meaning):
    """A number near now in some unit is a time."""
    assert looks_like(value, NOW) == meaning


@pytest.mark.parametrize(
    ("values", "grain"),
    [
        ([0, DAY_MS], DAY_MS),
        ([3_600_000], DAY_MS),
        ([3_600_000, 7_200_000], 3_600_000),
        ([900_000, 3_600_000], 900_000),
        ([82_800_000, 169_200_000], DAY_MS),
        ([60_000, 3_600_000], 60_000),
        ([1_000], 1_000),
        ([1], 1),
        ([], DAY_MS),
    ],
)
def test_a_grain_is_the_coarsest_that_fits(values, grain):
    """Times count as rounded as all that were seen, and never coarser again."""
    seen = Grain().narrowed(pl.Series(values, dtype=pl.Int64))
    assert seen.ms == grain
    assert seen.narrowed(pl.Series([7])).narrowed(pl.Series([0])).ms == 1


@pytest.mark.parametrize(("zone", "hours"), [("UTC", 24), ("America/New_York", 29), ("Asia/Tokyo", 15)])
def test_a_day_ends_in_its_zone(zone, hours):
    """A date stands for a day of the source's zone, and it is today as soon as it is there."""
    first = int(datetime(2026, 1, 5, tzinfo=UTC).timestamp() * 1000)
    here = relation("date", zone)
    assert latest_ms(pl.Series([date(2026, 1, 5)]), here) == first + hours * 3_600_000 - 1
    assert now_ms(here, first + (hours - 1) * 3_600_000) // DAY_MS * DAY_MS == first


def test_a_coarse_time_stands_for_what_it_was_rounded_from():
    """Minutes stand for their last millisecond."""
    moment = datetime(2026, 1, 5, 10, 30)  # noqa: DTZ001  - naive UTC, as frames hold it
    assert (
        latest_ms(pl.Series([moment]), relation("timestamp"), 60_000)
        - latest_ms(pl.Series([moment]), relation("timestamp"))
        == 59_999
    )
