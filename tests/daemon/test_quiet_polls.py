"""Views in which nothing but a new row is expected are polled together, by one question, on a real PostgreSQL."""

from __future__ import annotations

from types import SimpleNamespace

import pytest

from daemon.deposits import insert
from smartico_sync.errors import SourceUnreachable
from smartico_sync.sources.protocol import News
from smartico_sync.tracking.mailbox import OperatorTurn
from smartico_sync.tracking.quiet import Quiet
from smartico_sync.tracking.quiet_polls import QuietPolls
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


class Loop:
    """A quiet loop of a source that answers as the test says."""

    def __init__(self, answer):
        self.polled = self.nothing = 0
        self.quiet = Quiet(None, None, "here", 1 << 60)
        board = SimpleNamespace(clock=lambda: None)
        recorder = SimpleNamespace(board=board, found_nothing=lambda _: self.count("nothing"))
        self.equipment = SimpleNamespace(source=SimpleNamespace(news=lambda _: answer(self)), recorder=recorder)
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
