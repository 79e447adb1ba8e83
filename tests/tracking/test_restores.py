"""A state that is behind what was sent: restored from a copy, cut off from its last commits, or never told an answer."""

from __future__ import annotations

import shutil
import tempfile
from pathlib import Path

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, precondition, rule

from smartico_sync.state import recovery
from waiting import until

from .players import Players


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


@pytest.mark.parametrize("end", ["power cut", "kill", "lost answer", "lost answer and a clean end", "older file"])
def test_a_state_that_is_behind_trusts_nothing_above_its_head(players, end):
    """What was sent and never committed is not held for unsent, whatever ended before the commit."""
    players.put(1, 1)
    players.poll()
    copy = players.copy()
    if end == "older file":  # of a process that ended well, put back by hand
        players.end()
        shutil.copy(players.path, copy)
        players.begin()
    players.put(1, 2)
    players.poll("given" if end in ("power cut", "older file") else "lost")
    assert players.api.levels["1"]["level"] == 2
    players.put(1, 1)
    if end in ("power cut", "older file"):
        players.end("well" if end == "older file" else "badly")
        players.cut(copy)
    elif end == "kill":
        players.end("badly")
        players.begin()
    elif end == "lost answer and a clean end":
        players.end()
        players.begin()
    players.poll()
    assert players.api.levels["1"]["level"] == 1


@pytest.mark.parametrize("end", ["kill", "power cut", "restore", "resend", "history"])
def test_personal_data_that_is_gone_is_cleared_through_every_door(players, end):
    """An e-mail that was sent and is NULL now is cleared at Smartico, also where its profile is sent again whatever it holds."""
    players.put(1, 1, email="a@example.com")
    players.poll()
    copy = players.copy()
    players.put(1, 2, email="b@example.com")
    players.poll()
    assert players.api.reachable == {"1"}
    players.put(1, 2)
    if end == "kill":
        players.end("badly")
        players.begin()
    elif end == "power cut":
        players.cut(copy)
    elif end == "restore":
        players.restore(copy)
    elif end == "resend":
        players.store.rewind("players", None, at_ms=1, fingerprints="forget")
    else:  # a backfill of all profiles reads the row before its poll does
        players.history()
    players.poll()
    assert players.api.levels == players.wanted()
    assert players.api.reachable == set()
    taken = players.api.taken
    players.poll()
    assert players.api.taken == taken


def test_a_clearing_that_is_refused_is_told_by_the_profile_behind_it(players):
    """The profile that was on its way behind it clears the e-mail as well: it may be the first that Smartico takes."""
    players.put(1, 1, email="a@example.com")
    players.poll()
    players.put(1, 1)
    players.api.answers = "waited"
    for requests in (1, 2):
        players.loop.mailbox.ask_to_poll()
        until(lambda: players.loop._advance() or len(players.api.waited) == requests)  # noqa: B023 - called at once
        players.put(1, 2)
    players.api.refused = {"1"}
    rows, receipt = players.api.waited.pop(0)
    receipt.set_result(players.api.take(rows))
    players.api.refused = set()
    players.api.answer()
    players.poll()
    assert players.api.levels == players.wanted()
    assert players.api.reachable == set()


def test_what_a_new_player_had_is_cleared_while_he_is_on_his_way(players):
    """His first profile, with an e-mail, is not answered yet when it is NULL: the second clears it."""
    players.put(1, 1, email="a@example.com")
    players.api.answers = "waited"
    for requests in (1, 2):
        players.loop.mailbox.ask_to_poll()
        until(lambda: players.loop._advance() or len(players.api.waited) == requests)  # noqa: B023 - called at once
        players.put(1, 2)
    players.api.answer()
    players.poll()
    assert players.api.levels == players.wanted()
    assert players.api.reachable == set()


@pytest.mark.parametrize("players", ["changed"], indirect=True)
def test_what_is_gone_is_cleared_in_a_view_that_has_another_column_now(players):
    """The e-mail became NULL with the first change after the view got a column: it is cleared all the same."""
    players.put(1, 1, email="a@example.com")
    players.poll()
    players.replica.execute("ALTER TABLE players ADD tier TEXT DEFAULT 'gold'")
    players.put(1, 2)
    players.end()
    players.begin()
    players.poll()
    assert players.api.levels == players.wanted()
    assert players.api.reachable == set()


def test_what_came_and_went_after_the_copy_is_cleared(players):
    """The copy knows of no e-mail; one was sent since, and is NULL now: Smartico is told so, for it may have it."""
    players.put(1, 1)
    players.poll()
    copy = players.copy()
    players.put(1, 1, email="a@example.com")
    players.poll()
    players.put(1, 2)
    players.restore(copy)
    players.poll()
    assert players.api.reachable == set()


def test_all_of_a_profile_goes_again_when_it_is_asked_for(players):
    """After `--resend-profiles` nothing of a profile is held for told, also not while the first that goes again is on its way."""
    players.put(1, 1, email="a@example.com")
    players.poll()
    players.store.rewind("players", None, at_ms=1, fingerprints="forget")
    players.put(1, 2, email="a@example.com")
    players.api.levels.clear()
    players.api.answers = "waited"
    for requests in (1, 2):
        players.loop.mailbox.ask_to_poll()
        until(lambda: players.loop._advance() or len(players.api.waited) == requests)  # noqa: B023 - called at once
        players.put(1, 3)
    second = players.api.waited[1][0][0]
    assert (second["level"], second["core_account_status"], second["!user_email"]) == (3, "ACTIVE", "null")
    players.api.answer()
    players.poll()
    assert players.api.levels == players.wanted()
    assert players.api.reachable == set()


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


EMAILS = st.sampled_from([None, "a@example.com", "b@example.com"])
ANSWERS = ["given", "given", "lost"]


class Restores(RuleBasedStateMachine):
    """Players change back and forth while the state is copied, restored, killed and cut off."""

    def __init__(self):
        super().__init__()
        self.home = tempfile.TemporaryDirectory()
        self.players = Players(Path(self.home.name), "changed")
        self.players.put(1, 1)
        self.players.put(2, 1)
        self.players.poll()  # a copy that knows nothing of a player cannot know what of him was sent
        self.states = []

    @rule(player=st.integers(1, 2), level=st.integers(1, 2), email=EMAILS)
    def change(self, player, level, email):
        self.players.put(player, level, email=email)

    @rule(player=st.integers(1, 2), level=st.integers(1, 2), email=EMAILS, answers=st.sampled_from(ANSWERS))
    def deliver(self, player, level, email, answers):
        self.players.put(player, level, email=email)
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
        assert self.players.api.reachable == self.players.reachable()
        self.players.close()
        self.home.cleanup()


TestRestores = pytest.mark.slow(Restores.TestCase)
TestRestores.settings = settings(max_examples=60, stateful_step_count=12, deadline=None)
