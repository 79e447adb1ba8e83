"""A private PgBouncer in transaction mode: the real thing, before one server at a time."""

from __future__ import annotations

import os
import shutil
import subprocess
import time

import psycopg
import pytest

from servers.postgresql import PASSWORD, START_S, Server, account, free_port, private_directory

SETTINGS = """\
[databases]
postgres = host=127.0.0.1 port={target}
[pgbouncer]
listen_addr = 127.0.0.1
listen_port = {port}
unix_socket_dir =
auth_type = scram-sha-256
auth_file = {home}/users
admin_users = pooler
pool_mode = transaction
"""


def program() -> str | None:
    return shutil.which("pgbouncer", path=f"{os.environ.get('PATH', '')}:/usr/sbin:/usr/local/sbin")


class PgBouncer:
    """One process. Clients stay connected while what is behind it changes."""

    def __init__(self, server: Server) -> None:
        self.home, self.port = private_directory(), free_port()
        (self.home / "users").write_text(f'"reader" "{PASSWORD}"\n"pooler" "pooler"\n')
        self._configure(server)
        with (self.home / "log").open("ab") as log:
            command = [str(program()), str(self.home / "pgbouncer.ini")]
            self.process = subprocess.Popen(command, stdout=log, stderr=log, cwd="/", **account())
        end = time.monotonic() + START_S
        while True:
            try:
                self._console("SHOW VERSION")
            except psycopg.OperationalError:
                if self.process.poll() is not None or time.monotonic() > end:
                    raise RuntimeError((self.home / "log").read_text(errors="replace")[-2000:]) from None
                time.sleep(0.02)
            else:
                return

    def switch(self, server: Server) -> None:
        """Let another server answer from the next transaction on."""
        self._configure(server)
        self._console("RELOAD")
        self._console("RECONNECT")

    def close(self) -> None:
        self.process.kill()
        self.process.wait(START_S)
        shutil.rmtree(self.home, ignore_errors=True)

    def _configure(self, server: Server) -> None:
        settings = SETTINGS.format(target=server.port, port=self.port, home=self.home)
        (self.home / "pgbouncer.ini").write_text(settings)

    def _console(self, command: str) -> None:
        url = f"postgresql://pooler:pooler@127.0.0.1:{self.port}/pgbouncer"
        with psycopg.connect(url, autocommit=True, connect_timeout=5) as console:
            console.execute(command)


@pytest.fixture
def pooled():
    """Put a PgBouncer before a server: `pooler = pooled(server)`."""
    if program() is None:
        reason = "PgBouncer is not installed: apt-get install pgbouncer"
        if "pgbouncer" in os.environ.get("SYNC_TEST_REQUIRE", "").split(","):
            pytest.fail(reason)
        pytest.skip(reason)
    poolers = []

    def before(server: Server) -> PgBouncer:
        poolers.append(PgBouncer(server))
        return poolers[-1]

    yield before
    for pooler in poolers:
        pooler.close()
