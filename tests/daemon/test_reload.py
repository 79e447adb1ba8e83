"""A changed views.yaml while the daemon runs: taken up without losing anything, or refused while the old one goes on."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys

import pytest

from daemon.deposits import DEPOSITS, VIEW, insert
from smartico_sync.config.environment_file import Variables
from smartico_sync.daemon.ending import Ending
from smartico_sync.daemon.reload import Reload
from smartico_sync.daemon.service_manager import ServiceManager
from smartico_sync.daemon.start import Stopped
from smartico_sync.errors import StateError
from smartico_sync.pii.keys import new_key
from waiting import until

MORE = VIEW.replace("name: deposits", "name: more").replace("relation: deposits", "relation: more")


@pytest.fixture
def daemon(operator, postgresql):
    """A daemon at work over one view of two."""
    postgresql.execute(*DEPOSITS, "CREATE TABLE more (LIKE deposits INCLUDING ALL)")
    insert(postgresql, 1, 2)
    postgresql.execute("INSERT INTO more (transaction_id, dt_finalized) VALUES (101, now()), (102, now())")
    operator.configure(postgresql.url, f"  - {VIEW % ''}\n")
    running = operator.start("run")
    until(lambda: len(operator.accepted()) == 2)
    yield operator
    running.terminate()
    assert running.wait() == 0


def findings(operator):
    return [each["message"] for each in json.loads(operator.sync("status", "--json").stdout)["findings"]]


def views(operator):
    return [each["name"] for each in json.loads(operator.sync("status", "--json").stdout)["views"]]


def test_views_come_and_go_with_the_file(daemon, postgresql):
    """A new view begins, a changed one goes on where it stood, one that is gone ends; what changed is said, and nothing goes twice."""
    one, both = daemon.config.read_text(), daemon.config.read_text() + f"  - {MORE % ''}\n"
    daemon.config.write_text(both.replace("every: 50ms}", "every: 60ms}", 1))
    assert any("was changed since it was loaded" in each for each in findings(daemon))
    done = daemon.sync("reload")
    assert done.returncode == 0, done.stderr
    assert "added: more" in done.stdout
    assert "changed: deposits" in done.stdout
    until(lambda: len(daemon.accepted()) == 4)
    insert(postgresql, 3)
    until(lambda: len(daemon.accepted()) == 5)
    assert daemon.sandbox.stats()["duplicates"] == 0
    daemon.config.write_text(one)
    os.kill(daemon.running._process.pid, signal.SIGHUP)
    until(lambda: views(daemon) == ["deposits"])
    insert(postgresql, 4)
    until(lambda: len(daemon.accepted()) == 6)
    assert findings(daemon) == []


def test_a_file_that_cannot_be_used_is_refused_and_the_old_one_goes_on(daemon, postgresql):
    """By the command with code 2, and by SIGHUP; a finding says so until the file is mended."""
    good = daemon.config.read_text()
    secret = daemon.home / "other.secret"
    secret.write_text(new_key())
    secret.chmod(0o600)
    for bad, told in (
        (good.replace("kind: deposits", "kind: nonsense"), "nonsense"),
        (good.replace("state: ./state", "state: ./other"), "set it back, or restart that one"),
        (good.replace("state: ./", "state_key_file: ./other.secret\nstate: ./"), "`state_key_file:` is another than"),
        (good.replace("key: ", "key: x"), "key"),
    ):
        daemon.config.write_text(bad)
        refused = daemon.sync("reload")
        assert refused.returncode == 2, refused.stdout
        assert told in refused.stderr
    daemon.running.send_signal(signal.SIGHUP)
    insert(postgresql, 3)
    until(lambda: len(daemon.accepted()) == 3)
    daemon.config.write_text(good)
    assert "nothing differs" in daemon.sync("reload").stdout
    assert findings(daemon) == []


@pytest.mark.slow
def test_a_hang_up_while_the_daemon_starts_does_not_end_it(tmp_path):
    """Whoever rotates logs, or reloads all units, may send SIGHUP before the daemon has read anything."""
    hangs_up = (
        "import importlib, os, signal, sys; sys.argv = ['smartico-sync', *sys.argv[1:]]; from smartico_sync import cli\n"
        "load = importlib.import_module\n"
        "def first(name):\n"
        "    importlib.import_module = load\n"
        "    os.kill(os.getpid(), signal.SIGHUP)\n"
        "    return load(name)\n"
        "importlib.import_module = first; signal.signal(signal.SIGHUP, signal.SIG_DFL)\n"
        "cli.main()"
    )
    words = [sys.executable, "-c", hangs_up, "run", "--config", str(tmp_path / "none.yaml")]
    ended = subprocess.run(words, capture_output=True, text=True, check=False)
    assert ended.returncode == 2, ended.stderr
    assert "there is no configuration" in ended.stderr
    assert subprocess.run([*words, "--once"], capture_output=True, check=False).returncode == -signal.SIGHUP


def test_what_is_loaded_and_cannot_begin_makes_way_for_the_former(tmp_path):
    """A file may pass every trial and fail at the state all the same; where the first one fails, there is nothing to go back to."""
    file = tmp_path / "views.yaml"
    file.write_text("one")
    reload = Reload(file, Ending(), Variables(file))
    first, second = object(), object()
    broken = StateError("damaged", hint="restore it")
    with pytest.raises(StateError):
        reload.back(first, broken)
    reload._current = first
    file.write_text("two")
    reload._loaded_before, reload._loaded = reload._loaded, b"two"
    assert reload.back(second, broken) is first
    assert "it was refused, and the former one goes on: damaged" in reload.findings()[0].message
    with pytest.raises(StateError):
        reload.back(first, broken)
    with pytest.raises(Stopped):
        reload.back(second, Stopped("asked to end"))


@pytest.mark.slow
def test_a_section_that_wants_a_restart_is_told(daemon):
    """By whoever reloads, and by a finding with the command, until it is set back or the daemon is restarted."""
    good = daemon.config.read_text()
    daemon.config.write_text(good.replace("listen: off", "listen: 127.0.0.1:9"))
    assert "`health:` is taken up at the next restart only: systemctl restart" in daemon.sync("reload").stdout
    until(lambda: any("`health:` is another than the one at work" in each for each in findings(daemon)))
    daemon.config.write_text(good)
    assert "restart" not in daemon.sync("reload").stdout
    until(lambda: findings(daemon) == [])


def test_nobody_to_reload_is_told(operator, postgresql):
    """Without a daemon there is nothing to do, and the next command is named."""
    operator.configure(postgresql.url, f"  - {VIEW % ''}\n")
    done = operator.sync("reload")
    assert done.returncode == 2
    assert "next: smartico-sync run" in done.stderr


def test_the_service_manager_hears_that_the_daemon_turns(tmp_path):
    """READY, signs of life while it turns and none while it is stuck, STOPPING; nothing at all where nobody asks."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as wire:
        wire.bind(str(tmp_path / "notify"))
        state = {"alive": True}
        asked = {"NOTIFY_SOCKET": str(tmp_path / "notify"), "WATCHDOG_USEC": "30000"}
        with ServiceManager(lambda: state["alive"], asked):
            assert wire.recv(100) == b"READY=1"
            assert [wire.recv(100) for _ in range(3)] == [b"WATCHDOG=1"] * 3
        heard = b""
        while heard != b"STOPPING=1":
            heard = wire.recv(100)
            assert heard in (b"WATCHDOG=1", b"STOPPING=1")
        state["alive"] = False
        stuck = ServiceManager(lambda: state["alive"], asked)
        with stuck:
            until(stuck.thread.is_alive)
        assert [wire.recv(100), wire.recv(100)] == [b"READY=1", b"STOPPING=1"]
    with ServiceManager(lambda: True, {}):
        pass


@pytest.mark.parametrize("words", [["reload"], ["log-level", "debug"]], ids=" ".join)
def test_a_daemon_that_was_killed_is_none(operator, words):
    """The socket that it left behind leads nobody to look for whom the state is held by."""
    operator.configure("sqlite:///replica.db", f"  - {VIEW % ''}\n")
    (operator.home / "state").mkdir()
    with socket.socket(socket.AF_UNIX) as killed:
        killed.bind(str(operator.home / "state" / "sync.db.sock"))
    asked = operator.sync(*words)
    assert asked.returncode == 2
    assert "no daemon works with" in asked.stderr
