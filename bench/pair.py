"""Two members under load, and all they need: a source, a state with a standby of its own, an API that counts, and a network between them."""

from __future__ import annotations

import json
import os
import random
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections import Counter
from contextlib import ExitStack
from pathlib import Path
from typing import Self

import psycopg

from bench.disturbances import faked_clock, set_ahead
from servers.postgresql import ADMIN_PASSWORD, Server
from servers.proxy import Proxy
from smartico_sync.pii.keys import new_key
from smartico_sync.sandbox.api import Sandbox

COMMAND = Path(sys.executable).parent / "smartico-sync"
PLAYERS = 500
SLOT_S = 0.05
SYNCHRONOUS = "ALTER SYSTEM SET synchronous_standby_names = '{}'"
TABLES = (
    """CREATE TABLE users (ext_brand_id text DEFAULT 'b', user_ext_id bigint PRIMARY KEY, dt_update timestamptz,
        core_account_status text DEFAULT 'ACTIVE', level int DEFAULT 0)""",
    "CREATE INDEX ON users (dt_update, ext_brand_id, user_ext_id)",
    """CREATE TABLE bets (id bigserial PRIMARY KEY, ext_brand_id text DEFAULT 'b', user_ext_id bigint,
        at timestamptz DEFAULT clock_timestamp(), number text DEFAULT '')""",
    f"INSERT INTO users (user_ext_id, dt_update) SELECT g, now() FROM generate_series(1, {PLAYERS}) g",
)
VIEWS = """
  - {name: users, source: db, relation: users, kind: users, cursor: dt_update, every: 100ms, page_rows: 500}
  - {name: bets, source: db, relation: bets, kind: custom, event_type: bet, cursor: id, key: [id], event_date: at, \
every: 100ms, page_rows: 300}
  - {name: timed, source: db, relation: bets, kind: custom, event_type: timed, cursor: at, key: [id], event_date: at, \
every: 100ms, page_rows: 300, settle: 200ms}
"""
HOLDER = "SELECT member FROM smartico_sync.lease WHERE holder IS NOT NULL AND expires > clock_timestamp()"


class Member:
    """One of the two, with its own way to the state, the API and the source, and its own wall clock."""

    def __init__(self, pair: Pair, name: str) -> None:
        self.pair, self.name, self.home = pair, name, pair.home / name
        self.home.mkdir()
        self.state = [Proxy(server.port) for server in pair.servers]
        self.api, self.source = Proxy(int(pair.sandbox.base.rpartition(":")[2])), Proxy(pair.source.port)
        self.clock = self.home / "clock"
        self.set_clock(0)
        (self.home / "state.key").write_text(pair.key)
        self.config = self.home / "views.yaml"
        hosts = ",".join(f"127.0.0.1:{proxy.port}" for proxy in self.state)
        state = f"postgresql://admin:{ADMIN_PASSWORD}@{hosts}/postgres?target_session_attrs=read-write"
        url = pair.sandbox.url.replace(pair.sandbox.base, f"http://127.0.0.1:{self.api.port}")
        self.config.write_text(
            f"version: 1\nsmartico: {{url: '{url}', token: test, timeout: 2s}}\nstate: '{state}'\n"
            f"cluster: {{lease: {pair.lease_s}s, key_file: state.key, member: {name}}}\n"
            f"pii: {{key: {pair.key}}}\nhealth: {{listen: off}}\n"
            f"sources: {{db: {{url: '{pair.source.url(port=self.source.port)}'}}}}\nviews:{VIEWS}"
        )
        self.process: subprocess.Popen[bytes] | None = None

    def set_clock(self, ahead_s: int) -> None:
        """Set its wall clock."""
        set_ahead(self.clock, ahead_s)

    def start(self) -> None:
        """Begin."""
        environ = {**os.environ, **faked_clock(self.home, self.clock)}
        with (self.home / "log").open("ab") as log:
            self.process = subprocess.Popen(
                [COMMAND, "run", "--config", self.config, "--log", "json"], stderr=log, env=environ
            )

    def send(self, number: int) -> None:
        """Send a signal."""
        if self.process is not None:
            self.process.send_signal(number)

    def end(self, number: int = signal.SIGTERM) -> None:
        """End it, and wait."""
        self.send(number)
        if self.process is not None:
            self.process.wait(60)

    def sync(self, *words: str) -> subprocess.CompletedProcess[str]:
        """A command of an operator on its machine."""
        command = [COMMAND, *words, "--config", self.config]
        return subprocess.run(command, capture_output=True, text=True, check=False, timeout=180)

    def mend(self) -> None:
        """Let it have its network and its clock again."""
        for proxy in (*self.state, self.api, self.source):
            proxy.mend()
        self.set_clock(0)


class Pair:
    """Two members. A context manager; `accepted` counts what the API takes, at any moment."""

    def __init__(self, lease_s: int, home: Path, seed: int = 1) -> None:
        self.lease_s, self.home, self.key, self.dice = lease_s, home, new_key(), random.Random(seed)
        self.stack = ExitStack()
        self.source = self._server()
        self.source.admin(*TABLES)
        self.clock = self._public() / "clock"
        self.set_state_clock(0)
        self.servers = [self._server(faked_clock(self.clock.parent, self.clock))]
        self.servers.append(self.servers[0].create_standby())
        self.primary = 0
        self.synchronous("standby")
        self.sandbox = self.stack.enter_context(Sandbox(log=home / "accepted.jsonl"))
        self.members = [Member(self, name) for name in ("one", "two")]
        self._stopping = threading.Event()
        self._threads = [threading.Thread(target=work, daemon=True) for work in (self._write, self._watch)]
        self.arrivals: list[float] = []

    def _public(self) -> Path:
        """A directory that the servers' user may read, too."""
        made = Path(self.stack.enter_context(tempfile.TemporaryDirectory(prefix="smartico-sync-clock-")))
        made.chmod(0o755)
        return made

    def set_state_clock(self, ahead_s: int) -> None:
        """Set the wall clock of the state's servers."""
        set_ahead(self.clock, ahead_s)

    def _server(self, environ: dict[str, str] | None = None) -> Server:
        server = Server.create(environ=environ)
        self.stack.callback(server.remove)
        return server

    def __enter__(self) -> Self:
        for member in self.members:
            member.start()
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.quiet()
        for member in self.members:
            member.end(signal.SIGKILL)
        self.servers[1 - self.primary].remove()
        self.stack.close()
        self.servers[self.primary].remove()

    def quiet(self) -> None:
        """Write no more."""
        self._stopping.set()
        for thread in self._threads:
            thread.join()

    def _write(self) -> None:
        """Players who bet and change, in transactions of all lengths, until told to stop."""
        dice = random.Random(2)
        with psycopg.connect(self.source.admin_url()) as connection:
            while not self._stopping.wait(0.02):
                for _ in range(dice.randrange(1, 8)):
                    player = dice.randrange(1, PLAYERS + 1)
                    connection.execute("INSERT INTO bets (user_ext_id) VALUES (%s)", [player])
                connection.execute("UPDATE bets SET number = id::text WHERE number = ''")
                connection.execute(
                    "UPDATE users SET level = level + 1, dt_update = clock_timestamp() WHERE user_ext_id = %s", [player]
                )
                if dice.random() < 0.9:
                    connection.commit()
                else:
                    connection.rollback()

    def _watch(self) -> None:
        """Note when anything new arrives."""
        before = 0
        while not self._stopping.wait(SLOT_S):
            accepted = sum(self.sandbox.ingest.accepted_events.types.values())
            if accepted != before:
                self.arrivals.append(time.monotonic())
                before = accepted

    def synchronous(self, names: str) -> None:
        """Have the state's primary wait for its standby, or not."""
        self.servers[self.primary].admin(SYNCHRONOUS.format(names), "SELECT pg_reload_conf()")

    def holder(self) -> str:
        """The name of the member that works, or nothing."""
        try:
            found = self.servers[self.primary].admin(HOLDER)
        except psycopg.Error:
            return ""
        return str(found[0][0]) if found else ""

    def working(self) -> tuple[Member, Member]:
        """The member that works, and the one that stands by, once there is one."""
        while (name := self.holder()) not in [member.name for member in self.members]:
            time.sleep(SLOT_S)
        return (self.members[0], self.members[1]) if name == "one" else (self.members[1], self.members[0])

    def promote(self) -> None:
        """Lose the primary of the state, and have its standby take its place; a new standby follows it."""
        old, new = self.primary, 1 - self.primary
        self.servers[old].stop()
        self.servers[new].admin(SYNCHRONOUS.format(""), "SELECT pg_reload_conf()", "SELECT pg_promote()")
        self.primary = new
        self.servers[old].remove()
        self.servers[old] = self.servers[new].create_standby()
        for member in self.members:
            member.state[old].target = self.servers[old].port
        self.synchronous("standby")

    def detach(self) -> None:
        """Have the standby hear of no more commits, and the primary not wait for it."""
        self.synchronous("")
        self.servers[1 - self.primary].admin("ALTER SYSTEM SET primary_conninfo = ''", "SELECT pg_reload_conf()")

    def problems(self) -> list[str]:
        """What the API took against what the source holds, once all is at rest; and what `reconcile` says."""
        found = []
        events = [json.loads(line) for line in (self.home / "accepted.jsonl").read_text().splitlines()]
        wanted = {str(number) for (number,) in self.source.admin("SELECT id FROM bets")}
        for kind in ("bet", "timed"):
            there = Counter(event["payload"]["number"] for event in events if event["event_type"] == kind)
            lost, twice = len(wanted - set(there)), sum(count - 1 for count in there.values())
            found += [f"{lost} of {kind} lost"] if lost else []
            found += [f"{twice} of {kind} twice"] if twice else []
        levels: dict[str, int] = {}
        stale = 0
        for event in events:
            if event["event_type"] == "update_profile":
                level = int(event["payload"]["level"])
                stale += level < levels.get(event["user_ext_id"], 0)
                levels[event["user_ext_id"]] = level
        truth = {str(player): level for player, level in self.source.admin("SELECT user_ext_id, level FROM users")}
        wrong = sum(levels.get(player) != level for player, level in truth.items())
        found += [f"{stale} old profiles after newer ones"] if stale else []
        found += [f"{wrong} players wrong in the end"] if wrong else []
        told = self.members[0].sync("reconcile")
        found += [f"reconcile ends with {told.returncode}: {told.stdout} {told.stderr}"] if told.returncode else []
        return found
