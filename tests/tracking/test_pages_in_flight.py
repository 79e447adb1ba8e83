"""What is in flight is committed in the order in which it was sent, whatever the order of answers."""

from __future__ import annotations

import threading
from concurrent.futures import Future

import pytest
from hypothesis import given
from hypothesis import strategies as st

from smartico_sync.core.records import Receipt
from smartico_sync.tracking import pages_in_flight
from smartico_sync.tracking.memory_budget import MemoryBudget
from smartico_sync.tracking.pages_in_flight import PagesInFlight, Sent

DONE = Receipt(1, 0, (), 1, 1)


def quiet():
    """Nobody waits."""


class Pages:
    """Pages whose answers the test gives, and the order in which they are committed."""

    def __init__(self, memory=None):
        self.busy = True
        self.flight = PagesInFlight("deposits", quiet, memory or MemoryBudget(), lambda: self.busy)
        self.receipts: dict[int, Future[Receipt]] = {}
        self.committed: list[int] = []

    def work(self, number):
        self.receipts[number] = Future()
        return Sent(self.receipts[number], lambda _: self.committed.append(number), 2)

    def send(self, number, **more):
        self.flight.send(lambda: self.work(number), 1, **more)

    def settle(self):
        while page := self.flight.take():
            page.settle()


@given(st.permutations(range(12)), st.lists(st.sampled_from(["here", "worker"]), min_size=12, max_size=12))
def test_pages_are_queued_and_committed_in_order(answers, places):
    """Made beside the loop or in it, answered in any order: each commit follows the one before."""
    pages = Pages()
    for number, where in enumerate(places):
        pages.send(number, where=where)
    pages.flight._worker.submit(quiet).result()  # all are made
    assert list(pages.receipts) == list(range(12))
    for number in answers:
        pages.receipts[number].set_result(DONE)
        pages.settle()
        assert pages.committed == list(range(len(pages.committed)))
    assert pages.committed == list(range(12))
    pages.flight.close()


def test_a_page_that_is_not_answered_holds_no_later_one_up_until_the_bound(monkeypatch):
    """Later pages are sent; only when too many wait is nothing more read."""
    monkeypatch.setattr(pages_in_flight, "MOST_PAGES", 4)
    pages = Pages()
    for number in range(3):
        pages.send(number)
        assert not pages.flight.full
    pages.send(3)
    assert pages.flight.full
    pages.receipts[0].set_result(DONE)
    pages.settle()
    assert not pages.flight.full


def test_a_backlog_is_read_on_while_what_is_on_its_way_waits_for_some_players_only():
    """A few pages keep everything busy; where nothing is, because the API is slow with some, the others' rows go meanwhile."""
    pages = Pages()
    for number in range(pages_in_flight.FULL_PAGES):
        assert not pages.flight.full
        pages.send(number)
    assert pages.flight.full
    pages.busy = False
    assert not pages.flight.full
    for number in range(pages_in_flight.FULL_PAGES, pages_in_flight.MOST_PAGES):
        pages.send(number)
    assert pages.flight.full


def test_what_is_large_is_bounded_by_its_size():
    """Three large pages are as many as memory is meant for, with the events and bodies that are made of them."""
    pages = Pages(MemoryBudget(9))
    for number in range(3):
        assert not pages.flight.full
        pages.send(number)
    assert pages.flight.full
    pages.receipts[0].set_result(DONE)
    pages.settle()
    assert not pages.flight.full


def test_what_is_being_made_counts_as_what_pages_of_the_view_became():
    """Short values become many times as many bytes, for bodies name each property: a page under way is no smaller than those made."""
    memory = MemoryBudget(100_000_000)
    whole, pages, go_on = memory.page_bytes("deposits"), Pages(memory), threading.Event()
    pages.flight.send(lambda: Sent(Future(), lambda _: None, 29e6), 1e6)  # 30 times its rows
    assert not pages.flight.full
    assert memory.page_bytes("deposits") < whole / 2
    for _ in range(2):
        assert not pages.flight.full
        pages.flight.send(lambda: go_on.wait() and pages.work(1), 1.2e6, where="worker")
    assert pages.flight.full
    go_on.set()
    pages.flight.close()


def test_whatever_others_hold_each_view_may_have_one_page():
    """All share one budget; who holds nothing may still read, and the less is left the smaller are pages."""
    memory = MemoryBudget(100)
    whole = memory.page_bytes("users")
    memory.hold("users", 1e9)
    pages = Pages(memory)
    assert not pages.flight.full
    pages.send(1)
    assert pages.flight.full
    assert 0 < memory.page_bytes("deposits") <= whole
    pages.flight.close()
    assert not Pages(memory).flight.full
    memory.hold("users", 0)
    assert not pages.flight.full


def test_history_of_transactions_is_committed_when_it_is_answered():
    """Beside the order: it waits for no page, and no page waits for it."""
    pages, failed = Pages(), []
    pages.flight.send_history(lambda: pages.work(100), 1, order="any", patience_s=60, failed=failed.append)
    pages.send(1)
    pages.receipts[1].set_result(DONE)
    pages.settle()
    assert pages.committed == [1]
    pages.receipts[100].set_result(DONE)
    pages.settle()
    assert pages.committed == [1, 100]
    assert failed == []


def test_history_that_is_not_answered_in_time_is_overdue():
    """The loop is told, so that it can let go of it; answered in time it is not."""
    pages, failed = Pages(), []
    pages.flight.send_history(lambda: pages.work(1), 1, order="kept", patience_s=0, failed=failed.append)
    assert pages.flight.overdue()
    pages.flight.withdraw()
    assert failed == [None]
    assert pages.receipts[1].cancelled()
    assert len(pages.flight) == 0


def test_what_is_withdrawn_is_cancelled_and_never_committed():
    """Also what the worker is still making."""
    pages = Pages()
    for number in range(5):
        pages.send(number, where="worker")
    pages.flight.withdraw()
    pages.settle()
    assert pages.committed == []
    assert all(receipt.cancelled() for receipt in pages.receipts.values())


def test_a_page_that_cannot_be_made_fails_where_it_is_committed():
    """In its place in the order: what was sent before it is committed first."""
    pages = Pages()
    pages.send(0, where="worker")
    pages.flight.send([].pop, 1, where="worker")
    pages.flight._worker.submit(quiet).result()
    pages.receipts[0].set_result(DONE)
    with pytest.raises(IndexError):
        pages.settle()
    assert pages.committed == [0]


def test_nothing_is_made_or_read_behind_a_page_that_could_not_be_made():
    """Its rows would overtake those of that page; once all is taken back the view begins again."""
    pages = Pages()
    pages.send(0)
    pages.flight.send([].pop, 1, where="worker")
    pages.send(2, where="worker")
    pages.flight._worker.submit(quiet).result()
    assert pages.flight.full
    assert list(pages.receipts) == [0]
    pages.flight.withdraw()
    assert not pages.flight.full
    pages.send(3)
    assert list(pages.receipts) == [0, 3]
