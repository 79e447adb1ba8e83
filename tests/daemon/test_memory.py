"""The daemon's process stays small, whatever it reads."""

from __future__ import annotations

from dataclasses import replace

import pytest
from bench.memory import WORKS, Work, tracked

MOST_MB = 400
TEXT = "repeat(md5(({} * 1000 + n)::text), 625)"  # 20 kB
WIDE = ", ".join(f"{TEXT.format(each)} AS wide_{each}" for each in range(10))
FURTHER_ON = ", ".join(f"CASE WHEN n > 10000 THEN {TEXT.format(each)} END AS wide_{each}" for each in range(10))


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


@pytest.mark.slow
@pytest.mark.parametrize(
    "work",
    [
        pytest.param(Work(12_000, FURTHER_ON), id="200 kB a row behind short ones"),
        pytest.param(
            Work(200, ", ".join(f"{TEXT.format(each)} AS wide_{each}" for each in range(95))), id="2 MB a row"
        ),
        pytest.param(
            Work(1_000, f"{WIDE}, now() + interval '1 day' + n * interval '1 ms' AS dated", "dated"),
            id="200 kB dated ahead",
        ),
    ],
)
def test_memory_is_bounded_however_wide_rows_are(postgresql, work):
    """Whatever the rows before them were like, and by whichever question they are read; all of them are delivered."""
    assert tracked(work, postgresql.url, postgresql.execute)["peak_mb"] < MOST_MB
