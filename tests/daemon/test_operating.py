"""What an operator does at three in the morning, with the real commands, on a real PostgreSQL, beside a running daemon."""

from __future__ import annotations

import json
import socket
import time
from pathlib import Path

import pytest

from daemon.test_tracking import DEPOSITS, VIEW, insert
from waiting import until


@pytest.fixture
def night(operator, postgresql):
    """A daemon at work over five thousand deposits of the last hours, the oldest first."""
    postgresql.execute(
        *DEPOSITS,
        "INSERT INTO deposits (transaction_id, dt_finalized) SELECT g, now() - interval '6 hours' + g * interval '3 seconds' "
        "FROM generate_series(1, 5000) g",
    )
    operator.configure(postgresql.url, f"  - {VIEW % ', late_commit: lookback, lookback: 1s'}\n")
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    operator.config.write_text(operator.config.read_text().replace("listen: off", f"listen: 127.0.0.1:{port}"))
    daemon = operator.start("run")
    until(lambda: len(operator.accepted()) >= 5000)
    yield operator
    daemon.terminate()
    daemon.wait()


def test_a_row_that_nobody_saw_is_found_and_sent(night, postgresql):
    """A row that appears far below the watermark is listed by its key, sent on request by the running daemon, and then
    all adds up."""
    done = night.sync("reconcile")
    assert done.returncode == 0, done.stdout + done.stderr
    assert "all acknowledged" in done.stdout
    insert(postgresql, 7_001, 7_002, at="now() - interval '4 hours'")
    done = night.sync("reconcile", "--view", "deposits")
    assert done.returncode == 6
    assert "missing: 7001" in done.stdout
    assert "2 never acknowledged" in done.stdout
    listed = json.loads(night.sync("reconcile", "--json").stdout)
    assert [position["key"] for position in listed[0]["compared"]["missing"]] == [["7001"], ["7002"]]
    done = night.sync("reconcile", "--send")
    assert done.returncode == 0
    until(lambda: len(night.accepted()) == 5002)
    until(lambda: night.sync("reconcile").returncode == 0)


def test_deleted_rows_are_told_apart_from_missing_ones(night, postgresql):
    """Rows that left the source are counted as gone and named as nothing to send."""
    postgresql.execute("DELETE FROM deposits WHERE transaction_id IN (10, 11, 12)")
    done = night.sync("reconcile")
    assert done.returncode == 0
    told = [
        bucket
        for each in json.loads(night.sync("reconcile", "--json").stdout)
        for bucket in each["compared"]["differing"]
    ]
    assert (sum(bucket["missing"] for bucket in told), sum(bucket["extra"] for bucket in told)) == (0, 3)
    assert "gone from the source" in done.stdout


def test_a_view_is_put_back_while_the_daemon_runs(night, postgresql):
    """After a rewind the rows go again with the same ids, which count once; `--new-ids` makes them new ones."""
    moment = postgresql.execute(
        "SELECT to_char(dt_finalized AT TIME ZONE 'UTC', 'YYYY-MM-DD\"T\"HH24:MI:SS') FROM deposits WHERE transaction_id = 4000"
    )[0][0]
    done = night.sync("watermark", "rewind", "deposits", "--to", moment)
    assert done.returncode == 0, done.stderr
    until(lambda: night.sandbox.stats()["duplicates"] >= 1000)
    time.sleep(0.5)
    assert len(night.accepted()) == 5000
    assert night.sync("reconcile").returncode == 0
    done = night.sync("watermark", "rewind", "deposits", "--to", "first", "--new-ids", "--yes")
    assert done.returncode == 0, done.stderr
    until(lambda: len(night.accepted()) == 10_000)
    shown = json.loads(night.sync("watermark", "show", "deposits", "--json").stdout)
    assert shown[0]["generation"] == 1
    traced = json.loads(night.sync("trace", "deposits", "4000", "--json").stdout)["rows"][0]["eid"]
    assert (
        traced
        == [event for event in night.accepted() if event["payload"]["acc_last_transaction_id"] == "4000"][-1]["eid"]
    )


def test_the_state_is_copied_while_the_daemon_runs_and_an_old_copy_is_safe(night, postgresql, tmp_path):
    """Going back to an old copy sends again what came since, under the same ids; nothing is missing and nothing doubled."""
    copy = tmp_path / "copy.db"
    assert night.sync("state", "backup", str(copy)).returncode == 0
    assert Path(f"{copy}.key").exists()
    insert(postgresql, *range(6000, 6100))
    until(lambda: len(night.accepted()) == 5100)
    refused = night.sync("state", "restore", str(copy))
    assert refused.returncode == 5
    assert "in use" in refused.stderr


def test_an_old_copy_is_put_back(night, postgresql, tmp_path):
    """With the daemon stopped the copy takes the state's place; the next run sends the rest again, with the same ids."""
    copy = tmp_path / "copy.db"
    assert night.sync("state", "backup", str(copy)).returncode == 0
    insert(postgresql, *range(6000, 6100))
    until(lambda: len(night.accepted()) == 5100)
    night.running.terminate()
    night.running.wait()
    done = night.sync("state", "restore", str(copy))
    assert done.returncode == 0, done.stderr
    assert "what was there is now" in done.stdout
    assert "sent again under the same event ids, and counts once" in done.stdout
    assert "deposits: goes on after " in done.stdout
    assert "(it was at " in done.stdout
    assert night.sync("run", "--once").returncode == 0
    assert len(night.accepted()) == 5100
    assert night.sandbox.stats()["duplicates"] == 100
    assert night.sync("reconcile").returncode == 0


def test_dead_letters_are_listed_retried_and_dropped(night, postgresql):
    """A row that was given up is named with its reason; once mended it is tried again, or let go."""
    postgresql.execute("ALTER TABLE deposits ALTER deposit_amount TYPE text")
    postgresql.execute("ALTER TABLE deposits ALTER deposit_amount SET DEFAULT 'much'")
    insert(postgresql, 8001, 8002)
    until(lambda: "8002" in night.sync("dead-letters", "list").stdout)
    listed = json.loads(night.sync("dead-letters", "list", "--json").stdout)
    assert {each["key"] for each in listed} == {"8001", "8002"}
    assert "not a number" in listed[0]["reason"]
    assert "given up: column deposit_amount" in night.sync("trace", "deposits", "8001").stdout
    sent = len(night.accepted())
    postgresql.execute("UPDATE deposits SET deposit_amount = '5' WHERE transaction_id = 8001")
    assert "1 dead letter is tried again" in night.sync("dead-letters", "retry", "--key", "8001").stdout
    until(lambda: len(night.accepted()) == sent + 1)
    assert night.sync("dead-letters", "drop").returncode == 2
    assert "1 dead letter is dropped" in night.sync("dead-letters", "drop", "--view", "deposits", "--yes").stdout
    assert "no dead letters" in night.sync("dead-letters", "list").stdout
    counts = json.loads(night.sync("watermark", "show", "--json").stdout)[0]["counts"]
    assert counts.pop("read") == sum(counts.values())
    assert counts["dropped"] == 1


def test_status_and_trace_answer_the_first_questions(night):
    """Whether it delivers, how far it is, and what became of one row."""
    until(lambda: night.sync("status").returncode == 0)
    assert "deposits" in night.sync("status").stdout
    assert json.loads(night.sync("status", "--json").stdout)["views"][0]["state"] == "live"
    traced = json.loads(night.sync("trace", "deposits", "77", "--json").stdout)
    assert traced["rows"][0]["acknowledged"]
    (event,) = [event for event in night.accepted() if event["payload"]["acc_last_transaction_id"] == "77"]
    assert traced["rows"][0]["eid"] == event["eid"]
    assert "no such row" in night.sync("trace", "deposits", "123456").stdout


def test_a_comparison_on_a_schedule_sends_what_is_missing(operator, postgresql):
    """With `reconcile: {every: …, send: send}` a row that nobody saw arrives by itself."""
    postgresql.execute(*DEPOSITS)
    insert(postgresql, 1, at="now() - interval '3 hours'")
    insert(postgresql, 2, at="now() - interval '1 hour'")
    operator.configure(postgresql.url, f"  - {VIEW % ', late_commit: lookback, lookback: 1s'}\n")
    operator.config.write_text("reconcile: {every: 1s, send: send}\n" + operator.config.read_text())
    daemon = operator.start("run")
    until(lambda: len(operator.accepted()) == 2)
    insert(postgresql, 3, at="now() - interval '2 hours'")
    until(lambda: len(operator.accepted()) == 3)
    daemon.terminate()
    assert daemon.wait() == 0
