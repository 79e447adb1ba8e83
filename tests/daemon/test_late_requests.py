"""A request that hangs at the API and is taken long after: what it holds never lands on what is newer."""

from __future__ import annotations

import sqlite3
from contextlib import closing

import pytest

from waiting import until

USERS = "  - {name: users, source: db, relation: users, kind: users, cursor: version, event_date: core_registration_date, every: 100ms}\n"


class Casino:
    """One table of players that an operator changes."""

    def __init__(self, operator, **smartico):
        self.operator, self.replica = operator, operator.home / "replica.db"
        self.do(
            "CREATE TABLE users (user_ext_id TEXT PRIMARY KEY, ext_brand_id TEXT DEFAULT 'b', version INTEGER, user_email TEXT,"
            " core_registration_date TEXT DEFAULT '2026-01-01 00:00:00', core_account_status TEXT)",
            "INSERT INTO users (user_ext_id, version, user_email, core_account_status) VALUES ('anna', 1, 'anna@example.com', 'ACTIVE')",
        )
        operator.configure(f"sqlite:///{self.replica}", USERS, **smartico)

    def do(self, *statements):
        with closing(sqlite3.connect(self.replica)) as database:
            for statement in statements:
                database.execute(statement)
            database.commit()

    def exclude(self):
        self.do("UPDATE users SET version = 2, core_account_status = 'SELF_EXCLUDED' WHERE user_ext_id = 'anna'")

    def statuses(self):
        """What the API took of the player, in its order."""
        return [event["payload"]["core_account_status"] for event in self.operator.accepted()]

    def killed_in_mid_request(self):
        """A daemon whose first request hangs at the API, and that is killed."""
        sandbox = self.operator.sandbox
        sandbox.set_faults(["hold"])
        daemon = self.operator.start("run")
        until(lambda: sandbox.stats()["held"] == 1, 0.05)
        daemon.kill()
        daemon.wait()
        sandbox.set_faults([])

    def api_comes_to_it(self):
        """The API takes the requests that hung."""
        self.operator.sandbox.release()
        until(lambda: self.operator.sandbox.stats()["in_flight"] == 0, 0.05)


@pytest.mark.slow
def test_a_request_that_outlives_its_daemon_changes_nothing(operator):
    """ACTIVE hangs at the API, the daemon is killed, the player excludes himself, the next daemon sends that: so it stays, when the
    API comes to the first request at last."""
    casino = Casino(operator)
    casino.killed_in_mid_request()
    casino.exclude()
    assert operator.sync("run", "--once").returncode == 0
    casino.api_comes_to_it()
    assert casino.statuses() == ["ACTIVE", "SELF_EXCLUDED"]
    assert operator.sandbox.stats()["violations"] == {}


@pytest.mark.parametrize("command", [("new", "--yes"), ("restore", "copy.db")], ids=["new", "restore"])
def test_a_state_that_is_replaced_under_a_request_says_so(operator, command):
    """What hangs at the API is not sent again by a state that does not know of it: the operator is told to wait."""
    casino = Casino(operator)
    assert operator.sync("run", "--once").returncode == 0
    assert "on the way" not in operator.sync("state", "backup", "copy.db").stdout
    casino.exclude()
    casino.killed_in_mid_request()
    done = operator.sync("state", *command)
    assert done.returncode == 0, done.stderr
    assert "1 profile may still be on the way to the API" in done.stdout
    casino.api_comes_to_it()


@pytest.mark.slow
def test_a_player_who_is_forgotten_is_not_sent_again(operator):
    """What was on its way of him when the daemon was killed is taken out, and stands in no file."""
    casino = Casino(operator)
    casino.killed_in_mid_request()
    casino.do("DELETE FROM users")
    done = operator.sync("forget", "b", "anna", "--yes")
    assert "removed: profiles that are on their way, 1" in done.stdout
    assert operator.sync("run", "--once").returncode == 0
    assert casino.statuses() == []
    assert not any(b"anna" in file.read_bytes() for file in (operator.home / "state").iterdir() if file.is_file())
