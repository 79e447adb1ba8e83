"""The whole way, from a real PostgreSQL to an API that checks types."""

from __future__ import annotations

import json
import time
from collections import Counter
from decimal import Decimal

import pytest

from smartico_sync.pii.decryption import decrypt
from smartico_sync.pii.keys import new_key, parse_key

USERS, DEPOSITS, BETS, WINS = 10_000, 5_000, 20_000, 8_000
SCHEMA = (
    f"""CREATE TABLE users AS SELECT 'b' || g % 2 AS ext_brand_id, g AS user_ext_id,
        now() - interval '1 day' + g * interval '1 millisecond' AS dt_update, 'ACTIVE' AS core_account_status,
        timestamptz '2020-01-01' AS core_registration_date, 'EN' AS core_user_language, 'EUR' AS core_wallet_currency,
        'p' || g || '@example.com' AS user_email, '+3569900' || g AS user_phone, 'First' AS user_first_name
        FROM generate_series(1, {USERS}) g""",
    "CREATE INDEX ON users (dt_update, ext_brand_id, user_ext_id)",
    f"""CREATE TABLE deposits AS SELECT g AS transaction_id, 'b' || g % 2 AS ext_brand_id, g % {USERS} + 1 AS user_ext_id,
        now() - interval '1 day' + g * interval '1 millisecond' AS dt_finalized,
        timestamptz '2026-01-01 12:00:00.123' AS transaction_date, (g / 100.0)::numeric(18,2) AS deposit_amount
        FROM generate_series(1, {DEPOSITS}) g""",
    "CREATE INDEX ON deposits (dt_finalized, transaction_id)",
    f"""CREATE TABLE casino AS SELECT g AS id, 'b' || g % 2 AS ext_brand_id, g % {USERS} + 1 AS user_ext_id,
        CASE WHEN g <= {BETS} THEN 'BET' ELSE 'WIN' END AS tx_type,
        'r' || CASE WHEN g <= {BETS} THEN g ELSE g - {BETS} END AS bet_id, timestamptz '2026-01-01' AS bet_date,
        1.10::numeric(20,4) AS bet_amount, CASE WHEN g > {BETS} THEN 12345678901234567.89::numeric(30,2) END AS win_amount,
        'Book' AS game_name, 'g1' AS game_id FROM generate_series(1, {BETS + WINS}) g""",
    "ALTER TABLE casino ADD PRIMARY KEY (id)",
)
VIEWS = """
  - {name: users, source: db, relation: users, kind: users, cursor: dt_update, every: 200ms}
  - {name: deposits, source: db, relation: deposits, kind: deposits, cursor: dt_finalized, key: transaction_id, every: 200ms}
  - name: casino
    source: db
    relation: casino
    kind: casino_bets_and_wins
    type: {column: tx_type, bet: BET, win: WIN}
    cursor: id
    key: bet_id
    every: 200ms
"""
EXPECTED = {"update_profile": USERS, "acc_deposit_approved": DEPOSITS, "casino_bet": BETS, "casino_win": WINS}


@pytest.fixture
def casino(postgresql, operator):
    """An operator whose views hold users, deposits, bets and wins."""
    postgresql.execute(*SCHEMA)
    operator.configure(postgresql.url, VIEWS)
    return operator


def test_a_first_run_delivers_every_row_once_and_later_runs_only_changes(casino, postgresql):
    """Exactly the rows arrive; a second run sends nothing; a touched row sends nothing; a changed one sends one event."""
    assert casino.sync("run", "--once").returncode == 0
    events = casino.accepted()
    assert Counter(event["event_type"] for event in events) == EXPECTED
    assert len({event["eid"] for event in events}) == len(events)
    profile = next(event for event in events if event["event_type"] == "update_profile")
    email = profile["payload"]["user_email"]
    number = profile["user_ext_id"]
    assert "example" not in casino.log.read_text()
    assert (
        decrypt(email, "user_email", {"1": parse_key(casino.key)}, (profile["ext_brand_id"], number))
        == f"p{number}@example.com"
    )
    with casino.log.open() as lines:
        wins = [json.loads(line, parse_float=Decimal) for line in lines if '"casino_win"' in line]
    assert {win["payload"]["casino_last_win_amount"] for win in wins} == {Decimal("12345678901234567.89")}

    assert casino.sync("run", "--once").returncode == 0
    postgresql.execute("UPDATE users SET dt_update = now() WHERE user_ext_id <= 100")
    assert casino.sync("run", "--once").returncode == 0
    assert len(casino.accepted()) == len(events)

    postgresql.execute("UPDATE users SET dt_update = now(), user_first_name = 'Second' WHERE user_ext_id <= 50")
    assert casino.sync("run", "--once").returncode == 0
    assert len(casino.accepted()) == len(events) + 50


def test_a_profile_that_changes_back_is_three_events_and_a_new_pii_key_is_none(operator, postgresql):
    """A→B→A is three events with three ids; rotating the PII key sends no profile again, and new values carry its id."""
    postgresql.execute(*SCHEMA[:2], "DELETE FROM users WHERE user_ext_id > 3")
    operator.configure(postgresql.url, VIEWS.partition("  - {name: deposits")[0])
    assert operator.sync("run", "--once").returncode == 0
    for name in ("Second", "First"):
        postgresql.execute(f"UPDATE users SET dt_update = now(), user_first_name = '{name}' WHERE user_ext_id = 1")
        assert operator.sync("run", "--once").returncode == 0
    first = [event for event in operator.accepted() if event["user_ext_id"] == "1"]
    assert [event["payload"]["user_first_name"] for event in first] == ["First", "Second", "First"]
    assert len({event["eid"] for event in first}) == 3

    key = new_key()
    operator.config.write_text(
        operator.config.read_text().replace(f"key: {operator.key}", f"key: {key}\n  key_id: next")
    )
    postgresql.execute("UPDATE users SET dt_update = now()")
    assert operator.sync("run", "--once").returncode == 0
    assert len(operator.accepted()) == 5
    postgresql.execute("UPDATE users SET dt_update = now(), user_email = 'new@example.com' WHERE user_ext_id = 2")
    assert operator.sync("run", "--once").returncode == 0
    last = operator.accepted()[-1]
    email, player = last["payload"]["user_email"], (last["ext_brand_id"], last["user_ext_id"])
    assert decrypt(email, "user_email", {"next": parse_key(key)}, player) == "new@example.com"


@pytest.mark.slow
def test_a_kill_at_any_moment_loses_nothing_and_repeats_only_the_same_ids(casino):
    """`kill -9` again and again: in the end every row has arrived, and the API has seen no second id for any of them."""
    for pause in (0.9, 1.0, 1.1, 1.2, 1.3):
        daemon = casino.start("run")
        time.sleep(pause)
        daemon.kill()
        daemon.wait()
    assert casino.sync("run", "--once").returncode == 0
    assert Counter(event["event_type"] for event in casino.accepted()) == EXPECTED


def test_rows_that_cannot_be_events_become_dead_letters_and_block_nothing(casino, postgresql):
    """NaN and a missing player are dead letters with the reason; everything else arrives; the exit code says so."""
    postgresql.execute(
        "UPDATE deposits SET deposit_amount = 'NaN' WHERE transaction_id = 7",
        "UPDATE deposits SET user_ext_id = NULL WHERE transaction_id = 8",
    )
    done = casino.sync("run", "--once")
    assert done.returncode == 6
    assert "Traceback" not in done.stderr
    counted = Counter(event["event_type"] for event in casino.accepted())
    assert counted == {**EXPECTED, "acc_deposit_approved": DEPOSITS - 2}


@pytest.mark.parametrize(
    ("damage", "code", "words"),
    [
        (("5432", "1"), 2, "port"),
        (("kind: deposits", "kind: deposit"), 2, "views.yaml"),
        (("relation: users", "relation: nobody"), 3, "nobody"),
        (("cursor: dt_finalized", "cursor: dt_final"), 3, "dt_final"),
    ],
)
def test_mistakes_are_explained_with_their_exit_code(casino, damage, code, words):
    """What is wrong is named, without a traceback, and the exit code is the one of the table."""
    text = casino.config.read_text()
    if damage[0] == "5432":
        text = text.replace("url: postgresql", "url: postgrsql")
        words = "postgrsql"
    casino.config.write_text(text.replace(*damage))
    done = casino.check()
    assert done.returncode == code
    assert words in done.stdout + done.stderr
    assert "Traceback" not in done.stderr


def test_check_says_which_index_is_missing(casino, postgresql):
    """A cursor without an index is told, with the statement that makes one."""
    postgresql.execute("DROP INDEX deposits_dt_finalized_transaction_id_idx")
    done = casino.check()
    assert done.returncode == 0
    assert "CREATE INDEX" in done.stdout
    assert "the connection does not leave this machine; it is in the clear" in done.stdout


def test_preview_shows_the_request_with_pii_protected(casino):
    """The exact body, for a few rows, and nothing is sent."""
    done = casino.sync("preview", "users", "--limit", "2")
    assert done.returncode == 0
    shown = json.loads(done.stdout)
    assert len(shown) == 2
    assert shown[0]["payload"]["user_email"].startswith("sc2.")
    assert casino.accepted() == []


def test_a_token_that_is_refused_ends_with_the_code_of_the_api(casino):
    """With `--once` and access denied nothing moves, and the exit code is 4."""
    casino.sandbox.set_faults(["denied"])
    done = casino.sync("run", "--once", timeout=120)
    assert done.returncode == 4
    casino.sandbox.set_faults([])
    assert casino.sync("run", "--once").returncode == 0
    assert Counter(event["event_type"] for event in casino.accepted()) == EXPECTED
