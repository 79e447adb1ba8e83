"""A player is erased: gone from the source it is no regression, Smartico can be told, and the state forgets."""

from __future__ import annotations

import json
import signal
import sqlite3
from contextlib import closing

import pytest

from waiting import until

VIEWS = """\
  - {name: users, source: db, relation: users, kind: users, cursor: version, event_date: core_registration_date, every: 100ms,
     arrays: {core_external_markers: sync}}
  - {name: deposits, source: db, relation: deposits, kind: deposits, cursor: transaction_id, key: transaction_id, every: 100ms}
"""


class Casino:
    """Players and their deposits in a SQLite replica."""

    def __init__(self, operator):
        self.operator, self.replica = operator, operator.home / "replica.db"
        self.version = self.transaction = 0
        self.do(
            "CREATE TABLE users (user_ext_id TEXT PRIMARY KEY, ext_brand_id TEXT DEFAULT 'b', version INTEGER, user_email TEXT,"
            " user_first_name TEXT, core_registration_date TEXT DEFAULT '2026-01-01 00:00:00', core_account_status TEXT DEFAULT 'ACTIVE',"
            " core_external_markers TEXT, points INTEGER)",
            "CREATE TABLE deposits (transaction_id INTEGER PRIMARY KEY, ext_brand_id TEXT DEFAULT 'b', user_ext_id TEXT,"
            " transaction_date TEXT DEFAULT '2026-01-01 00:00:00', deposit_amount NUMERIC)",
        )
        operator.configure(f"sqlite:///{self.replica}", VIEWS)

    def do(self, *statements):
        with closing(sqlite3.connect(self.replica)) as database:
            for statement in statements:
                database.execute(statement)
            database.commit()

    def player(self, name):
        self.version += 1
        self.do(
            "INSERT OR REPLACE INTO users (user_ext_id, version, user_email, user_first_name, core_external_markers, points) "
            f"VALUES ('{name}', {self.version}, '{name}@example.com', '{name.title()}', '[\"vip\"]', 5)"
        )

    def deposit(self, name, amount="1"):
        self.transaction += 1
        self.do(
            f"INSERT INTO deposits (transaction_id, user_ext_id, deposit_amount) VALUES ({self.transaction}, '{name}', {amount})"
        )

    def erase(self, name):
        self.do(f"DELETE FROM users WHERE user_ext_id = '{name}'", f"DELETE FROM deposits WHERE user_ext_id = '{name}'")

    def run(self):
        return self.operator.sync("run", "--once")

    def rows(self, query):
        with closing(sqlite3.connect(self.operator.home / "state" / "sync.db")) as database:
            return database.execute(query).fetchall()

    def profiles(self):
        return self.rows("SELECT (SELECT count(*) FROM profile) + (SELECT coalesce(sum(n), 0) FROM profile_log)")

    def sent(self, name):
        return [
            (event["event_type"], event["payload"])
            for event in self.operator.accepted()
            if event["user_ext_id"] == name
        ]


@pytest.fixture
def casino(operator):
    return Casino(operator)


def test_the_state_forgets_a_player_and_says_what_is_left(casino):
    """Fingerprints, sets, dead letters and waiting rows; other players keep theirs."""
    for name in ("anna", "boris", "carla"):
        casino.player(name)
    casino.deposit("anna", "NULL")
    casino.deposit("boris")
    assert casino.run().returncode == 6
    casino.operator.sandbox.set_faults(["unknown-users"])
    casino.operator.sandbox.ingest.accepted_events.players.clear()
    casino.deposit("anna")
    casino.deposit("boris")
    casino.run()
    assert casino.rows("SELECT count(*) FROM letter") == [(3,)]
    refused = casino.operator.sync("forget", "b", "anna")
    assert refused.returncode == 2
    assert "--yes" in refused.stderr
    done = casino.operator.sync("forget", "b", "anna", "--yes", "--json")
    assert done.returncode == 0, done.stderr
    told = json.loads(done.stdout)
    assert told["removed"] | {"anchors": 0} == {
        "profiles": 1, "sets": 1, "outbox": 0, "dead_letters": 1, "parked": 1, "anchors": 0, "backfills": 0,
    }  # fmt: skip
    assert told["removed"]["anchors"] > 0
    assert any("ledger" in sentence for sentence in told["kept"])
    assert [casino.profiles(), casino.rows("SELECT count(*) FROM told_set")] == [[(2,)], [(2,)]]
    assert casino.rows("SELECT count(*) FROM letter WHERE next_try_ms IS NOT NULL") == [(1,)]
    again = casino.operator.sync("forget", "b", "anna", "--yes")
    assert again.returncode == 0
    assert "knew nothing of player anna" in again.stdout
    assert "anna" not in json.dumps([row[0] for row in casino.rows("SELECT position FROM anchor")])


def test_a_row_that_never_was_an_event_is_his_by_its_key(casino):
    """A profile that could not be one is a dead letter of nobody that is known; its key says whose it is."""
    casino.player("anna")
    casino.player("boris")
    casino.do("UPDATE users SET core_registration_date = NULL WHERE user_ext_id = 'anna'")
    assert casino.run().returncode == 6
    told = json.loads(casino.operator.sync("forget", "b", "anna", "--yes", "--json").stdout)
    assert told["removed"]["dead_letters"] == 1
    assert casino.rows("SELECT * FROM letter") == []
    state = b"".join(file.read_bytes() for file in (casino.operator.home / "state").glob("sync.db*"))
    assert b"boris" in state
    assert b"anna" not in state


def test_a_deposit_that_never_was_an_event_is_forgotten_with_its_player(casino):
    """Its key says nothing of him, its row did; one that named nobody stays, and it is told where to look."""
    casino.player("anna")
    casino.player("boris")
    casino.deposit("anna", "NULL")
    casino.deposit("boris", "NULL")
    casino.do("INSERT INTO deposits (transaction_id, user_ext_id, deposit_amount) VALUES (77, NULL, 1)")
    assert casino.run().returncode == 6
    told = json.loads(casino.operator.sync("forget", "b", "anna", "--yes", "--json").stdout)
    assert told["removed"]["dead_letters"] == 1
    assert casino.rows("SELECT key FROM letter ORDER BY key") == [("2",), ("77",)]
    (sentence,) = (each for each in told["kept"] if each.startswith("view deposits: rows"))
    assert "name nobody, 1:" in sentence
    shown = casino.operator.sync("dead-letters", "list", "--view", "deposits")
    assert (shown.returncode, "77" in shown.stdout) == (0, True), shown.stderr


def test_while_the_daemon_runs_it_does_it(casino):
    """And does not write down whom it forgot; a player who is still in the source is sent again when he changes."""
    casino.player("anna")
    casino.player("boris")
    log = casino.operator.home / "log"
    with log.open("wb") as err:
        daemon = casino.operator.start("run", err=err)
    try:
        until(lambda: len(casino.operator.accepted()) == 2, 0.1)
        done = casino.operator.sync("forget", "b", "anna", "--yes")
        assert (done.returncode, "removed: fingerprints, 1" in done.stdout) == (0, True), done.stderr
        casino.do("UPDATE users SET points = 6, version = 10 WHERE user_ext_id = 'anna'")
        until(lambda: len(casino.operator.accepted()) == 3, 0.1)
        assert casino.sent("anna")[1][1]["+core_external_markers"] == ["vip"]
    finally:
        daemon.send_signal(signal.SIGTERM)
    assert daemon.wait() == 0
    assert "forget brand=b" in log.read_text()
    assert "anna" not in log.read_text()


def test_smartico_is_told_first(casino):
    """His personal properties are cleared, nothing else, and no automation starts; where that fails nothing is removed."""
    casino.player("anna")
    casino.run()
    casino.operator.sandbox.set_faults(["denied"])
    failed = casino.operator.sync("forget", "b", "anna", "--tell", "--yes")
    assert failed.returncode == 4, failed.stderr
    assert casino.profiles() == [(1,)]
    casino.operator.sandbox.set_faults([])
    done = casino.operator.sync("forget", "b", "anna", "--tell", "--status", "DEACTIVATED", "--yes", "--json")
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["cleared"] == ["user_email", "user_first_name"]
    assert casino.sent("anna")[-1] == (
        "update_profile",
        {"!user_email": None, "!user_first_name": None, "core_account_status": "DEACTIVATED", "skip_cjm": True},
    )
    assert casino.profiles() == [(0,)]


@pytest.mark.slow
def test_an_erased_player_is_no_regression(casino):
    """One row of many is not missed; where all that was delivered last was his, the view goes on once he is forgotten."""
    for name in ("anna", "boris", "carla"):
        casino.player(name)
        casino.deposit(name)
    assert casino.run().returncode == 0
    casino.erase("carla")
    casino.player("dora")
    assert casino.run().returncode == 0
    for _ in range(8):
        casino.deposit("emil")
        assert casino.run().returncode == 0
    casino.erase("emil")
    for _ in range(30):
        casino.transaction += 1
    casino.deposit("anna")
    assert casino.run().returncode == 3
    assert casino.operator.sync("forget", "b", "emil", "--yes").returncode == 0
    assert casino.run().returncode == 0
    assert len(casino.sent("anna")) == 3


def test_an_anonymised_player_is_no_regression_and_is_cleared(casino):
    """What was sent and is personal is cleared by itself."""
    for name in ("anna", "boris"):
        casino.player(name)
        casino.deposit(name)
    assert casino.run().returncode == 0
    casino.do("UPDATE users SET user_email = NULL, user_first_name = 'X', version = 10 WHERE user_ext_id = 'anna'")
    assert casino.run().returncode == 0
    last = casino.sent("anna")[-1][1]
    assert (last["!user_email"], last["user_first_name"]) == (None, "X")


def test_what_cannot_be_asked_is_told(casino):
    """A status without telling, and a state that is not there."""
    wrong = casino.operator.sync("forget", "b", "anna", "--status", "BLOCKED", "--yes")
    assert (wrong.returncode, "--tell" in wrong.stderr) == (2, True)
    missing = casino.operator.sync("forget", "b", "anna", "--yes")
    assert (missing.returncode, "there is no state" in missing.stderr) == (5, True)
