"""What is done beside the work: a large file is looked through, and the log of writes brought into the file."""

from __future__ import annotations

import sqlite3
import threading
from contextlib import closing

import pytest

from smartico_sync.core.position import Position
from smartico_sync.core.records import Commit
from smartico_sync.errors import StateDamaged
from smartico_sync.state import recovery, state_file, upkeep
from smartico_sync.state.erasure import Identity
from smartico_sync.state.store import Store
from waiting import until


@pytest.fixture
def large(monkeypatch):
    """Every file is too large to be looked through before the work begins."""
    monkeypatch.setattr(state_file, "AT_ONCE_BYTES", 0)


@pytest.fixture
def damaged(path, page):
    """A state of which a table is damaged that no start reads."""
    with Store.open(path) as opened:
        opened.begin("bets", "definition", "first", 1)
        opened.commit(page(1))
    with closing(sqlite3.connect(path)) as connection:
        (size,) = connection.execute("PRAGMA page_size").fetchone()
        (root,) = connection.execute("SELECT rootpage FROM sqlite_master WHERE name = 'backfill'").fetchone()
    with path.open("r+b") as file:
        file.seek((root - 1) * size)
        file.write(b"\xff" * 100)
    return path


def test_a_large_file_is_looked_through_beside_the_work(damaged, large, page, monkeypatch):
    """It opens at once; once the damage is found nothing is read or written any more, and the words are those of a small file."""
    with pytest.raises(StateDamaged) as before:
        recovery.compact(damaged)
    at_work = threading.Event()
    look = upkeep.look_through
    monkeypatch.setattr(upkeep, "look_through", lambda *named: at_work.wait() and look(*named))
    opened = Store.open(damaged)
    try:
        at_work.set()
        with pytest.raises(StateDamaged) as told:
            opened.look_through()
        assert (told.value.message, told.value.hint) == (before.value.message, before.value.hint)
        for use in (opened.ensure_sound, opened.views, lambda: opened.commit(page(2)), opened.probe):
            with pytest.raises(StateDamaged, match="is damaged"):
                use()
    finally:
        opened.close()
    with closing(sqlite3.connect(damaged)) as connection:
        assert connection.execute("SELECT opened > 0 FROM identity").fetchone() == (
            1,
        )  # as after a kill: it is not trusted
        assert connection.execute("SELECT n FROM total").fetchall() == [(2,)]


def test_a_small_file_is_looked_through_first(damaged):
    """It is not even opened."""
    with pytest.raises(StateDamaged, match="is damaged"):
        Store.open(damaged)


def test_a_large_file_that_is_whole_is_used(path, large, page):
    """Nothing is found, and it can be closed while it is looked through."""
    for number in range(3):
        with Store.open(path) as opened:
            opened.begin("bets", "definition", "first", 1)
            opened.commit(page(number))
    with Store.open(path) as opened:
        opened.look_through()
        assert opened.view("bets").counts["delivered"] == 6


def test_the_log_of_writes_comes_into_the_file(path, large, monkeypatch):
    """Beside the work, while the state is open: a long one would be read after a crash."""
    monkeypatch.setattr(state_file, "CHECKPOINT_BYTES", 1)
    with Store.open(path) as opened:
        opened.begin("bets", "a definition that can be found", "first", 1)
        until(lambda: b"a definition that can be found" in path.read_bytes())
        opened.commit(Commit("bets", 2, head=Position("7")))


def test_who_is_forgotten_while_the_file_is_looked_through_leaves_no_bytes(path, large, profiles, monkeypatch):
    """The log of writes is emptied all the same."""
    monkeypatch.setattr(state_file, "CHECKPOINT_BYTES", 1)
    player = int.from_bytes(b"erasedID", "little")
    with Store.open(path) as opened:
        opened.begin("users", "definition", "first", 1)
    with Store.open(path) as opened:
        opened.commit(Commit("users", 2, profiles=profiles([player, 2])))
        opened.forget("users", Identity(player, "b", "anna"))
        assert b"erasedID" not in b"".join(file.read_bytes() for file in path.parent.iterdir())
