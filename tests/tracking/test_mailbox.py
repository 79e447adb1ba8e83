"""A turn either happens and is told, or is withdrawn and never happens."""

from __future__ import annotations

import threading
import time

import pytest

from smartico_sync.errors import ConfigError
from smartico_sync.tracking import mailbox as mailbox_module
from smartico_sync.tracking.mailbox import Mailbox, OperatorTurn, TurnUnfinished, TurnWithdrawn


def test_a_turn_brings_what_its_action_returns_or_raises():
    """The loop carries it out in its own thread; whoever asked gets the result, or the error as it was raised."""
    mailbox = Mailbox()
    threads = []

    def action():
        threads.append(threading.current_thread())
        return 7

    turn = mailbox.post(OperatorTurn("the rewind", action, 5))
    loop = threading.Thread(target=lambda: mailbox.next_operator().carry_out())
    loop.start()
    assert turn.result("deposits") == 7
    assert threads == [loop]

    def refused():
        raise ConfigError("no such position")

    turn = mailbox.post(OperatorTurn("the rewind", refused, 5))
    mailbox.next_operator().carry_out()
    with pytest.raises(ConfigError, match="no such position"):
        turn.result("deposits")


def test_a_turn_that_did_not_come_in_time_never_happens():
    """The caller is told that nothing was changed, and the loop that comes to it later leaves it."""
    mailbox, done = Mailbox(), []
    turn = mailbox.post(OperatorTurn("the rewind", lambda: done.append(1), 0.05))
    assert mailbox.operator_waits()
    with pytest.raises(TurnWithdrawn, match="the rewind is withdrawn, nothing was changed"):
        turn.result("deposits")
    assert not mailbox.operator_waits()
    mailbox.next_operator().carry_out()
    assert done == []


def test_a_turn_whose_deadline_has_passed_is_not_begun():
    """Also when nobody has looked at the clock on the caller's side yet."""
    mailbox, done = Mailbox(), []
    turn = mailbox.post(OperatorTurn("the rewind", lambda: done.append(1), 0.05))
    time.sleep(0.1)
    mailbox.next_operator().carry_out()
    assert done == []
    with pytest.raises(TurnWithdrawn):
        turn.result("deposits")


def test_a_turn_of_somebody_who_went_away_never_happens():
    """Ctrl-C at the command is a withdrawal too."""
    mailbox, done = Mailbox(), []
    turn = mailbox.post(OperatorTurn("the rewind", lambda: done.append(1), 60))
    with pytest.raises(TurnWithdrawn):
        turn.result("deposits", still_wanted=lambda: False)
    mailbox.next_operator().carry_out()
    assert done == []


def test_a_turn_that_has_begun_is_waited_for_or_called_unfinished(monkeypatch):
    """What has begun may have changed something: that is said, and how to find out."""
    monkeypatch.setattr(mailbox_module, "FINISH_S", 0.1)
    mailbox, go = Mailbox(), threading.Event()
    slow = mailbox.post(OperatorTurn("the rewind", lambda: go.wait(10), 0.1))
    loop = threading.Thread(target=lambda: mailbox.next_operator().carry_out())
    loop.start()
    time.sleep(0.01)
    with pytest.raises(TurnUnfinished, match="may yet be done") as told:
        slow.result("deposits")
    assert "smartico-sync watermark show deposits" in told.value.hint
    go.set()
    loop.join()


def test_turns_that_nobody_wants_any_more_do_not_pile_up():
    """A view that is down for a day keeps no list of what was withdrawn meanwhile."""
    mailbox = Mailbox()
    for _ in range(100):
        with pytest.raises(TurnWithdrawn):
            mailbox.post(OperatorTurn("the rewind", int, 0.0)).result("deposits")
    assert len(mailbox._operator) <= 1


def test_a_wait_ends_with_any_news_and_loses_none():
    """News that came before the wait end it at once; asking twice to poll is one poll."""
    mailbox = Mailbox()
    mailbox.ask_to_poll()
    mailbox.ask_to_poll()
    mailbox.wait(None)
    assert mailbox.poll_due()
    mailbox.poll_begins()
    assert not mailbox.poll_due()
    threading.Timer(0.05, mailbox.wake).start()
    mailbox.wait(None)
