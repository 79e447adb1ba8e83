"""Commands beside a daemon whose view is kept busy: what is asked for happens soon, or is withdrawn and told."""

from __future__ import annotations

import json
import signal
import time

import psycopg
import pytest

from daemon.test_tracking import DEPOSITS, VIEW, insert
from waiting import until


@pytest.fixture
def busy(operator, postgresql):
    """A daemon over ten delivered deposits, its log in a file; the API then refuses to take anything."""
    postgresql.execute(*DEPOSITS)
    insert(postgresql, *range(1, 11))
    operator.configure(postgresql.url, f"  - {VIEW % ''}\n", timeout="60s")
    with (operator.home / "log").open("wb") as log:
        daemon = operator.start("run", "--log", "json", err=log)
        until(lambda: len(operator.accepted()) == 10)
        yield operator
        daemon.terminate()
        daemon.wait()


def head(operator):
    """How far the view has come."""
    return json.loads(operator.sync("watermark", "show", "--json").stdout)[0]["head"]


def logged(operator, event):
    """What the daemon told; a line that is still being written counts next time."""
    text = (operator.home / "log").read_text()
    lines = text[: text.rfind("\n") + 1].splitlines()
    return [entry for entry in map(json.loads, lines) if entry["event"] == event]


def break_off(operator, *words):
    """Kill a command once it has asked the daemon: on a busy machine it takes a while to start, and is tried again."""
    pause_s = 1.5
    while not logged(operator, "operator"):
        command = operator.start(*words)
        time.sleep(pause_s)
        command.send_signal(signal.SIGKILL)
        command.wait()
        end = time.monotonic() + pause_s
        until(lambda: logged(operator, "operator") or time.monotonic() > end)  # noqa: B023 - called at once
        pause_s *= 2


@pytest.mark.parametrize("fault", ["503", pytest.param("hang-after=60s", marks=pytest.mark.slow)])
def test_a_rewind_does_not_wait_for_the_api(busy, postgresql, fault):
    """While the API answers nothing, a rewind is done within seconds; the page under way goes again under the same ids."""
    busy.sandbox.set_faults([fault])
    insert(postgresql, 11)
    time.sleep(1)
    first = postgresql.execute("SELECT min(dt_finalized) FROM deposits")[0][0]
    done = busy.sync("watermark", "rewind", "deposits", "--to", "first")
    assert done.returncode == 0, done.stderr
    assert first
    until(lambda: logged(busy, "operator"))  # lines are written beside the work
    (entry,) = logged(busy, "operator")
    assert "rewind view=deposits" in entry["what"]
    assert entry["result"] == "done"
    assert "process" in entry["who"]
    busy.sandbox.set_faults([])
    until(lambda: sorted(int(e["payload"]["acc_last_transaction_id"]) for e in busy.accepted()) == list(range(1, 12)))


def test_a_command_that_is_broken_off_is_not_carried_out_later(busy, postgresql):
    """A query holds the view up; the operator presses Ctrl-C at the rewind: the watermark stays where it is, then and later."""
    until(lambda: head(busy) != "nothing yet")
    stood = head(busy)
    with psycopg.connect(postgresql.admin_url, autocommit=True) as locker:
        locker.execute("BEGIN")
        locker.execute("LOCK TABLE deposits IN ACCESS EXCLUSIVE MODE")
        time.sleep(1)
        break_off(busy, "watermark", "rewind", "deposits", "--to", "first")
        assert all("withdrawn" in entry["result"] for entry in logged(busy, "operator"))
        locker.execute("ROLLBACK")
    insert(postgresql, 12)
    until(lambda: len(busy.accepted()) == 11)
    assert head(busy) >= stood
    assert busy.sandbox.stats()["duplicates"] == 0
