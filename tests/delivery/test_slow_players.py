"""Nobody waits for a player whom the API is slow with, but that player; and what is slow with everybody is slow with nobody."""

from __future__ import annotations

import json
import threading
import time

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from delivery.conftest import problem_of, some_events
from servers.plain import always, answer
from smartico_sync.core.batches import batches
from smartico_sync.core.events import EID, PLAYER
from smartico_sync.delivery import dispatch, slow_players
from smartico_sync.delivery.backlog import Backlog
from smartico_sync.delivery.pending_receipt import PendingReceipt
from smartico_sync.delivery.request import Request
from smartico_sync.delivery.slow_players import LEAST_S, MOST, SlowPlayers
from waiting import until

SLOW = "u0"


class Api:
    """Takes everything, but for one player's requests: they have no answer, or an error, until the test lets them go."""

    def __init__(self, fault):
        self.fault, self.released = fault, threading.Event()
        self.accepted = {}
        self.lock = threading.Lock()

    def serve(self, peer):
        while (body := peer.read()) is not None:
            events = json.loads(body)
            slow = any(event["user_ext_id"] == SLOW for event in events)
            if slow and not self.released.is_set():
                if self.fault == "refused":
                    peer.write(answer(status="503 Later"))
                    continue
                self.released.wait()
            with self.lock:
                self.accepted.update((event["eid"], event["user_ext_id"]) for event in events)
            peer.write(answer())

    def of_others(self):
        with self.lock:
            return sum(user != SLOW for user in self.accepted.values())

    def of(self, user):
        with self.lock:
            return [int(eid[-12:]) for eid, owner in self.accepted.items() if owner == user]


@pytest.fixture
def api(request, plain_server):
    """The API, and its URL."""
    made = Api(request.param)
    yield made, plain_server(made.serve).url
    made.released.set()


@pytest.mark.slow
@pytest.mark.parametrize("how", ["refused", "cut off"])
def test_players_with_whom_the_api_fails_hold_up_nobody_else_though_every_request_has_some(how, plain_server, router):
    """Where all requests fail the API seems to be down; that it answers others is found out, and they arrive. So do those players in the end."""
    bad, accepted, released = {f"u{number}" for number in range(0, 80, 8)}, {}, threading.Event()

    def serve(peer):
        while (body := peer.read()) is not None:
            users = [(event["eid"], event["user_ext_id"]) for event in json.loads(body)]
            if not bad.isdisjoint(user for _, user in users) and not released.is_set():
                if how == "cut off":
                    return
                peer.write(answer(status="500 Oops"))
                continue
            accepted.update(users)
            peer.write(answer())

    delivery = router(plain_server(serve).url, batch_events=100)
    sends = [delivery.send("deposits", some_events(800, players=80), requests="full")]
    sends.append(delivery.send("deposits", some_events(80, players=80, start=1000)))
    until(lambda: len(accepted) == 70 * 11, 0.05)
    assert bad.isdisjoint(accepted.values())
    released.set()
    assert [each.result(30).delivered for each in sends] == [800, 80]
    assert {*accepted.values()} == {f"u{number}" for number in range(80)}


@pytest.mark.parametrize("api", ["refused"], indirect=True)
def test_a_request_that_fails_alone_goes_again_without_the_others(api, router):
    """All others of a request that fails for one player arrive while it still fails, and so do those of later sends."""
    api, url = api
    delivery = router(url)
    sends = [delivery.send("deposits", some_events(40, players=20))]
    others = 38
    for start in range(100, 600, 100):
        sends.append(delivery.send("deposits", some_events(40, players=20, start=start)))
        others += 38
        until(lambda others=others: api.of_others() == others)
    until(lambda: not delivery.busy("deposits"))  # more of others would not wait
    assert not any(send.done() for send in sends)
    api.released.set()
    assert all(send.result(60).delivered == 40 for send in sends)
    assert api.of(SLOW) == sorted(api.of(SLOW))


@pytest.mark.parametrize("api", ["held"], indirect=True)
def test_a_request_that_is_held_holds_up_its_own_players_only(api, router):
    """What is sent later of all others arrives, also where it shares requests with the held player's events."""
    api, url = api
    delivery = router(url, timeout=60_000)
    first = delivery.send("deposits", some_events(1))  # of the slow player alone
    until(lambda: delivery.status()[0].in_flight == 1)
    others, sends = 0, []
    for start in range(100, 600, 100):
        sends.append(delivery.send("deposits", some_events(40, players=20, start=start)))
        others += 38
        until(lambda others=others: api.of_others() == others)
    until(lambda: not delivery.busy("deposits"))
    assert not first.done()
    api.released.set()
    assert first.result(60).delivered == 1
    assert all(send.result(60).delivered == 40 for send in sends)
    assert api.of(SLOW) == sorted(api.of(SLOW))


def queued(backlog, players, start=0):
    """Requests of one event each player, in one send."""
    events = some_events(len(players), start=start)
    events = type(events)(events.frame.with_columns(pl.Series(PLAYER, players, dtype=pl.UInt64)), events.raw)
    pending = PendingReceipt("deposits", "live", events)
    backlog.add([Request.of(batch, pending) for batch in batches(events, 1000, 10**6)[0]], pending)


def taken(backlog):
    """Who may go now, by request."""
    found = []
    while request := backlog.player_order.take():
        found.append(sorted(request.frame.get_column(PLAYER).to_list()))
    return found


def test_what_waits_behind_a_stuck_request_goes_but_for_its_players():
    """Through any number of requests in a row, whenever they came."""
    backlog = Backlog()
    queued(backlog, [1, 2])
    stuck = backlog.player_order.take()
    queued(backlog, [2, 3], 10)
    queued(backlog, [3, 4, 2], 20)
    assert taken(backlog) == []
    backlog.player_order.stuck(stuck)
    (first,) = [backlog.player_order.take()]
    assert first.frame.get_column(PLAYER).to_list() == [3]
    assert taken(backlog) == []
    backlog.finish(first)
    assert taken(backlog) == [[3, 4]]
    queued(backlog, [1, 5], 30)
    assert taken(backlog) == [[5]]
    backlog.finish(stuck)
    assert taken(backlog) == [[2], [1]]


def test_a_request_in_parts_keeps_whoever_waits_behind_its_own_part():
    """Those behind one part go when that is done, whatever becomes of the others."""
    backlog = Backlog()
    queued(backlog, [1, 2, 3, 4])
    first = backlog.player_order.take()
    queued(backlog, [4], 10)
    queued(backlog, [1], 20)
    assert backlog.player_order.scatter(first, 2) == 1
    second = backlog.player_order.take()
    assert sorted(first.frame.get_column(PLAYER)) == [1, 2]
    assert sorted(second.frame.get_column(PLAYER)) == [3, 4]
    assert taken(backlog) == []
    backlog.finish(second)
    assert taken(backlog) == [[4]]
    backlog.finish(first)
    assert taken(backlog) == [[1]]


def test_a_half_does_not_wait_for_the_other_half_of_its_request():
    """It has other players, unless they are one player's events: those go one after the other."""
    backlog = Backlog()
    queued(backlog, [0, 1])
    queued(backlog, [7, 7], 10)
    order = backlog.player_order
    two, one = order.take(), order.take()
    order.halve(two)
    other = order.take()
    assert [each.frame.get_column(PLAYER).to_list() for each in (two, other)] == [[0], [1]]
    assert not other.ahead
    order.halve(one)
    assert order.take() is None
    order.finish(one)
    assert order.take().frame.height == 1


def test_the_parts_of_a_request_do_not_wait_as_long_as_the_whole_had_come_to():
    """Each goes again a second after it failed, and not half a minute; one that cannot be divided waits on."""
    backlog = Backlog()
    queued(backlog, [1, 2, 3, 4])
    first = backlog.player_order.take()
    first.attempts = 5
    assert backlog.player_order.scatter(first, 4) == 3
    parts = [first, *(backlog.player_order.take() for _ in range(3))]
    assert [part.attempts for part in parts] == [0, 0, 0, 0]
    first.attempts = 5
    assert backlog.player_order.scatter(first, 4) == 0
    assert first.attempts == 5


def test_an_answer_in_time_clears_its_players_and_a_late_one_none():
    """Who was in a slow request is suspected until the API was quick with them."""
    slow = SlowPlayers()
    slow.answered({1, 2, 3}, LEAST_S)
    assert slow.suspected.keys() == {1, 2, 3}
    slow.answered({2, 3, 4}, LEAST_S / 100)
    assert slow.suspected.keys() == {1}
    slow.answered({1}, 10.0)
    assert slow.suspected.keys() == {1}


def test_what_is_slow_with_everybody_becomes_usual():
    """After some answers nobody is suspected for it any more; so it is when too many are at once."""
    slow = SlowPlayers()
    for player in range(200):
        slow.answered({player % 4}, 3.0)
    assert not slow.suspected
    assert 3.0 < slow.limit_s < 60
    slow.suspect(range(MOST + 1))
    assert not slow.suspected


@given(st.lists(st.integers(0, 9), max_size=40), st.sets(st.integers(0, 9)), st.sampled_from([1, 25, 100]))
def test_players_apart_share_no_request_with_others(players, apart, worth):
    """Nothing is lost by it, and each player's events keep their order."""
    events = some_events(len(players))
    events = type(events)(events.frame.with_columns(pl.Series(PLAYER, players, dtype=pl.UInt64)), events.raw)
    ready, large = batches(events, 10, 10**6, worth=worth, apart=apart)
    assert not large
    made = [list(batch.events.frame.select(PLAYER, EID).iter_rows()) for batch in ready]
    assert not any({player in apart for player, _ in request} == {True, False} for request in made)
    assert sorted(eid for request in made for _, eid in request) == sorted(events.frame.get_column(EID))
    for player in set(players):
        mine = [eid for request in made for owner, eid in request if owner == player]
        assert mine == sorted(mine)


def test_an_api_that_fails_often_gets_no_more_requests_for_it(plain_server, router):
    """Where each fourth request fails, whoever is in it, none is divided until each player has one of their own."""
    lock, count = threading.Lock(), [0]

    def serve(peer):
        while peer.read() is not None:
            with lock:
                count[0] += 1
                fails = count[0] % 4 == 0
            peer.write(answer(status="503 Later") if fails else answer())

    delivery = router(plain_server(serve).url, max_in_flight=4, batch_events=1000)
    for number in range(12):
        assert delivery.send("deposits", some_events(400, players=100, start=1000 * number)).result(60).delivered == 400
    assert count[0] < 5 * 4 * 12


def test_a_request_wakes_one_thread(plain_server, router, monkeypatch):
    """Nobody watches a request that nobody waits for."""
    watched = []
    original = dispatch.Dispatch.watch
    monkeypatch.setattr(dispatch.Dispatch, "watch", lambda self, now: (watched.append(now), original(self, now)))
    delivery = router(plain_server(always()).url, max_in_flight=6)
    until(lambda: len(watched) == 6, 0.01)
    for start in range(5):
        assert delivery.send("deposits", some_events(1, start=start)).result(10).delivered == 1
        until(lambda start=start: len(watched) >= 7 + start, 0.01)
    assert len(watched) == 11


def test_a_view_whose_request_takes_long_is_not_busy(plain_server, router, monkeypatch):
    """Also where nobody waits for that request, and nobody watches it."""
    monkeypatch.setattr(slow_players, "LEAST_S", 0.05)
    go = threading.Event()

    def serve(peer):
        while peer.read() is not None:
            go.wait(10)
            peer.write(answer())

    delivery = router(plain_server(serve).url, timeout=5000)
    pending = delivery.send("deposits", some_events(1))
    assert delivery.busy("deposits")
    until(lambda: not delivery.busy("deposits"), 0.01)
    assert not pending.done()
    go.set()
    assert pending.result(10).delivered == 1


def test_an_api_that_answers_others_is_not_said_to_be_down(plain_server, router):
    """One player's request fails again and again, and nothing else is under way: that is told only while nobody was answered since."""
    refused, enough, released = [], [], threading.Event()

    def serve(peer):
        while (body := peer.read()) is not None:
            bad = b'"u0"' in body and not released.is_set()
            refused.extend([body] * bad)
            if bad and enough and len(refused) > enough[0]:
                released.wait()
            peer.write(answer(status="503 Later") if bad else answer())

    delivery = router(plain_server(serve).url)
    held = delivery.send("users", some_events(1))
    assert problem_of(delivery) is not None
    assert delivery.send("bets", some_events(1, start=1)).result(10).delivered == 1
    enough.append(len(refused) + 2)
    told = []
    while len(refused) <= enough[0]:
        told.append((delivery.problem(), delivery.status()[0].state))
        time.sleep(0.01)
    released.set()
    held.result(30)
    assert {*told} == {(None, "delivering")}


def test_what_waited_for_a_player_goes_together(plain_server, router):
    """Once the API answers: of forty views with an event each it makes a request or two, in their order, and each view has its own receipt."""
    go, sizes, order = threading.Event(), [], []

    def serve(peer):
        while (body := peer.read()) is not None:
            go.wait(10)
            sizes.append(len(json.loads(body)))
            order.extend(event["eid"] for event in json.loads(body))
            peer.write(answer())

    delivery = router(plain_server(serve).url, timeout=10_000, batch_events=1000)
    sends = [delivery.send(f"view{number}", some_events(1, players=1, start=number)) for number in range(40)]
    go.set()
    assert [each.result(10).delivered for each in sends] == [1] * 40
    assert len(sizes) <= 3
    assert order == sorted(order)


@pytest.mark.slow
def test_many_views_of_the_same_players_go_in_full_requests_though_some_fail(plain_server, router):
    """A twentieth of the answers is 503. Whoever waits for what failed is not sent in pieces for ever after."""
    lock, count, order = threading.Lock(), [0], {}

    def serve(peer):
        while (body := peer.read()) is not None:
            with lock:
                count[0] += 1
                if count[0] % 20 == 0:
                    peer.write(answer(status="503 Later"))
                    continue
                for event in json.loads(body):
                    order.setdefault(event["user_ext_id"], []).append(event["eid"])
            peer.write(answer())

    delivery = router(plain_server(serve).url, max_in_flight=12, batch_events=1000)
    sends = [
        delivery.send(f"view{number}", some_events(400, players=150, start=1000 * number), requests="full")
        for number in range(100)
    ]
    assert sum(each.result(60).delivered for each in sends) == 40_000
    assert count[0] <= 250
    assert all(eids == sorted(eids) for eids in order.values())


def test_an_event_that_is_refused_is_told_to_the_view_that_it_is_of(plain_server, router):
    """Also where the events of several views went in one request."""
    go = threading.Event()

    def serve(peer):
        while (body := peer.read()) is not None:
            go.wait(10)
            errors = {
                event["eid"]: [{"error_message": "no", "error_code": 2}]
                for event in json.loads(body)
                if event["payload"]["acc_last_transaction_id"] in ("11", "20", "21")
            }
            peer.write(answer(json.dumps({"err_code": 0, "event_errors": errors}).encode()))

    delivery = router(plain_server(serve).url, timeout=10_000)
    sends = [delivery.send(f"view{number}", some_events(2, players=1, start=10 * number)) for number in range(4)]
    go.set()
    receipts = [each.result(10) for each in sends]
    assert [(each.delivered, [refusal.row for refusal in each.refused]) for each in receipts] == [
        (2, []), (1, [1]), (0, [0, 1]), (2, []),
    ]  # fmt: skip
