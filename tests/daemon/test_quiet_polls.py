"""Views in which nothing but a new row is expected are polled together, by one question, on a real PostgreSQL."""

from __future__ import annotations

from types import SimpleNamespace

import pytest

from daemon.deposits import HASTE, SLOT_S, insert
from smartico_sync.core.late_commit import pending_heads
from smartico_sync.errors import SourceUnreachable
from smartico_sync.sources.protocol import News
from smartico_sync.tracking import mutation_scan
from smartico_sync.tracking.mailbox import OperatorTurn
from smartico_sync.tracking.quiet import Again, Quiet
from smartico_sync.tracking.quiet_polls import QuietPolls, looks_of
from waiting import until


@pytest.fixture
def polls():
    """Closed at the end."""
    made = QuietPolls()
    yield made
    made.close()


@pytest.fixture
def day(tracked):
    """A view that is empty, polled until it is quiet."""
    view = tracked()
    until(lambda: view.poll() and view.loop.quiet)
    view.loop.mailbox.poll_begins()
    return view


def test_a_quiet_view_has_caught_up_without_a_poll_of_its_own(day, polls):
    """Where nothing is behind its head that is its poll: the status tells so, and the loop is not woken."""
    before = day.status.caught_up_ms
    assert polls.take([day.loop]) == []
    until(lambda: day.status.caught_up_ms > before)
    assert not day.loop.mailbox.poll_due()
    assert day.status.state == "live"


def test_a_row_wakes_the_loop(day, polls, postgresql):
    """The loop reads what has come, and is quiet no longer: while rows come it polls by itself."""
    insert(postgresql, 1)
    assert polls.take([day.loop]) == []
    until(day.loop.mailbox.poll_due)
    day.poll()
    assert day.sent() == ["1"]
    assert day.loop.quiet is None
    assert polls.take([day.loop]) == [day.loop]


def test_polls_that_are_due_while_the_daemon_ends_are_no_mistake(day, polls):
    """The schedule is not waited for: what it still asks for is left to the loops, and the log has no `internal error`."""
    assert polls.take([day.loop]) == []
    until(lambda: all(each.done() for each in polls._under_way.values()))
    polls.close()
    assert polls.take([day.loop]) == [day.loop]


def test_trouble_is_left_to_the_loop(day, polls, postgresql):
    """A view that is gone is polled, and tells it."""
    postgresql.execute("DROP TABLE deposits")
    assert polls.take([day.loop]) == []
    until(day.loop.mailbox.poll_due)
    assert "deposits" in day.poll().error


def test_an_operator_ends_the_quiet(day, polls):
    """What a person changes is seen by the next poll: it is the loop's own."""
    day.loop.mailbox.post(OperatorTurn("nothing", lambda: None, 30))
    day.loop._step()
    assert polls.take([day.loop]) == [day.loop]


@pytest.fixture
def rested(tracked, postgresql, monkeypatch):
    """A view with rows, polled until all that it would look at can be looked at for it, and all of that is due."""
    for module, name in ((pending_heads, "RECENT_MS"), (pending_heads, "FULL_EVERY_MS"), (mutation_scan, "ROUND_MS")):
        monkeypatch.setattr(module, name, 1)
    view = tracked(HASTE)
    insert(postgresql, 1, 2, 5, at="now() - interval '1 minute'")
    until(lambda: view.poll() and view.loop.quiet and len(view.loop.quiet.again) == 3, SLOT_S)
    view.loop.mailbox.poll_begins()
    view.loop._memory.nulls.next_cursors_ms = 0
    for each in view.loop.quiet.again:
        each.due_ms = 0
    return view


def test_what_is_as_it_was_is_not_read_again(rested, polls):
    """A scan for late rows, one for changed ones and the rows delivered last: each has its digest, and is due again later."""
    before, again = rested.status.caught_up_ms, rested.loop.quiet.again
    assert {getattr(each.what, "of", "landmarks") for each in again} == {"keys", "rows", "landmarks"}
    rested.loop.quiet.replication_ms = 0
    assert polls.take([rested.loop]) == []
    until(lambda: rested.status.caught_up_ms > before)
    assert not rested.loop.mailbox.poll_due()
    assert all(each.due_ms >= each.every_ms for each in again)
    assert rested.loop.quiet.replication_ms > 0
    assert rested.status.replica.state == "primary"


def test_the_loop_takes_over_what_was_looked_at_for_it(rested, polls):
    """Its own next poll does not look at the same again."""
    before, again = rested.status.caught_up_ms, rested.loop.quiet.again
    polls.take([rested.loop])
    until(lambda: rested.status.caught_up_ms > before)
    looks = {getattr(each.what, "of", "landmarks"): each.due_ms for each in again}
    rested.loop.mailbox.ask_to_poll()
    rested.loop._step()
    checks = rested.loop._session.checks
    assert checks.memory.next_ms == looks["landmarks"]
    assert checks.mutations.next_ms >= looks["rows"]


@pytest.mark.parametrize(
    ("change", "told"),
    [
        ("INSERT INTO deposits VALUES (3, 'b', 1, now() - interval '30 s')", lambda day, _: "3" in day.sent()),
        ("UPDATE deposits SET deposit_amount = 9 WHERE transaction_id = 2", lambda _, status: status.mutated == 1),
        ("INSERT INTO deposits VALUES (7, 'b', 1, NULL)", lambda _, status: status.null_cursors == 1),
        ("DELETE FROM deposits", lambda _, status: status.state == "regressed"),
        ("ALTER TABLE deposits ALTER user_ext_id TYPE int", lambda day, _: day.loop.quiet is None),
    ],
)
def test_what_is_not_as_it_was_wakes_the_loop(rested, polls, postgresql, change, told):
    """A row that comes late, one that changes, one without a cursor, rows that are gone, another column."""
    postgresql.execute(change)
    assert polls.take([rested.loop]) == []
    until(rested.loop.mailbox.poll_due)
    until(lambda: told(rested, rested.poll()), SLOT_S)


def test_what_takes_long_is_put_off():
    """Of a round trip that rows wait for, looks take a part; the rest comes with the next."""
    views = [Quiet(None, None, "here", 0, [Again(None, None, 0, 5_000, 100)]) for _ in range(3)]
    views.append(Quiet(None, None, "here", 0, [Again(None, None, 1, 5_000, 1)]))
    assert [len(due) for due in looks_of(views, 0)] == [1, 1, 0, 0]
    views[0].again[0].due_ms = views[1].again[0].due_ms = 5_000
    assert [len(due) for due in looks_of(views, 1)] == [0, 0, 1, 1]


class Loop:
    """A quiet loop of a source that answers as the test says."""

    def __init__(self, answer):
        self.polled = self.nothing = 0
        self.quiet = Quiet(None, None, "here", 1 << 60)
        board = SimpleNamespace(clock=lambda: None)
        recorder = SimpleNamespace(board=board, found_nothing=lambda _: self.count("nothing"))
        self.equipment = SimpleNamespace(source=SimpleNamespace(news=lambda *_: answer(self)), recorder=recorder)
        self.mailbox = SimpleNamespace(ask_to_poll=lambda: self.count("polled"))

    def count(self, name):
        setattr(self, name, getattr(self, name) + 1)


def changed(loop):
    """It does something while it is asked for."""
    loop.quiet = None
    return News("here", (False,))


def unreachable(_):
    """The database is gone."""
    raise SourceUnreachable("gone", hint="wait")


@pytest.mark.parametrize(
    "answer", [lambda _: News("elsewhere", (False,)), lambda _: None, changed, unreachable, lambda _: 1 / 0]
)
def test_whatever_is_in_doubt_is_polled(polls, answer):
    """Another server, an engine that cannot answer, a loop that has moved on, a database that is gone, a mistake of ours."""
    loop = Loop(answer)
    assert polls.take([loop]) == []
    until(lambda: loop.polled)
    assert not loop.nothing


def test_nobody_waits_for_a_source_that_hangs(polls):
    """While it owes an answer, its views poll by themselves."""
    loop, answers = Loop(lambda _: until(lambda: answers) or News("here", (False,))), []
    assert polls.take([loop]) == []
    assert polls.take([loop]) == [loop]
    answers.append("now")
    until(lambda: loop.nothing)
