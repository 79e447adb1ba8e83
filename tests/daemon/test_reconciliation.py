"""The safety net: on by default, by key, over every view in turn, and over what profiles hold."""

from __future__ import annotations

import json
import threading
from contextlib import ExitStack

import pytest

from daemon.test_backfill import PROFILES, USERS
from daemon.test_tracking import DEPOSITS, VIEW, insert
from smartico_sync.config.load import load
from smartico_sync.config.models import Reconcile
from smartico_sync.daemon.wiring import assemble
from smartico_sync.tracking.compared_span import span
from smartico_sync.tracking.reconciliation import Span, compare
from smartico_sync.tracking.reconciliation_rounds import ReconciliationRounds, compare_view
from waiting import until

LATE = ", late_commit: lookback, lookback: 1s"


def test_a_lost_row_does_not_hide_behind_a_deleted_one(operator, postgresql):
    """In one hour a row appears far below the watermark and another is deleted: counts are equal, and it is found all the same."""
    postgresql.execute(*DEPOSITS)
    insert(postgresql, *range(1, 11), at="now() - interval '5 hours'")
    insert(postgresql, *range(11, 21))
    operator.configure(postgresql.url, f"  - {VIEW % LATE}\n")
    assert operator.sync("run", "--once").returncode == 0
    until(lambda: operator.sync("run", "--once").returncode == 0 and "closed" not in operator.sync("reconcile").stdout)
    insert(postgresql, 99, at="(SELECT dt_finalized FROM deposits WHERE transaction_id = 1)")
    postgresql.execute("DELETE FROM deposits WHERE transaction_id = 2")
    done = operator.sync("reconcile")
    assert done.returncode == 6, done.stdout
    assert "missing: 99" in done.stdout
    assert "1 gone from the source" in done.stdout


def test_ids_that_are_far_apart_cost_a_question_each(operator, postgresql):
    """Eleven rows with snowflake ids are compared in as many steps, not in one for every 3.6 million ids between them."""
    postgresql.execute(*DEPOSITS)
    ids = [1_700_000_000_000_000_000 + number * 10_000_000_000_000 for number in range(11)]
    insert(postgresql, *ids)
    operator.configure(
        postgresql.url,
        "  - {name: deposits, source: db, relation: deposits, kind: deposits, cursor: transaction_id, late_commit: gaps, gaps_wait: 1s}\n",
    )
    assert operator.sync("run", "--once").returncode == 0
    told = json.loads(operator.sync("reconcile", "--json").stdout)[0]["compared"]
    assert told is None or told["differing"] == []


@pytest.mark.slow
def test_ids_that_are_far_apart_are_walked_together(tracked, postgresql):
    """Three thousand snowflake ids, each alone in its bucket: a comparison asks a few times, and finds the one that is lost."""
    view = tracked(
        ", late_commit: gaps, gaps_wait: 1s", view=VIEW.replace("cursor: dt_finalized", "cursor: transaction_id")
    )
    step, lost = 40_000_000_000, 1_700_000_000_000_000_000
    postgresql.execute(
        f"INSERT INTO deposits (transaction_id, dt_finalized) SELECT {lost} + g * {step}, now() FROM generate_series(1, 3000) g"
    )
    until(lambda: (view.poll(), view.loop.equipment.store.view("deposits").watermark)[1])
    insert(postgresql, lost + step // 2)
    source, store, prepared = view.loop.equipment.source, view.loop.equipment.store, view.loop._session.prepared
    asked = []

    class Counted:
        def reading(self, relation):
            asked.append(relation)
            return source.reading(relation)

    row = store.view("deposits")
    found = compare(prepared, Counted(), store, "deposits", Span(0, int(row.watermark.cursor) + 1))
    assert [position.cursor for position in found.missing] == [str(lost + step // 2)]
    assert found.source == 3001
    assert len(asked) < 10


@pytest.mark.parametrize(
    ("cursor", "start"),
    [
        ("dt_finalized", "now"),
        ("dt_finalized", "2026-01-01T12:00:00"),
        ("transaction_id", "now"),
        ("transaction_id", "500"),
    ],
)
def test_what_comes_between_the_start_and_the_first_row_is_compared(tracked, postgresql, cursor, start):
    """A view that begins at the present, or at a value, is compared from there on, and what was there before is not missed."""
    view = tracked(
        f", late_commit: lookback, lookback: 1ms, start_from: {start}",
        view=VIEW.replace("cursor: dt_finalized", f"cursor: {cursor}"),
    )
    for number in range(490, 500):
        insert(postgresql, number, at="timestamptz '2026-01-01 11:00Z'")
    view.poll()
    for number in (600, 700):
        insert(postgresql, number, at=f"timestamptz '2026-01-01 12:{(number - 600) // 10 + 30}Z'")
        until(lambda: view.poll().watermark == view.status.head)
    insert(postgresql, 550, at="timestamptz '2026-01-01 12:15Z'")
    source, store, prepared = view.loop.equipment.source, view.loop.equipment.store, view.loop._session.prepared
    over = span(prepared, source, store, store.view("deposits"))
    found = compare(prepared, source, store, "deposits", over)
    assert [position.key for position in found.missing] == [("550",)]


def test_a_view_that_cannot_be_read_hides_no_other(operator, postgresql):
    """All other views are compared, and the command says which was not, and why."""
    postgresql.execute(*DEPOSITS)
    insert(postgresql, 1, 2, 3, at="now() - interval '5 hours'")
    gone = VIEW.replace("name: deposits", "name: gone").replace("relation: deposits", "relation: gone")
    operator.configure(postgresql.url, f"  - {VIEW % LATE}\n")
    assert operator.sync("run", "--once").returncode == 0
    insert(postgresql, 4, at="now() - interval '6 hours'")
    operator.configure(postgresql.url, f"  - {gone % ''}\n  - {VIEW % LATE}\n")
    done = operator.sync("reconcile")
    assert "missing: 4" in done.stdout
    assert "gone: not compared: " in done.stdout
    assert done.returncode == 3
    assert json.loads(operator.sync("reconcile", "--json").stdout)[1]["compared"]["missing"]


def test_it_is_on_by_default(operator, postgresql):
    """Without a word in the configuration each view is compared every hour, and differences are reported."""
    postgresql.execute(*DEPOSITS)
    operator.configure(postgresql.url, f"  - {VIEW % ''}\n")
    reconcile = load(operator.config).reconcile
    assert (reconcile.every, reconcile.send) == (3_600_000, "report")


class Rounds:
    """A daemon's parts whose loops are at work, compared by hand."""

    def __init__(self, operator, stack):
        self.parts = assemble(load(operator.config), operator.home, stack)
        self.stopping = threading.Event()
        self.threads = [threading.Thread(target=loop.run, args=(self.stopping,)) for loop in self.parts.loops]
        for loop, thread in zip(self.parts.loops, self.threads, strict=True):
            thread.start()
            loop.mailbox.ask_to_poll()
        stack.callback(self.end)

    def end(self):
        self.stopping.set()
        for loop in self.parts.loops:
            loop.mailbox.wake()
        for thread in self.threads:
            thread.join()

    def polled(self):
        for loop in self.parts.loops:
            loop.mailbox.ask_to_poll()
        until(lambda: all(loop.standing.progress == "caught up" for loop in self.parts.loops))


@pytest.fixture
def rounds(operator):
    """The parts of a configuration."""
    with ExitStack() as stack:
        yield lambda: Rounds(operator, stack)


def test_a_profile_that_changed_without_moving_its_cursor_is_told(operator, postgresql, rounds):
    """Nobody else would notice: the view never shows it as new. The finding names the column and the command."""
    postgresql.execute(
        *USERS,
        "INSERT INTO players SELECT g, 'b', 'p' || g, timestamptz '2026-01-01Z' + g * interval '1 second' FROM generate_series(1, 500) g",
    )
    operator.configure(postgresql.url, f"  - {PROFILES % ''}\n")
    at_work = rounds()
    at_work.polled()
    until(lambda: at_work.polled() or at_work.parts.store.view("players").watermark is not None)
    postgresql.execute("UPDATE players SET core_username = 'changed' WHERE user_ext_id > 400")
    (loop,) = at_work.parts.loops
    for _ in range(20):  # the sample begins anywhere
        compare_view(loop, "report", threading.Event())
        if at_work.parts.board.views()[0].differing:
            break
    view = at_work.parts.board.views()[0]
    assert 0 < view.differing <= 100
    assert view.missing == 0


@pytest.mark.slow
def test_every_view_has_its_turn(operator, postgresql, rounds):
    """Also when one comparison takes longer than the interval: the one that waited longest is next."""
    postgresql.execute(*DEPOSITS)
    names = ["one", "two", "three", "four"]
    views = "".join(f"  - {VIEW.replace('name: deposits', f'name: {name}') % LATE}\n" for name in names)
    operator.configure(postgresql.url, views)
    operator.config.write_text(operator.config.read_text() + "reconcile: {every: 1s}\n")
    at_work = rounds()
    insert(postgresql, 1, 2, 3)
    at_work.polled()
    comparing = ReconciliationRounds(at_work.parts.loops, load(operator.config).reconcile)
    order = []
    comparing.attempt = lambda loop, _: order.append(loop.name)
    stopping = threading.Event()
    thread = threading.Thread(target=comparing.work, args=(stopping,))
    thread.start()
    until(lambda: len(order) >= 8)
    stopping.set()
    thread.join()
    assert sorted(order[:4]) == sorted(names)
    assert order[4:8] == order[:4]


def test_a_daemon_of_nothing_but_messages_has_nothing_to_compare_by_itself():
    """Its thread ends, and says nothing."""
    ReconciliationRounds([], Reconcile(every="10ms")).work(threading.Event())
