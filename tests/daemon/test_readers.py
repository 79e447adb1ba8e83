"""Whoever reads what a command prints: a pipe that ends early, a terminal of another encoding, a program that wants JSON."""

from __future__ import annotations

import json
import os
import subprocess
import sys

import pytest

from daemon.deposits import DEPOSITS, HASTE, VIEW, insert
from waiting import until

MODULE = [sys.executable, "-m", "smartico_sync"]


@pytest.fixture
def without_database(operator):
    """An operator whose database is not there: `check` prints a dozen lines, and ends with 3."""
    operator.configure("sqlite:///Ω🎰.db", f"  - {VIEW % ''}\n")
    return operator


@pytest.mark.slow
def test_a_reader_that_has_enough_changes_no_exit_code(without_database):
    """`smartico-sync check | head -1`: the code says what the command found, not that nobody read on."""
    read, write = os.pipe()
    os.close(read)
    command = [*MODULE, "check", "--config", without_database.config]
    done = subprocess.run(command, stdout=write, stderr=subprocess.PIPE, text=True, check=False)
    os.close(write)
    assert (done.returncode, done.stderr) == (3, "")


@pytest.mark.slow
@pytest.mark.parametrize("words", [["check"], ["check", "--json"]])
def test_a_terminal_without_our_signs_is_given_what_it_can_show(without_database, words):
    """A locale of Latin letters has no ✗: it is written out, and JSON stays JSON."""
    done = subprocess.run(
        [*MODULE, *words, "--config", without_database.config],
        env={**os.environ, "PYTHONIOENCODING": "latin-1"},
        capture_output=True,
        check=False,
    )
    assert (done.returncode, done.stderr) == (3, b"")
    if "--json" in words:
        assert json.loads(done.stdout.decode("latin-1"))["exit_code"] == 3
    else:
        assert b"\n\\u2717 source db" in done.stdout


@pytest.mark.slow
def test_a_backfill_for_a_program_is_json_whoever_sends_it(operator, postgresql):
    """Asked for, asked for again, cancelled; by the daemon or by the command itself: what `--list --json` says of it."""
    postgresql.execute(*DEPOSITS)
    insert(postgresql, *range(1, 21), at="'2026-01-31T12:00:00Z'")
    operator.configure(postgresql.url, f"  - {VIEW % HASTE}\n")
    assert operator.sync("run", "--once").returncode == 0
    daemon = operator.start("run")
    until(lambda: operator.sync("status", "--json").returncode == 0)

    def said(*words):
        done = operator.sync("backfill", *words, "--json")
        assert done.returncode == 0, done.stderr
        return [(each["id"], each["state"]) for each in json.loads(done.stdout)]

    until(lambda: json.loads(operator.sync("watermark", "show", "--json").stdout)[0]["watermark"])
    assert said("deposits", "--from", "first", "--rate", "1") == [(1, "open")]
    assert said("deposits", "--from", "first", "--rate", "1") == [(1, "open")]
    assert said("--cancel", "1") == [(1, "cancelled")]
    daemon.terminate()
    daemon.wait()
    assert said("deposits", "--from", "first") == [(2, "done")]
    assert said("--resume") == []
