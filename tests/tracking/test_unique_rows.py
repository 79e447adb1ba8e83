"""Two different rows never share an event id, and none vanishes silently: over pages, windows, crashes and restarts."""

from __future__ import annotations

import sqlite3
import tempfile
import threading
from concurrent.futures import Future
from contextlib import ExitStack, closing
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from hypothesis import event, example, given, settings
from hypothesis import strategies as st
from msgspec.structs import replace

from parts import parts
from smartico_sync.config.load import load
from smartico_sync.core.events import EID, KEY, POSITION
from smartico_sync.core.outcome import revived
from smartico_sync.core.reason_codes import UNKNOWN_USER
from smartico_sync.core.records import Commit, Receipt, Refusal
from smartico_sync.daemon.wiring import protection_of, sources_of
from smartico_sync.errors import ViewMisconfigured
from smartico_sync.observe.health import assess
from smartico_sync.observe.status_board import StatusBoard
from smartico_sync.state.store import Store
from smartico_sync.tracking import key_watch
from smartico_sync.tracking.clocks import now_ms
from smartico_sync.tracking.loop import ViewLoop
from smartico_sync.tracking.session import Equipment
from smartico_sync.tracking.status_recorder import StatusRecorder
from waiting import until

PII_KEY = "MDEyMzQ1Njc4OWFiY2RlZjAxMjM0NTY3ODlhYmNkZWY="  # of no value


class Api:
    """Remembers every id for ever and takes what has it for the first of them; when told to crash it never answers.

    `refuses`: the code with which it refuses what it does not know, 0 for none.
    """

    def __init__(self):
        self.accepted = {}
        self.crash = None
        self.refuses = 0

    def send(self, _view, events, *, priority="live", holds=None, **_requests):
        known, refused = [], []
        for place, eid, key, amount in events.frame.select(POSITION, EID, KEY, "acc_last_deposit_amount").iter_rows():
            if eid in self.accepted:
                known.append(place)
            elif self.refuses:
                refused.append(Refusal(place, eid, self.refuses, "refused"))
                continue
            self.accepted.setdefault(eid, (key, amount))
        receipt: Future[Receipt] = Future()
        if self.crash is not None:
            self.crash.set()
        else:
            receipt.set_result(
                Receipt(len(events) - len(known) - len(refused), len(known), tuple(refused), 1, 1, tuple(known))
            )
        return receipt

    def busy(self, _view):
        return True

    def problem(self):
        return None


class Day:
    """A table of deposits, a view of it, and whoever writes, polls and pulls the plug."""

    def __init__(self, home, *, cursor, lookback, policy, pages, stack, relation="deposits"):
        self.home, self.cursor, self.stack = home, cursor, stack
        self.replica = stack.enter_context(closing(sqlite3.connect(home / "replica.db", isolation_level=None)))
        self.replica.execute(
            "CREATE TABLE deposits (id INTEGER PRIMARY KEY, transaction_id TEXT, ext_brand_id TEXT DEFAULT 'b', user_ext_id TEXT"
            " DEFAULT 'u', transaction_date TEXT DEFAULT '2026-01-01 00:00:00', dt TIMESTAMP, deposit_amount INTEGER)"
        )
        self.replica.execute(
            "CREATE VIEW without_id AS SELECT transaction_id, ext_brand_id, user_ext_id, transaction_date, dt, deposit_amount FROM deposits"
        )
        (home / "views.yaml").write_text(
            "version: 1\nsmartico: {url: 'http://127.0.0.1:9/', token: t}\nstate: ./sync.db\n"
            f"pii: {{key: {PII_KEY}}}\nsources: {{db: {{url: 'sqlite:///{home}/replica.db'}}}}\n"
            f"views:\n  - {{name: deposits, source: db, relation: {relation}, kind: deposits, cursor: {cursor}, key: transaction_id,"
            f" on_mutated: {policy}, lookback: {lookback}, page_rows: {pages}}}\n"
        )
        (home / "views.yaml").chmod(0o600)
        self.configuration = load(home / "views.yaml")
        self.api, self.number = Api(), 0
        self.start()

    def start(self):
        (view,) = self.configuration.views
        self.store = Store.open(self.home / "sync.db")
        self.source = sources_of(self.configuration)["db"]
        self.board = StatusBoard()
        self.loop = ViewLoop(
            Equipment(
                self.configuration, view, self.source, self.store, self.api, protection_of(self.configuration),
                StatusRecorder(view, self.board),
            )
        )  # fmt: skip

    def stop(self):
        self.loop.close()
        self.source.close()
        self.store.close()

    def restart(self):
        self.stop()
        self.start()

    def crash(self):
        """The API takes what is sent now, and the process dies before it hears of it."""
        self.api.crash = threading.Event()
        self.loop.poll(self.api.crash, checks="now")
        self.api.crash = None
        self.restart()

    def poll(self):
        self.loop.poll(threading.Event(), checks="now")

    def refuse(self, code=2):
        """The API refuses what is new in this poll."""
        self.api.refuses = code
        self.poll()
        self.api.refuses = 0

    def wait(self):
        """The API knows no player in this poll, so rows wait."""
        self.refuse(UNKNOWN_USER)

    def retry(self):
        """Whatever waits or was given up is tried again."""
        self.poll()
        if given_up := [revived(each, now_ms()) for each in self.store.all_dead_letters()]:
            self.store.revive("deposits", given_up)
        waiting = self.store.parked("deposits", 2**62, 1_000)
        if waiting:
            due = tuple(replace(each, next_try_ms=0) for each in waiting)
            self.store.commit(Commit("deposits", now_ms(), parked=due))
        self.restart()
        self.poll()

    def undelivered(self):
        """The places of rows that wait or were given up."""
        rows = [*self.store.all_dead_letters(), *self.store.parked("deposits", 2**62, 1_000)]
        return {(each.row.position.key[0], each.row.position.cursor) for each in rows}

    def now(self):
        self.number += 1
        moment = datetime.now(UTC) - timedelta(hours=1) + timedelta(milliseconds=self.number)
        return moment.isoformat(sep=" ", timespec="microseconds").removesuffix("+00:00")

    def insert(self, key):
        self.replica.execute(
            "INSERT INTO deposits (transaction_id, dt, deposit_amount) VALUES (?, ?, ?)", (key, self.now(), self.number)
        )

    def copy(self, place):
        """The same row a second time."""
        self.replica.execute(
            "INSERT INTO deposits (transaction_id, dt, deposit_amount) SELECT transaction_id, dt, deposit_amount FROM deposits"
            " ORDER BY id LIMIT 1 OFFSET ?",
            (place,),
        )

    def move(self, place):
        """A row is corrected, and its time with it."""
        self.replica.execute(
            "UPDATE deposits SET dt = ?, deposit_amount = ? WHERE id = (SELECT id FROM deposits ORDER BY id LIMIT 1 OFFSET ?)",
            (self.now(), self.number, place),
        )

    def places(self):
        """Each row with where it stands."""
        found = self.replica.execute("SELECT DISTINCT transaction_id, deposit_amount, dt FROM deposits")
        return {(key, amount): (key, dt) for key, amount, dt in found}

    def rows(self):
        return self.replica.execute("SELECT DISTINCT transaction_id, deposit_amount FROM deposits").fetchall()

    @property
    def error(self):
        return self.loop.standing.error


KEYS = st.sampled_from([f"k{number}" for number in range(8)])
PLACES = st.integers(0, 6)
STEPS = st.lists(
    st.one_of(
        st.tuples(st.just("insert"), KEYS), st.tuples(st.just("insert"), KEYS), st.tuples(st.just("move"), PLACES),
        st.tuples(st.sampled_from(["poll", "poll", "restart", "crash"])),
    ),
    max_size=14,
)  # fmt: skip
TRIALS = st.lists(
    st.one_of(
        st.tuples(st.just("insert"), KEYS), st.tuples(st.sampled_from(["poll", "restart", "crash", "refuse", "wait", "retry"]))
    ),
    max_size=14,
)  # fmt: skip


@parts(4)
@settings(max_examples=10)
@example(steps=[("insert", "k0"), ("crash",), ("move", 0)], lookback="1s", pages=2)
@example(
    steps=[*(("insert", f"k{n}") for n in range(5)), ("poll",), ("insert", "k0"), ("crash",)], lookback="1s", pages=2
)
@example(steps=[*(("insert", f"k{n}") for n in range(5)), ("poll",), ("move", 0), ("crash",)], lookback="1s", pages=2)
@given(steps=STEPS, lookback=st.sampled_from(["1s", "2h"]), pages=st.sampled_from([2, 100]))
def test_every_row_is_delivered_or_the_view_says_that_its_key_is_not_unique(part, steps, lookback, pages):
    """Whatever repeats and moves, no id stands for two rows, and a view that goes on has delivered what the source holds.

    It stops only where two rows with one key were there together. What changes between two crashes, of which the first took
    away all that the state was to know of it, nobody can tell from what was sent as it is.
    """
    with tempfile.TemporaryDirectory() as home, ExitStack() as stack:
        day = Day(Path(home), cursor="dt", lookback=lookback, policy="resend", pages=pages, stack=stack)
        repeated, crashed = False, False
        between, untold = set(), set()
        for name, *arguments in [*steps, ("poll",), ("poll",), ("poll",)]:
            before = set(day.rows())
            getattr(day, name)(*arguments)
            if name == "move" and crashed:
                between |= {key for key, _ in set(day.rows()) - before}
            elif name == "crash":
                crashed, between, untold = True, set(), untold | between
            elif name == "poll":
                crashed, between = False, set()
            keys = [key for key, _ in day.rows()]
            repeated = repeated or len(set(keys)) < len(keys)
            if day.error is not None:
                assert isinstance(day.error, ViewMisconfigured), day.error
                assert "not unique" in day.error.message
                assert repeated
                event("the view stopped")
                break
        else:
            assert {row for row in day.rows() if row[0] not in untold} <= set(day.api.accepted.values())
            event("two rows had one key" if repeated else "all keys were unique")
        day.stop()


@pytest.mark.slow
@settings(max_examples=25)
@example(
    steps=[
        ("insert", "k0"),
        ("refuse",),
        ("insert", "k1"),
        ("poll",),
        ("restart",),
        ("insert", "k0"),
        ("poll",),
        ("retry",),
    ],
    lookback="1s",
)
@given(steps=TRIALS, lookback=st.sampled_from(["1s", "2h"]))
def test_a_row_that_was_refused_is_never_taken_for_another(steps, lookback):
    """Whatever was refused, waited and was tried again: each row was accepted, or is known not to be; or the view stops."""
    with tempfile.TemporaryDirectory() as home, ExitStack() as stack:
        day = Day(Path(home), cursor="dt", lookback=lookback, policy="warn", pages=100, stack=stack)
        for name, *arguments in [*steps, ("poll",), ("poll",)]:
            getattr(day, name)(*arguments)
            if day.error is not None:
                assert "not unique" in day.error.message
                break
        else:
            accepted = set(day.api.accepted.values())
            left = {place for row, place in day.places().items() if row not in accepted}
            assert left <= day.undelivered()
        day.stop()


@parts(5)
@settings(max_examples=5)
@given(steps=STEPS, pages=st.sampled_from([2, 100]))
def test_an_incrementing_cursor_delivers_every_row_whatever_its_key(part, steps, pages):
    """Under an id as cursor each row is an event of its own, and the view never stops."""
    with tempfile.TemporaryDirectory() as home, ExitStack() as stack:
        day = Day(Path(home), cursor="id", lookback="1s", policy="ignore", pages=pages, stack=stack)
        inserted = [(name, *arguments) for name, *arguments in steps if name != "move"]
        for name, *arguments in [*inserted, ("poll",)]:
            getattr(day, name)(*arguments)
        assert day.error is None
        assert sorted(day.api.accepted.values()) == sorted(day.rows())
        assert day.store.view("deposits").counts.get("duplicate_unknown", 0) == 0
        day.stop()


@pytest.mark.slow
@settings(max_examples=25)
@given(steps=STEPS, pages=st.sampled_from([2, 100]))
def test_a_crash_makes_no_duplicate_that_nobody_can_explain(steps, pages):
    """Rows that the API took before a crash are sent again, and the state knows why they are duplicates."""
    with tempfile.TemporaryDirectory() as home, ExitStack() as stack:
        day = Day(Path(home), cursor="dt", lookback="2h", policy="warn", pages=pages, stack=stack)
        for place, (name, *_) in enumerate([*steps, ("crash",), ("poll",)]):
            if name == "insert":
                day.insert(f"unique-{place}")
            elif name != "move":
                getattr(day, name)()
        assert day.error is None
        assert sorted(day.api.accepted.values()) == sorted(day.rows())
        assert day.store.view("deposits").counts.get("duplicate_unknown", 0) == 0
        day.stop()


@pytest.mark.slow
@pytest.mark.parametrize("patience", ["enough", "none"])
def test_no_duplicate_of_a_state_begun_anew_hides_another_row(tmp_path, monkeypatch, patience):
    """Wherever in a page a row stands whose key another one has: the view stops, or says how many it did not compare."""
    # As for rows that lie so far apart that the first is remembered no more when the second comes.
    monkeypatch.setattr(key_watch.KeyWatch, "_moved", lambda *_: None)
    if patience == "none":
        monkeypatch.setattr(key_watch, "COMPARE_S", 0.0)
    with ExitStack() as stack:
        day = Day(tmp_path, cursor="dt", lookback="1s", policy="warn", pages=150, stack=stack)
        for number in range(280):
            day.insert(f"k{number}")
        day.poll()
        assert len(day.api.accepted) == 280
        day.stop()
        for file in tmp_path.glob("sync.db*"):
            file.unlink()
        day.insert("k120")
        day.start()
        day.poll()
        (status,) = day.board.views()
        if patience == "enough":
            assert isinstance(day.error, ViewMisconfigured)
            assert "transaction_id k120 stands for rows that differ" in day.error.message
            assert status.uncompared_duplicates == 0
        else:
            assert day.error is None
            assert status.uncompared_duplicates == 50 + 31, "all but the first hundred of either page"
            (told,) = [each for each in assess([status], ()).findings if each.code == "uncompared_duplicates"]
            assert "81 duplicates were not compared" in told.message
        day.stop()


def test_another_row_in_the_very_place_of_a_delivered_one_is_noticed(tmp_path):
    """It has the time and the key of one that was delivered, and shows up later: the view stops."""
    with ExitStack() as stack:
        day = Day(tmp_path, cursor="dt", lookback="2h", policy="warn", pages=100, stack=stack)
        day.insert("k0")
        day.poll()
        assert day.error is None
        day.replica.execute(
            "INSERT INTO deposits (transaction_id, dt, deposit_amount) SELECT transaction_id, dt, 99 FROM deposits LIMIT 1"
        )
        until(lambda: day.poll() or day.error)  # keys are scanned again now and then, as their cost allows
        assert isinstance(day.error, ViewMisconfigured)
        day.stop()


def test_a_page_that_ends_between_two_equal_rows_sends_them_once(tmp_path):
    """Copies of a row stand at one position: whichever page they come in, they are one event."""
    with ExitStack() as stack:
        day = Day(tmp_path, cursor="dt", lookback="2h", policy="warn", pages=2, stack=stack, relation="without_id")
        for key in ("a", "b", "c"):
            day.insert(key)
        day.copy(1)
        day.poll()
        assert day.error is None
        assert sorted(key for key, _ in day.api.accepted.values()) == ["a", "b", "c"]
        day.stop()


@pytest.mark.parametrize("pages", [2, 100])
def test_a_page_that_ends_between_two_rows_of_one_place_hides_neither(tmp_path, pages):
    """They differ in a column that is not sent: the view stops, wherever its pages end, however old they are."""
    with ExitStack() as stack:
        day = Day(tmp_path, cursor="dt", lookback="1s", policy="warn", pages=pages, stack=stack)
        for key in ("a", "b", "c"):
            day.insert(key)
        day.copy(1)
        day.poll()
        assert isinstance(day.error, ViewMisconfigured)
        assert "transaction_id b stands for rows that differ" in day.error.message
        day.stop()
