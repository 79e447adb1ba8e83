"""The night on which an hour happens twice, in a database that stores wall clocks."""

from __future__ import annotations

import sqlite3
import threading
from contextlib import ExitStack, closing
from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest

from smartico_sync.config.load import load
from smartico_sync.daemon.wiring import assemble
from smartico_sync.sources.sqlite import reading
from smartico_sync.tracking import loop as view_loop
from smartico_sync.tracking import mutation_scan, page_reader

VIEW = """
  - {name: deposits, source: db, relation: deposits, kind: deposits, cursor: dt_finalized, key: transaction_id, lookback: 10m}
"""
MALTA = ZoneInfo("Europe/Malta")


class Clock:
    """One clock for database and daemon, set by the test."""

    def __init__(self, now):
        self.now = now

    def time_ns(self):
        return int(self.now.timestamp() * 1000) * 1_000_000

    def monotonic(self):
        return self.now.timestamp()

    def monotonic_ns(self):
        return self.time_ns()

    def steady_ms(self):
        return self.time_ns() // 1_000_000


@pytest.mark.slow
@pytest.mark.parametrize("late", [timedelta(0), pytest.param(timedelta(minutes=8), marks=pytest.mark.slow)])
def test_the_hour_that_happens_twice_loses_nothing_and_doubles_nothing(operator, tmp_path, monkeypatch, late):
    """Rows of both passes, in order and late within the lookback, arrive once each; the wall clock of the second stands
    among those of the first."""
    path = tmp_path / "replica.db"
    clock = Clock(datetime(2026, 10, 24, 23, 30, tzinfo=UTC))
    monkeypatch.setattr(reading, "time", clock)
    for module in (view_loop, page_reader, mutation_scan):
        monkeypatch.setattr(module, "steady_ms", clock.steady_ms)
    operator.configure(f"sqlite:///{path}\n    timezone: Europe/Malta", VIEW)
    with closing(sqlite3.connect(path, isolation_level=None)) as writer, ExitStack() as stack:
        writer.execute(
            "CREATE TABLE deposits (transaction_id INTEGER PRIMARY KEY, ext_brand_id TEXT DEFAULT 'b', user_ext_id INTEGER DEFAULT 1,"
            " dt_finalized TIMESTAMP, transaction_date TIMESTAMP DEFAULT '2026-01-01 00:00:00', deposit_amount INTEGER DEFAULT 1)"
        )
        (loop,) = assemble(load(operator.config), operator.home, stack).loops
        waiting, number = [], 0
        while clock.now < datetime(2026, 10, 25, 3, 30, tzinfo=UTC):
            number += 1
            wall = clock.now.astimezone(MALTA).replace(tzinfo=None).isoformat(sep=" ", timespec="milliseconds")
            waiting.append((clock.now + (late if number % 3 == 0 else timedelta(0)), number, wall))
            for row in [row for row in waiting if row[0] <= clock.now]:
                waiting.remove(row)
                writer.execute("INSERT INTO deposits (transaction_id, dt_finalized) VALUES (?, ?)", row[1:])
            loop.poll(threading.Event())
            assert loop.standing.error is None
            clock.now += timedelta(minutes=2, seconds=7)
        for row in waiting:
            writer.execute("INSERT INTO deposits (transaction_id, dt_finalized) VALUES (?, ?)", row[1:])
        loop.poll(threading.Event())
    sent = [int(event["payload"]["acc_last_transaction_id"]) for event in operator.accepted()]
    assert sorted(sent) == list(range(1, number + 1))
    assert operator.sandbox.stats()["duplicates"] == 0
