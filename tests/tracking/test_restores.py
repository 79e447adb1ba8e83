"""A state that is behind what was sent: restored from a copy, cut off from its last commits, or never told an answer."""

from __future__ import annotations

import shutil
import sqlite3
import tempfile
import threading
from concurrent.futures import Future
from pathlib import Path

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, precondition, rule

from smartico_sync.config.load import load
from smartico_sync.core.events import EID, USER
from smartico_sync.core.records import Receipt
from smartico_sync.daemon.wiring import protection_of, sources_of
from smartico_sync.errors import DeliveryUnknown
from smartico_sync.observe.view_status import StatusBoard
from smartico_sync.pii.keys import new_key
from smartico_sync.state import recovery
from smartico_sync.state.store import Store
from smartico_sync.tracking.loop import ViewLoop
from smartico_sync.tracking.session import Equipment
from smartico_sync.tracking.status_recorder import StatusRecorder


class Smartico:
    """Takes each event id once, and holds of each player what it took last; by order it keeps its answers to itself."""

    def __init__(self):
        self.ids, self.levels, self.taken = set(), {}, 0
        self.answers = "given"

    def send(self, _view, events, *, priority="live", holds=None):
        duplicates = 0
        for row in events.frame.to_dicts():
            if row[EID] in self.ids:
                duplicates += 1
                continue
            self.ids.add(row[EID])
            self.taken += 1
            held = self.levels.setdefault(row[USER], {})
            held.update({name: row[name] for name in ("level", "core_account_status") if row.get(name) is not None})
        receipt = Future()
        if self.answers == "lost":
            receipt.set_exception(DeliveryUnknown("no answer", hint="wait"))
        else:
            receipt.set_result(Receipt(events.frame.height - duplicates, duplicates, (), 1, 1))
        return receipt

    def problem(self):
        return None


class Players:
    """A view of players, its state, and what Smartico has of them."""

    def __init__(self, home, payload="full"):
        self.home, self.path = home, home / "sync.db"
        self.api, self.copies, self.version = Smartico(), 0, 0
        self.replica = sqlite3.connect(home / "replica.db", isolation_level=None)
        self.replica.execute(
            "CREATE TABLE players (user_ext_id INTEGER PRIMARY KEY, ext_brand_id TEXT DEFAULT 'b', version INTEGER,"
            " core_registration_date TEXT DEFAULT '2026-01-01 00:00:00', core_account_status TEXT, level INTEGER)"
        )
        config = home / "views.yaml"
        config.write_text(
            f"version: 1\nsmartico: {{url: 'http://127.0.0.1:9/', token: t}}\nstate: ./sync.db\npii: {{key: {new_key()}}}\n"
            f"sources: {{db: {{url: 'sqlite:///{home}/replica.db'}}}}\nviews:\n  - {{name: players, source: db, relation: players,"
            f" kind: users, cursor: version, event_date: core_registration_date, payload: {payload}}}\n"
        )
        config.chmod(0o600)
        self.configuration = load(config)
        self.source = sources_of(self.configuration)["db"]
        self.begin()

    def begin(self):
        (view,) = self.configuration.views
        self.store = Store.open(self.path)
        self.loop = ViewLoop(
            Equipment(
                self.configuration, view, self.source, self.store, self.api, protection_of(self.configuration),
                StatusRecorder(view, StatusBoard()),
            )
        )  # fmt: skip

    def put(self, player, level, status="ACTIVE"):
        self.version += 1
        self.replica.execute(
            "INSERT INTO players (user_ext_id, version, core_account_status, level) VALUES (?, ?, ?, ?) "
            "ON CONFLICT DO UPDATE SET version = excluded.version, core_account_status = excluded.core_account_status,"
            " level = excluded.level",
            (player, self.version, status, level),
        )

    def poll(self, answers="given"):
        self.api.answers = answers
        self.loop._resume_at = 0.0
        self.loop.poll(threading.Event(), checks="now")

    def end(self, how="well"):
        """Let go of the state; `badly` as if the process were killed."""
        if how == "well":
            self.loop.close()
        self.store.close(how)

    def copy(self):
        """A copy of the state as it is."""
        self.copies += 1
        target = self.home / f"copy-{self.copies}.db"
        self.store.backup(target, "beside")
        return target

    def restore(self, copy):
        self.end()
        done = recovery.restore(copy, self.path)
        self.begin()
        return done

    def cut(self, copy):
        """A power cut after which the state is as it was when the copy was made."""
        self.end("badly")
        for ending in ("-wal", "-shm"):
            self.path.with_name(self.path.name + ending).unlink(missing_ok=True)
        shutil.copy(copy, self.path)
        self.begin()

    def wanted(self):
        rows = self.replica.execute("SELECT user_ext_id, level, core_account_status FROM players")
        return {str(player): {"level": level, "core_account_status": status} for player, level, status in rows}

    def close(self):
        self.end()
        self.source.close()
        self.replica.close()


@pytest.fixture(params=["full", "changed"])
def players(request, tmp_path):
    made = Players(tmp_path, request.param)
    yield made
    made.close()


def test_a_player_who_went_back_since_the_copy_is_told_again(players):
    """Excluded again after the copy said excluded and Smartico was told active: Smartico is told excluded."""
    players.put(1, 1, "SELF_EXCLUDED")
    players.put(2, 1)
    players.poll()
    copy = players.copy()
    players.put(1, 1, "ACTIVE")
    players.poll()
    assert players.api.levels["1"]["core_account_status"] == "ACTIVE"
    players.put(1, 1, "SELF_EXCLUDED")
    done = players.restore(copy)
    assert [(view.view, view.head.cursor, view.replaced.cursor) for view in done.views] == [("players", "2", "3")]
    players.poll()
    assert players.api.levels["1"]["core_account_status"] == "SELF_EXCLUDED"


def test_only_what_lies_above_is_sent_and_only_once(players):
    """Nobody below the head of the copy is sent again, and once caught up nobody who did not change."""
    for player in range(1, 20):
        players.put(player, 1)
    players.poll()
    copy = players.copy()
    players.put(1, 1)
    players.restore(copy)
    before = players.api.taken
    players.poll()
    assert players.api.taken == before + 1
    players.put(1, 1)
    players.poll()
    players.end()
    players.begin()
    players.put(1, 1)
    players.poll()
    assert players.api.taken == before + 1


@pytest.mark.parametrize("end", ["power cut", "kill", "lost answer", "lost answer and a clean end"])
def test_a_state_that_is_behind_trusts_nothing_above_its_head(players, end):
    """What was sent and never committed is not held for unsent, whatever ended before the commit."""
    players.put(1, 1)
    players.poll()
    copy = players.copy()
    players.put(1, 2)
    players.poll("given" if end == "power cut" else "lost")
    assert players.api.levels["1"]["level"] == 2
    players.put(1, 1)
    if end == "power cut":
        players.cut(copy)
    elif end == "kill":
        players.end("badly")
        players.begin()
    elif end == "lost answer and a clean end":
        players.end()
        players.begin()
    players.poll()
    assert players.api.levels["1"]["level"] == 1


def test_ids_begun_anew_after_the_copy_stay(players):
    """A generation never falls: not by a restore, not where the state is gone or unreadable, not in a new state."""
    players.put(1, 1)
    players.poll()
    copy = players.copy()
    players.store.rewind("players", None, at_ms=1, ids="new")
    players.store.rewind("players", None, at_ms=1, ids="new")
    for loss in ("none", "unreadable", "gone", "new"):
        players.end()
        if loss == "unreadable":
            players.path.write_bytes(b"broken" * 999)
        elif loss == "gone":
            players.path.unlink()
        if loss == "new":
            recovery.renew(players.path)
        else:
            done = recovery.restore(copy, players.path)
            assert (done.generations, done.views[0].kept) == ("compared", 2)
        players.begin()
        players.poll()
        assert players.store.view("players").generation == 2
    players.end()
    for name in ("sync.db", "sync.db.key"):
        (players.home / name).unlink()
    assert recovery.restore(copy, players.path).generations == "unknown"
    players.begin()


class Restores(RuleBasedStateMachine):
    """Players change back and forth while the state is copied, restored, killed and cut off."""

    def __init__(self):
        super().__init__()
        self.home = tempfile.TemporaryDirectory()
        self.players = Players(Path(self.home.name), "changed")
        self.states = []

    @rule(player=st.integers(1, 2), level=st.integers(1, 2))
    def change(self, player, level):
        self.players.put(player, level)

    @rule(player=st.integers(1, 2), level=st.integers(1, 2), answers=st.sampled_from(["given", "given", "lost"]))
    def deliver(self, player, level, answers):
        self.players.put(player, level)
        self.states.append(self.players.copy())
        self.players.poll(answers)

    @precondition(lambda self: self.states)
    @rule(back=st.integers(1, 9))
    def restore(self, back):
        self.players.restore(self.states[-min(back, len(self.states))])

    @precondition(lambda self: self.states)
    @rule(back=st.integers(1, 3))
    def cut_power(self, back):
        self.players.cut(self.states[-min(back, len(self.states))])

    @rule(how=st.sampled_from(["well", "badly"]))
    def start_again(self, how):
        self.players.end(how)
        self.players.begin()

    def teardown(self):
        self.players.poll()
        assert self.players.loop.standing.error is None
        assert self.players.api.levels == self.players.wanted()
        self.players.close()
        self.home.cleanup()


TestRestores = pytest.mark.slow(Restores.TestCase)
TestRestores.settings = settings(max_examples=60, stateful_step_count=12, deadline=None)
