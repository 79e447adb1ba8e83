"""The contract under `python -O`, which leaves every assert of the product out."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

ENGINES = ("sqlite", "postgresql", "mariadb")
PROMISES = ("page_and_clock_come_from_one_snapshot", "a_reading_sees_one_moment", "the_session_cannot_write")


@pytest.mark.slow
def test_no_promise_rests_on_an_assert():
    """Page and clock come from one snapshot, and nothing can be written, however Python was started."""
    chosen = f"({' or '.join(PROMISES)}) and ({' or '.join(ENGINES)})"
    # The tests' own asserts are rewritten by pytest, and hold; that helpers' do not is what it warns of.
    quiet = "ignore:assertions not in test modules:pytest.PytestConfigWarning"
    command = [
        sys.executable,
        "-m",
        "pytest",
        "-q",
        "-p",
        "no:xdist",
        "-p",
        "no:cacheprovider",
        "-W",
        quiet,
        "-k",
        chosen,
    ]
    ran = subprocess.run(
        [*command, str(Path(__file__).with_name("test_contract.py"))],
        env={**os.environ, "PYTHONOPTIMIZE": "1", "SYNC_TEST_REQUIRE": ""},
        capture_output=True,
        text=True,
        check=False,
    )
    assert ran.returncode == 0, ran.stdout + ran.stderr
    left_out = [line.strip() for name in ENGINES for line in ran.stdout.splitlines() if f"not covered: {name}:" in line]
    if left_out:
        pytest.skip("; ".join(left_out))
    assert f"{len(PROMISES) * len(ENGINES)} passed" in ran.stdout
