"""One view's loop waits for no single receipt, and belongs to itself alone."""

from __future__ import annotations

from contextlib import contextmanager

import pytest

from smartico_sync.core.position import Position
from smartico_sync.errors import StateDamaged
from smartico_sync.tracking import base_loop
from smartico_sync.tracking.mailbox import OperatorTurn
from waiting import until

from .conftest import Tracked


def test_a_request_that_hangs_holds_up_no_later_poll(tracked):
    """What later polls find is sent while an earlier receipt is out; nothing is committed past it, and then all is."""
    tracked.insert(1)
    tracked.loop.mailbox.ask_to_poll()
    until(lambda: tracked.head() == 1)
    tracked.delivery.held = {"2"}
    for number in (2, 3, 4):
        tracked.insert(number)
        tracked.loop.mailbox.ask_to_poll()
        until(lambda number=number: str(number) in tracked.delivery.sent)
    assert tracked.head() == 1
    tracked.delivery.let_go()
    until(lambda: tracked.head() == 4)
    assert tracked.delivery.sent == ["1", "2", "3", "4"]
    until(lambda: tracked.loop.standing.progress == "caught up")


def test_an_operator_waits_for_no_receipt(tracked):
    """A rewind while a receipt is out is done; the page that was on its way is withdrawn and goes again."""
    tracked.delivery.held = {"2"}
    tracked.insert(1, 2)
    tracked.loop.mailbox.ask_to_poll()
    until(lambda: tracked.delivery.waiting)
    turn = OperatorTurn("the rewind", lambda: tracked.store.rewind("deposits", Position("0", ("0",)), at_ms=1), 30)
    tracked.loop.mailbox.post(turn)
    turn.result("deposits")
    assert tracked.delivery.waiting[0][0].cancelled()
    tracked.delivery.let_go()
    until(lambda: tracked.head() == 2)
    assert tracked.delivery.sent == ["1", "2", "1", "2"]


def test_the_end_commits_what_is_acknowledged_and_leaves_the_rest(tracked):
    """A receipt that comes while the loop ends is still committed."""
    tracked.delivery.held = {"1"}
    tracked.insert(1)
    tracked.loop.mailbox.ask_to_poll()
    until(lambda: tracked.delivery.waiting)
    tracked.stopping.set()
    tracked.loop.mailbox.wake()
    tracked.delivery.let_go()
    tracked.thread.join()
    assert tracked.head() == 1


def test_standing_tells_whoever_schedules_it(tracked):
    """Behind until everything is committed, caught up after that."""
    tracked.delivery.held = {"1"}
    tracked.insert(1)
    tracked.loop.mailbox.ask_to_poll()
    until(lambda: tracked.delivery.waiting)
    assert not tracked.loop.standing.settled
    tracked.delivery.let_go()
    until(lambda: tracked.loop.standing.settled)
    assert tracked.loop.standing.tries == 1


def test_others_need_not_wait_for_an_answer_that_takes_long(tracked, monkeypatch):
    """All that was there is on its way, and one answer does not come: whoever waits for this view may begin."""
    monkeypatch.setattr(base_loop, "LONG_S", 0.0)
    tracked.delivery.held = {"1"}
    tracked.insert(1, 2)
    tracked.loop.mailbox.ask_to_poll()
    until(lambda: tracked.loop.standing.settled)
    assert tracked.loop.standing.progress == "behind"
    tracked.delivery.let_go()
    until(lambda: tracked.loop.standing.progress == "caught up")


def test_nothing_is_sent_once_the_state_is_found_damaged(tracked, monkeypatch):
    """What it says of a view's place cannot be relied on."""
    tracked.insert(1)
    tracked.loop.mailbox.ask_to_poll()
    until(lambda: tracked.head() == 1)

    def found():
        raise StateDamaged("the state is damaged", hint="restore a backup")

    monkeypatch.setattr(tracked.store, "ensure_sound", found)
    tracked.insert(2)
    tracked.loop.mailbox.ask_to_poll()
    until(lambda: isinstance(tracked.loop.standing.error, StateDamaged))
    assert tracked.delivery.sent == ["1"]


def test_what_is_sent_is_told(tracked):
    """Properties with the columns they come from, and how the server that they are read from stands."""
    tracked.insert(1)
    tracked.loop.mailbox.ask_to_poll()
    until(lambda: tracked.board.facts("deposits").properties)
    facts = tracked.board.facts("deposits")
    sent = {each.name: each.columns for each in facts.properties}
    assert sent["acc_last_deposit_amount"] == ("deposit_amount",)
    assert facts.server_role == "primary"


@contextmanager
def in_one_transaction(connection):
    connection.execute("BEGIN")
    yield
    connection.execute("COMMIT")


def test_a_backlog_fills_its_requests_and_what_is_new_is_spread(tracked):
    """From its first page to its last a backlog goes in as few requests as there can be; what comes after it does not."""
    with in_one_transaction(tracked.replica):
        tracked.insert(*range(1, 1301))
    tracked.loop.mailbox.ask_to_poll()
    until(lambda: tracked.head() == 1300)
    assert set(tracked.delivery.requests) == {"full"}
    tracked.insert(1301)
    tracked.loop.mailbox.ask_to_poll()
    until(lambda: tracked.head() == 1301)
    assert tracked.delivery.requests[-1] == "spread"


@pytest.mark.parametrize(
    ("more", "left_out"),
    [(", where: {user_ext_id: 1}", "user_ext_id = 2"), ("", "deposit_amount = NULL")],
    ids=["where", "dead letters"],
)
def test_late_rows_that_are_all_left_out_stop_nobody(tmp_path, more, left_out):
    """Rows that come late and are not sent, whatever the reason, come in one reading with many that are: these arrive."""
    day = Tracked(tmp_path, more)
    try:
        day.insert(*range(1, 4), *range(6, 10))
        day.loop.poll(day.stopping, checks="now")
        day.insert(4, 5, *range(10, 40))
        day.replica.execute(f"UPDATE deposits SET {left_out} WHERE transaction_id IN (4, 5)")
        day.loop.poll(day.stopping, checks="now")
        assert day.loop.standing.error is None
        assert {int(key) for key in day.delivery.sent} == {*range(1, 4), *range(6, 40)}
    finally:
        day.close()
