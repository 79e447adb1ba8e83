"""The whole daemon beside an API that is slow with one player: everybody else's events arrive."""

from __future__ import annotations

import json
import signal
import sqlite3
import threading
from contextlib import contextmanager

import pytest

from servers.plain import PlainServer, answer
from waiting import until

SLOW = 0
PLAYERS = 40
ROUNDS = 6
VIEW = "  - {name: deposits, source: db, relation: deposits, kind: deposits, cursor: transaction_id, every: 100ms}\n"


class Api:
    """Takes everything but what holds an event of the slow player, until the test lets that go."""

    def __init__(self, fault):
        self.fault, self.released, self.lock = fault, threading.Event(), threading.Lock()
        self.requests = 0
        self.numbers = {}  # of what was accepted, by player, in order
        self.server = PlainServer(self.serve)

    def serve(self, peer):
        while (body := peer.read()) is not None:
            self.requests += 1
            events = [(int(event["user_ext_id"]), event["payload"]) for event in json.loads(body)]
            if not self.released.is_set() and any(player == SLOW for player, _ in events):
                if self.fault == "refused":
                    peer.write(answer(status="503 Later"))
                    continue
                self.released.wait()
            with self.lock:
                for player, payload in events:
                    numbers = self.numbers.setdefault(player, [])
                    if (number := int(payload["acc_last_transaction_id"])) not in numbers:
                        numbers.append(number)
            peer.write(answer())

    def all_of(self, players):
        """What arrived of these players."""
        with self.lock:
            return {number for player in players for number in self.numbers.get(player, [])}


def table(operator):
    """A connection to an empty replica."""
    replica = sqlite3.connect(operator.home / "replica.db", isolation_level=None)
    replica.execute(
        "CREATE TABLE deposits (transaction_id INTEGER PRIMARY KEY, ext_brand_id TEXT DEFAULT 'b', user_ext_id INTEGER,"
        " transaction_date TEXT DEFAULT '2026-01-01 00:00:00', deposit_amount NUMERIC DEFAULT 1)"
    )
    return replica


def inserted(replica, players):
    """The number of the last of new deposits of these players."""
    replica.executemany("INSERT INTO deposits (user_ext_id) VALUES (?)", [(player,) for player in players])
    return replica.execute("SELECT max(transaction_id) FROM deposits").fetchone()[0]


@contextmanager
def at_work(operator, api, replica):
    """While the daemon runs; in the end the API holds nothing back."""
    daemon = operator.start("run")
    try:
        yield
    finally:
        api.released.set()
        daemon.send_signal(signal.SIGTERM)
        daemon.wait()
        replica.close()
        api.server.close()


@pytest.mark.slow
@pytest.mark.parametrize(("fault", "timeout"), [("held", "600s"), ("refused", "30s"), ("never answered", "1s")])
def test_nobody_waits_for_a_player_whom_the_api_is_slow_with(operator, fault, timeout):
    """The others' events of every later poll are acknowledged while that player's are not; then all is, each player's in order."""
    api = Api(fault)
    operator.sandbox = api.server
    replica = table(operator)

    def insert(*players):
        return inserted(replica, players)

    wanted = set()
    companions = range(1, 6)
    insert(SLOW, *companions)  # these are in the first request with the slow player
    operator.configure(f"sqlite:///{operator.home}/replica.db", VIEW, timeout=timeout)
    with at_work(operator, api, replica):
        until(lambda: api.requests)
        free = range(6, PLAYERS)
        for _ in range(ROUNDS):
            first = insert(SLOW, *companions, *free) - len(free) + 1
            wanted = wanted | set(range(first, first + len(free)))
            until(lambda wanted=wanted: api.all_of(free) == wanted)
        assert not api.all_of([SLOW])
        if fault != "held":  # what has to be sent again goes without the slow player
            until(lambda: all(len(api.numbers.get(player, [])) == ROUNDS + 1 for player in companions))
            assert not api.all_of([SLOW])
        api.released.set()
        until(lambda: len(api.all_of(range(PLAYERS))) == len(companions) + 1 + ROUNDS * PLAYERS)
    assert all(numbers == sorted(numbers) for numbers in api.numbers.values())


@pytest.mark.slow
@pytest.mark.parametrize(("fault", "timeout"), [("refused", "30s"), ("never answered", "1s")])
def test_a_backlog_does_not_wait_for_a_player_whom_the_api_is_slow_with(operator, fault, timeout):
    """What was there before the daemon began arrives of all others, however many pages that are."""
    api = Api(fault)
    operator.sandbox = api.server
    replica = table(operator)
    last = inserted(replica, [number % PLAYERS for number in range(PLAYERS * 50)])
    wanted = {number for number in range(1, last + 1) if (number - 1) % PLAYERS != SLOW}
    view = VIEW.replace("every: 100ms", f"every: 100ms, page_rows: {PLAYERS * 2}")
    operator.configure(f"sqlite:///{operator.home}/replica.db", view, timeout=timeout)
    with at_work(operator, api, replica):
        until(lambda: api.all_of(range(PLAYERS)) == wanted)
        api.released.set()
        until(lambda: len(api.all_of(range(PLAYERS))) == last)
    assert all(numbers == sorted(numbers) for numbers in api.numbers.values())
