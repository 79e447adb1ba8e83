"""A request that hangs at the API and is taken long after changes nothing, whoever sent it is dead, or was told otherwise."""

from __future__ import annotations

import tempfile
from pathlib import Path

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, rule

from smartico_sync.core.events import USER
from smartico_sync.tracking import base_loop
from waiting import until

from .players import Players


@pytest.fixture(params=["full", "changed"])
def players(request, tmp_path):
    made = Players(tmp_path, request.param)
    yield made
    made.close()


@pytest.mark.parametrize("end", ["kill", "clean end", "none"])
def test_what_hung_is_sent_again_before_anything_is_read(players, end):
    """ACTIVE hangs, the player excludes himself, whoever goes on sends both in turn: so it stays, when the API comes to the first."""
    players.put(1, 1, "ACTIVE")
    players.poll("hangs")
    players.put(1, 1, "SELF_EXCLUDED")
    if end != "none":
        players.end("badly" if end == "kill" else "well")
        players.begin()
    players.poll()
    players.api.comes_to()
    assert players.api.levels["1"]["core_account_status"] == "SELF_EXCLUDED"
    assert players.api.taken == 2
    assert players.store.outbox("players") == []
    counts = players.store.view("players").counts
    assert 2 * counts["read"] == sum(counts.values())


def test_what_is_sent_again_holds_up_its_own_players_only(players, monkeypatch):
    """Where its answer takes long, what others' profiles say now is sent meanwhile; all is committed once it has come."""
    monkeypatch.setattr(base_loop, "GLANCE_S", 0.0)
    players.put(1, 1)
    players.poll("hangs")
    players.end("badly")
    players.begin()
    players.put(2, 1)
    players.api.answers = "waited"
    for _ in range(3):
        players.loop._advance()
    assert [row[USER] for rows, _ in players.api.waited for row in rows] == ["1"]
    monkeypatch.setattr(base_loop, "LONG_S", 0.0)
    players.loop.mailbox.ask_to_poll()
    until(lambda: players.loop._advance() or len(players.api.waited) > 1)
    assert {row[USER] for row in players.api.waited[-1][0]} >= {"2"}
    players.api.answer()
    players.poll()
    assert players.api.levels == players.wanted()
    assert players.store.outbox("players") == []


def test_a_page_that_is_acknowledged_leaves_nothing_behind(players):
    """The outbox is empty whenever nothing is on its way."""
    for level in (1, 2, 3):
        players.put(1, level)
        players.poll()
        assert players.store.outbox("players") == []


def test_what_is_refused_when_it_is_sent_again_is_given_up_as_ever(players):
    """It is read again, and becomes a dead letter where it is refused then; the others of its page arrive once."""
    players.put(1, 1)
    players.put(2, 1)
    players.poll("hangs")
    players.end("badly")
    players.begin()
    players.api.refused = {"1"}
    players.poll()
    assert [letter.row.key for letter in players.store.dead_letters()] == ["b,1"]
    assert (players.api.taken, players.store.outbox("players")) == (1, [])


def test_history_that_is_given_up_leaves_nothing_behind(players):
    """It is answered, and the view goes on without it: sent again later it would be older than what follows."""
    players.put(1, 1)
    players.poll()
    session, sender = players.loop._session, players.loop._sender
    with players.source.reading(session.prepared.relation) as reading:
        rows = reading.rows([players.store.view("players").head])
    batch = sender.prepare(session, rows, 10**12, "all")
    sender.queue(session, batch, "backfill")
    assert len(players.store.outbox("players")) == 1
    sender.forget(session, batch)
    assert players.store.outbox("players") == []


class LateRequests(RuleBasedStateMachine):
    """Players change while requests hang, answers are lost, and processes end in every way; the API comes to what hangs whenever it likes."""

    def __init__(self):
        super().__init__()
        self.home = tempfile.TemporaryDirectory()
        self.players = Players(Path(self.home.name), "changed")

    @rule(
        player=st.integers(1, 2),
        level=st.integers(1, 3),
        answers=st.sampled_from(["given", "hangs", "hangs", "lost"]),
    )
    def deliver(self, player, level, answers):
        self.players.put(player, level)
        self.players.poll(answers)

    @rule(which=st.integers(0, 9))
    def comes_late(self, which):
        self.players.api.comes_to(which)

    @rule(how=st.sampled_from(["well", "badly"]))
    def start_again(self, how):
        self.players.end(how)
        self.players.begin()

    def teardown(self):
        self.players.poll()
        assert self.players.loop.standing.error is None
        while self.players.api.hanging:
            self.players.api.comes_to(-1)
        assert self.players.api.levels == self.players.wanted()
        assert self.players.store.outbox("players") == []
        self.players.close()
        self.home.cleanup()


TestLateRequests = pytest.mark.slow(LateRequests.TestCase)
TestLateRequests.settings = settings(max_examples=60, stateful_step_count=12, deadline=None)
