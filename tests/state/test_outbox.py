"""Pages of profiles that are written before they are sent."""

from __future__ import annotations

import sqlite3
from contextlib import closing

import polars as pl
import pytest

from smartico_sync.core.events import EID, PLAYER, POSITION, Events
from smartico_sync.core.outbox import packed
from smartico_sync.core.position import Position
from smartico_sync.core.records import Commit, Receipt, Refusal
from smartico_sync.errors import StateDamaged, StateError
from smartico_sync.state.erasure import Identity
from smartico_sync.state.migrations import FIRST_VERSION, MIGRATIONS
from smartico_sync.state.outbox import OUTBOX
from smartico_sync.state.store import Store

IN_A_FILE = pytest.mark.parametrize("place", ["sqlite"], indirect=True)
ANNA, BORIS = 7, 2**64 - 7


@pytest.fixture
def events():
    """Events of players, which hold their secrets."""

    def made(*players, secret="hunter2"):
        return Events(
            pl.DataFrame(
                {EID: [f"e{player}" for player in players], PLAYER: players, POSITION: range(len(players)),
                 "user_phone": [secret] * len(players)},
                schema={EID: pl.String, PLAYER: pl.UInt64, POSITION: pl.UInt32, "user_phone": pl.String},
            ),
            frozenset({"raw"}),
            frozenset({"user_phone"}),
        )  # fmt: skip

    return made


@pytest.fixture
def states():
    """What is to be remembered of players."""

    def made(*players, at=5):
        return pl.DataFrame(
            {"id": players, "eid": ["e"] * len(players), "whole": [b"12345678"] * len(players), "parts": [None] * len(players),
             "cursor_at": [at] * len(players), POSITION: range(len(players))},
            schema={"id": pl.UInt64, "eid": pl.String, "whole": pl.Binary, "parts": pl.Binary, "cursor_at": pl.Int64,
                    POSITION: pl.UInt32},
        )  # fmt: skip

    return made


@pytest.fixture
def page(events, states):
    def made(*players, **more):
        return packed(events(*players, **more), states(*players))

    return made


def test_pages_come_back_whole_and_in_order_until_they_are_committed(store, events, states, page):
    """Of each view its own; the commit that names a page forgets it, in its own transaction."""
    first = store.keep_outbox_page("users", page(ANNA, BORIS))
    store.keep_outbox_page("bets", page(ANNA))
    second = store.keep_outbox_page("users", page(BORIS))
    there = store.outbox("users")
    assert [each.id for each in there] == [first, second]
    assert there[0].events.frame.equals(events(ANNA, BORIS).frame)
    assert (there[0].events.raw, there[0].events.optional) == ({"raw"}, {"user_phone"})
    assert there[0].profiles.equals(states(ANNA, BORIS).drop("eid"))
    store.commit(Commit("users", 9, outbox=(first,)))
    assert [each.id for each in store.outbox("users")] == [second]
    store.empty_outbox([second])
    assert store.outbox("users") == []
    assert store.outbox("unheard of") == []
    assert len(store.outbox("bets")) == 1


def test_how_far_rows_are_sent_is_noted_with_what_is_about_to_be(store, page):
    """One transaction for both: never one without the other; the mark only ever rises."""
    store.keep_outbox_page("users", page(ANNA), 7)
    assert (store.view("users").sent_ms, len(store.outbox("users"))) == (7, 1)
    store.keep_outbox_page("users", page(BORIS), 5)
    assert store.view("users").sent_ms == 7
    with pytest.raises((OverflowError, StateError)):
        store.keep_outbox_page("users", page(BORIS), 2**70)
    assert (store.view("users").sent_ms, len(store.outbox("users"))) == (7, 2)


def test_a_page_outlives_the_process(store, place, page):
    """Whoever opens the state next has it, and what follows is numbered after it."""
    number = store.keep_outbox_page("users", page(ANNA))
    store.close()
    with place.open() as again:
        assert again.keep_outbox_page("bets", page(BORIS)) > number
        assert [each.events.frame.get_column(PLAYER).to_list() for each in again.outbox("users")] == [[ANNA]]


@IN_A_FILE
def test_a_page_is_sealed_and_nobody_reads_one_that_is_gone(store, path, page):
    """No value of it stands in the files; a page that was deleted cannot be opened with the secret either."""
    number = store.keep_outbox_page("users", page(*range(1, 3000), secret="correct horse battery"))
    with closing(sqlite3.connect(path)) as other:
        (salt,) = other.execute("SELECT salt FROM outbox").fetchone()
    assert not any(b"correct horse" in file.read_bytes() for file in path.parent.iterdir())
    store.commit(Commit("users", 9, outbox=(number,)))
    with closing(sqlite3.connect(path)) as other:
        other.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchall()
    assert salt not in path.read_bytes()


@IN_A_FILE
def test_a_page_that_was_changed_is_damage(store, path, page):
    """So is one that is put under another view."""
    store.keep_outbox_page("users", page(ANNA))
    with closing(sqlite3.connect(path)) as other:
        other.execute("UPDATE outbox SET view_no = 2")
        other.commit()
    assert store.outbox("users") == []
    with pytest.raises(StateDamaged):
        store.outbox("bets")


def test_what_was_accepted_is_remembered_and_what_was_refused_is_not(store, page):
    """A page that was sent again leaves the ages of what the API took, so that nothing older goes after it, and is settled."""
    store.keep_outbox_page("users", page(ANNA, BORIS))
    (again,) = store.outbox("users")
    refused = Receipt(1, 0, (Refusal(0, "e7", 2, "no"),), 1, 1)
    store.commit(again.commit("users", refused, 9))
    known = store.profiles("users", pl.Series([ANNA, BORIS], dtype=pl.UInt64))
    assert known.select("id", "cursor_at").rows() == [(BORIS, 5)]
    assert store.outbox("users") == []
    assert dict(store.view("users").counts) == {}


def test_a_player_who_is_forgotten_is_taken_out(store, page):
    """The others stay; a page of his alone is sent empty."""
    store.keep_outbox_page("users", page(ANNA, BORIS))
    store.keep_outbox_page("users", page(ANNA))
    assert store.forget("users", Identity(ANNA, "b", "anna")).outbox == 2
    assert [each.events.frame.get_column(PLAYER).to_list() for each in store.outbox("users")] == [[BORIS], []]
    assert [each.profiles.get_column("id").to_list() for each in store.outbox("users")] == [[BORIS], []]
    assert store.forget("users", Identity(ANNA, "b", "anna")).outbox == 0


def test_a_backup_brings_nothing_back_that_was_on_its_way(store, place, tmp_path, page):
    """It has arrived since; sent after what came later it would be old."""
    store.keep_outbox_page("users", page(ANNA))
    store.backup(tmp_path / "copy")
    store.close()
    place.restore(tmp_path / "copy")
    with place.open() as again:
        assert again.outbox("users") == []


def test_a_state_of_0_2_0_goes_on(path, page, profiles):
    """It gets its outbox; positions and fingerprints stay."""
    with Store.open(path) as store:
        store.begin("users", "definition", "first", 1)
        store.commit(Commit("users", 2, head=Position("7", ("k",)), profiles=profiles([ANNA])))
        with store.writing() as connection:
            connection.settle_profiles(1)
    with closing(sqlite3.connect(path)) as older:
        older.execute("DROP TABLE outbox")
        older.execute("DROP TABLE profile_log")
        older.execute(f"PRAGMA user_version = {FIRST_VERSION + MIGRATIONS.index(OUTBOX) - 1}")
    with Store.open(path) as store:
        assert store.view("users").head == Position("7", ("k",))
        assert store.profiles("users", pl.Series([ANNA], dtype=pl.UInt64)).height == 1
        store.keep_outbox_page("users", page(ANNA))
        assert len(store.outbox("users")) == 1
