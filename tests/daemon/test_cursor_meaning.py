"""What a cursor's values mean: seconds since 1970, whole hours, wall clocks, numbers in a text."""

from __future__ import annotations

import sqlite3
import time

import pytest

from waiting import until

TABLE = """CREATE TABLE t (transaction_id bigint PRIMARY KEY, ext_brand_id text DEFAULT 'b', user_ext_id bigint DEFAULT 1,
    at {type}, transaction_date timestamptz DEFAULT CURRENT_TIMESTAMP, deposit_amount numeric DEFAULT 1)"""
VIEW = "{name: deposits, source: db, relation: t, kind: deposits, cursor: at, every: 50ms%s}"
NOW_S = "extract(epoch FROM now())"
UNITS = [
    ("integer", "epoch_s", f"floor({NOW_S})"),
    ("numeric(16, 3)", "epoch_s", NOW_S),
    ("double precision", "epoch_s", NOW_S),
    ("bigint", "epoch_ms", f"floor({NOW_S} * 1000)"),
    ("bigint", "epoch_us", f"floor({NOW_S} * 1000000)"),
]


def insert(database, number, at):
    database.execute(f"INSERT INTO t (transaction_id, at) VALUES ({number}, {at})")


def delivered(day, count):
    """Poll until so many deposits have arrived; those that have, as numbers."""
    until(lambda: day.poll() and len(day.sent()) >= count, 0.02)
    return sorted(int(number) for number in day.sent())


@pytest.mark.slow
@pytest.mark.parametrize(("column", "unit", "now"), UNITS)
def test_numbers_that_tell_the_time(tracked, postgresql, column, unit, now):
    """With `cursor_is` late rows are looked for by time, what is dated ahead hides nothing, and a wrong unit is refused."""
    postgresql.execute(TABLE.format(type=column))
    day = tracked(f", cursor_is: {unit}, settle: 50ms", view=VIEW)
    scale = {"epoch_s": 1, "epoch_ms": 1_000, "epoch_us": 1_000_000}[unit]
    insert(postgresql, 30, f"{now} + {900 * scale}")
    for number in range(20, 25):
        insert(postgresql, number, now)
        day.poll()
    insert(postgresql, 1, f"{now} - {3 * scale}")
    insert(postgresql, 25, now)
    assert delivered(day, 8) == [1, 20, 21, 22, 23, 24, 25, 30]
    status = day.status
    assert status.late_commit.startswith("fence + lookback: ")
    assert status.ahead == 1
    checked = day.operator.check()
    assert checked.returncode == 0, checked.stdout


def test_numbers_that_look_like_times_are_told(operator, postgresql):
    """Without `cursor_is` check says what the numbers look like; with another unit than theirs the view is refused."""
    postgresql.execute(TABLE.format(type="bigint"))
    insert(postgresql, 1, f"floor({NOW_S} * 1000000)")
    operator.configure(postgresql.url, f"  - {VIEW % ''}\n")
    said = operator.check().stdout
    assert "! view deposits: the cursor at looks like a time (epoch_us)" in said
    assert "set `cursor_is: epoch_us`" in said
    operator.configure(postgresql.url, f"  - {VIEW % ', cursor_is: id'}\n")
    assert "looks like" not in operator.check().stdout
    operator.configure(postgresql.url, f"  - {VIEW % ', cursor_is: epoch_ms'}\n")
    wrong = operator.check()
    assert wrong.returncode == 2
    assert "set `cursor_is: epoch_us`" in wrong.stdout


def test_numbers_in_a_text_are_refused(operator):
    """'10' stands before '9': check and run say to cast, and nothing is sent."""
    with sqlite3.connect(operator.home / "replica.db") as replica:
        replica.execute(TABLE.format(type="VARCHAR(20)"))
        replica.executemany("INSERT INTO t (transaction_id, at) VALUES (?, ?)", [(n, str(n)) for n in range(7, 13)])
    operator.configure(f"sqlite:///{operator.home}/replica.db", f"  - {VIEW % ''}\n")
    for command in (("check",), ("run", "--once")):
        done = operator.check() if command == ("check",) else operator.sync(*command)
        assert done.returncode == 2, done.stdout
        assert "CAST(at AS bigint)" in done.stdout + done.stderr
    assert operator.accepted() == []


@pytest.mark.slow
@pytest.mark.parametrize("grain", ["hour", "day"])
def test_coarse_times_are_looked_for_from_their_end_on(tracked, postgresql, grain):
    """A time rounded down to the hour stands for the whole hour: a row of it is found however long ago the hour began."""
    postgresql.execute(TABLE.format(type="timestamptz"))
    day = tracked(", settle: 50ms, lookback: 100ms", view=VIEW)
    value = f"date_trunc('{grain}', now())"
    for number in range(20, 45):
        insert(postgresql, number, f"{value} - interval '{(44 - number) // 9} {grain}'")
    day.poll()
    for _ in range(10):
        day.poll()
        time.sleep(0.05)
    insert(postgresql, 1, value)
    assert delivered(day, 26) == [1, *range(20, 45)]
    assert f"whole {grain}s" in day.operator.check().stdout


def test_a_zone_that_was_forgotten_is_told(tracked, postgresql):
    """The server's zone is not UTC, times carry none, and the source has no `timezone:`: check says so, and the running view."""
    postgresql.execute(TABLE.format(type="timestamp"))
    insert(postgresql, 1, "now()")
    day = tracked("", view=VIEW)
    warnings = " ".join(day.poll().warnings)
    assert "the server's zone is Europe/Malta" in warnings
    said = day.operator.check().stdout
    assert "! view deposits: at carry no zone" in said
    config = day.operator.config
    config.write_text(config.read_text().replace("sources:\n  db:\n", "sources:\n  db:\n    timezone: UTC\n"))
    assert "carry no zone" not in day.operator.check().stdout
