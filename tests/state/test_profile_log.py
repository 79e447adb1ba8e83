"""The log in front of the tree of profiles: what is remembered is known, whatever became of it meanwhile."""

from __future__ import annotations

import signal
import sqlite3
import subprocess
import sys
import tempfile
from contextlib import closing
from pathlib import Path

import polars as pl
import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from smartico_sync.core.position import Position
from smartico_sync.core.records import Commit
from smartico_sync.errors import StateDamaged, StateUnwritable
from smartico_sync.state import profile_log, profile_tree, profiles
from smartico_sync.state.database import connect, create, transaction
from smartico_sync.state.erasure import Identity
from smartico_sync.state.migrations import MIGRATIONS, migrate
from smartico_sync.state.profile_log import ProfileLog
from smartico_sync.state.store import Store
from waiting import until

SMALL = {
    "PIECE": 4,
    "SLICE": 3,
    "MERGED": 7,
    "GROUP": 2,
    "SLICE_ROWS": 2,
    "RUN": 8,
    "LEAST_BYTES": 3000,
    "SHARE": 1 << 40,
}
VIEWS, IDS = (1, 2), [0, 1, 2, 3, 5, 8, 13, 2**63 - 1, 2**63, 2**63 + 1, 2**64 - 2, 2**64 - 1]
FORGOTTEN = b""

views = st.sampled_from(VIEWS)
ids = st.sampled_from(IDS)
values = st.tuples(
    st.sampled_from([b"12345678", b"abcdefgh", b"\x00" * 8, b"short"]),
    st.one_of(st.none(), st.binary(max_size=12)),
    st.one_of(st.none(), st.integers(-(1 << 63), (1 << 63) - 1)),
)
pages = st.lists(st.tuples(ids, values), min_size=1, max_size=14)


def shrink(patch):
    for name, value in SMALL.items():
        patch.setattr(profile_tree if name == "GROUP" else profile_log, name, value)


def framed(page):
    rows = [(number, *value) for number, value in page]
    schema = {"id": pl.UInt64, "whole": pl.Binary, "parts": pl.Binary, "cursor_at": pl.Int64}
    return pl.DataFrame(rows, schema=schema, orient="row")


class Remembering(RuleBasedStateMachine):
    """Log and tree together, beside a dict."""

    def __init__(self):
        super().__init__()
        self.small = pytest.MonkeyPatch()
        shrink(self.small)
        self.home = tempfile.TemporaryDirectory()
        self.path = Path(self.home.name) / "sync.db"
        create(self.path, "state", {})
        self.open()
        self.beside = connect(self.path, "read")
        self.held = {view: {} for view in VIEWS}

    def teardown(self):
        self.connection.close()
        self.beside.close()
        self.home.cleanup()
        self.small.undo()

    def open(self):
        self.connection = connect(self.path, "write")

    @rule(view=views, page=pages)
    def a_page_is_committed(self, view, page):
        with transaction(self.connection):
            profiles.remember(self.connection, view, framed(page))
        self.held[view].update(page)

    @rule(view=views, page=pages)
    def a_page_is_rolled_back(self, view, page):
        self.connection.execute("BEGIN IMMEDIATE")
        profiles.remember(self.connection, view, framed(page))
        self.connection.execute("ROLLBACK")

    @rule(view=views, slices=st.integers(1, 9))
    def slices_are_moved(self, view, slices):
        self.connection.profile_log.fill(self.connection, view)
        for _ in range(slices):
            with transaction(self.connection):
                self.connection.profile_log.move(self.connection)

    @rule(view=views)
    def a_slice_cannot_be_committed(self, view):
        self.connection.profile_log.fill(self.connection, view)
        self.connection.execute("BEGIN IMMEDIATE")
        self.connection.profile_log.move(self.connection)
        self.connection.execute("ROLLBACK")
        self.connection.profile_log.drop()

    @rule(view=views, page=pages)
    def the_process_dies_in_a_transaction(self, view, page):
        self.connection.profile_log.fill(self.connection, view)
        self.connection.execute("BEGIN IMMEDIATE")
        profiles.remember(self.connection, view, framed(page))
        self.connection.profile_log.move(self.connection)
        self.connection.close()
        self.open()

    @rule()
    def the_process_ends(self):
        self.connection.close()
        self.open()

    @rule(view=views, number=ids)
    def a_player_is_erased(self, view, number):
        with transaction(self.connection):
            signed = number - (1 << 64) * (number >= 1 << 63)
            gone = self.connection.erase_profile(view, signed)
        assert gone == (self.held[view].pop(number, None) is not None)

    @rule(view=views)
    def fingerprints_are_forgotten(self, view):
        with transaction(self.connection):
            profiles.forget(self.connection, view, "fingerprints")
        self.held[view] = {
            number: (FORGOTTEN, parts, at)
            for number, (_, parts, at) in self.held[view].items()
            if at is not None or parts is not None
        }

    @rule(view=views)
    def ages_are_forgotten(self, view):
        with transaction(self.connection):
            profiles.forget(self.connection, view, "ages")
        self.held[view] = {number: (whole, parts, None) for number, (whole, parts, _) in self.held[view].items()}

    @rule(view=views, some=st.lists(ids, max_size=5))
    def some_are_looked_up(self, view, some):
        found = profiles.known(self.connection, view, pl.Series(some, dtype=pl.UInt64))
        assert read(found) == {number: value for number, value in self.held[view].items() if number in some}

    @invariant()
    def all_is_known_to_every_process(self):
        for view in VIEWS:
            for connection in (self.connection, self.beside):
                found = profiles.known(connection, view, pl.Series(IDS, dtype=pl.UInt64))
                assert read(found) == self.held[view]

    @rule(view=views)
    def whether_there_is_room_is_told(self, view):
        """Where nobody looks because there is room, nobody would have found that there is none."""
        room = self.connection.profile_log.has_room
        fill = self.connection.profile_log.fill(self.connection, view)
        assert fill == "little" or not room

    @rule(some=st.integers(1, 4))
    def all_are_copied(self, some):
        copied = [row for rows in self.connection.profile_log.every(self.connection, some) for row in rows]
        expected = [
            (view, number - (1 << 64) * (number >= 1 << 63), *value)
            for view in VIEWS
            for number, value in self.held[view].items()
        ]
        assert sorted(copied, key=repr) == sorted(expected, key=repr)

    @invariant()
    def the_log_has_few_rows(self):
        for view in VIEWS:
            sizes = [n for (n,) in self.connection.execute("SELECT n FROM profile_log WHERE view_no = ?", (view,))]
            small = [n for n in sizes if n < SMALL["PIECE"] / 2]
            assert len(small) <= len(sizes) / 2 + 2


def read(found):
    """Profiles as a dict; each of them once."""
    held = {number: tuple(value) for number, *value in found.rows()}
    assert len(held) == found.height
    return held


TestRemembering = Remembering.TestCase
TestRemembering.settings = settings(max_examples=3, stateful_step_count=15)


@pytest.mark.slow
class TestRememberingLong(Remembering.TestCase):
    settings = settings(max_examples=60, stateful_step_count=40)


@pytest.fixture
def store(path):
    """A state in a file."""
    with Store.open(path) as opened:
        opened.begin("users", "definition", "first", 1)
        yield opened


@pytest.fixture
def small(monkeypatch):
    """A log that holds a few profiles at most."""
    shrink(monkeypatch)


def rows_of(path, table):
    with closing(sqlite3.connect(path)) as connection:
        return connection.execute(f"SELECT count(*) FROM {table}").fetchone()[0]


def test_the_log_goes_over_into_the_tree_by_itself(path, store, profiles, small):
    """What was committed is moved beside the work, until the log is small again."""
    for number in range(40):
        store.commit(Commit("users", number, profiles=profiles(range(number * 10, number * 10 + 10))))
    until(lambda: rows_of(path, "profile") > 350)
    assert store.profiles("users", pl.Series(range(400), dtype=pl.UInt64)).height == 400


def test_what_is_being_moved_counts(path, small):
    """While it is moved the log takes as much again; from then on commits move themselves, so that memory has a bound."""

    def grow():
        for number in range(1_000):
            with transaction(connection):
                profiles.remember(connection, 1, framed([(number, (b"12345678", None, None))]))
            if (fill := log.fill(connection, 1)) != "little":
                return fill
        raise AssertionError("it never grew")

    path.parent.mkdir()
    create(path, "state", {})
    with closing(connect(path, "write")) as connection:
        log = connection.profile_log
        assert grow() == "enough"
        with transaction(connection):
            assert log.move(connection) == "more"
        assert log.fill(connection, 1) == "little"
        assert grow() == "too much"


def test_what_cannot_be_moved_does_not_concern_the_commit(store, profiles, small, monkeypatch):
    """A commit that is written stands, whatever becomes of what is moved after it, and the next one tries again."""

    def full(*_):
        raise StateUnwritable("the disk is full")

    with monkeypatch.context() as trouble:
        trouble.setattr(ProfileLog, "move", full)
        for number in range(9):
            store.commit(Commit("users", number, head=Position(str(number)), profiles=profiles([number, number + 100])))
    assert store.view("users").head == Position("8")
    store.commit(Commit("users", 9, profiles=profiles([9, 109])))
    until(lambda: rows_of(store.path, "profile"))
    assert store.profiles("users", pl.Series(range(200), dtype=pl.UInt64)).height == 20


def test_a_profile_at_a_time_leaves_few_rows(path, store, profiles):
    """However small the pages are, the log is read quickly after a start."""
    for number in range(300):
        store.commit(Commit("users", number, profiles=profiles([number])))
    assert rows_of(path, "profile_log") <= 9
    assert store.profiles("users", pl.Series(range(300), dtype=pl.UInt64)).height == 300


def test_profiles_that_are_touched_again_and_again_do_not_fill_the_disk(path, store, profiles, small):
    """In memory the same few profiles take no more room; what the log holds of each of their states goes all the same."""
    for number in range(60):
        store.commit(Commit("users", number, profiles=profiles([1, 2, 3], whole=b"%08d" % number)))
    until(lambda: rows_of(path, "profile_log") <= 20)
    assert set(store.profiles("users", pl.Series([1, 2, 3], dtype=pl.UInt64)).get_column("whole")) == {b"00000059"}


def test_an_erased_player_leaves_no_bytes(path, store, profiles):
    """Neither in the log nor where a row of it was; the players beside him are known as before."""
    erased, other = int.from_bytes(b"erasedID", "little"), int.from_bytes(b"other_ID", "little")
    for number in range(20):
        store.commit(Commit("users", number, profiles=profiles([erased, other, number])))
    assert store.forget("users", Identity(erased, "b", "anna")).profiles == 1
    assert store.forget("users", Identity(erased, "b", "anna")).profiles == 0
    there = b"".join(file.read_bytes() for file in path.parent.iterdir())
    assert b"other_ID" in there
    assert b"erasedID" not in there
    assert store.profiles("users", pl.Series([erased, other], dtype=pl.UInt64)).get_column("id").to_list() == [other]


def test_a_flipped_bit_in_the_log_is_told(path, store, profiles):
    """SQLite does not notice it."""
    store.commit(Commit("users", 1, profiles=profiles([1, 2, 3])))
    store.close()
    with closing(sqlite3.connect(path)) as connection, connection:
        connection.execute(
            "UPDATE profile_log SET page = CAST(substr(page, 1, 200) || x'ff' || substr(page, 202) AS BLOB)"
        )
    with Store.open(path) as store, pytest.raises(StateDamaged, match="log of profiles") as told:
        store.profiles("users", pl.Series([1], dtype=pl.UInt64))
    assert "smartico-sync state restore" in told.value.hint


def test_a_state_without_a_log_goes_on(path, profiles):
    """A file of 0.2.0 has its profiles in the tree; those that come after go before them."""
    with Store.open(path) as store:
        store.begin("users", "definition", "first", 1)
    with closing(sqlite3.connect(path)) as connection, connection:
        connection.execute("DROP TABLE profile_log")
        before = next(number for number, step in enumerate(MIGRATIONS) if "profile_log" in step[0])
        version = connection.execute("PRAGMA user_version").fetchone()[0] - (len(MIGRATIONS) - before)
        connection.execute(f"PRAGMA user_version = {version}")
        connection.execute("INSERT INTO profile VALUES (1, 1, x'0102', NULL, 5), (1, -1, x'0304', x'05', NULL)")
    with Store.open(path) as store:
        store.commit(Commit("users", 2, profiles=profiles([1], whole=b"new")))
        found = store.profiles("users", pl.Series([1, 2, 2**64 - 1], dtype=pl.UInt64))
    assert sorted(found.rows()) == [(1, b"new", None, None), (2**64 - 1, b"\x03\x04", b"\x05", None)]


MOVER = """
import sys, pathlib, polars as pl
from smartico_sync.core.position import Position
from smartico_sync.core.records import Commit
from smartico_sync.state import profile_log
from smartico_sync.state.store import Store
for name, value in {"PIECE": 16, "SLICE": 5, "MERGED": 12, "SLICE_ROWS": 1, "LEAST_BYTES": 6000, "SHARE": 1 << 40}.items():
    setattr(profile_log, name, value)
store = Store.open(pathlib.Path(sys.argv[1]))
number = store.begin("v", "d", "first", 0).counts.get("n", 0)
while True:
    number += 1
    ids = pl.Series("id", [number * 7 % 101 + 101 * each for each in range(30)], dtype=pl.UInt64)
    held = ids.to_frame().with_columns(whole=pl.lit(b"%08d" % number), parts=pl.lit(None, pl.Binary), cursor_at=number)
    store.commit(Commit("v", number, head=Position(str(number)), profiles=held, counts={"n": 1}))
    print(number, flush=True)
"""


@pytest.mark.parametrize(
    "least", [20, pytest.param(150, marks=pytest.mark.slow), pytest.param(400, marks=pytest.mark.slow)]
)
def test_kill_in_the_middle_of_a_move_loses_and_doubles_nothing(path, least):
    """After kill -9 every profile is what the last commit that is there has written of it."""
    path.parent.mkdir()
    with subprocess.Popen([sys.executable, "-c", MOVER, str(path)], stdout=subprocess.PIPE, text=True) as process:
        for line in process.stdout:
            if int(line) >= least:
                process.send_signal(signal.SIGKILL)
                break
        process.stdout.read()
    with Store.open(path) as store:
        reached = store.view("v").counts["n"]
        expected = {}
        for number in range(1, reached + 1):
            expected |= {number * 7 % 101 + 101 * each: (b"%08d" % number, number) for each in range(30)}
        found = store.profiles("v", pl.Series(range(101 * 31), dtype=pl.UInt64))
        assert found.height == len(expected)
        assert {number: (whole, at) for number, whole, _, at in found.rows()} == expected


def test_every_migration_makes_the_same_file(tmp_path):
    """A new file has what an old one gets."""
    create(tmp_path / "new.db", "state", {})
    with closing(sqlite3.connect(tmp_path / "old.db", isolation_level=None)) as old:
        migrate(old, MIGRATIONS[:-1])
        migrate(old)
        with closing(sqlite3.connect(tmp_path / "new.db")) as new:
            tables = "SELECT name, sql FROM sqlite_master ORDER BY name"
            assert old.execute(tables).fetchall() == new.execute(tables).fetchall()
