"""The daemon's process stays small, whatever it reads."""

from __future__ import annotations

from dataclasses import replace

import pytest
from bench.memory import WORKS, tracked

MOST_MB = 400


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "rows"),
    [
        ("400,000 rows dated ahead", 400_000),
        ("100 columns", 20_000),
        ("20 kB texts", 3_000),
        ("API 100 ms away", 100_000),
    ],
)
def test_memory_is_bounded(postgresql, name, rows):
    """From the first row to the last acknowledgement, all of them delivered."""
    assert tracked(replace(WORKS[name], rows=rows), postgresql.url, postgresql.execute)["peak_mb"] < MOST_MB
