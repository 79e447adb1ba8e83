"""Calls that one can walk away from, and the clock that is asked seldom."""

from __future__ import annotations

import threading

import pytest

from smartico_sync.errors import SourceUnreachable
from smartico_sync.sources.kit import server_clock
from smartico_sync.sources.kit.abandonable import AbandonableCalls, UnattendedCalls
from smartico_sync.sources.kit.server_clock import ServerClock
from waiting import until


@pytest.fixture
def unattended():
    return UnattendedCalls(2)


@pytest.fixture
def calls(unattended):
    """Calls of one session; nothing of them is left at the end."""
    made = AbandonableCalls(unattended, "source replica")
    yield made
    made.close()


def test_a_call_brings_what_it_returns_or_raises(calls):
    """Also an end of time of the call's own, which is not ours."""
    assert calls.run(lambda: 7, 5, "view bets") == 7
    with pytest.raises(ZeroDivisionError):
        calls.run(lambda: 1 // 0, 5, "view bets")

    def tired():
        raise TimeoutError("the driver's own")

    with pytest.raises(TimeoutError, match="own"):
        calls.run(tired, 5, "view bets")
    assert not calls.abandoned


def test_who_waits_too_long_is_let_go(calls):
    """The call goes on unseen, and nothing is sent behind it any more."""
    ended = threading.Event()
    with pytest.raises(SourceUnreachable, match=r"source replica: view bets: no answer in time"):
        calls.run(lambda: ended.wait(20), 0.05, "view bets")
    with pytest.raises(SourceUnreachable):
        calls.run(lambda: 7, 5, "view bets")
    ended.set()


def test_an_abandoned_call_ends_at_once(calls):
    """Another thread's word is enough, before or during the call."""
    ended = threading.Event()
    threading.Timer(0.05, calls.abandon).start()
    with pytest.raises(SourceUnreachable):
        calls.run(ended.wait, 10_000, "view bets")
    ended.set()


def test_an_answer_that_comes_too_late_is_discarded(calls, unattended):
    """A connection that opens after all is closed, and so is no burden to the server; it is then counted no longer."""
    ended, discarded = threading.Event(), []
    with pytest.raises(SourceUnreachable):
        calls.run(lambda: ended.wait(20) and "a connection", 0.05, "connecting", discarded.append)
    assert len(unattended) == 1
    ended.set()
    until(lambda: not len(unattended))
    assert discarded == ["a connection"]


def test_abandoned_calls_do_not_pile_up(unattended):
    """At the bound no further call of the source is made, whichever session asks: it fails at once; later it works again."""
    ended, asked = threading.Event(), []
    before = set(threading.enumerate())

    def alive():
        """The calls' own threads: others of the process come and go as they like."""
        return [each for each in threading.enumerate() if each.name.startswith("source-") and each not in before]

    for attempt in range(10):
        calls = AbandonableCalls(unattended, "source replica")
        with pytest.raises(SourceUnreachable, match="in time" if attempt < 2 else "2 earlier calls") as failure:
            calls.run(lambda: asked.append(1) or ended.wait(20), 0.02, "view bets")
        assert failure.value.hint
        calls.close()
    assert len(asked) == len(unattended) == len(alive()) == 2
    unattended.farewell(lambda: asked.append(1))
    assert len(asked) == 2  # a farewell is a courtesy
    ended.set()
    until(lambda: not unattended.full)
    calls = AbandonableCalls(unattended, "source replica")
    assert calls.run(lambda: 7, 5, "view bets") == 7
    calls.close()
    until(lambda: not alive())


def test_what_was_abandoned_twice_is_counted_once(calls, unattended):
    """The source is closed while a call has already lasted too long."""
    ended = threading.Event()
    with pytest.raises(SourceUnreachable):
        calls.run(lambda: ended.wait(20), 0.02, "view bets")
    calls.abandon()
    assert len(unattended) == 1
    ended.set()
    until(lambda: not len(unattended))


def test_the_last_call_is_made_where_the_others_were(calls):
    """A connection is closed behind the call that still uses it, never beside it, and nobody waits for that."""
    began, ended, order = threading.Event(), threading.Event(), []
    with pytest.raises(SourceUnreachable):
        calls.run(lambda: began.set() or (ended.wait(20) and order.append("answered")), 0.02, "view bets")
    calls.close(lambda: order.append(f"closed in {threading.current_thread().name}"))
    assert began.wait(20)
    assert order == []
    ended.set()
    until(lambda: len(order) == 2)
    assert order == ["answered", "closed in source-calls"]


def test_the_clock_goes_on_by_itself_and_asks_again(monkeypatch):
    """Between two answers it moves with our steady clock; an old answer is no answer."""
    now = [1000.0]
    monkeypatch.setattr(server_clock.time, "monotonic", lambda: now[0])
    clock = ServerClock()
    assert clock.now_ms() is None
    clock.tell(5_000_000)
    now[0] += 1.5
    assert clock.now_ms() == 5_001_500
    now[0] += server_clock.FRESH_S
    assert clock.now_ms() is None
