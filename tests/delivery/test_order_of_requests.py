"""Requests of backlogs and others, whatever is divided, joined, stuck or sent again: each player's events go once, in order, one request at a time."""

from __future__ import annotations

from collections import defaultdict

import polars as pl
import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from delivery.conftest import some_events
from smartico_sync.core.batches import SLICES, batches
from smartico_sync.core.events import PLAYER, POSITION
from smartico_sync.delivery.backlog import Backlog
from smartico_sync.delivery.flight import Company
from smartico_sync.delivery.pending_receipt import PendingReceipt
from smartico_sync.delivery.request import Request

MOST = 3  # events a request
PLAYERS = [1, 2, 3, 500, 900, SLICES + 1, SLICES + 2]  # some in one slice
WHICH = st.integers(0, 99)


class Requests(RuleBasedStateMachine):
    """What is sent is taken, alone or in company, finished, stuck, divided and put off, in any order."""

    def __init__(self):
        super().__init__()
        self.backlog, self.under_way = Backlog(), []
        self.number, self.sent, self.done = 0, defaultdict(list), defaultdict(list)

    @property
    def order(self):
        return self.backlog.player_order

    @rule(
        view=st.sampled_from("ab"),
        players=st.lists(st.sampled_from(PLAYERS), min_size=1, max_size=12),
        requests=st.sampled_from(["full", "spread"]),
        apart=st.sets(st.sampled_from(PLAYERS), max_size=2),
    )
    def send(self, view, players, requests, apart):
        numbers = range(self.number, self.number + len(players))
        self.number += len(players)
        columns = pl.Series(PLAYER, players, dtype=pl.UInt64), pl.Series(POSITION, numbers, dtype=pl.UInt32)
        events = some_events(len(players))
        events = type(events)(events.frame.with_columns(columns), events.raw)
        for player, number in zip(players, numbers, strict=True):
            self.sent[player].append(number)
        pending = PendingReceipt(view, "live", events, requests=requests)
        ready, _ = batches(events, MOST, 10**6, worth=1, spread=2, apart=apart)
        self.backlog.add([Request.of(batch, pending) for batch in ready], pending)

    @rule()
    def take(self):
        if request := self.order.take():
            self.under_way.append(request)

    @rule()
    def take_in_company(self):
        if request := self.order.take():
            self.order.going(request)
            company = Company(request, 2 * MOST, 10**6)
            for each in company.behind():
                company.add(each)
            if other := self.order.take():
                if company.welcomes(other):
                    company.add(other)
                else:
                    self.order.again(other)
            self.under_way.append(request)

    def landed(self, which):
        request = self.under_way.pop(which % len(self.under_way))
        flight, request.companions = request.flight, []
        return flight

    @precondition(lambda self: self.under_way)
    @rule(which=WHICH, most=st.integers(1, 9))
    def finish(self, which, most=9):
        flight = self.landed(which)
        for request in flight[:most]:
            for player, number in request.frame.select(PLAYER, POSITION).iter_rows():
                self.done[player].append(number)
            self.order.finish(request)
        for request in flight[most:]:
            self.order.back(request)

    @precondition(lambda self: self.under_way)
    @rule(which=WHICH, pace=st.sampled_from(["pausing", "stuck"]))
    def stuck(self, which, pace):
        self.order.stuck(self.under_way[which % len(self.under_way)], pace)

    @precondition(lambda self: self.under_way)
    @rule(which=WHICH, then=st.sampled_from(["scatter", "cut", "put off"]))
    def again(self, which, then):
        request, *others = self.landed(which)
        if then == "scatter":
            self.order.scatter(request, 2)
        elif then == "cut" and request.frame.height > 1:
            self.order.cut(request, request.halves())
        for each in (request, *others):
            self.order.back(each)

    @invariant()
    def no_player_is_in_two_requests_at_once(self):
        players = [
            player
            for request in self.under_way
            for player in {player for each in request.flight for player in each.frame.get_column(PLAYER)}
        ]
        assert len(players) == len(set(players))

    def teardown(self):
        while self.under_way or self.order.startable:
            self.take()
            self.no_player_is_in_two_requests_at_once()
            self.finish(len(self.under_way))
        assert self.done == self.sent
        assert not self.order.tails
        assert not self.order.backlogs


TestRequests = Requests.TestCase
TestRequests.settings = settings(max_examples=6, stateful_step_count=15, deadline=None)


class TestManyRequests(Requests.TestCase):
    """The same for longer."""

    pytestmark = pytest.mark.slow
    settings = settings(max_examples=400, stateful_step_count=40, deadline=None)


def test_the_requests_of_a_backlog_wait_for_those_of_their_slices_only():
    """A full page of other players goes beside the one before it: each request waits for the few that hold a range like its own."""
    backlog = Backlog()
    for start in (0, 10_000):
        events = some_events(10_000, players=5000)
        players = events.frame.get_column(PLAYER) + start
        events = type(events)(events.frame.with_columns(players), events.raw)
        pending = PendingReceipt("bets", "live", events, requests="full")
        backlog.add([Request.of(batch, pending) for batch in batches(events, 1000, 10**7, spread=2)[0]], pending)
    order = backlog.player_order
    first = [order.take() for _ in range(order.startable)]
    assert len(first) >= 10
    assert all(request.their_players is None for request in order.backlogs)
    order.finish(first[0])
    assert order.startable <= 2
    for request in first[1:4]:
        order.finish(request)
    assert 1 <= order.startable <= 4


def queued(backlog, *requests):
    """A page of a backlog that makes requests of these players, up to three events each."""
    players = [player for each in requests for player in each]
    events = some_events(len(players))
    events = type(events)(events.frame.with_columns(pl.Series(PLAYER, players, dtype=pl.UInt64)), events.raw)
    pending = PendingReceipt("bets", "live", events, requests="full")
    ready, _ = batches(events, MOST, 10**6, worth=1, spread=2)
    assert [sorted(batch.events.frame.get_column(PLAYER)) for batch in ready] == [sorted(each) for each in requests]
    backlog.add([Request.of(batch, pending) for batch in ready], pending)


def taken(backlog):
    """Who may go now, by request."""
    found = []
    while request := backlog.player_order.take():
        found.append(sorted(request.frame.get_column(PLAYER)))
    return found


def test_whoever_only_shares_a_slice_with_a_stuck_request_goes():
    """Also behind one that is divided for it."""
    backlog = Backlog()
    queued(backlog, [1, 1, 1], [700, 700, 700])
    stuck = backlog.player_order.take()
    queued(backlog, [1, 2, 2], [SLICES + 700] * 3)
    queued(backlog, [SLICES + 1] * 3, [SLICES + 2] * 3)
    assert taken(backlog) == [[700, 700, 700]]
    backlog.player_order.stuck(stuck)
    assert sorted(taken(backlog)) == [[2, 2], [SLICES + 1] * 3, [SLICES + 2] * 3]
