"""What the store does when the disk, the file or another process is in its way."""

from __future__ import annotations

import os
import random
import shutil
import signal
import sqlite3
import subprocess
import sys

import pytest
from msgspec.structs import replace

from smartico_sync.core.position import Position
from smartico_sync.core.records import Commit
from smartico_sync.errors import StateDamaged, StateError, StateLocked, StateMissing, StateUnwritable
from smartico_sync.state import recovery
from smartico_sync.state.lock import ProcessLock
from smartico_sync.state.migrations import FIRST_VERSION, migrate
from smartico_sync.state.place import FilePlace
from smartico_sync.state.store import Store

COMMITTER = """
import sys, pathlib, polars as pl
from smartico_sync.core.position import Position
from smartico_sync.core.records import Commit
from smartico_sync.state.store import Store
store = Store.open(pathlib.Path(sys.argv[1]))
number = store.begin("v", "d", "first", 0).counts.get("n", 0)
while True:
    number += 1
    ids = pl.Series("id", range(number * 50, number * 50 + 50), dtype=pl.UInt64)
    profiles = ids.to_frame().with_columns(whole=pl.lit(b"12345678"), parts=pl.lit(None, pl.Binary), cursor_at=number)
    ledger = pl.DataFrame({"key": ids, "cursor_ms": pl.Series([number] * 50, dtype=pl.Int64)})
    store.commit(Commit("v", number, head=Position(str(number)), profiles=profiles, ledger=ledger, counts={"n": 1}))
    print(number, flush=True)
"""


@pytest.fixture
def place(path):
    """What is promised of files."""
    return FilePlace(path)


@pytest.fixture
def closed(path, page):
    """A state with two committed pages, closed."""
    with Store.open(path) as store:
        store.begin("bets", "definition", "first", 1)
        store.commit(page(1))
        store.commit(page(2))
        before = store.views()
    return path, before


def key_of(path):
    return path.with_name(path.name + ".key")


def test_a_missing_state_is_never_a_start_from_zero(closed):
    """Where only the key is left the store refuses and names the commands; the key stays."""
    path, _ = closed
    path.unlink()
    for _ in range(2):
        with pytest.raises(StateMissing) as caught:
            Store.open(path)
    assert "smartico-sync state restore" in caught.value.hint
    assert "smartico-sync state new" in caught.value.hint
    assert not path.exists()


def test_a_missing_key_is_told(closed):
    """Without its key a state cannot be compared with, and is not given a new one."""
    path, _ = closed
    key_of(path).unlink()
    with pytest.raises(StateMissing):
        Store.open(path)
    assert not key_of(path).exists()


def test_an_interrupted_first_start_is_completed(path):
    """A process that died between making the state and its key leaves nothing to mend by hand."""
    with Store.open(path):
        pass
    key_of(path).unlink()
    with Store.open(path) as store:
        store.begin("bets", "d", "first", 1)
    with Store.open(path) as store:
        assert store.view("bets")


def test_a_key_of_another_state_is_noticed(closed, tmp_path):
    """State and key must belong together."""
    path, _ = closed
    with Store.open(tmp_path / "other.db"):
        pass
    shutil.copy(tmp_path / "other.db.key", key_of(path))
    with pytest.raises(StateDamaged, match="another state"):
        Store.open(path)


@pytest.mark.parametrize(
    "text", [b"", b"{}", b"[]", b"\xff\x00", b'{"state": 1, "secret": 2}', b'{"state": "x", "secret": "AA=="}']
)
def test_a_damaged_key_is_told_without_its_content(closed, text):
    """Whatever the key file holds, the answer is StateDamaged, and nothing of it is quoted."""
    path, _ = closed
    key_of(path).write_bytes(text)
    with pytest.raises(StateDamaged) as caught:
        Store.open(path)
    assert "AA==" not in caught.value.message


@pytest.mark.parametrize("damage", ["empty", "text", "half", "zeros", "foreign"])
def test_a_damaged_file_is_told(closed, damage):
    """Empty, overwritten, truncated and foreign files are StateDamaged, with the next command."""
    path, _ = closed
    content = path.read_bytes()
    if damage == "foreign":
        path.unlink()
        with sqlite3.connect(path) as connection:
            connection.execute("CREATE TABLE theirs (x)")
        connection.close()
    else:
        changed = {
            "empty": b"",
            "text": b"hello" * 999,
            "half": content[: len(content) // 2],
            "zeros": bytes(len(content)),
        }
        path.write_bytes(changed[damage])
    with pytest.raises(StateDamaged) as caught:
        Store.open(path)
    assert "smartico-sync state restore" in caught.value.hint


@pytest.mark.parametrize("seed", range(40))
def test_flipped_bytes_never_move_a_watermark(closed, seed):
    """Bytes flipped anywhere are noticed, or touch nothing that a view's position depends on; never a traceback."""
    path, before = closed
    chance = random.Random(seed)
    content = bytearray(path.read_bytes())
    used = [place for place, byte in enumerate(content) if byte]  # flipping unused space shows nothing
    for _ in range(3):
        content[chance.choice(used)] ^= 1 << chance.randrange(8)
    path.write_bytes(content)
    try:
        with Store.open(path) as store:
            seen = store.views()
    except StateError:
        return
    assert [(row.view, row.head, row.watermark, row.late) for row in seen] == [
        (row.view, row.head, row.watermark, row.late) for row in before
    ]


def test_a_newer_file_is_refused(closed):
    """A file of a newer version is left alone."""
    path, _ = closed
    connection = sqlite3.connect(path)
    connection.execute("PRAGMA user_version = 99")
    connection.close()
    with pytest.raises(StateError, match="newer"):
        Store.open(path)


def test_a_failing_migration_leaves_the_version_before(tmp_path):
    """A migration happens as a whole or not at all."""
    connection = sqlite3.connect(tmp_path / "x.db", isolation_level=None)
    with pytest.raises(sqlite3.Error):
        migrate(connection, (("CREATE TABLE a (x)",), ("CREATE TABLE b (x)", "CREATE TABLE a (x)")))
    assert connection.execute("PRAGMA user_version").fetchone() == (FIRST_VERSION,)
    assert connection.execute("SELECT name FROM sqlite_master").fetchall() == [("a",)]
    migrate(connection, (("CREATE TABLE a (x)",), ("CREATE TABLE b (x)",)))
    assert connection.execute("PRAGMA user_version").fetchone() == (FIRST_VERSION + 1,)
    connection.close()


def test_one_process_at_a_time(path, store):
    """A second process is told who holds the state, and gets it once the first one ends."""
    with pytest.raises(StateLocked) as caught:
        Store.open(path)
    assert str(os.getpid()) in caught.value.message
    command = [sys.executable, "-c", COMMITTER, str(path)]
    other = subprocess.run(command, capture_output=True, text=True, check=False)
    assert "StateLocked" in other.stderr
    store.close()
    Store.open(path).close()


@pytest.mark.parametrize("least", [1, 5, 23])
def test_kill_leaves_a_prefix_of_the_commits(path, least):
    """After kill -9 in the middle of commits, head, totals, profiles and ledger stand at one and the same commit."""
    path.parent.mkdir()
    with subprocess.Popen([sys.executable, "-c", COMMITTER, str(path)], stdout=subprocess.PIPE, text=True) as process:
        for line in process.stdout:
            acknowledged = int(line)
            if acknowledged >= least:
                process.send_signal(signal.SIGKILL)
                break
        acknowledged = max([acknowledged, *map(int, process.stdout.read().split())])
    with Store.open(path) as store:
        row = store.view("v")
        reached = row.counts["n"]
        assert reached in (acknowledged, acknowledged + 1)
        assert row.head == Position(str(reached))
        assert [seq for seq, _ in store.ledger_since("v")] == list(range(1, reached + 1))
        keys = store.ledger_between("v", 0, 10**6).get_column("key")
        assert sorted(keys) == list(range(50, (reached + 1) * 50))
        assert store.profiles("v", keys).height == 50 * reached


def test_a_full_disk_stops_and_resumes(store, rows, page):
    """On a full disk a commit changes nothing and says so; with space again the next one succeeds."""
    connection = store.database.connection
    store.commit(page(1))
    before = store.views()
    (pages,) = connection.execute("PRAGMA page_count").fetchone()
    connection.execute(f"PRAGMA max_page_count = {pages}")
    large = Commit("bets", 2, head=Position("2"), ledger=rows(list(range(50_000)), [1] * 50_000), counts={"n": 1})
    with pytest.raises(StateUnwritable, match="full"):
        store.commit(large)
    assert store.views() == before
    connection.execute("PRAGMA max_page_count = 1000000")
    store.commit(large)
    assert store.view("bets").head == Position("2")


def test_a_read_only_disk_stops(path, store, page):
    """Where nothing can be written a commit says so and changes nothing."""
    store.database.connection.execute("PRAGMA query_only = on")
    before = store.views()
    with pytest.raises(StateUnwritable, match="read-only"):
        store.commit(page(1))
    store.database.connection.execute("PRAGMA query_only = off")
    assert store.views() == before
    store.commit(page(1))


@pytest.mark.parametrize("ending", ["", "-wal"])
def test_a_file_removed_under_the_daemon_is_noticed(path, store, page, ending):
    """Once the file or its log is gone no commit succeeds; put back, they go on."""
    store.commit(page(1))
    file = path.with_name(path.name + ending)
    aside = file.rename(file.with_name("aside"))
    with pytest.raises(StateMissing, match="removed"):
        store.commit(page(2))
    aside.rename(file)
    store.commit(page(2))


def test_a_file_replaced_under_the_daemon_is_noticed(path, store, page):
    """Another file under the same name is not the state."""
    shutil.copy(path, path.with_name("copy"))
    path.with_name("copy").replace(path)
    with pytest.raises(StateMissing, match="replaced"):
        store.commit(page(2))


def test_unusable_places(tmp_path):
    """A directory that cannot be made, or a directory in the file's place, is StateUnwritable."""
    (tmp_path / "file").write_text("")
    (tmp_path / "there").mkdir()
    for path in (tmp_path / "no" / "such" / "sync.db", tmp_path / "file" / "sync.db", tmp_path / "there"):
        with pytest.raises(StateUnwritable):
            Store.open(path)


def test_backup_and_restore(path, store, page, tmp_path):
    """A backup taken while the daemon works is restored as it was; what it replaces is moved aside."""
    store.commit(page(1))
    store.backup(tmp_path / "backup.db")
    before = store.views()
    store.commit(page(2))
    with pytest.raises(StateLocked):
        recovery.restore(tmp_path / "backup.db", path)
    secret = store.secret
    store.close()
    aside = recovery.restore(tmp_path / "backup.db", path).aside
    with Store.open(path) as restored:
        assert restored.views() == tuple(replace(row, fingerprints="doubted") for row in before)
        assert restored.secret == secret
        restored.commit(page(3))
    with Store.open(aside) as old:
        assert old.view("bets").head == Position("2", ("k2",))


@pytest.mark.skipif(os.geteuid() != 0, reason="only root may give files away")
@pytest.mark.parametrize("lost", ["nothing", "state", "all"])
def test_a_restore_by_root_keeps_owner_and_mode(closed, tmp_path, lost):
    """The daemon's user can still open its state after root has restored it, or begun a new one."""
    path, _ = closed
    with Store.open(path) as store:
        store.backup(tmp_path / "backup.db", "beside")
    for file in (path.parent, *path.parent.iterdir()):
        os.chown(file, 12345, 12346)
    for file in (path, key_of(path)):
        file.chmod(0o640)
    if lost != "nothing":
        path.unlink()
    if lost == "all":
        for file in path.parent.iterdir():
            file.unlink()
    for act in (lambda: recovery.restore(tmp_path / "backup.db", path), lambda: recovery.renew(path)):
        act()
        for file in path.parent.iterdir():
            assert (file.stat().st_uid, file.stat().st_gid) == (12345, 12346), file
        for file in (path, key_of(path)):
            assert file.stat().st_mode & 0o777 == (0o600 if lost == "all" else 0o640)


def test_restore_after_a_loss(closed, tmp_path):
    """A backup brings back a state that is gone altogether."""
    path, before = closed
    with Store.open(path) as store:
        store.backup(tmp_path / "backup.db", "beside")
    shutil.rmtree(path.parent)
    path.parent.mkdir()
    assert recovery.restore(tmp_path / "backup.db", path).aside is None
    with Store.open(path) as store:
        assert store.views() == tuple(replace(row, fingerprints="doubted") for row in before)


def test_a_bad_backup_touches_nothing(closed, tmp_path):
    """A backup that is missing, damaged or without its key is refused before anything is moved."""
    path, before = closed
    with Store.open(path) as store:
        store.backup(tmp_path / "backup.db")
    with pytest.raises(StateMissing):
        recovery.restore(tmp_path / "nothing.db", path)
    (tmp_path / "backup.db").write_bytes(b"")
    with pytest.raises(StateDamaged):
        recovery.restore(tmp_path / "backup.db", path)
    (tmp_path / "backup.db.key").unlink()
    with pytest.raises(StateMissing):
        recovery.restore(tmp_path / "backup.db", path)
    with Store.open(path) as store:
        assert store.views() == before


def test_begin_anew_keeps_the_secret(closed):
    """`new` after a loss starts empty, with the secret that fingerprints were made with, and removes nothing."""
    path, _ = closed
    with Store.open(path) as store:
        secret, state_id = store.secret, store.state_id
    path.write_bytes(b"broken")
    aside = recovery.renew(path)
    assert aside.read_bytes() == b"broken"
    with Store.open(path) as store:
        assert store.views() == ()
        assert store.secret == secret
        assert store.state_id != state_id


def test_nothing_secret_is_shown(store):
    """Neither the store nor its key shows the secret."""
    assert str(store.secret) not in repr(store) + repr(store.key)
    assert store.secret.hex() not in repr(store.key)


def test_a_folder_that_is_not_there_is_told_as_that(tmp_path):
    """Nobody can be let write into it: the hint makes it."""
    with pytest.raises(StateUnwritable) as refused:
        ProcessLock(tmp_path / "state" / "sync.db")
    assert refused.value.hint == f"mkdir -p {tmp_path / 'state'}"
