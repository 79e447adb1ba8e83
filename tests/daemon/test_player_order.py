"""A player's events reach Smartico in their order, by whatever door: pages, late rows, retries, rewinds, backfills."""

from __future__ import annotations

import sqlite3
import threading
from contextlib import ExitStack
from datetime import UTC, datetime, timedelta

import polars as pl
import pytest

from daemon.test_operating import until
from smartico_sync.config.load import load
from smartico_sync.core.outcome import revived
from smartico_sync.core.position import Position
from smartico_sync.core.reason_codes import GONE, UNACKNOWLEDGED
from smartico_sync.daemon.wiring import assemble
from smartico_sync.observe.health import assess
from smartico_sync.tracking.backfill import Backfills
from smartico_sync.tracking.reconciliation import names_of
from smartico_sync.tracking.redelivery import requested

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
    today.store.database.connection.execute("UPDATE letter SET next_try_ms = 0 WHERE next_try_ms < 1 << 62")


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
    assert today.status("deposits").parked_oldest_ms > 0
    today.operator.sandbox.set_faults([])
    hurry(today)
    today.poll()
    assert deposits(today) == list(range(1, 25))
    assert today.status("deposits").parked == {}
    assert today.status("deposits").parked_oldest_ms == 0


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


def test_pages_on_their_way_do_not_overtake_what_was_just_parked(day):
    """The first page is refused because the player is unknown, who becomes known while later pages are on their way: all in order."""
    today = day(DEPOSITS % ", page_rows: 5")
    sandbox = today.operator.sandbox
    sandbox.set_faults(["unknown-users", "latency=100ms"])

    def becomes_known():
        until(lambda: sandbox.stats()["refused"])
        sandbox.set_faults([])

    known = threading.Thread(target=becomes_known)
    known.start()
    deposit(today, *range(1, 61))
    today.poll()
    known.join()
    assert sandbox.stats()["refused"] == {"10001": 5}
    hurry(today)
    today.poll_until(lambda: not today.status("deposits").parked)
    assert deposits(today) == list(range(1, 61))
    counts = today.status("deposits").counts
    assert (counts["read"], counts["parked"]) == (60, 0)
    assert counts["delivered"] + counts.get("duplicate", 0) == 60


def test_a_brand_that_nobody_registered_waits_and_holds_up_nobody(day):
    """One row of an unknown brand: it is parked with 125 and told with a hint, all others go on; registered, it goes, in order."""
    today = day(PLAYERS % "" + DEPOSITS % "")
    today.operator.sandbox.set_faults(["unknown-brand=new"])
    deposit(today, *range(1, 11))
    today.replica.execute("UPDATE deposits SET ext_brand_id = 'new', user_ext_id = 'n' WHERE id IN (3, 6, 9)")
    today.update(1, "name", player="n")
    today.replica.execute("UPDATE players SET ext_brand_id = 'new'")
    today.update(1, "other")
    today.poll()
    assert deposits(today) == [1, 2, 4, 5, 7, 8, 10]
    assert today.names()[-1] == "other" or "other" in today.names()
    for name, waiting in (("deposits", 3), ("players", 1)):
        status = today.status(name)
        assert status.state == "live"
        assert sum(status.parked.values()) == waiting
        assert 125 in status.parked
        assert status.dead == {}
    findings = assess(today.parts.board.views(), today.parts.delivery.status()).findings
    assert any(f.severity == "critical" and "brand new" in f.message and "register new" in f.hint for f in findings)
    deposit(today, 11)
    hurry(today)
    today.poll()
    assert deposits(today)[-1] == 11
    today.operator.sandbox.set_faults([])
    for halt in today.parts.delivery.default.dispatch.breaker.halts.values():
        halt.probe_at = 0
    hurry(today)
    today.poll()
    assert deposits(today, "n") == [3, 6, 9]
    assert "name" in today.names()
    assert [today.status(name).parked for name in ("deposits", "players")] == [{}, {}]


def test_one_run_with_an_unknown_brand_says_so(operator):
    """`smartico-sync run --once` delivers what it can, and ends with the code of an API that refused."""
    with sqlite3.connect(operator.home / "replica.db") as replica:
        replica.executescript(TABLES)
        replica.execute("INSERT INTO deposits (transaction_id) VALUES (1)")
        replica.execute("INSERT INTO deposits (transaction_id, ext_brand_id) VALUES (2, 'new')")
    operator.sandbox.set_faults(["unknown-brand=new"])
    operator.configure(f"sqlite:///{operator.home}/replica.db", DEPOSITS % "")
    done = operator.sync("run", "--once")
    assert done.returncode == 4, done.stderr
    assert "brand new" in done.stderr
    assert len(operator.accepted()) == 1


BETS = (
    "  - {name: bets, source: db, relation: bets, kind: casino_bets_and_wins, cursor: dt, key: [id], every: 50ms,"
    " type: {column: tx_type, bet: BET, win: WIN}}\n"
)


def test_rows_at_one_moment_go_in_the_order_of_what_happened(day):
    """Of rows with one cursor value the earlier goes first, and at one moment a bet before its win, whatever their keys."""
    today = day(BETS)
    today.replica.execute(
        "CREATE TABLE bets (id INTEGER, ext_brand_id TEXT DEFAULT 'b', user_ext_id TEXT DEFAULT 'p', dt TIMESTAMP, bet_date TIMESTAMP,"
        " tx_type TEXT, bet_id TEXT, bet_amount NUMERIC DEFAULT 1, win_amount NUMERIC DEFAULT 1, game_name TEXT DEFAULT 'g')"
    )
    rows = [(1, 3, "WIN"), (2, 3, "BET"), (3, 1, "BET"), (4, 2, "WIN"), (5, 2, "BET")]
    for number, second, role in rows:
        today.replica.execute(
            "INSERT INTO bets (id, dt, bet_date, tx_type, bet_id) VALUES (?, ?, ?, ?, ?)",
            (number, today.at(9), today.at(second), role, f"r{number}"),
        )
    today.poll()
    assert [event["payload"]["casino_last_bet_id"] for event in today.operator.accepted()] == [
        "r3",
        "r5",
        "r4",
        "r2",
        "r1",
    ]


@pytest.mark.parametrize("fault", ["unknown-users", "refuse=1"])
def test_a_row_that_changed_keeps_its_new_id_however_often_it_is_tried(day, fault):
    """With `on_mutated: resend` the changed row goes as a new event, also when that event had to wait or was given up first."""
    today = day(DEPOSITS % ", on_mutated: resend, key: [transaction_id]")
    today.poll()
    deposit(today, 1)
    today.poll()
    today.operator.sandbox.set_faults([fault])
    today.replica.execute("UPDATE deposits SET deposit_amount = 7")
    today.loops["deposits"]._session.checks.mutations.next_ms = 0
    for _ in range(4):
        today.poll()
        hurry(today)
    assert len(today.operator.accepted()) == 1
    today.operator.sandbox.set_faults([])
    for letter in today.store.dead_letters():
        today.store.revive("deposits", [revived(letter, 1)])
    hurry(today)
    today.poll()
    events = today.operator.accepted()
    assert [event["payload"]["acc_last_deposit_amount"] for event in events] == [1, 7]
    assert len({event["eid"] for event in events}) == 2


def test_a_row_that_waits_is_not_given_up_because_a_replica_further_back_does_not_show_it(day):
    """It waits a little longer and goes when it is shown again; one that stays away is given up."""
    today = day(PLAYERS % "" + DEPOSITS % "")
    today.operator.sandbox.set_faults(["unknown-users"])
    deposit(today, 1)
    deposit(today, 2)
    today.poll()
    today.replica.execute("CREATE TABLE primary_deposits AS SELECT * FROM deposits")
    today.replica.execute("DELETE FROM deposits")
    hurry(today)
    today.poll("deposits")
    assert today.status("deposits").dead == {}
    today.replica.execute("INSERT INTO deposits SELECT * FROM primary_deposits WHERE id = 1")
    today.operator.sandbox.set_faults([])
    for _ in range(8):
        hurry(today)
        today.poll("deposits")
    assert len(today.operator.accepted()) == 1
    assert today.status("deposits").dead == {GONE: 1}


def test_rows_of_a_keyless_view_that_are_asked_for_are_found_by_what_they_hold(day):
    """Three rows at one cursor value that a comparison misses: each is read again, sent and counted once."""
    today = day(
        "  - {name: log, source: db, relation: log, kind: custom, event_type: visit, cursor: at, key: [], every: 50ms,"
        " event_date: at}\n"
    )
    today.replica.execute(
        "CREATE TABLE log (at TIMESTAMP, ext_brand_id TEXT DEFAULT 'b', user_ext_id TEXT DEFAULT 'p', page TEXT)"
    )
    moment = (datetime.now(UTC) - timedelta(hours=5)).strftime("%Y-%m-%d %H:%M:%S.%f")
    later = (datetime.now(UTC) - timedelta(hours=1)).strftime("%Y-%m-%d %H:%M:%S.%f")
    today.replica.executemany("INSERT INTO log (at, page) VALUES (?, ?)", [(moment, "a"), (later, "z")])
    today.poll()
    today.replica.executemany("INSERT INTO log (at, page) VALUES (?, ?)", [(moment, name) for name in "bcd"])
    prepared = today.loops["log"]._session.prepared
    with today.loops["log"].equipment.source.reading(prepared.relation) as reading:
        rows = reading.rows([Position(reading.keys(None, reading.head(), 1).get_column("@cursor")[0])])
    missing = rows.filter(pl.col("page") != "a")
    asked = requested("log", names_of(prepared, missing), UNACKNOWLEDGED, "found by a comparison")
    today.store.enqueue("log", asked)
    today.poll()
    assert sorted(event["payload"]["page"] for event in today.operator.accepted()) == ["a", "b", "c", "d", "z"]
    counts = today.status("log").counts
    assert (today.status("log").parked, today.status("log").dead) == ({}, {})
    assert counts["delivered"] == 5


def whole_second(day, name):
    """The player changes now, by a clock of whole seconds."""
    second = datetime.now(UTC).replace(microsecond=0).isoformat(sep=" ").removesuffix("+00:00")
    day.replica.execute("UPDATE players SET core_username = ?, dt_update = ?", (name, second))
    return second


def changed_once(day):
    """A player who has changed and was sent so, and the second of that, which is not over."""
    today = day(PLAYERS % "")
    today.replica.execute("INSERT INTO players (dt_update, core_username) VALUES ('2026-01-01 00:00:01', 'old')")
    today.poll()
    second = whole_second(today, "first")
    today.poll_until(lambda: today.names() == ["old", "first"])
    return today, second


@pytest.mark.parametrize("left", ["running", "restarted"])
def test_a_second_change_under_the_same_cursor_value_is_found(day, left):
    """Cursors of whole seconds: a player who changes twice within one is sent as he is at its end, though a poll came between."""
    today, second = changed_once(day)
    today.replica.execute("UPDATE players SET core_username = 'second', dt_update = ?", (second,))
    if left == "restarted":
        today.loops["players"].close()
    today.poll_until(lambda: today.names() == ["old", "first", "second"])
    assert today.replica.execute("SELECT dt_update FROM players").fetchone()[0] == second
    for _ in range(3):
        today.poll()
    assert today.operator.sandbox.stats()["accepted"] == 3


@pytest.mark.parametrize("left", ["closed", "replaced"])
def test_a_second_change_is_found_after_a_restart_whoever_came_meanwhile(day, left):
    """The second in which the player changed twice is not the newest one any more; also where the newest row has moved on since."""
    today, second = changed_once(day)
    newest = f"strftime('%Y-%m-%d %H:%M:%S', '{second}', '+1 second')"
    today.replica.execute(
        f"INSERT INTO players (dt_update, core_username, user_ext_id) VALUES ({newest}, 'other', 'q')"
    )
    today.poll_until(lambda: today.names() == ["old", "first", "other"])
    today.loops["players"].close()
    today.replica.execute("UPDATE players SET core_username = 'second' WHERE user_ext_id = 'p'")
    if left == "replaced":
        today.replica.execute("UPDATE players SET dt_update = datetime(dt_update, '+1 second') WHERE user_ext_id = 'q'")
    today.poll_until(lambda: today.names() == ["old", "first", "other", "second"])
