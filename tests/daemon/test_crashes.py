"""`kill -9`, again and again, on a real PostgreSQL that goes on being written to, with an API that fails in every way."""

from __future__ import annotations

import random
import threading
import time
from collections import Counter

import psycopg
import pytest

KILLS = 50
FAULTS = ["503:0.08", "429=1s:0.02", "reset-before:0.08", "reset-after:0.08", "garbage:0.05", "latency=30ms"]
VIEWS = """
  - {name: users, source: db, relation: users, kind: users, cursor: dt_update, every: 100ms, page_rows: 500}
  - {name: bets, source: db, relation: bets, kind: custom, event_type: bet, cursor: id, key: [id], event_date: at, \
every: 100ms, page_rows: 300}
"""
SCHEMA = (
    """CREATE TABLE users (ext_brand_id text DEFAULT 'b', user_ext_id bigint PRIMARY KEY, dt_update timestamptz,
        core_account_status text, level int)""",
    "CREATE INDEX ON users (dt_update, ext_brand_id, user_ext_id)",
    "CREATE TABLE bets (id bigserial PRIMARY KEY, ext_brand_id text, user_ext_id bigint, at timestamptz, number text)",
    "INSERT INTO users SELECT 'b', g, now(), 'ACTIVE', 0 FROM generate_series(1, 500) g",
)


def write(url, stopping):
    """Players who bet and change, in transactions of all lengths, until told to stop."""
    dice = random.Random(1)
    with psycopg.connect(url) as connection:
        while not stopping.wait(0.02):
            for _ in range(dice.randrange(1, 20)):
                player = dice.randrange(1, 501)
                connection.execute(
                    "INSERT INTO bets (ext_brand_id, user_ext_id, at, number) VALUES ('b', %s, clock_timestamp(), '')",
                    [player],
                )
            connection.execute("UPDATE bets SET number = id::text WHERE number = ''")
            connection.execute(
                "UPDATE users SET level = level + 1, dt_update = clock_timestamp() WHERE user_ext_id = %s", [player]
            )
            connection.commit() if dice.random() < 0.9 else connection.rollback()


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_fifty_kills_lose_nothing_and_double_nothing(operator, postgresql):
    """Whatever moment the daemon dies in and whatever the API answers: every bet arrives under one id, and every player's
    newest profile too."""
    postgresql.execute(*SCHEMA)
    operator.configure(postgresql.url, VIEWS, timeout="2s")
    operator.sandbox.set_faults(FAULTS)
    dice, stopping = random.Random(1), threading.Event()
    writer = threading.Thread(target=write, args=(postgresql.admin_url, stopping))
    writer.start()
    try:
        for _ in range(KILLS):
            daemon = operator.start("run")
            time.sleep(0.2 + dice.random() * 1.5)
            daemon.kill()
            daemon.wait()
    finally:
        stopping.set()
        writer.join()
    operator.sandbox.set_faults([])
    done = operator.sync("run", "--once", timeout=180)
    assert done.returncode == 0, done.stderr
    events = operator.accepted()
    bets = Counter(event["payload"]["number"] for event in events if event["event_type"] == "bet")
    assert set(bets) == {str(number) for (number,) in postgresql.execute("SELECT id FROM bets")}
    assert set(bets.values()) == {1}
    assert len({event["eid"] for event in events}) == len(events)
    newest = {
        event["user_ext_id"]: event["payload"]["level"] for event in events if event["event_type"] == "update_profile"
    }
    assert newest == {
        str(player): level for player, level in postgresql.execute("SELECT user_ext_id, level FROM users")
    }
    assert operator.sandbox.stats()["order_violations"] == 0
    assert operator.sync("reconcile").returncode == 0
