"""History on request, with the real command, on a real PostgreSQL."""

from __future__ import annotations

import json
import signal
import threading
import time
from contextlib import ExitStack

import pytest

from daemon.test_tracking import DEPOSITS, VIEW, insert
from smartico_sync.config.load import load
from smartico_sync.daemon.wiring import assemble
from smartico_sync.tracking.backfill import Backfills
from waiting import until

USERS = (
    """CREATE TABLE players (user_ext_id bigint PRIMARY KEY, ext_brand_id text DEFAULT 'b', core_username text,
        dt_update timestamptz)""",
    "CREATE INDEX ON players (dt_update, user_ext_id)",
)
PROFILES = "{name: players, source: db, relation: players, kind: users, cursor: dt_update, every: 50ms, settle: 0s%s}"


@pytest.fixture
def tail(operator, postgresql):
    """A view over 3,000 deposits of which only what comes from now on is delivered."""
    postgresql.execute(
        *DEPOSITS,
        "INSERT INTO deposits (transaction_id, dt_finalized) SELECT g, timestamptz '2026-01-01Z' + g * interval '1 minute' "
        "FROM generate_series(1, 3000) g",
    )
    operator.configure(postgresql.url, f"  - {VIEW % ', start_from: now'}\n")
    assert operator.sync("run", "--once").returncode == 0
    assert operator.accepted() == []
    return operator


def ids(operator):
    return sorted(int(event["payload"]["acc_last_transaction_id"]) for event in operator.accepted())


def listed(operator):
    return json.loads(operator.sync("backfill", "--list", "--json").stdout)


def head(operator):
    """How far the view has come."""
    return json.loads(operator.sync("watermark", "show", "--json").stdout)[0]["head"]


def test_history_is_sent_beside_a_running_daemon_and_the_watermark_stays(tail, postgresql):
    """The daemon sends what lies between the two ends, each row once, while live rows go on; then the state says done."""
    daemon = tail.start("run")
    try:
        insert(postgresql, 9001)
        until(lambda: ids(tail) == [9001])
        until(lambda: head(tail).endswith("/ 9001"))
        stood = head(tail)
        done = tail.sync(
            "backfill", "deposits", "--from", "2026-01-01T10:00:00", "--to", "2026-01-02T10:00:00", "--rate", "4000"
        )
        assert done.returncode == 0, done.stderr
        assert "1,441 rows" in done.stdout
        assert "the running daemon sends it" in done.stdout
        until(lambda: listed(tail)[0]["state"] == "done")
        assert ids(tail) == [*range(600, 2041), 9001]
        assert head(tail) == stood
        insert(postgresql, 9002)
        until(lambda: ids(tail)[-1] == 9002)
        assert listed(tail)[0]["done"] == 1441
    finally:
        daemon.terminate()
        daemon.wait()


@pytest.mark.slow
def test_without_a_daemon_it_is_done_here_and_goes_on_after_a_kill(tail):
    """A backfill that is killed goes on where it was, by --resume; every row arrives, and under the same event id."""
    running = tail.start("backfill", "deposits", "--from", "2026-01-01T00:00:00", "--rate", "2000")
    until(lambda: len(ids(tail)) >= 900)
    running.kill()
    running.wait()
    assert listed(tail)[0]["state"] == "open"
    done = tail.sync("backfill", "--resume")
    assert done.returncode == 0, done.stderr
    assert "done at" in done.stdout
    assert ids(tail) == list(range(1, 3001))
    eids = [event["eid"] for event in tail.accepted()]
    assert len(eids) == len(set(eids))


@pytest.mark.slow
def test_the_next_daemon_goes_on_with_what_was_interrupted(tail):
    """Ctrl-C leaves a backfill open, and `smartico-sync run` takes it up."""
    running = tail.start("backfill", "deposits", "--from", "2026-01-01T00:00:00", "--rate", "1000")
    until(lambda: len(ids(tail)) >= 500)
    running.send_signal(signal.SIGINT)
    assert running.wait() == 0
    assert len(ids(tail)) < 3000
    daemon = tail.start("run")
    try:
        until(lambda: ids(tail) == list(range(1, 3001)))
    finally:
        daemon.terminate()
        daemon.wait()


@pytest.mark.slow
def test_the_rate_is_kept(tail):
    """No more events a second than asked for, so 600 at 200 a second take at least two."""
    began = time.monotonic()
    done = tail.sync(
        "backfill", "deposits", "--from", "2026-01-01T00:00:00", "--to", "2026-01-01T10:00:00", "--rate", "200"
    )
    assert done.returncode == 0, done.stderr
    assert len(ids(tail)) == 600
    assert time.monotonic() - began >= 2.0


@pytest.mark.slow
def test_the_ledger_counts_each_row_once(tail, postgresql):
    """What was delivered and is sent again stays counted once, and a comparison of all of it finds nothing (its end, the watermark, is excluded)."""
    for _ in range(2):
        assert tail.sync("backfill", "deposits", "--from", "2026-01-01T00:00:00", "--rate", "9000").returncode == 0
    assert tail.sandbox.stats()["duplicates"] == 3000
    told = json.loads(tail.sync("reconcile", "--from", "2026-01-01T00:00:00", "--json").stdout)[0]["compared"]
    assert (told["source"], told["ledger"], told["differing"]) == (2999, 2999, [])


def test_what_cannot_be_backfilled_is_told(tail):
    """A view nobody knows, a cursor that is none, a stretch that is empty or still ahead, an id that is not open."""
    for arguments, told in (
        (("players", "--from", "2026-01-01T00:00:00"), "has no view players"),
        (("deposits", "--from", "yesterday"), "'yesterday' is no cursor"),
        (("deposits", "--from", "2030-01-01T00:00:00"), "no rows there"),
        (("deposits", "--from", "first", "--to", "2025-01-01T00:00:00"), "no rows there"),
        (("deposits",), "--from is missing"),
        ((), "no view is named"),
        (("--cancel", "7"), "no open backfill 7"),
    ):
        done = tail.sync("backfill", *arguments)
        assert done.returncode == 2, (arguments, done.stdout)
        assert told in done.stderr
        assert "next: " in done.stderr


@pytest.mark.slow
def test_the_same_backfill_is_added_once(tail):
    """As long as it is open, also without `--to`; another part of the history is another one."""
    daemon = tail.start("run")
    try:
        words = ("backfill", "deposits", "--from", "2026-01-01T10:00:00", "--rate", "1")
        until(lambda: tail.sync("reload").returncode == 0)
        assert tail.sync(*words).returncode == 0
        again = tail.sync(*words)
        assert again.returncode == 0, again.stderr
        assert "backfill 1 of deposits does that already" in again.stdout
        assert tail.sync(*words, "--to", "2026-01-01T11:00:00").returncode == 0
        assert [each["id"] for each in listed(tail)] == [1, 2]
    finally:
        daemon.terminate()
        assert daemon.wait() == 0


@pytest.mark.slow
def test_a_backfill_is_cancelled_where_it_is(tail):
    """Cancelled in the running daemon, it sends nothing more."""
    daemon = tail.start("run")
    try:
        until((tail.home / "state/sync.db.sock").exists)
        assert tail.sync("backfill", "deposits", "--from", "2026-01-01T00:00:00", "--rate", "200").returncode == 0
        until(lambda: len(ids(tail)) >= 100)
        assert "is cancelled" in tail.sync("backfill", "--cancel", "1").stdout
        time.sleep(1)
        sent = len(ids(tail))
        time.sleep(1)
        assert len(ids(tail)) == sent < 3000
        assert listed(tail)[0]["state"] == "cancelled"
    finally:
        daemon.terminate()
        daemon.wait()


def test_refusals_end_the_backfill_and_not_the_view(tail, postgresql):
    """History that is refused as a whole is a mistake in the view, and ends there; what is live goes on."""
    postgresql.execute("UPDATE deposits SET deposit_amount = NULL, user_ext_id = NULL")
    done = tail.sync("backfill", "deposits", "--from", "2026-01-01T00:00:00", "--rate", "9000")
    assert done.returncode == 4
    assert "failed at" in done.stdout
    assert "rows are refused" in done.stdout
    insert(postgresql, 9001)
    assert tail.sync("run", "--once").returncode == 0
    assert ids(tail) == [9001]


@pytest.mark.slow
def test_a_backfill_that_was_given_up_is_a_finding(tail, postgresql):
    """Until another one is asked for, or it is let go; also after a restart. By hand it ends with the code of what is wrong."""
    postgresql.execute(
        "ALTER TABLE deposits DROP CONSTRAINT deposits_pkey",
        "INSERT INTO deposits (transaction_id, dt_finalized, deposit_amount) "
        "VALUES (150, timestamptz '2026-01-01Z' + 151 * interval '1 minute', 7)",
    )
    done = tail.sync("backfill", "deposits", "--from", "first")
    assert done.returncode == 2, done.stdout
    assert "the key is not unique" in done.stdout
    daemon = tail.start("run")
    try:
        until(lambda: "backfill 1 was given up" in tail.sync("status").stdout)
        told = next(
            each for each in json.loads(tail.sync("status", "--json").stdout)["findings"] if each["code"] == "backfill"
        )
        assert told["subject"] == "deposits"
        assert "smartico-sync backfill --cancel 1" in told["hint"]
        assert tail.sync("backfill", "deposits", "--from", "first", "--to", "2026-01-01T01:00:00").returncode == 0
        until(lambda: "given up" not in tail.sync("status").stdout.replace("given up\n", ""))
        assert tail.sync("backfill", "deposits", "--from", "first").returncode == 0
        until(lambda: "backfill 3 was given up" in tail.sync("status").stdout)
        assert tail.sync("backfill", "--cancel", "3").returncode == 0
        until(lambda: "was given up" not in tail.sync("status").stdout)
    finally:
        daemon.terminate()
        daemon.wait()


@pytest.fixture
def profiles(operator, postgresql):
    """The daemon's parts over 2,000 players, all delivered."""
    postgresql.execute(
        *USERS,
        "INSERT INTO players SELECT g, 'b', 'p' || g, timestamptz '2026-01-01Z' + g * interval '1 minute' FROM generate_series(1, 2000) g",
    )
    with ExitStack() as stack:

        def made(more=""):
            operator.configure(postgresql.url, f"  - {PROFILES % more}\n")
            parts = assemble(load(operator.config), operator.home, stack)
            parts.loops[0].poll(threading.Event())
            assert len(operator.accepted()) == 2000
            return parts

        yield made


def backfilled(parts, profiles, between=lambda: None):
    """Send every player's history, doing something between the pages."""
    works = Backfills(parts.loops, parts.store)
    low, high = "2026-01-01 00:00:00+00", parts.store.view("players").head.cursor
    parts.store.add_backfill("players", low=low, high=high, rate=100_000, profiles=profiles, total=2000, at_ms=0)
    stopping = threading.Event()
    at_work = threading.Thread(target=parts.loops[0].run, args=(stopping,))
    at_work.start()
    try:
        while works.round(threading.Event()) is not None:
            between()
    finally:
        stopping.set()
        parts.loops[0].mailbox.wake()
        at_work.join()


def test_profiles_that_did_not_change_are_left_out_unless_all_are_asked_for(operator, profiles):
    """By default what Smartico has already is not sent again; `--profiles all` sends each, quietly where history starts no automation."""
    parts = profiles(", skip_cjm: first_load")
    backfilled(parts, "changed")
    assert len(operator.accepted()) == 2000
    assert parts.store.view("players").counts["unchanged"] == 2000
    backfilled(parts, "all")
    assert operator.sandbox.stats()["duplicates"] == 2000


def test_the_newest_profile_arrives_last(operator, profiles, postgresql):
    """While history is sent, players change: what the API hears last of each is what the database holds."""
    parts = profiles()
    turn = iter(range(10_000))

    def meddle():
        number = next(turn)
        postgresql.execute(
            f"UPDATE players SET core_username = core_username || '-{number}', dt_update = now() WHERE user_ext_id % 37 = {number % 37}"
        )
        parts.loops[0].mailbox.ask_to_poll()

    postgresql.execute("UPDATE players SET core_username = 'q' || user_ext_id")
    backfilled(parts, "changed", meddle)
    parts.loops[0].poll(threading.Event())
    last = {int(event["user_ext_id"]): event["payload"]["core_username"] for event in operator.accepted()}
    assert last == dict(postgresql.execute("SELECT user_ext_id, core_username FROM players"))
