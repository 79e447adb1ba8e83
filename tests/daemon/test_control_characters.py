"""What a database holds never steers the operator's terminal."""

from __future__ import annotations

import json
import sqlite3
from contextlib import redirect_stderr
from io import StringIO

import pytest
from click.testing import CliRunner

from smartico_sync.cli import app, report
from smartico_sync.core.definition import Definition
from smartico_sync.core.position import Position
from smartico_sync.core.printable import printable, printable_lines
from smartico_sync.core.records import Commit, DeadLetter, UndeliveredRow
from smartico_sync.errors import SyncError
from smartico_sync.observe.logs import redact
from smartico_sync.observe.terminal import table
from smartico_sync.pii.keys import new_key
from smartico_sync.state.store import Store

EVIL = "k\x1b]0;owned\x07\x1b[2J\n\x9b31mfine\u202e"


@pytest.fixture
def desk(tmp_path):
    """A view whose keys hold control characters, one of them given up; runs commands, and gives what they printed."""
    with sqlite3.connect(tmp_path / "casino.db") as casino:
        casino.execute(
            "CREATE TABLE deposits (id TEXT PRIMARY KEY, user_ext_id, ext_brand_id, amount, at TEXT NOT NULL)"
        )
        casino.execute("INSERT INTO deposits VALUES (?, ?, 'b', 'much', '2026-01-01 00:00:00')", (EVIL, EVIL))
    casino.close()
    config = tmp_path / "views.yaml"
    config.write_text(
        f"version: 1\nsmartico: {{url: 'http://127.0.0.1:9/', token: t}}\nstate: ./sync.db\npii: {{key: {new_key()}}}\n"
        "health: {listen: off}\nsources: {db: {url: 'sqlite:///" + str(tmp_path / "casino.db") + "'}}\n"
        "views:\n- {name: deposits, source: db, relation: deposits, kind: custom, event_type: deposit, cursor: at, key: id}\n"
    )
    with Store.open(tmp_path / "sync.db") as store:
        known = Definition("custom", "", "deposits", "", "", ("deposit",), "at", "text", ("id",), ("id",), ())
        store.begin("deposits", known.text(), "first", 1)
        row = UndeliveredRow("deposits", EVIL, Position("2026-01-01 00:00:00", (EVIL,)), "eid", "deposit", "00", 0)
        letter = DeadLetter(row, 2, f"the value {EVIL} is no number", 5)
        store.commit(Commit("deposits", 1, Position(EVIL, (EVIL,)), dead_letters=(letter,)))

    def run(*arguments):
        done = CliRunner().invoke(app, [*arguments, "--config", str(config)], color=False)
        if isinstance(done.exception, SyncError):
            with redirect_stderr(StringIO()) as told:
                report(done.exception)
            return done.output + told.getvalue()
        assert done.exception is None or isinstance(done.exception, SystemExit), repr(done.exception)
        return done.output

    return run


@pytest.mark.parametrize(
    "command",
    [
        ("dead-letters", "list"), ("dead-letters", "show", "--id", "1"), ("dead-letters", "list", "--json"),
        ("watermark", "show"), ("watermark", "show", "--json"), ("status",), ("status", "--json"),
        ("preview", "deposits"), ("trace", "deposits", EVIL), ("check",),
    ],
    ids=lambda command: " ".join(command[:2]) + (" --json" if "--json" in command else ""),
)  # fmt: skip
def test_control_characters_are_written_out(desk, command):
    """In lists, previews, traces and checks; for programs JSON stays JSON, and the key the key."""
    said = desk(*command)
    assert said
    assert [char for char in said if char != "\n" and printable(char) != char] == []
    if command == ("dead-letters", "list", "--json"):
        assert json.loads(said)[0]["key"] == EVIL


def test_a_key_is_one_line(desk):
    """Nobody writes a line of their own into the list."""
    lines = [line for line in desk("dead-letters", "list").splitlines() if "fine" in line]
    assert len(lines) == 1
    assert "\\u001b]0;owned\\u0007" in lines[0]


def test_logs_and_tables_have_none():
    """Nor do they, whatever a reason quotes."""
    assert redact(None, "info", {"reason": EVIL})["reason"] == printable(EVIL)
    assert "\x1b" not in printable(EVIL)
    assert printable_lines("one\n\ttwo\x1b") == "one\n\ttwo\\u001b"
    assert json.loads(printable_lines(json.dumps({"key": EVIL}, ensure_ascii=False))) == {"key": EVIL}
    assert table((), "").row_count == 0
