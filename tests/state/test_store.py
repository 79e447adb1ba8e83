"""What the store promises to the daemon while nothing is wrong."""

from __future__ import annotations

import sqlite3
import stat
import threading
from contextlib import closing

import polars as pl
import pytest
from msgspec.structs import replace

from smartico_sync.core.position import Position
from smartico_sync.core.records import Anchor, Commit
from smartico_sync.core.restore_detection import ANCHORS
from smartico_sync.errors import StateError
from smartico_sync.state.store import Store


def test_first_start_makes_state_and_key(path):
    """The first start makes the directory, the state and its key, readable by their owner only."""
    with Store.open(path) as store:
        assert len(store.secret) == 32
        assert store.views() == ()
        assert store.view("users") is None
    for file in (path, path.with_name("sync.db.key")):
        assert stat.S_IMODE(file.stat().st_mode) == 0o600


def test_everything_survives_a_restart(place, rows, profiles, dead_letter):
    """What a commit wrote is there after the file was closed and opened again, to the last character."""
    head, watermark = Position("2026-01-01 00:00:00.123456789", ("ä", "7")), Position("2025-12-31", ())
    with place.open() as store:
        secret, state_id = store.secret, store.state_id
        store.begin("bets", "definition", "first", 1)
        done = Commit(
            "bets",
            9,
            head,
            watermark,
            '{"gaps":[1]}',
            profiles([1, 2**64 - 1], parts=b"x", cursor_at=7),
            rows([5, 6], [1, 2]),
        )
        assert store.commit(done) == 1
        store.commit(Commit("bets", 10, dead_letters=(dead_letter(),), counts={"read": 3, "delivered": 2}))
        store.commit(Commit("bets", 11, counts={"read": 1}))
    with place.open() as store:
        assert (store.secret, store.state_id) == (secret, state_id)
        row = store.view("bets")
        assert (row.head, row.watermark, row.late, row.definition) == (head, watermark, '{"gaps":[1]}', "definition")
        assert (row.counts, row.started_from, row.updated_ms) == ({"read": 4, "delivered": 2}, "first", 11)
        assert sorted(store.profiles("bets", pl.Series([1, 2, 2**64 - 1], dtype=pl.UInt64)).rows()) == [
            (1, b"12345678", b"x", 7),
            (2**64 - 1, b"12345678", b"x", 7),
        ]
        assert [(seq, keys.to_list()) for seq, keys in store.ledger_since("bets")] == [(1, [5, 6])]
        assert [found.row.key for found in store.dead_letters()] == ["7"]


def test_begin_changes_nothing_that_is_known(store, page):
    """Beginning a view again leaves it where it is."""
    store.commit(page(3))
    before = store.view("bets")
    assert store.begin("bets", "another", "first", 99) == before


def test_views_stay_apart(store, profiles):
    """Profiles of one view are not known to another."""
    store.commit(Commit("users", 1, profiles=profiles([1])))
    assert store.profiles("bets", pl.Series([1], dtype=pl.UInt64)).is_empty()
    assert store.profiles("users", pl.Series([1], dtype=pl.UInt64)).schema == {
        "id": pl.UInt64,
        "whole": pl.Binary,
        "parts": pl.Binary,
        "cursor_at": pl.Int64,
    }


def test_profiles_are_replaced(store, profiles):
    """A later fingerprint of a profile replaces the earlier one, also within a page."""
    store.commit(Commit("users", 1, profiles=profiles([1, 2], whole=b"old")))
    twice = pl.concat([profiles([1], whole=b"mid"), profiles([1], whole=b"new")])
    store.commit(Commit("users", 1, profiles=twice))
    found = store.profiles("users", pl.Series([2, 1, 1], dtype=pl.UInt64))
    assert dict(found.select("id", "whole").rows()) == {1: b"new", 2: b"old"}


def test_unknown_view_is_a_mistake_of_the_caller(store):
    """A commit for a view that was never begun changes nothing and raises LookupError."""
    with pytest.raises(LookupError):
        store.commit(Commit("nowhere", 1))


def test_dead_letters(store, dead_letter):
    """Dead letters are listed by filter, counted by reason, replaced when they come again, and removed."""
    store.commit(Commit("bets", 1, dead_letters=(dead_letter("1"), dead_letter("2", code=10001), dead_letter("3"))))
    store.commit(Commit("bets", 2, dead_letters=(dead_letter("3", code=7, at_ms=6),)))
    assert store.dead_letter_counts() == {"bets": {2: 1, 7: 1, 10001: 1}}
    assert [found.row.key for found in store.dead_letters("bets", code=10001)] == ["2"]
    assert store.dead_letters("users") == []
    (one,) = store.dead_letters(key="3")
    assert (one.code, one.at_ms, one.row.position) == (7, 6, Position("c", ("3",)))
    assert [found.row.key for found in store.dead_letters(after_id=1, limit=1)] == ["2"]
    assert store.drop("bets", [one.id, 999]) == 1
    assert store.dead_letter_counts() == {"bets": {2: 1, 10001: 1}}


def test_parked_rows_come_due_and_end(store, parked, dead_letter):
    """A parked row is no dead letter, comes when it is due, moves when parked again, ends as delivered or dead."""
    store.commit(Commit("bets", 1, parked=(parked("1", due=10), parked("2", due=20), parked("3", due=20))))
    assert store.dead_letter_counts() == {}
    assert store.parked_counts() == {"bets": {2: 3}}
    assert [found.row.key for found in store.parked("bets", 10)] == ["1"]
    store.commit(Commit("bets", 2, parked=(parked("1", due=30),)))
    first, second = store.parked("bets", 20)
    assert (first.row.key, first.next_try_ms, first.deadline_ms, first.tries) == ("2", 20, 99, 1)
    store.commit(Commit("bets", 3, resolved=(first.id,), dead_letters=(dead_letter("3"),)))
    assert [found.row.key for found in store.parked("bets", 100)] == ["1"]
    assert [(found.row.key, found.id) for found in store.dead_letters()] == [("3", second.id)]
    store.commit(Commit("bets", 9, resolved=tuple(found.id for found in store.parked("bets", 100))))


def test_what_is_known_of_an_undelivered_row_comes_back_as_it_was(store, parked, dead_letter):
    """Every field of a parked row and of a dead letter survives the store, a player's hash in all its 64 bits."""
    waits, gone = parked("1", player=2**64 - 1), dead_letter("2", player=2**63)
    store.commit(Commit("bets", 1, parked=(waits,), dead_letters=(gone,)))
    assert store.parked("bets", 10) == [replace(waits, id=1)]
    assert store.dead_letters() == [replace(gone, id=2)]
    assert store.waiting_players("bets") == {2**64 - 1}


def test_what_is_undelivered_is_found_by_where_it_stands(store, parked, dead_letter):
    """Parked rows and dead letters of a view at some positions, whatever signs these hold."""
    odd = "7'\"\\ü😀"
    waits, gone = parked("1"), dead_letter(odd)
    store.commit(Commit("bets", 1, parked=(waits, parked("2")), dead_letters=(gone, dead_letter("3"))))
    asked = [waits.row.position, gone.row.position, Position("c", ("9",))]
    assert store.undelivered("bets", asked) == [replace(waits, id=1), replace(gone, id=3)]
    assert store.undelivered("users", asked) == store.undelivered("bets", []) == []
    assert len(store.undelivered("bets")) == 4


def test_rewind(store, rows, profiles):
    """A rewound view starts over from there: the ledger behind it stays, what is above it may be delivered again."""
    store.commit(Commit("bets", 1, Position("9"), Position("9"), "late", profiles([1]), rows([1, 2, 3], [10, 20, 30])))
    store.rewind("bets", Position("2"), at_ms=5, from_ms=20)
    row = store.view("bets")
    assert (row.head, row.watermark, row.late, row.updated_ms) == (Position("2"), Position("2"), "", 5)
    assert store.ledger_between("bets", 0, 100).rows() == [(1, 10)]
    assert store.ledger_counts("bets", 0, 3_600_000).rows() == [(0, 1)]
    assert store.profiles("bets", pl.Series([1], dtype=pl.UInt64)).height == 1
    store.rewind("bets", None, at_ms=6, fingerprints="forget")
    assert store.view("bets").head is None
    assert store.ledger_counts("bets", 0, 3_600_000).is_empty()
    assert store.profiles("bets", pl.Series([1], dtype=pl.UInt64)).is_empty()


def test_the_newest_anchors_are_kept_and_a_rewind_forgets_them(store):
    """Each view keeps its newest anchors, oldest first; a rewind leaves none."""
    for number in range(ANCHORS + 5):
        for view in ("users", "bets"):
            anchor = Anchor(Position(str(number), (view,)), number, -number)
            store.commit(Commit(view, 1, anchors=(anchor,)))
    kept = store.anchors("bets")
    assert [anchor.cursor_ms for anchor in kept] == list(range(5, ANCHORS + 5))
    assert kept[-1] == Anchor(Position(str(ANCHORS + 4), ("bets",)), ANCHORS + 4, -(ANCHORS + 4))
    store.rewind("bets", None, at_ms=2)
    assert store.anchors("bets") == []
    assert len(store.anchors("users")) == ANCHORS


def test_event_ids_are_begun_anew_only_when_asked(place, store):
    """A rewind keeps the generation of event ids unless it is told that the source gives out its ids again."""
    store.rewind("bets", None, at_ms=2)
    assert store.view("bets").generation == 0
    store.rewind("bets", None, at_ms=2, ids="new")
    store.commit(Commit("bets", 3, head=Position("1")))
    assert store.view("bets").generation == 1
    assert store.view("users").generation == 0
    store.close()
    with place.open() as again:
        assert again.view("bets").generation == 1


def test_a_view_is_registered_together_with_its_start(store, rows, monkeypatch):
    """Position, memory, anchors and what was there are written with the view or not at all; a view that is placed stays."""
    monkeypatch.setattr("smartico_sync.state.stored_views.START_ROWS", 2)
    start = Commit(
        "new", 5, head=Position("9", ("k",)), watermark=Position("7"), late="{}", ledger=rows([1, 2, 3], [7, 8, 9]),
        anchors=(Anchor(Position("9"), 9, 1),),
    )  # fmt: skip
    with monkeypatch.context() as broken:
        broken.setattr("smartico_sync.state.ledger.append", lambda *_: [].pop())
        with pytest.raises(IndexError):
            store.begin("new", "d", "now", 5, start)
    assert store.view("new") is None
    row = store.begin("new", "d", "now", 5, start)
    assert (row.head, row.watermark, row.late, row.start_head) == (start.head, start.watermark, "{}", start.head)
    assert sorted(store.there_at_start("new")) == [1, 2, 3]
    store.commit(Commit("new", 6, ledger=rows([4], [10])))
    assert sorted(store.there_at_start("new")) == [1, 2, 3]
    assert store.begin("new", "other", "first", 9) == store.view("new")
    assert store.view("new").started_from == "now"


def test_a_view_without_a_position_is_placed_when_it_is_known(store):
    """A row that began elsewhere than at the first row, and does not say where, is completed; rewound to the start it is placed."""
    assert not store.view("bets").placed
    row = store.begin("bets", "definition", "now", 5, Commit("bets", 5, head=Position("9"), watermark=Position("9")))
    assert (row.placed, row.head) == (True, Position("9"))
    store.rewind("bets", None, at_ms=6)
    assert store.view("bets").placed
    assert store.begin("bets", "d", "now", 7, Commit("bets", 7, head=Position("99"))).head is None


def test_a_state_of_0_1_0_is_refused(path):
    """Its event ids are others: nothing of it is touched, and the way to begin anew without history is named."""
    with Store.open(path) as opened:
        opened.begin("bets", "definition", "first", 1)
    with closing(sqlite3.connect(path, isolation_level=None)) as old:
        old.execute("PRAGMA user_version = 3")
    before = path.read_bytes()
    for access in ("read", "write"):
        with pytest.raises(StateError, match=r"0\.1\.0") as caught:
            Store.open(path, access=access)
        assert "smartico-sync state new --start-from now" in caught.value.hint
    assert path.read_bytes() == before


def test_many_threads(store, rows):
    """Trackers in many threads commit into one store; every sequence number is given once, every total adds up."""
    numbers = []

    def track(thread):
        for number in range(25):
            seq = store.commit(Commit("bets", 1, ledger=rows([thread * 100 + number], [1]), counts={"delivered": 1}))
            numbers.append(seq)
            store.profiles("bets", pl.Series([number], dtype=pl.UInt64))

    threads = [threading.Thread(target=track, args=(thread,)) for thread in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(numbers) == list(range(1, 201))
    assert store.view("bets").counts == {"delivered": 200}


def test_reading_beside_a_running_daemon(place, store, page):
    """Another process may look at the state while the daemon works, and sees what was committed last."""
    store.commit(page(4))
    with place.open("read") as other:
        assert other.view("bets").head == Position("4", ("k4",))
        store.commit(page(5))
        assert other.view("bets").head == Position("5", ("k5",))
