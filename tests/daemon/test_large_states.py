"""A large state is looked through while the daemon works: damage ends it as it ends a start."""

from __future__ import annotations

import json
import sqlite3
from contextlib import closing

import pytest

from smartico_sync.state.upkeep import AT_ONCE_BYTES

VIEW = "  - {name: deposits, source: db, relation: deposits, kind: deposits, cursor: transaction_id, every: 100ms}\n"


@pytest.fixture
def replica(operator):
    """A few deposits."""
    path = operator.home / "replica.db"
    with closing(sqlite3.connect(path)) as database, database:
        database.execute(
            "CREATE TABLE deposits (transaction_id INTEGER PRIMARY KEY, ext_brand_id TEXT DEFAULT 'b', user_ext_id TEXT DEFAULT 'anna',"
            " transaction_date TEXT DEFAULT '2026-01-01 00:00:00', deposit_amount NUMERIC DEFAULT 1)"
        )
        database.executemany("INSERT INTO deposits (transaction_id) VALUES (?)", [(1,), (2,), (3,)])
    operator.configure(f"sqlite:///{path}", VIEW)
    return path


def swell(state):
    """Let the state be large: of keys of a view that is gone."""
    with closing(sqlite3.connect(state)) as database, database:
        database.execute(
            "INSERT INTO ledger (view_no, at_ms, low_ms, high_ms, n, keys) VALUES (99, 1, 1, 1, 1, zeroblob(?))",
            (AT_ONCE_BYTES,),
        )


def damage(state):
    """Overwrite a table that no start reads."""
    with closing(sqlite3.connect(state)) as database:
        (size,) = database.execute("PRAGMA page_size").fetchone()
        (root,) = database.execute("SELECT rootpage FROM sqlite_master WHERE name = 'told_name'").fetchone()
    with state.open("r+b") as file:
        file.seek((root - 1) * size)
        file.write(b"\xff" * 100)


def failure(ended):
    """With which words a daemon ended."""
    told = json.loads(ended.stderr.splitlines()[-1])
    assert told["event"] == "failed"
    return {name: told[name] for name in ("code", "reason", "hint")}


@pytest.mark.parametrize("mode", [["run"], ["run", "--once"]])
def test_damage_that_is_found_at_work_ends_the_daemon_as_it_ends_a_start(operator, replica, mode):
    """The same words, the same next command, the same exit code, as for a small file; the end counts as a bad one."""
    assert operator.sync("run", "--once").returncode == 0
    state = operator.home / "state" / "sync.db"
    damage(state)
    expected = operator.sync(*mode)
    swell(state)
    ended = operator.sync(*mode)
    assert (ended.returncode, expected.returncode) == (5, 5), ended.stderr
    assert failure(ended) == failure(expected)
    assert "is damaged" in failure(ended)["reason"]
    with closing(sqlite3.connect(state)) as database:
        assert database.execute("SELECT opened > 0 FROM identity").fetchone() == (1,)


@pytest.mark.slow
def test_a_large_state_that_is_whole_goes_on(operator, replica):
    """And nothing is sent twice."""
    operator.sync("run", "--once")
    swell(operator.home / "state" / "sync.db")
    with closing(sqlite3.connect(replica)) as database, database:
        database.execute("INSERT INTO deposits (transaction_id) VALUES (4)")
    assert operator.sync("run", "--once").returncode == 0
    assert len(operator.accepted()) == 4
