"""The page for newcomers, typed word by word: from tables that know nothing of us to a daemon that delivers."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import urllib.request
from contextlib import suppress
from pathlib import Path

import pytest

from repository.markdown import MARKDOWN, ROOT
from servers.postgresql import free_port
from waiting import until

PAGE = ROOT / "docs" / "quickstart.md"
TABLES = ROOT / "docker" / "postgres" / "1-backoffice.sql"
STAYS = re.compile(r"^(smartico-sync (?:sandbox|run)\b(?!.*--once)[^#\n]*).*$", re.MULTILINE)  # until somebody ends it
# There need be no curl where tests run; all else is as it stands on the page.
BEFORE = """
set -e
[ ! -e exported ] || . ./exported
curl() { python3 -c 'import sys, urllib.request; print(urllib.request.urlopen(sys.argv[2]).read().decode())' "$@"; }
"""
AFTER = "\nexport -p > exported\n"


def blocks():
    """The page's blocks of code in their order: language and text."""
    return [(token.info, token.content) for token in MARKDOWN.parse(PAGE.read_text("utf-8")) if token.type == "fence"]


class Newcomer:
    """Somebody with a database, an empty folder and the page."""

    def __init__(self, home, database):
        self.home, self.database = home, database
        self.ports = {port: str(free_port()) for port in ("9000", "8080", "live")}
        self.working = []

    def as_here(self, text):
        """The page's words with this machine's ports, database and addresses."""
        text = text.replace("127.0.0.1:5432/casino", f"127.0.0.1:{self.database.server.port}/{self.database.name}")
        text = text.replace("DATABASE casino", f"DATABASE {self.database.name}")
        text = text.replace("https://apis6.smartico.ai", f"http://127.0.0.1:{self.ports['live']}")
        text = text.replace(":9000", f":{self.ports['9000']}").replace(":8080", f":{self.ports['8080']}")
        return text.replace("sandbox --log", f"sandbox --listen 127.0.0.1:{self.ports['9000']} --log")

    def type(self, text):
        """Type a block into a shell; what it prints. What stays is left at work."""
        script = BEFORE + STAYS.sub(r"\1 >>out 2>&1 & echo $! >>working", self.as_here(text)) + AFTER
        path = f"{Path(sys.executable).parent}:{os.environ['PATH']}"
        environment = {"PATH": path, "HOME": str(self.home), "PYTHONPATH": os.environ.get("PYTHONPATH", "")}
        done = subprocess.run(
            ["bash", "-c", script], cwd=self.home, env=environment, capture_output=True, text=True, check=False
        )
        return done.returncode, done.stdout + done.stderr

    def write(self, text):
        """Put a block of YAML in place of what the file has under its names."""
        file = self.home / "views.yaml"
        for section in re.split(r"\n(?=\w)", self.as_here(text).rstrip("\n")):
            name = section.partition(":")[0]
            written = re.sub(
                rf"^{name}:.*\n(?:[ #].*\n)*", lambda _, new=section: new + "\n", file.read_text(), flags=re.MULTILINE
            )
            file.write_text(written)

    def execute(self, text):
        """Run SQL as the database's owner."""
        for statement in filter(str.strip, self.as_here(text).split(";\n")):
            self.database.execute(statement)

    def asked(self, port, path):
        """What an address of this machine answers; None before it does."""
        with suppress(OSError):
            return json.load(urllib.request.urlopen(f"http://127.0.0.1:{self.ports[port]}{path}"))

    def leave(self):
        """End what was left at work."""
        working = self.home / "working"
        for line in working.read_text().split() if working.exists() else ():
            with suppress(ProcessLookupError):
                os.kill(int(line), signal.SIGTERM)


@pytest.fixture
def newcomer(tmp_path, postgresql):
    if os.environ.get("SYNC_TEST_POSTGRESQL_URL"):
        pytest.skip("the page makes a role, which another server may have")
    postgresql.execute(TABLES.read_text("utf-8"))
    made = Newcomer(tmp_path, postgresql)
    yield made
    made.leave()
    postgresql.execute("DROP OWNED BY smartico_reader", "DROP ROLE smartico_reader")


@pytest.mark.slow
def test_a_newcomer_gets_from_tables_to_a_daemon_that_delivers(newcomer):
    """Nothing but the page is typed, and each step ends as the page says."""
    steps = iter(blocks())

    def step(language):
        given, text = next(steps)
        assert given == language
        return text

    def typed(text, code=0):
        given, said = newcomer.type(text)
        assert given == code, said
        return said

    assert "pip install" in step("sh")  # that is done
    newcomer.execute(step("sql"))
    typed(step("sh"))
    newcomer.execute(
        re.sub(r"^--.*$", "", (newcomer.home / "views.sql").read_text(), flags=re.MULTILINE).replace(";\n", ";\n\n")
    )
    newcomer.execute(step("sql"))
    typed(step("sh"))
    until(lambda: newcomer.asked("9000", "/stats"))
    newcomer.write(step("yaml"))
    with (newcomer.home / "views.yaml").open("a") as file:
        file.write(newcomer.as_here("\nhealth: {listen: '127.0.0.1:8080'}\n"))
    checked = typed(step("sh"))
    assert "acc_deposit_approved" in checked
    assert "✗" not in checked

    once, stats, status, reconcile = step("sh").splitlines()
    typed(once)
    assert json.loads(typed(stats))["violations"] == {}
    typed(status, 1)
    typed(reconcile)
    (there,) = newcomer.database.execute(
        "SELECT (SELECT count(*) FROM backoffice.players) + (SELECT count(*) FROM backoffice.deposits)"
    )
    assert newcomer.asked("9000", "/stats")["accepted"] == there[0]

    newcomer.write(step("yaml"))
    typed(f"smartico-sync sandbox --listen 127.0.0.1:{newcomer.ports['live']} --token the-token-from-back-office")
    until(lambda: newcomer.asked("live", "/stats"))
    typed(step("sh"))
    until(lambda: (newcomer.asked("live", "/stats") or {}).get("accepted") == there[0])
    until(lambda: (newcomer.asked("8080", "/readyz") or {}).get("ready") == "delivering")
    said = typed(step("sh").replace(" 1002 ", " 1000 "))
    assert "delivering" in said
    assert "acknowledged" in said
