"""Trouble of the state and of the process: no room, removed, gone, damaged, stuck, and a slip of the finger."""

from __future__ import annotations

import json
import os
import resource
import signal

import pytest

from operations.rehearsal import TABLE, rows, view
from operations.table import DOCUMENT, said, situations
from smartico_sync.pii.keys import new_key
from waiting import until

REHEARSED = 23


@pytest.fixture
def rehearsed(rehearsal, postgresql):
    """A daemon at work over one view."""
    postgresql.execute(
        TABLE.format(name="deposits"), "CREATE INDEX ON deposits (dt_finalized, transaction_id)", rows("deposits", 1, 5)
    )
    rehearsal.configure(view("deposits"), db=postgresql.url)
    rehearsal.start()
    return rehearsal


def test_every_situation_of_the_document_is_here():
    """The table is the list of what the issue of a night may be; whoever adds a row adds a rehearsal."""
    assert len(situations()) == REHEARSED
    sources = "".join(file.read_text("utf-8") for file in DOCUMENT.parents[1].glob("tests/operations/test_*.py"))
    assert [name for name in situations() if f'"{name}"' not in sources] == []


@pytest.mark.slow
@pytest.mark.timeout(400)  # several outages, one after the other
def test_trouble_of_the_state(rehearsed, postgresql):
    """No room, then the file removed, gone and damaged; each is told, and mended by its hint."""
    table, operator = situations(), rehearsed.operator
    copy, file = rehearsed.home / "copy.db", rehearsed.home / "state" / "sync.db"
    rehearsed.sync("state", "backup", copy)

    full(rehearsed.daemon.pid)
    postgresql.execute(rows("deposits", 10, 5000))
    rehearsed.is_told(table["the disk of the state is full"])
    roomy(rehearsed.daemon.pid)
    rehearsed.is_over(table["the disk of the state is full"])
    until(lambda: len({event["eid"] for event in operator.accepted()}) == 4996)

    file.unlink()
    postgresql.execute(rows("deposits", 6000, 6003))
    rehearsed.is_told(table["the state is removed under the daemon"])
    rehearsed.daemon.terminate()
    rehearsed.daemon.wait()

    refuses_to_start(rehearsed, table["the state is gone"])
    rehearsed.sync("state", "restore", copy)
    rehearsed.start()
    until(lambda: len({event["eid"] for event in operator.accepted()}) == 5000)
    rehearsed.daemon.terminate()
    rehearsed.daemon.wait()

    file.write_bytes(b"x" * 8192 + file.read_bytes()[8192:])
    refuses_to_start(rehearsed, table["the state is damaged"])
    rehearsed.sync("state", "restore", copy)
    rehearsed.start()


@pytest.mark.slow
@pytest.mark.timeout(300)
def test_a_server_of_the_state_that_is_down(rehearsal, postgresql, private_postgresql):
    """Where members share the state: it is told and waited for; with the server back all goes on by itself."""
    situation = situations()["the server of the state is down"]
    postgresql.execute(
        TABLE.format(name="deposits"), "CREATE INDEX ON deposits (dt_finalized, transaction_id)", rows("deposits", 1, 5)
    )
    private_postgresql.admin("CREATE DATABASE state")
    rehearsal.configure(view("deposits"), db=postgresql.url)
    (rehearsal.home / "state.key").write_text(new_key())
    there = f"state: '{private_postgresql.admin_url('state')}'\ncluster: {{lease: 3s, key_file: state.key}}"
    rehearsal.change("state: ./state/sync.db", there)
    rehearsal.start()
    until(lambda: len(rehearsal.operator.accepted()) == 5)
    rehearsal.outlives(private_postgresql, situation)
    postgresql.execute(rows("deposits", 6, 9))
    until(lambda: len({event["eid"] for event in rehearsal.operator.accepted()}) == 9)


def refuses_to_start(rehearsed, situation):
    """The log and `status` say why, and what to do."""
    done = rehearsed.operator.sync("run")
    assert done.returncode == 5
    line = json.loads(done.stderr.splitlines()[-1])
    assert line["event"] == situation.log
    assert said(situation.told, line["reason"])
    assert said(situation.next, line["hint"])
    told = rehearsed.sync("status", code=5)
    assert said(situation.told, told)
    assert said(situation.next, told)
    rehearsed.fires(situation)


def full(pid):
    """No file of the process may grow beyond a few pages, as on a full disk."""
    resource.prlimit(pid, resource.RLIMIT_FSIZE, (60_000, resource.RLIM_INFINITY))


def roomy(pid):
    """There is room again."""
    resource.prlimit(pid, resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))


@pytest.mark.slow
def test_a_daemon_that_hangs(rehearsed):
    """`status` does not hang with it, and names the process; killed and started again, it delivers."""
    situation = situations()["the daemon hangs"]
    os.kill(rehearsed.daemon.pid, signal.SIGSTOP)
    told = rehearsed.sync("status", code=1)
    assert said(situation.told, told)
    assert said(situation.next, told)
    assert f"kill -9 {rehearsed.daemon.pid}" in told
    assert "not answering" in told
    rehearsed.fires(situation)
    rehearsed.end()
    rehearsed.start()


@pytest.mark.slow
def test_a_typo_in_a_rewind(rehearsed, postgresql):
    """A year too many: the command says what it would leave out, does nothing, and every row goes."""
    situation = situations()["a typo in a rewind"]
    told = rehearsed.sync("watermark", "rewind", "deposits", "--to", "2126-01-01T00:00:00", code=2)
    assert said(situation.told, told)
    assert said(situation.next, told)
    postgresql.execute(rows("deposits", 6, 9))
    until(lambda: len(rehearsed.operator.accepted()) == 9)
    rehearsed.sync("watermark", "rewind", "deposits", "--to", "2126-01-01T00:00:00", "--yes")
    postgresql.execute(rows("deposits", 10, 12))
    rehearsed.sync("watermark", "rewind", "deposits", "--to", "2026-01-01T00:00:00")
    until(lambda: len({event["eid"] for event in rehearsed.operator.accepted()}) == 12)
