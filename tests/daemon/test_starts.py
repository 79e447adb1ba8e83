"""Where a view begins: asked before anything is stored, and nothing that was still open then is lost."""

from __future__ import annotations

import random
import time
from contextlib import contextmanager

import psycopg
import pytest

from daemon.deposits import delivered, polled
from daemon.test_tracking import DEPOSITS, VIEW, insert
from smartico_sync.errors import SourceUnreachable

HISTORY = (
    "INSERT INTO deposits (transaction_id, dt_finalized) "
    "SELECT g, now() - interval '1 second' - g * interval '1 minute' FROM generate_series(1, 500) g"
)
BY_ID = VIEW.replace(
    "cursor: dt_finalized", "cursor: transaction_id, columns: {transaction_id: acc_last_transaction_id}"
)


class Trouble:
    """Lets so many calls pass, and breaks the next one."""

    def __init__(self, passing):
        self.passing = passing

    def call(self, action):
        def called(*arguments, **named):
            self.passing -= 1
            if self.passing == -1:
                raise SourceUnreachable("it broke", hint="mend it")
            return action(*arguments, **named)

        return called

    @contextmanager
    def reading(self, opened):
        with opened as reading:
            yield Broken(reading, self)


class Broken:
    """A reading, or a store, of which one call breaks."""

    def __init__(self, whole, trouble):
        self.whole, self.trouble = whole, trouble

    def __getattr__(self, name):
        value = getattr(self.whole, name)
        return self.trouble.call(value) if callable(value) else value


def break_after(day, passing, monkeypatch):
    """Have one call on the source or the state fail while the view begins."""
    trouble = Trouble(passing)
    source, store = day.loop.equipment.source, day.loop.equipment.store
    opened = source.reading
    monkeypatch.setattr(source, "reading", trouble.call(lambda *asked: trouble.reading(opened(*asked))))
    monkeypatch.setattr(source, "describe", trouble.call(source.describe))
    monkeypatch.setattr(source, "facts", trouble.call(source.facts))
    monkeypatch.setattr(store, "begin", trouble.call(store.begin))
    monkeypatch.setattr(store, "commit", trouble.call(store.commit))
    return trouble


def sent_in_the_end(day, count):
    """The ids that are sent once so many are, and a while later."""
    delivered(day, count)
    polled(day, 0.2)
    return sorted(day.sent())


@pytest.mark.slow
@pytest.mark.parametrize("view", [VIEW, BY_ID], ids=["times", "ids"])
def test_a_start_that_breaks_anywhere_never_sends_the_history(tracked, postgresql, monkeypatch, view):
    """Whatever call fails while a view begins at the present, it is asked again, and only what comes then is sent."""
    monkeypatch.setattr("daemon.deposits.VIEW", view)
    postgresql.execute(HISTORY)
    for passing in range(40):
        day = tracked(", start_from: now")
        before = len(day.sent())
        with monkeypatch.context() as broken:
            trouble = break_after(day, passing, broken)
            day.poll()
        day.loop._resume_at = 0.0
        day.poll()
        insert(postgresql, 10_000 + passing)
        for _ in range(3):
            day.poll()
        assert set(day.sent()[before:]) <= {str(10_000 + number) for number in range(passing + 1)}
        assert str(10_000 + passing) in day.sent()
        day.stack.pop_all().close()
        for file in (day.operator.home / "state").iterdir():
            file.unlink()
        if trouble.passing >= 0:
            assert passing > 8
            return
    pytest.fail("it never got through")


@pytest.mark.slow
@pytest.mark.timeout(300)
def test_a_kill_while_a_view_begins_never_sends_the_history(operator, postgresql):
    """`kill -9` at any moment of the first start: afterwards the view begins, and sends what comes from then on."""
    postgresql.execute(*DEPOSITS, HISTORY)
    dice = random.Random(1)
    operator.configure(postgresql.url, f"  - {VIEW % ', start_from: now'}\n")
    for _ in range(25):
        daemon = operator.start("run")
        time.sleep(0.5 + dice.random() * 0.8)
        daemon.kill()
        daemon.wait()
        assert operator.accepted() == []
        if dice.random() < 0.7:
            for file in (operator.home / "state").glob("*"):
                file.unlink()
    assert operator.sync("run", "--once").returncode == 0
    insert(postgresql, 10_001)
    assert operator.sync("run", "--once").returncode == 0
    assert [event["payload"]["acc_last_transaction_id"] for event in operator.accepted()] == ["10001"]


def test_rows_that_are_open_at_the_start_are_sent(tracked, postgresql):
    """A transaction that began before the view and commits after it is no history, for times and on the fence."""
    postgresql.execute(HISTORY)
    with psycopg.connect(postgresql.admin_url) as writer:
        writer.execute("INSERT INTO deposits (transaction_id, dt_finalized) VALUES (900, now())")
        insert(postgresql, 901)
        day = tracked(", start_from: now, settle: 100ms")
        day.poll()
        insert(postgresql, 902)
        day.poll()
        writer.commit()
    assert sent_in_the_end(day, 2) == ["900", "902"]


@pytest.mark.parametrize("late_commit", ["fence", "gaps"])
def test_ids_that_are_open_at_the_start_are_waited_for(tracked, postgresql, monkeypatch, late_commit):
    """Ids missing below the head when the view begins are found when their writers commit."""
    monkeypatch.setattr("daemon.deposits.VIEW", BY_ID)
    insert(postgresql, *range(1, 200), *range(203, 300))
    with psycopg.connect(postgresql.admin_url) as first, psycopg.connect(postgresql.admin_url) as second:
        first.execute("INSERT INTO deposits (transaction_id, dt_finalized) VALUES (200, now()), (201, now())")
        second.execute("INSERT INTO deposits (transaction_id, dt_finalized) VALUES (202, now())")
        day = tracked(f", start_from: now, late_commit: {late_commit}")
        day.poll()
        first.commit()
        insert(postgresql, 300)
        day.poll()
        day.poll()
        second.commit()
    assert sent_in_the_end(day, 4) == ["200", "201", "202", "300"]


def test_rows_that_share_the_heads_time_are_sent(tracked, postgresql):
    """Rows that come with the very time at which the view began are sent, whatever their key; those that were there are not."""
    moment = "date_trunc('minute', now())"
    insert(postgresql, 10, 20, at=moment)
    (at,) = postgresql.execute("SELECT dt_finalized::text FROM deposits LIMIT 1")[0]
    day = tracked(", start_from: now")
    day.poll()
    insert(postgresql, 5, 15, 25, at=f"'{at}'")
    assert sent_in_the_end(day, 3) == ["15", "25", "5"]


@pytest.mark.parametrize(("late_commit", "lookback"), [("lookback", "10m"), ("fence", "10m")])
def test_an_empty_relation_begins_at_its_first_row(tracked, postgresql, late_commit, lookback):
    """Where nothing is there yet, all that comes is sent, also by a view that was stopped in between."""
    day = tracked(f", start_from: now, late_commit: {late_commit}, lookback: {lookback}")
    day.poll()
    day.stack.pop_all().close()
    insert(postgresql, 1)
    day = tracked(f", start_from: now, late_commit: {late_commit}, lookback: {lookback}")
    day.poll()
    assert day.sent() == ["1"]


@pytest.mark.parametrize(
    ("start", "sent"),
    [
        ("2026-01-03T00:00:00Z", ["3", "4"]),
        ("2026-01-03T00:00:00+02:00", ["3", "4"]),
        ("2026-01-03T02:00:00+02:00", ["3", "4"]),
        ("2026-01-02T23:00:00-02:00", ["4"]),
        ("2026-01-03", ["3", "4"]),
    ],
)
def test_a_start_at_a_moment_is_that_moment_and_all_after_it(tracked, postgresql, start, sent):
    """`start_from:` a time begins with the rows of that time, in the zone that it names."""
    for day_of_month in range(1, 5):
        insert(postgresql, day_of_month, at=f"'2026-01-0{day_of_month}T00:00:00Z'")
    day = tracked(f", start_from: '{start}'")
    day.poll()
    assert sorted(day.sent()) == sent


def test_a_start_at_an_id_is_that_id_and_all_after_it(tracked, postgresql, monkeypatch):
    """`start_from:` an id begins with it."""
    monkeypatch.setattr("daemon.deposits.VIEW", BY_ID)
    insert(postgresql, *range(1, 8))
    day = tracked(", start_from: 5")
    day.poll()
    assert sorted(day.sent()) == ["5", "6", "7"]


@pytest.mark.parametrize(
    ("view", "start", "expected"),
    [
        (VIEW, "1000", "a time, such as"),
        (VIEW, "yesterday", "a time, such as"),
        (BY_ID, "2026-01-01", "a whole number"),
    ],
)
def test_a_start_that_is_no_cursor_is_told_before_anything_is_stored(operator, postgresql, view, start, expected):
    """A wrong `start_from:` is a mistake of the configuration, exit code 2, with the form that is expected."""
    postgresql.execute(*DEPOSITS, HISTORY)
    operator.configure(postgresql.url, f"  - {view % f', start_from: {start!r}'}\n")
    done = operator.sync("run", "--once")
    assert done.returncode == 2, done.stderr
    assert expected in done.stderr
    operator.configure(postgresql.url, f"  - {view % ', start_from: now'}\n")
    assert operator.sync("run", "--once").returncode == 0
    assert operator.accepted() == []


def test_a_rewind_to_the_first_row_goes_there(tracked, postgresql):
    """Also for a view that began at the present."""
    insert(postgresql, 1, 2)
    day = tracked(", start_from: now")
    day.poll()
    day.parts.store.rewind("deposits", None, at_ms=1)
    day.loop._drop_session()
    day.poll()
    assert sorted(day.sent()) == ["1", "2"]


def test_history_reaches_up_to_where_the_view_began(operator, postgresql):
    """A backfill asked for at once sends also the last minutes before the start, which the view itself never sends."""
    postgresql.execute(*DEPOSITS)
    insert(postgresql, *range(1, 21), at="now() - interval '1 minute'")
    operator.configure(postgresql.url, f"  - {VIEW % ', start_from: now, late_commit: lookback'}\n")
    assert operator.sync("run", "--once").returncode == 0
    done = operator.sync("backfill", "deposits", "--from", "2026-01-01T00:00:00")
    assert done.returncode == 0, done.stderr
    assert len(operator.accepted()) == 20


def test_trace_says_that_a_row_was_there_at_the_start(operator, postgresql):
    """What was there when the view began is never called acknowledged."""
    postgresql.execute(*DEPOSITS)
    insert(postgresql, 1)
    operator.configure(postgresql.url, f"  - {VIEW % ', start_from: now'}\n")
    assert operator.sync("run", "--once").returncode == 0
    insert(postgresql, 2)
    assert operator.sync("run", "--once").returncode == 0
    assert "there when the view began" in operator.sync("trace", "deposits", "1").stdout
    assert "    acknowledged" in operator.sync("trace", "deposits", "2").stdout


def test_a_view_without_a_key_begins_at_the_present(tracked, postgresql, monkeypatch):
    """Also where rows are told apart by what they hold: those that come with the newest value are sent, those there are not."""
    keyless = (
        "{name: deposits, source: db, relation: deposits, kind: deposits, key: [], cursor: dt_finalized, every: 50ms%s}"
    )
    monkeypatch.setattr("daemon.deposits.VIEW", keyless)
    insert(postgresql, 10, 20, at="date_trunc('minute', now())")
    (at,) = postgresql.execute("SELECT dt_finalized::text FROM deposits LIMIT 1")[0]
    day = tracked(", start_from: now")
    day.poll()
    insert(postgresql, 5, 25, at=f"'{at}'")
    assert sent_in_the_end(day, 2) == ["25", "5"]
