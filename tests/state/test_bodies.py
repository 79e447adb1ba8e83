"""Messages that the state keeps because a broker gives them only once."""

from __future__ import annotations

import sqlite3

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from smartico_sync.core.messages.kept import packed, unpacked
from smartico_sync.core.messages.message import Message
from smartico_sync.core.position import Position
from smartico_sync.core.records import Commit
from smartico_sync.errors import StateDamaged
from smartico_sync.state.erasure import Identity

PARTS = st.none() | st.binary()
TOLD = st.dictionaries(st.text(), st.text() | st.integers() | st.booleans() | st.binary())


@given(st.builds(Message, st.text(), st.integers(0), st.integers(0), PARTS, PARTS, TOLD, TOLD))
def test_a_message_is_packed_whole(message):
    """Bytes stay bytes, in the body, the key, headers and properties."""
    assert unpacked(packed(message)) == message


@pytest.fixture
def at(dead_letter, parked):
    """Undelivered rows at a place."""

    def made(kind, place, key="7", **more):
        each = (dead_letter if kind == "dead" else parked)(key, **more)
        return replace(each, row=replace(each.row, position=Position(place, (key,))))

    return made


@pytest.mark.parametrize("place", ["sqlite"], indirect=True)
def test_what_is_kept_is_sealed_and_goes_with_its_row(store, path, at):
    """It stands nowhere in the file; once its row is delivered or dropped, it is gone."""
    store.commit(
        Commit("bets", 5, dead_letters=(at("dead", "q@1", "1"), at("dead", "q@2", "2")),
               bodies={"q@1": b"hunter2", "q@2": b"swordfish"})
    )  # fmt: skip
    assert sorted(store.bodies("bets", ["q@1", "q@2", "q@3"])) == [b"hunter2", b"swordfish"]
    assert store.bodies("users", ["q@1"]) == []
    assert not any(word in file.read_bytes() for word in (b"hunter2", b"swordfish") for file in path.parent.iterdir())
    one, other = store.dead_letters()
    store.commit(Commit("bets", 6, resolved=(one.id,)))
    assert store.bodies("bets", ["q@1", "q@2"]) == [b"swordfish"]
    store.drop("bets", [other.id])
    assert store.bodies("bets", ["q@1", "q@2"]) == []


def test_a_message_goes_with_a_dead_letter_that_is_too_old(store, at):
    """What nobody dropped and retention removed leaves nothing of a player behind."""
    store.commit(
        Commit("bets", 5, dead_letters=(at("dead", "q@1", "1"), at("dead", "q@2", "2")),
               bodies={"q@1": b"one", "q@2": b"two"})
    )  # fmt: skip
    assert store.prune_dead_letters("bets", 0, 1) == 1
    assert store.bodies("bets", ["q@1", "q@2"]) == [b"two"]
    assert store.prune_dead_letters("bets", 1 << 60, 1) == 1
    assert store.bodies("bets", ["q@2"]) == []


def test_what_comes_again_is_forgotten_unless_it_is_kept(store, at):
    """Of these lanes, parked only; it is not counted as read any more."""
    counts = {"read": 4, "parked": 3, "dead_lettered": 1}
    waiting = (at("parked", "q@1", "1"), at("parked", "q@2", "2"), at("parked", "other@1", "3"))
    store.commit(Commit("bets", 5, parked=waiting, dead_letters=(at("dead", "q@4", "4"),), counts=counts))
    store.keep_bodies("bets", {"q@2": b"kept"})
    store.forget_returning("bets", ["q"])
    left = {each.row.position.cursor for each in store.parked("bets", 1 << 62)}
    assert left == {"q@2", "other@1"}
    assert len(store.dead_letters()) == 1
    row = store.view("bets")
    assert row.counts == {"read": 3, "parked": 2, "dead_lettered": 1}


@pytest.mark.parametrize("place", ["sqlite"], indirect=True)
def test_a_message_that_was_touched_is_told(store, path, at):
    """And one that was moved to another place."""
    store.commit(Commit("bets", 5, dead_letters=(at("dead", "q@1"),), bodies={"q@1": b"body"}))
    with sqlite3.connect(path) as other:
        other.execute("UPDATE body SET place = 'q@2'")
    other.close()
    with pytest.raises(StateDamaged, match="does not match its seal"):
        store.bodies("bets", ["q@2"])


def test_an_erased_player_s_messages_are_gone(store, at):
    """With his waiting rows."""
    store.commit(Commit("bets", 5, dead_letters=(at("dead", "q@1", player=7),), bodies={"q@1": b"body"}))
    store.forget("bets", Identity(7, "b", "u"))
    assert store.bodies("bets", ["q@1"]) == []
