"""How old a profile is, by whatever its cursor means."""

from __future__ import annotations

from datetime import UTC, date, datetime

import polars as pl
import pytest

from smartico_sync.core.events import PLAYER
from smartico_sync.core.profile_age import cursors, older
from smartico_sync.core.relation import Column, Relation

NOON = datetime(2026, 1, 1, 12, tzinfo=UTC)
NOON_US = int(NOON.timestamp()) * 1_000_000
LATEST_MS = NOON_US // 1000 + 10_000


def at(values, family, cursor_is="auto", dtype=None):
    relation = Relation("v", "c", (), relation="v", columns=(Column("c", family, family),), cursor_is=cursor_is)
    return cursors(pl.DataFrame({"c": pl.Series(values, dtype=dtype)}), relation, LATEST_MS).to_list()


@pytest.mark.parametrize(
    ("values", "family", "cursor_is", "expected"),
    [
        ([NOON, NOON.replace(microsecond=1)], "instant", "auto", [NOON_US, NOON_US + 1]),
        ([date(2026, 1, 1)], "date", "auto", [NOON_US - 43_200_000_000]),
        ([7, None], "integer", "auto", [7, None]),
        (["12", "9" * 30], "decimal", "auto", [12, None]),
        (["10", "9"], "text", "auto", [None, None]),
        ([NOON_US // 1_000_000], "integer", "epoch_s", [NOON_US]),
        ([f"{NOON_US / 1_000_000:.6f}"], "decimal", "epoch_s", [NOON_US]),
        ([NOON_US // 1000], "integer", "epoch_ms", [NOON_US]),
        ([NOON_US + 1], "integer", "epoch_us", [NOON_US + 1]),
    ],
)
def test_a_cursor_is_a_number_that_keeps_its_order_or_nothing(values, family, cursor_is, expected):
    """Times to the microsecond, ids as they are; what is ordered as text, or is too wide, tells no age."""
    assert at(values, family, cursor_is) == expected


@pytest.mark.parametrize(
    ("values", "family", "cursor_is"),
    [([NOON.replace(year=2099)], "instant", "auto"), ([4_070_908_800], "integer", "epoch_s")],
)
def test_a_row_dated_ahead_makes_nothing_look_old(values, family, cursor_is):
    """A time beyond the latest counts as that."""
    assert at(values, family, cursor_is) == [LATEST_MS * 1000]


def test_what_is_older_is_older_than_something_known_or_before_it():
    """Held against what is known of the player, and against the rows before it; equal moments are not older."""
    frame = pl.DataFrame({PLAYER: pl.Series([1, 1, 2, 1, 3, 1], dtype=pl.UInt64)})
    moments = pl.Series("cursor_at", [5, 7, 1, 6, None, 7], dtype=pl.Int64)
    known = pl.DataFrame({"id": [1, 2], "cursor_at": [6, None]}, schema={"id": pl.UInt64, "cursor_at": pl.Int64})
    assert older(frame, moments, known).to_list() == [True, False, False, True, False, False]
    assert older(frame[1:3], moments[1:3], known) is None
