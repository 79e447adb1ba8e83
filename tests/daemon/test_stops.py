"""SIGTERM ends the daemon within one deadline, whatever hangs: here everything would hang for ten minutes."""

from __future__ import annotations

import signal
import subprocess
import sys
from contextlib import ExitStack

import psycopg
import pytest

from daemon.test_tracking import DEPOSITS, VIEW, insert
from servers.plain import PlainServer
from waiting import until

LONG = "600s"
HANGING = """
import signal, os, threading, time
from smartico_sync.daemon import ending
from smartico_sync.errors import ExitCode
from smartico_sync.observe.logs import configure
ending.STOP_S = 0.1
configure("json")
with ending.Ending() as end:
    end.code = ExitCode.API
    threading.Thread(target=time.sleep, args=(600,), name="stubborn").start()
    os.kill(os.getpid(), signal.SIGTERM)
    end.stopping.wait()
    {then}
"""


@pytest.fixture
def ends(operator):
    """`ends(happened)`: start the daemon, wait until that is so, send SIGTERM; the exit code."""
    with ExitStack() as stack:
        log = stack.enter_context((operator.home / "log").open("wb"))

        def ended(happened, number=signal.SIGTERM):
            daemon = operator.start("run", err=log)
            stack.callback(daemon.kill)
            until(happened)
            daemon.send_signal(number)
            return daemon.wait()

        yield ended


def configure(operator, postgresql, more="", top="", **smartico):
    """One view, and everything may take long."""
    postgresql.execute(*DEPOSITS)
    operator.configure(f"{postgresql.url}\n    statement_timeout: {LONG}", f"  - {VIEW % more}\n{top}", **smartico)


def hangs(postgresql, event):
    """Whether a query hangs: the server's word for what it waits for."""
    asked = f"SELECT count(*) FROM pg_stat_activity WHERE wait_event = '{event}' AND datname = current_database()"
    return postgresql.execute(asked)[0][0]


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_an_idle_daemon_ends_well(operator, postgresql, ends, number):
    """With code 0, and it says so."""
    configure(operator, postgresql)
    insert(postgresql, 1)
    assert ends(operator.accepted, number) == 0
    assert '"event": "ended"' in (operator.home / "log").read_text()


def test_a_query_that_hangs_is_ended(operator, postgresql, ends):
    """Somebody holds a lock on the table: the daemon takes its connection back."""
    configure(operator, postgresql)
    insert(postgresql, 1)
    with psycopg.connect(postgresql.admin_url) as other:

        def locked():
            if not operator.accepted():
                return False
            other.execute("LOCK TABLE deposits")
            return hangs(postgresql, "relation")

        assert ends(locked) == 0


@pytest.mark.slow
def test_a_comparison_that_hangs_is_ended(operator, postgresql, ends):
    """A row far below the watermark takes ten minutes to read, and only the comparison reads it."""
    configure(operator, postgresql, ", late_commit: lookback, lookback: 1s", top="reconcile: {every: 1s}\n")
    postgresql.execute(
        "ALTER TABLE deposits RENAME TO stored",
        "CREATE VIEW deposits AS SELECT * FROM stored WHERE CASE WHEN dt_finalized < now() - interval '1 hour' "
        "THEN pg_sleep(600) IS NOT NULL ELSE true END",
    )
    insert(postgresql, 1)

    def compares():
        if operator.accepted():
            postgresql.execute(
                "INSERT INTO stored VALUES (2, 'b', 1, now() - interval '2 hours') ON CONFLICT DO NOTHING"
            )
        return hangs(postgresql, "PgSleep")

    assert ends(compares) == 0


@pytest.mark.slow
@pytest.mark.parametrize("brands", [1, 12])
def test_an_api_that_hangs_is_left(operator, postgresql, ends, brands):
    """One destination, or twelve with a token each: what they owe goes again under the same ids."""
    silent = PlainServer(lambda peer: peer.read() is None or peer.read())
    operator.sandbox, sandbox = silent, operator.sandbox
    tokens = ", ".join(f"b{number}: {{token: t{number}}}" for number in range(brands))
    try:
        configure(operator, postgresql, timeout=LONG, brands=f"{{{tokens}}}")
        for number in range(brands):
            postgresql.execute(f"INSERT INTO deposits VALUES ({number}, 'b{number}', 1, now())")
        assert ends(lambda: silent.connections >= brands) == 0
    finally:
        operator.sandbox = sandbox
        silent.close()


def hanging(then):
    """A process in which a thread never ends."""
    code = HANGING.format(then=then)
    return subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)


def test_what_nothing_ends_is_left_to_the_deadline():
    """A thread hangs for good: the process ends all the same, with its code, and names the thread."""
    done = hanging("pass")
    assert done.returncode == 4
    assert "stubborn" in done.stderr
    assert "not everything ended" in done.stderr


def test_asked_twice_it_ends_at_once():
    """The second signal waits for nothing."""
    done = hanging("ending.time.sleep = lambda _: threading.Event().wait(); os.kill(os.getpid(), signal.SIGINT)")
    assert done.returncode == 128 + signal.SIGINT


INTERRUPTED = """
from smartico_sync.cli.loading import loading
with loading():
    import polars as pl
    from smartico_sync.daemon.ending import Ending
import os, signal, threading, time
ended, begun = [], threading.Barrier(4)

def work():
    rows = pl.DataFrame({"n": range(1_000_000)})
    begun.wait()
    while not ending.stopping.is_set():
        rows.sort("n", descending=True)
    ended.append("stopped")

with Ending() as ending:
    threads = [threading.Thread(target=work) for _ in range(3)]
    for thread in threads:
        thread.start()
    begun.wait()
    time.sleep(0.1)
    os.kill(os.getpid(), signal.SIGINT)
    for thread in threads:
        thread.join()
print(ended)
"""


def test_an_interrupt_leaves_threads_in_the_midst_of_their_tables_alone():
    """The library of tables answers to it by itself, where it is imported behind whoever else does: its calls then fail, in any thread."""
    done = subprocess.run([sys.executable, "-c", INTERRUPTED], check=False, capture_output=True, text=True, timeout=60)
    assert (done.stdout, done.stderr) == ("['stopped', 'stopped', 'stopped']\n", "")


MANY = """
from smartico_sync.cli.loading import loading
with loading():
    import asyncio, polars as pl
import ctypes, signal, threading
begun, seen = threading.Barrier(8), []

def handler():
    told = ctypes.create_string_buffer(256)
    ctypes.CDLL(None).sigaction(signal.SIGINT, None, told)
    return told.raw[:8]  # where it stands in every sigaction of a 64-bit system

def first(number):
    begun.wait()
    seen.append(asyncio.Lock if number % 2 else pl.DataFrame)

before = handler()
threads = [threading.Thread(target=first, args=(number,)) for number in range(8)]
for thread in threads:
    thread.start()
for thread in threads:
    thread.join(30)
import asyncio as there, polars
print(len(seen), set(seen) == {there.Lock, polars.DataFrame}, handler() == before)
"""


def test_threads_that_use_a_library_first_at_once_all_get_it():
    """It is imported once, no thread waits for another for ever, and what the system calls for SIGINT is what it was."""
    done = subprocess.run([sys.executable, "-c", MANY], check=False, capture_output=True, text=True, timeout=60)
    assert (done.stdout, done.stderr) == ("8 True True\n", "")
