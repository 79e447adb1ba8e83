"""A backlog of any size takes hardly more requests than the API's limit of events asks for."""

from __future__ import annotations

import random

import polars as pl
import pytest

from smartico_sync.config.models import PAGE_ROWS
from smartico_sync.core.batches import CALM_WORTH, FULL_SPREAD, pieces
from smartico_sync.core.events import PLAYER
from smartico_sync.tracking.page_size import PageSize

MOST = 1000


@pytest.mark.parametrize(("rows", "share"), [(50_000, 0.9), (100_000, 0.93), (200_000, 0.95)])
@pytest.mark.parametrize("players", [5_000, 50_000])
def test_a_whole_run_fills_its_requests(rows, share, players):
    """The first pages too, which are small, and the last one: to nineteen twentieths, and nearly so in shorter runs."""
    dice, size, left, requests = random.Random(rows), PageSize(PAGE_ROWS), rows, 0
    names = [dice.getrandbits(64) for _ in range(players)]
    reading = "level"
    while left:
        height = min(left, size.limit(reading))
        page = pl.DataFrame({PLAYER: pl.Series(dice.choices(names, k=height), dtype=pl.UInt64)})
        requests += len(pieces(page, MOST, CALM_WORTH, FULL_SPREAD))
        reading = "behind"
        size.fit(page, reading)
        left -= height
    assert rows / requests >= share * MOST


def test_pages_grow_to_what_is_configured():
    """Where memory takes a page of that size, and not only where it takes four of the last one."""
    size, rows = PageSize(PAGE_ROWS), 0
    for _ in range(8):
        rows = size.limit("behind")
        size.fit(pl.DataFrame({"text": ["x" * 200] * rows}), "behind")
    assert rows == PAGE_ROWS
