"""No command calls a row acknowledged, or ends with 0, of which nobody knows what became of it."""

from __future__ import annotations

import json
import sqlite3

import pytest

from waiting import until

DEPOSITS = """
CREATE TABLE deposits (dt TIMESTAMP, id INTEGER, transaction_id TEXT PRIMARY KEY, ext_brand_id TEXT DEFAULT 'b', user_ext_id TEXT DEFAULT 'u',
 transaction_date TIMESTAMP DEFAULT '2026-01-01 00:00:00', deposit_amount TEXT DEFAULT 1);
CREATE INDEX deposits_dt ON deposits (dt, transaction_id);
CREATE INDEX deposits_id ON deposits (id, transaction_id);
"""
PLAYERS = """
CREATE TABLE players (dt TIMESTAMP, user_ext_id TEXT PRIMARY KEY, ext_brand_id TEXT DEFAULT 'b', core_account_status TEXT DEFAULT 'ACTIVE',
 core_registration_date TIMESTAMP DEFAULT '2025-01-01 00:00:00');
"""
BY_TIME = "  - {name: deposits, source: db, relation: deposits, kind: deposits, cursor: dt}\n"
BY_ID = "  - {name: deposits, source: db, relation: deposits, kind: deposits, cursor: id, late_commit: lookback, lookback: 1ms, every: 200ms}\n"


@pytest.fixture
def replica(operator):
    """Statements on a SQLite replica, and a configuration of these views over it."""

    def made(script, views):
        connection = sqlite3.connect(operator.home / "replica.db", isolation_level=None)
        connection.executescript(script)
        operator.configure(f"sqlite:///{operator.home}/replica.db", views)
        return connection.execute

    return made


def test_rows_without_a_cursor_are_told_by_the_run_and_the_comparison(operator, replica):
    """A row that has no place in the order is in no page, and is named all the same."""
    execute = replica(DEPOSITS, BY_TIME)
    execute(
        "INSERT INTO deposits (dt, transaction_id) VALUES ('2026-01-03 10:00:00', 'a'), ('2026-01-04 10:00:00', 'b'), (NULL, 'n')"
    )
    done = operator.sync("run", "--once")
    assert done.returncode == 0
    assert "1 rows have a NULL dt or key and are never sent" in done.stderr
    assert "1 rows have a NULL dt or key and are never sent" in operator.sync("reconcile").stdout


def test_rows_that_were_given_up_are_not_called_acknowledged(operator, replica):
    """Dead letters are accounted for, and so are those that were dropped; neither was accepted."""
    execute = replica(DEPOSITS, BY_TIME)
    execute(
        "INSERT INTO deposits (dt, transaction_id, deposit_amount) VALUES ('2026-01-03 10:00:00', 'a', 1), "
        "('2026-01-03 10:00:01', 'b', 'much'), ('2026-01-03 10:00:02', 'c', 1)"
    )
    assert operator.sync("run", "--once").returncode == 6
    for word, command in (("1 dead letters", "list"), ("1 dropped by hand", "drop")):
        done = operator.sync("dead-letters", command, *(["--all", "--yes"] if command == "drop" else []))
        assert done.returncode == 0, done.stderr
        told, traced = operator.sync("reconcile").stdout, operator.sync("trace", "deposits", "b").stdout
        assert "all accounted for" in told
        assert "acknowledged" not in told
        assert word in told
        assert "read, and not accepted" in traced if command == "list" else "given up and dropped by hand" in traced


@pytest.fixture(params=["rewind", "backfill"])
def again(request, operator, replica):
    """Three deposits, to be sent, and sent again, by this door; returns the exit code. `execute` changes the source."""

    def sent():
        if request.param == "backfill":
            return operator.sync("backfill", "deposits", "--from", "first").returncode
        if counts(operator)[0]:
            assert operator.sync("watermark", "rewind", "deposits", "--to", "first").returncode == 0
        return operator.sync("run", "--once").returncode

    view = BY_ID if request.param == "rewind" else BY_ID.replace("cursor: id", "cursor: id, start_from: now")
    sent.execute = replica(DEPOSITS, view)
    sent.execute("INSERT INTO deposits (id, transaction_id) VALUES (1, 'a'), (2, 'b'), (3, 'c')")
    if request.param == "backfill":
        assert operator.sync("run", "--once").returncode == 0
    return sent


def counts(operator):
    """What the state says became of the rows, and the dead letters that it holds."""
    shown = json.loads(operator.sync("watermark", "show", "--json").stdout or "[{}]")[0].get("counts")
    return shown, json.loads(operator.sync("dead-letters", "list", "--json").stdout or "[]")


@pytest.mark.slow
def test_what_was_given_up_and_is_read_again_is_what_becomes_of_it_now(operator, again):
    """Refused again it is one dead letter, as before; accepted it is none, and no surface says that it was given up."""
    again.execute("UPDATE deposits SET deposit_amount = 'much' WHERE transaction_id = 'b'")
    assert again() == 6
    before = counts(operator)[1]
    assert again() == 6
    told, listed = counts(operator)
    assert [each["id"] for each in listed] == [before[0]["id"]]
    assert (told["read"], told["delivered"], told["dead_lettered"], told["duplicate"]) == (5, 2, 1, 2)
    again.execute("UPDATE deposits SET deposit_amount = '7' WHERE transaction_id = 'b'")
    assert again() == 0
    told, listed = counts(operator)
    assert listed == []
    assert (told["read"], told["delivered"], told["dead_lettered"], told["duplicate"]) == (7, 3, 0, 4)
    traced = operator.sync("trace", "deposits", "b").stdout
    assert "given up" not in traced
    assert "not accepted" not in traced
    assert json.loads(operator.sync("status", "--json").stdout)["views"][0]["dead"] == {}


@pytest.mark.slow
def test_rows_that_wait_and_are_read_again_wait_as_before(operator, again):
    """Each of them once, for the reason that it had, and in its order."""
    operator.sandbox.set_faults(["unknown-users"])
    again()
    waits = {"read": 3, "parked": 3}
    assert counts(operator)[0] == waits
    again()
    told = json.loads(operator.sync("status", "--json").stdout)["views"][0]["parked"]
    assert (counts(operator)[0], sum(told.values())) == (waits, 3)
    assert "10001" in told
    operator.sandbox.set_faults([])
    until(lambda: operator.sync("run", "--once").returncode == 0 and len(operator.accepted()) == 3)
    assert [each["payload"]["acc_last_transaction_id"] for each in operator.accepted()] == ["a", "b", "c"]
    assert counts(operator)[0]["parked"] == 0


def test_a_missing_row_that_is_also_found_late_is_counted_once(operator, replica):
    """Asked for by a comparison, and in the window that the next poll looks at: neither says later that a row is gone."""
    execute = replica(DEPOSITS, BY_ID.replace("lookback: 1ms", "lookback: 1h"))
    execute("INSERT INTO deposits (id, transaction_id) VALUES (1, 'a'), (3, 'c')")
    assert operator.sync("run", "--once").returncode == 0
    execute("INSERT INTO deposits (id, transaction_id) VALUES (2, 'b')")
    assert "1 rows are queued" in operator.sync("reconcile", "--from", "0", "--send").stdout
    assert operator.sync("run", "--once").returncode == 0
    assert [each["payload"]["acc_last_transaction_id"] for each in operator.accepted()] == ["a", "c", "b"]
    done = operator.sync("reconcile", "--from", "0")
    assert "all acknowledged" in done.stdout, done.stdout


def test_a_profile_that_changed_quietly_is_not_called_acknowledged(operator, replica):
    """What changed without moving its cursor is found by the comparison and by trace, and sent on request."""
    execute = replica(PLAYERS, "  - {name: players, source: db, relation: players, kind: users, cursor: dt}\n")
    execute(
        "INSERT INTO players (dt, user_ext_id) VALUES ('2026-01-03 10:00:00', 'p'), ('2026-01-03 11:00:00', 'q'), ('2026-01-03 12:00:00', 'r')"
    )
    assert operator.sync("run", "--once").returncode == 0
    assert operator.sync("reconcile").returncode == operator.sync("trace", "players", "b", "q").returncode == 0
    execute("UPDATE players SET core_account_status = 'BLOCKED' WHERE user_ext_id = 'q'")
    done, traced = operator.sync("reconcile"), operator.sync("trace", "players", "b", "q")
    assert done.returncode == traced.returncode == 6
    assert "1 profiles hold something else than was sent" in done.stdout
    assert "changed: b, q" in done.stdout
    assert "it holds something else now" in traced.stdout
    assert operator.sync("reconcile", "--send").returncode == 0
    assert operator.sync("run", "--once").returncode == 0
    assert operator.accepted()[-1]["payload"]["core_account_status"] == "BLOCKED"
    assert operator.sync("reconcile").returncode == operator.sync("trace", "players", "b", "q").returncode == 0


def test_an_id_below_the_first_one_is_compared_too(operator, replica):
    """The comparison begins where the source does, not where the ledger does."""
    execute = replica(DEPOSITS, BY_ID)
    execute("INSERT INTO deposits (id, transaction_id) VALUES (10, 'a'), (11, 'b'), (12, 'c')")
    daemon = operator.start("run")
    until(lambda: "all acknowledged" in operator.sync("reconcile").stdout)
    daemon.terminate()
    daemon.wait()
    execute("INSERT INTO deposits (id, transaction_id) VALUES (5, 'low')")
    done, traced = operator.sync("reconcile"), operator.sync("trace", "deposits", "low")
    assert done.returncode == traced.returncode == 6, done.stdout
    assert "missing: low at 5" in done.stdout
    assert "not acknowledged" in traced.stdout


@pytest.mark.parametrize(("cursor", "value"), [("dt", "'2026-01-03 10:00:00'"), ("id", "100")])
def test_a_late_row_at_the_watermarks_own_value_is_not_called_acknowledged(operator, replica, cursor, value):
    """Where nothing newer comes, the last value is compared like all below it."""
    execute = replica(DEPOSITS, BY_TIME if cursor == "dt" else BY_ID)
    insert = f"INSERT INTO deposits ({cursor}, transaction_id) VALUES ({value}, '%s')"
    execute(insert % "m")
    assert operator.sync("run", "--once").returncode == 0
    assert "1 rows from" in operator.sync("reconcile").stdout
    execute(insert % "a")
    done = operator.sync("reconcile")
    assert done.returncode == 6
    assert "missing: a at" in done.stdout


def test_another_row_in_the_very_place_of_an_acknowledged_one_is_not_called_acknowledged(operator, replica):
    """Two rows with one time and one key are never both acknowledged, whatever the ledger says of the key."""
    execute = replica(DEPOSITS.replace("transaction_id TEXT PRIMARY KEY", "transaction_id TEXT"), BY_TIME)
    execute(
        "INSERT INTO deposits (dt, transaction_id) VALUES ('2026-01-03 10:00:00', 'a'), ('2026-01-03 10:00:01', 'b')"
    )
    assert operator.sync("run", "--once").returncode == 0
    execute("INSERT INTO deposits (dt, transaction_id) VALUES ('2026-01-03 10:00:00', 'a')")
    assert "all acknowledged" in operator.sync("reconcile").stdout, "a copy is no other row"
    execute("INSERT INTO deposits (dt, transaction_id, deposit_amount) VALUES ('2026-01-03 10:00:00', 'a', 99)")
    done = operator.sync("reconcile")
    assert done.returncode == 6, done.stdout
    assert "missing: a at 2026-01-03 10:00:00" in done.stdout
    assert operator.sync("reconcile", "--send").returncode == 0
    run = operator.sync("run", "--once")
    assert run.returncode == 2
    assert "the key is not unique" in run.stderr


def test_rows_that_a_view_does_not_read_are_not_accounted_for(operator, replica):
    """Behind the head of a view that stopped, or that nobody polls, the comparison counts what is left, and does not end with 0."""
    execute = replica(DEPOSITS.replace("transaction_id TEXT PRIMARY KEY", "transaction_id TEXT"), BY_TIME)
    row = "INSERT INTO deposits (dt, transaction_id, deposit_amount) VALUES ('2026-01-03 10:00:%02d', '%s', %d)"
    execute(row % (0, "a", 1))
    told = operator.sync("reconcile")
    assert told.returncode == 5, "there is no state yet"
    execute(row % (1, "a", 2))
    assert operator.sync("run", "--once").returncode == 2
    told = operator.sync("reconcile")
    assert told.returncode == 6, told.stdout
    assert "2 rows are not read yet" in told.stdout
    execute("DELETE FROM deposits WHERE deposit_amount = 2")
    assert operator.sync("run", "--once").returncode == 0
    assert operator.sync("reconcile").returncode == 0
    execute(row % (2, "b", 3))
    execute(row % (0, "A", 4))
    told = operator.sync("reconcile")
    assert told.returncode == 6
    assert "1 rows are not read yet" in told.stdout
    assert "missing: A at" in told.stdout
    assert json.loads(operator.sync("reconcile", "--json").stdout)[0]["unread"] == 1


def test_what_is_only_counted_is_not_called_acknowledged(operator, replica):
    """Of rows whose keys nobody compared the comparison says that there are as many as were acknowledged."""
    execute = replica(DEPOSITS, BY_TIME)
    rows = ", ".join(f"('2026-01-03 {hour:02}:00:00', 't{hour}')" for hour in range(12))
    execute(f"INSERT INTO deposits (dt, transaction_id) VALUES {rows}")
    assert operator.sync("run", "--once").returncode == 0
    told = operator.sync("reconcile", "--counts").stdout
    assert "by count alone: as many as were acknowledged" in told
    assert "by count alone" not in operator.sync("reconcile").stdout
    counted = json.loads(operator.sync("reconcile", "--counts", "--json").stdout)[0]["compared"]["counted"]
    assert counted == 8


@pytest.mark.slow
@pytest.mark.parametrize("made_by", ["utf8mb3_unicode_ci", "utf8mb4_unicode_ci"])
def test_keys_that_a_view_puts_together_are_all_sent(operator, mariadb, made_by):
    """Whatever the collation of the client that made the view: of two charsets rows were left out, of one the view stood still."""
    keys = ["10_1", "1_2", "1_3", "11_4", "12_5"]
    mariadb.execute(
        "CREATE TABLE payments (id int, brand int)",
        "INSERT INTO payments VALUES " + ", ".join(f"({key.partition('_')[2]}, {key.partition('_')[0]})" for key in keys),
        f"SET NAMES {made_by.partition('_')[0]} COLLATE {made_by}",
        "CREATE VIEW deposits AS SELECT CONCAT(brand, '_', id) AS transaction_id, CAST('2026-01-03 10:00:00' AS datetime(6)) AS dt,"
        " 'b' AS ext_brand_id, 'u' AS user_ext_id, CAST('2026-01-01' AS datetime) AS transaction_date, 1 AS deposit_amount FROM payments",
    )  # fmt: skip
    operator.configure(mariadb.url, BY_TIME.replace("}", ", page_rows: 1}"))
    assert operator.sync("run", "--once").returncode == 0
    assert sorted(event["payload"]["acc_last_transaction_id"] for event in operator.accepted()) == sorted(keys)
    assert operator.sync("reconcile").returncode == 0


def test_keys_that_a_collation_takes_for_equal_are_all_sent(operator, mariadb):
    """No row hides behind the end of a page because the database tells no letter case and no trailing blanks."""
    mariadb.execute(
        "CREATE TABLE deposits (dt datetime(6), transaction_id varchar(40) COLLATE utf8mb4_general_ci, ext_brand_id varchar(9)"
        " DEFAULT 'b', user_ext_id varchar(9) DEFAULT 'u', transaction_date datetime DEFAULT '2026-01-01', deposit_amount int DEFAULT 1)",
        "CREATE INDEX deposits_dt ON deposits (dt, transaction_id)",
        "INSERT INTO deposits (dt, transaction_id) VALUES "
        + ", ".join(f"('2026-01-03 10:00:00', '{key}')" for key in ("abc", "ABC", "Abc", "abc ", "abd")),
    )
    operator.configure(mariadb.url, BY_TIME.replace("}", ", page_rows: 2}"))
    assert operator.sync("run", "--once").returncode == 0
    sent = sorted(event["payload"]["acc_last_transaction_id"] for event in operator.accepted())
    assert sent == ["ABC", "Abc", "abc", "abc ", "abd"]


def test_a_row_that_is_left_out_is_told_as_that(operator, replica):
    """Of a row that `where:` leaves out `trace` says that it was read and not sent, and why; it is accounted for."""
    execute = replica(DEPOSITS, BY_TIME.replace("cursor: dt", "cursor: dt, where: {user_ext_id: somebody}"))
    execute("INSERT INTO deposits (dt, transaction_id) VALUES ('2026-01-03 10:00:00', 'a')")
    assert operator.sync("run", "--once").returncode == 0
    done = operator.sync("trace", "deposits", "a")
    assert done.returncode == 0, done.stderr
    assert "read, and not sent: it is left out by `where:`" in done.stdout
