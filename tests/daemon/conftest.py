"""A daemon under test: its configuration, its sandbox, and the command as a user runs it."""

from __future__ import annotations

import json
import re
import subprocess
from contextlib import ExitStack
from pathlib import Path
from typing import IO

import pytest

from daemon import deposits
from daemon.command import Command, run
from smartico_sync.pii.keys import new_key
from smartico_sync.sandbox.api import Sandbox


class Operator:
    """Somebody with a configuration and a terminal."""

    def __init__(self, home: Path, sandbox: Sandbox) -> None:
        self.home = home
        self.sandbox = sandbox
        self.key = new_key()
        self.config = home / "views.yaml"
        self.log = home / "events.jsonl"

    def configure(self, source_url: str, views: str, **smartico: str) -> None:
        lines = "".join(f"  {name}: {value}\n" for name, value in smartico.items())
        self.config.write_text(
            f"version: 1\nsmartico:\n  url: {self.sandbox.url}\n  token: test\n{lines}"
            f"state: ./state/sync.db\npii:\n  key: {self.key}\nhealth:\n  listen: off\n"
            f"sources:\n  db:\n    url: {source_url}\nviews:\n{views}"
        )

    def sync(self, *arguments: str, timeout: float = 90) -> subprocess.CompletedProcess:
        return run([*arguments, "--config", self.config], self.home, timeout)

    def check(self) -> subprocess.CompletedProcess:
        """`smartico-sync check`, each finding and each hint in one line."""
        done = self.sync("check")
        done.stdout = re.sub(r"\n {4,}(?!next: )(?=\S)", " ", done.stdout)
        return done

    def start(
        self,
        *arguments: str,
        out: IO[bytes] | None = None,
        err: IO[bytes] | None = None,
        **more: object,
    ) -> Command:
        self.running = Command([*arguments, "--config", self.config], self.home, out=out, err=err, **more)
        return self.running

    def accepted(self) -> list[dict]:
        """What the API took; a line that is still being written counts next time."""
        text = self.log.read_text() if self.log.exists() else ""
        return [json.loads(line) for line in text[: text.rfind("\n") + 1].splitlines()]


@pytest.fixture
def operator(tmp_path):
    """An operator with an empty sandbox."""
    with Sandbox(log=tmp_path / "events.jsonl") as sandbox:
        yield Operator(tmp_path, sandbox)


@pytest.fixture
def tracked(operator, postgresql):
    """A tracked view over the deposits of a real PostgreSQL, configured by `more` keys of the view."""
    postgresql.execute(*deposits.DEPOSITS)
    with ExitStack() as stack:

        def made(more="", *, url=postgresql.url, view=None, **smartico):
            operator.configure(url, f"  - {(view or deposits.VIEW) % more}\n", **smartico)
            return deposits.TrackedView(operator, stack)

        yield made
