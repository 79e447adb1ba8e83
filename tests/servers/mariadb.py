"""A private MariaDB: the real thing, in a directory of its own, on a free port; and a replica of it."""

from __future__ import annotations

import atexit
import os
import shutil
import signal
import socket
import subprocess
import tempfile
import time
import uuid
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from urllib.parse import quote

import pymysql
import pytest

from servers.postgresql import free_port
from smartico_sync.sources.kit.url import parse

PASSWORD = "r€ader:p@ss/word?#%"  # every character that a URL could stumble over
# Strangers' settings on purpose: what a session needs it must set itself.
SETTINGS = (
    "--innodb-flush-log-at-trx-commit=0", "--innodb-buffer-pool-size=64M", "--innodb-log-file-size=16M",
    "--skip-name-resolve", "--default-time-zone=+02:00", "--max-connections=100", "--performance-schema=off",
    "--sql-mode=ANSI_QUOTES,NO_BACKSLASH_ESCAPES,PAD_CHAR_TO_FULL_LENGTH,STRICT_TRANS_TABLES,NO_ZERO_DATE",
    "--character-set-server=utf8mb4", "--collation-server=utf8mb4_general_ci", "--binlog-format=ROW", "--sync-binlog=0",
    "--innodb-doublewrite=0", "--innodb-flush-method=nosync", "--max-allowed-packet=64M",
)  # fmt: skip
OWNER = "SET SESSION sql_mode='ANSI_QUOTES,NO_BACKSLASH_ESCAPES', time_zone='+00:00'"
START_S = 60  # a busy machine starts slowly


def program(name: str) -> str | None:
    return shutil.which(name, path=f"{os.environ.get('PATH', '')}:/usr/sbin:/usr/local/sbin")


@dataclass
class Server:
    """One server process, primary or replica."""

    home: Path
    port: int
    settings: tuple[str, ...] = ()
    process: subprocess.Popen | None = None
    number: int = field(default=1)

    @classmethod
    def create(cls, *settings: str, number: int = 1) -> Server:
        home = Path(tempfile.mkdtemp(prefix="sync-mysql-"))
        shutil.copytree(cls.new_data(), home / "data")
        server = cls(home, free_port(), settings, number=number)
        server.start()
        server.admin(
            f"CREATE USER reader@'127.0.0.1' IDENTIFIED BY '{PASSWORD}'",
            "GRANT SELECT, SHOW VIEW ON *.* TO reader@'127.0.0.1'",
        )
        return server

    @staticmethod
    def missing() -> str:
        """Why there can be no server, or an empty word."""
        if program("mariadbd") and program("mariadb-install-db"):
            return ""
        return "MariaDB is not installed: apt-get install mariadb-server-core mariadb-client-core"

    @staticmethod
    def new_data() -> Path:
        """The data of a server that has no databases yet."""
        return _installed()

    @staticmethod
    def command() -> list[str]:
        """The program, and what it needs and others do not."""
        return [program("mariadbd"), "--no-defaults", "--skip-log-error"]

    def start(self) -> None:
        command = [
            *self.command(), *account(), f"--datadir={self.home / 'data'}", f"--socket={self.socket}", f"--port={self.port}",
            "--bind-address=127.0.0.1", f"--pid-file={self.home / 'pid'}", f"--server-id={self.number}",
            f"--tmpdir={self.home}", *SETTINGS, *self.settings,
        ]  # fmt: skip
        with (self.home / "log").open("ab") as log:
            self.process = subprocess.Popen(command, stdout=log, stderr=log, cwd="/")
        end = time.monotonic() + START_S
        while not self._listens():
            if self.process.poll() is not None or time.monotonic() > end:
                raise RuntimeError((self.home / "log").read_text(errors="replace")[-2000:])
            time.sleep(0.02)

    def _listens(self) -> bool:
        with socket.socket(socket.AF_UNIX) as probe:
            return probe.connect_ex(str(self.socket)) == 0

    def stop(self) -> None:
        """As a crash would be."""
        if self.process is not None:
            self.process.send_signal(signal.SIGKILL)
            self.process.wait(START_S)
            self.process = None

    def restart(self) -> None:
        self.stop()
        self.start()

    def remove(self) -> None:
        self.stop()
        shutil.rmtree(self.home, ignore_errors=True)

    @property
    def socket(self) -> Path:
        return self.home / "s"

    def owner(self, database: str | None = None) -> pymysql.Connection:
        return pymysql.connect(
            unix_socket=str(self.socket), user="root", database=database, autocommit=True, init_command=OWNER,
            ssl_disabled=True,
        )  # fmt: skip

    def admin(self, *statements: str, database: str | None = None) -> list[tuple]:
        """Run statements as root, each on its own; the rows of the last."""
        return _run(self.owner(database), statements)

    def url(self, database: str = "", *, scheme: str = "mariadb", user: str = "reader", port: int | None = None) -> str:
        return f"{scheme}://{user}:{quote(PASSWORD, safe='')}@127.0.0.1:{port or self.port}/{database}"

    def create_replica(self) -> Server:
        """A server that replays what happens here from now on; its users and tables come from here too."""
        self.admin(
            "CREATE USER follower@'127.0.0.1' IDENTIFIED BY 'f'",
            "GRANT REPLICATION SLAVE ON *.* TO follower@'127.0.0.1'",
        )
        replica = Server.create("--read-only=1", number=self.number + 1)
        file, position, *_ = self.admin("SHOW MASTER STATUS")[0]
        replica.admin(
            f"CHANGE MASTER TO MASTER_HOST='127.0.0.1', MASTER_PORT={self.port}, MASTER_USER='follower', MASTER_PASSWORD='f', "
            f"MASTER_LOG_FILE='{file}', MASTER_LOG_POS={position}, MASTER_CONNECT_RETRY=1",
            "START SLAVE",
        )
        return replica


@dataclass(frozen=True)
class External:
    """A server of the operator's own, named by SYNC_TEST_MYSQL_URL or SYNC_TEST_MARIADB_URL; may create databases and users."""

    address: str

    def owner(self, database: str | None = None) -> pymysql.Connection:
        url = parse(self.address)
        host, port = url.hosts[0]
        return pymysql.connect(
            host=host, port=int(port or 3306), user=url.user, password=url.password.encode(), database=database,
            autocommit=True, init_command=OWNER,
        )  # fmt: skip

    def admin(self, *statements: str, database: str | None = None) -> list[tuple]:
        return _run(self.owner(database), statements)

    def url(
        self, database: str = "", *, scheme: str = "mysql", user: str = "smartico_reader", port: int | None = None
    ) -> str:
        host, own = parse(self.address).hosts[0]
        return f"{scheme}://{user}:{quote(PASSWORD, safe='')}@{host}:{port or own or 3306}/{database}"

    @property
    def port(self) -> int:
        return int(parse(self.address).hosts[0][1] or 3306)


@dataclass(frozen=True)
class Database:
    """A database of one test's own. `url` logs in as a user that may only read."""

    server: Server | External
    name: str
    scheme: str

    @property
    def url(self) -> str:
        return self.server.url(self.name, scheme=self.scheme)

    def execute(self, *statements: str) -> list[tuple]:
        return self.server.admin(*statements, database=self.name)


@cache
def _installed() -> Path:
    """The data of a new server, made once. A server that starts removes all temporary tables where it keeps its own."""
    home = Path(tempfile.mkdtemp(prefix="sync-mariadb-new-"))
    atexit.register(shutil.rmtree, home, ignore_errors=True)
    install = [
        program("mariadb-install-db"), "--no-defaults", f"--datadir={home / 'data'}", "--skip-test-db",
        "--auth-root-authentication-method=normal", "--innodb-log-file-size=16M", f"--tmpdir={home}", *account(),
    ]  # fmt: skip
    done = subprocess.run(
        install, capture_output=True, text=True, cwd="/", check=False, env={**os.environ, "TMPDIR": str(home)}
    )
    if done.returncode:
        raise RuntimeError(done.stdout + done.stderr)
    return home / "data"


def account() -> list[str]:
    return ["--user=root"] if os.geteuid() == 0 else []


def _run(connection: pymysql.Connection, statements: tuple[str, ...]) -> list[tuple]:
    rows: list[tuple] = []
    with connection, connection.cursor() as cursor:
        for statement in statements:
            cursor.execute(statement)
            rows = list(cursor.fetchall())
    return rows


def served(variable: str, kind: type[Server] = Server, *settings: str):
    """The server of that variable, or one of our own."""
    if address := os.environ.get(variable):
        server = External(address)
        if server.admin("SELECT count(*) FROM mysql.user WHERE user = 'smartico_reader'") == [(0,)]:
            server.admin(f"CREATE USER smartico_reader@'%' IDENTIFIED BY '{PASSWORD}'")
        server.admin("GRANT SELECT, SHOW VIEW ON *.* TO smartico_reader@'%'")
        yield server
        return
    if reason := kind.missing():
        pytest.skip(f"{reason}, or set {variable}")
    server = kind.create(*settings)
    yield server
    server.remove()


def database(server: Server | External, scheme: str):
    """An empty database, dropped afterwards."""
    name = f"t_{uuid.uuid4().hex[:12]}"
    server.admin(f"CREATE DATABASE {name}")
    yield Database(server, name, scheme)
    server.admin(f"DROP DATABASE {name}")


@pytest.fixture(scope="session")
def mariadb_server():
    """A server for this worker's whole session."""
    yield from served("SYNC_TEST_MARIADB_URL")


@pytest.fixture
def mariadb(mariadb_server):
    """An empty database, dropped afterwards."""
    yield from database(mariadb_server, "mariadb")


@pytest.fixture
def private_mariadb():
    """A server that the test may stop, restart and break."""
    if reason := Server.missing():
        pytest.skip(reason)
    server = Server.create("--log-bin")
    yield server
    server.remove()


@pytest.fixture
def replica(private_mariadb):
    """A replica of `private_mariadb`."""
    server = private_mariadb.create_replica()
    yield server
    server.remove()
