"""A player's events reach Smartico in their order, by whatever door: pages, late rows, retries, rewinds, backfills."""

from __future__ import annotations

import sqlite3
import threading
from contextlib import ExitStack
from datetime import UTC, datetime, timedelta

import pytest

from daemon.test_operating import until
from smartico_sync.config.load import load
from smartico_sync.daemon.wiring import assemble
from smartico_sync.tracking.backfill import Backfills

TABLES = """
    CREATE TABLE players (id INTEGER PRIMARY KEY, ext_brand_id TEXT DEFAULT 'b', user_ext_id TEXT DEFAULT 'p',
        dt_update TIMESTAMP, core_username TEXT);
    CREATE TABLE deposits (id INTEGER PRIMARY KEY, transaction_id INTEGER, ext_brand_id TEXT DEFAULT 'b', user_ext_id TEXT DEFAULT 'p',
        transaction_date TIMESTAMP DEFAULT '2026-01-01 00:00:00', deposit_amount NUMERIC DEFAULT 1);
"""
PLAYERS = "  - {name: players, source: db, relation: players, kind: users, cursor: dt_update, every: 50ms%s}\n"
DEPOSITS = "  - {name: deposits, source: db, relation: deposits, kind: deposits, cursor: id, every: 50ms%s}\n"


class Day:
    """The daemon's parts over a SQLite replica, polled by hand."""

    def __init__(self, operator, stack, views, **smartico):
        self.operator, self.began = operator, datetime.now(UTC) - timedelta(minutes=1)
        self.replica = sqlite3.connect(operator.home / "replica.db", isolation_level=None)
        stack.callback(self.replica.close)
        self.replica.executescript(TABLES)
        operator.configure(f"sqlite:///{operator.home}/replica.db", views, **smartico)
        self.parts = assemble(load(operator.config), operator.home, stack)
        self.loops = {loop.name: loop for loop in self.parts.loops}
        self.store = self.parts.store

    def poll(self, *names):
        for name in names or self.loops:
            self.loops[name].poll(threading.Event())

    def poll_until(self, done):
        """Late rows are looked for now and then."""
        until(lambda: self.poll() or done())

    def status(self, name):
        return next(status for status in self.parts.board.views() if status.name == name)

    def update(self, second, name, player="p"):
        self.replica.execute(
            "INSERT INTO players (dt_update, core_username, user_ext_id) VALUES (?, ?, ?)",
            (self.at(second), name, player),
        )

    def at(self, second):
        """A moment shortly before the test began."""
        return (self.began + timedelta(seconds=second)).strftime("%Y-%m-%d %H:%M:%S.%f")

    def names(self):
        return [event["payload"].get("core_username") for event in self.operator.accepted()]


@pytest.fixture
def day(operator):
    with ExitStack() as stack:
        yield lambda views, **smartico: Day(operator, stack, views, **smartico)


@pytest.mark.parametrize("key", ["", ", key: [id]", ", key: []"], ids=["by player", "by row", "keyless"])
def test_a_late_profile_that_is_older_is_not_sent(day, key):
    """What became visible late and is older than what was delivered counts as unchanged and is told."""
    today = day(PLAYERS % (", late_commit: lookback" + key))
    today.update(5, "new")
    today.poll()
    today.update(4.999999, "old")
    today.poll()
    if key != ", key: []":  # a keyless row below the head is not looked for
        today.poll_until(lambda: today.status("players").stale == 1)
        counts = today.status("players").counts
        assert (counts["read"], counts["unchanged"]) == (2, 1)
    assert today.names() == ["new"]
    today.update(5.000001, "newer")
    today.poll()
    assert today.names() == ["new", "newer"]


def test_a_profile_that_was_dated_back_is_the_newest_there_is(day):
    """A clock that is behind, or a date that was mended: where the source holds nothing newer of the player, the row is sent."""
    today = day(PLAYERS % ", late_commit: lookback")
    today.update(5, "first")
    today.poll()
    today.replica.execute("UPDATE players SET dt_update = ?, core_username = 'second'", (today.at(3),))
    today.poll_until(lambda: len(today.names()) == 2)
    assert today.names() == ["first", "second"]
    assert today.status("players").stale == 0


@pytest.mark.parametrize("fingerprints", ["keep", "forget"])
def test_a_rewind_brings_back_no_older_profile(day, fingerprints):
    """Also when all profiles are to be sent again: that is each as it is now."""
    today = day(PLAYERS % ", key: [id]")
    for second, name in enumerate("abc", 1):
        today.update(second, name)
        today.poll()
    today.store.rewind("players", None, at_ms=1, fingerprints=fingerprints)
    today.loops["players"]._drop_session()
    today.poll()
    assert today.names() == ["a", "b", "c"]  # the last goes again with the same id, which is a duplicate
    duplicates = 1 if fingerprints == "forget" else 0
    assert today.operator.sandbox.stats()["duplicates"] == duplicates
    assert today.status("players").stale == 2


@pytest.mark.parametrize("profiles", ["changed", "all"])
def test_a_backfill_brings_back_no_older_profile(day, profiles):
    """History that is sent on request leaves each player with the newest profile."""
    today = day(PLAYERS % ", key: [id]")
    for second, name in enumerate("abc", 1):
        today.update(second, name)
    today.update(1.5, "only", player="q")
    today.poll()
    today.store.add_backfill(
        "players", low=today.at(0), high=today.at(9), rate=1000, profiles=profiles, total=4, at_ms=1
    )
    work(today)
    assert sorted(today.names()) == ["a", "b", "c", "only"]
    assert today.names()[-1] == "c"
    assert today.status("players").stale == 2


def work(today):
    """Have the backfills worked off while the loops are at work."""
    stopping = threading.Event()
    threads = [threading.Thread(target=loop.run, args=(stopping, "never")) for loop in today.loops.values()]
    for thread in threads:
        thread.start()
    backfills = Backfills(list(today.loops.values()), today.store)
    while any(each.state == "open" for each in today.store.backfills()):
        backfills.round(stopping)
    stopping.set()
    for loop, thread in zip(today.loops.values(), threads, strict=True):
        loop.mailbox.wake()
        thread.join()


def deposit(today, *numbers, player="p"):
    today.replica.executemany(
        "INSERT INTO deposits (transaction_id, user_ext_id) VALUES (?, ?)", [(number, player) for number in numbers]
    )


def deposits(today, player="p"):
    return [
        int(event["payload"]["acc_last_transaction_id"])
        for event in today.operator.accepted()
        if event["user_ext_id"] == player and "acc_last_transaction_id" in event["payload"]
    ]


def hurry(today):
    """The clock of everything that waits for its next try has come."""
    today.store._connection.execute("UPDATE letter SET next_try_ms = 0 WHERE next_try_ms < 1 << 62")


def test_what_waits_for_a_player_goes_in_order_whenever_it_came(day):
    """24 deposits of one player, read one by one while the player is unknown and tried in between, are accepted as 1 to 24."""
    today = day(DEPOSITS % "")
    today.operator.sandbox.set_faults(["unknown-users"])
    for number in range(1, 25):
        deposit(today, number)
        today.poll()
        if number % 5 == 0:
            hurry(today)
    assert today.status("deposits").parked.keys() == {10001, -4}
    today.operator.sandbox.set_faults([])
    hurry(today)
    today.poll()
    assert deposits(today) == list(range(1, 25))
    assert today.status("deposits").parked == {}


def test_a_try_asks_with_the_first_event_of_each_player(day):
    """A player who is still unknown costs one event a try, however much waits."""
    today = day(DEPOSITS % "")
    today.operator.sandbox.set_faults(["unknown-users"])
    deposit(today, *range(1, 40))
    deposit(today, *range(40, 45), player="q")
    today.poll()
    before = today.operator.sandbox.stats()["received"]
    hurry(today)
    today.poll()
    assert today.operator.sandbox.stats()["received"] - before == 2


def test_more_than_one_try_takes_is_tried_in_order(day, monkeypatch):
    """Where a try takes only so many rows, the rest of a player follows, and nothing of it overtakes."""
    monkeypatch.setattr("smartico_sync.tracking.redelivery.ROWS_AT_ONCE", 7)
    today = day(DEPOSITS % "")
    today.operator.sandbox.set_faults(["unknown-users"])
    for number in range(1, 41):
        deposit(today, number, player="pq"[number % 2])
    today.poll()
    today.operator.sandbox.set_faults([])
    hurry(today)
    today.poll()
    assert deposits(today, "p") == list(range(2, 41, 2))
    assert deposits(today, "q") == list(range(1, 41, 2))


def test_a_profile_that_is_accepted_lets_go_what_waited_for_it(day):
    """What waits for a player is due as soon as a profile of that player is accepted, in every view."""
    today = day(PLAYERS % "" + DEPOSITS % "")
    today.operator.sandbox.set_faults(["unknown-users"])
    deposit(today, 1, 2, 3)
    for _ in range(4):  # the next try is far off
        today.poll("deposits")
        hurry(today)
    today.poll("deposits")
    today.update(1, "name")
    today.poll("players", "deposits")
    assert deposits(today) == [1, 2, 3]
