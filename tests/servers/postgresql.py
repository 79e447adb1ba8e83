"""A private PostgreSQL: the real thing, in a directory of its own, on a free port; and a standby of it."""

from __future__ import annotations

import os
import pwd
import shutil
import signal
import socket
import subprocess
import tempfile
import time
import uuid
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import quote

import psycopg
import pytest
from psycopg.conninfo import conninfo_to_dict

PASSWORD = "r€ader:p@ss/word?#%"  # every character that a URL could stumble over
ADMIN_PASSWORD = "admin"
SETTINGS = (
    "fsync=off", "full_page_writes=off", "shared_buffers=64MB", "max_connections=60",
    "wal_level=logical", "max_wal_senders=5", "hot_standby=on", "hot_standby_feedback=off", "max_standby_streaming_delay=1s",
    "wal_receiver_status_interval=1s", "autovacuum=off", "timezone=Europe/Malta", "log_min_messages=fatal", "jit=off",
)  # fmt: skip
START_S = 60  # a busy machine starts slowly


def binaries() -> Path | None:
    """Where the newest installed PostgreSQL keeps its programs."""
    found = sorted(Path("/usr/lib/postgresql").glob("*/bin/initdb"), key=lambda path: int(path.parts[-3]))
    if found:
        return found[-1].parent
    initdb = shutil.which("initdb")
    return Path(initdb).resolve().parent if initdb else None


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def account() -> dict[str, str | int]:
    """PostgreSQL does not run as root."""
    if os.geteuid() != 0:
        return {}
    try:
        owner = pwd.getpwnam("postgres")
    except KeyError:
        owner = pwd.getpwnam("nobody")
    return {"user": owner.pw_uid, "group": owner.pw_gid, "extra_groups": []}


def private_directory() -> Path:
    directory = Path(tempfile.mkdtemp(prefix="sync-postgresql-"))
    if owner := account():
        os.chown(directory, owner["user"], owner["group"])
    return directory


def _run(*command: object) -> None:
    done = subprocess.run(  # noqa: PLW1510  - the message is raised below
        [str(part) for part in command], capture_output=True, cwd="/", **account()
    )
    if done.returncode:
        raise RuntimeError(done.stderr.decode(errors="replace"))


@dataclass
class Server:
    """One server process, primary or standby."""

    home: Path
    port: int
    process: subprocess.Popen | None = None
    databases: int = field(default=0)
    environ: dict[str, str] = field(default_factory=dict)  # beside that of this process

    @classmethod
    def create(cls, auth: str = "scram-sha-256", environ: dict[str, str] | None = None) -> Server:
        home = private_directory()
        secret = home / "password"
        secret.write_text(ADMIN_PASSWORD)
        secret.chmod(0o644)
        options = (
            "--auth-local=trust",
            f"--auth-host={auth}",
            "--encoding=UTF8",
            "--locale=C.UTF-8",
            "--no-sync",
        )
        _run(binaries() / "initdb", "-D", home / "data", "-U", "admin", f"--pwfile={secret}", *options)
        server = cls(home, free_port(), environ=environ or {})
        server.start()
        server.admin(f"CREATE ROLE reader LOGIN PASSWORD '{PASSWORD}'", "GRANT pg_read_all_data TO reader")
        return server

    def start(self) -> None:
        command = [
            binaries() / "postgres",
            "-D",
            self.home / "data",
            "-p",
            self.port,
            "-k",
            self.home,
            "-h",
            "127.0.0.1",
        ]
        command += [part for setting in SETTINGS for part in ("-c", setting)]
        log = (self.home / "log").open("ab")
        self.process = subprocess.Popen(
            [str(part) for part in command],
            stdout=log,
            stderr=log,
            cwd="/",
            env={**os.environ, **self.environ},
            **account(),
        )
        log.close()
        end = time.monotonic() + START_S
        while True:
            try:
                psycopg.connect(self.admin_url(), connect_timeout=5).close()
            except psycopg.OperationalError:
                if self.process.poll() is not None or time.monotonic() > end:
                    raise RuntimeError((self.home / "log").read_text(errors="replace")[-2000:]) from None
                time.sleep(0.02)
            else:
                return

    def stop(self) -> None:
        """An immediate shutdown, as a crash would be."""
        if self.process is not None:
            self.process.send_signal(signal.SIGQUIT)
            self.process.wait(START_S)
            self.process = None

    def restart(self) -> None:
        self.stop()
        self.start()

    def remove(self) -> None:
        self.stop()
        shutil.rmtree(self.home, ignore_errors=True)

    def admin_url(self, database: str = "postgres") -> str:
        return f"postgresql://admin@/{database}?host={quote(str(self.home), safe='')}&port={self.port}"

    def url(self, database: str = "postgres", *, password: str = PASSWORD, port: int | None = None) -> str:
        return f"postgresql://reader:{quote(password, safe='')}@127.0.0.1:{port or self.port}/{database}"

    def admin(self, *statements: str, database: str = "postgres") -> list[tuple]:
        """Run statements as superuser, each on its own; the rows of the last."""
        with psycopg.connect(self.admin_url(database), autocommit=True) as connection:
            rows = []
            for statement in statements:
                cursor = connection.execute(statement)
                rows = cursor.fetchall() if cursor.description else []
            return rows

    def create_database(self, name: str) -> None:
        """An empty database, by the way that costs the server least: its files are copied, and nothing is logged."""
        with psycopg.connect(self.admin_url(), autocommit=True) as connection:
            way = "STRATEGY FILE_COPY" if connection.info.server_version >= 150_000 else ""
            connection.execute(f"CREATE DATABASE {name} {way}")

    def create_standby(self) -> Server:
        """A streaming physical standby that answers queries."""
        home = private_directory()
        _run(
            binaries() / "pg_basebackup", "-D", home / "data", "-R", "-X", "stream", "-c", "fast", "--no-sync",
            "-d", f"host={self.home} port={self.port} user=admin application_name=standby",
        )  # fmt: skip
        standby = Server(home, free_port(), environ=self.environ)
        standby.start()
        return standby


@dataclass(frozen=True)
class External:
    """A server of the operator's own, named by SYNC_TEST_POSTGRESQL_URL; it must let us create databases and roles."""

    address: str

    def admin_url(self, database: str = "") -> str:
        if not database:
            return self.address
        head, _, query = self.address.partition("?")
        return head.rpartition("/")[0] + f"/{database}" + (f"?{query}" if query else "")

    def url(self, database: str = "postgres", *, password: str = PASSWORD, port: int | None = None) -> str:
        told = conninfo_to_dict(self.address)
        place = f"{told.get('host', '127.0.0.1')}:{port or told.get('port', 5432)}"
        return f"postgresql://smartico_reader:{quote(password, safe='')}@{place}/{database}"

    def admin(self, *statements: str, database: str = "") -> list[tuple]:
        with psycopg.connect(self.admin_url(database), autocommit=True) as connection:
            rows = []
            for statement in statements:
                cursor = connection.execute(statement)
                rows = cursor.fetchall() if cursor.description else []
            return rows

    def create_database(self, name: str) -> None:
        self.admin(f"CREATE DATABASE {name}")

    @property
    def port(self) -> int:
        return int(conninfo_to_dict(self.address).get("port", 5432))


@dataclass(frozen=True)
class Database:
    """A database of one test's own. `url` logs in as a user that may only read."""

    server: Server | External
    name: str

    @property
    def url(self) -> str:
        return self.server.url(self.name)

    @property
    def admin_url(self) -> str:
        return self.server.admin_url(self.name)

    def execute(self, *statements: str) -> list[tuple]:
        return self.server.admin(*statements, database=self.name)


@pytest.fixture(scope="session")
def postgresql_server():
    """A server for this worker's whole session."""
    address = os.environ.get("SYNC_TEST_POSTGRESQL_URL")
    if address:
        server = External(address)
        if not server.admin("SELECT 1 FROM pg_roles WHERE rolname = 'smartico_reader'"):
            server.admin(f"CREATE ROLE smartico_reader LOGIN PASSWORD '{PASSWORD}'")
            server.admin("GRANT pg_read_all_data TO smartico_reader")
        yield server
        return
    if binaries() is None:
        pytest.skip("PostgreSQL is not installed: apt-get install postgresql, or set SYNC_TEST_POSTGRESQL_URL")
    server = Server.create()
    yield server
    server.remove()


@pytest.fixture
def postgresql(postgresql_server):
    """An empty database, dropped afterwards."""
    name = f"t_{uuid.uuid4().hex[:12]}"
    postgresql_server.create_database(name)
    yield Database(postgresql_server, name)
    postgresql_server.admin(f"DROP DATABASE {name} WITH (FORCE)")


@pytest.fixture
def private_postgresql():
    """A server that the test may stop, restart and break."""
    if binaries() is None:
        pytest.skip("PostgreSQL is not installed: apt-get install postgresql")
    server = Server.create()
    yield server
    server.remove()


@pytest.fixture
def standby(private_postgresql):
    """A streaming standby of `private_postgresql`."""
    server = private_postgresql.create_standby()
    yield server
    server.remove()
