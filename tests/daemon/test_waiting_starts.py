"""A start waits for what will pass, and says so; a mistake ends it with its code."""

from __future__ import annotations

import os
import socket
import sqlite3
import subprocess
import sys
import threading
from contextlib import ExitStack, suppress
from pathlib import Path

import httpx
import pytest

from smartico_sync.daemon.start import Start, Stopped
from smartico_sync.errors import (
    ConfigError,
    SecretsMissing,
    StateDamaged,
    StateLocked,
    StateMissing,
    StateUnwritable,
)
from smartico_sync.state.store import Store
from waiting import until

VIEW = (
    "  - {name: deposits, source: db, relation: deposits, kind: deposits, cursor: transaction_id, key: transaction_id, "
    "columns: {transaction_id: acc_last_transaction_id}, every: 50ms, late_commit: gaps, gaps_wait: 1s}\n"
)
UNIT = Path(__file__).parents[2] / "docker" / "smartico-sync.service"
OPERATIONS = Path(__file__).parents[2] / "docs" / "operations.md"


@pytest.fixture
def day(operator):
    """An operator with one deposit to send, and daemons that end with the test."""
    path = operator.home / "replica.db"
    with sqlite3.connect(path) as writer:
        writer.execute(
            "CREATE TABLE deposits (transaction_id integer PRIMARY KEY, ext_brand_id text DEFAULT 'b', user_ext_id text DEFAULT '1', "
            "transaction_date text DEFAULT '2026-01-01 00:00:00', deposit_amount numeric DEFAULT 1)"
        )
        writer.execute("INSERT INTO deposits DEFAULT VALUES")
    operator.configure(f"sqlite:///{path}", VIEW)
    with ExitStack() as stack:
        log = stack.enter_context((operator.home / "log").open("wb"))

        def start():
            daemon = operator.start("run", err=log)
            stack.callback(daemon.kill)
            return daemon

        operator.daemon = start
        operator.told = (operator.home / "log").read_text
        yield operator


def edit(operator, old, new):
    operator.config.write_text(operator.config.read_text().replace(old, new))


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def readiness(port):
    try:
        answer = httpx.get(f"http://127.0.0.1:{port}/readyz", trust_env=False)
    except httpx.HTTPError:
        return "", ""
    told = answer.json()
    return told["ready"], " ".join(finding["message"] for finding in told["findings"])


def test_the_lock_of_the_daemon_before_is_waited_for(day):
    """A new daemon takes over when the old one has ended; until then it says who has the state, and is not ready."""
    port = free_port()
    edit(day, "listen: off", f"listen: 127.0.0.1:{port}")
    with Store.open(day.home / "state" / "sync.db"):
        day.daemon()
        until(lambda: "is in use by process" in readiness(port)[1])
        assert readiness(port)[0] == "starting"
        assert "start.waits" in day.told()
        assert day.accepted() == []
        status = httpx.get(f"http://127.0.0.1:{port}/status.json", trust_env=False).json()
        assert [(view["name"], view["state"]) for view in status["views"]] == [("deposits", "starting")]
        assert "starting" in httpx.get(f"http://127.0.0.1:{port}/", trust_env=False).text
    until(day.accepted)
    until(lambda: readiness(port) == ("delivering", ""))


def test_a_busy_port_is_a_warning(day):
    """Events are delivered without a page, and the daemon says that it tries again."""
    with socket.create_server(("127.0.0.1", 0)) as taken:
        edit(day, "listen: off", f"listen: 127.0.0.1:{taken.getsockname()[1]}")
        day.daemon()
        until(day.accepted)
    assert "cannot listen on" in day.told()
    assert '"level": "warning"' in day.told()


def test_a_secret_that_is_mounted_a_moment_later_is_waited_for(day):
    """A file that is not there, and then is empty, and then holds the token."""
    edit(day, "token: test", "token_file: token")
    day.daemon()
    until(lambda: "does not exist" in day.told())
    (day.home / "token").write_text("")
    (day.home / "token").write_text("test\n")
    until(day.accepted)


def test_a_state_that_cannot_be_written_is_waited_for(day):
    """A disk without room, here a file where its directory should be: once there is room, the daemon goes on."""
    state = day.home / "state"
    state.write_text("")
    day.daemon()
    until(lambda: "start.waits" in day.told())
    state.unlink()
    until(day.accepted)


def test_a_start_that_waits_can_be_ended(day):
    """SIGTERM while it waits ends it at once, with code 0."""
    (day.home / "state").write_text("")
    daemon = day.daemon()
    until(lambda: "start.waits" in day.told())
    daemon.terminate()
    assert daemon.wait() == 0


def test_a_mistake_is_not_waited_for(day):
    """A configuration that is wrong in any other way ends the daemon with 2, a damaged state with 5, at once."""
    edit(day, "token: test", "token_file: token\n  batch: 3")
    assert day.sync("run").returncode == 2
    edit(day, "token_file: token\n  batch: 3", "token: test")
    assert day.sync("run", "--once").returncode == 0
    (day.home / "state" / "sync.db").write_bytes(b"something else, and long enough to be no database" * 100)
    assert day.sync("run").returncode == 5


class Clock:
    """Attempts that fail so often."""

    def __init__(self, error, times):
        self.error, self.left = error, times

    def __call__(self):
        self.left -= 1
        if self.left >= 0:
            raise self.error
        return "done"


@pytest.mark.parametrize("error", [StateLocked("locked"), StateUnwritable("full"), SecretsMissing("absent")])
def test_what_passes_is_tried_until_it_does(monkeypatch, error):
    """However often it takes."""
    monkeypatch.setattr("smartico_sync.daemon.start.LOOK_S", 0.001)
    assert Start(threading.Event()).until(Clock(error, 20)) == "done"


@pytest.mark.parametrize("error", [StateDamaged("damaged"), StateMissing("missing"), ConfigError("wrong")])
def test_what_does_not_pass_is_told_at_once(error):
    """A restart would mend none of these."""
    with pytest.raises(type(error)):
        Start(threading.Event()).until(Clock(error, 1))


def test_once_has_a_bounded_patience(monkeypatch):
    """Then it ends with what remained; so does the daemon for a secret that never comes."""
    monkeypatch.setattr("smartico_sync.daemon.start.LOOK_S", 0.001)
    with pytest.raises(StateLocked):
        Start(threading.Event(), 0.01).until(Clock(StateLocked("locked"), 10**9))
    monkeypatch.setattr("smartico_sync.daemon.start.SECRETS_S", 0.01)
    with pytest.raises(SecretsMissing):
        Start(threading.Event()).until(Clock(SecretsMissing("absent"), 10**9))


def test_who_ends_a_start_is_obeyed():
    """Nothing is tried any more."""
    stopping = threading.Event()
    stopping.set()
    with pytest.raises(Stopped):
        Start(stopping).until(Clock(StateLocked("locked"), 1))


def test_the_unit_restarts_what_a_restart_mends():
    """Exit codes, systemd's unit and the documentation say the same: 2 and 5 are left for a person, all else starts again."""
    unit = dict(
        line.split("=", 1) for line in UNIT.read_text().splitlines() if "=" in line and not line.startswith("#")
    )
    final = {ConfigError.exit_code, StateDamaged.exit_code, StateMissing.exit_code}
    assert {int(code) for code in unit["RestartPreventExitStatus"].split()} == {int(code) for code in final}
    assert unit["Restart"] == "on-failure"
    text = OPERATIONS.read_text()
    for code in range(7):
        assert f"| {code} |" in text


def closed(home, *streams):
    """`smartico-sync run --once` with these standard streams closed."""
    code = "from smartico_sync.cli import main; main()"
    words = " ".join(f"{stream}>&-" for stream in streams)
    line = f'exec "$0" -c "{code}" run --once --config views.yaml {words}'
    return subprocess.run(["/bin/sh", "-c", line, sys.executable], cwd=home, check=False, capture_output=True)


@pytest.mark.slow
@pytest.mark.parametrize("streams", [(2,), (1, 2)], ids=["stderr", "both"])
def test_a_closed_stream_is_no_crash(day, streams):
    """It delivers, and no line of the log ends in a file that got the stream's number."""
    assert closed(day.home, *streams).returncode == 0
    assert len(day.accepted()) == 1
    with Store.open(day.home / "state" / "sync.db", access="read") as store:
        assert store.views()


def test_a_log_that_nobody_reads_does_not_stop_delivery(day):
    """The pipe is full before the daemon says its first word: events arrive, and the daemon ends."""
    reader, writer = os.pipe()
    os.set_blocking(writer, False)
    with suppress(BlockingIOError):
        while True:
            os.write(writer, bytes(4096))
    os.set_blocking(writer, True)
    code = "from smartico_sync.cli import main; main()"
    daemon = subprocess.Popen(
        [sys.executable, "-c", code, "run", "--config", "views.yaml"], cwd=day.home, stderr=writer
    )
    try:
        until(day.accepted)
        daemon.terminate()
        assert daemon.wait() == 0
    finally:
        daemon.kill()
        os.close(reader)
        os.close(writer)


def test_the_holder_of_a_lock_is_named_by_host_and_start(tmp_path, monkeypatch):
    """In another container process 1 is somebody else: nobody is told to kill it there."""
    path, host = tmp_path / "sync.db", socket.gethostname()
    with Store.open(path):
        with pytest.raises(StateLocked) as here:
            Store.open(path)
        monkeypatch.setattr(socket, "gethostname", lambda: "another")
        with pytest.raises(StateLocked) as elsewhere:
            Store.open(path)
    assert "kill " in here.value.hint
    assert "kill" not in elsewhere.value.hint
    for caught in (here, elsewhere):
        assert " since 20" in caught.value.message
        assert f" on {host} " in caught.value.message
