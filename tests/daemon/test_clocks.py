"""The wall clock jumps, and nobody notices: schedules, waits and what is given up keep to the steady clock."""

from __future__ import annotations

import os
import signal
import sqlite3
import subprocess
import sys
import threading
import time
from contextlib import ExitStack, suppress
from datetime import datetime, timedelta
from types import SimpleNamespace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from daemon.deposits import TrackedView
from smartico_sync.config.load import load
from smartico_sync.daemon.scheduler import Scheduler
from smartico_sync.daemon.timetable import Every, Timetable
from smartico_sync.tracking import clocks
from smartico_sync.tracking.clocks import WallClock
from waiting import until

VIEW = (
    "  - {name: deposits, source: db, relation: deposits, kind: deposits, cursor: transaction_id, key: transaction_id, "
    "columns: {transaction_id: acc_last_transaction_id}, every: 50ms, late_commit: gaps, gaps_wait: 1s}\n"
)
HOURS_BACK, DAYS_AHEAD = timedelta(hours=-3), timedelta(days=400)
moments = st.datetimes(datetime(2000, 1, 1), datetime(2100, 1, 1))  # noqa: DTZ001 - only differences count


@pytest.fixture
def wall(monkeypatch):
    """The wall clock as the schedule and the records see it; `set(by)` sets it forward or back against the steady one."""
    jumped = SimpleNamespace(by=timedelta())

    class Clock(datetime):
        @classmethod
        def now(cls, tz=None):
            return datetime.now(tz) + jumped.by

    real_ms = clocks.now_ms
    monkeypatch.setattr("apscheduler.schedulers.base.datetime", Clock)
    monkeypatch.setattr("smartico_sync.daemon.timetable.datetime", Clock)
    monkeypatch.setattr(clocks, "now_ms", lambda: real_ms() + jumped.by // timedelta(milliseconds=1))
    monkeypatch.setattr(clocks, "clock", WallClock())
    return lambda by: setattr(jumped, "by", by)


@pytest.fixture
def replica(operator):
    """A SQLite replica with a deposit, configured; `insert()` adds one."""
    path = operator.home / "replica.db"

    def insert():
        with sqlite3.connect(path) as writer:
            writer.execute("INSERT INTO deposits DEFAULT VALUES")

    with sqlite3.connect(path) as writer:
        writer.execute(
            "CREATE TABLE deposits (transaction_id integer PRIMARY KEY, ext_brand_id text DEFAULT 'b', user_ext_id text DEFAULT '1', "
            "transaction_date text DEFAULT '2026-01-01 00:00:00', deposit_amount numeric DEFAULT 1)"
        )
    insert()
    operator.configure(f"sqlite:///{path}", VIEW)
    return insert


@pytest.mark.parametrize("by", [HOURS_BACK, DAYS_AHEAD, -DAYS_AHEAD], ids=["3 h back", "400 d ahead", "400 d back"])
def test_polls_go_on_when_the_wall_clock_is_set(operator, replica, wall, by):
    """Whatever the wall clock is set to, new rows are delivered."""
    with ExitStack() as stack:
        day = TrackedView(operator, stack)
        scheduler = Scheduler(day.parts.loops, day.parts.store, load(operator.config))
        daemon = threading.Thread(target=scheduler.forever)
        daemon.start()
        try:
            for number, clock in enumerate((timedelta(), by, timedelta()), 2):
                wall(clock)
                replica()
                until(lambda number=number: len(day.sent()) == number)
        finally:
            scheduler.stop()
            daemon.join()


@given(moments, st.floats(0.05, 86_400), st.none() | moments)
def test_what_is_due_next_is_due_within_an_interval(now, seconds, previous):
    """However far the clock was set since the last time: one time, and never a list of all that were missed."""
    due = Every(seconds).get_next_fire_time(previous, now)
    assert due == now if previous is None else now < due <= now + timedelta(seconds=seconds)


def test_a_clock_that_was_set_back_is_noticed_without_a_poll(wall):
    """Jobs that are due hours ahead are due at once, when somebody looks at them."""
    timetable, called = Timetable(), threading.Event()
    timetable.beside(3600, "prune", called.set)
    timetable.start()
    try:
        wall(HOURS_BACK)
        timetable.correct()
        until(called.is_set)
    finally:
        timetable.stop()


@given(st.lists(st.tuples(st.integers(0, 100_000), st.integers(-(10**11), 10**11)), min_size=1, max_size=12), st.data())
def test_nothing_is_given_up_before_both_clocks_agree(history, data):
    """A wait that began at a time of the wall clock is over by no clock alone; without steps it is over in time."""
    span = data.draw(st.integers(1, 300_000))
    steady = wall = 10**12
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(clocks, "steady_ms", lambda: steady)
        patched.setattr(clocks, "now_ms", lambda: wall)
        clock = WallClock()
        began = []
        for pause, step in history:
            began.append((steady, wall))
            steady, wall = steady + pause, wall + pause + step
            agreed = clock.agreed_ms(span)
            for at, told in began:
                if agreed - told >= span:
                    assert steady - at >= span - clocks.STEP_MS
                    assert wall - told >= span - clocks.STEP_MS
        steady, wall = steady + span + 1, wall + span + 1
        assert abs(clock.agreed_ms(span) - wall) < clocks.STEP_MS


def test_keys_stay_when_the_wall_clock_is_set_forward(operator, replica, wall):
    """The ledger is pruned after `ledger_retention`, and not because a clock says so that was right a minute ago."""
    with ExitStack() as stack:
        day = TrackedView(operator, stack)
        day.poll()
        scheduler = Scheduler(day.parts.loops, day.parts.store, load(operator.config))
        wall(DAYS_AHEAD)
        scheduler.prune()
        assert day.parts.store.ledger_between("deposits", 0, 2**62).height == 1


def test_a_player_is_waited_for_by_the_steady_clock(operator, replica, wall):
    """Set forward, the clock gives up no event of an unknown player; set back, the event is tried again all the same."""
    operator.sandbox.set_faults(["unknown-users"])
    with ExitStack() as stack:
        day = TrackedView(operator, stack)
        day.poll()
        assert day.status.parked
        wall(DAYS_AHEAD)
        day.poll()
        assert day.status.dead == {}
        assert day.status.parked
        wall(HOURS_BACK)
        operator.sandbox.set_faults([])
        until(lambda: day.poll() and day.sent() == ["1"])


@pytest.mark.slow
def test_a_frozen_machine_goes_on(operator, replica):
    """Stopped for 75 s, as a virtual machine that is moved: then it is alive, and delivers."""
    daemon = operator.start("run")
    try:
        until(operator.accepted)
        daemon.send_signal(signal.SIGSTOP)
        time.sleep(75)
        daemon.send_signal(signal.SIGCONT)
        replica()
        until(lambda: len(operator.accepted()) == 2)
    finally:
        daemon.kill()


def command(home, *words, **environ):
    """The command in a process with this environment."""
    code = "import sys; sys.argv[0] = 'smartico-sync'; from smartico_sync.cli import main; main()"
    return subprocess.run(
        [sys.executable, "-c", code, *words, "--config", "views.yaml"],
        cwd=home, env={**os.environ, **environ}, capture_output=True, text=True, check=False,
    )  # fmt: skip


def test_an_unknown_zone_of_the_machine_does_not_matter(operator, replica):
    """`TZ` names a zone that is not there: everything is in UTC anyway."""
    daemon = subprocess.Popen(
        [sys.executable, "-c", "from smartico_sync.cli import main; main()", "run", "--config", "views.yaml"],
        cwd=operator.home, env={**os.environ, "TZ": "Nowhere/Land"}, stderr=subprocess.PIPE, text=True,
    )  # fmt: skip
    try:
        until(lambda: operator.accepted() or daemon.poll() is not None)
        assert daemon.poll() is None
    finally:
        with suppress(ProcessLookupError):
            daemon.terminate()
        assert daemon.communicate()[1].count("Traceback") == 0
    assert daemon.returncode == 0


def test_utc_needs_no_zone_data(operator, replica):
    """On an image without any, a source whose zone is UTC works."""
    (operator.home / "tzdata.py").write_text("raise ImportError('not here')\n")
    done = command(operator.home, "run", "--once", PYTHONTZPATH="", PYTHONPATH=str(operator.home))
    assert done.returncode == 0, done.stderr
    assert len(operator.accepted()) == 1
