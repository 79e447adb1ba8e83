"""`smartico-sync status`: what is seen at a terminal of 80 columns, and what a file gets of `--watch`."""

from __future__ import annotations

import fcntl
import json
import os
import pty
import re
import signal
import struct
import subprocess
import sys
import termios
from itertools import pairwise

import pytest

from daemon import deposits
from smartico_sync.cli.status_text import status_lines
from smartico_sync.cli.status_watch import changes, facts, picture
from waiting import until

LONG = "a_view_whose_name_somebody_made_up_of_the_schema_the_table_and_the_team_that_reads_it_every_day"
FINDING = {
    "severity": "critical",
    "subject": LONG,
    "message": "3 rows wait, the first for 28 s: Smartico does not know their players (10001)",
    "hint": "smartico-sync status: whether the view of kind `users` delivers; it must hold these players, under the same ext_brand_id and user_ext_id",
    "since_ms": 1_000,
}
VIEW = {
    "name": "deposits",
    "state": "live",
    "head": "2026-01-01",
    "counts": {"delivered": 12_345_678, "duplicate": 7},
    "lag_ms": 812,
}


def status(ready="delivering", state="live", findings=(), name="deposits"):
    return {"ready": ready, "views": [{**VIEW, "state": state, "name": name}], "findings": list(findings)}


def text(document, width):
    return ["".join(part.text for part in line) for line in status_lines(document, width)]


@pytest.mark.parametrize("width", [40, 80])
def test_lines_fit_and_names_stay_whole(width):
    """Nothing is wider than the terminal at 80 columns, and no letter of a name is lost at any width."""
    lines = text(status(findings=[FINDING], name=LONG), width)
    assert width < 80 or max(map(len, lines)) <= width
    assert "".join(line.strip() for line in lines).count(LONG) == 2


def test_a_file_gets_lines_that_can_be_searched():
    """Where nothing is folded a finding is one line."""
    assert any(FINDING["message"] in line for line in text(status(findings=[FINDING]), None))


def test_delivered_is_what_smartico_accepted_as_new():
    """What it knew before is told beside it, and not added."""
    lines = text(status(), 80)
    assert re.search(r"deposits +live +0\.8 s +12,345,678 +0 +0$", "\n".join(lines), re.MULTILINE)
    assert any("7 known to Smartico before" in line for line in lines)


def test_a_low_window_says_what_it_hides():
    """What does not fit is counted."""
    lines = picture(status(findings=[FINDING] * 9), 80, 10).plain.splitlines()
    assert len(lines) == 10
    assert "more lines" in lines[-1]


def test_a_change_is_told_once_and_so_is_its_end():
    """States and findings; a number inside a finding that moves on is no change."""
    waits = [
        {**FINDING, "message": FINDING["message"].replace("28 s", s), "code": "waiting"} for s in ("29 s", "2 min 00 s")
    ]
    looks = [
        status(),
        status("not delivering", "degraded", waits[:1]),
        status("not delivering", "degraded", waits[1:]),
        status(),
    ]
    told = [[change.told for change in changes(facts(before), facts(now))] for before, now in pairwise(looks)]
    assert told[0][:2] == ["daemon: delivering -> not delivering", "view deposits: live -> degraded"]
    assert told[0][2].startswith(f"{LONG}: 3 rows wait, the first for 29 s")
    assert told[1] == []
    assert told[2][0].startswith(f"{LONG}: over: 3 rows wait")
    assert told[2][1:] == ["daemon: not delivering -> delivering", "view deposits: degraded -> live"]


@pytest.mark.slow
@pytest.mark.parametrize("end", [signal.SIGINT, signal.SIGTERM])
def test_a_terminal_is_drawn_on_and_left_as_it_was(operator, end):
    """On a screen of its own; at the end that is left, the cursor is back, and the last look stays."""
    operator.configure(
        "sqlite:////nowhere",
        "  - {name: deposits, source: db, relation: deposits, kind: deposits, cursor: id, key: id}\n",
    )
    master, slave = pty.openpty()
    fcntl.ioctl(slave, termios.TIOCSWINSZ, struct.pack("HHHH", 24, 80, 0, 0))
    words = [sys.executable, "-m", "smartico_sync", "status", "--watch", "--config", operator.config]
    with subprocess.Popen(words, stdout=slave, stderr=slave, env={**os.environ, "TERM": "xterm"}) as watching:
        os.close(slave)
        seen = b""
        while seen.count(b"never started") < 2:
            seen += os.read(master, 65_536)
        watching.send_signal(end)
        while True:
            try:
                seen += os.read(master, 65_536)
            except OSError:  # the other end is closed
                break
        assert watching.wait() == 1
    os.close(master)
    drawn, _, left = seen.decode().partition("\x1b[?1049l")
    assert drawn.count("\x1b[?1049h") == 1
    assert "never started" in left
    assert seen.count(b"\x1b[?25l") == seen.count(b"\x1b[?25h") == 1
    assert "Traceback" not in left


def test_a_file_gets_a_line_for_each_change(operator):
    """Each with its moment; SIGTERM ends it with what was seen last."""
    operator.configure(
        "sqlite:////nowhere",
        "  - {name: deposits, source: db, relation: deposits, kind: deposits, cursor: id, key: id}\n",
    )
    told = operator.home / "changes.jsonl"
    with told.open("wb") as out:
        watching = operator.start("status", "--watch", "--json", out=out)
    until(lambda: told.read_text().count("\n") >= 2)
    watching.terminate()
    assert watching.wait() == 1
    assert [(each["subject"], each["now"]) for each in map(json.loads, told.read_text().splitlines())] == [
        ("daemon", "not running"),
        ("view deposits", "never started"),
    ]


@pytest.mark.slow
def test_what_the_state_knows_is_shown_while_the_database_is_down(operator, postgresql):
    """After a restart, and after a reload: how far each view is, what it delivered, and what was given up; not that there is nothing."""
    postgresql.execute(*deposits.DEPOSITS)
    deposits.insert(postgresql, 1, 2)
    operator.configure(postgresql.url, f"  - {deposits.VIEW % ''}\n")
    operator.sandbox.set_faults(["refuse=1"])
    assert operator.sync("run", "--once").returncode == 6
    operator.sandbox.set_faults([])
    deposits.insert(postgresql, 3)
    assert operator.sync("run", "--once").returncode == 0

    def told():
        return json.loads(operator.sync("status", "--json").stdout)

    def known(document):
        (view,) = document["views"]
        return view["head"], view["counts"], view["dead"]

    head, counts, dead = known(told())
    assert (counts["delivered"], dead) == (1, {"2": 2})
    config = operator.config.read_text()
    operator.config.write_text(config.replace(postgresql.url, "postgresql://reader@127.0.0.1:1/gone"))
    operator.start("run")
    until(lambda: told()["views"][0]["state"] == "degraded")
    for again in ("restarted", "reloaded"):
        down = told()
        assert known(down) == (head, counts, dead), again
        assert {finding["code"] for finding in down["findings"]} == {"trouble", "dead_letters"}, again
        operator.config.write_text(operator.config.read_text().replace("every: 50ms", "every: 60ms"))
        assert operator.sync("reload").returncode == 0
        until(lambda: told()["views"][0]["state"] == "degraded")
    operator.running.terminate()
    assert operator.running.wait() == 0


@pytest.mark.slow
@pytest.mark.parametrize("mistake", ["views.yaml", "no YAML", "secrets.env"])
def test_a_daemon_is_asked_though_its_file_has_a_mistake_by_now(operator, postgresql, mistake):
    """Somebody edited it in the evening: at night the status is that of the daemon, which goes on, and the mistake is a finding."""
    postgresql.execute(*deposits.DEPOSITS)
    deposits.insert(postgresql, 1)
    operator.configure(postgresql.url, f"  - {deposits.VIEW % ''}\n")
    operator.start("run")
    until(lambda: operator.sync("status").returncode == 0)
    if mistake == "secrets.env":
        (operator.home / mistake).write_text("no equals sign\n")
    else:
        config = operator.config.read_text()
        operator.config.write_text(config.replace("cursor: ", "curser: " if mistake == "views.yaml" else "\tcursor: }"))
    done = operator.sync("status", "--json")
    assert done.returncode == 0, done.stderr
    told = json.loads(done.stdout)
    assert (told["ready"], told["views"][0]["state"]) == ("delivering", "live")
    (finding,) = told["findings"]
    assert finding["code"] == "configuration"
    assert "it cannot be used, and the former one goes on" in finding["message"]
    shown = operator.sync("status").stdout
    assert shown.startswith("delivering\n")
    operator.running.terminate()
    assert operator.running.wait() == 0
    assert operator.sync("status").returncode == 2  # nobody goes on: the mistake is all there is to say
