"""Sets that are told by difference, where events are refused, answers lost and states restored: Smartico has what the source has."""

from __future__ import annotations

import json
import re
import shutil
import sqlite3
import tempfile
import threading
from concurrent.futures import Future
from contextlib import closing
from pathlib import Path

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, precondition, rule

from smartico_sync.config.load import load
from smartico_sync.core.events import EID, POSITION, USER
from smartico_sync.core.records import Receipt, Refusal
from smartico_sync.daemon.operations import Operations
from smartico_sync.daemon.wiring import protection_of, sources_of
from smartico_sync.errors import DeliveryUnknown
from smartico_sync.observe.status_board import StatusBoard
from smartico_sync.pii.keys import new_key
from smartico_sync.state import recovery
from smartico_sync.state.store import Store
from smartico_sync.tracking.loop import ViewLoop
from smartico_sync.tracking.session import Equipment
from smartico_sync.tracking.status_recorder import StatusRecorder
from waiting import until

SET = "core_external_markers"
THEIRS = "given by others"


class Smartico:
    """Takes each event id once, and does to a player's set what it says; by order it refuses, or keeps its answers to itself."""

    def __init__(self):
        self.ids, self.sets, self.said = set(), {}, []
        self.answers, self.ways = "given", ["sync"]

    def send(self, _view, events, *, priority="live", holds=None, **_requests):
        duplicates, refused = 0, []
        for row in events.frame.to_dicts():
            said = {name for name, value in row.items() if value is not None}
            assert (
                not {SET, f"^{SET}", f"!{SET}"} & said or "replace" in self.ways
            )  # also what waits for its answer since
            if row[EID] in self.ids:
                duplicates += 1
            elif self.answers == "refused":
                refused.append(Refusal(row[POSITION], row[EID], 2, "refused"))
            else:
                self.ids.add(row[EID])
                there = self.sets.setdefault(row[USER], {THEIRS})
                if row.get(SET) is not None:
                    there = set(json.loads(row[SET]))
                added, taken = (set(json.loads(row.get(f"{sign}{SET}") or "[]")) for sign in "+-")
                self.said.append((row[USER], added, taken))
                self.sets[row[USER]] = (there | added) - taken
        receipt = Future()
        if self.answers == "lost":
            receipt.set_exception(DeliveryUnknown("no answer", hint="wait"))
        else:
            receipt.set_result(
                Receipt(events.frame.height - duplicates - len(refused), duplicates, tuple(refused), 1, 1)
            )
        return receipt

    def busy(self, _view):
        return True

    def problem(self):
        return None


def noted(path):
    """How many names a state knows."""
    with closing(sqlite3.connect(path)) as connection:
        return connection.execute("SELECT count(*) FROM told_name").fetchone()


class Players:
    """A view of players with markers, its state, and what Smartico has of them."""

    def __init__(self, home, more=""):
        self.home, self.path = home, home / "sync.db"
        self.api, self.copies, self.version = Smartico(), 0, 0
        self.replica = sqlite3.connect(home / "replica.db", isolation_level=None)
        self.replica.execute(
            "CREATE TABLE players (user_ext_id INTEGER PRIMARY KEY, ext_brand_id TEXT DEFAULT 'b', version INTEGER,"
            f" core_registration_date TEXT DEFAULT '2026-01-01 00:00:00', {SET} TEXT)"
        )
        config = home / "views.yaml"
        config.write_text(
            f"version: 1\nsmartico: {{url: 'http://127.0.0.1:9/', token: t}}\nstate: ./sync.db\npii: {{key: {new_key()}}}\n"
            f"sources: {{db: {{url: 'sqlite:///{home}/replica.db'}}}}\nviews:\n  - {{name: players, source: db, relation: players,"
            f" kind: users, cursor: version, event_date: core_registration_date, arrays: {{{SET}: sync}}{more}}}\n"
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

    def tell_by(self, way):
        """Another policy, and a new start."""
        self.end()
        config = self.home / "views.yaml"
        config.write_text(re.sub(r"(arrays: \{\w+): \w+", rf"\1: {way}", config.read_text()))
        self.configuration = load(config)
        self.api.ways.append(way)
        self.begin()

    def put(self, player, names):
        self.version += 1
        self.replica.execute(
            f"INSERT INTO players (user_ext_id, version, {SET}) VALUES (?, ?, ?) "
            f"ON CONFLICT DO UPDATE SET version = excluded.version, {SET} = excluded.{SET}",
            (player, self.version, None if names is None else json.dumps(sorted(names))),
        )

    def poll(self, answers="given"):
        self.api.answers = answers
        self.loop._resume_at = 0.0
        self.loop.poll(threading.Event(), checks="now")

    def retry(self):
        """Have what was refused sent again."""
        Operations(self.store).retry([letter.id for letter in self.store.all_dead_letters()])

    def end(self, how="well"):
        if how == "well":
            self.loop.close()
        self.store.close(how)

    def copy(self):
        self.copies += 1
        target = self.home / f"copy-{self.copies}.db"
        self.store.backup(target)
        return target

    def restore(self, copy):
        self.end()
        recovery.restore(copy, self.path)
        self.begin()

    def cut(self, copy):
        """A power cut after which the state is as in that copy; not where names were noted since: that is flushed, with all before."""
        if noted(copy) != noted(self.path):
            return
        self.end("badly")
        for ending in ("-wal", "-shm"):
            self.path.with_name(self.path.name + ending).unlink(missing_ok=True)
        shutil.copy(copy, self.path)
        self.begin()

    def wanted(self):
        rows = self.replica.execute(f"SELECT user_ext_id, {SET} FROM players")
        return {str(player): set(json.loads(names or "[]")) | {THEIRS} for player, names in rows}

    def close(self):
        self.end()
        self.source.close()
        self.replica.close()


@pytest.fixture(params=["", ", payload: changed"])
def players(request, tmp_path):
    made = Players(tmp_path, request.param)
    yield made
    made.close()


def test_everything_is_added_once_and_then_the_difference(players):
    """Also across a restart, by what was accepted."""
    players.put(1, ["a", "b"])
    players.poll()
    players.end()
    players.begin()
    players.put(1, ["b", "c"])
    players.poll()
    assert players.api.said == [("1", {"a", "b"}, set()), ("1", {"c"}, {"a"})]
    players.put(1, [])
    players.poll()
    assert players.api.said[2:] == [("1", set(), {"b", "c"})]


def test_what_was_refused_was_not_told(players):
    """The next difference is measured by the set before it; a retry of the refused one by the set that is there then."""
    players.put(1, ["a"])
    players.poll()
    players.put(1, ["b"])
    players.poll("refused")
    players.put(1, ["c"])
    players.poll()
    assert players.api.said[1:] == [("1", {"c"}, {"a"})]
    players.put(1, ["d"])
    players.poll("refused")
    players.retry()
    players.poll()
    assert players.api.sets == players.wanted()


def test_a_state_that_may_be_behind_leaves_nothing_behind(players):
    """A name that was on its way and is not wanted any more is taken away, though nobody knows whether it arrived."""
    players.put(1, ["a"])
    players.poll()
    copy = players.copy()
    players.put(1, ["new", "a"])
    players.poll("lost")
    players.put(1, ["a"])
    players.poll()
    assert players.api.sets == players.wanted()
    players.put(1, ["newer"])
    players.put(2, ["newest"])
    players.poll()
    players.put(1, ["b"])
    players.put(2, ["b"])
    players.restore(copy)
    players.poll()
    assert players.api.sets == players.wanted()


def test_sent_again_on_request_everything_is_told(players):
    """A rewind that forgets what was sent adds the whole set again, and still knows what to take away."""
    players.put(1, ["a", "b"])
    players.poll()
    players.store.rewind("players", None, at_ms=1, fingerprints="forget", ids="new")
    players.put(1, ["b"])
    players.end()
    players.begin()
    players.poll()
    assert players.api.said[1:] == [("1", {"b"}, {"a"})]


@pytest.mark.parametrize(("way", "theirs"), [("replace", set()), ("add", {THEIRS})])
def test_what_was_told_in_another_way_was_told(players, way, theirs):
    """Between two times of `sync`: also of a player of whom nothing was told before, also in two rows of one page, and
    also where nobody knows what arrived."""
    players.put(1, ["a"])
    players.put(3, ["a"])
    players.poll()
    players.tell_by(way)
    players.put(1, ["b", "c"])
    players.put(2, ["b"])
    players.poll()
    players.put(1, ["c", "e"])
    players.put(3, ["e"])
    players.poll("refused")
    players.put(2, ["f"])
    players.poll("lost")
    players.tell_by("sync")
    for player in (1, 2, 3):
        players.put(player, ["c", "d"])
    players.poll()
    assert players.api.sets["1"] == {"c", "d"} | theirs
    assert players.api.sets["2"] == {"c", "d"} | theirs
    assert players.api.sets["3"] == {"c", "d", THEIRS}


def test_a_property_that_is_no_set_any_more_is_sent_as_it_is(players):
    """Its text is no set of names, and nothing is remembered of it."""
    players.put(1, ["a"])
    players.poll()
    players.tell_by("replace")
    players.put(1, None)
    players.poll()
    assert players.loop.standing.error is None
    players.tell_by("sync")
    players.put(1, ["b"])
    players.poll()
    assert players.api.said[-1] == ("1", {"b"}, {"a"})


def test_the_state_holds_no_name_in_the_clear(players):
    """Neither of what was accepted nor of what was on its way."""
    players.put(1, ["Very-Secret-Marker"])
    players.poll()
    players.store.close()
    for file in players.home.glob("sync.db*"):
        assert b"Secret-Marker" not in file.read_bytes()


class ToldSets(RuleBasedStateMachine):
    """Sets change while events are refused and answers lost, and the state is copied, restored, killed and cut off."""

    def __init__(self):
        super().__init__()
        self.home = tempfile.TemporaryDirectory()
        self.players = Players(Path(self.home.name))
        self.states = []

    names = st.sets(st.sampled_from(["a", "b", "c"]))

    @rule(player=st.integers(1, 2), names=names)
    def change(self, player, names):
        self.players.put(player, names)

    @rule(player=st.integers(1, 2), names=names, answers=st.sampled_from(["given", "given", "lost", "refused"]))
    def deliver(self, player, names, answers):
        self.players.put(player, names)
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

    @rule()
    def retry(self):
        self.players.retry()

    def teardown(self):
        self.players.poll()
        self.players.retry()
        with self.home:
            # What waits behind an earlier try of its player goes two seconds later.
            until(lambda: self.players.poll() or self.players.api.sets == self.players.wanted())
            assert self.players.loop.standing.error is None
            self.players.close()


TestToldSets = pytest.mark.slow(ToldSets.TestCase)
TestToldSets.settings = settings(max_examples=40, stateful_step_count=10, deadline=None)
