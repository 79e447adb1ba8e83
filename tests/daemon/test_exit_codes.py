"""A view that stops ends `--once` with the code of what must be mended, as the README's table says."""

from __future__ import annotations

import pytest

from daemon.deposits import DEPOSITS, VIEW, insert


@pytest.fixture
def deposits(operator, postgresql):
    """Twenty delivered deposits, and the view's further keys to choose."""
    postgresql.execute(*DEPOSITS, "ALTER TABLE deposits ADD COLUMN round bigint DEFAULT 1")
    insert(postgresql, *range(1, 21))

    def run(more=""):
        operator.configure(postgresql.url, f"  - {VIEW % more}\n")
        return operator.sync("run", "--once")

    assert run().returncode == 0
    return run


def test_another_key_is_a_mistake_of_the_configuration(deposits):
    """The state knows the view under its old key: that is for the configuration to mend, code 2."""
    done = deposits(", key: [transaction_id, round]")
    assert done.returncode == 2, done.stderr
    assert "was tracked as" in done.stderr
    assert "key=transaction_id" in done.stderr


def test_rows_without_a_cursor_are_for_the_source_to_mend(deposits, postgresql):
    """With `on_null_cursor: stop` the view ends with code 3."""
    insert(postgresql, 30, at="NULL")
    done = deposits(", on_null_cursor: stop")
    assert done.returncode == 3, done.stderr
    assert "NULL dt_finalized" in done.stderr


def test_rows_that_are_refused_as_a_whole_are_a_refusal(deposits, postgresql, operator):
    """Nearly everything refused ends with code 4, and the watermark stays."""
    operator.sandbox.set_faults(["refuse=1"])
    insert(postgresql, *range(100, 400))
    done = deposits()
    assert done.returncode == 4, done.stderr
    assert "rows are refused" in done.stderr
