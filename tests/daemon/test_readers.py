"""Whoever reads what a command prints: a pipe that ends early, a terminal of another encoding, a program that wants JSON."""

from __future__ import annotations

import json
import os
import subprocess
import sys

import pytest

from daemon.deposits import VIEW

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
