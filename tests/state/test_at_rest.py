"""What lies on the disk: who may read it, whom it names, and how much of it there is."""

from __future__ import annotations

import base64
import os
import sqlite3
from pathlib import Path

import polars as pl
import pytest

from smartico_sync.core.identity import keyed_hash
from smartico_sync.core.position import Position
from smartico_sync.core.records import Commit
from smartico_sync.errors import StateDamaged, StateLocked, StateMissing
from smartico_sync.state import key_file, recovery
from smartico_sync.state.key_file import key_path, read_key_file
from smartico_sync.state.place import FilePlace
from smartico_sync.state.sqlite_statements import SqliteStatements
from smartico_sync.state.store import Store

APART = bytes(range(32))


def secret_in(path):
    """Whether the secret, in any spelling, is in a file."""
    held = path.read_bytes()
    return any(spelt in held for spelt in (APART, base64.b64encode(APART), APART.hex().encode()))


def test_a_secret_that_lives_elsewhere_is_not_beside_the_state(path):
    """Neither file of the state holds it, nor can they be opened without it, or with another."""
    with Store.open(path, apart=APART) as store:
        store.begin("users", "definition", "first", 1)
        assert store.secret == APART
    assert not secret_in(path)
    assert not secret_in(key_path(path))
    with pytest.raises(StateMissing) as told:
        Store.open(path)
    assert "`state_key_file`" in told.value.hint
    with pytest.raises(StateDamaged):
        Store.open(path, apart=bytes(32))
    with Store.open(path, access="read", apart=APART) as store:
        assert [row.view for row in store.views()] == ["users"]


def test_a_secret_moves_out(path, tmp_path):
    """What `smartico-sync state key` wrote is taken out of the file beside the state at the next start, and nothing else changes."""
    with Store.open(path) as store:
        store.begin("users", "definition", "first", 1)
        before, secret = store.views(), store.secret
    key_file.write_secret(tmp_path / "secret", read_key_file(key_path(path)))
    assert (tmp_path / "secret").stat().st_mode & 0o777 == 0o600
    with pytest.raises(FileExistsError):
        key_file.write_secret(tmp_path / "secret", read_key_file(key_path(path)))
    apart = base64.b64decode((tmp_path / "secret").read_text())
    assert apart == secret
    with Store.open(path, apart=apart) as store:
        assert store.views() == before
    assert base64.b64encode(secret) not in key_path(path).read_bytes()


def test_another_secret_is_refused_while_there_is_one(path):
    """It would make every fingerprint and every key another one."""
    Store.open(path).close()
    with pytest.raises(StateDamaged, match="another secret") as told:
        Store.open(path, apart=APART)
    assert "smartico-sync state key" in told.value.hint


def test_a_backup_has_no_secret_unless_that_is_said(path, tmp_path):
    """It goes back onto the machine that has it, and onto one that is given it; with nothing it is refused, untouched."""
    with Store.open(path) as store:
        store.begin("users", "definition", "first", 1)
        secret = store.secret
        store.backup(tmp_path / "plain.db")
        store.backup(tmp_path / "whole.db", "beside")
    spelt = base64.b64encode(secret)
    assert spelt not in (tmp_path / "plain.db.key").read_bytes()
    assert spelt in (tmp_path / "whole.db.key").read_bytes()
    recovery.restore(tmp_path / "plain.db", path)
    with Store.open(path) as store:
        assert store.secret == secret
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    with pytest.raises(StateMissing):
        recovery.restore(tmp_path / "plain.db", elsewhere / "sync.db")
    assert list(elsewhere.iterdir()) == []
    with pytest.raises(StateDamaged):
        recovery.restore(tmp_path / "plain.db", elsewhere / "sync.db", APART)
    recovery.restore(tmp_path / "plain.db", elsewhere / "sync.db", secret)
    assert spelt not in key_path(elsewhere / "sync.db").read_bytes()
    with Store.open(elsewhere / "sync.db", apart=secret) as store:
        assert [row.view for row in store.views()] == ["users"]


def test_copies_are_private_from_their_first_byte(path, tmp_path, monkeypatch):
    """Whatever the umask is, nobody else can open a copy while it is being written."""
    seen = []

    class Copy(SqliteStatements):
        def backup(self, target, **options):
            (_, _, name) = target.execute("PRAGMA database_list").fetchone()
            seen.append(Path(name).stat().st_mode & 0o777)
            super().backup(target, **options)

    real = sqlite3.connect
    monkeypatch.setattr(sqlite3, "connect", lambda *given, **named: real(*given, **{**named, "factory": Copy}))
    before = os.umask(0)
    try:
        with Store.open(path) as store:
            store.begin("users", "definition", "first", 1)
            store.backup(tmp_path / "copy.db")
        recovery.restore(tmp_path / "copy.db", path)
    finally:
        os.umask(before)
    assert seen == [0o600, 0o600]
    assert {
        file.name: oct(file.stat().st_mode & 0o777) for file in path.parent.iterdir() if file.stat().st_mode & 0o077
    } == {}


def test_nobody_is_found_by_guessing(path):
    """Without the secret no list of a million players leads to a number in the state."""
    with Store.open(path) as store:
        ids = [keyed_hash(pl.Series(["brand\0player"]), secret)[0] for secret in (store.secret, b"")]
    assert ids[0] != ids[1]


def commit(n, dead):
    return Commit(
        "bets", 1, Position(str(n), (f"k{n}",)), dead_letters=tuple(dead), counts={"dead_lettered": len(dead)}
    )


@pytest.fixture
def place(path):
    """What is promised of files."""
    return FilePlace(path)


@pytest.fixture
def given_up(store, dead_letter):
    """Ten dead letters, one a second."""
    store.commit(commit(1, [dead_letter(str(number), at_ms=1_000 * number) for number in range(10)]))
    return store


def test_the_newest_dead_letters_of_a_view_come_first(given_up):
    """So many of them; a view that was never begun has none."""
    assert [each.row.key for each in given_up.newest_dead_letters("bets", 3)] == ["9", "8", "7"]
    assert given_up.newest_dead_letters("nobody") == []


def test_dead_letters_are_kept_so_long_and_so_many(given_up):
    """What is older or more goes, the oldest first, and is counted as dropped."""
    assert given_up.prune_dead_letters("bets", 0, 10) == 0
    assert given_up.prune_dead_letters("bets", 3_000, 10) == 3
    assert given_up.prune_dead_letters("bets", 0, 5) == 2
    assert [each.row.key for each in given_up.all_dead_letters()] == ["5", "6", "7", "8", "9"]
    counts = given_up.view("bets").counts
    assert (counts["dead_lettered"], counts["dropped"]) == (5, 5)


def test_rows_that_wait_are_never_pruned(store, parked):
    """They are not given up."""
    store.enqueue("bets", [parked("1")])
    assert store.prune_dead_letters("bets", 1 << 60, 1) == 0
    assert store.parked_counts()


def fill_and_empty(store, dead_letter):
    store.commit(commit(1, [dead_letter("x" * 900 + str(number)) for number in range(3_000)]))
    while store.prune_dead_letters("bets", 1 << 60, 1):
        pass


def test_free_space_goes_back_to_the_disk(store, dead_letter):
    """A little at a time, while the daemon works."""
    fill_and_empty(store, dead_letter)
    before = store.sizes()
    assert before.free_bytes > 1_000_000
    steps = 1
    while store.give_back():
        steps += 1
    assert steps > 1
    assert store.sizes().free_bytes == 0


def test_a_state_of_before_is_compacted(path, dead_letter):
    """`smartico-sync state compact` makes it small, and lets it give space back by itself from then on. Not while it is in use."""
    with Store.open(path) as store:
        store.begin("bets", "definition", "now", 2)
        store.database.connection.execute("PRAGMA auto_vacuum = NONE")
        store.database.connection.execute("VACUUM")
        fill_and_empty(store, dead_letter)
        assert store.give_back() == 0
        with pytest.raises(StateLocked):
            recovery.compact(path)
        views = store.views()
    before = path.stat().st_size
    recovery.compact(path)
    assert path.stat().st_size < before / 4
    with Store.open(path) as store:
        assert store.views() == views
        fill_and_empty(store, dead_letter)
        assert store.give_back() > 0


def test_a_state_that_is_not_there_is_not_compacted(path):
    """Nor made."""
    path.parent.mkdir()
    with pytest.raises(StateMissing):
        recovery.compact(path)
    assert list(path.parent.iterdir()) == []
