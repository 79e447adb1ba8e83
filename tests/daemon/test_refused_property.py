"""A property that the API refuses by its name, from the command line to the sandbox: given up with its event, or left out and told."""

from __future__ import annotations

import json
import sqlite3
from contextlib import closing

import pytest

VIEW = "  - {name: users, source: db, relation: users, kind: users, cursor: version, event_date: core_registration_date%s}\n"


@pytest.fixture
def players(operator):
    """Three players in a SQLite replica, two of whom have a tier that nobody registered."""
    replica = operator.home / "replica.db"
    with closing(sqlite3.connect(replica)) as database:
        database.execute(
            "CREATE TABLE users (user_ext_id INTEGER PRIMARY KEY, ext_brand_id TEXT DEFAULT 'b', version INTEGER, "
            "core_registration_date TEXT DEFAULT '2026-01-01 00:00:00', core_account_status TEXT DEFAULT 'ACTIVE', tier TEXT)"
        )
        database.execute(
            "INSERT INTO users (user_ext_id, version, tier) VALUES (1, 1, 'gold'), (2, 2, 'tin'), (3, 3, NULL)"
        )
        database.commit()
    operator.sandbox.set_faults(["refuse-property=tier"])

    def configured(more=""):
        operator.configure(f"sqlite:///{replica}", VIEW % more)
        return operator

    return configured


def test_by_default_the_event_is_a_dead_letter_that_names_it(players):
    """And the exit code says that there are some."""
    operator = players()
    assert operator.sync("run", "--once").returncode == 6
    letters = json.loads(operator.sync("dead-letters", "list", "--json").stdout)
    assert [(letter["key"], letter["code"], letter["reason"]) for letter in letters] == [
        ("b,1", 2, "Property tier is unknown"),
        ("b,2", 2, "Property tier is unknown"),
    ]


def test_with_omit_only_the_property_is_left_out_and_told(players):
    """Everybody arrives; a retry of what was given up before does the same."""
    operator = players()
    operator.sync("run", "--once")
    operator = players(", on_refused_property: omit")
    assert "2 dead letters" in operator.sync("dead-letters", "retry", "--all").stdout
    done = operator.sync("run", "--once")
    assert done.returncode == 0, done.stderr
    assert "property_left_out" in done.stderr
    assert "tier" in done.stderr
    assert sorted((event["user_ext_id"], event["payload"].get("tier")) for event in operator.accepted()) == [
        ("1", None), ("2", None), ("3", None),
    ]  # fmt: skip
    assert {event["payload"]["core_account_status"] for event in operator.accepted()} == {"ACTIVE"}
