"""Profiles of several tables: what changes beside the cursor is found by the sweep, on a real PostgreSQL."""

from __future__ import annotations

import time

import pytest

from waiting import until

TABLES = (
    """CREATE TABLE players (user_ext_id bigint PRIMARY KEY, ext_brand_id text DEFAULT 'b', core_username text,
        dt_update timestamptz)""",
    "CREATE TABLE wallets (player bigint PRIMARY KEY, tier text)",
    "INSERT INTO players SELECT g, 'b', 'p' || g, timestamptz '2026-01-01Z' + g * interval '1 minute' FROM generate_series(1, 50) g",
    "INSERT INTO wallets SELECT g, 'silver' FROM generate_series(1, 50) g",
    """CREATE VIEW profiles AS SELECT p.*, w.tier AS core_custom_prop1
        FROM players p LEFT JOIN wallets w ON w.player = p.user_ext_id""",
)
VIEW = "  - {name: players, source: db, relation: %s, kind: users, cursor: dt_update, every: 50ms%s}\n"


@pytest.fixture
def at_work(operator, postgresql):
    """A daemon over fifty delivered profiles."""
    postgresql.execute(*TABLES)
    daemons = []

    def begun(relation, more):
        operator.configure(postgresql.url, VIEW % (relation, more))
        daemons.append(operator.start("run"))
        until(lambda: len(operator.accepted()) >= 50)
        return operator

    yield begun
    for daemon in daemons:
        daemon.terminate()
        daemon.wait(20)


def tiers(operator):
    return {
        int(event["user_ext_id"]): event["payload"]["core_custom_prop1"]
        for event in operator.accepted()
        if "core_custom_prop1" in event["payload"]
    }


def test_what_changes_in_another_table_alone_is_sent(at_work, postgresql):
    """A wallet changes and moves no cursor: the sweep sends that profile again, and no other."""
    operator = at_work("profiles", ", sweep: 1s")
    postgresql.execute("UPDATE wallets SET tier = 'gold' WHERE player = 7")
    until(lambda: tiers(operator)[7] == "gold")
    time.sleep(1)
    assert len(operator.accepted()) == 51


@pytest.mark.slow
def test_a_sweep_can_be_switched_off(at_work, postgresql):
    """With `sweep: off` nothing is read again."""
    operator = at_work("profiles", ", sweep: off")
    postgresql.execute("UPDATE wallets SET tier = 'gold' WHERE player = 7")
    time.sleep(3)
    assert len(operator.accepted()) == 50
    assert "`sweep`" not in operator.check().stdout


def test_check_names_the_sweep(operator, postgresql):
    """A profile of several tables is told, with what finds its quiet changes."""
    postgresql.execute(*TABLES)
    operator.configure(postgresql.url, VIEW % ("profiles", ""))
    said = operator.check().stdout
    assert (
        "✓ view players: public.profiles joins tables: what changes in the other table alone does not move the cursor"
        in said
    )
    assert "`sweep` finds and sends changed profiles" in said
