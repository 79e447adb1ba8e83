"""Calls that one can walk away from, and the clock that is asked seldom."""

from __future__ import annotations

import threading

import pytest

from smartico_sync.sources.kit import server_clock
from smartico_sync.sources.kit.abandonable import AbandonableCalls, Abandoned
from smartico_sync.sources.kit.server_clock import ServerClock


def test_an_errand_brings_what_the_call_returns_or_raises():
    """Also an end of time of the call's own, which is not ours."""
    errands = AbandonableCalls()
    assert errands.run(lambda: 7, 5) == 7
    with pytest.raises(ZeroDivisionError):
        errands.run(lambda: 1 // 0, 5)

    def tired():
        raise TimeoutError("the driver's own")

    with pytest.raises(TimeoutError, match="own"):
        errands.run(tired, 5)
    assert not errands.abandoned


def test_who_waits_too_long_is_let_go():
    """The call goes on unseen, and nothing is sent behind it any more."""
    errands, ended = AbandonableCalls(), threading.Event()
    with pytest.raises(Abandoned):
        errands.run(lambda: ended.wait(20), 0.05)
    with pytest.raises(Abandoned):
        errands.run(lambda: 7, 5)
    ended.set()


def test_an_abandoned_errand_ends_at_once():
    """Another thread's word is enough, before or during the call."""
    errands, ended = AbandonableCalls(), threading.Event()
    threading.Timer(0.05, errands.abandon).start()
    with pytest.raises(Abandoned):
        errands.run(ended.wait, 10_000)
    ended.set()


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
